import copy
import json

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError
from support.errors import refused
from support.models import build_random

import bilabial.hub.blendshapes_bilabial as blendshapes
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.expression_bilabial import STYLE_PRESETS
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.lips_bilabial import EMOTION_OPENING, closure_of_labels, lip_distance
from bilabial.hub.modeling_bilabial import BilabialModel

STYLES = ", ".join(("default", "other", *STYLE_PRESETS))  # of the tiny model


def noise(seconds: float, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, int(seconds * 16000), generator=torch.Generator().manual_seed(0)) * 0.1


def test_output_shapes_and_range(tiny_model):
    output = tiny_model(noise(1.01, batch=2))
    assert output.coefficients.shape == (2, 51, 52)  # ceil(1.01 s * 50 Hz)
    assert output.lip_distance.shape == (2, 51)
    assert output.coefficients.min() >= 0 and output.coefficients.max() <= 1
    assert output.loss is None


def test_reach_is_exact_and_bounded(tiny_model):
    """Sound beyond the stated look-ahead and history changes nothing; sound within does."""
    config, frame = tiny_model.config, 100
    sound = noise(4.0)
    expected = tiny_model(sound).coefficients
    ahead = sound.clone()
    ahead[:, int(frame * 320 + config.lookahead_seconds * 16000) + 1 :] = 0
    changed = (tiny_model(ahead).coefficients - expected).abs().amax(dim=(0, 2))
    assert changed[: frame + 1].max() == 0
    assert changed[frame + 1 : frame + 3].max() > 0
    before = sound.clone()
    before[:, : int(frame * 320 - config.history_seconds * 16000)] = 0
    changed = (tiny_model(before).coefficients - expected).abs().amax(dim=(0, 2))
    assert changed[frame:].max() < 1e-6
    assert changed[frame - 3 : frame].max() > 1e-6


def test_default_reach_is_within_the_design():
    config = BilabialConfig()
    assert config.lookahead_seconds <= 0.2
    assert config.history_seconds <= 2.0
    assert sum(weights.numel() for weights in BilabialModel(config).encoder.parameters()) <= 6e6


@pytest.mark.parametrize(
    "change",
    [
        {"encoder_conv_frames": [0, 0], "encoder_attention_frames": [4, 2]},
        {"encoder_conv_frames": [3, 2], "encoder_attention_frames": [0, 0]},
        {"encoder_layers": 3, "kernel_size": 1},
        {"decoder_dilations": [1, 3], "kernel_size": 3},
        {"encoder_conv_frames": [2, 0], "stem_lookahead_frames": 1},
        {"stem_lookahead_frames": 2},
    ],
)
def test_every_part_of_the_reach_is_counted(tiny_config, change):
    """A frame hears as far as stated, less the faint ends of an analysis window, and no sample further."""
    model, frame = build_random(BilabialConfig(**{**tiny_config.to_dict(), **change})), 60
    sound = noise(2.4).requires_grad_()
    model(sound).coefficients[0, frame].square().sum().backward()
    reached = sound.grad[0].nonzero()[:, 0] - frame * 320
    config = model.config
    ahead, back = (round(16000 * reach) for reach in (config.lookahead_seconds, config.history_seconds))
    assert ahead - 10 <= reached.max() <= ahead and -back <= reached.min() <= 10 - back


@pytest.mark.parametrize("chunk_frames", [1, 7, 101])
def test_pieces_equal_the_whole(tiny_model, monkeypatch, chunk_frames):
    sound = noise(2.3)[0].numpy()
    whole = tiny_model.animate(sound, 16000)
    monkeypatch.setattr(blendshapes, "CHUNK_FRAMES", chunk_frames)
    assert torch.allclose(tiny_model.animate(sound, 16000), whole, atol=1e-5)


def test_padding_does_not_leak(tiny_model):
    """Frames whose look-ahead falls into padding are the same without it."""
    long, short = noise(2.0)[0], noise(2.0)[0, :20000]
    batch = torch.stack([long, torch.cat([short, torch.full((12000,), 5.0)])])
    mask = torch.ones(2, 32000, dtype=torch.long)
    mask[1, 20000:] = 0
    padded = tiny_model(batch, mask).coefficients[1, :63]
    assert torch.allclose(padded, tiny_model(short[None]).coefficients[0], atol=1e-5)


