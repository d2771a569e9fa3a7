"""The page in a real browser: Debian's chromium drives the real app with the embedded model."""

import io
import json
import re

import av
import numpy as np
import pytest
from mediapipe.tasks.python import vision
from PIL import Image
from support.avatars import glb_bytes
from support.browsing import (
    attach,
    choose,
    download,
    fill_in,
    found_in,
    generate,
    generate_again,
    mouth_pixels,
    open_fold,
    plotted,
    seek,
    wait_for_curves,
    wait_for_head,
    wait_until,
)
from support.errors import message_of, refused
from support.paths import EXAMPLE

from bilabial import ARKIT_BLENDSHAPES, FaceClip
from bilabial.app.i18n import CHINESE
from bilabial.app.player import HEAD
from bilabial.io.audio import load_audio, resample
from bilabial.io.capture import find_landmarker
from bilabial.io.exporters import read_glb, to_glb, write_glb
from bilabial.io.faces import track_faces


def test_upload_generate_look_and_download(page, tmp_path, three):
    generate(page, EXAMPLE)
    wait_for_curves(page)
    clip = FaceClip.from_csv(download(page, "csv", tmp_path))
    assert len(clip) == int(np.ceil(len(load_audio(EXAMPLE)) / 16000 * 30))
    assert np.allclose(FaceClip.from_npz(download(page, "npz", tmp_path)).values, clip.values, atol=1e-6)
    assert json.loads(download(page, "json", tmp_path).read_text())["metadata"]["frame_count"] == len(clip)
    assert len(read_glb(download(page, "glb", tmp_path))[0]["animations"]) == 1
    # the drawn mouth follows the sound's clock
    wait_for_head(page)
    distance = clip.lip_distance_mm()
    widest, closed = int(np.argmax(distance)), int(np.argmin(distance))
    seek(page, widest / 30)
    opened = mouth_pixels(page)
    seek(page, closed / 30)
    sealed = mouth_pixels(page)
    seek(page, widest / 30)
    assert np.abs(opened - sealed).mean() > 3 * np.abs(opened - mouth_pixels(page)).mean() + 2
    assert page.errors == []


def test_the_face_follows_playing_sound(page, three):
    wait_for_head(page)
    generate(page, EXAMPLE)
    wait_for_curves(page)
    audio = "document.querySelector('#player audio')"
    page.evaluate(f"{audio}.play()")
    page.wait_for_function(f"{audio}.currentTime > 0.5")
    page.evaluate(f"{audio}.pause()")
    drawn = "Number(document.querySelector('.bilabial-canvas').dataset.time)"
    near = f"Math.abs({audio}.currentTime - {drawn}) <= 1 / 30"
    page.wait_for_function(near)
    page.wait_for_timeout(1000)
    assert page.evaluate(near)


@pytest.mark.slow
def test_a_new_clip_is_played_at_once(page, three):
    """Unless somebody does not want it."""
    wait_for_head(page)
    page.get_by_label("Play new results").check()
    generate(page, EXAMPLE)
    page.wait_for_function("document.querySelector('#player audio').currentTime > 0.5")
    page.wait_for_function("Number(document.querySelector('.bilabial-canvas').dataset.time) > 0.5")
    page.get_by_label("Play new results").uncheck()
    generate_again(page)
    page.wait_for_timeout(500)
    assert page.evaluate("document.querySelector('#player audio').paused")
    assert page.errors == []


@pytest.mark.slow
def test_cameras_speed_and_loop(page, three):
    wait_for_head(page)
    front = mouth_pixels(page)
    page.get_by_role("button", name="Profile").click()
    wait_until(page, lambda: np.abs(mouth_pixels(page) - front).mean() > 5)
    page.get_by_label("Playback speed").select_option("0.5")
    page.get_by_label("Loop").check()
    generate(page, EXAMPLE)
    wait_for_curves(page)
    page.wait_for_function("document.querySelector('#player audio').readyState > 1")
    audio = page.evaluate(
        "(({playbackRate, loop}) => [playbackRate, loop])(document.querySelector('#player audio'))"
    )
    assert audio == [0.5, True]
    assert page.errors == []


