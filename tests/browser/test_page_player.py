"""The player of the page in a real browser: the video it makes, its languages, its keys, its barriers."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from support.browsing import (
    generate,
    mouth_pixels,
    need_npm,
    open_fold,
    seek,
    wait_for_curves,
    wait_for_head,
    wait_for_transitions,
    wait_until,
)
from support.paths import EXAMPLE, ROOT

from bilabial import FaceClip
from bilabial.app.i18n import TEXTS
from bilabial.app.npm import MEDIABUNNY, NPM_FOLDER
from bilabial.app.player import BUNDLE, STATIC
from bilabial.io.audio import encode_wav, load_audio

pytestmark = pytest.mark.slow

# Gradio dims a component while its event runs, and lets it come back slowly.
OPAQUE = """() => {
  const above = [document.querySelector(".bilabial-stage")];
  while (above[0].parentElement) above.unshift(above[0].parentElement);
  return above.every((node) => getComputedStyle(node).opacity === "1");
}"""
MOUTH = ((0.58, 0.74), (0.44, 0.56))  # shares of height and width where the mouth is, front view


@pytest.fixture
def short_speech(tmp_path) -> Path:
    """1.2 s of the example, with open and closed lips."""
    path = tmp_path / "speech.wav"
    path.write_bytes(encode_wav(load_audio(EXAMPLE)[11200:30400]))
    return path


def read_video(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) in seconds and gray pictures (T, H, W) of an MP4 file."""
    with av.open(str(path)) as container:
        assert "mp4" in container.format.name
        frames = [(frame.time, frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    return np.array([time for time, _ in frames]), np.stack([picture for _, picture in frames])


def best_lag(signal: np.ndarray, other: np.ndarray) -> int:
    """By how many samples the first comes later than the second."""
    size = len(signal) + len(other)
    products = np.fft.irfft(np.fft.rfft(signal, size) * np.conj(np.fft.rfft(other, size)), size)
    lag = int(np.argmax(products))
    return lag if lag < len(signal) else lag - size


def test_a_video_of_the_head(page, short_speech, three, tmp_path):
    need_npm(MEDIABUNNY)
    wait_for_head(page)
    open_fold(page, "Motion")
    page.get_by_label("Turns and nods").uncheck()  # the mouth stays in its place
    generate(page, short_speech)
    wait_for_curves(page)
    open_fold(page, "Export")
    with page.expect_download() as download:
        page.click("#npz")
    clip = FaceClip.from_npz(download.value.path())
    with page.expect_download(timeout=240000) as download:
        page.get_by_role("button", name="MP4 video").click()
        page.get_by_role("button", name="Profile").click()  # the page moves on, the video does not
    assert download.value.suggested_filename == "bilabial.mp4"
    page.get_by_text("The video is made").wait_for()
    download.value.save_as(tmp_path / "bilabial.mp4")

    times, pictures = read_video(tmp_path / "bilabial.mp4")
    assert np.allclose(times, np.arange(len(clip)) / 30, atol=1e-3)
    assert pictures.shape[1] == 720  # 1080 with a graphics card
    height, width = pictures.shape[1:]
    rows, columns = (
        slice(round(start * size), round(stop * size))
        for (start, stop), size in zip(MOUTH, (height, width), strict=True)
    )
    distance = clip.lip_distance_mm()
    changes = np.abs(pictures.astype(np.float32) - pictures[np.argmin(distance)])
    mouth = changes[:, rows, columns].mean((1, 2))
    assert mouth[np.argmax(distance)] > 5 * changes[np.argmax(distance)].mean()
    assert np.corrcoef(mouth, distance)[0, 1] > 0.8
    assert abs(best_lag(mouth - mouth.mean(), distance - distance.mean())) <= 1

    sound, speech = load_audio(tmp_path / "bilabial.mp4"), load_audio(short_speech)
    assert abs(len(sound) - len(speech)) / 16000 < 1 / 30
    assert abs(best_lag(sound, speech)) < 0.010 * 16000
    assert page.errors == []


def test_no_teeth_glitter_between_closed_lips(page, short_speech, three):
    """The seam of closed lips is thinner than a pixel: what lies behind it is as dark as a closed mouth."""

    def num_white() -> int:
        pixels = mouth_pixels(page)
        return int(((pixels.min(axis=2) > 90) & (np.ptp(pixels, axis=2) < 45)).sum())

    wait_for_head(page)
    page.wait_for_timeout(300)  # until the browser shows it
    assert num_white() == 0
    generate(page, short_speech)
    wait_for_curves(page)
    open_fold(page, "Export")
    with page.expect_download() as download:
        page.click("#npz")
    clip = FaceClip.from_npz(download.value.path())
    seek(page, int(np.argmax(clip["jawOpen"])) / clip.fps)
    assert num_white() > 20


def test_no_video_is_said_in_a_sentence(page, short_speech, three):
    need_npm(MEDIABUNNY)
    page.route("**/example.json", lambda route: route.abort())
    page.reload()
    page.wait_for_selector("#generate")
    open_fold(page, "Export")
    wait_for_head(page)
    button = page.get_by_role("button", name="MP4 video")
    button.click()
    page.get_by_text("There is no talking head to record yet.").wait_for()
    generate(page, short_speech)
    wait_for_curves(page)
    page.route("**/mediabunny.min.mjs", lambda route: route.fulfill(
        body="export const Output = null", content_type="text/javascript",
        headers={"Access-Control-Allow-Origin": "*"}))  # fmt: skip
    button.click()
    page.get_by_text("The video could not be made (").wait_for()  # its sum is wrong
    page.unroute("**/mediabunny.min.mjs")
    button.click()
    page.get_by_role("button", name=re.compile(r"Cancel \(\d+ %\)")).click()
    page.get_by_text("No video was made.").wait_for()
    page.evaluate("delete window.VideoEncoder")
    button.click()
    page.get_by_text("This browser cannot make an MP4 here: it needs WebCodecs").wait_for()


class Texts(HTMLParser):
    """What a template says to eyes and to screen readers."""

    def __init__(self, html: str):
        super().__init__()
        self.found: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found |= {value for name, value in attributes if name in ("aria-label", "title")}

    def handle_data(self, data):
        if re.search("[A-Za-z]", data):
            self.found.add(data.strip())


def test_every_text_has_its_chinese():
    scripts = "\n".join(path.read_text() for path in STATIC.glob("*.js") if path != BUNDLE)
    spoken = {json.loads(text) for text in re.findall(r'\bt\(\s*("[^"\n]+")', scripts)}
    for template in STATIC.glob("*.html"):
        spoken |= Texts(template.read_text()).found
    assert len(spoken) > 20
    assert spoken - TEXTS.keys() == set()
    sources = (ROOT / "src" / "bilabial").rglob("*.py")
    page = "".join(path.read_text() for path in sources)
    unused = {text for text in TEXTS.keys() - spoken if json.dumps(text) not in page + scripts}
    assert not [text for text in unused if not re.search("[0-9]", text)]  # limits are filled in elsewhere


def test_the_player_speaks_chinese(browser, address, short_speech, three):
    with browser.new_context(locale="zh-CN") as context:
        page = context.new_page()
        page.set_default_timeout(120000)
        page.route("**/example.json", lambda route: route.abort())
        page.goto(address)
        wait_for_head(page)
        open_fold(page, "导出")
        page.get_by_role("button", name="MP4 视频").click()
        page.get_by_text("还没有可以录制的说话头像。").wait_for()
        generate(page, short_speech)
        wait_for_curves(page)
        said = page.locator(".bilabial-stage, .bilabial-bar").evaluate_all(
            """parts => parts.flatMap(part => [...part.querySelectorAll('[aria-label], [title]')].flatMap(
            node => [node.ariaLabel, node.title]).concat(part.innerText)).filter(Boolean).join('\\n')"""
        )
        assert "3D 头像" in said
        assert set(re.findall("[A-Za-z]{2,}", said)) <= {"GLB", "VRM", "MP", "ARKit"}


def test_the_keyboard_reaches_and_moves_everything(page, short_speech, three):
    wait_for_head(page)
    generate(page, short_speech)
    wait_for_curves(page)
    page.wait_for_function("document.querySelector('#player audio').readyState > 1")
    page.locator(".bilabial-canvas").focus()
    paused = "document.querySelector('#player audio').paused"
    page.get_by_label("Loop").check()  # so that it does not end by itself
    page.locator(".bilabial-canvas").focus()
    page.keyboard.press(" ")
    assert not page.evaluate(paused)
    page.keyboard.press(" ")
    assert page.evaluate(paused)
    for key in ("ArrowRight", "ArrowUp", "+"):
        page.wait_for_timeout(300)
        before = mouth_pixels(page)
        page.keyboard.press(key)
        wait_until(page, lambda before=before: np.abs(mouth_pixels(page) - before).mean() > 1)
    # Tab reaches every control, and one sees where it is
    controls = page.locator("#player").evaluate(
        """player => [...player.querySelectorAll('.bilabial-stage, .bilabial-bar')].flatMap(part =>
        [...part.querySelectorAll('button, select, input, audio, [tabindex]')])
        .map((control, k) => control.dataset.place = `${k}`)"""
    )
    # of the sound, the browser marks the part that has the focus
    sound = page.evaluate("document.querySelector('#player audio').dataset.place")
    reached = []
    for _ in range(2 * len(controls) + 12):  # the sound's own parts are stops too
        place, outline = page.evaluate(
            """(() => { const now = document.activeElement, seen = now.matches('.bilabial-avatar') ?
            now.parentElement : now; return [now.dataset.place, getComputedStyle(seen).outlineStyle]; })()"""
        )
        if place is not None:
            reached.append(place)
            assert outline != "none" or place == sound, place
        page.keyboard.press("Tab")
    assert set(controls) <= set(reached)


def test_no_barriers_in_the_player(page, short_speech, three):
    axe = NPM_FOLDER / "axe-core" / "axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed (make test does, with npm)")
    wait_for_head(page)
    generate(page, short_speech)
    wait_for_curves(page)
    page.wait_for_function(OPAQUE)
    page.add_script_tag(path=axe)
    for theme in ("light", "dark"):
        page.evaluate(f"document.body.classList.toggle('dark', {json.dumps(theme == 'dark')})")
        wait_for_transitions(page)
        found = page.evaluate("async () => (await axe.run('#player')).violations")
        barriers = [
            (violation["id"], node["html"][:120])
            for violation in found
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]
        assert barriers == [], theme
    assert page.locator(".bilabial-message").get_attribute("role") == "status"  # what it says is read aloud
