"""The static demo and its JavaScript in Chromium: the faces of Python, of a microphone too."""

import base64
import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.paths import EXAMPLE

from bilabial.head_motion import moving_head
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.audio import encode_wav, load_audio
from bilabial.runtime.animator import OnnxAnimator
from bilabial.runtime.settings import load_settings
from bilabial.streaming import STREAM_MOTIONS, draw_idle_motion
from tools.chromium import BROWSER_FLAGS, CHROMIUM
from tools.file_server import serve_folder
from tools.make_live import make_live, missing_packages

pytestmark = pytest.mark.slow
JAW = ARKIT_BLENDSHAPES.index("jawOpen")
HELPERS = """
window.decode = (text) =>
    new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
window.encode = (floats) => {
    const bytes = new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
};"""
WATCH = """() => {
    window.drawn = [];
    document.getElementById("motion").checked = false;
    const head = document.getElementById("head");
    head.addEventListener("bilabial-drawn", ({ detail }) => drawn.push(detail));
}"""
STREAM = """async ({sound, piece, options, change}) => {
    const { BilabialStream } = await import("bilabial");
    const stream = await BilabialStream.create({ model: "model", motion: false, ...options });
    const [samples, parts] = [decode(sound), []];
    for (let start = 0; start < samples.length; start += piece) {
        if (start === change) await stream.setEmotion("happy", 0.8);
        parts.push(await stream.feed(samples.slice(start, start + piece)));
    }
    parts.push(await stream.finish());
    stream.close();
    const firsts = parts.map(({ first }) => first);
    const values = Float32Array.from(parts.flatMap(({ values }) => Array.from(values)));
    return { values: encode(values), firsts, names: stream.names, delay: stream.delaySeconds };
}"""