@pytest.mark.slow
def test_a_face_tracker_reads_the_mouth_that_was_predicted(page, three, tmp_path):
    """MediaPipe on pictures of the drawn head: the gap that it sees goes with the clip's lip distance."""
    generate(page, EXAMPLE)
    wait_for_curves(page)
    clip = FaceClip.from_npz(download(page, "npz", tmp_path))
    wait_for_head(page)
    frames = np.linspace(12, len(clip) - 12, 20).round().astype(int)
    pictures = []
    for frame in frames:
        seek(page, frame / 30)
        shot = Image.open(io.BytesIO(page.locator(".bilabial-canvas").screenshot())).convert("RGB")
        pictures.append((frame / 30, np.ascontiguousarray(shot)))
    film = track_faces(iter(pictures), find_landmarker(), 1, vision.RunningMode.IMAGE)
    values = film.tracks[0].values
    read = values[:, -1]
    assert np.isfinite(read).all()  # it finds a face in every picture
    assert np.corrcoef(read, clip.lip_distance_mm()[frames])[0, 1] >= 0.9


@pytest.mark.slow
def test_a_page_to_send(browser, three, page, tmp_path):
    """The downloaded page plays on its own: from a file, with no network at all."""
    generate(page, EXAMPLE)
    wait_for_curves(page)
    file = download(page, "html", tmp_path)
    with browser.new_context(offline=True, viewport={"width": 900, "height": 700}) as context:
        alone, errors = context.new_page(), []
        alone.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        alone.on("pageerror", lambda error: errors.append(str(error)))
        alone.goto(file.as_uri())
        alone.wait_for_function("document.querySelector('canvas').dataset.time")
        alone.evaluate("document.querySelector('audio').currentTime = 1.2")
        alone.wait_for_function("document.querySelector('canvas').dataset.time === '1.2000'")
        assert errors == []
        alone.screenshot(path=tmp_path / "face.png")


def avatar(*names: str) -> bytes:
    """A GLB of one triangle with a morph target for each name."""
    points = np.array([[-0.1, -0.1, 0], [0.1, -0.1, 0], [0, 0.1, 0]], "<f4")
    binary = points.tobytes() * (1 + len(names))
    accessor = {"componentType": 5126, "count": 3, "type": "VEC3", "min": points.min(0).tolist()}
    accessor["max"] = points.max(0).tolist()
    count = range(1 + len(names))
    targets = [{"POSITION": k} for k in count[1:]]
    tree = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "targets": targets}],
                    "extras": {"targetNames": names}}],
        "accessors": [accessor | {"bufferView": k} for k in count],
        "bufferViews": [{"buffer": 0, "byteOffset": 36 * k, "byteLength": 36} for k in count],
        "buffers": [{"byteLength": len(binary)}],
    }  # fmt: skip
    text = json.dumps(tree).encode()
    return glb_bytes(text + b" " * (-len(text) % 4), binary)


def test_an_avatar_of_ones_own(page, three, tmp_path):
    wait_for_head(page)
    for name, file in {
        "mine": avatar("JawOpen", "eyeBlink_L", "head.mouthPucker", "ear"),
        "bad": avatar("ear"),
    }.items():
        (tmp_path / f"{name}.glb").write_bytes(file)
    page.set_input_files(".bilabial-avatar", str(tmp_path / "mine.glb"))
    page.get_by_text(found_in("mine.glb", 3)).wait_for()
    message = page.locator(".bilabial-message").text_content()
    assert "eyeBlinkRight" in message and "eyeBlinkLeft" not in message and "jawOpen" not in message
    still = FaceClip(ARKIT_BLENDSHAPES, np.zeros((2, 52)), 30)
    page.set_input_files(".bilabial-avatar", str(to_glb(still, tmp_path / "ours.glb", HEAD)))
    page.get_by_text(found_in("ours.glb", 52)).wait_for()  # by three.js, another reader
    page.set_input_files(".bilabial-avatar", str(tmp_path / "bad.glb"))
    page.get_by_text(re.compile(r"^bad\.glb .*ARKit")).wait_for()
    generate(page, EXAMPLE)
    wait_for_head(page)  # with a new clip, nothing of that is said any more


