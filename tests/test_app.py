"""The page in a real browser: Debian's chromium drives the real app with the embedded model."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import EXAMPLE, ROOT

from bilabial import FaceClip
from bilabial.audio import load_audio

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BROWSER_FLAGS = [
    "--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]  # fmt: skip


@pytest.fixture(scope="module")
def address(tmp_path_factory) -> Iterator[str]:
    """The app, started as a user starts it, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("app") / "log"
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    with log.open("w") as output:
        app = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")], env=environment, stdout=output, stderr=output
        )
    try:
        yield _wait_for(f"http://127.0.0.1:{port}", app, log)
    finally:
        app.terminate()
        app.wait()


def _wait_for(url: str, app: subprocess.Popen, log: Path) -> str:
    for _ in range(240):
        if app.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5)
            return url
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"the app did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no chromium found (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={"width": 1280, "height": 1000}, permissions=["microphone"])
    page = context.new_page()
    page.set_default_timeout(60000)
    page.errors = []
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#generate")
    yield page
    context.close()


def generate(page, path: Path) -> None:
    page.set_input_files("#speech input[type=file]", str(path))
    page.wait_for_selector("#speech .waveform-container")
    page.click("#generate")


def mouth_height(page) -> float:
    """Height in pixels of the drawn mouth opening: the last trace of the face."""
    traces = "document.querySelectorAll('#player .scatterlayer')[0].querySelectorAll('.trace')"
    assert page.evaluate(f"{traces}.length") == 7  # frames replace the first face, they do not cover it
    return page.evaluate(f"{traces}[6].getBBox().height")


def seek(page, seconds: float, fps: float = 30.0) -> None:
    page.evaluate(f"document.querySelector('#player audio').currentTime = {seconds}")
    frame = str(int(seconds * fps))
    page.wait_for_function(f"document.querySelector('#player .bilabial-plot').dataset.frame === '{frame}'")


def test_upload_generate_look_and_download(page, tmp_path):
    generate(page, EXAMPLE)
    page.wait_for_selector("#player .js-plotly-plot .trace")
    page.wait_for_selector("#lips .js-plotly-plot .trace")
    with page.expect_download() as download:
        page.click("#csv")
    download.value.save_as(tmp_path / "face.csv")
    clip = FaceClip.from_csv(tmp_path / "face.csv")
    assert len(clip) == int(np.ceil(len(load_audio(EXAMPLE)) / 16000 * 30))
    with page.expect_download() as download:
        page.click("#npz")
    download.value.save_as(tmp_path / "face.npz")
    assert np.allclose(FaceClip.from_npz(tmp_path / "face.npz").values, clip.values, atol=1e-6)
    # the drawn mouth follows the sound's clock
    distance = clip.lip_distance_mm()
    widest, closed = int(np.argmax(distance)), int(np.argmin(distance))
    seek(page, (widest + 0.5) / 30)
    open_height = mouth_height(page)
    seek(page, (closed + 0.5) / 30)
    assert open_height > 3 * max(mouth_height(page), 2.0)
    # the plotted curve is the clip's
    plotted = page.evaluate("Array.from(document.querySelector('#lips .js-plotly-plot')._fullData[0].y)")
    assert np.allclose(plotted, distance, atol=0.01)
    assert page.errors == []


def test_the_face_follows_playing_sound(page):
    generate(page, EXAMPLE)
    page.wait_for_selector("#player .js-plotly-plot .trace")
    page.evaluate("document.querySelector('#player audio').play()")
    page.wait_for_timeout(1500)
    lag = page.evaluate(
        """() => { const audio = document.querySelector('#player audio'); audio.pause();
        return new Promise(resolve => setTimeout(() => resolve(Math.abs(audio.currentTime * 30
            - Number(document.querySelector('#player .bilabial-plot').dataset.frame))), 500)); }"""
    )
    assert page.evaluate("document.querySelector('#player audio').currentTime") > 0.5
    assert lag <= 1.0


def test_microphone(page):
    page.click("#speech [aria-label='Record audio']")
    page.click("#speech .record-button, #speech button:has-text('Record')")
    page.wait_for_timeout(2000)
    page.click("#speech .stop-button, #speech button:has-text('Stop')")
    page.wait_for_selector("#speech [aria-label='Play'], #speech .waveform-container")
    page.wait_for_timeout(1000)
    page.click("#generate")
    page.wait_for_selector("#player .js-plotly-plot .trace")


