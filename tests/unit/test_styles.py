import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from support.errors import refused

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, LIP_DISTANCE_WEIGHTS
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.expression_bilabial import (
    STYLE_GROUPS,
    STYLE_PRESETS,
    preset_style_stats,
    reference_style_stats,
    restyle,
)
from bilabial.hub.lips_bilabial import lip_distance

WEIGHTS = LIP_DISTANCE_WEIGHTS["measured"]
JAW, CLOSE, BROW = (ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "mouthClose", "browInnerUp"))
LOOK = ARKIT_BLENDSHAPES.index("eyeLookUpLeft")


def speech(num_frames: int = 200) -> torch.Tensor:
    """A jaw that opens and closes, a moving brow, moving eyes; lips are sealed in every fourth frame."""
    time = torch.arange(num_frames) / 25
    values = torch.zeros(num_frames, 52)
    values[:, JAW] = 0.15 + 0.1 * torch.sin(7 * time)
    values[:, BROW] = 0.2 + 0.05 * torch.sin(3 * time)
    values[:, LOOK] = 0.3 + 0.2 * torch.sin(time)
    values[::4, CLOSE] = values[::4, JAW]
    return values


def distance(values: torch.Tensor) -> torch.Tensor:
    return lip_distance(values, ARKIT_BLENDSHAPES, WEIGHTS)


def apply(values: torch.Tensor, style_stats: torch.Tensor) -> torch.Tensor:
    return restyle(values, style_stats, speech().mean(dim=0), ARKIT_BLENDSHAPES, WEIGHTS)


def test_no_manner_changes_nothing():
    assert torch.equal(apply(speech(), torch.zeros(2, 52)), speech())


@pytest.mark.parametrize("name", STYLE_PRESETS)
def test_presets_never_unseal(name):
    style_stats = torch.from_numpy(preset_style_stats(name, ARKIT_BLENDSHAPES))
    styled = apply(speech(), style_stats)
    assert styled.min() >= 0 and styled.max() <= 1
    gain = STYLE_PRESETS[name].get("opening", 1.0)
    assert torch.allclose(distance(styled), distance(speech()) * gain, atol=2e-3)
    assert distance(styled)[::4].max() < 1e-6
    assert not torch.allclose(styled, speech())


def test_every_key_of_a_preset_means_something():
    for preset in STYLE_PRESETS.values():
        assert set(preset) <= set(STYLE_GROUPS) | set(ARKIT_BLENDSHAPES)
    for beginnings in STYLE_GROUPS.values():
        for beginning in beginnings:
            assert any(name.startswith(beginning) for name in ARKIT_BLENDSHAPES), beginning


def test_what_an_emotion_adds_keeps_its_size():
    """A style_stats scales speech; how strong an emotion is, its intensity says."""
    own = speech()
    smiling = own.clone()
    smile = ARKIT_BLENDSHAPES.index("mouthSmileLeft")
    smiling[:, smile] = own[:, smile] + 0.4
    style_stats = torch.zeros(2, 52)
    style_stats[1, smile] = np.log(3.0)
    plain = restyle(own, style_stats, own.mean(dim=0), ARKIT_BLENDSHAPES, WEIGHTS)
    styled = restyle(smiling, style_stats, own.mean(dim=0), ARKIT_BLENDSHAPES, WEIGHTS, own)
    assert torch.allclose(styled[:, smile], (plain[:, smile] + 0.4).clamp(0, 1), atol=1e-6)


def test_a_reference_gives_its_mean_and_amplitude():
    own, person = speech(), speech()
    person[:, BROW] = 0.5 + 2.0 * (person[:, BROW] - 0.2)
    person[:, JAW] = 0.15 + 1.5 * (person[:, JAW] - 0.15)
    person[:, LOOK] = 0.9
    style_stats = reference_style_stats(person, ARKIT_BLENDSHAPES, own.mean(dim=0), own.std(dim=0))
    styled = apply(own, style_stats)
    assert styled[:, BROW].mean() == pytest.approx(0.5, abs=0.01)
    assert styled[:, BROW].std() == pytest.approx(float(person[:, BROW].std()), rel=0.1)
    assert distance(styled).std() > 1.3 * distance(own).std()
    assert torch.equal(styled[:, LOOK], own[:, LOOK])  # where somebody looked is not how they speak