@pytest.mark.slow
def test_a_second_head_to_choose(page, three):
    wait_for_head(page)
    page.locator(".bilabial-more").evaluate("options => (options.open = true)")
    page.locator(".bilabial-head").select_option("Kofi")
    page.get_by_text(found_in("Kofi", 52)).wait_for()


@pytest.mark.slow
def test_an_avatar_chosen_early_is_not_lost(page, three, tmp_path):
    """Also while the head is still on its way."""
    (tmp_path / "early.glb").write_bytes(avatar("JawOpen"))
    held = []
    page.route(lambda url: "head.glb" in url, lambda route: held.append(route))
    page.reload()
    while not held:
        page.wait_for_timeout(100)
    page.set_input_files(".bilabial-avatar", str(tmp_path / "early.glb"))
    for route in held:
        route.continue_()
    page.get_by_text(found_in("early.glb", 1)).wait_for()


def test_a_damaged_reference_is_named_by_its_name(tmp_path):
    from bilabial.app import animation, handlers

    (tmp_path / "face.npz").write_bytes(b"no archive")
    with refused("npz_damaged") as error:
        animation.face_of(str(tmp_path / "face.npz"))
    told = handlers.in_language(error.value, None)
    assert re.fullmatch(message_of("npz_damaged", path="face.npz"), told)


@pytest.mark.slow
def test_an_avatar_may_stand_anywhere(page, three, tmp_path):
    wait_for_head(page)
    page.wait_for_timeout(300)
    before = mouth_pixels(page)
    scene, binary = read_glb(HEAD)
    scene["nodes"].append({"children": scene["scenes"][0]["nodes"], "translation": [1.5, 0.2, -0.3]})
    scene["scenes"][0]["nodes"] = [len(scene["nodes"]) - 1]
    write_glb(tmp_path / "aside.glb", scene, binary)
    page.set_input_files(".bilabial-avatar", str(tmp_path / "aside.glb"))
    page.get_by_text(found_in("aside.glb", 52)).wait_for()
    page.wait_for_timeout(1000)
    assert np.abs(mouth_pixels(page) - before).mean() < 2


@pytest.mark.slow
def test_only_the_inside_of_an_avatars_mouth_is_dark(page, three, tmp_path):
    """Some avatars have one material for skin and teeth."""
    wait_for_head(page)
    page.wait_for_timeout(300)  # until the browser shows it
    before = mouth_pixels(page)
    scene, binary = read_glb(HEAD)
    first = {mesh["name"]: mesh["primitives"][0] for mesh in scene["meshes"]}
    for name in ("teeth_upper", "teeth_lower"):
        first[name]["material"] = first["skin"]["material"]
    write_glb(tmp_path / "one.glb", scene, binary)
    page.set_input_files(".bilabial-avatar", str(tmp_path / "one.glb"))
    page.get_by_text(found_in("one.glb", 52)).wait_for()
    page.wait_for_timeout(1000)
    assert np.abs(mouth_pixels(page) - before).mean() < 2


def test_without_webgl_the_rest_works(page, address):
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    page.goto(address)
    page.get_by_text("The 3D head could not be loaded or drawn").wait_for()
    assert page.is_hidden(".bilabial-views") and page.is_hidden(".bilabial-badge")
    generate(page, EXAMPLE)
    wait_for_curves(page)
    assert page.evaluate("document.querySelector('#player audio').src").startswith("data:audio/mp4")


def test_microphone(page):
    page.click("#speech [aria-label='Record audio']")
    page.click("#speech .record-button, #speech button:has-text('Record')")
    page.wait_for_timeout(2000)
    page.click("#speech .stop-button, #speech button:has-text('Stop')")
    page.wait_for_selector("#speech [aria-label='Play'], #speech .waveform-container")
    page.wait_for_timeout(1000)
    page.click("#generate")
    wait_for_curves(page)


