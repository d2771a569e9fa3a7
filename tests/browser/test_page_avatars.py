"""Avatars of other programs on the page in a real browser: names, compression, damage, memory."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from support.avatars import glb_bytes, turned_vrm
from support.browsing import found_in, need_npm

from bilabial import ARKIT_BLENDSHAPES, FaceClip
from bilabial.app.npm import DECODERS, NPM_FOLDER
from bilabial.app.player import HEAD, write_page
from bilabial.io.exporters import read_glb
from tools.chromium import CHROMIUM
from tools.make_head.glb import PIVOT, read_mesh

pytestmark = pytest.mark.slow

# Counts the textures that WebGL holds.
COUNT_TEXTURES = """
window.textures = 0;
for (const [name, step] of [["createTexture", 1], ["deleteTexture", -1]]) {
  const plain = WebGL2RenderingContext.prototype[name];
  WebGL2RenderingContext.prototype[name] = function (...given) {
    if (step > 0 || given[0]) window.textures += step;
    return plain.apply(this, given);
  };
}"""
POINTS = np.array([[-0.1, -0.1, 0], [0.1, -0.1, 0], [0, 0.1, 0], [0.1, 0.1, 0.1]], "<f4")
FACES = np.array([[0, 1, 2], [1, 3, 2]], "<u2")


@pytest.fixture(scope="module")
def page(browser, tmp_path_factory):
    """A page to send, which needs no server; what it takes from jsDelivr comes from the installed package."""
    if not CHROMIUM:
        pytest.skip("no chromium found (apt-get install chromium)")
    clip, folder = FaceClip(ARKIT_BLENDSHAPES, np.zeros((30, 52)), 30), tmp_path_factory.mktemp("page")
    write_page(clip, np.zeros(16000, np.float32), folder / "face.html")
    with browser.new_context(viewport={"width": 600, "height": 500}) as context:
        page = context.new_page()
        page.set_default_timeout(120000)
        page.add_init_script(COUNT_TEXTURES)
        page.route("https://cdn.jsdelivr.net/**", serve_package)
        page.goto((folder / "face.html").as_uri())
        page.wait_for_function("document.querySelector('.bilabial-message')?.textContent === ''")
        yield page


# Where an avatar's vertex and its head's bone are, with a head turned by angles.
POSE = """async ([bytes, names, angles, vertex]) => {
  const spellings = Object.fromEntries(names.map((name) => [name.toLowerCase(), name]));
  const head = new bilabial.Head(document.createElement("canvas"), { spellings });
  const buffer = await (await fetch(`data:model/gltf-binary;base64,${bytes}`)).arrayBuffer();
  await head.load(buffer, names);
  head.pose(names, names.map(() => 0), angles);
  head.avatar.updateMatrixWorld(true);
  const mesh = head.avatar.getObjectByName("skin");
  mesh.skeleton?.update();
  const place = mesh.localToWorld(mesh.getVertexPosition(vertex, new bilabial.Vector3()));
  const turn = head.bone.node.getWorldQuaternion(head.bone.own.clone());
  head.dispose();
  return [place.toArray(), turn.toArray()];
}"""
ANGLES = (20.0, 10.0, -5.0)  # to the subject's left, up, and to the left
TURN = Rotation.from_euler("YXZ", [20, -10, -5], degrees=True)  # x to the subject's left, y up, z forward


def posed(page, path: Path, angles: tuple, vertex: int = 0) -> tuple[np.ndarray, Rotation]:
    content = base64.b64encode(path.read_bytes()).decode()
    place, turn = page.evaluate(POSE, [content, list(ARKIT_BLENDSHAPES), list(angles), vertex])
    return np.array(place), Rotation.from_quat(turn)


def test_the_head_turns_about_its_joint(page):
    skin = read_mesh(HEAD, "skin")
    nose, collar = int(skin.positions[:, 2].argmax()), int(skin.positions[:, 1].argmin())
    place, turn = posed(page, HEAD, ANGLES, nose)
    assert (turn * TURN.inv()).magnitude() < 1e-4
    assert np.allclose(place, TURN.apply(skin.positions[nose] - PIVOT) + PIVOT, atol=1e-5)
    assert place[0] > 0.02 + skin.positions[nose][0] and place[1] > skin.positions[nose][1]  # left and up
    assert np.allclose(posed(page, HEAD, ANGLES, collar)[0], skin.positions[collar], atol=1e-5)
    assert np.allclose(posed(page, HEAD, (0, 0, 0), nose)[0], skin.positions[nose], atol=1e-5)


@pytest.mark.parametrize("version", ["VRM", "VRMC_vrm"])
def test_bones_that_are_turned_at_rest_turn_about_the_subject(page, tmp_path, version):
    avatar, turns = turned_vrm(tmp_path / "a.vrm", read_mesh(HEAD, "skin"), version)
    facing = Rotation.from_euler("Y", 180 * (version == "VRM"), degrees=True)
    _, turn = posed(page, avatar, ANGLES)
    assert (turn * (TURN * facing * turns[0] * turns[1]).inv()).magnitude() < 1e-4


def serve_package(route) -> None:
    file = NPM_FOLDER / route.request.url.split("/npm/")[1].replace(f"@{DECODERS.version}", "")
    headers = {"Access-Control-Allow-Origin": "*"}
    if file.is_file():
        route.fulfill(body=file.read_bytes(), headers=headers)
    else:
        route.fulfill(status=404, headers=headers)


def write_glb(path: Path, tree: dict, binary: bytes) -> Path:
    """With the buffers that the tree names, which the package's own writer would replace."""
    text = json.dumps(tree).encode()
    path.write_bytes(glb_bytes(text + b" " * (-len(text) % 4), binary + bytes(-len(binary) % 4)))
    return path


