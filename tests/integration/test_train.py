"""The trainer's path in processes of their own: prepare, calibrate, train (killed and resumed), evaluate."""

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset, load_dataset
from safetensors.torch import load_file
from support.errors import message_of, refused
from support.media import write_video
from support.rows import row
from support.scripts import launch, run
from transformers import HubertConfig, HubertModel

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import encode_wav
from bilabial.io.facegood import FACEGOOD_BLENDSHAPES
from bilabial.training.data.schema import SCHEMA
from bilabial.training.data.sources import Source, write_sources
from bilabial.training.data.windows import TrainingWindows
from bilabial.training.fit import initialization, train
from bilabial.training.fit.arguments import PRESETS, check_same_run, parse_arguments
from bilabial.training.teachers.phone_recognizer import initialize_from_recognizer

CLIPS = ("bbaf2n", "bbaf3s", "bbaf4p", "bbaf5a", "bbal6n", "bbal7s")


@pytest.fixture(scope="module")
def grid(clips, tmp_path_factory) -> Path:
    """Six real clips in GRID's layout, and one that shows no face."""
    folder = tmp_path_factory.mktemp("grid") / "s1"
    folder.mkdir()
    for name in CLIPS:
        shutil.copy(clips / "grid" / "s1" / f"{name}.mp4", folder / f"{name}.mp4")
    wall = [np.full((96, 96, 3), 90, np.uint8)] * 10
    write_video(folder / "wall.mp4", [k / 10 for k in range(10)], wall, seconds_of_sound=1.0)
    return folder.parent


@pytest.fixture(scope="module")
def dataset(grid, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("data") / "grid"
    done = run(
        "prepare.py", "--reader", "grid", "--source", grid, "--output", output, "--validation_share", 0.4
    )
    assert "6 rows" in done.stdout and "1 dropped" in done.stdout
    return output


def test_prepare_makes_a_data_set_with_a_summary(dataset):
    rows = load_dataset(str(dataset))
    assert set(rows) == {"train", "validation"} and sum(map(len, rows.values())) == 6
    row = rows["train"][0]
    assert len(row["coefficients"]) == len(row["valid"]) == len(row["lip_gap"]) == 150
    assert row["fps"] == 50.0 and row["license"] == "CC BY 4.0" and row["speaker"] == "grid_s1"
    summary = json.loads((dataset / "summary.json").read_text())
    assert summary["dropped"] == {"grid/s1/wall": str(UserError("face_missing", name="wall.mp4", count=10))}
    assert "CC BY 4.0" in (dataset / "README.md").read_text()


def test_prepare_says_what_is_wrong(tmp_path):
    done = run("prepare.py", "--source", tmp_path, "--output", tmp_path / "out", check=False)
    assert done.returncode == 1
    assert re.fullmatch(message_of("corpus_table", path=tmp_path), done.stderr.splitlines()[-1])
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "data").exists()


@pytest.mark.slow
def test_a_failed_prepare_leaves_the_data_alone(grid, dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "grid")
    (tmp_path / "empty" / "s1").mkdir(parents=True)
    shutil.copy(grid / "s1" / "wall.mp4", tmp_path / "empty" / "s1" / "wall.mp4")
    options = ["--reader", "grid", "--source", tmp_path / "empty", "--output", tmp_path / "grid"]
    done = run("prepare.py", *options, check=False)
    assert done.returncode == 1
    path = tmp_path / "grid" / "report.html"
    assert re.fullmatch(message_of("takes_dropped", path=path), done.stderr.splitlines()[-1])
    assert sum(map(len, load_dataset(str(tmp_path / "grid")).values())) == 6


def test_calibrate_fits_and_keeps(dataset):
    done = run("calibrate.py", "--dataset", dataset)
    fitted = json.loads((dataset / "calibration.json").read_text())
    assert 0 < fitted["closure_ratio_low"] < fitted["closure_ratio_high"] < 1
    assert fitted["lip_distance_weights"]["jawOpen"] == 1.0
    assert -1.5 < fitted["lip_distance_weights"]["mouthClose"] < -0.7
    assert "area under the curve" in done.stdout and "R2" in done.stdout


@pytest.fixture(scope="module")
def trained(dataset, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "whole"
    launch("--dataset", dataset, "--preset", "tiny", "--output", output)
    return output


def test_training_exports_a_model_with_its_code(trained):
    names = {path.name for path in (trained / "model").iterdir()}
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "modeling_bilabial.py"} <= names
    config = json.loads((trained / "model" / "config.json").read_text())
    assert config["styles"] == ["default", "grid_s1"] and "tongueOut" in config["unseen_blendshapes"]
    assert list((trained / "logs").rglob("events.out.tfevents*"))


