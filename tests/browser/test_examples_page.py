"""examples/page.html in a browser: a file is chosen, its face is drawn in time with its sound."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from support.paths import EXAMPLE, ROOT

from bilabial.animator import Animator
from bilabial.app.npm import NPM_FOLDER
from bilabial.io.audio import encode_wav, load_audio
from bilabial.serve.app import Settings, build_app
from bilabial.serve.run import BackgroundServer

CDN = "https://cdn.jsdelivr.net/npm/"


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def files() -> int:
    """The checkout, as `python -m http.server` serves it; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Files, directory=str(ROOT)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()


def from_npm(route) -> None:
    """What the page takes from the CDN, as npm installed it: any version will do."""
    name, _, path = route.request.url.removeprefix(CDN).partition("@")
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
        page.goto(f"http://127.0.0.1:{files}/examples/page.html?server=ws://127.0.0.1:{server.port}")
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
