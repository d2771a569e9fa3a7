"""Starting from another model: nothing is lost at the start, old answers are rehearsed, a report compares."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from arguments import parse_arguments
from compare import kept_conditions
from conftest import build_random
from datasets import Dataset
from rehearsal import Rehearsal
from start import build_model, load_initial
from test_data import row
from test_robust_training import on_cpu, run_here, write_rows  # noqa: F401
from test_train import arguments, run, two_sets  # noqa: F401

import train
from bilabial.checkpoint import load_checkpoint, save_checkpoint
from bilabial.data import TrainingWindows, collate
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.modeling_bilabial import BilabialModel

FEW = ["--max_steps", 30, "--batch_size", 4, "--window_seconds", 0.6, "--num_workers", 0, "--warmup_steps", 2]
FEW += ["--eval_steps", 10, "--learning_rate", 1e-2]


@pytest.fixture
def initial(tiny_config, tmp_path) -> Path:
    """A model with the styles default and other, happy and neutral, that never saw the jaw go left."""
    tiny_config.trained_emotions = ["neutral", "happy"]
    tiny_config.unseen_blendshapes = ["jawLeft", "tongueOut"]
    return save_checkpoint(build_random(tiny_config), BilabialFeatureExtractor(), tmp_path / "initial")


@pytest.fixture
def dataset(speech, tmp_path) -> Path:
    """Somebody new, whose mouth hangs open, partly in surprise."""
    rows = [
        row(f"{k}", speech[k * 4000 :], style="me", emotion="surprised" if k % 2 else "neutral")
        for k in range(4)
    ]
    for one in rows:
        values = np.zeros_like(np.array(one["coefficients"]))
        values[:, [ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "jawLeft")]] = 0.8
        one["coefficients"] = list(values)
    return write_rows(tmp_path / "set", train=rows, validation=rows[:2])


def start_from(initial: Path, dataset: Path, *options: object) -> tuple[BilabialModel, Dataset]:
    given = ["--dataset", dataset, "--output", "y", "--init_from", initial, *options]
    args, fields = parse_arguments([str(one) for one in given])
    rows = train.load_splits(args)["train"]
    return build_model(rows, args, fields, load_initial(args)), rows


def test_sizes_and_preset_come_from_the_model(initial, dataset):
    """Without --preset; its configuration knows the old and the new, and old first."""
    args, fields = parse_arguments(["--dataset", "x", "--output", "y", "--init_from", str(initial)])
    assert args.preset == "finetune" and args.patience and args.rehearsal_share and not fields
    model, _ = start_from(initial, dataset, "--emotion_share", 0)
    before = load_checkpoint(initial)[0].config
    assert model.config.hidden_size == before.hidden_size == 16
    assert list(model.config.styles) == ["default", "other", "me"]
    assert list(model.config.trained_emotions) == ["neutral", "happy", "surprised"]
    assert list(model.config.unseen_blendshapes) == ["tongueOut"]


def test_nothing_is_lost_at_the_start(initial, dataset, speech):
    """Old styles answer the same to the bit, the new one as the default; a new channel rests at 0."""
    model, _ = start_from(initial, dataset)
    before, after = load_checkpoint(initial)[0], model.eval()
    for style, now in (("default", "default"), ("other", "other"), ("default", "me")):
        old, new = (
            before.animate(speech, 16000, "happy", style=style),
            after.animate(speech, 16000, "happy", style=now),
        )
        assert torch.equal(old, new)
    assert not old[:, ARKIT_BLENDSHAPES.index("jawLeft")].any()


def test_a_preset_may_change_the_objective_but_no_size(initial, dataset, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({"model": {"closure_weight": 3.0}}))
    model, _ = start_from(initial, dataset, "--preset", tmp_path / "mine.json")
    assert model.config.closure_weight == 3.0 and model.config.hidden_size == 16
    for field in ("hidden_size", "style_size"):
        (tmp_path / "mine.json").write_text(json.dumps({"model": {field: 32}}))
        with pytest.raises(SystemExit, match="has other sizes than the preset asks for .* none"):
            start_from(initial, dataset, "--preset", tmp_path / "mine.json")


def test_what_cannot_be_started_from_is_refused(initial, dataset, tmp_path):
    for nothing in (tmp_path, tmp_path / "gone"):
        with pytest.raises(SystemExit, match="is no Bilabial model|neither a folder nor a Hub id"):
            start_from(nothing, dataset)
    with pytest.raises(SystemExit, match="give no --audio_encoder with it"):
        start_from(initial, dataset, "--audio_encoder", tmp_path)
    args, _ = parse_arguments(["--dataset", "x", "--output", "y", "--rehearsal_share", "0.5"])
    with pytest.raises(SystemExit, match="give a model to start from"):
        load_initial(args)


def test_the_default_can_be_named():
    args, _ = parse_arguments(["--dataset", "x", "--output", "y", "--init_from", "default"])
    assert "grid_s1" in load_initial(args).config.styles


def test_the_encoder_has_a_rate_of_its_own(initial, dataset):
    model, _ = start_from(initial, dataset)
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())  # preset finetune
    model, _ = start_from(initial, dataset, "--freeze_encoder", False)
    given = ["--dataset", "x", "--output", "y", "--init_from", "x"]
    args, _ = parse_arguments(given)
    groups = train.build_optimizer(torch.nn.ModuleList([model]), args).param_groups
    assert {group["lr"] for group in groups} == {args.learning_rate, args.encoder_learning_rate}


def test_rehearsal_asks_what_the_initial_model_knew(initial, dataset):
    """The rehearsed windows hold its very answers, in a style and an emotion that it had, on all channels."""
    model, rows = start_from(initial, dataset)
    before = load_checkpoint(initial)[0]
    windows = TrainingWindows(rows, model.config, 30, None)
    batch = collate([windows[k % 4] for k in range(64)])
    given = {name: value.clone() for name, value in batch.items()}
    torch.manual_seed(0)
    asked = Rehearsal(before, {"me", "other"}, 1.0, "cpu")(batch)
    assert set(asked["style"].tolist()) == {0}  # `other` is trained anew
    happy = model.config.emotions.index("happy")
    assert (
        0 < (asked["emotion"].sum(-1) == 0).sum() < 64
        and asked["emotion"].sum() == asked["emotion"][:, happy].sum()
    )
    assert 0.5 < asked["emotion"].max() <= 1.5
    answer = before(asked["input_values"], asked["attention_mask"], asked["emotion"], asked["style"])
    assert torch.allclose(asked["labels"], answer.coefficients, atol=1e-6)
    assert asked["label_mask"].all() and asked["channel_mask"].all()
    assert all(batch[name].equal(value) for name, value in given.items())
    half = Rehearsal(before, {"me"}, 0.5, "cpu")(batch)
    changed = (half["labels"] != given["labels"]).flatten(1).any(1)
    assert 10 < changed.sum() < 54 and half["style"][~changed].equal(given["style"][~changed])
    assert set(half["style"][changed].tolist()) == {0, 1}


@pytest.fixture
def runs(initial, dataset, tmp_path) -> dict[str, Path]:
    """The same fine-tuning with rehearsal and without."""
    shares = {"rehearsed": 0.5, "forgot": 0.0}
    for name, share in shares.items():
        options = ["--dataset", dataset, "--init_from", initial, "--output", tmp_path / name, *FEW]
        run_here(*options, "--rehearsal_share", share, "--emotion_share", 0)
    return {name: tmp_path / name / "model" for name in shares}


def test_the_new_is_learnt_and_the_old_is_kept(initial, runs, speech):
    models = {name: load_checkpoint(path)[0] for name, path in {"initial": initial, **runs}.items()}
    jaws = [ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "jawLeft")]
    drift = {}
    for name, model in models.items():
        if name != "initial":
            mine = model.animate(speech, 16000, style="me")[:, jaws]
            assert (mine - 0.8).abs().mean() < 0.2
        answers = [
            model.animate(speech, 16000, emotion, style=style)
            for style in ("default", "other")
            for emotion in ("neutral", "happy")
        ]
        drift[name] = torch.stack(answers)
    drift = {name: float((drift[name] - drift["initial"]).abs().mean()) for name in runs}
    assert drift["rehearsed"] < 0.5 * drift["forgot"]


def test_a_report_compares(initial, dataset, runs, tmp_path):
    done = run(
        "compare.py",
        "--before",
        initial,
        "--after",
        runs["rehearsed"],
        "--dataset",
        dataset,
        "--output",
        tmp_path / "report.html",
    )
    text = done.stdout
    assert (
        "Held-out clips" in text and "| captured |" in text and "| before |" in text and "| after |" in text
    )
    assert "| style default |" in text and "| happy, default |" in text and "style me" not in text
    page = (tmp_path / "report.html").read_text()
    assert page.count("<table>") == 2 and 'name="viewport"' in page and "test/0" in page
    head = {"captured", "before", "after"}
    assert all(f'"name":"{name}"' in page for name in head)


def test_what_should_be_kept(tiny_config):
    tiny_config.trained_emotions = ["neutral", "happy"]
    model = BilabialModel(tiny_config)
    assert list(kept_conditions(model, {"me"})) == ["style default", "style other", "happy, default"]
    assert list(kept_conditions(model, {"default"})) == ["style other", "happy, other"]
    assert kept_conditions(model, {"default", "other"}) == {}