def avatar(names: list[str], in_primitive: bool = False) -> tuple[dict, bytes]:
    """Tree and buffer of two triangles with a morph target for each name."""
    views = [POINTS.tobytes(), FACES.tobytes(), *[(0.1 * POINTS).tobytes()] * len(names)]
    starts = np.cumsum([0, *(len(view) + -len(view) % 4 for view in views)])
    accessor = {"componentType": 5126, "count": len(POINTS), "type": "VEC3"}
    bounds = {"min": POINTS.min(0).tolist(), "max": POINTS.max(0).tolist()}
    primitive = {"attributes": {"POSITION": 0}, "indices": 1,
                 "targets": [{"POSITION": 2 + k} for k in range(len(names))]}  # fmt: skip
    mesh = {"primitives": [primitive]}
    (primitive if in_primitive else mesh)["extras"] = {"targetNames": names}
    tree = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [mesh],
        "accessors": [
            accessor | bounds | {"bufferView": 0},
            {"componentType": 5123, "count": FACES.size, "type": "SCALAR", "bufferView": 1},
            *(accessor | bounds | {"bufferView": 2 + k} for k in range(len(names))),
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": int(start), "byteLength": len(view)}
            for start, view in zip(starts, views, strict=False)
        ],
        "buffers": [{"byteLength": int(starts[-1])}],
    }  # fmt: skip
    return tree, b"".join(view + bytes(-len(view) % 4) for view in views)


