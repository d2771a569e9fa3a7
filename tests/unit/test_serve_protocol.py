"""Messages of the server: what the schema says is what happens."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError

from bilabial.errors import UserError
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
    ("text", "told"),
    [
        ("", "is JSON"),
        ("[" * 20000, "at most"),
        ("[" * 10000, "is JSON"),
        ('{"type": "start", "sampling_rate": NaN}', "is JSON"),
        ("[1]", "type of a message is one of start"),
        ('{"type": "sing"}', "got 'sing'"),
        ('{"type": ["start"]}', "type of a message"),
        ('{"type": "start"}', "'sampling_rate' is a required property"),
        ('{"type": "start", "sampling_rate": 4000}', "sampling_rate: 4000 is less than the minimum of 8000"),
        ('{"type": "start", "sampling_rate": 16000, "fps": 500}', "fps: 500 is greater"),
        ('{"type": "start", "sampling_rate": 16000, "color": 1}', "color"),
        ('{"type": "set_emotion", "emotion": {"happy": 2}}', "emotion"),
        ('{"type": "interrupt", "sample": -1}', "sample: -1 is less"),
        ('{"type": "ping", "id": "' + "x" * MAX_TEXT_BYTES + '"}', "at most 16384 bytes"),
        ('{"type": "set_emotion", "emotion": "' + "\\ud800" + '", "x": 1}', "x"),
    ],
)
def test_what_is_no_message_is_a_sentence(text, told):
    with pytest.raises(UserError, match=re.escape(told)):
        read_message(text)


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
