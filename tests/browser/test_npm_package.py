"""The npm package as a stranger uses it: packed and installed, the README's page and its Node script."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.media import write_wav
from support.paths import ROOT

from bilabial.app.npm import NPM_FOLDER
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.runtime.animator import OnnxAnimator
from tools.chromium import BROWSER_FLAGS, CHROMIUM
from tools.file_server import serve_folder

pytestmark = pytest.mark.slow
JAW = ARKIT_BLENDSHAPES.index("jawOpen")
README = (ROOT / "js" / "README.md").read_text()
NAMES = ["BilabialError", "BilabialStream", "HeadMotion", "Microphone", "Resampler", "Timeline"]


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


@pytest.fixture
def open_page(project, speech, tmp_path):
    """open_page(html, script): a page of the project whose microphone hears speech; script runs first."""
    if not CHROMIUM:
        pytest.skip("no chromium found (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    microphone = write_wav(tmp_path / "speech.wav", speech, 16000)
    flags = [*BROWSER_FLAGS, f"--use-file-for-fake-audio-capture={microphone}"]
    with serve_folder(project) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = browser.new_page()
        page.set_default_timeout(120_000)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))

        def open_page(html: str, script: str = "") -> object:
            page.add_init_script(script)
            (project / "index.html").write_text(f"<!doctype html><title>Face</title>{html}")
            page.goto(address)
            return page

        yield open_page
        browser.close()


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


MISUSES = {
    "samples_kind": "stream.feed([0, 1])",
    "samples_finite": "stream.feed(new Float32Array([NaN]))",
    "emotion_name": "stream.setEmotion('hapy')",
    "emotion_share": "stream.setEmotion({ happy: -1 })",
    "emotion_kind": "stream.setEmotion(5)",
    "intensity_range": "stream.setEmotion('happy', 2)",
    "stream_finished": "stream.finish().then(() => stream.feed(new Float32Array(320)))",
    "stream_closed": "(stream.close(), stream.feed(new Float32Array(320)))",
    "style_name": "create({ style: 'clam' })",
    "style_amount": "create({ style: { calm: 2 } })",
    "style_kind": "create({ style: 5 })",
    "fps_range": "create({ fps: 0 })",
    "level_range": "create({ levelDb: NaN })",
    "motion_start": "create({ motionStart: -1 })",
    "precision_name": "create({ precision: 'int4' })",
    "model_missing": "create({ model: './nowhere' })",
    "model_address": "create({ model: 5 })",
    "model_format": "create({ model: './other' })",
    "runtime_missing": "create({ runtime: new URL('./nowhere.mjs', base).href })",
    "sampling_rate_range": "(async () => new Resampler(0))()",
    "piece_range": "Microphone.open(() => {}, { pieceSeconds: 0 })",
}
MISUSE = """
    const { BilabialStream, Microphone, Resampler } = bilabial;
    const create = (given) => BilabialStream.create({ model: "./model", ...given });
    const stream = await create();
    const codes = [];
    const codeOf = (call) => call.then(() => "none", (error) => error.code ?? `${error}`);
    const note = async (call) => codes.push(await codeOf(call));
