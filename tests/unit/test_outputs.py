"""Faces on the wire: byte by byte, and as readers that were not written here understand them."""

import socket
import struct
import uuid

import numpy as np
import pytest
from oscpy.parser import read_bundle
from pylivelinkface import FaceBlendShape, PyLiveLinkFace
from support.errors import refused

from bilabial.head_motion import moving_head
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.serve.live import open_outputs, parse_address
from bilabial.serve.outputs import ifacialmocap, live_link, vmc
from bilabial.serve.outputs.face import Face

VALUES = np.random.default_rng(0).random(52).astype(np.float32)
FACE = Face(ARKIT_BLENDSHAPES, VALUES, 2.5, 30.0, (3.6, -1.8, 0.9))
DEVICE = str(uuid.UUID(int=1)).upper()


def test_a_live_link_packet_byte_by_byte():
    packet = live_link.encode(FACE, DEVICE, "Bilabial", 3600.25)
    assert packet[:5] == b"\x06\0\0\0\x24"  # version 6, 36 characters; "$" for those who read it so
    assert packet[5:41] == DEVICE.encode()
    assert packet[41:53] == b"\0\0\0\x08Bilabial"
    assert struct.unpack("!if", packet[53:61]) == (108007, 0.5)  # 3600.25 s of 30 fps
    assert struct.unpack("!ii", packet[61:69]) == (30, 1)
    assert packet[69] == 61 and len(packet) == 70 + 61 * 4
    values = struct.unpack("!61f", packet[70:])
    np.testing.assert_array_equal(np.float32(values[:52]), VALUES)
    np.testing.assert_allclose(values[52:], [-0.02, 0.01, -0.005] + [0] * 6, atol=1e-7)


@pytest.mark.parametrize(
    ("fps", "rate"), [(29.97, (2997, 100)), (30000 / 1001, (30000, 1001)), (60, (60, 1))]
)
def test_live_link_frame_rates(fps, rate):
    packet = live_link.encode(Face(ARKIT_BLENDSHAPES, VALUES, 0, fps), DEVICE, "B", 0)
    assert struct.unpack("!ii", packet[54:62]) == rate


def test_another_reader_of_live_link_packets():
    found, face = PyLiveLinkFace.decode(live_link.encode(FACE, DEVICE, "Zoë", 12.5))
    assert found and face.name == "Zoë" and face.uuid == f"${DEVICE}" and face.fps == 30
    for name, value in zip(ARKIT_BLENDSHAPES, VALUES, strict=True):
        assert face.get_blendshape(FaceBlendShape[name[0].upper() + name[1:]]) == pytest.approx(value)
    turns = [face.get_blendshape(FaceBlendShape[f"Head{turn}"]) for turn in ("Yaw", "Pitch", "Roll")]
    assert turns == pytest.approx([-0.02, 0.01, -0.005])


def osc(datagram: bytes) -> list[tuple]:
    """(address, values) of the messages in a datagram."""
    _, messages = read_bundle(datagram)
    return [(address, values) for address, _, values, _ in messages]


def test_another_reader_of_vmc_messages():
    datagrams = vmc.encode(FACE)
    assert all(datagram.startswith(b"#bundle\0") and len(datagram) < 1400 for datagram in datagrams)
    messages = [message for datagram in datagrams for message in osc(datagram)]
    assert len(messages) == 53
    assert messages[-1] == (b"/VMC/Ext/Blend/Apply", [])
    curves = {values[0].decode(): values[1] for address, values in messages[:-1]}
    assert {address for address, _ in messages[:-1]} == {b"/VMC/Ext/Blend/Val"}
    assert list(curves) == [name[0].upper() + name[1:] for name in ARKIT_BLENDSHAPES]
    np.testing.assert_allclose(list(curves.values()), VALUES, atol=1e-6)


def parse_ifacialmocap(text: str) -> tuple[dict[str, int], dict[str, list[float]]]:
    """By the description for developers: values to the "=", rotations behind it."""
    shapes, bones = text.split("=")
    curves = dict(part.rsplit("-", 1) for part in shapes.strip("|").split("|"))
    rotations = dict(part.split("#") for part in bones.strip("|").split("|"))
    return (
        {name: int(value) for name, value in curves.items()},
        {name: list(map(float, value.split(","))) for name, value in rotations.items()},
    )


