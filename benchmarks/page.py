"""Waiting time of a visitor in a real browser: from opening the page, and from Generate, to a moving head.

    python -m benchmarks.page

Starts the app on a free port of this machine, drives Chromium (software WebGL, if need be) and prints
- the seconds from opening the page to a head that moves, on a wide screen and on a phone (the fastest of 5);
- for live mode, how long after its sound a face is drawn, with the model in the browser and on the server,
  and the same for the static demo of js/ (`make live`), which runs the same model;
- a table: for 10 and 60 s of speech the seconds until the head draws the first frame of the playing sound,
  the same with another emotion, and the head's frames per second while it plays.
Needs the extra `test` and a Chromium.
"""

import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.load import EXAMPLE, start_app
from bilabial.app.live_model import live_props
from bilabial.io.audio import SAMPLING_RATE, encode_wav, load_audio
from bilabial.runtime.export import export_onnx
from tools.chromium import BROWSER_FLAGS, CHROMIUM
from tools.file_server import serve_folder
from tools.make_live import make_live

LIVE_SECONDS = 15
LIVE_SETTLES_SECONDS = 3  # the delay is not constant before
LENGTHS_SECONDS = (10, 60)
SCREENS = ((1280, 800), (390, 844))  # pixels
NUM_OPENED = 5
MOVES = "Number(document.querySelector('.bilabial-canvas')?.dataset.time) > 0.05"
WATCH_FACES = """() => {
  window.faces = [];
  const keep = ({ detail: { time, delay, place } }) => faces.push({ time, delay, place });
  document.querySelector(".bilabial-canvas").addEventListener("bilabial-live", keep);
}"""
WATCH_DEMO = """() => {
  window.faces = [];
  const keep = ({ detail: { time, delay } }) => faces.push({ time, delay: 1000 * delay });
  document.getElementById("head").addEventListener("bilabial-drawn", keep);
}"""
WATCHED_SECONDS = 5
MOVING = """(clips) => {
  const [canvas, audio] = ["canvas", "audio"].map((name) => document.querySelector(`#player ${name}`));
  return Number(canvas.dataset.clips) > clips && audio.currentTime > 0 && Number(canvas.dataset.time) > 0;
}"""
COUNT_DRAWN = """(seconds) => new Promise((resolve) => {
  const canvas = document.querySelector("#player canvas");
  let drawn = 0;
  const observer = new MutationObserver(() => drawn++);
  observer.observe(canvas, { attributes: true, attributeFilter: ["data-time"] });
  setTimeout(() => { observer.disconnect(); resolve(drawn / seconds); }, 1000 * seconds);
})"""


def open_page(browser: Browser, address: str, width: int, height: int) -> float:
    """Seconds from opening the page, with an empty cache, to a head that moves."""
    with browser.new_context(viewport={"width": width, "height": height}) as context:
        page = context.new_page()
        start = time.perf_counter()
        page.goto(address, wait_until="commit")
        page.wait_for_function(MOVES, polling=20, timeout=120000)
        return time.perf_counter() - start


def wait_for_speech(page: Page) -> float:
    """Presses Generate; returns the seconds until the head moves with the sound."""
    clips = page.evaluate("Number(document.querySelector('#player canvas').dataset.clips ?? 0)")
    start = time.perf_counter()
    page.click("#generate")
    page.wait_for_function(MOVING, arg=clips, polling=20)
    return time.perf_counter() - start


def measure(page: Page, address: str, seconds: int) -> dict[str, float]:
    """One row of the table: a new sound, and another emotion for it."""
    page.goto(address)
    page.wait_for_function("document.querySelector('.bilabial-message')?.textContent === ''")
    sound = np.resize(load_audio(EXAMPLE), seconds * SAMPLING_RATE)
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(encode_wav(sound))
        file.flush()
        page.set_input_files("#speech input[type=file]", file.name)
        page.wait_for_selector("#speech .waveform-container")
    waited = wait_for_speech(page)
    drawn = page.evaluate(COUNT_DRAWN, WATCHED_SECONDS)
    page.get_by_role("radio", name="happy").check()
    return {"seconds": waited, "again": wait_for_speech(page), "drawn": drawn}


