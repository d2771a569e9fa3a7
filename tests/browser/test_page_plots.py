"""The plots of the page in a real browser: their numbers, the cursor they share, and the ways to seek."""

import base64
import itertools
import json
import re

import numpy as np
import pytest
from support.browsing import CURVES, attach, download, generate, new_page, open_fold, plotted, wait_for_curves
from support.errors import message_of
from support.paths import EXAMPLE

from bilabial import ARKIT_BLENDSHAPES, FaceClip
from bilabial.app.i18n import TEXTS
from bilabial.app.player import PEAKS_HZ, STATIC
from bilabial.io.audio import encode_m4a, encode_wav, load_audio
from bilabial.plots import sealed_stretches

pytestmark = pytest.mark.slow

LIPS = "document.querySelector('.bilabial-lips')"
AUDIO = "document.querySelector('#player audio')"
LINE, HEAT_MAP = "Jaw and lips", "All 52 as a heat map"
DECODE = """async (address) => {
  const bytes = await (await fetch(address)).arrayBuffer();
  const context = new OfflineAudioContext(1, 16000, 16000);
  return Array.from((await context.decodeAudioData(bytes)).getChannelData(0));
}"""
# What is played after a seek: the samples that an audio element plays from there, and where it says it is.
PLAY_FROM = """async ([address, seconds]) => {
  const audio = new Audio(address), context = new AudioContext({ sampleRate: 16000 });
  await new Promise((resolve) => (audio.oncanplay = resolve));
  audio.currentTime = seconds;
  await new Promise((resolve) => (audio.onseeked = resolve));
  const source = context.createMediaElementSource(audio);
  const [tap, played] = [context.createScriptProcessor(1024, 1, 1), []];
  tap.onaudioprocess = (event) => played.push(...event.inputBuffer.getChannelData(0));
  source.connect(tap).connect(context.destination);
  await context.resume();
  await audio.play();
  await new Promise((resolve) => setTimeout(resolve, 700));
  audio.pause();
  return [audio.duration, played];
}"""


@pytest.fixture(scope="module")
def spoken(browser, address):
    """One page with the example's animation, for all tests that only look and seek."""
    with new_page(browser, address) as page:
        generate(page, EXAMPLE)
        wait_for_curves(page)
        open_tab(page, LIPS)
        page.wait_for_function(f"{AUDIO}.readyState > 0")
        yield page


@pytest.fixture
def speaking(spoken):
    """That page as it is in the beginning; afterwards, nothing went wrong on it."""
    choose_curves(spoken, LINE)
    spoken.evaluate(f"{AUDIO}.currentTime = 0")
    yield spoken
    assert spoken.errors == []


def open_tab(page, plot: str) -> None:
    """The tab of LIPS or CURVES."""
    page.locator("#bilabial-lips-tab" if plot == LIPS else "#bilabial-curves-tab").click()
    page.wait_for_function(f"{plot}._fullLayout && {plot}.clientWidth > 0")
    page.wait_for_timeout(300)


def choose_curves(page, group: str) -> None:
    open_tab(page, CURVES)
    page.get_by_label("Blendshapes", exact=True).select_option(group)
    page.wait_for_function(f"({CURVES}.data[0].type === 'heatmap') === {json.dumps(group == HEAT_MAP)}")
    page.wait_for_timeout(200)


def curve_names(page) -> list[str]:
    return page.evaluate(f"{CURVES}.data.map(trace => trace.name)")


def time(page) -> float:
    return page.evaluate(f"{AUDIO}.currentTime")


def place(page, plot: str, seconds: float) -> float:
    """Where a time is in a plot, in pixels from its left."""
    return page.evaluate(f"(axis => axis._offset + axis.d2p({seconds}))({plot}._fullLayout.xaxis)")


def wait_for_cursors(page) -> None:
    """Returns when all cursors are where the sound is, to 1.5 pixels, and as high as their plots."""
    for plot in (LIPS, CURVES):
        open_tab(page, plot)
        page.wait_for_function(
            f"""() => {{
            const plot = {plot}, {{ xaxis, _size }} = plot._fullLayout, box = plot.getBoundingClientRect();
            const line = plot.parentElement.querySelector(".bilabial-cursor").getBoundingClientRect();
            const played = box.left + xaxis._offset + xaxis.d2p({AUDIO}.currentTime);
            const across = line.left + line.width / 2 - played, down = line.top - box.top - _size.t;
            return [across, down, line.height - _size.h].every(error => Math.abs(error) < 1.5); }}"""
        )