def test_what_does_not_move_in_either_is_not_amplified():
    own = speech()
    own[:, 20] = 0.001 * torch.rand(200)
    person = own.clone()
    person[:, 20] = 0.003 * torch.rand(200)
    style_stats = reference_style_stats(person, ARKIT_BLENDSHAPES, own.mean(dim=0), own.std(dim=0))
    assert style_stats[1, 20] == 0


# ---- in the model


def with_statistics(model):
    model.config.channel_means, model.config.channel_spreads = [0.5] * 52, [0.02] * 52
    return model


def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, 32000).astype(np.float32)


def test_styles_by_name_amount_and_vector(tiny_model):
    model = with_statistics(tiny_model)
    assert model.style_names[:2] == ["default", "other"] and "articulate" in model.style_names
    default, lively = model.encode_style(), model.encode_style("lively")
    assert torch.equal(model.encode_style({"lively": 0.0}), default)
    assert torch.allclose(model.encode_style({"lively": 0.5}), (default + lively) / 2)
    mixed = model.encode_style({"lively": 0.5, "other": 1.0})
    assert torch.allclose(mixed, model.encode_style("other") + (lively - default) / 2, atol=1e-6)
    assert torch.equal(
        model.animate(noise(), 16000, style=lively), model.animate(noise(), 16000, style="lively")
    )
    assert not torch.equal(model.animate(noise(), 16000, style="lively"), model.animate(noise(), 16000))


def test_a_reference_style_moves_the_face_its_way(tiny_model):
    model = with_statistics(tiny_model)
    plain = model.animate(noise(), 16000)
    person = plain.clone()
    person[:, BROW] = (person[:, BROW] * 0.5).clamp(0, 1)
    styled = model.animate(noise(), 16000, style=model.reference_style(person))
    assert abs(styled[:, BROW].mean() - person[:, BROW].mean()) < abs(
        plain[:, BROW].mean() - person[:, BROW].mean()
    )


def test_gains_of_the_default_style_are_the_origin_of_all_others(tiny_model):
    """The default moves as far as its gains say; presets and references start from it, `other` does not."""
    model = with_statistics(tiny_model)
    plain = {name: model.encode_style(name) for name in ("default", "other", "lively")}
    slow = model.animate(noise(), 16000)
    gains = [1.0] * 52
    gains[BROW] = 2.0
    model.config.style_gains = {"default": gains}
    moved = torch.zeros_like(plain["default"])
    moved[model.config.style_size + 52 + BROW] = np.log(2.0)
    assert torch.allclose(model.encode_style(), plain["default"] + moved)
    assert torch.allclose(model.encode_style("lively"), plain["lively"] + moved)
    assert torch.equal(model.encode_style("other"), plain["other"])
    fast = model.animate(noise(), 16000)
    expected = (0.5 + 2.0 * (slow[:, BROW] - 0.5)).clamp(0, 1)
    assert torch.allclose(fast[:, BROW], expected, atol=1e-5)
    reference = fast.clone()
    model.config.channel_means = fast.mean(dim=0).tolist()
    model.config.channel_spreads = fast.std(dim=0).tolist()
    assert torch.allclose(model.reference_style(reference), model.encode_style(), atol=1e-3)


@pytest.mark.parametrize(
    "gains", [{"opera": [1.0] * 52}, {"default": [1.0] * 51}, {"default": [0.0] + [1.0] * 51}]
)
def test_wrong_gains_are_refused(gains):
    with pytest.raises(StrictDataclassClassValidationError, match="style_gains"):
        BilabialConfig(style_gains=gains)


@pytest.mark.parametrize(
    "style, code, values",
    [
        (
            "opera",
            "style_name",
            {"accepted": ", ".join(("default", "other", *STYLE_PRESETS)), "got": "'opera'"},
        ),
        ({"lively": 3}, "style_amount", {"name": "lively", "limit": 1.5, "got": "3"}),
        (7, "style_kind", {"got": "7"}),
    ],
)
def test_wrong_styles_are_refused(tiny_model, style, code, values):
    with refused(code, **values):
        tiny_model.encode_style(style)


def test_a_style_vector_of_another_size_is_refused(tiny_model):
    with pytest.raises(ValueError, match=r"108 .* got shape \(3,\)"):
        tiny_model.encode_style(torch.zeros(3))


def test_wrong_references_are_refused(tiny_model):
    with refused("reference_shape", count=52, got="(5, 52)"):
        with_statistics(tiny_model).reference_style(np.zeros((5, 52)))
    tiny_model.config.channel_means = None
    with pytest.raises(ValueError, match="channel_means"):
        tiny_model.reference_style(np.zeros((50, 52)))