@pytest.mark.slow
def test_media_that_browsers_do_not_call_audio(page, tmp_path):
    """The page promises WebM; films and Apple's CAF are media that FFmpeg reads as well."""
    codecs = {
        "webm": "libopus",
        "mp4": "aac",
        "mov": "aac",
        "3gp": "aac",
        "caf": "pcm_s16le",
        "mkv": "libopus",
    }
    for suffix, codec in codecs.items():
        with av.open(str(tmp_path / f"voice.{suffix}"), "w") as container:
            stream = container.add_stream(codec, rate=48000, layout="mono")
            samples = resample(load_audio(EXAMPLE), 16000, 48000)[None]
            for first in range(0, samples.shape[1], 960):
                kind = {"aac": "fltp", "libopus": "flt", "pcm_s16le": "flt"}[codec]
                frame = av.AudioFrame.from_ndarray(
                    samples[:, first : first + 960], format=kind, layout="mono"
                )
                frame.sample_rate, frame.pts = 48000, first
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    for suffix in codecs:
        page.reload()
        page.wait_for_selector("#generate")
        page.wait_for_selector("#speech input[type=file]", state="attached")
        with page.expect_response(re.compile(r"/upload\?")) as answer:
            page.set_input_files("#speech input[type=file]", str(tmp_path / f"voice.{suffix}"))
        assert answer.value.ok, suffix
        page.wait_for_timeout(1500)
        if suffix in ("webm", "caf"):
            page.click("#generate")
            wait_for_curves(page)
            clip = FaceClip.from_npz(download(page, "npz", tmp_path))
            assert abs(len(clip) - len(load_audio(EXAMPLE)) / 16000 * 30) < 3


def test_errors_are_sentences(page, tmp_path):
    notes = tmp_path / "notes.wav"
    notes.write_text("this is not sound " * 100)
    with page.expect_response(re.compile(r"/upload\?")):
        page.set_input_files("#speech input[type=file]", str(notes))
    page.wait_for_timeout(1500)  # what is no sound has no waveform to wait for
    page.click("#generate")
    page.get_by_text(re.compile(message_of("media_unknown", name="notes.wav"))).first.wait_for()


def test_errors_are_in_the_visitors_language(browser, address, tmp_path):
    (tmp_path / "notes.wav").write_text("this is not sound " * 100)
    with browser.new_context(locale="zh-CN") as context:
        page = context.new_page()
        page.set_default_timeout(120000)
        page.goto(address)
        page.wait_for_selector("#generate")
        with page.expect_response(re.compile(r"/upload\?")):
            page.set_input_files("#speech input[type=file]", str(tmp_path / "notes.wav"))
        page.wait_for_timeout(1500)
        page.click("#generate")
        page.get_by_text(re.compile(message_of("media_unknown", CHINESE, name="notes.wav"))).first.wait_for()
        open_fold(page, "导出")
        page.click("#csv")
        page.get_by_text(re.compile(message_of("no_result", CHINESE))).first.wait_for()


def test_emotion_and_style_change_the_face(page):
    generate(page, EXAMPLE)
    neutral = {name: plotted(page, name) for name in ("mouthSmileLeft", "jawOpen")}
    open_fold(page, "Style")
    choose(page, "Speaking style", "mumbling")
    generate_again(page)
    mumbled = plotted(page, "jawOpen")
    assert np.percentile(mumbled, 90) < 0.85 * np.percentile(neutral["jawOpen"], 90)
    page.get_by_role("radio", name="happy").check()
    generate_again(page)
    assert plotted(page, "mouthSmileLeft").mean() > neutral["mouthSmileLeft"].mean() + 0.2
    assert page.errors == []


