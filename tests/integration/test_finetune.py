"""Starting from another model: nothing is lost at the start, old answers are retained, a report compares."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from support.errors import refused
from support.models import TINY, build_random
from support.rows import row, write_rows
from support.scripts import run, run_here
from transformers import HfArgumentParser

from bilabial.checkpoint import load_checkpoint, save_checkpoint
from bilabial.errors import MissingFileError, quote
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.training.data.sources import Source, sources_of_model, write_sources
from bilabial.training.data.windows import TrainingWindows, collate
from bilabial.training.evaluation.compare import retained_conditions
from bilabial.training.fit import average, train
from bilabial.training.fit.arguments import parse_arguments
from bilabial.training.fit.initialization import build_model, load_initial
from bilabial.training.fit.learning_without_forgetting import LearningWithoutForgetting, retained_styles

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("on_cpu")]

FEW = ["--max_steps", 80, "--batch_size", 4, "--window_seconds", 0.6, "--num_workers", 0, "--warmup_steps", 2]
FEW += ["--eval_steps", 40, "--learning_rate", 1e-2]


@pytest.fixture(scope="module")
def initial(tmp_path_factory) -> Path:
    """A model with the styles default and other, happy and neutral, that never saw the jaw go left."""
    known = {"trained_emotions": ["neutral", "happy"], "unseen_blendshapes": ["jawLeft", "tongueOut"]}
    model = build_random(BilabialConfig(**TINY, **known))
    return save_checkpoint(model, BilabialFeatureExtractor(), tmp_path_factory.mktemp("initial") / "model")


@pytest.fixture(scope="module")
def dataset(speech, tmp_path_factory) -> Path:
    """Somebody new, whose mouth hangs open, partly in surprise."""
    feelings = ("neutral", "surprised", "neutral", "surprised")
    rows = [
        row(f"{k}", speech[k * 4000 :], style="me", emotion=emotion) for k, emotion in enumerate(feelings)
    ]
    for one in rows:
        values = np.zeros_like(np.array(one["coefficients"]))
        values[:, [ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "jawLeft")]] = 0.8
        one["coefficients"] = list(values)
    return write_rows(tmp_path_factory.mktemp("rows") / "set", train=rows, validation=rows[:2])


def start_from(initial: Path, dataset: Path, *options: object) -> tuple[BilabialModel, Dataset]:
    given = ["--dataset", dataset, "--output", "y", "--init_from", initial, *options]
    args, fields = parse_arguments([str(one) for one in given])
    rows = train.load_splits(args)["train"]
    return build_model(rows, args, fields, load_initial(args)), rows


def test_sizes_and_preset_come_from_the_model(initial, dataset):
    """Without --preset; its configuration knows the old and the new, and old first."""
    args, fields = parse_arguments(["--dataset", "x", "--output", "y", "--init_from", str(initial)])
    assert args.preset == "finetune" and args.patience and args.retention_share and not fields
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
        old = before.animate(speech, 16000, "happy", style=style)
        new = after.animate(speech, 16000, "happy", style=now)
        assert torch.equal(old, new)
    assert not old[:, ARKIT_BLENDSHAPES.index("jawLeft")].any()


def test_a_preset_may_change_the_objective_but_no_size(initial, dataset, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({"model": {"closure_weight": 3.0}}))
    model, _ = start_from(initial, dataset, "--preset", tmp_path / "mine.json")
    assert model.config.closure_weight == 3.0 and model.config.hidden_size == 16
    for change in ({"hidden_size": 32}, {"style_size": 32}, {"encoder_conv_frames": [3, 1]}):
        (tmp_path / "mine.json").write_text(json.dumps({"model": change}))
        with refused("preset_sizes"):
            start_from(initial, dataset, "--preset", tmp_path / "mine.json")


def test_a_preset_may_shorten_the_reach(initial, dataset, tmp_path, speech):
    """Convolutions that had nothing to say about the first frame, which is cut off, answer as before."""
    before, features = load_checkpoint(initial)
    with torch.no_grad():
        for layer in before.encoder.layers:
            layer.conv.weight[..., 0] = 0.0
    save_checkpoint(before, features, tmp_path / "model")
    (tmp_path / "mine.json").write_text(json.dumps({"model": {"encoder_conv_frames": [1, 1]}}))
    after, _ = start_from(tmp_path / "model", dataset, "--preset", tmp_path / "mine.json")
    assert after.config.history_seconds == pytest.approx(before.config.history_seconds - 0.02)
    assert torch.allclose(after.eval().animate(speech, 16000), before.animate(speech, 16000), atol=1e-6)


def test_what_cannot_be_started_from_is_refused(initial, dataset, tmp_path):
    with refused("model_files", MissingFileError, path=tmp_path):
        start_from(tmp_path, dataset)
    with refused("model_name", MissingFileError, got=quote(str(tmp_path / "gone"))):
        start_from(tmp_path / "gone", dataset)
    with refused("option_excludes", other="--audio_encoder"):
        start_from(initial, dataset, "--audio_encoder", tmp_path)
    for option in (["--retention_share", "0.5"], ["--only_emotions"]):
        args, _ = parse_arguments(["--dataset", "x", "--output", "y", *option])
        with refused("option_needs", option=option[0], missing="--init_from"):
            load_initial(args)


def test_the_default_can_be_named():
    args, fields = parse_arguments(["--dataset", "x", "--output", "y", "--init_from", "default"])
    assert parse_arguments(["--dataset", "x", "--output", "y", "--init-from", "default"]) == (args, fields)
    assert "grid_s1" in load_initial(args).config.styles


def test_the_encoder_has_a_rate_of_its_own(initial, dataset):
    model, _ = start_from(initial, dataset)
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())  # preset finetune
    model, _ = start_from(initial, dataset, "--freeze_encoder", False)
    given = ["--dataset", "x", "--output", "y", "--init_from", "x"]
    args, _ = parse_arguments(given)
    groups = train.build_optimizer(torch.nn.ModuleList([model]), args).param_groups
    styles = train.NEW_STYLE_RATE * args.learning_rate
    assert {group["lr"] for group in groups} == {args.learning_rate, args.encoder_learning_rate, styles}


def test_learning_without_forgetting_asks_what_the_initial_model_knew(initial, dataset):
    """Its windows hold its very answers, in a style and an emotion that it had, on all channels."""
    model, rows = start_from(initial, dataset)
    before = load_checkpoint(initial)[0]
    windows = TrainingWindows(rows, model.config, 30, None)
    batch = collate([windows[k % 4] for k in range(64)])
    given = {name: value.clone() for name, value in batch.items()}
    torch.manual_seed(0)
    styles = retained_styles(before, {"me", "other"}, 0.9)
    asked = LearningWithoutForgetting(before, styles, 1.0, "cpu")(batch)
    assert set(asked["style"].tolist()) == {0}  # `other` is trained anew
    happy = model.config.emotions.index("happy")
    assert 0 < (asked["emotion"].sum(-1) == 0).sum() < 64
    assert asked["emotion"].sum() == asked["emotion"][:, happy].sum()
    assert 0.5 < asked["emotion"].max() <= 1.5
    answer = before(asked["input_values"], asked["attention_mask"], asked["emotion"], asked["style"])
    assert torch.allclose(asked["labels"], answer.coefficients, atol=1e-6)
    assert asked["label_mask"].all() and asked["channel_mask"].all()
    assert all(batch[name].equal(value) for name, value in given.items())
    half = LearningWithoutForgetting(before, retained_styles(before, {"me"}, 0.5), 0.5, "cpu")(batch)
    changed = (half["labels"] != given["labels"]).flatten(1).any(1)
    assert 10 < changed.sum() < 54 and half["style"][~changed].equal(given["style"][~changed])
    assert set(half["style"][changed].tolist()) == {0, 1}


@pytest.fixture(scope="module")
def runs(initial, dataset, tmp_path_factory) -> dict[str, Path]:
    """The same fine-tuning with learning without forgetting and without."""
    shares, folder = {"retained": 0.5, "forgot": 0.0}, tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        for name, share in shares.items():
            options = ["--dataset", dataset, "--init_from", initial, "--output", folder / name, *FEW]
            run_here(*options, "--retention_share", share, "--emotion_share", 0)
    return {name: folder / name / "model" for name in shares}


def answers(model: BilabialModel, speech: np.ndarray) -> torch.Tensor:
    """What a model makes of speech in its old styles, neutral and happy."""
    asked = [(style, emotion) for style in ("default", "other") for emotion in ("neutral", "happy")]
    return torch.stack([model.animate(speech, 16000, emotion, style=style) for style, emotion in asked])


def test_the_new_is_learned_and_the_old_is_kept(initial, runs, speech):
    before, after = (
        load_checkpoint(initial)[0],
        {name: load_checkpoint(path)[0] for name, path in runs.items()},
    )
    jaws = [ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "jawLeft")]
    error = {
        model: float((model.animate(speech, 16000, style=style)[:, jaws] - 0.8).abs().mean())
        for model, style in ((before, None), *((model, "me") for model in after.values()))
    }
    assert all(error[model] < 0.5 * error[before] for model in after.values())
    vectors, old_vectors = (model.style_embedding.weight.detach() for model in (after["retained"], before))
    assert vectors[:2].equal(old_vectors) and not vectors[2].equal(old_vectors[0])
    old = answers(before, speech)
    drift = {name: float((answers(model, speech) - old).abs().mean()) for name, model in after.items()}
    assert drift["retained"] < 0.5 * drift["forgot"]


def test_a_model_of_less_lookahead_is_distilled(initial, dataset, runs, tmp_path, speech):
    """The initial model labels every window, in all its styles: captured jaws (.8) are not learned."""
    short = {"encoder_conv_frames": [2, 0], "encoder_attention_frames": [3, 0], "stem_lookahead_frames": 1}
    preset = tmp_path / "short.json"
    preset.write_text(json.dumps({"retention_share": 1.0, "emotion_share": 0.0, "model": short}))
    options = ["--init_from", initial, "--dataset", dataset, "--output", tmp_path / "run", *FEW]
    run_here("--preset", preset, *options)
    before, after, forgot = (
        load_checkpoint(path)[0] for path in (initial, tmp_path / "run" / "model", runs["forgot"])
    )
    assert after.config.lookahead_seconds == pytest.approx(0.0425)
    drift = [float((answers(one, speech) - answers(before, speech)).abs().mean()) for one in (after, forgot)]
    assert drift[0] < 0.5 * drift[1]


def test_the_preset_live_hears_60_ms_ahead():
    args, fields = parse_arguments(["--dataset", "x", "--output", "y", "--preset", "live"])
    known = load_initial(args).config.to_dict()
    assert args.retention_share == 1
    assert BilabialConfig.from_dict(known | fields).lookahead_seconds <= 0.06


def test_emotions_alone_may_be_learned(initial, dataset, tmp_path, speech, on_cpu):
    """Neutral speech answers the same to the bit, in every style; a new emotion is learned."""
    before, features = load_checkpoint(initial)
    before.config.channel_means, before.config.channel_spreads = [0.5] * 52, [0.02] * 52
    save_checkpoint(before, features, tmp_path / "model")
    options = ["--init_from", tmp_path / "model", "--dataset", dataset, "--output", tmp_path / "run", *FEW]
    run_here("--only_emotions", "--weight_decay", 1, "--emotion_share", 0, "--preset", "mse", *options)
    after = load_checkpoint(tmp_path / "run" / "model")[0]
    for style, now in (("default", "default"), ("other", "other"), ("lively", "lively"), ("default", "me")):
        told = [before.animate(speech, 16000, style=style), after.animate(speech, 16000, style=now)]
        assert torch.equal(*told)
    jaw = ARKIT_BLENDSHAPES.index("jawOpen")
    surprise = after.animate(speech, 16000, "surprised", style="me")[:, jaw]
    assert (surprise - 0.8).abs().mean() < 0.5 * (told[0][:, jaw] - 0.8).abs().mean()


def run_average(*options: object) -> None:
    """The script's main, in this process."""
    parser = HfArgumentParser(average.AverageArguments)
    average.average(*parser.parse_args_into_dataclasses([str(one) for one in options]))


