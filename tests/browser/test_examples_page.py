"""The examples of web pages in a browser: a face is drawn in time with its sound; a VRM avatar says it."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.avatars import perfect_sync_vrm
from support.paths import EXAMPLE, ROOT
from websockets.sync.client import connect

from bilabial.animator import Animator
from bilabial.app.npm import NPM_FOLDER
from bilabial.io.audio import encode_wav, load_audio
from bilabial.io.exporters import HEAD
from bilabial.serve.app import Settings, build_app
from bilabial.serve.protocol import unpack_frames
from bilabial.serve.run import BackgroundServer
from tools.file_server import serve_folder
from tools.make_head.glb import read_mesh

CDN = "https://cdn.jsdelivr.net/npm/"


@pytest.fixture(scope="module")
def files() -> str:
    """The address of the checkout, as `python -m http.server` serves it."""
    with serve_folder(ROOT) as address:
        yield address


def from_npm(route) -> None:
    """What the page takes from the CDN, as npm installed it: any version will do."""
    name, _, path = route.request.url.removeprefix(CDN).rpartition("@")  # names may begin with @
    file = NPM_FOLDER / name / path.partition("/")[2]
    route.fulfill(path=file, content_type="text/javascript")


def test_a_file_is_played_with_its_face(browser, files, tmp_path):
    if not (NPM_FOLDER / "three" / "build" / "three.module.js").is_file():
        pytest.skip("three.js is not installed (make test does, with npm)")
    wav = tmp_path / "speech.wav"
    sound = load_audio(EXAMPLE)[8000:40000]
    wav.write_bytes(encode_wav(sound))
    animator = Animator.from_pretrained()
    with BackgroundServer(build_app(lambda: animator, Settings(num_threads=1))) as server:
        page = browser.new_page(viewport={"width": 200, "height": 150})
        page.set_default_timeout(120_000)
        page.route(f"{CDN}**", from_npm)
        page.goto(f"{files}/examples/page.html?server=ws://127.0.0.1:{server.port}")
        page.wait_for_function("window.example")
        page.set_input_files("input", Path(wav))
        page.wait_for_function("window.example.frames().length === 60")
        page.wait_for_function("window.example.clock() > 0.4")
        drawn = page.evaluate(READ_JAW)
        page.wait_for_function("window.example.clock() > 2.1")
        last = page.evaluate(READ_JAW)
        jaws = page.evaluate("window.example.frames().map(([seconds, values]) => [seconds, values[17]])")
        page.close()
    stream = animator.stream(motion=(), seed=0)
    expected = np.concatenate([stream.feed(sound), stream.finish()])[:, stream.names.index("jawOpen")]
    assert stream.names[17] == "jawOpen"
    np.testing.assert_allclose(np.array(jaws)[:, 0], np.arange(60) * 16000 // 30 / 16000, atol=1e-6)
    np.testing.assert_allclose(np.array(jaws)[:, 1], expected, atol=0.02)  # breath
    for seconds, jaw in (drawn, last):  # the frame of that moment, or one that was drawn shortly before
        near = np.array(jaws)[(np.array(jaws)[:, 0] <= seconds) & (np.array(jaws)[:, 0] > seconds - 1.0)]
        assert np.abs((near if len(near) else np.array(jaws[-1:]))[:, 1] - jaw).min() < 1e-6


READ_JAW = """() => {
    let jaw = null;
    window.example.head.traverse((mesh) => {
        const place = mesh.morphTargetDictionary?.jawOpen;
        if (place !== undefined) jaw = mesh.morphTargetInfluences[place];
    });
    return [window.example.clock(), jaw];
}"""


def test_a_vrm_avatar_says_what_the_server_says(browser, files, tmp_path):
    for package in ("three", "@pixiv/three-vrm"):
        if not (NPM_FOLDER / package / "package.json").is_file():
            pytest.skip(f"{package} is not installed (make test does, with npm)")
    avatar = perfect_sync_vrm(tmp_path / "avatar.vrm", read_mesh(HEAD, "skin"), ("jawOpen", "mouthClose"))
    sound = (load_audio(EXAMPLE)[8000:32000] * 32767).astype("<i2").tobytes()
    animator = Animator.from_pretrained()
    with BackgroundServer(build_app(lambda: animator, Settings(num_threads=1))) as server:
        page = browser.new_page(viewport={"width": 200, "height": 150})
        page.set_default_timeout(120_000)
        page.route(f"{CDN}**", from_npm)
        address = f"ws://127.0.0.1:{server.port}"
        page.goto(f"{files}/examples/vrm.html?server={address}")
        page.wait_for_function("window.example")
        page.set_input_files("input", avatar)
        page.wait_for_function("window.example.avatar()")
        page.evaluate(RECORD_JAW)
        with connect(f"{address}/v1/stream", open_timeout=60, max_size=None) as client:
            client.send(json.dumps({"type": "start", "sampling_rate": 16000, "motion": []}))
            names = json.loads(client.recv(timeout=60))["names"]
            client.send(sound)
            client.send(json.dumps({"type": "end"}))
            parts = [unpack_frames(message).values for message in client if isinstance(message, bytes)]
        jaws = np.concatenate(parts)[:, names.index("jawOpen")]
        page.wait_for_function(f"Math.abs(window.jaws.at(-1) - {jaws[-1]}) < 1e-3")  # the last face stays
        drawn = np.array(page.evaluate("window.jaws"))
        assert page.evaluate("document.querySelector('output').value") == ""
        page.close()
    assert len(jaws) == 45 and np.ptp(drawn) > 0.05
    moving = drawn[drawn > jaws.min() + 0.02]
    assert np.abs(moving[:, None] - jaws[None]).min(axis=1).max() < 1e-3  # each is one of the server's


RECORD_JAW = """() => {
    let [mesh, place] = [null, null];
    window.example.avatar().scene.traverse((node) => {
        place ??= node.morphTargetDictionary?.jawOpen;
        mesh ??= node.morphTargetDictionary ? node : null;
    });
    window.jaws = [];
    setInterval(() => window.jaws.push(mesh.morphTargetInfluences[place]), 10);
}"""