def test_resumed_equals_uninterrupted(dataset, trained, tmp_path):
    """Stopped at step 3, within an epoch and between two checkpoints, then resumed: the same to the bit."""
    options = ["--dataset", dataset, "--preset", "tiny", "--output", tmp_path / "run"]
    launch(*options, "--stop_after_steps", 3)
    assert not (tmp_path / "run" / "model").exists()
    assert "resumed at step 3" in launch(*options).stdout
    resumed, whole = (
        load_file(folder / "model" / "model.safetensors") for folder in (tmp_path / "run", trained)
    )
    assert resumed.keys() == whole.keys()
    assert all(resumed[name].equal(whole[name]) for name in whole)


@pytest.mark.slow
def test_other_arguments_are_no_resumption(dataset, trained):
    done = launch("--dataset", dataset, "--preset", "tiny", "--output", trained, "--seed", 7, check=False)
    assert done.returncode != 0
    assert re.search(message_of("run_other", path=trained, changed="seed was 0, is 7"), done.stderr)


@pytest.mark.parametrize(
    "text, name, owner",
    [
        ('{"max_stepz": 1}', "max_stepz", "TrainArguments"),
        ('{"model": {"closure_wieght": 1}}', "closure_wieght", "BilabialConfig"),
    ],
)
def test_misspelled_presets_are_refused(tmp_path, text, name, owner):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with refused("preset_fields", path=path, names=name, owner=owner):
        parse_arguments(["--dataset", "x", "--output", str(tmp_path), "--preset", str(path)])


def test_every_preset_is_known():
    for preset in PRESETS.glob("*.json"):
        parse_arguments(["--dataset", "x", "--output", "y", "--preset", preset.stem])
    with refused("preset_name", got="'best'") as raised:
        parse_arguments(["--dataset", "x", "--output", "y", "--preset", "best"])
    assert raised.value.parameters["accepted"].startswith("default, finetune, live, mse")


@pytest.fixture(scope="module")
def two_sets(speech, tmp_path_factory) -> list[Path]:
    """A captured data set and a pseudo-labeled one whose face is wide open, without a validation split."""
    folders = []
    for face, jaw in (("captured", 0.1), ("pseudo_label", 0.9)):
        folder = tmp_path_factory.mktemp(face)
        (folder / "data").mkdir()
        rows = []
        for name in ("a", "b"):
            one = row(name, speech)
            values = np.asarray(one["coefficients"]) * 0
            values[:, ARKIT_BLENDSHAPES.index("jawOpen")] = jaw
            phones = [{"name": "M", "start": 0.1, "end": 0.3}, {"name": "AA", "start": 0.3, "end": 0.9}]
            one |= {"id": f"{face}/{name}", "face": face, "coefficients": list(values), "phones": phones}
            one |= {"source": f"{face} speech", "license": "CC0"}
            rows.append(one)
        table = pyarrow.Table.from_pylist(rows, schema=SCHEMA)
        pyarrow.parquet.write_table(table, folder / "data" / "train-00000-of-00001.parquet")
        if face == "captured":
            pyarrow.parquet.write_table(table, folder / "data" / "validation-00000-of-00001.parquet")
        folders.append(folder)
    return folders