def test_frame_order_matters(tiny_model):
    sound = noise(1.0)
    assert not torch.allclose(tiny_model(sound).coefficients.flip(1), tiny_model(sound.flip(1)).coefficients)


@pytest.mark.parametrize("fps, frames", [(30, 90), (25, 75), (60, 180), (29.97, 90), (1, 3), (240, 720)])
def test_animate_at_any_rate(tiny_model, fps, frames):
    assert tiny_model.animate(noise(3.0)[0], 16000, fps=fps).shape == (frames, 52)


def test_animate_interpolates_between_internal_frames(tiny_model):
    sound = noise(1.0)[0]
    internal = tiny_model.animate(sound, 16000, fps=50)
    twice = tiny_model.animate(sound, 16000, fps=100)
    assert torch.allclose(twice[::2], internal, atol=1e-6)
    assert torch.allclose(twice[1:-1:2], (internal[:-1] + internal[1:]) / 2, atol=1e-6)


def test_animate_normalizes_level(tiny_model):
    sound = noise(1.0)[0]
    assert torch.allclose(
        tiny_model.animate(sound, 16000), tiny_model.animate(sound * 0.05, 16000), atol=1e-4
    )


@pytest.mark.parametrize(
    "change, code, values",
    [
        ({"fps": 0}, "fps_range", {"low": 1, "high": 240, "got": "0"}),
        ({"fps": 1000}, "fps_range", {"low": 1, "high": 240, "got": "1000"}),
        ({"emotion": "hungry"}, "emotion_name", {"accepted": ", ".join(EMOTIONS), "got": "'hungry'"}),
        ({"emotion": {"happy": -1.0}}, "emotion_share", {"name": "happy", "got": "-1.0"}),
        ({"intensity": 3.0}, "intensity_range", {"limit": 1.5, "got": "3.0"}),
        ({"style": "opera"}, "style_name", {"accepted": STYLES, "got": "'opera'"}),
    ],
)
def test_animate_refuses(tiny_model, change, code, values):
    with refused(code, **values):
        tiny_model.animate(np.zeros(16000), **({"sampling_rate": 16000} | change))


@pytest.mark.parametrize(
    "waveform, rate, message",
    [
        (np.zeros(16000), 44100, "16000 Hz, got 44100"),
        (np.zeros(0), 16000, r"got shape \(0,\)"),
        (np.array([0.0, np.nan]), 16000, r"got shape \(2,\)"),
    ],
)
def test_animate_refuses_other_sound(tiny_model, waveform, rate, message):
    with pytest.raises(ValueError, match=message):
        tiny_model.animate(waveform, rate)


def test_emotion_and_style_steer_the_face(tiny_model):
    sound = noise(1.0)[0]
    neutral = tiny_model.animate(sound, 16000)
    assert not torch.equal(tiny_model.animate(sound, 16000, emotion="happy"), neutral)
    assert not torch.equal(tiny_model.animate(sound, 16000, style="other"), neutral)
    assert torch.equal(tiny_model.animate(sound, 16000, emotion="happy", intensity=0.0), neutral)
    mixed = tiny_model.animate(sound, 16000, emotion={"happy": 1.0, "sad": 0.0})
    assert torch.equal(mixed, tiny_model.animate(sound, 16000, emotion="happy"))


def test_emotion_may_vary_over_time(tiny_model):
    sound = noise(1.0)
    steady = tiny_model.encode_emotion("angry")[None]
    constant = tiny_model(sound, emotion=steady[:, None].expand(-1, 50, -1)).coefficients
    assert torch.allclose(constant, tiny_model(sound, emotion=steady).coefficients, atol=1e-6)


@pytest.mark.parametrize(
    "emotion", [*EMOTIONS[1:], {"happy": 0.5, "sad": 0.5}, [(0, "angry"), (1.0, "happy")]]
)
def test_emotions_never_unseal_nor_seal(tiny_model, emotion):
    """Whatever a model has learned: the opening that the speech asks for is changed within bounds."""
    names, weights = list(ARKIT_BLENDSHAPES), tiny_model.config.lip_distance_weights
    sound = noise(2.0)[0]
    with torch.no_grad():
        tiny_model.head.weight.mul_(20)  # a mouth that opens and closes
        tiny_model.expression.weight.mul_(3)
    neutral = lip_distance(tiny_model.animate(sound, 16000), names, weights)
    emotional = lip_distance(tiny_model.animate(sound, 16000, emotion=emotion, intensity=1.5), names, weights)
    assert 0.05 < (neutral == 0).float().mean() < 0.95
    assert emotional[neutral == 0].max() < 1e-5
    apart = neutral > 0.01
    low, high = EMOTION_OPENING
    assert (emotional[apart] >= low * neutral[apart] - 1e-4).all()
    assert (emotional[apart] <= high * neutral[apart] + 1e-4).all()