def test_a_mean_lies_between(initial, dataset, runs, tmp_path):
    """Every weight, a third of the way to where training began; a style learned since, to the default."""
    before, features = load_checkpoint(initial)
    save_checkpoint(before, features, tmp_path / "before")
    earlier = Source("earlier speech", "CC0", 1, 2.0)
    write_sources(tmp_path / "before", [earlier])
    options = ["--models", runs["retained"], tmp_path / "before", "--weights", 2, 1, "--dataset", dataset]
    run("pretrain/average_checkpoints.py", *options, "--output", tmp_path)
    result = tmp_path / "model"
    after, middle = (load_checkpoint(path)[0] for path in (runs["retained"], result))
    assert middle.config.styles == after.config.styles
    assert middle.config.channel_means != after.config.channel_means
    new, old = after.state_dict(), before.state_dict()
    vectors = old.pop("style_embedding.weight")
    expected = (2 * new["style_embedding.weight"] + vectors[[0, 1, 0]]) / 3
    assert torch.allclose(middle.style_embedding.weight, expected, atol=1e-7)
    unseen = [ARKIT_BLENDSHAPES.index(name) for name in before.config.unseen_blendshapes]
    for name in ("head.weight", "head.bias", "expression.weight"):
        assert old[name][unseen].any()  # of channels that it never saw move
        old[name][unseen] = 0.0
    for name, value in old.items():
        expected = (2 * new[name].double() + value.double()) / 3
        assert torch.allclose(middle.state_dict()[name].double(), expected, atol=1e-7), name
    assert any(not torch.equal(value, new[name]) for name, value in old.items())
    assert sources_of_model(result) == [*sources_of_model(runs["retained"]), earlier]


