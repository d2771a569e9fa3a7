import numpy as np
import pytest
from support.errors import refused

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.capture import capture_video
from bilabial.io.mouth_close import CONVENTIONS, convert, detect

NAMES = ("jawOpen", "mouthClose")
WORDS = ("bbaf2n", "bbaf3s", "bbaf4p", "bbaf5a")


def speech(num_frames: int = 600, seed: int = 0, noise: float = 0.1) -> np.ndarray:
    """Jaw (T,) and how far the lips are apart (T,): two syllables a second, each with a seal."""
    rng = np.random.default_rng(seed)
    phase = np.arange(num_frames) / 50 * 2 * np.pi * 2
    jaw = 0.05 + 0.15 * (1 - np.cos(phase)) * rng.uniform(0.8, 1.2)
    apart = np.where(np.cos(phase) > 0.8, 0.0, jaw * 0.9)
    return np.stack([jaw, apart]) * (1 + noise * rng.standard_normal((2, num_frames))).clip(0.5, 1.5)


def clip_of(jaw: np.ndarray, close: np.ndarray) -> FaceClip:
    return FaceClip(NAMES, np.stack([jaw, close], axis=1).clip(0, 1), 50)


def written_as(convention: str, jaw: np.ndarray, apart: np.ndarray) -> FaceClip:
    close = np.maximum(jaw - apart, 0)
    if convention == "audio2face":
        return clip_of(jaw - close, close)
    return clip_of(jaw, close if convention == "arkit" else 0.5 * close)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_convention_is_seen(convention):
    assert detect([written_as(convention, *speech(seed=seed)) for seed in range(3)]) == convention


def test_a_phones_recording_is_arkits(clips):
    assert detect([FaceClip.from_csv(clips / "livelink" / "rom_30fps.csv")]) == "arkit"


def test_captures_are_mediapipes_and_what_is_made_of_them_is_not(clips):
    captures = [
        capture_video(clips / "grid" / "s1" / f"{name}.mp4", 50.0, method="mediapipe") for name in WORDS
    ]
    assert detect([capture.clip for capture in captures]) == "mediapipe"
    for convention in ("arkit", "audio2face"):
        apart = [np.maximum(capture.lip_gap - 0.012, 0) / 0.43 for capture in captures]
        jaws = [np.maximum(one.clip["jawOpen"], gap) for one, gap in zip(captures, apart, strict=True)]
        made = [written_as(convention, jaw, gap) for jaw, gap in zip(jaws, apart, strict=True)]
        assert detect(made) == convention


@pytest.mark.parametrize(
    "jaw, close, code, values",
    [
        (np.full(100, 0.3), np.zeros(100), "mouth_close_few", {"count": 100, "least": 250}),
        (np.zeros(600), np.zeros(600), "mouth_close_few", {"count": 0}),
        (np.full(600, 0.3), np.full(600, 0.01), "mouth_close_unclear", {"share": 0.0}),
        (
            np.full(600, 0.3),
            np.r_[np.full(6, 0.3), np.full(594, 0.1)],
            "mouth_close_unclear",
            {"share": 0.01},
        ),
    ],
)
def test_what_does_not_tell_is_said(jaw, close, code, values):
    with refused(code, **values, accepted="arkit, audio2face, mediapipe"):
        detect([clip_of(jaw, close)])


@pytest.mark.parametrize("convention", ["arkit", "audio2face"])
def test_the_lip_distance_is_right_after_conversion(convention):
    jaw, apart = speech(noise=0.0)
    clip = convert(written_as(convention, jaw, apart), convention)
    values = np.zeros((len(clip), 52), np.float32)
    values[:, [ARKIT_BLENDSHAPES.index(name) for name in NAMES]] = clip.values
    assert FaceClip(ARKIT_BLENDSHAPES, values, 50).lip_distance_mm() == pytest.approx(38 * apart, abs=1e-3)
    assert clip["jawOpen"] == pytest.approx(jaw)


def test_mediapipes_curves_stay_and_phones_overshoot_is_cut():
    clip = clip_of(np.full(3, 0.2), np.full(3, 0.3))
    assert convert(clip, "mediapipe") is clip
    assert convert(clip, "arkit")["mouthClose"] == pytest.approx(0.2 / 1.05)
    assert convert(clip_of(np.full(3, 0.7), np.full(3, 0.6)), "audio2face")["jawOpen"].max() == 1.0
    with refused("mouth_close_name", accepted="arkit, audio2face, mediapipe", got="'apple'"):
        convert(clip, "apple")
