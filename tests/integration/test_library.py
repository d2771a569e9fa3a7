"""What users of torch and transformers take for granted: precisions, attention, style vectors, ONNX."""

import numpy as np
import pytest
import torch
from support.models import build_random

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.modeling_bilabial import BilabialModel

HALVES = [torch.float16, torch.bfloat16]


def noise(batch: int = 1, samples: int = 16000) -> torch.Tensor:
    return torch.randn(batch, samples, generator=torch.Generator().manual_seed(0)) * 0.1


# ---- precision


@pytest.mark.parametrize("dtype", HALVES)
def test_weights_of_half_precision(tiny_model, dtype):
    """Made so after loading, and sound of either precision."""
    single = tiny_model(noise()).coefficients
    animated = tiny_model.animate(noise()[0], 16000, "happy")
    half = tiny_model.to(dtype)
    for sound in (noise(), noise().to(dtype)):
        output = half(sound)
        assert output.coefficients.dtype == output.lip_distance.dtype == torch.float32
        assert (output.coefficients - single).abs().max() < 0.03
    assert (half.animate(noise()[0], 16000, "happy") - animated).abs().max() < 0.03
    assert half.animate(noise()[0].to(dtype), 16000, "sad", style=half.encode_style("lively")).shape[1] == 52


@pytest.mark.parametrize("dtype", HALVES)
def test_loaded_in_half_precision(tiny_model, tmp_path, dtype):
    tiny_model.save_pretrained(tmp_path)
    half = BilabialModel.from_pretrained(tmp_path, dtype=dtype)
    assert half.dtype == dtype
    assert (half(noise()).coefficients - tiny_model(noise()).coefficients).abs().max() < 0.03


@pytest.mark.parametrize("dtype", HALVES)
def test_the_loss_in_half_precision(tiny_model, dtype):
    """Its sums do not overflow: 80,000 cells are more than float16 can count."""
    sound, labels = noise(2, 256000), torch.full((2, 800, 52), 0.2)
    mask = torch.ones(2, 800)
    single = tiny_model(sound, labels=labels, label_mask=mask)
    half = tiny_model.to(dtype)(sound, labels=labels.to(dtype), label_mask=mask.to(dtype))
    assert half.loss.dtype == torch.float32
    assert half.loss.item() == pytest.approx(single.loss.item(), rel=0.02)


@pytest.mark.parametrize("dtype", HALVES)
def test_speech_in_half_precision(dtype, speech):
    """Of the embedded model: within the resolution of the format, and the lips close as before."""
    model = load_checkpoint()[0]
    single = model.animate(speech, 16000)
    half = model.to(dtype).animate(speech, 16000)
    assert (half - single).abs().max() < 0.05


def test_sound_that_asks_for_a_gradient(tiny_model):
    sound = noise()[0]
    expected = tiny_model.animate(sound, 16000)
    assert torch.equal(tiny_model.animate(sound.clone().requires_grad_(), 16000), expected)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_attention_may_be_named(tiny_model, tmp_path, implementation):
    tiny_model.save_pretrained(tmp_path)
    model = BilabialModel.from_pretrained(tmp_path, attn_implementation=implementation)
    assert torch.allclose(model(noise()).coefficients, tiny_model(noise()).coefficients, atol=1e-6)


# ---- what encode_style and encode_emotion give


@pytest.mark.parametrize("style", [None, "other", "lively", {"calm": 0.5, "other": 0.5}])
def test_forward_takes_what_encode_style_gives(tiny_config, style):
    tiny_config.channel_means = [0.4] * 52
    model = build_random(tiny_config)
    vector = model.encode_style(style)
    one, many = model(noise(2), style=vector), model(noise(2), style=vector.expand(2, -1))
    assert torch.equal(one.coefficients, many.coefficients)
    plain = model(noise(2)).coefficients
    assert torch.equal(one.coefficients, plain) == (style is None)
    learned = model(noise(2), style=vector[: tiny_config.style_size]).coefficients  # without the style_stats
    assert torch.equal(one.coefficients, learned) == (style in (None, "other"))
    mixed = model(noise(2), style=torch.stack([model.encode_style(), vector])).coefficients
    assert torch.allclose(mixed[0], plain[0], atol=1e-6)
    assert torch.allclose(mixed[1], one.coefficients[1], atol=1e-6)


def test_forward_moves_as_animate_does(tiny_config):
    """Where no lips are closed by rest or seal, a style is the same in both."""
    tiny_config.channel_means, tiny_config.seal_distance, tiny_config.rest_seconds = [0.4] * 52, 0.0, 0.0
    model, extractor = build_random(tiny_config), load_checkpoint()[1]
    sound = noise()[0].numpy()
    leveled = extractor(sound, sampling_rate=16000, return_tensors="pt").input_values
    here = model(leveled, style=model.encode_style("lively")).coefficients[0]
    assert torch.allclose(here, model.animate(sound, 16000, style="lively", fps=50), atol=1e-5)


