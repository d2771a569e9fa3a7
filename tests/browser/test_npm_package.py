"""The npm package as a stranger uses it: packed and installed, the README's page and its Node script."""

import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from support.media import write_wav
from support.paths import ROOT

from bilabial.app.npm import NPM_FOLDER
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.runtime.animator import OnnxAnimator
from tools.chromium import BROWSER_FLAGS, CHROMIUM

pytestmark = pytest.mark.slow
JAW = ARKIT_BLENDSHAPES.index("jawOpen")
README = (ROOT / "js" / "README.md").read_text()
NAMES = ["BilabialStream", "Microphone", "Resampler", "Timeline"]


class Files(SimpleHTTPRequestHandler):
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm",
    }  # fmt: skip

    def log_message(self, *_: object) -> None:
        """Nothing."""


def snippet(language: str) -> str:
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)[1]


def run(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(onnx_folder, tmp_path_factory) -> Path:
    """An empty folder in which the package was installed, without a network, and a model."""
    runtime = NPM_FOLDER / "onnxruntime-web"
    if not shutil.which("npm") or not runtime.is_dir():
        pytest.skip("npm or npm's onnxruntime-web is missing (make test installs it)")
    folder = tmp_path_factory.mktemp("project")
    packed = run(folder, "npm", "pack", ROOT / "js", "--silent").strip()
    assert packed in README
    run(folder, "npm", "init", "--yes")
    # the runtime that is there instead of npm's registry
    run(folder, "npm", "install", "--offline", "--legacy-peer-deps", "--no-audit", "--no-fund", f"./{packed}")
    (folder / "node_modules" / "onnxruntime-web").symlink_to(runtime)
    (folder / "model").symlink_to(onnx_folder)
    return folder


@pytest.fixture(scope="module")
def wanted(onnx_folder, speech) -> np.ndarray:
    """Frames of Python."""
    stream = OnnxAnimator(onnx_folder, "int8", num_threads=1).stream(motion=())
    return np.concatenate([stream.feed(speech), stream.finish()])


def test_the_node_script_of_the_readme(project, speech, wanted):
    """Its lips are those of Python; blinks, gaze and breath are anywhere in their minute."""
    speech.astype("<f4").tofile(project / "speech.f32")
    (project / "animate.mjs").write_text(snippet("js"))
    run(project, "node", "animate.mjs")
    given = json.loads((project / "frames.json").read_text())
    frames = np.array(given["frames"])
    assert given["names"] == list(ARKIT_BLENDSHAPES) and given["fps"] == 30
    assert frames.shape == wanted.shape and np.ptp(wanted[:, JAW]) > 0.15
    assert np.corrcoef(frames[:, JAW], wanted[:, JAW])[0, 1] > 0.99


def test_node_and_browser_have_the_same_names_and_sentences(project):
    """The type declarations name them too."""
    (project / "misuse.mjs").write_text("""
        import * as bilabial from "bilabial";
        const { BilabialStream, Microphone } = bilabial;
        const model = new URL("./model/", import.meta.url);
        const stream = await BilabialStream.create({ model });
        const failure = (call) => call.then(() => "", (error) => error.message);
        const told = [await failure(stream.feed([0, 1]))];
        stream.close();
        told.push(await failure(stream.feed(new Float32Array(320))));
        told.push(await failure(BilabialStream.create({ model: "./nowhere" })));
        told.push(await failure(BilabialStream.create({ model: "./model", runtime: "./nowhere.mjs" })));
        told.push(await failure(Microphone.open(() => {})));
        console.log(JSON.stringify({ names: Object.keys(bilabial).sort(), told }));
    """)
    given = json.loads(run(project, "node", "misuse.mjs"))
    assert given["names"] == NAMES
    patterns = [
        "Float32Array.* Array$",
        "closed",
        "/nowhere/bilabial.json .*ENOENT",
        "onnxruntime-web",
        "https",
    ]
    for pattern, sentence in zip(patterns, given["told"], strict=True):
        assert re.search(pattern, sentence), sentence
    package = project / "node_modules" / "bilabial"
    for name in NAMES:
        assert f"export class {name}" in (package / "index.d.ts").read_text()
        assert name in (package / "src" / "index.js").read_text()


def test_the_page_of_the_readme(project, speech, tmp_path):
    """The avatar's jaw moves with the sound of a microphone."""
    if not CHROMIUM:
        pytest.skip("no chromium found (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    (project / "index.html").write_text(f"<!doctype html><title>Face</title>{snippet('html')}")
    microphone = write_wav(tmp_path / "speech.wav", speech, 16000)
    flags = [*BROWSER_FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(project)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script(
            "window.jaw = []; window.pose = (name, value) => name === 'jawOpen' && jaw.push(value);"
        )
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("Math.max(...jaw) - Math.min(...jaw) > 0.15")
        assert errors == []
        browser.close()
    server.shutdown()
    server.server_close()