# the example on ifacialmocap.com/for-developer, shortened to its names
NAMES = """
    mouthSmile_R eyeLookOut_L mouthUpperUp_L eyeWide_R mouthClose mouthPucker mouthRollLower eyeBlink_R
    eyeLookDown_L cheekSquint_R eyeBlink_L tongueOut jawRight eyeLookIn_R cheekSquint_L mouthDimple_L
    mouthPress_L eyeSquint_L mouthRight mouthShrugLower eyeLookUp_R eyeLookOut_R mouthPress_R cheekPuff
    jawForward mouthLowerDown_L mouthFrown_L mouthShrugUpper browOuterUp_L browInnerUp mouthDimple_R
    browDown_R mouthUpperUp_R mouthRollUpper mouthFunnel mouthStretch_R mouthFrown_R eyeLookDown_R jawOpen
    jawLeft browDown_L mouthSmile_L noseSneer_R mouthLowerDown_R noseSneer_L eyeWide_L mouthStretch_L
    browOuterUp_R eyeLookIn_L eyeSquint_R eyeLookUp_L mouthLeft
"""


def test_the_text_of_ifacialmocap():
    text = ifacialmocap.encode(FACE).decode("ascii")
    assert text.count("=") == 1 and text.endswith("|")
    curves, rotations = parse_ifacialmocap(text)
    assert set(curves) == set(NAMES.split())
    assert curves["jawOpen"] == round(100 * FACE.arkit()["jawOpen"])
    assert curves["mouthSmile_R"] == round(100 * FACE.arkit()["mouthSmileRight"])
    assert [len(rotations[name]) for name in ("head", "rightEye", "leftEye")] == [6, 3, 3]
    down = {"eyeLookDownLeft": 0.17, "eyeLookInLeft": 0.04}  # of that example, which has 6.03 and -1.67
    look = Face(list(down), np.array(list(down.values()), np.float32), 0, 30)
    left = parse_ifacialmocap(ifacialmocap.encode(look).decode())[1]["leftEye"]
    np.testing.assert_allclose(left, [6.0, -1.5, 0], atol=0.3)


@pytest.mark.parametrize("kind", ["live_link", "vmc", "ifacialmocap"])
def test_faces_arrive(kind):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        (output,) = open_outputs(**{kind: [f"127.0.0.1:{receiver.getsockname()[1]}"]})
        output.send(FACE)
        start = {"live_link": b"\x06\0\0\0", "vmc": b"#bundle", "ifacialmocap": b"eyeBlink_L-"}[kind]
        assert receiver.recv(65536).startswith(start)
        output.close()


def test_a_face_of_few_names_has_all_of_them():
    curves = Face(["jawOpen"], np.array([0.5], np.float32), 0, 30).arkit()
    assert list(curves) == list(ARKIT_BLENDSHAPES)
    assert sum(curves.values()) == curves["jawOpen"] == 0.5


def test_the_head_of_live_outputs_moves_as_in_clips():
    heads = np.array([moving_head(frame / 30) for frame in range(30 * 120)])
    assert not heads[0].any() and not heads[1800].any()
    np.testing.assert_allclose(heads[:1800], heads[1800:], atol=1e-9)
    assert (np.abs(heads).max(axis=0) > 2).all() and np.abs(heads).max() < 15  # degrees
    assert np.abs(np.diff(heads, axis=0)).max() < 2.0


ADDRESSES = {
    "127.0.0.1:39540": ("127.0.0.1", 39540), "127.0.0.1": ("127.0.0.1", 1), ":5": ("127.0.0.1", 5),
    "8767": ("127.0.0.1", 8767), "my-pc": ("my-pc", 1), "[::1]:7": ("::1", 7),
}  # fmt: skip


@pytest.mark.parametrize(("text", "address"), ADDRESSES.items())
def test_addresses(text, address):
    assert parse_address(text, 1) == address


@pytest.mark.parametrize("text", ["", "host:", "host:port", "host:0", "host:70000", "a b:1", "host:-1"])
def test_addresses_that_are_none(text):
    with refused("output_address", got=repr(text)):
        parse_address(text, 1)
