"""Pretrained encoders, each family as a tiny random one: timing, padding, layers, saving, training."""

import copy
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from support.errors import refused
from support.rows import row
from support.scripts import launch
from transformers import (
    AutoModel,
    HubertConfig,
    PreTrainedConfig,
    Wav2Vec2BertConfig,
    Wav2Vec2Config,
    WavLMConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
)

from bilabial.checkpoint import load_checkpoint, save_checkpoint
from bilabial.hub.configuration_bilabial import AUDIO_ENCODERS, BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.layers_bilabial import (
    ENCODER_CLASSES,
    BilabialAudioEncoder,
    states_at_frames,
    whisper_log_mel,
)
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.training.data.schema import SCHEMA
from bilabial.training.data.windows import TrainingWindows, collate
from bilabial.training.fit import initialization, train
from bilabial.training.fit.arguments import parse_arguments
from bilabial.training.publishing import checks

PIECE = 16000  # samples that the tiny Whisper hears at a time: 50 positions of 320


def encoder_config(family: str, **fields) -> PreTrainedConfig:
    """A tiny encoder; everything random of training is on, for tests to see that it is turned off."""
    if family == "whisper":
        sizes = {
            "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 16,
            "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 16, "vocab_size": 8,
            "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
            "max_source_positions": 50, "dropout": 0.2, "encoder_layerdrop": 0.5, "num_mel_bins": 80,
        }  # fmt: skip
        return WhisperConfig(**(sizes | fields))
    sizes = {
        "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 16,
        "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2,
        "hidden_dropout": 0.2, "layerdrop": 0.5, "mask_time_prob": 0.5,
    }  # fmt: skip
    kinds = {"wav2vec2": Wav2Vec2Config, "hubert": HubertConfig, "wavlm": WavLMConfig}
    return kinds[family](**(sizes | fields))


def build(encoder: PreTrainedConfig) -> BilabialModel:
    """A model on the encoder, random weights everywhere, in evaluation mode."""
    torch.manual_seed(0)
    config = BilabialConfig(
        audio_encoder_config=encoder, hidden_size=16, style_size=4, decoder_dilations=[1], dropout=0.0
    )
    model = BilabialModel(config)
    with torch.no_grad():
        torch.nn.init.xavier_uniform_(model.decoder[0].narrow.weight)
        model.head.bias.fill_(0.5)
        model.audio_encoder.layer_weights.normal_()
    return model.eval()


def take_layer(encoder: BilabialAudioEncoder, layer: int) -> None:
    """Give all the weight to one layer."""
    with torch.no_grad():
        encoder.layer_weights.zero_()[layer] = 50.0


def noise(samples: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, samples, generator=torch.Generator().manual_seed(0)) * 0.1


@pytest.fixture(params=AUDIO_ENCODERS)
def family(request) -> str:
    return request.param


@pytest.fixture
def model(family) -> BilabialModel:
    return build(encoder_config(family))


# ---- time


@pytest.mark.parametrize("hop", [320, 160, 640, 480])
def test_states_are_read_at_the_time_of_the_frame(hop):
    """States that hold their own time: every frame reads its own, and the last one holds."""
    states = 320.0 * torch.arange(30)[None, :, None]  # (1, 30, 1)
    expected = (torch.arange(40) * hop).clamp(max=29 * 320)
    assert torch.allclose(states_at_frames(states, 320, hop, 40)[0, :, 0], expected.float())


@pytest.mark.parametrize("frame", [2, 20, 41])
def test_a_frame_hears_what_is_around_it(family, frame):
    """What a frame hears before attention is centered on frame * hop, at the clip's ends too.

    Convolutions that are local (layer norm, a positional one of one frame), and only the states before the
    first layer. Whisper joins windows of 400 samples over 5 hops of 160, less the window's zeros at its ends.
    """
    reach = 200 if family != "whisper" else 2 * 160 + 200
    local = {"feat_extract_norm": "layer", "num_conv_pos_embeddings": 1}
    encoder = build(encoder_config(family, **({} if family == "whisper" else local))).audio_encoder
    take_layer(encoder, 0)
    sound = noise(44 * 320 - 100).requires_grad_()
    encoder(sound, torch.ones_like(sound))[0, frame].square().sum().backward()
    reached = (sound.grad[0].abs() > 2e-3 * sound.grad.abs().max()).nonzero()[:, 0] - frame * 320
    assert -reach <= reached.min() < 60 - reach and reach - 60 < reached.max() <= reach