@pytest.fixture(scope="module")
def first_run(two_sets, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "first"
    launch("--dataset", *two_sets, "--preset", "tiny", "--output", output, "--pseudo_label_weight", 0.25)
    return output


def arguments(datasets: list[Path], *options: object) -> tuple:
    given = ["--dataset", *datasets, "--output", "y", "--preset", "tiny", *options]
    return parse_arguments([str(one) for one in given])


def test_several_data_sets_are_one(two_sets, first_run):
    """Splits are joined; the mean pose is that of captured faces, pseudo-labels count by their weight."""
    args, fields = arguments(two_sets, "--pseudo_label_weight", 0.25)
    splits = train.load_splits(args)
    assert {name: len(rows) for name, rows in splits.items()} == {"train": 4, "validation": 2}
    model = initialization.build_model(splits["train"], args, fields)
    assert model.head.bias[ARKIT_BLENDSHAPES.index("jawOpen")].item() == pytest.approx(0.1, abs=1e-6)
    windows = TrainingWindows(
        splits["train"], model.config, 30, None, pseudo_label_weight=args.pseudo_label_weight
    )
    assert [float(windows[index]["label_mask"].max()) for index in range(4)] == [1, 1, 0.25, 0.25]
    assert (first_run / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_the_priors_emotions_count_as_trained(two_sets, share):
    args, fields = arguments(two_sets, "--emotion_share", share)
    config = initialization.build_model(train.load_splits(args)["train"], args, fields).config
    assert config.trained_emotions == (list(EMOTIONS) if share else ["neutral"])
    assert ("noseSneerLeft" in config.unseen_blendshapes) == (share == 0.0)
    assert "tongueOut" in config.unseen_blendshapes


@pytest.mark.parametrize(
    "names, on, moved", [("AA TH", True, True), ("AA M", True, False), ("TH", False, False)]
)
def test_the_tongue_is_moved_by_the_prior_where_rows_have_th(two_sets, names, on, moved):
    rows = train.load_splits(arguments(two_sets)[0])["train"]
    phones = [{"name": name, "start": 0.1, "end": 0.9} for name in names.split()]
    table = pyarrow.Table.from_pylist([rows[0] | {"phones": phones}, rows[1]], schema=SCHEMA)
    args, fields = arguments(two_sets, "--articulation_prior", str(on).lower())
    rows = {"train": Dataset(table)}
    model = initialization.build_model(rows["train"], args, fields)
    assert ("tongueOut" not in model.config.unseen_blendshapes) == moved
    windows, held_out = train.build_windows(rows, model.config, args)
    tongue = ARKIT_BLENDSHAPES.index("tongueOut")
    assert windows[0]["channel_mask"][tongue] == on
    assert held_out[0]["channel_mask"][tongue] == 0  # losses on held-out clips are against captured faces


def test_a_model_knows_how_its_default_style_moves(first_run):
    config = json.loads((first_run / "model" / "config.json").read_text())
    assert len(config["channel_means"]) == len(config["channel_spreads"]) == 52
    assert max(config["channel_means"]) > 0 and min(config["channel_spreads"]) >= 0


def test_a_model_names_the_sources_of_its_rows(two_sets, first_run, speech):
    """Training rows only: the captured rows are there a second time as the validation split."""
    sources = json.loads((first_run / "model" / "sources.json").read_text())
    assert [(one["source"], one["license"], one["rows"]) for one in sources] == [
        ("captured speech", "CC0", 2), ("pseudo_label speech", "CC0", 2)
    ]  # fmt: skip
    assert sources[0]["seconds"] == pytest.approx(2 * len(speech) / 16000, abs=0.1)


@pytest.mark.slow
def test_a_frozen_encoder_of_its_own_stays(two_sets, first_run, tmp_path):
    earlier = [
        Source("somebody", "CC BY-NC 4.0", 7, 21.0),
        Source("captured speech", "CC0", 1, 3.0),
    ]
    write_sources(shutil.copytree(first_run / "model", tmp_path / "model"), earlier)
    options = ["--init_from", tmp_path / "model", "--freeze_encoder", "--max_steps", 3]
    launch("--dataset", *two_sets, "--preset", "tiny", "--output", tmp_path / "run", *options)
    sources = json.loads((tmp_path / "run" / "model" / "sources.json").read_text())
    assert sources == [*json.loads((first_run / "model" / "sources.json").read_text()), asdict(earlier[0])]
    before, after = (load_file(run / "model" / "model.safetensors") for run in (first_run, tmp_path / "run"))
    moved = {name for name in before if not before[name].equal(after[name])}
    assert moved and not any(name.startswith("encoder.") for name in moved)
    assert {"projection.weight", "head.weight"} <= moved


@pytest.mark.parametrize(
    "options, code",
    [
        (["--distillation_weight", 1], "recognizer_sizes"),
        (["--distillation_weight", 1, "--audio_encoder", "ENCODER"], "option_excludes"),
    ],
)
def test_distillation_needs_an_encoder_of_the_recognizers_sizes(two_sets, tmp_path, options, code):
    sizes = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    sizes |= {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    HubertModel(HubertConfig(**sizes)).save_pretrained(tmp_path)
    args, fields = arguments(two_sets, *(tmp_path if one == "ENCODER" else one for one in options))
    with refused(code):
        initialization.build_model(train.load_splits(args)["train"], args, fields)


@pytest.mark.slow
def test_distillation_resumed_equals_uninterrupted(two_sets, tmp_path):
    """The heads and running estimates of the teacher are kept in checkpoints too."""
    pytest.importorskip("hama")
    decoder = {"hidden_size": 16, "decoder_dilations": [1], "style_size": 4}
    steps = {"max_steps": 3, "eval_steps": 3, "batch_size": 2, "window_seconds": 0.6, "warmup_steps": 1}
    preset = tmp_path / "distillation.json"
    preset.write_text(json.dumps({**steps, "num_workers": 0, "distillation_weight": 0.5, "model": decoder}))
    options = ["--dataset", *two_sets, "--preset", preset]
    launch(*options, "--output", tmp_path / "whole")
    launch(*options, "--output", tmp_path / "run", "--stop_after_steps", 1)
    assert "resumed at step 1" in launch(*options, "--output", tmp_path / "run").stdout
    resumed, whole = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("run", "whole"))
    assert all(resumed[name].equal(whole[name]) for name in whole) and resumed.keys() == whole.keys()
    started = BilabialModel(BilabialConfig(**decoder))
    initialize_from_recognizer(started.encoder)
    near = started.encoder.stem.weight
    assert 0 < (whole["encoder.stem.weight"] - near).abs().max() < 0.1 * near.abs().max()


def test_evaluate_writes_metrics_and_a_card(dataset, trained, tmp_path):
    card = tmp_path / "card.md"
    card.write_text("before\n<!-- metrics -->\nold\n<!-- /metrics -->\nafter\n")
    phones = {clip: {"phones": [["SIL", 0, 0.5], ["B", 1.0, 1.1], ["AA", 1.5, 1.6]]} for clip in CLIPS}
    (tmp_path / "phones.json").write_text(json.dumps(phones))
    options = ["--model", trained / "model", "--dataset", dataset, "--output", tmp_path / "metrics.json"]
    run("evaluate.py", *options, "--card", card, "--phones", tmp_path / "phones.json")
    scores = json.loads((tmp_path / "metrics.json").read_text())["grid"]
    assert scores["capture"]["mse"] == 0 and scores["capture"]["lip_corr"] > 0.9
    assert scores["capture"]["closure_recall"] > 0.9 and scores["mean pose"]["lip_corr"] == 0
    assert {"mve", "lve", "fdd", "mouth_mae_centered", "channel_corr", "lag_ms", "false_closure"} <= set(
        scores["model"]
    )
    text = card.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| model |" in text


@pytest.mark.slow
def test_curves_with_sound_become_a_data_set(speech, tmp_path):
    """FACEGOOD's layout: two pieces, all held out, labels where the curves are."""
    names = sorted({term for terms in FACEGOOD_BLENDSHAPES.values() for term in terms})
    sound = np.tile(speech, 10)[: 20 * 16000]
    values = np.zeros((600, len(names)), np.float32)
    values[300:, names.index("mouth_stretch_c")] = 0.5  # open in the second ten seconds
    FaceClip(names, values, 30).to_npz(tmp_path / "a.npz")
    (tmp_path / "a.wav").write_bytes(encode_wav(sound))
    options = ["--reader", "facegood", "--source", tmp_path, "--output", tmp_path / "out"]
    run("prepare.py", *options, "--min_score", 0)  # lips that never open would be dropped
    rows = load_dataset(str(tmp_path / "out"))
    assert set(rows) == {"validation"}
    first, second = rows["validation"]
    assert len(first["lip_gap"]) == len(second["lip_gap"]) == 500 and all(second["valid"])
    assert max(first["lip_gap"][:-1]) == 0 and min(second["lip_gap"]) > 0.2
    assert sum(first["channel_mask"]) == len(FACEGOOD_BLENDSHAPES) + 1 == 14
    done = launch(
        "--dataset", tmp_path / "out", "--preset", "tiny", "--output", tmp_path / "run", check=False
    )
    assert re.search(message_of("data_no_training", names=tmp_path / "out"), done.stderr)


def test_a_run_is_not_resumed_on_other_rows(two_sets, first_run):
    """The path written in another way is the same data set; one that changed is not."""
    options = [
        "--dataset",
        *two_sets,
        "--preset",
        "tiny",
        "--output",
        first_run,
        "--pseudo_label_weight",
        0.25,
    ]
    rows = train.load_splits(arguments(two_sets)[0])
    args, fields = parse_arguments([str(one) for one in options])
    args.dataset = [f"{name}/" for name in args.dataset]
    args.precision = json.loads((first_run / "arguments.json").read_text())["precision"]  # as main decided
    check_same_run(args, fields, 1, rows)
    rows["train"] = rows["train"].select(range(3))
    with refused("run_other", path=first_run) as raised:
        check_same_run(args, fields, 1, rows)
    assert re.match("rows was '6 of .*', is '5 of ", raised.value.parameters["changed"])


@pytest.mark.parametrize(
    "written, code",
    [(None, "calibration_file"), ('{"rows": 3}', "calibration_fields"), ("[1]", "calibration_file")],
)
def test_a_calibration_is_checked(tmp_path, written, code):
    path = tmp_path / "calibration.json"
    if written:
        path.write_text(written)
    with refused(code, path=path):
        parse_arguments(["--dataset", "x", "--output", "y", "--calibration", str(path)])


@pytest.mark.parametrize("name, value", [("batch_size", 0), ("eval_steps", 0), ("window_seconds", 0)])
def test_counts_of_nothing_are_refused(name, value):
    with refused("option_least", option=f"--{name}"):
        parse_arguments(["--dataset", "x", "--output", "y", f"--{name}", str(value)])