def click(page, plot: str, seconds: float, height: float) -> None:
    """A click at a time, so far down the plot's area: 0 = top, 1 = bottom."""
    open_tab(page, plot)
    area = page.evaluate(f"{plot}._fullLayout._size")
    selector = ".bilabial-lips" if plot == LIPS else ".bilabial-curves"
    position = {"x": place(page, plot, seconds), "y": area["t"] + height * area["h"]}
    page.locator(selector).click(position=position)


def test_the_plots_show_the_clip(speaking, tmp_path):
    clip = FaceClip.from_npz(download(speaking, "npz", tmp_path))
    names = curve_names(speaking)
    assert "jawOpen" in names and "mouthClose" in names  # what one wants to see first
    for name in names:
        shown = speaking.evaluate(f"Array.from({CURVES}.data.find(trace => trace.name === '{name}').y)")
        assert np.allclose(shown, clip[name], atol=1e-4)
    assert speaking.evaluate(f"{CURVES}.data[0].x[30]") == pytest.approx(1.0)
    lips = speaking.evaluate(f"Array.from({LIPS}.data.find(trace => trace.name === 'predicted').y)")
    assert np.allclose(lips, clip.lip_distance_mm(), atol=0.006)
    # closed stretches and their sum are those of the package
    closed = sealed_stretches(clip.lip_distance_mm(), clip.fps)
    seconds = sum(end - start for start, end in closed)
    title = f"Closed for {seconds:.2f} of {clip.duration_seconds:.2f} s (shaded)"
    assert speaking.evaluate(f"{LIPS}.layout.title.text") == title
    edges = speaking.evaluate(f"{LIPS}.data.find(trace => trace.fill).x.filter(x => x !== null)")
    assert np.allclose(edges, [x for a, b in closed for x in (a, a, b, b)])
    assert speaking.evaluate(f"{LIPS}._fullLayout.yaxis.title.text") == "lip distance (mm)"


def test_the_waveform_is_the_sounds(speaking):
    x, y = speaking.evaluate(
        f"(trace => [trace.x, trace.y])({LIPS}.data.find(trace => trace.yaxis === 'y2'))"
    )
    waveform = np.abs(load_audio(EXAMPLE))
    count = len(x) // 2
    assert count == int(np.ceil(len(waveform) / 16000 * PEAKS_HZ))
    loudest = [waveform[k * 320 : (k + 1) * 320].max() for k in range(count)]
    assert np.allclose(y[:count], loudest / np.max(loudest), atol=0.01)
    assert np.allclose(np.array(x[:count]), (np.arange(count) + 0.5) / PEAKS_HZ)
    assert np.allclose(y[count:][::-1], -np.array(y[:count]))  # drawn around the middle


def test_groups_and_heat_map_show_all_52_once(speaking, tmp_path):
    groups = speaking.locator(".bilabial-group option").all_inner_texts()
    assert groups[0] == LINE and groups[-1] == HEAT_MAP and len(groups) >= 5
    seen = []
    for group in groups[:-1]:
        choose_curves(speaking, group)
        speaking.wait_for_function(f"!{json.dumps(seen)}.includes({CURVES}.data[0].name)")
        seen += curve_names(speaking)
    assert sorted(seen) == sorted(ARKIT_BLENDSHAPES)
    choose_curves(speaking, HEAT_MAP)
    names = speaking.evaluate(f"{CURVES}.data[0].y")
    assert sorted(names) == sorted(ARKIT_BLENDSHAPES)
    labels = speaking.locator(".bilabial-curves .ytick text")
    assert set(labels.all_text_contents()) == set(ARKIT_BLENDSHAPES)
    clip = FaceClip.from_npz(download(speaking, "npz", tmp_path))
    for name in ("jawOpen", "browInnerUp", "eyeBlinkRight", "tongueOut"):
        assert np.allclose(plotted(speaking, name), clip[name], atol=1e-4)
    boxes = [label.bounding_box() for label in labels.all()]
    boxes.sort(key=lambda box: box["y"])
    assert all(b["y"] - a["y"] >= 9 for a, b in itertools.pairwise(boxes))  # none lies on another
    left = speaking.locator(".bilabial-curves").bounding_box()["x"]
    assert min(box["x"] for box in boxes) >= left  # none is cut off


