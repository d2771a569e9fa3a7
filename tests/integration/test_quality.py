"""Real clips made worse on purpose: each is flagged for its own reason, and the clips as they were pass."""

from dataclasses import replace

import numpy as np
import pytest
from support.media import write_video

from bilabial.checkpoint import load_checkpoint
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.audio import decode_audio
from bilabial.io.capture import Capture, capture_video
from bilabial.io.faces import BONES, View
from bilabial.io.video import decode_frames
from bilabial.training.data.corpora import Take
from bilabial.training.data.duplicates import find_duplicates, fingerprint_of
from bilabial.training.data.quality import LIMITS, complaints, jitter, marks_of, quality_of, score_of
from bilabial.training.data.schema import row_of_take
from bilabial.training.prepare.align import measure

FPS, KEPT = 50.0, 50.0  # frames per second; the score that prepare.py asks for


@pytest.fixture(scope="module")
def take(clips):
    """Sound, frames (times, images) and capture of a real clip of GRID."""
    video = clips / "validation" / "grid" / "lbax4n.mp4"
    waveform, start = decode_audio(video)
    seconds = len(waveform) / 16000
    times, images = zip(*decode_frames(video), strict=True)
    capture = capture_video(video, FPS, start_seconds=start, duration_seconds=seconds)
    return waveform, (times, images), capture


def capture_of(path, times, images, waveform) -> Capture:
    return capture_video(write_video(path, times, images), FPS, duration_seconds=len(waveform) / 16000)


def offset_ms(waveform, capture, model) -> float:
    return measure(row_of_take(Take("x", None), waveform, capture), model, 0.5).offset_ms


# ---- the picture


def darker(images):
    return [(image * 0.09).astype(np.uint8) for image in images]


def smaller(images):
    return [image[::5, ::5][:56, :72] for image in images]


def shaken(images):
    """Pixels of 9 x 9, another grid in each frame: landmarks tremble as in a poor and shaky recording."""
    shifts = np.random.default_rng(0).integers(0, 9, (len(images), 2))
    coarse = [np.roll(image, shift, (0, 1))[::9, ::9] for image, shift in zip(images, shifts, strict=True)]
    return [image.repeat(9, axis=0).repeat(9, axis=1) for image in coarse]


def covered(images):
    return [np.full_like(image, 90) if k > len(images) / 2 else image for k, image in enumerate(images)]


def frozen(images):
    return [images[0]] * len(images)


def glaring(images):
    return [(image * 0.2 + 200).astype(np.uint8) for image in images]


@pytest.mark.parametrize(
    "change, measured",
    [
        (darker, "brightest"),
        (smaller, "eye_distance"),
        (shaken, "jitter"),
        (covered, "face_share"),
        (frozen, "moving_share"),
        (glaring, "darkest"),
    ],
)
def test_a_bad_picture_is_flagged_for_its_reason(take, tmp_path, change, measured):
    waveform, (times, images), _ = take
    quality = quality_of(waveform, capture_of(tmp_path / "bad.mp4", times, change(images), waveform))
    assert next(iter(complaints(quality))) == measured
    assert score_of(quality) < KEPT


# ---- the sound


def test_bad_sound_is_flagged_for_its_reason(take):
    waveform, _, capture = take
    for change, measured in (
        (np.zeros_like(waveform), "level_db"),
        (waveform * 1e-3, "level_db"),
        (np.clip(waveform * 10, -1, 1), "clipped_share"),
    ):
        quality = quality_of(change, capture)
        assert list(complaints(quality)) == [measured] and score_of(quality) < KEPT


def test_sound_moved_by_300_ms_is_flagged(take):
    waveform, _, capture = take
    model, silence = load_checkpoint()[0], np.zeros(4800, np.float32)
    before = offset_ms(waveform, capture, model)
    late = np.concatenate([silence, waveform])[: len(waveform)]
    early = np.concatenate([waveform[4800:], silence])
    for moved, expected in ((late, before - 300), (early, before + 300)):
        found = offset_ms(moved, capture, model)
        assert found == pytest.approx(expected, abs=30)
        quality = quality_of(moved, capture, found)
        assert list(complaints(quality)) == ["av_error_ms"] and score_of(quality) < KEPT
    assert not complaints(quality_of(waveform, capture, before))


def test_real_clips_pass(clips, take):
    waveform, _, capture = take
    assert score_of(quality_of(waveform, capture)) == 100.0
    for path in sorted((clips / "validation" / "natural").glob("*.mp4"))[:2]:
        sound, start = decode_audio(path)
        seconds = min(len(sound) / 16000, 1.6)
        seen = capture_video(path, FPS, start_seconds=start, duration_seconds=seconds)
        assert score_of(quality_of(sound[: round(seconds * 16000)], seen)) >= 90.0, path.name


# ---- copies