def test_errors_are_sentences(page, tmp_path):
    page.click("#generate")
    page.get_by_text("There is no speech yet").first.wait_for()
    notes = tmp_path / "notes.wav"
    notes.write_text("this is not sound " * 100)
    page.set_input_files("#speech input[type=file]", str(notes))
    page.wait_for_timeout(1500)
    page.click("#generate")
    page.get_by_text("notes.wav is not audio or video that FFmpeg can read").first.wait_for()


def choose(page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_label(label, exact=True).fill(value)
    page.keyboard.press("Enter")


def plotted(page, name: str) -> np.ndarray:
    """A coefficient's curve as the page's plot holds it."""
    data = "Array.from(document.querySelector('#player .js-plotly-plot')._fullData)"
    page.wait_for_selector("#player .js-plotly-plot .trace")
    return np.array(page.evaluate(f"Array.from({data}.find(trace => trace.name === '{name}').y)"))


def test_emotion_and_style_change_the_face(page):
    generate(page, EXAMPLE)
    neutral = {name: plotted(page, name) for name in ("mouthSmileLeft", "jawOpen")}
    choose(page, "Emotion", "happy")
    choose(page, "Speaking style", "mumbling")
    page.click("#generate")
    page.wait_for_function(
        f"Math.abs(Array.from(document.querySelector('#player .js-plotly-plot')._fullData)"
        f".find(trace => trace.name === 'jawOpen').y[20] - {neutral['jawOpen'][20]}) > 1e-4"
    )
    assert plotted(page, "mouthSmileLeft").mean() > neutral["mouthSmileLeft"].mean() + 0.2
    assert np.percentile(plotted(page, "jawOpen"), 90) < 0.85 * np.percentile(neutral["jawOpen"], 90)
    assert page.errors == []


def test_a_style_is_taken_from_a_video(page, clips):
    page.get_by_text("Style of a person").click()
    video = sorted((clips / "validation" / "natural").glob("*.mp4"))[0]
    page.set_input_files("#reference input[type=file]", str(video))
    page.get_by_text(video.name[:8]).first.wait_for()
    generate(page, EXAMPLE)
    assert plotted(page, "jawOpen").max() > 0.1
    assert page.errors == []


def test_life_can_be_turned_off(page):
    page.get_by_text("Life and adjustments").click()
    page.get_by_label("Blinks", exact=True).uncheck()
    generate(page, EXAMPLE)
    assert plotted(page, "eyeBlinkLeft").max() < 0.5


def test_a_wrong_seed_is_said(page):
    page.get_by_text("Life and adjustments").click()
    page.get_by_label("Seed of these moves, a whole number").fill("today")
    generate(page, EXAMPLE)
    page.get_by_text("the seed must be a whole number of at least 0, or empty, got 'today'").first.wait_for()


def test_the_pages_motions_are_those_of_the_package():
    import app
    from bilabial.motion import MOTIONS

    assert list(app.MOTIONS.values()) == list(MOTIONS)
    assert app.style_names() == app.animator().model.style_names


def test_phone_width(page):
    page.set_viewport_size({"width": 390, "height": 800})
    generate(page, EXAMPLE)
    page.wait_for_selector("#lips .js-plotly-plot .trace")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_api_is_for_programs(address):
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False)
    _, _, csv, npz = client.predict(handle_file(EXAMPLE), "neutral", 1.0, "default", 25, api_name="/animate")
    assert FaceClip.from_csv(csv).fps == FaceClip.from_npz(npz).fps == 25.0


def test_the_api_knows_every_knob(address, tmp_path):
    from gradio_client import Client, handle_file

    client = Client(address, verbose=False)
    asked = {
        "emotion": "sad",
        "intensity": 1.5,
        "style": "articulate",
        "amount": 0.5,
        "motion": [],
        "seed": 3,
    }
    _, _, _, npz = client.predict(audio=handle_file(EXAMPLE), **asked, api_name="/animate")
    clip = FaceClip.from_npz(npz)
    assert clip["mouthFrownLeft"].mean() > 0.3 and clip["eyeBlinkLeft"].max() < 0.8
    reference = handle_file(clip.to_npz(tmp_path / "person.npz"))
    _, _, _, other = client.predict(
        audio=handle_file(EXAMPLE), reference=reference, motion=[], api_name="/animate"
    )
    assert FaceClip.from_npz(other)["mouthFrownLeft"].mean() > 0.2