def test_feelings_mix_and_change(page, tmp_path):
    """A mixture by its sliders, a change by a click on the strip; arrows move it, Delete removes it."""
    page.get_by_role("radio", name="happy").check()
    open_fold(page, "Emotion over time")
    open_fold(page, "Mixture")
    page.get_by_role("slider", name="surprised").fill("0.3")
    assert not page.get_by_role("radio", name="happy").is_checked()
    page.get_by_role("slider", name="surprised").fill("0")
    generate(page, EXAMPLE)
    wait_for_curves(page)
    page.wait_for_function("document.querySelector('#player audio').readyState > 0")
    page.wait_for_function("document.querySelector('.emotion-scale').textContent.includes('6.8 s')")
    page.locator(".emotion-strip").scroll_into_view_if_needed()
    box = page.locator(".emotion-strip").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_role("radio", name="sad").check()
    marker = page.get_by_role("slider", name="Change of emotion").nth(1)
    assert float(marker.get_attribute("aria-valuenow")) == pytest.approx(3.4, abs=0.11)
    marker.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert float(marker.get_attribute("aria-valuenow")) == pytest.approx(3.2, abs=0.11)
    generate_again(page)
    clip = FaceClip.from_npz(download(page, "npz", tmp_path))
    smile, frown = clip["mouthSmileLeft"], clip["mouthFrownLeft"]
    first, second = slice(0, 75), slice(120, None)
    assert smile[first].mean() > 0.3 > 0.1 > smile[second].mean()
    assert frown[second].mean() > 0.2 > 0.1 > frown[first].mean()
    marker.focus()
    page.keyboard.press("Delete")
    assert page.get_by_role("slider", name="Change of emotion").count() == 1
    assert page.errors == []


@pytest.mark.slow
def test_a_feeling_is_dragged(page):
    open_fold(page, "Emotion over time")
    strip = page.locator(".emotion-strip")
    strip.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # the fold opens slowly
    box = strip.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.click(box["x"] + box["width"] * 0.3, middle)
    page.mouse.move(box["x"] + box["width"] * 0.3, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=3)
    page.mouse.up()
    markers = page.get_by_role("slider", name="Change of emotion")
    assert markers.count() == 2
    length = float(markers.nth(1).get_attribute("aria-valuemax"))
    assert float(markers.nth(1).get_attribute("aria-valuenow")) == pytest.approx(0.5 * length, abs=0.2)


@pytest.mark.slow
def test_a_style_is_taken_from_a_video(page, clips):
    open_fold(page, "Style")
    page.wait_for_selector("#reference")
    video = sorted((clips / "validation" / "natural").glob("*.mp4"))[0]
    attach(page, "reference", video)
    generate(page, EXAMPLE)
    assert plotted(page, "jawOpen").max() > 0.1
    assert page.errors == []


@pytest.mark.slow
def test_life_can_be_turned_off(page):
    open_fold(page, "Motion")
    page.get_by_label("Blinks", exact=True).uncheck()
    generate(page, EXAMPLE)
    assert plotted(page, "eyeBlinkLeft").max() < 0.5


@pytest.mark.slow
def test_a_wrong_seed_is_said(page):
    open_fold(page, "Motion")
    fill_in(page.get_by_label("Random seed, a whole number"), "today")
    generate(page, EXAMPLE)
    page.get_by_text(re.compile(message_of("seed_text", got="'today'"))).first.wait_for()


def test_the_pages_motions_are_those_of_the_package():
    from bilabial import Animator
    from bilabial.app import page
    from bilabial.motion import MOTIONS

    assert list(page.MOTIONS.values()) == list(MOTIONS)
    assert page.style_names() == Animator.from_pretrained().model.style_names


@pytest.mark.parametrize(
    "locale, generate", [("zh-CN", "生成"), ("en-US", "Generate"), ("de-DE", "Generate")]
)
def test_the_page_speaks_english_and_chinese(browser, address, locale, generate):
    with browser.new_context(locale=locale) as context:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("#generate")
        assert page.inner_text("#generate") == generate
        text = page.inner_text("body")
        assert "i18n" not in text and ("情绪时间线" in text) == (locale == "zh-CN")
        assert ("Emotion over time" in text) == (locale != "zh-CN")


def test_phone_width(page):
    page.set_viewport_size({"width": 390, "height": 800})
    generate(page, EXAMPLE)
    wait_for_curves(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
