"""Live mode on the real page: Chromium's fake microphone repeats a speech file, and the head speaks along.

The model runs in the browser, or in sessions on the server where the browser has none.
"""

import base64
import json
import re
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.browsing import fill_in, need_npm, new_page, open_fold, wait_for_head, wait_until
from support.media import write_wav
from support.paths import EXAMPLE

from bilabial import ARKIT_BLENDSHAPES, FaceClip
from bilabial.app.animation import live_animator
from bilabial.app.i18n import TEXTS
from bilabial.app.live_model import MAX_BEHIND_SECONDS, live_props
from bilabial.app.npm import ONNX_RUNTIME
from bilabial.app.player import STATIC, write_page
from bilabial.app.sessions import IDLE_SECONDS, MAX_SECONDS, MAX_SESSIONS_OF_CLIENT
from bilabial.errors import UserError
from bilabial.head_motion import moving_head
from bilabial.io.audio import load_audio, resample
from tools.chromium import BROWSER_FLAGS, CHROMIUM

pytestmark = pytest.mark.slow

WATCH_MICROPHONES = """
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.microphones = [];
navigator.mediaDevices.getUserMedia = async (asked) => {
    const microphone = await ask(asked);
    microphones.push(...microphone.getTracks());
    return microphone;
};"""
DEVICE_HZ = 44100  # of Chromium's fake microphone
TONE_HZ, TONE_AMPLITUDE = 11000, 0.1
# a device of another rate: the browser resamples to it first
SET_RATE = """(() => {
    const settings = MediaStreamTrack.prototype.getSettings;
    MediaStreamTrack.prototype.getSettings = function () {
        return { ...settings.call(this), sampleRate: RATE };
    };
    const Context = window.AudioContext;
    window.rates = [];
    window.AudioContext = class extends Context {
        constructor(given) { super(given); rates.push(this.sampleRate); }
    };
})();"""
# what the model's worker gets of the microphone
TAP_WORKER = """(() => {
    window.received = [];
    const send = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (message, ports) {
        if (message.method !== "connect") return send.call(this, message, ports);
        const { port1, port2 } = new MessageChannel();
        message.given[0].onmessage = ({ data }) => (received.push(...data), port1.postMessage(data));
        send.call(this, { ...message, given: [port2] }, [port2]);
    };
})();"""
BREAK_MICROPHONE = """(() => {
    const add = AudioWorklet.prototype.addModule;
    AudioWorklet.prototype.addModule = async function (address) {
        const script = await (await fetch(address)).text();
        const broken = script.replace("process(", "process() { throw 0; } unused(");
        return add.call(this, URL.createObjectURL(new Blob([broken], { type: "text/javascript" })));
    };
})();"""
WATCH_FACES = """() => {
    window.faces = [];
    const canvas = document.querySelector(".bilabial-canvas");
    canvas.addEventListener("bilabial-live", ({detail}) => faces.push(detail));
}"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Its microphone hears the example, again and again, and a tone that 16 kHz cannot hold."""
    if not CHROMIUM:
        pytest.skip("no chromium found (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    sound = resample(load_audio(EXAMPLE), 16000, DEVICE_HZ)
    sound += TONE_AMPLITUDE * np.sin(2 * np.pi * TONE_HZ / DEVICE_HZ * np.arange(len(sound)))
    path = write_wav(tmp_path_factory.mktemp("microphone") / "speech.wav", sound, DEVICE_HZ)
    with sync_playwright() as playwright:
        flags = [*BROWSER_FLAGS, f"--use-file-for-fake-audio-capture={path}"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """Small and patient: the head is drawn without a graphics card, on a machine that may do much else."""
    with new_page(browser, address, 420, 640) as page:
        page.set_default_timeout(300_000)
        yield page


def best_correlation(times: np.ndarray, drawn: np.ndarray, speech: np.ndarray) -> float:
    """Of lips drawn at times of the live sound with those of the recording, wherever that began."""
    clip = live_animator()((16000, np.tile(speech, 2 + int(times.max() * 16000 / len(speech)))), motion=())
    predicted, length = clip.lip_distance_mm(), len(speech) / 16000
    starts = np.arange(0, length, 0.01)
    curves = [np.interp(times + start, clip.times, predicted) for start in starts]
    return max(np.corrcoef(curve, drawn)[0, 1] for curve in curves)


def without_model(page) -> None:
    """The page gets no model, as where the server could not make its files."""
    page.route("**/live-model/**", lambda route: route.fulfill(status=204))


def with_model(page, address: str, max_behind_seconds: float) -> None:
    """Returns when the model's files are there, which takes the app a minute once.

    max_behind_seconds: of faces of the browser, as a prop of the page.
    """
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package)
    need_npm(ONNX_RUNTIME)
    model = live_props("")["model"]
    wait_until(page, lambda: urllib.request.urlopen(f"{address}/{model}bilabial.json").status == 200, 300)

    def serve_page(route) -> None:
        answer = route.fetch()
        usual = f'"max_behind_seconds":{MAX_BEHIND_SECONDS}'
        assert usual in answer.text()
        route.fulfill(response=answer, body=answer.text().replace(usual, f"{usual[:21]}{max_behind_seconds}"))

    page.route(re.compile(f"{address}/$"), serve_page)


def use_browser(page, address: str) -> str:
    """However slow it is, and no session of the server is taken."""
    with_model(page, address, 1e6)
    page.route(re.compile("/component_server"), lambda route: route.abort())
    return " ms behind"


def use_server_when_slow(page, address: str) -> str:
    """The browser's faces are said to be late after four seconds; it goes on without a gap."""
    with_model(page, address, -100)
    return " ms behind, on the server"


def is_half_style(page) -> bool:
    """Sets the style's strength; whether the page took it, which it does not while it opens the panel."""
    fill_in(page.get_by_label("Strength of the style").last, "0.5")
    return page.evaluate("bilabialAsked.style.default === 0.5")


@pytest.mark.parametrize("use", [use_browser, use_server_when_slow])
def test_the_head_speaks_along(page, three, speech, address, use):
    page.add_init_script(WATCH_MICROPHONES)
    wanted = use(page, address)
    page.reload()
    page.wait_for_function("window.bilabialAsked?.intensity === 1")
    open_fold(page, "Style")
    wait_until(page, lambda: is_half_style(page), 300)
    wait_for_head(page)
    page.evaluate(WATCH_FACES)
    page.click(".bilabial-live")
    page.wait_for_function("faces.length >= 20 && faces.at(-1).time > 9")
    assert page.get_by_role("button", name="Stop", exact=True).get_attribute("aria-pressed") == "true"
    assert page.evaluate("document.querySelector('.bilabial-level').value") >= 0
    told = page.inner_text(".bilabial-message")
    faces = page.evaluate("faces")
    times, values = np.array([one["time"] for one in faces]), np.array([one["values"] for one in faces])
    times, first, which = np.unique(times, return_index=True, return_inverse=True)
    assert np.array_equal(values, values[first][which])  # a face that waits stands still, whoever computes it
    clip = FaceClip(ARKIT_BLENDSHAPES, values[first].clip(0, 1), 30)
    assert np.ptp(clip.lip_distance_mm()) > 3
    assert best_correlation(times, clip.lip_distance_mm(), speech) >= 0.8
    angles = np.array([one["angles"] for one in faces])[first]
    assert np.ptp(angles, axis=0).max() > 2  # degrees
    assert np.abs(angles - [moving_head(time) for time in times]).max() < 0.1
    page.evaluate(
        "() => { window.bilabialAsked = {...bilabialAsked, emotion: {happy: 1}};"
        "window.dispatchEvent(new Event('bilabial-asked')); }"
    )
    smile, before = ARKIT_BLENDSHAPES.index("mouthSmileLeft"), clip["mouthSmileLeft"].mean()
    smiles = f"faces.slice(-3).reduce((sum, {{values}}) => sum + values[{smile}] / 3, 0)"
    page.wait_for_function(f"{smiles} > {before + 0.2}")
    shown = page.inner_text(".bilabial-delay")
    page.click(".bilabial-live")
    faces = page.evaluate("faces")
    # what was measured is shown; it is at least what the model needs to hear
    delays = np.array([one["delay"] for one in faces])
    least = 1000 * live_animator().model.config.lookahead_seconds
    assert shown.endswith(wanted) and int(shown.split()[0]) > least
    assert delays.min() - 1 <= int(shown.split()[0]) <= delays.max() + 1
    # where the faces came from, and what was said of it
    places = [one["place"] for one in faces]
    if use is use_browser:
        assert set(places) == {"browser"} and told == ""
    else:
        assert places == sorted(places) and set(places[-3:]) == {"server"}
        assert told == "This browser is too slow for the model. The server computes the face."
    # nothing goes on
    page.wait_for_function("microphones.length && microphones.every(track => track.readyState === 'ended')")
    count = page.evaluate("faces.length")
    page.wait_for_timeout(500)
    assert page.evaluate("faces.length") == count
    assert page.is_hidden(".bilabial-level") and page.inner_text(".bilabial-live") == "Live"
    assert page.errors == []


@pytest.mark.parametrize("rate", [DEVICE_HZ, 48000])
def test_the_model_gets_the_sound(page, three, speech, address, rate):
    """At the device's rate: the speech as it is, and nothing of a tone above the half of 16 kHz."""
    use_browser(page, address)
    page.add_init_script(SET_RATE.replace("RATE", str(rate)) + TAP_WORKER)
    page.reload()
    wait_for_head(page)
    page.click(".bilabial-live")
    page.wait_for_function(f"received.length > {len(speech) + 32000}")
    page.click(".bilabial-live")
    assert page.evaluate("rates") == [rate]
    received = np.array(page.evaluate("received"))
    assert tone_of(received, 16000 - TONE_HZ) < 0.01 * TONE_AMPLITUDE
    seconds = received[: len(received) // 16000 * 16000].reshape(-1, 16000)
    assert np.median([likeness(speech, second) for second in seconds]) > 0.99  # one has the seam in it
    assert page.errors == []


def likeness(speech: np.ndarray, part: np.ndarray) -> float:
    """Correlation of a part with speech that is repeated, wherever it is most alike."""
    length = len(speech) + len(part)
    speech = np.resize(speech, length).astype(float)
    products = np.fft.irfft(np.fft.rfft(speech) * np.fft.rfft(part, length).conj(), length)
    energy = np.cumsum(np.concatenate([[0], speech**2]))
    start = products[: length - len(part)].argmax()
    return products[start] / np.sqrt((energy[start + len(part)] - energy[start]) * (part**2).sum())


def tone_of(sound: np.ndarray, hz: float) -> float:
    """Amplitude of a tone in sound at 16 kHz."""
    window = np.hanning(len(sound))
    turning = np.exp(-2j * np.pi * hz / 16000 * np.arange(len(sound)))
    return 2 * abs((window * sound * turning).sum()) / window.sum()


# the model's thread ends without a word, breaks, or computes nothing more
DEATHS = {
    "closed": "() => void setTimeout(() => self.close(), 100)",
    "uncaught": "() => void setTimeout(() => { throw new Error('out of memory'); })",
    "wasm": """() => {
        const error = new WebAssembly.RuntimeError("memory access out of bounds");
        Float32Array.prototype.set = () => { throw error; };
    }""",
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_model_that_stops_is_replaced(page, three, address, death):
    """By the server, with a sentence; the microphone is let go when the session ends."""
    page.add_init_script(WATCH_MICROPHONES)
    with_model(page, address, 10)  # however busy this machine is
    page.reload()
    wait_for_head(page)
    page.evaluate(WATCH_FACES)
    page.click(".bilabial-live")
    page.wait_for_function("faces.length > 3")
    assert page.evaluate("faces.at(-1).place") == "browser"
    page.workers[-1].evaluate(DEATHS[death])
    page.wait_for_function("faces.at(-1).place === 'server'")
    told = "The model stopped in this browser. The server computes the face."
    assert page.inner_text(".bilabial-message") == told
    page.click(".bilabial-live")
    page.wait_for_function("microphones.length && microphones.every(track => track.readyState === 'ended')")
    assert not page.workers and page.inner_text(".bilabial-live") == "Live"


def test_no_model_and_no_server_end_the_session(page, three, address):
    """In one sentence, in Chinese too, and the microphone is let go."""
    page.add_init_script(WATCH_MICROPHONES)
    page.add_init_script("Object.defineProperty(navigator, 'language', { value: 'zh-CN' })")
    use_browser(page, address)
    page.reload()
    wait_for_head(page)
    page.evaluate(WATCH_FACES)
    page.click(".bilabial-live")
    page.wait_for_function("faces.length > 3")
    page.workers[-1].evaluate(DEATHS["wasm"])
    page.wait_for_function("microphones.length && microphones.every(track => track.readyState === 'ended')")
    told = TEXTS["The model stopped in this browser."], TEXTS["The connection to the server was lost."]
    assert page.inner_text(".bilabial-message") == " ".join(told)
    assert page.get_attribute(".bilabial-live", "aria-pressed") == "false" and not page.workers


def test_a_microphone_that_stops_ends_the_session(page, three):
    """Its audio thread breaks: no sound comes any more."""
    page.add_init_script(WATCH_MICROPHONES)
    page.add_init_script(BREAK_MICROPHONE)
    without_model(page)
    page.reload()
    wait_for_head(page)
    page.click(".bilabial-live")
    page.get_by_text("The microphone stopped.").wait_for()
    assert page.evaluate("microphones.every(track => track.readyState === 'ended')")
    assert not [one for one in page.errors if "AudioContext" in one]  # it was closed once


def test_a_full_server_says_so_until_somebody_left(page, three, address):
    config = json.load(urllib.request.urlopen(f"{address}/config"))
    player = next(
        one["id"] for one in config["components"] if "live_start" in one["props"].get("server_fns", ())
    )

    def call(function: str, asked: dict) -> dict:
        body = {"component_id": player, "fn_name": function, "session_hash": "seat", "data": asked}
        request = urllib.request.Request(
            f"{address}/gradio_api/component_server", json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        return json.load(urllib.request.urlopen(request))

    def keep_seats(keys: list[str], left: threading.Event) -> None:
        piece = base64.b64encode(bytes(3200)).decode()
        while not left.wait(0.5):
            assert all("frames" in call("live_feed", {"key": key, "sound": piece}) for key in keys)

    without_model(page)
    wait_for_head(page)
    asked = {"emotion": "neutral", "intensity": 1.0, "style": {}}
    answers = [call("live_start", asked) for _ in range(MAX_SESSIONS_OF_CLIENT + 1)]
    full = str(UserError("live_client", count=MAX_SESSIONS_OF_CLIENT))
    assert answers[-1]["error"] == full
    left = threading.Event()
    with ThreadPoolExecutor() as others:
        seats = others.submit(keep_seats, [answer["key"] for answer in answers[:-1]], left)
        try:
            page.click(".bilabial-live")
            page.get_by_text(full).wait_for()
            assert page.inner_text(".bilabial-live") == "Live"
        finally:
            left.set()
        seats.result()
    time.sleep(IDLE_SECONDS + 1)  # of silence, and their seats are free
    page.evaluate(WATCH_FACES)
    page.click(".bilabial-live")
    page.wait_for_function("faces.length > 3")
    told = "The model could not be started in this browser. The server computes the face."
    assert page.inner_text(".bilabial-message") == told
    assert page.errors == []


def test_stopped_while_the_browser_asks(page, three):
    """No model is asked for, no seat of the server is taken, and the microphone is let go."""
    page.add_init_script(WATCH_MICROPHONES)
    page.reload()
    wait_for_head(page)
    asked = []
    page.on(
        "request",
        lambda request: (
            asked.append(request.post_data or "")
            if "component_server" in request.url
            else asked.append(request.url)
            if "live-model" in request.url
            else None
        ),
    )
    page.evaluate("""() => {
        const ask = navigator.mediaDevices.getUserMedia;
        const answered = new Promise((resolve) => (window.answer = resolve));
        navigator.mediaDevices.getUserMedia = (asked) => answered.then(() => ask(asked));
    }""")
    for _ in range(3):
        page.click(".bilabial-live")
        page.get_by_role("button", name="Stop", exact=True).click()
    page.evaluate("answer()")
    page.wait_for_function(
        "microphones.length === 3 && microphones.every(track => track.readyState === 'ended')"
    )
    page.wait_for_timeout(500)
    assert not any("live" in one for one in asked)
    assert page.inner_text(".bilabial-live") == "Live" and page.errors == []


def test_no_rounding_leads_beyond_the_newest_frame(page):
    """(m / 30) * 30 is more than m for some whole numbers m."""
    wrong = page.evaluate(
        """() => {
        const numbers = Array.from({ length: 9000 }, (_, m) => m);
        const beyond = numbers.filter((m) => (m / 30) * 30 > m).length;
        const wrong = numbers.filter((m) => {
            const [before, after, weight] = bilabial.aroundPosition((m / 30) * 30, m + 1);
            return before < 0 || after > m || weight < 0 || weight >= 1;
        }).length;
        return [beyond, wrong]; }"""
    )
    assert wrong[0] > 100 and wrong[1] == 0


def broken(page) -> set[str]:
    """What the console said is broken."""
    found = (re.search("(live|clip) is broken", one) for one in page.errors)
    return {one[1] for one in found if one}


def test_no_error_ends_the_animation(page, three):
    """Neither that of the clip nor that of live mode; each is told once."""
    wait_for_head(page)
    page.evaluate(WATCH_FACES)
    page.click(".bilabial-live")
    page.wait_for_function("faces.length > 3")
    page.evaluate(
        """() => { const canvas = document.querySelector(".bilabial-canvas");
        canvas.dispatchEvent = () => { throw new Error("live is broken"); };
        Object.defineProperty(document.querySelector("#player audio"), "currentTime",
            { configurable: true, get() { throw new Error("the clip is broken"); } }); }"""
    )
    wait_until(page, lambda: {"live", "clip"} <= broken(page))
    page.wait_for_timeout(500)
    shown = page.evaluate(
        """() => { delete document.querySelector(".bilabial-canvas").dispatchEvent;
        delete document.querySelector("#player audio").currentTime;
        delete document.querySelector(".bilabial-canvas").dataset.time;
        return faces.length; }"""
    )
    page.wait_for_function(f"faces.length > {shown} + 3")
    page.click(".bilabial-live")
    page.get_by_role("button", name="Profile").click()
    page.wait_for_function("document.querySelector('.bilabial-canvas').dataset.time")
    assert len([one for one in page.errors if "broken" in one]) == len(broken(page)) == 2


def test_no_microphone_is_a_sentence(page, three):
    wait_for_head(page)
    for name, sentence in (
        ("NotAllowedError", "The microphone was refused. Allow it for this page"),
        ("NotFoundError", "No microphone was found."),
        ("NotReadableError", "The microphone cannot be used"),
    ):
        error = f"new DOMException('', '{name}')"
        page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = () => Promise.reject({error}) }}")
        page.click(".bilabial-live")
        page.get_by_text(sentence).wait_for()
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
    page.click(".bilabial-live")
    page.get_by_text(
        "Live mode needs the microphone, which browsers give only to pages over https"
    ).wait_for()
    assert page.errors == []


def test_nothing_of_it_is_an_end_point(address):
    from gradio_client import Client

    names = Client(address, verbose=False).view_api(return_format="dict")["named_endpoints"]
    assert "/animate" in names and not [name for name in names if "live" in name or "asked" in name]


def test_a_page_to_send_has_no_live_mode(browser, tmp_path):
    clip = FaceClip(ARKIT_BLENDSHAPES, np.zeros((30, 52)), 30)
    write_page(clip, np.zeros(16000, np.float32), tmp_path / "face.html")
    page = browser.new_page()
    page.goto((tmp_path / "face.html").as_uri())
    page.wait_for_selector(".bilabial-bar")
    assert page.is_hidden(".bilabial-live")
    page.close()


def test_the_page_states_the_limit():
    assert f"up to {MAX_SECONDS // 60} minutes" in (STATIC / "player.html").read_text()
