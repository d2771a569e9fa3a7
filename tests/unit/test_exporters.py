import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.avatars import glb_bytes
from support.errors import refused

from bilabial.app.npm import NPM_FOLDER
from bilabial.app.player import HEAD
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.exporters import read_glb, to_glb, to_json, write_glb

VALIDATE = """
const [folder, ...files] = process.argv.slice(1);
const validator = require(`${folder}/gltf-validator`), fs = require("fs");
const read = (file) => validator.validateBytes(new Uint8Array(fs.readFileSync(file)));
Promise.all(files.map(read)).then((all) => console.log(JSON.stringify(all.map(({ issues }) => issues))));
"""
TARGETS = ["tongueOut", "jawOpen", "somethingElse", "mouthClose"]


def clip(num_frames: int = 30) -> FaceClip:
    values = np.random.default_rng(0).random((num_frames, 52)).astype(np.float32)
    return FaceClip(ARKIT_BLENDSHAPES, values, 30.0)


@pytest.fixture
def head(tmp_path) -> Path:
    """Two triangles with morph targets, on three nodes, and an odd number of bytes before the animation."""
    corners = np.zeros((3, 3), np.float32)
    binary = corners.tobytes() + b"\1"
    view = {"buffer": 0, "byteOffset": 0, "byteLength": 36}
    accessor = {"bufferView": 0, "componentType": 5126, "type": "VEC3", "count": 3}
    accessor |= {"min": [0, 0, 0], "max": [0, 0, 0]}
    triangle = {"attributes": {"POSITION": 0}, "targets": [{"POSITION": 0}] * len(TARGETS)}
    named = {"primitives": [triangle], "weights": [0] * len(TARGETS), "extras": {"targetNames": TARGETS}}
    still = {"primitives": [{"attributes": {"POSITION": 0}}]}
    scene = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0, 1, 2]}],
        "nodes": [{"mesh": 0}, {"mesh": 1}, {"mesh": 0}], "meshes": [named, still],
        "accessors": [accessor], "bufferViews": [view],
    }  # fmt: skip
    return write_glb(tmp_path / "head.glb", scene, binary)


def numbers(scene: dict, binary: bytes, accessor: int) -> np.ndarray:
    entry = scene["accessors"][accessor]
    view = scene["bufferViews"][entry["bufferView"]]
    assert view["byteOffset"] % 4 == 0 and entry["componentType"] == 5126 and entry["type"] == "SCALAR"
    return np.frombuffer(binary, np.float32, entry["count"], view["byteOffset"])


def test_json(tmp_path):
    written = json.loads(to_json(clip(), tmp_path / "face.json").read_text())
    assert written["names"] == list(ARKIT_BLENDSHAPES) == written["metadata"]["blendshape_names"]
    assert written["metadata"]["fps"] == 30 and written["metadata"]["frame_count"] == 30
    assert np.allclose([frame["weights"] for frame in written["frames"]], clip().values, atol=1e-6)
    assert np.allclose([frame["time"] for frame in written["frames"]], clip().times, atol=1e-6)


def test_an_animated_head(head, tmp_path):
    path = to_glb(clip(), tmp_path / "speech.glb", head)
    assert struct.unpack("<4sII", path.read_bytes()[:12]) == (b"glTF", 2, path.stat().st_size)
    scene, binary = read_glb(path)
    assert scene["buffers"] == [{"byteLength": len(binary)}]
    (animation,) = scene["animations"]
    assert [channel["target"] for channel in animation["channels"]] == [
        {"node": 0, "path": "weights"}, {"node": 2, "path": "weights"}
    ]  # fmt: skip
    sampler = animation["samplers"][animation["channels"][0]["sampler"]]
    times = numbers(scene, binary, sampler["input"])
    assert np.allclose(times, clip().times)
    bounds = scene["accessors"][sampler["input"]]
    assert bounds["min"] == [times[0]] and bounds["max"] == pytest.approx([times[-1]])
    weights = numbers(scene, binary, sampler["output"]).reshape(len(times), len(TARGETS))
    for column, name in enumerate(TARGETS):
        expected = clip()[name] if name in ARKIT_BLENDSHAPES else 0.0
        assert np.allclose(weights[:, column], expected), name


def test_the_head_is_left_as_it_was(head, tmp_path):
    before = head.read_bytes()
    to_glb(clip(), tmp_path / "speech.glb", head)
    assert head.read_bytes() == before
    once, _ = read_glb(to_glb(clip(5), tmp_path / "a.glb", head))
    twice, _ = read_glb(to_glb(clip(7), tmp_path / "b.glb", tmp_path / "a.glb"))
    assert len(once["animations"]) == 1 and len(twice["animations"]) == 2