def with_draco(tree: dict, binary: bytes) -> tuple[dict, bytes]:
    draco = pytest.importorskip("DracoPy", reason="DracoPy is not installed")
    coded = draco.encode(POINTS, FACES.astype(np.uint32), preserve_order=True, quantization_bits=14)
    start = len(binary)
    tree["bufferViews"].append({"buffer": 0, "byteOffset": start, "byteLength": len(coded)})
    tree["buffers"][0]["byteLength"] = start + len(coded)
    for accessor in tree["accessors"][:2]:
        del accessor["bufferView"]
    view = len(tree["bufferViews"]) - 1
    extension = {"KHR_draco_mesh_compression": {"bufferView": view, "attributes": {"POSITION": 0}}}
    tree["meshes"][0]["primitives"][0]["extensions"] = extension
    tree["extensionsUsed"] = tree["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    return tree, binary + coded


def meshopt_coded(values: np.ndarray) -> bytes:
    """Vertices (N, stride) uint8, N up to 16, as meshoptimizer's vertex codec, version 0, writes them.

    EXT_meshopt_compression of the Khronos Group, appendix A: deltas of each byte, here all raw.
    """
    first = values[0]
    deltas = (
        np.diff(np.concatenate([first[None], values]).astype(np.int16), axis=0)
        .astype(np.int8)
        .astype(np.int16)
    )
    coded = np.where(deltas < 0, -2 * deltas - 1, 2 * deltas).astype(np.uint8)
    padded = np.pad(coded, ((0, 16 - len(coded)), (0, 0)))
    groups = b"".join(b"\x03" + column.tobytes() for column in padded.T)
    return b"\xa0" + groups + bytes(max(0, 32 - len(first))) + first.tobytes()


def with_meshopt(tree: dict, binary: bytes) -> tuple[dict, bytes]:
    coded = meshopt_coded(POINTS.view(np.uint8).reshape(len(POINTS), -1))
    tree["bufferViews"][0]["extensions"] = {
        "EXT_meshopt_compression": {
            "buffer": 0, "byteOffset": len(binary), "byteLength": len(coded), "byteStride": 12,
            "count": len(POINTS), "mode": "ATTRIBUTES",
        }
    }  # fmt: skip
    tree["bufferViews"][0]["buffer"] = 1
    tree["buffers"] = [
        {"byteLength": len(binary) + len(coded)},
        {"byteLength": POINTS.nbytes, "extensions": {"EXT_meshopt_compression": {"fallback": True}}},
    ]
    tree["extensionsUsed"] = tree["extensionsRequired"] = ["EXT_meshopt_compression"]
    return tree, binary + coded


def choose_avatar(page, path: Path) -> str:
    """Gives the page an avatar; returns what it says of it."""
    page.evaluate("document.querySelector('.bilabial-message').textContent = ''")
    page.set_input_files(".bilabial-avatar", str(path))
    page.wait_for_function("document.querySelector('.bilabial-message').textContent !== ''")
    return page.locator(".bilabial-message").text_content()


def test_names_are_matched_as_in_python(page, tmp_path):
    names = ["JawOpen", "blendShape1.mouthFunnel", "eyeBlink_L", "head__mouthPucker", "brow_inner_up",
             "left smile", "jawOpen_mouthClose", "constructor"]  # fmt: skip
    said = choose_avatar(page, write_glb(tmp_path / "a.glb", *avatar(names)))
    assert found_in("a.glb", 5).search(said)
    assert "mouthClose" in said and "eyeBlinkRight" in said and "browInnerUp" not in said
    said = choose_avatar(
        page, write_glb(tmp_path / "b.vrm", *avatar(["jawOpen", "TongueOut"], in_primitive=True))
    )
    assert found_in("b.vrm", 2).search(said)


def test_compressed_avatars_are_read(page, tmp_path):
    need_npm(DECODERS)
    for name, compress in (("meshopt", with_meshopt), ("draco", with_draco)):
        path = write_glb(tmp_path / f"{name}.glb", *compress(*avatar(["jawOpen", "mouthClose"])))
        assert found_in(f"{name}.glb", 2).search(choose_avatar(page, path)), name


def test_a_decoder_that_is_not_to_be_had_is_said(page, tmp_path):
    page.route("https://cdn.jsdelivr.net/**", abort := lambda route: route.abort())
    path = write_glb(tmp_path / "m.glb", *with_draco(*avatar(["jawOpen"])))
    said = choose_avatar(page, path)
    page.unroute("https://cdn.jsdelivr.net/**", abort)
    assert said.startswith(
        "m.glb cannot be used as an avatar: it is compressed, and its decoder could not be loaded"
    )


def test_other_files_get_our_sentence(page, tmp_path):
    tree, binary = avatar(["jawOpen"])
    whole = write_glb(tmp_path / "whole.glb", tree, binary).read_bytes()
    damaged = "it is damaged, or parts of it lie in other files"
    elsewhere = tree | {"buffers": [tree["buffers"][0] | {"uri": "other.bin"}]}
    textured = tree | {"extensionsRequired": ["KHR_texture_basisu"]}
    files = {
        "empty.glb": (b"", "it is no GLB or VRM file"),
        "model.fbx.glb": (b"Kaydara FBX Binary  \x00\x1a\x00" + bytes(100), "it is no GLB or VRM file"),
        "old.glb": (whole[:4] + b"\x01" + whole[5:], "it is a GLB file of version 1; version 2 is accepted"),
        "cut.glb": (whole[: len(whole) // 2], damaged),
        "short.glb": (whole[:60], damaged),
        "elsewhere.glb": (write_glb(tmp_path / "x", elsewhere, b"").read_bytes(), damaged),
        "basis.glb": (
            write_glb(tmp_path / "x", textured, binary).read_bytes(),
            "it needs KHR_texture_basisu, which this page cannot read",
        ),
    }
    for name, (content, sentence) in files.items():
        (tmp_path / name).write_bytes(content)
        assert choose_avatar(page, tmp_path / name) == f"{name} cannot be used as an avatar: {sentence}."


def test_textures_of_a_former_avatar_are_freed(page, tmp_path):
    tree, _ = read_glb(HEAD)
    count = len(tree["textures"])
    page.wait_for_function("document.querySelector('.bilabial-canvas').dataset.time")  # drawn
    assert found_in("head.glb", 52).search(choose_avatar(page, HEAD))
    page.evaluate("delete document.querySelector('.bilabial-canvas').dataset.time")
    page.evaluate("document.querySelector('[data-view=profile]').click()")
    page.wait_for_function("document.querySelector('.bilabial-canvas').dataset.time")
    held = page.evaluate("window.textures")
    choose_avatar(page, write_glb(tmp_path / "plain.glb", *avatar(["jawOpen"])))
    page.wait_for_function(f"window.textures <= {held - count}")
