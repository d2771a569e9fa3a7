"""VMC protocol 2.9 (protocol.vmc.info): faces as OSC messages over UDP, for avatars in VRM.

A sender of faces alone is an Assistant: a Performer that owns the body (VSeeFace, VirtualMotionCapture)
listens on 39540, a Marionette that only draws (Unity, Unreal, Blender, Godot receivers) on 39539. Names are
those of perfect sync, ARKit's with a capital (BrowInnerUp). The head is left to who owns the body.
"""

from __future__ import annotations

import socket

from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bilabial.serve.outputs.face import Face

PORT = 39539
MESSAGES_IN_BUNDLE = 20  # some 1,000 bytes: a datagram that no network splits


class VmcOutput:
    """Sends each face as a few bundles, the last of which applies them all."""

    def __init__(self, host: str, port: int = PORT):
        self._address = (host, port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, face: Face) -> None:
        """Send a face. Raises OSError where its network does not take it."""
        for datagram in encode(face):
            self._socket.sendto(datagram, self._address)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def encode(face: Face) -> list[bytes]:
    """The datagrams of a face."""
    messages = [
        _message("/VMC/Ext/Blend/Val", name[0].upper() + name[1:], value)
        for name, value in face.arkit().items()
    ]
    messages.append(_message("/VMC/Ext/Blend/Apply"))
    bundles = []
    for start in range(0, len(messages), MESSAGES_IN_BUNDLE):
        bundle = OscBundleBuilder(IMMEDIATELY)
        for message in messages[start : start + MESSAGES_IN_BUNDLE]:
            bundle.add_content(message)
        bundles.append(bundle.build().dgram)
    return bundles


def _message(address: str, name: str | None = None, value: float = 0.0) -> OscMessage:
    builder = OscMessageBuilder(address)
    if name is not None:
        builder.add_arg(name, OscMessageBuilder.ARG_TYPE_STRING)
        builder.add_arg(value, OscMessageBuilder.ARG_TYPE_FLOAT)
    return builder.build()
