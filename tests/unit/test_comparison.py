from pathlib import Path

import av
import numpy as np
import pytest
from support.errors import refused
from support.media import write_video
from support.paths import EXAMPLE

from bilabial.app.comparison import CAPTURE_FPS, compare, watch_lips
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.audio import load_audio
from bilabial.io.capture import Capture


def opening(times: np.ndarray) -> np.ndarray:
    """A jaw that moves like speech: in 0..0.5."""
    return 0.25 + 0.15 * np.sin(2 * np.pi * 2.3 * times) + 0.1 * np.sin(2 * np.pi * 5.1 * times + 1)


def predicted(fps: float = 30.0, seconds: float = 4.0) -> FaceClip:
    values = np.zeros((round(seconds * fps), 52), np.float32)
    values[:, ARKIT_BLENDSHAPES.index("jawOpen")] = opening(np.arange(len(values)) / fps)
    return FaceClip(ARKIT_BLENDSHAPES, values, fps)


def captured(late_seconds: float, scale: float = 1.0, hidden: slice = slice(0, 0)) -> Capture:
    """A face whose lips do the same, late; hidden: frames in which it was not seen."""
    times = np.arange(200) / CAPTURE_FPS
    gap = (0.43 * scale * opening(times - late_seconds)).astype(np.float32)
    valid = np.ones(200, bool)
    valid[hidden] = False
    return Capture(FaceClip(ARKIT_BLENDSHAPES, np.zeros((200, 52)), CAPTURE_FPS), gap, valid)


def test_lips_that_are_late_are_moved_back():
    clip = predicted()
    for late in (-0.12, 0.0, 0.08):
        comparison = compare(clip, captured(late, scale=1.5))
        assert comparison.offset_ms == pytest.approx(1000 * late, abs=5)
        assert comparison.r > 0.99
        seen = np.isfinite(comparison.distance_mm)
        assert seen.mean() > 0.95 and len(comparison.distance_mm) == len(clip)
        wanted = 1.5 * clip.lip_distance_mm()
        assert np.abs(comparison.distance_mm - wanted)[seen].max() < 1.5  # mm


def test_frames_without_a_face_stay_empty():
    comparison = compare(predicted(), captured(0.0, hidden=slice(50, 100)))  # 1 to 2 s
    assert np.isnan(comparison.distance_mm[31:59]).all()
    assert np.isfinite(comparison.distance_mm[:29]).all() and np.isfinite(comparison.distance_mm[61:-1]).all()


def test_what_does_not_fit_is_not_moved():
    other = captured(0.0)
    noise = np.random.default_rng(0).random(200).astype(np.float32)
    comparison = compare(predicted(), Capture(other.clip, noise, other.valid))
    assert comparison.offset_ms == 0 and abs(comparison.r) < 0.4


def test_a_real_clip(clips):
    """MEAD's lips are early: clips.json says by about 60 ms in this one."""
    video = next((clips / "validation" / "natural").glob("W023_*.mp4"))
    waveform = load_audio(video)
    capture = watch_lips(video, len(waveform) / 16000)
    from bilabial import Animator

    comparison = compare(Animator.from_pretrained()((16000, waveform)), capture)
    assert comparison.r > 0.7 and -130 < comparison.offset_ms < -30


def test_a_container_whose_clock_begins_later(clips, tmp_path):
    video = clips / "validation" / "grid" / "lbax4n.mp4"
    later = shift(video, tmp_path / "later.mkv", 0.4)
    first, second = (watch_lips(path, 3.0) for path in (video, later))
    # Matroska has no edit list: 23 ms of the AAC encoder come before the sound
    assert np.corrcoef(first.lip_gap[:-1], second.lip_gap[1:])[0, 1] > 0.99


def shift(video: Path, path: Path, seconds: float) -> Path:
    """The same sound and pictures, all so much later on the file's clock."""
    with av.open(str(video)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                steps = round(seconds / packet.time_base)
                packet.pts, packet.dts = packet.pts + steps, packet.dts + steps
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return path


def test_another_recording_is_refused(tmp_path):
    image = np.zeros((64, 64, 3), np.uint8)
    video = write_video(tmp_path / "other.mp4", [k / 10 for k in range(20)], [image] * 20, 2.0)
    seconds = pytest.approx(2.0, abs=0.2)
    with refused("video_other_length", name="other.mp4", seconds=seconds, speech=3, limit=0.5):
        watch_lips(video, 3.0)
    with refused("face_missing", name="other.mp4", count=20):
        watch_lips(video, 2.0)
    with refused("video_missing", name="english_woman.flac"):
        watch_lips(EXAMPLE, 6.8)
    mute = write_video(tmp_path / "mute.mp4", [k / 10 for k in range(20)], [image] * 20)
    with refused("face_missing", name="mute.mp4"):
        watch_lips(mute, 2.0)