def test_a_copy_is_told_by_sound_and_by_face(clips, take, tmp_path):
    """Smaller, with half the frames, softer and noisy; another clip of the same length is no copy."""
    waveform, (times, images), capture = take
    smaller_ones = [image[::2, ::2] for image in images[::2]]
    seen_again = capture_of(tmp_path / "copy.mp4", times[::2], smaller_ones, waveform)
    rng = np.random.default_rng(0)
    again = (np.roll(waveform, 160) * 0.3 + rng.normal(0, 1e-3, len(waveform))).astype(np.float32)
    other_path = clips / "validation" / "grid" / "lwbsza.mp4"
    other_sound, start = decode_audio(other_path)
    other = capture_video(other_path, FPS, start_seconds=start, duration_seconds=len(other_sound) / 16000)
    first = fingerprint_of(waveform, capture)
    by_sound, by_face = fingerprint_of(again, other), fingerprint_of(other_sound, seen_again)
    found = find_duplicates(
        [first, by_sound, by_face, fingerprint_of(np.zeros_like(waveform), still(capture))]
    )
    assert found[1].first == found[2].first == 0
    assert found[1].kind == "sound" and found[2].kind == "face"
    assert set(found) == {1, 2}
    assert not find_duplicates([first, fingerprint_of(other_sound, other)])
    longer = replace(first, seconds=first.seconds + 1.0)
    assert not find_duplicates([first, longer])


def still(capture: Capture) -> Capture:
    """A face that does not move: its print is like no other's."""
    clip = FaceClip(capture.clip.names, np.full_like(capture.clip.values, 0.1), capture.clip.fps)
    return replace(capture, clip=clip)


def test_many_fingerprints_are_compared_in_blocks(monkeypatch):
    monkeypatch.setattr("bilabial.training.data.duplicates.BLOCK", 3)
    rng = np.random.default_rng(0)
    names = ARKIT_BLENDSHAPES
    clips = [FaceClip(names, rng.uniform(0, 1, (150, 52)).astype(np.float32), FPS) for _ in range(10)]
    sounds = [rng.normal(0, 0.1, 48000).astype(np.float32) for _ in range(10)]
    captures = [Capture(clip, np.ones(150), np.ones(150, bool)) for clip in clips]
    fingerprints = [fingerprint_of(sound, capture) for sound, capture in zip(sounds, captures, strict=True)]
    found = find_duplicates([*fingerprints, fingerprints[4], fingerprints[9], fingerprints[4]])
    assert {place: copy.first for place, copy in found.items()} == {10: 4, 11: 9, 12: 4}


# ---- the measures, by hand


def view(bones: np.ndarray) -> View:
    return View(bones, np.full((len(bones), 2), 0.5))


def test_jitter_is_the_spread_of_the_landmarks_and_not_the_motion_of_the_head():
    rng = np.random.default_rng(0)
    rest = rng.uniform(0, 100, (1, len(BONES), 2))
    rest[0, 0], rest[0, 3] = (0, 50), (100, 50)  # the outer eye corners: a distance of 100 pixels
    head = np.linspace(0, 80, 300)[:, None, None] + 5 * np.sin(np.arange(300) / 8)[:, None, None]
    assert jitter(view(rest + head)) < 1e-6
    shaken = rest + head + rng.normal(0, 1.0, (300, len(BONES), 2))
    assert jitter(view(shaken)) == pytest.approx(0.01 * np.sqrt(2), rel=0.2)  # 1 pixel in each direction
    lost = shaken.copy()
    lost[1::2] = np.nan
    assert jitter(View(lost, np.full((300, 2), np.nan))) is None


def test_closures_are_counted():
    gap = np.tile([0.1] * 5 + [0.0] * 5, 10).astype(np.float32)  # ten closures in two seconds
    values = np.random.default_rng(0).uniform(0, 1, (100, 52)).astype(np.float32)
    valid = np.arange(100) < 90  # the last is not seen
    quality = quality_of(
        np.zeros(32000, np.float32), Capture(FaceClip(ARKIT_BLENDSHAPES, values, FPS), gap, valid)
    )
    assert quality.closures_per_second == 4.5 and quality.sealed_share == 0.5 and quality.face_share == 0.9
    assert quality.eye_distance is None and quality.jitter is None and quality.level_db == -120.0
    assert marks_of(quality)["eye_distance"] == 1.0  # what was not measured is not held against a take


def test_channels_that_the_capture_cannot_see_are_not_called_dead():
    values = np.random.default_rng(0).uniform(0, 1, (100, 52)).astype(np.float32)
    for name in ("jawOpen", "cheekPuff"):
        values[:, ARKIT_BLENDSHAPES.index(name)] = 0.2
    capture = Capture(FaceClip(ARKIT_BLENDSHAPES, values, FPS), np.ones(100), np.ones(100, bool))
    assert quality_of(np.ones(32000, np.float32), capture).dead_channels == ["jawOpen"]


@pytest.mark.parametrize("name", LIMITS)
def test_a_mark_falls_from_good_to_useless(name):
    limit = LIMITS[name]
    middle = (limit.good + limit.useless) / 2
    assert [limit.mark(value) for value in (limit.good, middle, limit.useless)] == pytest.approx([1, 0.5, 0])
    beyond = limit.useless - limit.good
    assert [limit.mark(limit.useless + beyond), limit.mark(limit.good - beyond)] == [0.0, 1.0]