def test_what_has_no_mean_is_refused(initial, dataset, runs, tmp_path):
    """And what an earlier mean left stays."""
    (tmp_path / "model").mkdir()
    earlier = '{"model_type": "bilabial"}'
    (tmp_path / "model" / "config.json").write_text(earlier)
    known = {"trained_emotions": ["neutral", "happy"], "unseen_blendshapes": ["jawLeft", "tongueOut"]}
    for name, size in (("wider", {"hidden_size": 24}), ("deeper", {"encoder_layers": 2})):
        larger = BilabialModel(BilabialConfig(**TINY | size, **known))
        save_checkpoint(larger, BilabialFeatureExtractor(), tmp_path / name)
    other, deeper = runs["retained"], tmp_path / "deeper"
    for models, weights, code, values in (
        ([initial], [1], "average_count", {"models": 1, "weights": 1}),
        ([other, initial], [1], "average_count", {"models": 2, "weights": 1}),
        ([other, initial], [1, 0], "average_weights", {"got": "[1.0, 0.0]"}),
        ([other, initial], ["nan", 1], "average_weights", {"got": "[nan, 1.0]"}),
        ([initial, tmp_path / "gone"], [1, 1], "model_name", {}),
        ([initial, other], [1, 1], "average_other", {"name": str(other), "first": str(initial)}),
        ([initial, tmp_path / "wider"], [1, 1], "average_sizes", {}),
        ([initial, deeper], [1, 1], "average_sizes", {}),
        ([deeper, initial], [1, 1], "average_sizes", {}),
        ([other, "default"], [1, 1], "average_other", {"name": "default", "part": "styles"}),
    ):
        options = ["--models", *models, "--weights", *weights, "--dataset", dataset, "--output", tmp_path]
        with refused(code, **values):
            run_average(*options)
        assert (tmp_path / "model" / "config.json").read_text() == earlier
    with pytest.raises((ValueError, OSError)):  # as datasets says it
        options = ["--models", initial, initial, "--weights", 1, 1, "--dataset", tmp_path]
        run_average(*options, "--output", tmp_path)


def test_a_report_compares(initial, dataset, runs, tmp_path):
    options = ["--before", initial, "--after", runs["retained"], "--dataset", dataset]
    text = run("compare.py", *options, "--output", tmp_path / "report.html").stdout
    assert "Held-out clips" in text and all(f"| {name} |" in text for name in ("captured", "before", "after"))
    assert "| style default |" in text and "| happy, default |" in text and "style me" not in text
    page = (tmp_path / "report.html").read_text()
    assert page.count("<table>") == 2 and 'name="viewport"' in page and "test\\u002f0" in page
    assert all(f'"name":"{name}"' in page for name in ("captured", "before", "after"))


def test_what_should_be_kept():
    model = BilabialModel(BilabialConfig(**TINY, trained_emotions=["neutral", "happy"]))
    assert list(retained_conditions(model, {"me"})) == ["style default", "style other", "happy, default"]
    assert list(retained_conditions(model, {"default"})) == ["style other", "happy, other"]
    assert retained_conditions(model, {"default", "other"}) == {}