def live_delays(browser: Browser, address: str, on_server: bool) -> np.ndarray:
    """Milliseconds from a sound to each face that is drawn of it, drawing included."""
    with browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["microphone"]) as context:
        page = context.new_page()
        page.set_default_timeout(120000)
        if on_server:
            page.route("**/live-model/**", lambda route: route.fulfill(status=204))
        page.goto(address)
        page.wait_for_function("document.querySelector('.bilabial-message')?.textContent === ''")
        faces = drawn_faces(page, WATCH_FACES, ".bilabial-live")
    wanted = "server" if on_server else "browser"
    if (got := faces[-1]["place"]) != wanted:
        raise RuntimeError(f"faces came from the {got}, not from the {wanted}")
    return delays_of(faces)


def demo_delays(browser: Browser) -> np.ndarray:
    """The same for the static demo."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        export_onnx("live", Path(folder, "model"), ["int8"])
        address = opened.enter_context(serve_folder(make_live(Path(folder, "demo"), Path(folder, "model"))))
        context = opened.enter_context(
            browser.new_context(viewport={"width": 1280, "height": 800}, permissions=["microphone"])
        )
        page = context.new_page()
        page.set_default_timeout(120000)
        page.goto(address)
        page.wait_for_selector("#microphone:not([disabled])")
        return delays_of(drawn_faces(page, WATCH_DEMO, "#microphone"))


def drawn_faces(page: Page, watch: str, button: str) -> list[dict]:
    """Faces that are drawn after a press of the button for the microphone: time in s, delay in ms."""
    page.evaluate(watch)
    page.click(button)
    page.wait_for_function(f"faces.at(-1)?.time > {LIVE_SECONDS}")
    return page.evaluate("faces")


def delays_of(faces: list[dict]) -> np.ndarray:
    return np.array([one["delay"] for one in faces if one["time"] > LIVE_SETTLES_SECONDS])


def wait_for_model(address: str) -> None:
    """Returns when the app has written the model for browsers."""
    model = live_props("")["model"]
    while urllib.request.urlopen(f"{address}/{model}bilabial.json").status != 200:
        time.sleep(0.5)


def main() -> None:
    app, address = start_app()
    rows = []
    try:
        with sync_playwright() as playwright, tempfile.NamedTemporaryFile(suffix=".wav") as speech:
            speech.write(encode_wav(load_audio(EXAMPLE)))
            speech.flush()
            flags = [*BROWSER_FLAGS, f"--use-file-for-fake-audio-capture={speech.name}"]
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            for size in SCREENS:
                opened = [open_page(browser, address, *size) for _ in range(NUM_OPENED)]
                print(f"{size[0]} x {size[1]}: {min(opened):.2f} s from opening the page to a moving head")
            wait_for_model(address)
            for place in ("browser", "server"):
                delays = np.percentile(live_delays(browser, address, place == "server"), (50, 95))
                print(f"live, model on the {place}: {delays[0]:.0f} / {delays[1]:.0f} ms, median / 95 %")
            delays = np.percentile(demo_delays(browser), (50, 95))
            print(f"static demo: {delays[0]:.0f} / {delays[1]:.0f} ms, median / 95 %")
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.set_default_timeout(120000)
            for seconds in LENGTHS_SECONDS:
                rows.append((seconds, measure(page, address, seconds)))
            browser.close()
    finally:
        app.terminate()
        app.wait()
    print(
        "| speech, s | Generate to speaking head, s | with another emotion, s | frames/s |\n|---|---|---|---|"
    )
    for seconds, row in rows:
        print(f"| {seconds} | {row['seconds']:.2f} | {row['again']:.2f} | {row['drawn']:.1f} |")


if __name__ == "__main__":
    main()