@pytest.fixture(scope="module")
def server(onnx_folder, live_onnx_folder, tmp_path_factory):
    """The demo on a plain file server, which stop() ends earlier; the default model in default/."""
    if missing := missing_packages():
        pytest.skip(f"npm packages are missing: {', '.join(missing)} (make test installs them)")
    folder = make_live(tmp_path_factory.mktemp("demo"), live_onnx_folder)
    shutil.copytree(onnx_folder, folder / "default")
    with ExitStack() as running:
        address = running.enter_context(serve_folder(folder))
        yield SimpleNamespace(folder=folder, address=address, stop=running.close)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Its microphone plays the example in a loop."""
    if not CHROMIUM:
        pytest.skip("no chromium found (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    sound = tmp_path_factory.mktemp("microphone") / "speech.wav"
    sound.write_bytes(encode_wav(load_audio(EXAMPLE)))
    with sync_playwright() as playwright:
        flags = [*BROWSER_FLAGS, f"--use-file-for-fake-audio-capture={sound}"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(browser, server):
    """The demo, ready; page.errors: what it complained about."""
    with browser.new_context(viewport={"width": 400, "height": 400}, permissions=["microphone"]) as context:
        page = context.new_page()
        page.set_default_timeout(120_000)
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.add_init_script(HELPERS)
        page.goto(server.address)
        page.wait_for_selector("#microphone:not([disabled])")
        yield page
        assert page.errors == []


@pytest.fixture(scope="module")
def runners(onnx_folder, live_onnx_folder) -> dict[str, OnnxAnimator]:
    """By the folder that the demo has their model in."""
    folders = {"model": live_onnx_folder, "default": onnx_folder}
    return {name: OnnxAnimator(folder, "int8", num_threads=1) for name, folder in folders.items()}


def as_text(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def as_floats(text: str, width: int = 1) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(-1, width)


def pieces(stream, sound: np.ndarray, piece: int, change: int) -> np.ndarray:
    """The frames of Python, with the same change of emotion."""
    frames = []
    for start in range(0, len(sound), piece):
        if start == change:
            stream.set_emotion("happy", 0.8)
        frames.append(stream.feed(sound[start : start + piece]))
    return np.concatenate([*frames, stream.finish()])


@pytest.mark.parametrize("model", ["model", "default"])
@pytest.mark.parametrize(
    "piece, fps, options, python",
    [
        (1009, 30, {"style": "lively"}, {"style": "lively"}),
        (1600, 60, {"emotion": {"sad": 0.5, "angry": 0.2}, "levelDb": -20}, None),
    ],
)
def test_frames_are_those_of_python(page, runners, speech, model, piece, fps, options, python):
    """Level, rest, seals, styles and a change of emotion included."""
    if python is None:
        python = {"emotion": options["emotion"], "level_db": options["levelDb"]}
    sound = np.concatenate([0.4 * speech[:24000], np.zeros(9007, np.float32)]).astype(np.float32)
    change, options = 8 * piece, options | {"fps": fps, "model": model}
    given = page.evaluate(
        STREAM,
        {"sound": as_text(sound), "piece": piece, "options": options, "change": change},
    )
    stream = runners[model].stream(**python, fps=fps, motion=())
    wanted, values = pieces(stream, sound, piece, change), as_floats(given["values"], 52)
    assert values.shape == wanted.shape and np.abs(values - wanted).max() < 1e-3
    assert given["names"] == list(ARKIT_BLENDSHAPES) and given["firsts"] == sorted(given["firsts"])
    assert given["delay"] == pytest.approx(stream.delay_seconds)
    assert np.ptp(values[:, JAW]) > 0.1


def test_life_is_that_of_python(page, live_onnx_folder):
    """Blinks, gaze and breath of bilabial.json over a face at rest, for its whole minute."""
    settings = load_settings(live_onnx_folder)
    given = page.evaluate("""async () => {
        const [{ Life }, { Lips }, settings] = await Promise.all([
            import("./bilabial/life.js"), import("./bilabial/lips.js"),
            fetch("model/bilabial.json").then((answer) => answer.json()),
        ]);
        const [life, lips] = [new Life(settings, 0), new Lips(settings)];
        const face = (k) => life.apply(settings.blendshapes.map(() => 0), k / 30, lips);
        const faces = Array.from({ length: 1800 }, (_, k) => face(k));
        return encode(Float32Array.from(faces.flat()));
    }""")
    motion = dict.fromkeys(STREAM_MOTIONS, 1.0)
    wanted = draw_idle_motion(ARKIT_BLENDSHAPES, 60, settings.lip_distance_weights, motion, 0)[::2]
    values = as_floats(given, 52)
    assert values[:, ARKIT_BLENDSHAPES.index("eyeBlinkLeft")].max() > 0.9
    assert np.abs(values - wanted).max() < 1e-3


def test_the_head_turns_as_that_of_python(page):
    times = np.arange(0, 130, 0.0625)
    degrees = page.evaluate(
        """async (times) => {
            const { BilabialStream } = await import("bilabial");
            const [moving, still] = [await BilabialStream.create({ model: "model" }),
                await BilabialStream.create({ model: "model", motion: false })];
            return still.head ?? times.map((time) => moving.head.at(time));
        }""",
        times.tolist(),
    )
    assert np.abs(degrees - np.array([moving_head(time) for time in times])).max() < 0.1


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_sound_at_any_rate(page, rate):
    """A tone stays the tone, sample by sample; what 16 kHz cannot hold goes away; pieces change nothing."""
    times = np.arange(rate // 2) / rate
    tones = [np.sin(2 * np.pi * 1000 * times), np.sin(2 * np.pi * min(0.45 * rate, 11000) * times)]
    tone, high = (
        as_floats(text)[:, 0]
        for text in page.evaluate(
            """async ({rate, tones}) => {
                const { Resampler } = await import("bilabial");
                return tones.map((tone) => {
                    const [resampler, samples, parts] = [new Resampler(rate), decode(tone), []];
                    for (let k = 0; k < samples.length; k += 128)
                        parts.push(...resampler.feed(samples.slice(k, k + 128)));
                    return encode(Float32Array.from([...parts, ...resampler.finish()]));
                });
            }""",
            {"rate": rate, "tones": [as_text(tone) for tone in tones]},
        )
    )
    assert len(tone) == 8000
    inside = slice(100, -100)
    assert np.abs(tone - np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000))[inside].max() < 2e-3
    assert rate == 8000 or np.abs(high[inside]).max() < 1e-3


@pytest.mark.parametrize(
    "options, code, named",
    [
        ({"emotion": "hungry"}, "emotion_name", ["neutral", "hungry"]),
        ({"style": "loud"}, "style_name", ["default", "loud"]),
        ({"fps": 0}, "fps_range", ["1", "240", "got 0"]),
        ({"model": "default", "precision": "int4"}, "precision_name", ["fp32", "fp16", "int8", "int4"]),
        ({"model": "nowhere"}, "model_missing", ["/nowhere/bilabial.json", "404"]),
        ({"model": "http://127.0.0.1:9"}, "model_missing", ["127.0.0.1:9/bilabial.json"]),
        ({"model": None}, "model_address", ["`bilabial export onnx`", "null"]),
        ({"model": "a-page"}, "model_format", ["/a-page/bilabial.json", "`bilabial export onnx`"]),
        ({"model": "half"}, "model_missing", ["/half/step.int8.onnx", "404"]),
        ({"model": "broken"}, "model_format", ["/broken/step.int8.onnx"]),
        ({"runtime": "nowhere.mjs"}, "runtime_missing", ["onnxruntime-web", "/nowhere.mjs"]),
        ({"worker": "nowhere.js"}, "worker_failed", []),
        ({"worker": "no-simd.js"}, "no_simd", []),
    ],
)
def test_what_no_stream_can_be_made_of(page, server, onnx_folder, options, code, named):
    """Errors name what was given, and what is accepted."""
    settings = (onnx_folder / "bilabial.json").read_text()
    files = {
        "a-page/bilabial.json": "<!doctype html>",
        "half/bilabial.json": settings,
        "broken/bilabial.json": settings,
        "broken/step.int8.onnx": "no graph",
        "no-simd.js": "import './bilabial/worker.js'; WebAssembly.validate = () => false;",
    }
    for name, content in files.items():
        path = server.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    told = page.evaluate(
        """async (options) => {
            const { BilabialStream } = await import("bilabial");
            const created = BilabialStream.create({ model: "model", ...options });
            return created.then(() => ({}), ({ code, message }) => ({ code, message }));
        }""",
        options,
    )
    assert told["code"] == code
    assert [value for value in named if value not in told["message"]] == []


def test_a_stream_that_is_over_or_broken(page):
    """In a page that is not isolated, so without shared memory."""
    told = page.evaluate("""async () => {
        const { BilabialStream } = await import("bilabial");
        const workers = [];
        const Own = window.Worker;
        window.Worker = class extends Own { constructor(...given) { super(...given); workers.push(this); } };
        const stream = await BilabialStream.create({ model: "model" });
        const broken = await BilabialStream.create({ model: "model" });
        window.Worker = Own;
        const failure = (call) => call.then(() => ({ code: "" }), ({ code, message }) => ({ code, message }));
        const codeOf = async (call) => (await failure(call)).code;
        const silence = new Float32Array(320);
        const kinds = [];
        for (const samples of [[0, 0], new Int16Array(2), undefined])
            kinds.push(await failure(stream.feed(samples)));
        const codes = [typeof SharedArrayBuffer];
        for (const samples of [silence.map(() => NaN), silence])
            codes.push(await codeOf(stream.feed(samples)));
        await stream.finish();
        codes.push(await codeOf(stream.feed(silence)));
        stream.close();
        codes.push(await codeOf(stream.feed(silence)));
        let report;
        const reported = new Promise((resolve) => (report = resolve));
        await broken.connect(new MessageChannel().port1, () => {}, report);
        workers[1].dispatchEvent(new ErrorEvent("error", { message: "out of memory" }));
        const { code, message } = await reported;
        return { kinds, codes, late: [code, await codeOf(broken.feed(silence))], message };
    }""")
    assert {one["code"] for one in told["kinds"]} == {"samples_kind"}
    for one, given in zip(told["kinds"], ["Array", "Int16Array", "undefined"], strict=True):
        assert one["message"].endswith(f"got {given}") and "Float32Array" in one["message"]
    assert told["codes"] == ["undefined", "samples_finite", "", "stream_finished", "stream_closed"]
    assert told["late"] == ["worker_failed"] * 2 and "out of memory" in told["message"]


def test_the_head_follows_a_microphone(page, runners):
    """The jaw drawn is the one of its time in the sound that was played, gaps of a busy machine included."""
    page.evaluate(WATCH)
    page.evaluate("""async () => {
        const { Microphone } = await import("bilabial");
        const open = Microphone.open;
        window.fed = [];
        Microphone.open = (onsamples, options) =>
            open.call(Microphone, (samples) => (fed.push(...samples), onsamples(samples)), options);
    }""")
    page.click("#microphone")
    page.wait_for_function("drawn.length >= 30 && drawn.at(-1).time > 7")  # software drawing is slow
    assert "ms after you" in page.inner_text("#message")
    page.click("#microphone")
    drawn = page.evaluate("drawn.map(({time, delay, values}) => ({time, delay, jaw: values[17]}))")
    fed = as_floats(page.evaluate("encode(Float32Array.from(fed))"))[:, 0]
    assert ARKIT_BLENDSHAPES[17] == "jawOpen"
    times, jaw = np.array([one["time"] for one in drawn]), np.array([one["jaw"] for one in drawn])
    stream = runners["model"].stream(motion=())
    wanted = np.concatenate([stream.feed(fed), stream.finish()])[:, JAW]
    expected = np.interp(times, np.arange(len(wanted)) / 30, wanted)
    assert np.ptp(expected) > 0.15 and np.corrcoef(expected, jaw)[0, 1] >= 0.97
    assert np.abs(expected - jaw).max() < 1e-3
    assert (np.diff(times) >= 0).all() and min(one["delay"] for one in drawn) > 0.04  # the look-ahead


def test_a_file_speaks_without_a_network(page, server, runners, tmp_path):
    """After the first visit no server is needed; the face is the one of its time in the sound. Comes last."""
    sound = load_audio(EXAMPLE)
    (tmp_path / "speech.wav").write_bytes(encode_wav(sound))
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    server.stop()
    page.reload()
    page.wait_for_selector("#microphone:not([disabled])")
    page.evaluate(WATCH)
    page.set_input_files("#file", str(tmp_path / "speech.wav"))
    page.wait_for_function("drawn.length >= 10 && drawn.at(-1).time > 3")
    drawn = page.evaluate("drawn.map(({time, values}) => ({time, jaw: values[17]}))")
    stream = runners["model"].stream(motion=())
    wanted = np.concatenate([stream.feed(sound), stream.finish()])[:, JAW]
    times = np.array([one["time"] for one in drawn])
    expected = np.interp(times, np.arange(len(wanted)) / 30, wanted)
    assert (
        np.abs(expected - [one["jaw"] for one in drawn]).max() < 0.02
    )  # 16 bits, and the browser's resampling


def test_the_package_names_what_it_exports():
    """Types and code say the same, and every file of the package is there."""
    package = json.loads((Path(__file__).parents[2] / "js" / "package.json").read_text())
    folder = Path(__file__).parents[2] / "js"
    assert (folder / package["types"]).is_file() and (folder / package["main"]).is_file()
    types, code = (folder / package["types"]).read_text(), (folder / package["main"]).read_text()
    for name in ("BilabialStream", "Microphone", "Resampler", "Timeline"):
        assert f"export class {name}" in types and name in code