@pytest.mark.parametrize("samples", [1, 100, 399, 401, 5000])
def test_clips_of_any_length(model, samples):
    coefficients = model(noise(samples)).coefficients
    assert coefficients.shape == (1, -(-samples // 320), 52) and torch.isfinite(coefficients).all()


@pytest.mark.parametrize("fps, frames", [(30, 75), (25, 63), (60, 150)])
def test_animate_has_the_right_length(model, fps, frames):
    face = model.animate(noise(40000)[0], 16000, fps=fps)
    assert face.shape == (frames, 52) and face.std() > 0


# ---- padding


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_padding_does_not_leak(family, norm):
    fields = {"feat_extract_norm": norm, "do_stable_layer_norm": norm == "layer"}
    model = build(encoder_config(family, **({} if family == "whisper" else fields)))
    lengths = [12000, 30000, 12000, 20123]
    mask = (torch.arange(32000) < torch.tensor(lengths)[:, None]).long()
    sound = torch.where(mask.bool(), noise(32000, batch=4), 5.0)
    padded = model(sound, mask).coefficients
    for clip, length, frames in zip(sound, lengths, padded, strict=True):
        alone = model(clip[None, :length]).coefficients[0]
        assert torch.allclose(frames[: len(alone)], alone, atol=1e-5)


def test_silence_is_finite(model):
    assert torch.isfinite(model(torch.zeros(1, 8000)).coefficients).all()


def test_level_and_offset_do_not_matter():
    """Also where no group norm cancels them: the large encoders were trained on normalized clips."""
    encoder = build(encoder_config("wavlm", feat_extract_norm="layer", conv_bias=True)).audio_encoder
    sound = noise(8000)
    expected = encoder(sound, torch.ones_like(sound))
    assert torch.allclose(encoder(sound * 3 + 0.1, torch.ones_like(sound)), expected, atol=1e-4)


# ---- Whisper


@pytest.mark.parametrize("bins", [80, 128])
def test_features_are_whispers(bins):
    encoder = build(encoder_config("whisper", num_mel_bins=bins)).audio_encoder
    extractor = WhisperFeatureExtractor(feature_size=bins, chunk_length=1)
    sound = torch.cat([noise(12000)[0], torch.zeros(4000)])
    expected = extractor(sound.numpy(), sampling_rate=16000, return_tensors="pt").input_features
    assert torch.allclose(whisper_log_mel(sound[None], encoder.mel_filters), expected, atol=1e-4)


def test_whisper_hears_long_clips_in_pieces():
    encoder, sound = build(encoder_config("whisper")).audio_encoder, noise(2 * PIECE + 5000)
    whole = encoder(sound, torch.ones_like(sound))
    pieces = [encoder(piece, torch.ones_like(piece)) for piece in sound.split(PIECE, dim=1)]
    assert whole.shape[1] == 50 + 50 + 16
    assert torch.allclose(whole, torch.cat(pieces, dim=1), atol=1e-6)


# ---- layers


def test_layers_are_weighted(model):
    """One layer alone gives that layer's states, normed; between them the weights learn."""
    encoder, sound = model.audio_encoder, noise(8000)
    states = []
    for layer in range(len(encoder.layer_weights)):
        take_layer(encoder, layer)
        states.append(encoder(sound, torch.ones_like(sound)))
    assert all((one - two).abs().max() > 1e-3 for one, two in pairwise(states))
    torch.nn.init.zeros_(encoder.layer_weights)
    evenly = encoder(sound, torch.ones_like(sound))
    assert torch.allclose(evenly, sum(states) / len(states), atol=1e-5)
    evenly.square().sum().backward()
    assert (encoder.layer_weights.grad != 0).all()


def test_the_given_configuration_is_left_alone(family):
    given = encoder_config(family)
    before = copy.deepcopy(given.to_dict())
    build(given)
    assert given.to_dict() == before


# ---- save and load


def test_save_and_load(model, family, tmp_path):
    loaded, _ = load_checkpoint(save_checkpoint(model, BilabialFeatureExtractor(), tmp_path))
    sound = noise(20000)
    assert torch.equal(loaded(sound).coefficients, model(sound).coefficients)
    assert loaded.config.audio_encoder_config.model_type == family
    assert loaded.config.lookahead_seconds is None
    weights = load_file(tmp_path / "model.safetensors")
    assert not any("decoder" in name for name in weights if name.startswith("audio_encoder."))


@pytest.mark.parametrize("family", ["wavlm", "whisper"], indirect=True)
@pytest.mark.slow
def test_a_clean_interpreter_computes_the_same(model, tmp_path):
    there = json.loads(checks.try_out(save_checkpoint(model, BilabialFeatureExtractor(), tmp_path)))
    waveform = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    assert np.allclose(there["coefficients"], model.animate(waveform, 16000, fps=30).numpy(), atol=1e-5)
    assert there["buffers"] == {name: float(b.double().sum()) for name, b in model.named_buffers()}


# ---- training


@pytest.fixture
def pretrained(family, tmp_path) -> Path:
    """A folder as the Hub has it: weights in half precision, Whisper with its decoder."""
    torch.manual_seed(1)
    AutoModel.from_config(encoder_config(family)).half().save_pretrained(tmp_path / "encoder")
    return tmp_path / "encoder"


@pytest.fixture
def rows(speech) -> Dataset:
    return Dataset(pyarrow.Table.from_pylist([row("a", speech), row("b", speech)], schema=SCHEMA))


def weights_of(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in encoder.named_parameters()}


def trained_step(rows: Dataset, *options: object) -> tuple[BilabialModel, torch.optim.Optimizer, dict]:
    """One step of the trainer: the model, the optimizer, and what the encoder's weights were before."""
    given = ["--dataset", "x", "--output", "y", "--preset", "tiny", *map(str, options)]
    args, fields = parse_arguments(given)
    model = initialization.build_model(rows, args, fields)
    before = weights_of(model.audio_encoder.encoder)
    optimizer = train.build_optimizer(model, args)
    windows = TrainingWindows(rows, model.config, 30, None)
    model.train()
    model(**collate([windows[0], windows[1]])).loss.backward()
    optimizer.step()
    return model, optimizer, before


def test_pretrained_weights_are_loaded(pretrained, rows):
    _, _, before = trained_step(rows, "--audio_encoder", pretrained)
    there = AutoModel.from_pretrained(pretrained, dtype=torch.float32)
    there = there.get_encoder() if there.config.model_type == "whisper" else there
    assert all(weights.equal(before[name]) for name, weights in there.named_parameters())
    assert {weights.dtype for weights in before.values()} == {torch.float32}


def test_a_fine_tuned_encoder_moves(pretrained, rows):
    model, optimizer, before = trained_step(rows, "--audio_encoder", pretrained)
    encoder = model.audio_encoder.encoder
    after = weights_of(encoder)
    moved = {name for name in after if not after[name].equal(before[name])}
    assert encoder.training
    assert moved == {name for name, one in encoder.named_parameters() if one.requires_grad}
    assert all(any(f"layers.{layer}." in name for name in moved) for layer in range(2))
    assert not any(name.startswith(("feature_extractor.", "embed_positions.")) for name in moved)
    rates = {id(one): group["lr"] for group in optimizer.param_groups for one in group["params"]}
    assert {rates[id(one)] for one in encoder.parameters() if one.requires_grad} == {2e-5}
    assert rates[id(model.head.weight)] == rates[id(model.audio_encoder.layer_weights)] == 1e-3
    assert len(rates) == sum(one.requires_grad for one in model.parameters())


def test_a_frozen_encoder_stays(pretrained, rows):
    options = ["--audio_encoder", pretrained, "--freeze_encoder"]
    model, optimizer, before = trained_step(rows, *options)
    encoder, trained = model.audio_encoder, {id(p) for g in optimizer.param_groups for p in g["params"]}
    assert model.training and not any(module.training for module in encoder.encoder.modules())
    assert all(one.grad is None and id(one) not in trained for one in encoder.encoder.parameters())
    assert all(weights.equal(before[name]) for name, weights in encoder.encoder.named_parameters())
    assert id(encoder.projection.weight) in trained and encoder.layer_weights.grad.abs().max() > 0
    sound = noise(8000)
    first = encoder(sound, torch.ones_like(sound))  # no dropout, no dropped layers, no masked spans
    assert torch.equal(first, encoder(sound, torch.ones_like(sound)))


def test_only_dropout_is_left_of_an_encoders_own_noise(family):
    """A fine-tuned encoder drops no layer and masks no span: without dropout it repeats itself."""
    quiet = {"dropout": 0.0} if family == "whisper" else {
        "hidden_dropout": 0.0, "activation_dropout": 0.0, "attention_dropout": 0.0, "feat_proj_dropout": 0.0
    }  # fmt: skip
    encoder, sound = build(encoder_config(family, **quiet)).audio_encoder.train(), noise(32000)
    assert encoder.encoder.training
    outputs = [encoder(sound, torch.ones_like(sound)) for _ in range(5)]
    assert all(torch.equal(outputs[0], one) for one in outputs[1:])


@pytest.mark.parametrize("family", ["hubert"], indirect=True)
@pytest.mark.slow
def test_a_run_of_the_trainer(pretrained, speech, tmp_path):
    """A real `accelerate launch` on a frozen encoder, stopped and resumed, exports a model with it."""
    (tmp_path / "rows" / "data").mkdir(parents=True)
    table = pyarrow.Table.from_pylist([row("a", speech), row("b", speech)], schema=SCHEMA)
    for split in ("train", "validation"):
        pyarrow.parquet.write_table(table, tmp_path / "rows" / "data" / f"{split}-00000-of-00001.parquet")
    options = ["--dataset", tmp_path / "rows", "--preset", "tiny", "--output", tmp_path / "run"]
    options += ["--audio_encoder", pretrained, "--freeze_encoder"]
    launch(*options, "--stop_after_steps", 2)
    assert "resumed at step 2" in launch(*options).stdout
    model, _ = load_checkpoint(tmp_path / "run" / "model")
    there = AutoModel.from_pretrained(pretrained, dtype=torch.float32)
    after = weights_of(model.audio_encoder.encoder)
    assert all(weights.equal(after[name]) for name, weights in there.named_parameters())
    assert model.audio_encoder.layer_weights.abs().max() > 0
    assert model.animate(speech, 16000).shape == (-(-len(speech) * 30 // 16000), 52)


# ---- what is refused


def test_another_family_is_refused(tmp_path):
    Wav2Vec2BertConfig().save_pretrained(tmp_path)
    families = "wav2vec2, hubert, wavlm, whisper"
    with refused("encoder_family", name=str(tmp_path), accepted=families, got="'wav2vec2-bert'"):
        initialization.audio_encoder_config(str(tmp_path))
    with pytest.raises(Exception, match=f"{families}.* 'wav2vec2-bert'"):  # of a config, without a code
        BilabialConfig(audio_encoder_config=Wav2Vec2BertConfig())


def test_a_missing_encoder_is_named(tmp_path):
    with refused("encoder_load", name=str(tmp_path / "nothing")):
        initialization.audio_encoder_config(str(tmp_path / "nothing"))


def test_every_family_has_its_class():
    assert tuple(ENCODER_CLASSES) == AUDIO_ENCODERS