def test_wrong_heads_are_sentences(head, tmp_path):
    nothing = tmp_path / "notes.glb"
    nothing.write_text("this is no head, but long enough")
    with refused("glb_other", path=nothing):
        to_glb(clip(), tmp_path / "x.glb", nothing)
    stranger = FaceClip(["cheekPuff"], np.zeros((3, 1)), 30)
    with refused("glb_shapes", path=head):
        to_glb(stranger, tmp_path / "x.glb", head)
    scene, binary = read_glb(head)
    elsewhere = {"byteLength": 4, "uri": "data:application/octet-stream;base64,AAAAAA=="}
    packed = write_glb(tmp_path / "packed.glb", scene, binary)
    glued = {**scene, "buffers": [*scene["buffers"], elsewhere]}
    text = json.dumps(glued, separators=(",", ":")).encode()
    packed.write_bytes(glb_bytes(text + b" " * (-len(text) % 4), binary))
    with refused("glb_buffers", path=packed):
        to_glb(clip(), tmp_path / "x.glb", packed)
    cut, size = tmp_path / "cut.glb", head.stat().st_size
    cut.write_bytes(head.read_bytes()[:-8])
    with refused("glb_cut", path=cut, count=size - 8, size=size):
        to_glb(clip(), tmp_path / "x.glb", cut)
    old = tmp_path / "old.glb"
    old.write_bytes(head.read_bytes()[:4] + struct.pack("<I", 1) + head.read_bytes()[8:])
    with refused("glb_other", path=old):
        to_glb(clip(), tmp_path / "x.glb", old)
    assert not (tmp_path / "x.glb").exists()


def test_odd_names_of_targets(head, tmp_path):
    """Extras may be anything, and more names than targets name nothing."""
    scene, binary = read_glb(head)
    scene["meshes"][1]["extras"] = None
    scene["meshes"][0]["extras"]["targetNames"] = [*TARGETS, "jawForward", None]
    odd = write_glb(tmp_path / "odd.glb", scene, binary)
    animated, data = read_glb(to_glb(clip(), tmp_path / "x.glb", odd))
    output = animated["animations"][0]["samplers"][0]["output"]
    assert len(numbers(animated, data, output)) == 30 * len(TARGETS)


@pytest.mark.parametrize("spelled", ["blendShape1.{}", "head__{}", "{}_", "upper"])
@pytest.mark.parametrize("in_primitives", [False, True])
def test_targets_in_other_spellings_move(head, tmp_path, spelled, in_primitives):
    """Also where VRM and older exporters name them: at the primitives of a mesh."""
    scene, binary = read_glb(head)
    mesh = scene["meshes"][0]
    names = [name.upper() if spelled == "upper" else spelled.format(name) for name in TARGETS]
    mesh["extras"]["targetNames"] = [*names[:2], "eyeBlink_L", "MouthSmile_R"]
    if in_primitives:
        mesh["primitives"][0]["extras"] = mesh.pop("extras")
    other = write_glb(tmp_path / "other.glb", scene, binary)
    animated, data = read_glb(to_glb(clip(), tmp_path / "x.glb", other))
    output = animated["animations"][0]["samplers"][0]["output"]
    weights = numbers(animated, data, output).reshape(30, 4)
    for column, name in enumerate(["tongueOut", "jawOpen", "eyeBlinkLeft", "mouthSmileRight"]):
        assert np.allclose(weights[:, column], clip()[name]), name


def test_khronos_validator_finds_nothing_wrong(tmp_path):
    """The embedded head, and one with a clip in it; a broken one is found."""
    if not shutil.which("node") or not (NPM_FOLDER / "gltf-validator").is_dir():
        pytest.skip("gltf-validator is not installed (make test does, with npm)")
    broken = tmp_path / "broken.glb"
    scene, binary = read_glb(HEAD)
    scene["accessors"][0]["count"] += 10**6
    files = [HEAD, to_glb(clip(), tmp_path / "speech.glb", HEAD), write_glb(broken, scene, binary)]
    command = ["node", "-e", VALIDATE, str(NPM_FOLDER), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = [(one["numErrors"], one["numWarnings"]) for one in json.loads(done.stdout)]
    assert found[:2] == [(0, 0), (0, 0)] and found[2][0] > 0
