"""Messages of `/v1/stream`: JSON checked against protocol.json, and frames as bytes (docs/serve.md)."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from bilabial.errors import UserError, cut

SCHEMA_FILE = Path(__file__).with_name("protocol.json")
PROTOCOL = 1  # version, in `started` and in every binary message
MAX_MESSAGE_BYTES = 2**20  # of any message to the server
MAX_TEXT_BYTES = 2**14  # of a text message
HEADER = struct.Struct("<BBHI")  # version, kind, coefficients in a frame, frames
FRAME = struct.Struct("<QII")  # sample, chunk, number; then float32 coefficients


class Kind(IntEnum):
    """Of the frames in a binary message."""

    SPEECH = 0
    REST = 1  # the return to rest after an interrupt


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames with the sound that they belong to.

    samples: (n,) int64, position of each frame in the sound of the connection, in samples at its own rate.
    chunks: (n,) int64, number of the binary message that this sample came in, the first 0. numbers: (n,)
    int64, counted over the connection. values: (n, C) float32 in 0..1. head: (n, 3) degrees of a clip, for
    live outputs; clients do not get it.
    """

    samples: np.ndarray
    chunks: np.ndarray
    numbers: np.ndarray
    values: np.ndarray
    kind: Kind = Kind.SPEECH
    head: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)


@cache
def schema() -> dict:
    """The JSON schema of all text messages."""
    return json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


@cache
def _validator(kind: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema()["$defs"]})


@cache
def client_kinds() -> tuple[str, ...]:
    """Types of the messages that a client may send."""
    refs = schema()["$defs"]["client_message"]["oneOf"]
    return tuple(ref["$ref"].rpartition("/")[2] for ref in refs)


def read_message(text: str) -> dict:
    """A client's text message. Raises UserError for what the schema does not accept."""
    if len(text) > MAX_TEXT_BYTES or len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES:
        raise UserError("serve_text_large", limit=MAX_TEXT_BYTES)
    try:
        message = json.loads(text, parse_constant=_refuse_constant)
    except (RecursionError, ValueError) as error:
        raise UserError("serve_json", got=cut(text)) from error
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(kind, str) or kind not in client_kinds():
        raise UserError("serve_type", accepted=list(client_kinds()), got=kind)
    try:
        mistake = best_match(_validator(kind).iter_errors(message))
    except RecursionError as deep:
        raise UserError("serve_json", got=cut(text)) from deep
    if mistake is not None:
        field = ".".join(str(part) for part in mistake.absolute_path)
        problem = f"{field}: {mistake.message}" if field else mistake.message
        raise UserError("serve_message", kind=kind, error=cut(problem))
    return message


def message_text(kind: str, **fields: object) -> str:
    """A server's text message."""
    return json.dumps({"type": kind, **fields})


def pack_frames(frames: Frames) -> bytes:
    """The binary message that carries these frames."""
    count, size = frames.values.shape
    record = np.dtype(
        [("sample", "<u8"), ("chunk", "<u4"), ("number", "<u4"), ("values", "<f4", (size,))], align=False
    )
    records = np.empty(count, record)
    records["sample"], records["chunk"], records["number"] = frames.samples, frames.chunks, frames.numbers
    records["values"] = frames.values
    return HEADER.pack(PROTOCOL, frames.kind, size, count) + records.tobytes()


def unpack_frames(message: bytes) -> Frames:
    """What `pack_frames` wrote. Raises ValueError for other bytes."""
    if len(message) < HEADER.size:
        raise ValueError(f"a message of frames has at least {HEADER.size} bytes, got {len(message)}")
    version, kind, size, count = HEADER.unpack_from(message)
    if version != PROTOCOL or len(message) != HEADER.size + count * (FRAME.size + 4 * size):
        raise ValueError(f"these {len(message)} bytes are no message of frames of version {PROTOCOL}")
    record = np.dtype([("sample", "<u8"), ("chunk", "<u4"), ("number", "<u4"), ("values", "<f4", (size,))])
    records = np.frombuffer(message, record, offset=HEADER.size)
    samples, chunks, numbers = (records[name].astype(np.int64) for name in ("sample", "chunk", "number"))
    return Frames(samples, chunks, numbers, records["values"].astype(np.float32), Kind(kind))


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
