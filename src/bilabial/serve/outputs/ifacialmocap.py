"""iFacialMocap's text over UDP (ifacialmocap.com/for-developer), for VSeeFace, VMagicMirror and Warudo.

A datagram is a face: `mouthSmile_R-4|jawOpen-31|...|=head#rx,ry,rz,x,y,z|rightEye#x,y,z|leftEye#x,y,z|`,
whole percents, angles in degrees. Receivers listen on 49983 and accept faces without a request.
"""

from __future__ import annotations

import socket

from bilabial.serve.outputs.face import Face

PORT = 49983
EYE_DEGREES = 35.0  # of an eyeLook coefficient of 1; 17 % are 6.03 degrees in the example of that page


class IFacialMocapOutput:
    """Sends each face as one datagram."""

    def __init__(self, host: str, port: int = PORT):
        self._address = (host, port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send(self, face: Face) -> None:
        """Send a face. Raises OSError where its network does not take it."""
        self._socket.sendto(encode(face), self._address)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def encode(face: Face) -> bytes:
    """The datagram of a face."""
    curves = face.arkit()
    shapes = "".join(f"{short_name(name)}-{round(100 * value)}|" for name, value in curves.items())
    yaw, pitch, roll = face.head
    head = ",".join(f"{number:.4f}" for number in (-pitch, yaw, roll, 0.0, 0.0, 0.0))
    eyes = "".join(f"{side.lower()}Eye#{_eye(curves, side)}|" for side in ("Right", "Left"))
    return f"{shapes}=head#{head}|{eyes}".encode("ascii")


def short_name(name: str) -> str:
    """ARKit's name as iFacialMocap writes it: mouthSmileLeft is mouthSmile_L, jawLeft stays."""
    for side in ("Left", "Right"):
        if name.endswith(side) and name not in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
            return f"{name.removesuffix(side)}_{side[0]}"
    return name


def _eye(curves: dict[str, float], side: str) -> str:
    """Rotation of an eye about x (down positive) and y (to the subject's left positive), in degrees."""
    outward = 1.0 if side == "Left" else -1.0
    down = curves[f"eyeLookDown{side}"] - curves[f"eyeLookUp{side}"]
    left = outward * (curves[f"eyeLookOut{side}"] - curves[f"eyeLookIn{side}"])
    return f"{EYE_DEGREES * down:.4f},{EYE_DEGREES * left:.4f},0.0000"