def test_forward_takes_what_encode_emotion_gives(tiny_model):
    weights = tiny_model.encode_emotion("happy")
    one = tiny_model(noise(2), emotion=weights).coefficients
    assert torch.equal(one, tiny_model(noise(2), emotion=weights.expand(2, -1)).coefficients)
    assert not torch.equal(one, tiny_model(noise(2)).coefficients)


@pytest.mark.parametrize(
    "given, values",
    [
        ({"input_values": noise()[0]}, r"^input_values .*\(batch, samples\).* \(16000,\)$"),
        ({"style": torch.zeros(7)}, r"^style .* 108 .* 4 .*encode_style.* \(7,\)$"),
        ({"style": torch.zeros(1, 1, 4)}, r"^style .* 108 .* 4 .* \(1, 1, 4\)$"),
        ({"style": torch.zeros(3, 4)}, r"^style .* 108 .* 4 .* 1 .* \(3, 4\)$"),
        ({"style": torch.tensor(0.5)}, r"^style .* 108 .* 4 .* \(\)$"),
        ({"style": "lively"}, "^style .* 108 .* 4 .*encode_style.* 'lively'$"),
        ({"emotion": "happy"}, "^emotion .* 9 .*encode_emotion.* 'happy'$"),
        ({"emotion": torch.zeros(1, 8)}, r"^emotion .* 9 .* \(1, 8\)$"),
        ({"emotion": torch.zeros(3, 9)}, r"^emotion .* 9 .* 1 x 50 .* \(3, 9\)$"),
        ({"emotion": torch.zeros(1, 7, 9)}, r"^emotion .* 9 .* \(1, 7, 9\)$"),
    ],
)
def test_wrong_shapes_are_sentences(tiny_model, given, values):
    """Errors of a program, without a code."""
    with pytest.raises(ValueError, match=values):
        tiny_model(**({"input_values": noise()} | given))


# ---- ONNX


def run_exported(model: BilabialModel, path, example: dict, dynamic: dict, feeds: list[dict]) -> None:
    """Export with one example, run others in ONNX Runtime and compare with torch."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    program = torch.onnx.export(model, (), kwargs=example, dynamo=True, dynamic_shapes=dynamic, verbose=False)
    program.save(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for feed in feeds:
        given = {name: tensor.numpy() for name, tensor in feed.items()}
        coefficients, lip_distance = session.run(None, given)[:2]
        with torch.no_grad():
            expected = model(**feed)
        assert coefficients.shape == expected.coefficients.shape
        assert np.abs(coefficients - expected.coefficients.numpy()).max() < 1e-4
        assert np.abs(lip_distance - expected.lip_distance.numpy()).max() < 1e-4


@pytest.mark.slow
def test_export_of_any_length(tmp_path, speech):
    """The embedded model; real speech with its soft parts is where a poor Fourier transform shows."""
    sound = torch.from_numpy(speech)[None]
    samples = torch.export.Dim("samples", min=800, max=16000 * 600)
    feeds = [{"input_values": sound[:, :length]} for length in (800, 16001, sound.shape[1])]
    model, example = load_checkpoint()[0], {"input_values": sound[:, :16000]}
    run_exported(model, tmp_path / "model.onnx", example, {"input_values": {1: samples}}, feeds)


@pytest.mark.slow
def test_export_of_every_input(tiny_config, tmp_path):
    tiny_config.channel_means = [0.4] * 52
    model, batch = build_random(tiny_config), torch.export.Dim("batch", min=1, max=64)
    samples = torch.export.Dim("samples", min=800, max=16000 * 600)
    mask = torch.ones(2, 16000, dtype=torch.long)
    mask[1, 9000:] = 0
    style = torch.stack([model.encode_style("lively"), model.encode_style("other")])
    emotion = torch.stack([model.encode_emotion("happy"), model.encode_emotion("sad", 0.5)])
    example = {"input_values": noise(2), "attention_mask": mask, "emotion": emotion, "style": style}
    by_sample = {0: batch, 1: samples}
    dynamic = {
        "input_values": by_sample, "attention_mask": by_sample, "emotion": {0: batch}, "style": {0: batch},
    }  # fmt: skip
    feeds = [
        {
            "input_values": noise(2)[:rows, :length], "attention_mask": mask[:rows, :length],
            "emotion": emotion[:rows], "style": style[:rows],
        }
        for rows, length in ((1, 8000), (2, 12345))
    ]  # fmt: skip
    run_exported(model, tmp_path / "model.onnx", example, dynamic, feeds)
