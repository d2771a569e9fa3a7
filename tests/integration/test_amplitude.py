"""Gains of a style: as far as captured faces move, per coefficient, left and right alike, and in width."""

import numpy as np
import pytest
import torch
from support.errors import refused
from support.models import TINY, build_random
from support.rows import row, write_rows

from bilabial.checkpoint import load_checkpoint, save_checkpoint
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.io.head_landmarks import head_landmarks, mouth_measures
from bilabial.training.fit import amplitude
from bilabial.training.fit.amplitude import Pair

PUCKER = ARKIT_BLENDSHAPES.index("mouthPucker")


def moving(sizes: dict[str, float], seed: int = 0, num_frames: int = 400) -> np.ndarray:
    """Coefficients (T, 52) about 0.4 with these standard deviations; the same course for the same seed."""
    course = np.random.default_rng(seed).normal(0.0, 1.0, (num_frames, 52)).clip(-2, 2)
    spread = np.array([sizes.get(name, 0.05) for name in ARKIT_BLENDSHAPES])
    return 0.4 + course / course.std(axis=0) * spread


def pair(captured: dict[str, float], predicted: dict[str, float], other: tuple[str, ...] = ()) -> Pair:
    """A clip; the coefficients `other` are predicted wrongly, with another course."""
    own, told = moving(captured), moving(predicted)
    columns = [ARKIT_BLENDSHAPES.index(name) for name in other]
    told[:, columns] = moving(predicted, seed=1)[:, columns]
    return Pair(own, told, head_landmarks().show_lips(own))


def test_a_gain_is_the_ratio_of_spreads_of_what_is_followed():
    captured = {"mouthPucker": 0.1, "mouthSmileLeft": 0.2, "browInnerUp": 0.2, "mouthRollUpper": 0.01}
    captured |= {"mouthFunnel": 0.3, "mouthStretchLeft": 0.2, "mouthStretchRight": 0.2}
    predicted = {"mouthFunnel": 0.01}
    given = [pair(captured, predicted, ("mouthStretchLeft", "mouthStretchRight"))]
    gains = dict(zip(ARKIT_BLENDSHAPES, amplitude.gains_of(given), strict=True))
    assert gains["mouthPucker"] == pytest.approx(2.0)
    assert gains["mouthSmileLeft"] == gains["mouthSmileRight"] == pytest.approx(2.0)  # 4 and 1
    assert gains["browInnerUp"] == 1.0  # no mouth
    assert gains["mouthRollUpper"] == 1.0  # hardly moves
    assert gains["mouthStretchLeft"] == gains["mouthStretchRight"] == 1.0  # not followed
    assert gains["mouthFunnel"] == amplitude.GAINS[1]
    half = dict(zip(ARKIT_BLENDSHAPES, amplitude.gains_of(given, 0.5), strict=True))
    assert half["mouthPucker"] == pytest.approx(2.0**0.5, abs=1e-3)


def test_the_width_on_the_head_moves_as_far_as_filmed():
    given = [pair({"mouthPucker": 0.16}, {"mouthPucker": 0.08})]
    ones = [1.0] * 52
    factor = amplitude.width_factor(given, ones, [0.4] * 52)
    moved = given[0].predicted.copy()
    for name in amplitude.WIDTH:
        column = ARKIT_BLENDSHAPES.index(name)
        moved[:, column] = (0.4 + factor * (moved[:, column] - 0.4)).clip(0, 1)
    film = mouth_measures(given[0].lips)["width"].std()
    assert factor > 1.2
    assert mouth_measures(head_landmarks().show_lips(moved))["width"].std() == pytest.approx(film, rel=0.05)


@pytest.fixture
def filmed(speech, tmp_path) -> tuple[str, str, float]:
    """A model, a data set of one face that moves one and a half times as far, and the model's spread."""
    model = build_random(BilabialConfig(**TINY))
    start = save_checkpoint(model, BilabialFeatureExtractor(), tmp_path / "start")
    told = model.animate(torch.from_numpy(speech[:64000]), 16000, fps=50.0).numpy()
    wide = np.clip(told.mean(axis=0) + 1.5 * (told - told.mean(axis=0)), 0.0, 1.0).astype(np.float32)
    lips = head_landmarks().show_lips(wide).reshape(len(wide), -1).astype(np.float32)
    one = row("a", speech[:64000]) | {"coefficients": list(wide), "valid": [True] * len(wide)}
    one |= {"lip_gap": np.zeros(len(wide), np.float32), "fps": 50.0, "lips": list(lips)}
    return str(start), str(write_rows(tmp_path / "set", train=[one])), float(told[:, PUCKER].std())


def test_the_model_then_moves_as_far_as_the_faces(filmed, speech, tmp_path):
    start, data, spread = filmed
    assert spread > amplitude.LEAST_SPREAD
    amplitude.scale_amplitude(amplitude.AmplitudeArguments([data], tmp_path / "out", start))
    louder, _ = load_checkpoint(tmp_path / "out" / "model")
    assert 1.2 < louder.config.style_gains["default"][PUCKER] < 1.8
    moved = louder.animate(torch.from_numpy(speech[:64000]), 16000, fps=50.0).numpy()
    assert moved[:, PUCKER].std() > 1.15 * spread
    first = str(tmp_path / "out" / "model")
    amplitude.scale_amplitude(amplitude.AmplitudeArguments([data], tmp_path / "again", first))
    again, _ = load_checkpoint(tmp_path / "again" / "model")
    assert again.config.style_gains == louder.config.style_gains  # not gains of gains


def test_what_cannot_be_measured_is_refused(filmed, speech, tmp_path):
    start, _, _ = filmed
    with refused("style_name", accepted="default, other", got="'opera'"):
        amplitude.scale_amplitude(amplitude.AmplitudeArguments(["none"], tmp_path, start, style="opera"))
    old = str(write_rows(tmp_path / "old", train=[row("a", speech[:32000])]))
    with refused("data_no_lips"):
        amplitude.scale_amplitude(amplitude.AmplitudeArguments([old], tmp_path / "new", start))
