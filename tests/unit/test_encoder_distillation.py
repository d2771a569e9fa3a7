"""The phone recognizer as a teacher of the speech encoder. Needs hama, which carries its weights."""

import pytest
import torch
from support.errors import refused
from support.models import build_random

from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.layers_bilabial import BilabialSpeechEncoder
from bilabial.io.phones import ARTICULATION

pytest.importorskip("hama")

from bilabial.training.teachers.encoder_distillation import EncoderDistillation
from bilabial.training.teachers.phone_recognizer import (
    BLOCK_SIZE,
    NUM_BLOCKS,
    STATE_SIZE,
    PhoneRecognizer,
    initialize_from_recognizer,
    read_weights,
)


@pytest.fixture(scope="module")
def recognizer() -> PhoneRecognizer:
    return PhoneRecognizer()


@pytest.fixture(scope="module")
def sound(speech) -> torch.Tensor:
    return torch.from_numpy(speech[: len(speech) // 320 * 320])[None]


def test_states_have_one_frame_per_hop(recognizer):
    sound = torch.randn(2, 16000, generator=torch.Generator().manual_seed(0)) * 0.1
    states = recognizer(sound)
    assert states.shape == (2, 50, STATE_SIZE) and STATE_SIZE == 576
    assert torch.isfinite(states).all() and torch.isfinite(recognizer(torch.zeros(1, 16000))).all()
    assert torch.allclose(recognizer(sound[1:])[0], states[1], atol=1e-4)


def test_its_own_engine_hears_phones_at_the_same_frames(recognizer, sound):
    """The projection of the last states is anything but blank where hama's engine finds a phone."""
    from hama.asr import ASRModel

    model = ASRModel()
    spans = model.phoneme_spans(model.transcribe_waveform(sound[0].numpy(), 16000))
    head = {part: recognizer.weights[f"acoustic_model.model.proj.{part}"] for part in ("weight", "bias")}
    names = (recognizer(sound)[0, :, -BLOCK_SIZE:] @ head["weight"][..., 0].T + head["bias"]).argmax(-1)
    spoken = names != names.mode().values
    theirs = [span.start_frame for span in spans]
    assert len(theirs) > 20 and spoken[theirs].float().mean() > 0.9 and spoken.float().mean() < 0.5


def encoder_with(**fields) -> BilabialSpeechEncoder:
    torch.manual_seed(0)
    return BilabialSpeechEncoder(BilabialConfig(**fields)).eval()


def test_an_unbounded_encoder_starts_as_the_recognizer(recognizer, sound):
    """Everything but the ends of the clip, which the recognizer mirrors and the encoder pads with zeros."""
    encoder = encoder_with(encoder_conv_frames=[15, 15], encoder_attention_frames=[5000, 5000])
    initialize_from_recognizer(encoder)
    theirs = recognizer(sound)[0]
    with torch.no_grad():
        ours = encoder(sound, torch.ones(1, len(theirs), 1))[0]
    for layer in range(NUM_BLOCKS):
        part = slice(layer * BLOCK_SIZE, (layer + 1) * BLOCK_SIZE)
        error = (ours[:, part] - theirs[:, part]).square().sum()
        spread = (theirs[:, part] - theirs[:, part].mean(0)).square().sum()
        assert 1 - error / spread > 0.97, layer


def test_a_bounded_encoder_starts_near_the_recognizer(recognizer, sound):
    """Its first layer hears much of the same, far more than one that starts from nothing."""
    started, fresh = encoder_with(), encoder_with()
    initialize_from_recognizer(started)
    theirs = recognizer(sound)[0, :, :BLOCK_SIZE]
    with torch.no_grad():
        first, other = (
            encoder(sound, torch.ones(1, len(theirs), 1))[0, :, :BLOCK_SIZE] for encoder in (started, fresh)
        )
    spread = theirs.var(0).sum()
    assert (first - theirs).square().sum(-1).mean() < 0.7 * spread < (other - theirs).square().sum(-1).mean()


@pytest.mark.parametrize(
    "fields, code, got",
    [
        ({"encoder_layers": 2}, "recognizer_sizes", "(2, 144, 4)"),
        ({"encoder_layers": 5}, "recognizer_sizes", "(5, 144, 4)"),
        ({"encoder_size": 96}, "recognizer_sizes", "(4, 96, 4)"),
        ({"encoder_heads": 2}, "recognizer_sizes", "(4, 144, 2)"),
        ({"num_mels": 40}, "recognizer_shape", "(201, 40)"),
        ({"encoder_conv_frames": [16, 2]}, "recognizer_shape", "(144, 1, 19)"),
    ],
)
def test_other_sizes_are_refused(fields, code, got):
    encoder = encoder_with(**fields)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with refused(code, got=got):
        initialize_from_recognizer(encoder)
    assert all(value.equal(before[name]) for name, value in encoder.state_dict().items())


def test_another_file_is_refused(tmp_path):
    (tmp_path / "x.hama").write_bytes(b"something else")
    with refused("recognizer_file", path=tmp_path / "x.hama"):
        read_weights(tmp_path / "x.hama")


# ---- the losses


def inputs(sound: torch.Tensor, num_frames: int = 50) -> dict[str, torch.Tensor]:
    clean = torch.cat([sound[:, 16000:][:, : num_frames * 320], sound[:, : num_frames * 320]])
    articulation = torch.zeros(2, num_frames, len(ARTICULATION))
    articulation[:, ::2, 0] = 1
    return {
        "clean": clean,
        "attention_mask": torch.ones_like(clean, dtype=torch.long),
        "articulation": articulation,
        "articulation_mask": torch.ones(2, num_frames),
    }


def test_the_recognizers_own_states_leave_nothing_to_learn(recognizer, sound):
    distillation, batch = EncoderDistillation("cpu"), inputs(sound)
    states = recognizer(batch["clean"])
    same = distillation(states, **batch)
    assert same["states"] < 1e-6 and torch.isfinite(same["phones"])
    assert distillation(states.flip(1), **batch)["states"] > 0.5
    mean = states.mean((0, 1)).expand_as(states)
    assert distillation(mean, **batch)["states"] == pytest.approx(1.0, abs=0.1)


def test_the_states_are_to_predict_whispers_states(recognizer, sound, whisper):
    torch.manual_seed(0)
    distillation, batch = EncoderDistillation("cpu", str(whisper)), inputs(sound)
    states = recognizer(batch["clean"])
    optimizer = torch.optim.Adam(distillation.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        loss = distillation(states, **batch)["whisper"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0.9 and losses[-1] < 0.6 * losses[0]
    told = states.clone().requires_grad_()
    distillation(told, **batch)["whisper"].backward()
    assert told.grad.abs().sum() > 0  # the encoder learns from it
    assert not any("encoder" in name for name in distillation.state_dict())  # the teacher is not kept


def test_padding_and_unknown_phones_do_not_count(sound):
    distillation, batch = EncoderDistillation("cpu").eval(), inputs(sound)
    states = torch.randn(2, 50, STATE_SIZE, generator=torch.Generator().manual_seed(0))
    batch["attention_mask"][1, 30 * 320 :] = 0
    batch["articulation_mask"][:, 30:] = 0
    before = distillation(states, **batch)
    states[1, 30:], batch["articulation"][:, 30:] = 9.0, 1.0
    after = distillation(states, **batch)
    assert torch.equal(before["states"], after["states"]) and torch.equal(before["phones"], after["phones"])
    batch["articulation_mask"][:] = 0
    assert distillation(states, **batch)["phones"] == 0


def test_the_encoder_learns_and_the_recognizer_does_not(sound):
    model = build_random(BilabialConfig(hidden_size=16, decoder_dilations=[1])).train()
    initialize_from_recognizer(model.encoder)
    distillation, batch = EncoderDistillation("cpu"), inputs(sound)
    recognizers = sum(weights.numel() for weights in distillation.recognizer[0].weights.values())
    assert recognizers > 1e6 > 2e4 > sum(weights.numel() for weights in distillation.parameters())
    scale = {f"scale.{name}" for name in ("mean", "square", "count")}
    assert set(distillation.state_dict()) == {"phones.weight", "phones.bias", *scale}
    losses = []
    optimizer = torch.optim.Adam([*model.encoder.parameters(), *distillation.parameters()], lr=1e-3)
    for _ in range(4):
        losses_now = distillation(model(batch["clean"]).speech_states, **batch)
        assert all(torch.isfinite(loss) for loss in losses_now.values())
        optimizer.zero_grad()
        sum(losses_now.values()).backward()
        assert all(weights.grad.abs().max() > 0 for weights in model.encoder.layers.parameters())
        optimizer.step()
        losses.append({name: loss.item() for name, loss in losses_now.items()})
    assert losses[-1]["states"] < losses[0]["states"] and losses[-1]["phones"] < losses[0]["phones"]


def test_running_estimates_are_for_training_only(sound):
    distillation, batch = EncoderDistillation("cpu"), inputs(sound)
    distillation(torch.zeros(2, 50, STATE_SIZE), **batch)
    before = {name: value.clone() for name, value in distillation.state_dict().items()}
    assert before["scale.count"] == 1 and before["scale.mean"].abs().max() > 0
    distillation.eval()(torch.zeros(2, 50, STATE_SIZE), **batch)
    assert all(value.equal(before[name]) for name, value in distillation.state_dict().items())