def test_a_schedule_is_its_emotions_one_after_another(tiny_model, monkeypatch):
    sound = noise(4.0)[0]
    whole = tiny_model.animate(sound, 16000, emotion=[(0, "neutral"), (2, "angry")])
    assert torch.allclose(whole[:40], tiny_model.animate(sound, 16000)[:40], atol=1e-5)
    assert torch.allclose(whole[80:], tiny_model.animate(sound, 16000, emotion="angry")[80:], atol=1e-5)
    monkeypatch.setattr(blendshapes, "CHUNK_FRAMES", 17)
    pieces = tiny_model.animate(sound, 16000, emotion=[(0, "neutral"), (2, "angry")])
    assert torch.allclose(pieces, whole, atol=1e-5)


def test_untrained_emotions_change_nothing(tiny_config):
    """Modulation starts at zero, in blocks that otherwise have learned."""
    model = BilabialModel(tiny_config).eval()
    for block in model.decoder:
        torch.nn.init.xavier_uniform_(block.narrow.weight)
    sound = noise(1.0)[0]
    assert torch.allclose(
        model.animate(sound, 16000, emotion="angry"), model.animate(sound, 16000), atol=1e-5
    )
    assert torch.equal(model.animate(sound, 16000, style="other"), model.animate(sound, 16000))


def labeled(batch: int = 2) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {"input_values": noise(1.0, batch), "labels": torch.rand(batch, 50, 52, generator=generator) * 0.3}


def test_masked_frames_and_channels_never_count(tiny_model):
    inputs = labeled()
    frames, channels = torch.ones(2, 50), torch.ones(2, 52)
    frames[:, 40:], channels[:, -1] = 0, 0
    before = tiny_model(**inputs, label_mask=frames, channel_mask=channels)
    inputs["labels"] = inputs["labels"].clone()
    inputs["labels"][:, 41:], inputs["labels"][:, :, -1] = 0.9, 0.9
    after = tiny_model(**inputs, label_mask=frames, channel_mask=channels)
    for name, term in before.loss_terms.items():
        assert torch.equal(term, after.loss_terms[name]), name


def test_lips_do_not_count_where_the_capture_cannot_see_them(tiny_model):
    channels = torch.ones(2, 52)
    channels[:, ARKIT_BLENDSHAPES.index("mouthClose")] = 0
    terms = tiny_model(**labeled(), channel_mask=channels).loss_terms
    assert terms["closure"] == 0 and terms["keep_open"] == 0 and terms["mse"] > 0


def test_loss_is_the_weighted_sum_of_its_terms(tiny_model):
    output, config = tiny_model(**labeled()), tiny_model.config
    expected = sum(getattr(config, f"{name}_weight") * term for name, term in output.loss_terms.items())
    assert torch.allclose(output.loss, expected)
    assert output.closure.shape == (2, 50)


def test_training_closes_the_lips(tiny_config):
    """A few steps on sealed labels bring the predicted lips together; without the second loss less so."""
    distances = {}
    for weight in (0.0, 5.0):
        torch.manual_seed(0)
        model = BilabialModel(BilabialConfig(**{**tiny_config.to_dict(), "closure_weight": weight}))
        with torch.no_grad():
            model.head.bias[ARKIT_BLENDSHAPES.index("jawOpen")] = 0.5
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        for _ in range(15):
            output = model(noise(0.5), labels=torch.zeros(1, 25, 52))
            optimizer.zero_grad()
            output.loss.backward()
            optimizer.step()
        distances[weight] = model(noise(0.5)).lip_distance.mean().item()
    assert distances[5.0] < distances[0.0] < 0.5


