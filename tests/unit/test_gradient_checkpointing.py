"""What `transformers` and `accelerate` do with the model: checkpoint gradients, split it over devices."""

import pytest
import torch
from support.models import build_random
from transformers import HubertConfig, Trainer, TrainingArguments

from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.modeling_bilabial import BilabialModel

SIZES = {
    "encoder_size": 16, "encoder_layers": 2, "encoder_heads": 2, "hidden_size": 16,
    "decoder_dilations": (1, 2), "dropout": 0.0,
}  # fmt: skip
HUBERT = HubertConfig(
    hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(16, 16),
    conv_kernel=(10, 8), conv_stride=(20, 16), num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    hidden_dropout=0.0, attention_dropout=0.0, activation_dropout=0.0, feat_proj_dropout=0.0,
)  # fmt: skip
ENCODERS = {"builtin": None, "hubert": HUBERT}
FRAMES = 20


def batch() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    samples = 0.1 * torch.randn(2, FRAMES * 320)
    emotion = torch.rand(2, len(BilabialConfig().emotions)) / 10
    return {"input_values": samples, "labels": torch.rand(2, FRAMES, 52), "emotion": emotion}


def runs_of(model: BilabialModel, kind: str) -> list[int]:
    """Grows by one entry whenever the first part of a layer of this class runs."""
    runs: list[int] = []
    for module in model.modules():
        if type(module).__name__ == kind:
            next(module.children()).register_forward_pre_hook(lambda *_: runs.append(1))
    return runs


@pytest.mark.parametrize("encoder", ENCODERS)
def test_gradients_are_the_same_with_checkpointing(encoder):
    """Layers run once more in the backward pass, and nothing else changes."""
    config = BilabialConfig(audio_encoder_config=ENCODERS[encoder], **SIZES)
    layers = {"builtin": "BilabialEncoderLayer", "hubert": "HubertEncoderLayer"}[encoder]
    found = []
    for checkpointed in (False, True):
        model = build_random(config).train()
        if checkpointed:
            model.gradient_checkpointing_enable()
        runs = {kind: runs_of(model, kind) for kind in (layers, "BilabialBlock")}
        loss = model(**batch()).loss
        loss.backward()
        expected = dict.fromkeys(runs, 4 if checkpointed else 2)
        assert {kind: len(counted) for kind, counted in runs.items()} == expected
        found.append((loss, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}))
    (loss, gradients), (loss_again, gradients_again) = found
    assert loss == loss_again and gradients.keys() == gradients_again.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_again[name], gradient, rtol=1e-5, atol=1e-7, msg=name)
    assert gradients["decoder.0.conv.weight"].any()


def test_the_trainer_trains_with_checkpointing(tmp_path):
    model = build_random(BilabialConfig(**SIZES))
    runs, before = runs_of(model, "BilabialBlock"), model.head.weight.detach().clone()
    rows = [{name: values[k] for name, values in batch().items()} for k in range(2)]
    arguments = TrainingArguments(
        str(tmp_path), max_steps=2, per_device_train_batch_size=2, gradient_checkpointing=True,
        use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    Trainer(model, arguments, train_dataset=rows).train()
    assert len(runs) == 2 * 2 * 2  # two steps of two blocks, forward and again
    assert (model.head.weight != before).any()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_devices_share_the_model_between_layers(encoder):
    accelerate = pytest.importorskip("accelerate")
    model = BilabialModel(BilabialConfig(audio_encoder_config=ENCODERS[encoder], **SIZES))
    whole = [n for n, module in model.named_modules() if type(module).__name__ in model._no_split_modules]
    size = sum(parameter.nbytes for parameter in model.parameters())
    devices = accelerate.infer_auto_device_map(
        model, max_memory={0: size // 2, "cpu": 10 * size}, no_split_module_classes=model._no_split_modules
    )
    assert len(set(map(str, devices.values()))) == 2
    assert not [place for place in devices for name in whole if place.startswith(f"{name}.")]


def test_attention_is_torchs_own():
    assert BilabialModel(BilabialConfig(**SIZES)).config._attn_implementation == "sdpa"