def test_a_click_in_each_seeks_and_all_cursors_go_there(speaking):
    for group, plot, seconds, height in (
        (LINE, LIPS, 3.0, 0.2),  # the lips
        (LINE, LIPS, 2.0, 0.95),  # the waveform
        (LINE, CURVES, 4.0, 0.5),
        (HEAT_MAP, CURVES, 1.5, 0.7),
    ):
        choose_curves(speaking, group)
        click(speaking, plot, seconds, height)
        assert time(speaking) == pytest.approx(seconds, abs=0.03)
        wait_for_cursors(speaking)
    before = time(speaking)
    open_tab(speaking, LIPS)
    speaking.locator(".bilabial-lips").click(position={"x": place(speaking, LIPS, 5), "y": 8})  # the title
    assert time(speaking) == before


def test_dragging_scrubs(speaking):
    open_tab(speaking, LIPS)
    box = speaking.locator(".bilabial-lips").bounding_box()
    y = box["y"] + 0.4 * box["height"]
    speaking.mouse.move(box["x"] + place(speaking, LIPS, 1), y)
    speaking.mouse.down()
    for seconds in (2, 3, 5):
        speaking.mouse.move(box["x"] + place(speaking, LIPS, seconds), y)
        assert time(speaking) == pytest.approx(seconds, abs=0.03)
    speaking.mouse.move(box["x"] - 200, y)  # beyond the beginning
    assert time(speaking) == 0
    speaking.mouse.up()
    speaking.mouse.move(box["x"] + place(speaking, LIPS, 4), y)
    assert time(speaking) == 0


def test_arrow_keys_move_by_one_frame(speaking):
    for label in ("Time in the lip distance and the audio", "Time in the blendshape curves"):
        open_tab(speaking, LIPS if "lip" in label else CURVES)
        plot = speaking.get_by_role("slider", name=label)
        speaking.evaluate(f"{AUDIO}.currentTime = 1")
        plot.focus()
        for key, frame in (
            ("ArrowRight", 31),
            ("ArrowRight", 32),
            ("ArrowLeft", 31),
            ("Home", 0),
            ("ArrowLeft", 0),
        ):
            speaking.keyboard.press(key)
            assert time(speaking) == pytest.approx(frame / 30, abs=1e-4)
        speaking.keyboard.press("ArrowRight")
        shown = "one => Math.abs(Number(one.getAttribute('aria-valuenow')) - 1 / 30) < 0.01"
        speaking.wait_for_function(shown, arg=plot.element_handle())  # with the browser's next picture
        assert float(plot.get_attribute("aria-valuemax")) > 6


def test_the_cursors_follow_the_playing_sound(speaking):
    """It pauses by itself: a busy machine would do so after the end."""
    speaking.evaluate(f"""{AUDIO}.play().then(() => new Promise(resolve => {{
        {AUDIO}.ontimeupdate = () => {AUDIO}.currentTime > 0.5 && ({AUDIO}.pause(), resolve())
    }}))""")
    assert 0.5 < time(speaking) < 6
    wait_for_cursors(speaking)


def test_lips_of_a_video_are_laid_over(page, clips):
    video = next((clips / "validation" / "natural").glob("W023_*.mp4"))
    open_fold(page, "Compare")
    page.wait_for_selector("#video")
    attach(page, "video", video)
    page.click("#generate")  # its sound is the speech
    page.wait_for_function("document.querySelector('.bilabial-canvas').dataset.clips > 0")
    open_tab(page, LIPS)
    captured = f"{LIPS}.data.map(trace => trace.name ?? '').find(name => name.startsWith('captured: '))"
    page.wait_for_function(captured)
    open_tab(page, LIPS)
    name = page.evaluate(captured)
    assert float(name.split("r = ")[1][:4]) > 0.7 and ", moved by +" in name
    assert name in page.locator(".bilabial-lips .legendtext").all_text_contents()
    assert page.errors == []


