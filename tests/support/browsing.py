"""A real browser on the real app: fixtures, and what a person does on the page."""

import io
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bilabial.app.npm import NpmPackage
from bilabial.app.player import HEAD
from support.paths import ROOT
from tools.chromium import BROWSER_FLAGS, CHROMIUM


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def three() -> None:
    """The head can be loaded; tests that look at it are skipped otherwise."""
    if not HEAD.is_file():
        pytest.skip(f"{HEAD.name} is missing")


def need_npm(package: NpmPackage) -> None:
    """Skips the test where the package is neither installed nor to be had."""
    if package.folder():
        return
    try:
        urllib.request.urlopen(f"{package.cdn}/package.json", timeout=5)
    except OSError:
        pytest.skip(f"no {package.name}: not installed (make test does, with npm), its CDN does not answer")


@contextmanager
def new_page(browser, address, width=1280, height=1000):
    """The app in a window of its own, still until something is played; page.errors: the console's."""
    with browser.new_context(
        viewport={"width": width, "height": height}, permissions=["microphone"], reduced_motion="reduce"
    ) as context:
        page = context.new_page()
        page.set_default_timeout(120000)
        page.errors = []
        page.on(
            "console", lambda message: page.errors.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#generate")
        open_fold(page, "Player options")
        page.get_by_label("Play new results").uncheck()
        yield page


@pytest.fixture
def page(browser, address):
    with new_page(browser, address) as page:
        yield page


def fill_in(field, text: str) -> None:
    """Types into a field and leaves it. Gradio empties one within 0.3 s after its panel was first opened."""
    for _ in range(20):
        field.fill(text)
        field.page.wait_for_timeout(500)
        if field.input_value() == text:
            break
    field.press("Tab")


def open_fold(page, title: str) -> None:
    """Opens one of the page's folds, by its title, unless it is open."""
    folds = page.locator("button.label-wrap, summary")
    button = folds.filter(has_text=re.compile(rf"^\s*{title}")).first
    button.wait_for()
    if not button.evaluate("one => one.classList.contains('open') || Boolean(one.parentElement.open)"):
        button.click()


def attach(page, field: str, path: Path) -> None:
    """Gives a file to a field; returns when the app has it. Its name is there before, while it is sent."""
    page.set_input_files(f"#{field} input[type=file]", str(path))
    page.wait_for_selector(f"#{field} .file-preview")


def generate(page, path: Path) -> None:
    page.set_input_files("#speech input[type=file]", str(path))
    page.wait_for_selector("#speech .waveform-container")
    page.click("#generate")


def generate_again(page) -> None:
    """Presses the button once more; returns when the page shows the new clip."""
    clips = "Number(document.querySelector('#player canvas').dataset.clips)"
    shown = page.evaluate(clips)
    page.click("#generate")
    page.wait_for_function(f"{clips} > {shown}")


def download(page, kind: str, folder: Path) -> Path:
    """Presses a download button and keeps the file."""
    open_fold(page, "Export")
    with page.expect_download() as started:
        page.click(f"#{kind}")
    path = folder / started.value.suggested_filename
    started.value.save_as(path)
    return path


def wait_for_head(page) -> None:
    page.wait_for_function("document.querySelector('.bilabial-message')?.textContent === ''")


def wait_for_transitions(page) -> None:
    """Until folds and colors have ended to change; what moves for ever does not count."""
    page.wait_for_function("""document.getAnimations().every(
        one => one.playState !== "running" || one.effect.getComputedTiming().endTime === Infinity
    )""")


def wait_for_curves(page) -> None:
    """Returns when the curves of the latest generated clip are drawn; the example's do not count."""
    shown = "document.querySelector('.bilabial-canvas').dataset.clips"
    page.wait_for_function(f"{shown} > 0")
    page.locator("#bilabial-curves-tab").click()
    page.wait_for_function(f"document.querySelector('#plots [data-clips]')?.dataset.clips === {shown}")
    page.wait_for_selector(".bilabial-curves :is(.trace, .heatmaplayer image)")


def found_in(avatar: str, count: int) -> re.Pattern[str]:
    """What the page says of an avatar with so many of the 52 coefficients."""
    return re.compile(rf"^{re.escape(avatar)}: {count} \D*52 ")


def seek(page, seconds: float) -> None:
    """Moves the sound; returns when the head of that time is drawn, to 1 ms."""
    page.evaluate(f"document.querySelector('#player audio').currentTime = {seconds}")
    drawn = "Number(document.querySelector('.bilabial-canvas').dataset.time)"
    page.wait_for_function(f"Math.abs({drawn} - {seconds}) < 1e-3")
    page.wait_for_timeout(300)  # until the browser shows it


def wait_until(page, condition: Callable[[], bool], seconds: int = 60) -> None:
    """Returns when it is true. Raises AssertionError after some time."""
    for _ in range(4 * seconds):
        if condition():
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"it did not become true within {seconds} s")


def mouth_pixels(page) -> np.ndarray:
    """The part of the picture with the mouth, front view: (H, W, 3) float32 in 0..255."""
    shot = Image.open(io.BytesIO(page.locator(".bilabial-canvas").screenshot())).convert("RGB")
    width, height = shot.size
    box = (0.4 * width, 0.55 * height, 0.6 * width, 0.8 * height)
    return np.asarray(shot.crop([round(x) for x in box]), np.float32)


def choose(page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_label(label, exact=True).fill(value)
    page.keyboard.press("Enter")


CURVES = "document.querySelector('.bilabial-curves')"


def plotted(page, name: str) -> np.ndarray:
    """A coefficient's curve as the page's heat map, which is chosen for it, holds it."""
    wait_for_curves(page)
    page.get_by_label("Blendshapes", exact=True).select_option("All 52 as a heat map")
    page.wait_for_function(f"{CURVES}.data[0].type === 'heatmap'")
    row = f"{CURVES}.data[0].z[{CURVES}.data[0].y.indexOf('{name}')]"
    return np.array(page.evaluate(f"Array.from({row})"))
