"""Live Link Face: the UDP packets of Epic's iPhone app, which Unreal receives by itself (port 11111).

A packet of version 6, all numbers big-endian (Unreal, AppleARKitLiveLinkSource.cpp):

    uint8 6 | int32 length, device id | int32 length, subject name | int32 frame, float32 part of a frame |
    int32 numerator, int32 denominator of the frame rate | uint8 61 | 61 x float32

The device id has 36 characters, so that readers who take its length for the sign "$" find it too.
"""

from __future__ import annotations

import socket
import struct
import uuid
from datetime import datetime
from fractions import Fraction

from bilabial.clip import LIVE_LINK_ROTATIONS
from bilabial.serve.outputs.face import Face

PORT = 11111
VERSION = 6
NUM_VALUES = 61  # 52 coefficients in Apple's order, then yaw, pitch and roll of head, left eye and right eye
# What 1 is in a packet: half a turn to the subject's right, down, and to the left (Unreal,
# AppleARKitConversion.h), the directions of the app's CSV files and the opposite of Face.head.
HALF_TURN_DEGREES = -180.0


class LiveLinkOutput:
    """Sends each face as one packet. Unreal shows it under the subject name."""

    def __init__(self, host: str, port: int = PORT, subject: str = "Bilabial"):
        self._address, self._subject = (host, port), subject
        self._device = str(uuid.uuid4()).upper()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        now = datetime.now()
        self._start_seconds = now.hour * 3600 + now.minute * 60 + now.second + now.microsecond * 1e-6

    def send(self, face: Face) -> None:
        """Send a face. Raises OSError where its network does not take it."""
        packet = encode(face, self._device, self._subject, self._start_seconds + face.seconds)
        self._socket.sendto(packet, self._address)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def encode(face: Face, device: str, subject: str, timecode_seconds: float) -> bytes:
    """The packet of a face. timecode_seconds: since midnight."""
    rate = Fraction(face.fps).limit_denominator(1001)
    frame, part = divmod(timecode_seconds % 86400 * float(rate), 1.0)
    name = subject.encode("utf-8")
    head = (degrees / HALF_TURN_DEGREES for degrees in face.head)
    values = [*face.arkit().values(), *head, *[0.0] * (len(LIVE_LINK_ROTATIONS) - 3)]
    return b"".join((
        struct.pack("!Bi", VERSION, len(device)), device.encode("ascii"),
        struct.pack("!i", len(name)), name,
        struct.pack("!if", int(frame), part),
        struct.pack("!ii", rate.numerator, rate.denominator),
        struct.pack(f"!B{NUM_VALUES}f", NUM_VALUES, *values),
    ))  # fmt: skip