def test_unseen_blendshapes_stay_at_rest(tiny_config):
    tiny_config.unseen_blendshapes = ["cheekPuff"]
    model = BilabialModel(tiny_config).eval()
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.ones_(model.head.bias)
    coefficients = model(noise(0.5)).coefficients
    assert coefficients[..., ARKIT_BLENDSHAPES.index("cheekPuff")].abs().max() == 0
    assert coefficients[..., ARKIT_BLENDSHAPES.index("jawOpen")].min() > 0


def test_closure_modes(tiny_model):
    labels = torch.zeros(1, 1, 52)
    for name in ("mouthUpperUpLeft", "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight"):
        labels[..., ARKIT_BLENDSHAPES.index(name)] = 0.9  # teeth shown over a closed jaw
    assert closure_of_labels(labels, tiny_model.config).item() == pytest.approx(1.0)
    tiny_model.config.closure_mode = "distance"
    assert closure_of_labels(labels, tiny_model.config).item() == 0.0


# ---- configuration


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"closure_ratio_low": 0.7}, "closure_ratio_low .* closure_ratio_high"),
        ({"styles": ["a", "a"]}, r"styles .* got \['a', 'a'\]"),
        ({"unseen_blendshapes": ["jawopen"]}, r"unseen_blendshapes .*'jawopen'"),
        ({"frame_hop_samples": 321}, "frame_hop_samples .* got 321"),
        ({"kernel_size": 0}, "kernel_size .* 1, got 0"),
        ({"encoder_layers": 0}, "encoder_layers .* 1, got 0"),
        ({"encoder_heads": 0}, "encoder_heads .* 1, got 0"),
        ({"encoder_heads": 5}, "encoder_size .* encoder_heads, got 144 and 5"),
        ({"stem_lookahead_frames": -1}, "stem_lookahead_frames .* 0, got -1"),
        ({"encoder_conv_frames": [1]}, r"encoder_conv_frames .* got \[1\]"),
        ({"encoder_attention_frames": [-1, 0]}, r"encoder_attention_frames .* got \[-1, 0\]"),
        ({"decoder_dilations": [0]}, r"decoder_dilations .* 1, got \[0\]"),
    ],
)
def test_configuration_is_checked(fields, message):
    with pytest.raises(StrictDataclassClassValidationError, match=message):
        BilabialConfig(**fields)


def test_configuration_round_trip(tmp_path):
    config = BilabialConfig(hidden_size=32, closure_form="linear", styles=["default", "x"])
    config.save_pretrained(tmp_path)
    read = BilabialConfig.from_pretrained(tmp_path)
    assert (read.hidden_size, read.closure_form, list(read.styles)) == (32, "linear", ["default", "x"])
    assert json.loads((tmp_path / "config.json").read_text())["blendshapes"] == list(ARKIT_BLENDSHAPES)
    assert EMOTIONS[0] == "neutral"


def test_save_and_load(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    loaded = BilabialModel.from_pretrained(tmp_path)
    sound = noise(1.0)
    loaded = copy.deepcopy(loaded)  # aligned in memory, as what was built: else sums may differ by a bit
    assert torch.equal(loaded(sound).coefficients, tiny_model(sound).coefficients)
    for name, buffer in tiny_model.named_buffers():
        assert torch.equal(dict(loaded.named_buffers())[name], buffer), name


# ---- feature extractor


def test_features():
    extractor = BilabialFeatureExtractor()
    batch = extractor([np.ones(100) * 0.1, np.ones(60) * 0.1], sampling_rate=16000, return_tensors="pt")
    assert batch.input_values.shape == (2, 100)
    assert batch.attention_mask.sum(dim=1).tolist() == [100, 60]
    assert batch.input_values[1, 60:].abs().max() == 0


@pytest.mark.parametrize(
    "speech, rate, message",
    [
        (np.zeros(100), 44100, "16000 Hz, got 44100"),
        (np.zeros(100), None, "16000 Hz, got None"),
        (np.zeros(0), 16000, r"got \(0,\)"),
        (np.zeros((100, 2)), 16000, r"got \(100, 2\)"),
        (np.array([np.nan]), 16000, "NaN"),
    ],
)
def test_feature_extractor_refuses(speech, rate, message):
    with pytest.raises(ValueError, match=message):
        BilabialFeatureExtractor()(speech, sampling_rate=rate)