def test_a_video_is_captured_once_and_said(clips):
    """Asked of the app and not of the page, where a busy browser may pass over a sentence."""
    from bilabial.app import animation

    video = str(clips / "validation" / "grid" / "lbax4n.mp4")
    waveform = load_audio(video)
    speech = animation.Speech(animation.animator()((16000, waveform)), waveform)
    (step,) = animation.comparison_steps(speech, video)
    assert step.text == "Capturing the video"
    key = (video, len(waveform) / 16000)
    assert animation.captures.of(key, lambda: pytest.fail("the video is captured again")).clip


def test_a_video_of_something_else_is_refused(page, clips):
    open_fold(page, "Compare")
    page.wait_for_selector("#video")
    attach(page, "video", clips / "validation" / "grid" / "lbax4n.mp4")
    generate(page, EXAMPLE)
    values = {"name": "lbax4n.mp4", "seconds": 3.0, "speech": 6.8}
    page.get_by_text(re.compile(message_of("video_other_length", **values))).first.wait_for()


def test_the_plots_speak_chinese_on_a_phone(browser, address):
    """Nor is anything wider than the screen. In the dark, texts are light."""
    with browser.new_context(
        locale="zh-CN", viewport={"width": 390, "height": 844}, has_touch=True
    ) as context:
        page = context.new_page()
        page.set_default_timeout(120000)
        page.goto(f"{address}?__theme=dark")
        page.wait_for_selector("#generate")
        generate(page, EXAMPLE)
        wait_for_curves(page)
        open_tab(page, LIPS)
        texts = page.inner_text("#plots")
        for text in ("秒（阴影）", "唇间距离（毫米）", "时间（秒）"):
            assert text in texts
        open_tab(page, CURVES)
        page.get_by_label("混合形状", exact=True).select_option(label="全部 52 个系数的热图")
        page.wait_for_function(f"{CURVES}.data[0].type === 'heatmap'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        color = page.evaluate(f"{CURVES}._fullLayout.font.color")
        assert color == "#ddd"


def test_every_text_of_the_plots_is_translated():
    script = "".join((STATIC / name).read_text() for name in ("panel.js", "plots.js"))
    spoken = re.findall(r"\bt\(\"([^\"]+)\"\)", script) + re.findall(r"^  \"([^\"]+)\": \[$", script, re.M)
    spoken += [*re.findall(r"new Panel\(.*?, \"([^\"]+)\"", script), HEAT_MAP]
    assert len(spoken) > 12
    assert [text for text in spoken if text not in TEXTS] == []


def test_the_sound_is_not_shifted_and_seeks_exactly(browser, speech):
    """AAC begins with samples of the encoder; in the browser nothing of them is left."""
    page = browser.new_page()
    addresses = [
        f"data:audio/{kind};base64,{base64.b64encode(content).decode()}"
        for kind, content in (("mp4", encode_m4a(speech)), ("wav", encode_wav(speech)))
    ]
    aac, wav = (np.array(page.evaluate(DECODE, address)) for address in addresses)
    assert len(aac) == len(wav) == len(speech)
    assert lag(aac, wav) == 0  # samples
    assert np.corrcoef(aac, wav)[0, 1] > 0.999
    for seconds in (0.5, 1.2):
        duration, played = page.evaluate(PLAY_FROM, [addresses[0], seconds])
        assert duration == pytest.approx(len(speech) / 16000, abs=1e-3)
        played = np.array(played)
        played = played[np.flatnonzero(played)[0] :][:8000]
        assert lag(wav, played) / 16000 == pytest.approx(seconds, abs=0.005)
    page.close()


def lag(sound: np.ndarray, piece: np.ndarray) -> int:
    """The sample of `sound` at which `piece` fits best."""
    size = 1 << (len(sound) + len(piece)).bit_length()
    scores = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(piece, size)), size)
    best = int(np.argmax(scores))
    return best if best < size // 2 else best - size
