"""Gains of a style: as far as captured faces move, per coefficient, left and right alike."""

import amplitude
import numpy as np
import pytest
import torch
from conftest import build_random
from test_data import row
from test_finetune import TINY
from test_robust_training import write_rows

from bilabial.checkpoint import load_checkpoint, save_checkpoint
from bilabial.data import load_rows
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor

PUCKER, SMILE, BROW = (
    ARKIT_BLENDSHAPES.index(name) for name in ("mouthPucker", "mouthSmileLeft", "browInnerUp")
)


def test_a_gain_is_the_ratio_of_spreads_within_bounds():
    captured, predicted = np.full((5, 52), 0.1), np.full((5, 52), 0.1)
    captured[:, PUCKER] = 0.2
    captured[:, SMILE], predicted[:, SMILE] = 0.4, 0.1  # the right smile is as captured
    captured[:, BROW] = 0.3  # no mouth
    captured[:, ARKIT_BLENDSHAPES.index("mouthFunnel")] = 9.0
    captured[:, ARKIT_BLENDSHAPES.index("mouthRollUpper")] = 0.01  # hardly moves
    gains = dict(zip(ARKIT_BLENDSHAPES, amplitude.gains_of(captured, predicted), strict=True))
    assert gains["mouthPucker"] == pytest.approx(2.0)
    assert gains["mouthSmileLeft"] == gains["mouthSmileRight"] == pytest.approx(2.0)
    assert gains["browInnerUp"] == gains["mouthRollUpper"] == 1.0
    assert gains["mouthFunnel"] == amplitude.GAINS[1]
    half = dict(zip(ARKIT_BLENDSHAPES, amplitude.gains_of(captured, predicted, 0.5), strict=True))
    assert half["mouthPucker"] == pytest.approx(2.0**0.5, abs=1e-3)


def test_the_model_then_moves_as_far_as_the_faces(speech, tmp_path):
    model = build_random(BilabialConfig(**TINY))
    start = save_checkpoint(model, BilabialFeatureExtractor(), tmp_path / "start")
    told = model.animate(torch.from_numpy(speech[:64000]), 16000, fps=50.0).numpy()
    spread = told[:, PUCKER].std()
    wide = np.clip(0.5 + 1.5 * (told - told.mean(axis=0)), 0.0, 1.0)
    one = row("a", speech[:64000]) | {"coefficients": list(wide), "valid": [True] * len(wide)}
    one |= {"lip_gap": np.zeros(len(wide), np.float32), "fps": 50.0}
    data = write_rows(tmp_path / "set", train=[one])
    assert spread > amplitude.LEAST_SPREAD
    arguments = amplitude.AmplitudeArguments([str(data)], tmp_path / "out", str(start))
    amplitude.main(arguments)
    louder, _ = load_checkpoint(tmp_path / "out" / "model")
    assert louder.config.style_gains["default"][PUCKER] == pytest.approx(1.5, abs=0.05)
    moved = louder.animate(torch.from_numpy(speech[:64000]), 16000, fps=50.0).numpy()
    assert moved[:, PUCKER].std() > 1.3 * spread
    assert louder.config.channel_spreads[PUCKER] == pytest.approx(moved[:, PUCKER].std(), rel=0.1)
    amplitude.main(
        amplitude.AmplitudeArguments([str(data)], tmp_path / "again", str(tmp_path / "out" / "model"))
    )
    again, _ = load_checkpoint(tmp_path / "again" / "model")
    assert again.config.style_gains == louder.config.style_gains  # not gains of gains
    assert len(load_rows(data)["train"]) == 1


def test_a_style_that_the_model_lacks_is_refused(speech, tmp_path):
    start = save_checkpoint(
        build_random(BilabialConfig(**TINY)), BilabialFeatureExtractor(), tmp_path / "start"
    )
    with pytest.raises(SystemExit, match="--style must be one of default, other, got 'opera'"):
        amplitude.main(amplitude.AmplitudeArguments(["none"], tmp_path, str(start), style="opera"))