"""


@pytest.fixture(scope="module")
def misuse(project) -> str:
    """JavaScript that does everything that MISUSES has, and notes the codes."""
    (project / "other").mkdir()
    (project / "other" / "bilabial.json").write_text("{}")
    return MISUSE + "".join(f"await note({call});\n" for call in MISUSES.values())


def test_node_tells_misuse_by_code(project, misuse):
    """The microphone, which Node has not, is refused too."""
    (project / "misuse.mjs").write_text(f"""
        import * as bilabial from "bilabial";
        const base = import.meta.url;
        {misuse}
        await note(Microphone.open(() => {{}}));
        console.log(JSON.stringify({{ names: Object.keys(bilabial).sort(), codes }}));
    """)
    given = json.loads(run(project, "node", "misuse.mjs"))
    assert given["names"] == NAMES
    assert given["codes"] == [*MISUSES, "microphone_insecure"]


def test_a_page_tells_misuse_by_code(project, misuse, open_page):
    """The same codes, though the model is in a Worker."""
    import_map = re.search(r"<script type=.importmap.*?</script>", README, re.DOTALL)[0]
    page = open_page(f"""{import_map}<script type="module">
        import * as bilabial from "bilabial";
        const base = document.baseURI;
        {misuse}
        Object.assign(window, {{ names: Object.keys(bilabial).sort(), codes }});
    </script>""")
    page.wait_for_function("window.codes")
    assert page.evaluate("names") == NAMES
    assert page.evaluate("codes") == list(MISUSES)


# sound of 20 s in pieces of 40 ms, two frames of each 10 to 40 ms later, pictures at 60 Hz; what comes while
# the page is busy comes afterwards
DRAWN = """
    import { Timeline } from "bilabial";
    const [busy, seconds, hz] = [JSON.parse(process.argv[2]), 20, 60];
    const timeline = new Timeline(50);
    const events = [];
    for (let end = 0.04, k = 0; end < seconds; end += 0.04, k++) {
        events.push([end, () => timeline.received(end, now)]);
        const values = Float32Array.of(2 * k, 2 * k + 1);
        const computed = end + 0.01 + 0.03 * Math.abs(Math.sin(9 * k));
        events.push([computed, () => timeline.receive({ count: 2, values })]);
    }
    const drawn = [];
    const draw = () => {
        const face = timeline.at(now);
        if (face) drawn.push([now, face.time, face.delay, face.values[0] / 50]);
    };
    for (let k = 0; k < seconds * hz; k++) events.push([k / hz, draw]);
    let now;
    const late = ([time, event]) => [busy && time > busy[0] && time < busy[1] ? busy[1] : time, event];
    for (const [time, event] of events.map(late).sort(([a], [b]) => a - b)) (now = time), event();
    const next = new Timeline(50, { start: 18, before: timeline });
    const waiting = [];
    for (let k = 0; k < 100; k++) {
        next.receive({ count: 1, values: Float32Array.of(900 + k) });
        const face = next.at(now);
        waiting.push(face && [face.time, face.values[0] / 50]);
    }
    console.log(JSON.stringify({ drawn, last: timeline.drawn, waiting }));
"""


@pytest.mark.parametrize("busy", [None, [1.0, 1.6]])
def test_faces_are_drawn_smoothly_and_in_time(project, busy):
    """A page that was busy for a while has no longer delay afterwards; new faces begin where others ended."""
    (project / "timeline.mjs").write_text(DRAWN)
    given = json.loads(run(project, "node", "timeline.mjs", json.dumps(busy)))
    clock, times, delays, faces = np.array(given["drawn"]).T
    np.testing.assert_allclose(faces, times, atol=1e-6)  # each face is the one of its time
    steady = clock > 3
    speeds = np.diff(times)[steady[1:]] / np.diff(clock)[steady[1:]]
    assert speeds.std() < 0.2 and (speeds > 0.2).mean() > 0.99
    assert delays[clock > 1.7].max() < 0.11
    shown = [face for face in given["waiting"] if face]
    assert 0 < len(shown) < len(given["waiting"]) and all(time >= given["last"] for time, _ in shown)
    np.testing.assert_allclose(*np.array(shown).T, atol=1e-6)


def test_declarations_name_what_there_is():
    """Every export, and every code that is thrown."""
    declared = (ROOT / "js" / "index.d.ts").read_text()
    assert sorted(re.findall(r"^export class (\w+)", declared, re.MULTILINE)) == NAMES
    listed = re.findall(r'"(\w+)"', re.search(r"type ErrorCode =(.*?);", declared, re.DOTALL)[1])
    source = "".join(path.read_text() for path in (ROOT / "js" / "src").glob("*.js"))
    thrown = re.findall(r'(?:BilabialError\(|code(?:: | = )|#fail\(|checkRange\()"(\w+)"', source)
    named = [f"{what}_{kind}" for what in ("emotion", "style") for kind in ("kind", "name")]
    assert sorted(listed) == sorted({*thrown, *named})


def test_the_page_of_the_readme(speech, open_page):
    """The avatar's jaw moves with the sound of a microphone."""
    page = open_page(
        snippet("html"),
        "window.jaw = []; window.pose = (name, value) => name === 'jawOpen' && jaw.push(value);"
        "window.turns = []; window.turn = (...degrees) => turns.push(degrees);",
    )
    page.wait_for_function("Math.max(...jaw) - Math.min(...jaw) > 0.15 && jaw.length > 60")
    turns = np.array(page.evaluate("turns"))
    assert turns.shape[1] == 3 and np.ptp(turns, axis=0).max() > 1 and np.abs(turns).max() < 15
    assert page.errors == []
