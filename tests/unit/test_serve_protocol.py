"""Messages of the server: what the schema says is what happens."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError
from support.errors import refused

from bilabial.serve.protocol import (
    FRAME,
    HEADER,
    MAX_TEXT_BYTES,
    Frames,
    Kind,
    client_kinds,
    message_text,
    pack_frames,
    read_message,
    schema,
    unpack_frames,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "serve.md"


def test_the_schema_is_one():
    Draft202012Validator.check_schema(schema())


def test_every_message_of_the_document_fits_the_schema():
    validator = Draft202012Validator(schema())
    blocks = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.S)
    messages = [json.loads(line) for block in blocks for line in block.splitlines()]
    for message in messages:
        validator.validate(message)
    kinds = {ref["$ref"].rpartition("/")[2] for side in schema()["oneOf"] for ref in _refs(side)}
    assert {message["type"] for message in messages} == kinds


def _refs(side: dict) -> list[dict]:
    return schema()["$defs"][side["$ref"].rpartition("/")[2]]["oneOf"]


@pytest.mark.parametrize(
    ("text", "code", "values"),
    [
        ("", "serve_json", {"got": "''"}),
        ("[" * 20000, "serve_text_large", {"limit": MAX_TEXT_BYTES}),
        ("[" * 10000, "serve_json", {}),
        ('{"type": "start", "sampling_rate": NaN}', "serve_json", {}),
        ("[1]", "serve_type", {"accepted": ", ".join(client_kinds()), "got": "None"}),
        ('{"type": "sing"}', "serve_type", {"got": "'sing'"}),
        ('{"type": ["start"]}', "serve_type", {"got": "['start']"}),
        ('{"type": "ping", "id": "' + "x" * MAX_TEXT_BYTES + '"}', "serve_text_large", {"limit": 16384}),
    ],
)
def test_what_is_no_message_is_refused(text, code, values):
    with refused(code, **values):
        read_message(text)


@pytest.mark.parametrize(
    ("text", "kind", "named"),
    [
        ('{"type": "start"}', "start", ["'sampling_rate'"]),
        ('{"type": "start", "sampling_rate": 4000}', "start", ["sampling_rate: 4000", "8000"]),
        ('{"type": "start", "sampling_rate": 16000, "fps": 500}', "start", ["fps: 500"]),
        ('{"type": "start", "sampling_rate": 16000, "color": 1}', "start", ["'color'"]),
        ('{"type": "set_emotion", "emotion": {"happy": 2}}', "set_emotion", ["emotion"]),
        ('{"type": "interrupt", "sample": -1}', "interrupt", ["sample: -1"]),
        ('{"type": "set_emotion", "emotion": "' + "\\ud800" + '", "x": 1}', "set_emotion", ["'x'"]),
    ],
)
def test_what_the_schema_does_not_accept_is_named(text, kind, named):
    """By jsonschema, in its words."""
    with refused("serve_message", kind=kind) as error:
        read_message(text)
    assert all(value in error.value.parameters["error"] for value in named)


def test_messages_are_read():
    assert set(client_kinds()) == {"start", "set_emotion", "flush", "interrupt", "ping", "end"}
    start = {"type": "start", "sampling_rate": 24000, "emotion": {"happy": 0.5}, "style": None}
    assert read_message(json.dumps(start)) == start


def test_messages_of_the_server_fit_the_schema():
    validator = Draft202012Validator(schema()["$defs"]["server_message"] | {"$defs": schema()["$defs"]})
    validator.validate(json.loads(message_text("flushed", sample=1)))
    with pytest.raises(ValidationError):
        validator.validate(json.loads(message_text("flushed", samples=1)))


def test_frames_survive_the_way():
    frames = Frames(
        np.array([0, 533, 2**40]), np.array([0, 1, 7]), np.array([3, 4, 5]),
        np.random.default_rng(0).random((3, 52), np.float32), Kind.REST,
    )  # fmt: skip
    message = pack_frames(frames)
    assert len(message) == HEADER.size + 3 * (FRAME.size + 52 * 4)
    assert message[:8] == b"\1\1" + (52).to_bytes(2, "little") + (3).to_bytes(4, "little")
    back = unpack_frames(message)
    for name in ("samples", "chunks", "numbers", "values"):
        np.testing.assert_array_equal(getattr(back, name), getattr(frames, name))
    assert back.kind is Kind.REST
    for other in (b"", message[:-1], b"\2" + message[1:]):
        with pytest.raises(ValueError):
            unpack_frames(other)
