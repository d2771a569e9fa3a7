"""What publish.py checks before anything goes out: model, figures, card, sources, data set, work tree."""

import json
import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import torch
from huggingface_hub import ModelCard, SpaceCard
from safetensors.torch import load_file
from support.errors import message_of, refused
from support.models import build_random, tiny_settings
from support.paths import ROOT
from support.rows import animated_row

from bilabial.checkpoint import EMBEDDED_MODEL, load_checkpoint, save_checkpoint, weights_sha256
from bilabial.errors import MissingFileError
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.training.data.schema import SCHEMA
from bilabial.training.data.sources import Source
from bilabial.training.evaluation import evaluate
from bilabial.training.evaluation.evaluate import EvaluateArguments
from bilabial.training.old_names import FIGURES, OldNameWarning
from bilabial.training.publishing import card, publish, space
from bilabial.training.publishing.checks import (
    check_card,
    check_figures,
    check_measured,
    check_work_tree,
)
from bilabial.training.publishing.licenses import check_license, read_sources
from bilabial.training.publishing.publish import PublishArguments


@pytest.fixture(scope="module")
def trained(tmp_path_factory, speech) -> Path:
    """A run: model/ with its sources, metrics.json beside it, measured on a data set of one clip."""
    folder = tmp_path_factory.mktemp("run")
    model = build_random(tiny_settings())
    save_checkpoint(model, BilabialFeatureExtractor(), folder / "model")
    write_sources(folder / "model", ("GRID audiovisual corpus", "CC BY 4.0"), ("own recording", "unknown"))
    (folder / "me" / "data").mkdir(parents=True)
    table = pyarrow.Table.from_pylist([animated_row(load_checkpoint()[0], speech)], schema=SCHEMA)
    pyarrow.parquet.write_table(table, folder / "me" / "data" / "validation-00000-of-00001.parquet")
    model_folder = str(folder / "model")
    evaluate.evaluate_data_sets(
        EvaluateArguments([str(folder / "me")], folder / "metrics.json", model=model_folder)
    )
    return folder


def write_sources(folder: Path, *sources: tuple[str, str]) -> None:
    entries = [{"source": name, "license": terms, "rows": 90, "seconds": 300.0} for name, terms in sources]
    (folder / "sources.json").write_text(json.dumps(entries))


@pytest.fixture
def own(trained, tmp_path) -> Path:
    """A copy of that run to spoil."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def publish_own(run: Path, **options: object) -> None:
    given = {"repo_id": "me/my-face", "model": run / "model", "output": run / "out"}
    publish.publish(PublishArguments(dry_run=True, allow_dirty=True, **(given | options)))


def test_an_own_model_gets_a_card_from_its_figures(own):
    publish_own(own)
    card = ModelCard((own / "out" / "model" / "README.md").read_text())
    assert (card.data.license, card.data.library_name) == ("apache-2.0", "transformers")
    indexed = {one.metric_type: one.metric_value for one in card.data.eval_results}
    scores = json.loads((own / "metrics.json").read_text())
    assert indexed["lip_corr"] == pytest.approx(scores["me"]["model"]["lip_corr"], abs=1e-4)
    assert evaluate.tables(scores) in card.text
    for line in (
        "# my-face: speech to ARKit blendshapes",
        "| GRID audiovisual corpus | CC BY 4.0 | 90 | 5.0 |",
        "| own recording | not stated | 90 | 5.0 |",
        "nor the prior of emotions move `cheekPuff`: they stay 0. 51 are learned.",
        'pipeline("audio-to-blendshapes", model="me/my-face", trust_remote_code=True)',
        "Others have no effect: calm, ",
        "Closure figures of me rest on fewer than 50 /p b m/.",
    ):
        assert line in card.text, line
    files = {path.name for path in (own / "out" / "model").iterdir()}
    assert {"sources.json", "metrics.json", "feature_extraction_bilabial.py", "model.safetensors"} < files
    assert ("figures.png" in files) == ("(figures.png)" in card.text)


def test_a_card_may_name_the_terms_of_its_sources(trained):
    """All places of the template are filled, and nothing of it is left."""
    model, scores = load_checkpoint(trained / "model")[0], json.loads((trained / "metrics.json").read_text())
    sources = [Source("RAVDESS", "CC BY-NC-SA 4.0", 90, 300.0)]
    assert check_license(sources, "cc-by-nc-sa-4.0", allow_non_commercial=False) == []
    text = card.write_template("x", model, sources, scores, evaluate.tables(scores), "cc-by-nc-sa-4.0")
    text = card.complete(text, "me/x", scores, None, ["me/face"], plot=True)
    assert "REPOSITORY" not in text and "{" not in text.split("## Model")[1]
    assert "<!-- /headline -->\n\n![lip_corr of every clip" in text and "](figures.png)" in text
    assert "Some of the data forbid commercial use" in text
    data = ModelCard(text).data
    assert (data.license, data.datasets, data.model_name) == ("cc-by-nc-sa-4.0", ["me/face"], "x")


def test_the_space_speaks_with_the_own_model(trained, tmp_path):
    model = load_checkpoint(trained / "model")
    space.build_space(ROOT, tmp_path / "space", model, "me/my-face", "cc-by-nc-4.0")
    own = load_checkpoint(tmp_path / "space" / "src" / "bilabial" / "pretrained")[0]
    assert own.config.styles == ["default", "other"]
    head = SpaceCard((tmp_path / "space" / "README.md").read_text())
    assert (head.data.models, head.data.license) == (["me/my-face"], "cc-by-nc-4.0")
    assert head.data.sdk_version in (ROOT / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "chrome, reason", [(None, "CalledProcessError"), ("#!/bin/sh\nexec sleep 60\n", "TimeoutExpired")]
)
def test_plots_are_left_out_where_they_cannot_be_drawn(
    trained, tmp_path, monkeypatch, caplog, chrome, reason
):
    """Without a Chrome, and with one that never answers."""
    if chrome:
        (tmp_path / "chrome").write_text(chrome)
        (tmp_path / "chrome").chmod(0o755)
        monkeypatch.setattr(card, "DRAW_SECONDS", 10)
    else:
        monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "chrome"))
    (tmp_path / "out").mkdir()
    assert not card.draw(json.loads((trained / "metrics.json").read_text()), tmp_path / "out")
    assert f"the card gets no plots: kaleido drew none ({reason})" in caplog.text
    assert not list((tmp_path / "out").iterdir())


def spoil_metrics(run: Path, change) -> None:
    scores = json.loads((run / "metrics.json").read_text())
    change(scores)
    (run / "metrics.json").write_text(json.dumps(scores))


def change_weights(run: Path, value: float) -> None:
    """One weight becomes another, as after another training."""
    model, feature_extractor = load_checkpoint(run / "model")
    with torch.no_grad():
        model.head.bias[3] = value
    save_checkpoint(model, feature_extractor, run / "model")


def spoil_weights(run: Path) -> None:
    """A weight that is no number, measured all the same."""
    change_weights(run, torch.nan)
    spoil_metrics(run, lambda scores: scores[evaluate.WEIGHTS].update(sha256=weights_sha256(run / "model")))


def test_figures_by_their_names_of_version_0_1_are_published_by_the_present_ones(own):
    """The same figures, with one warning."""
    text = (own / "metrics.json").read_text()
    old = text
    for name, current in FIGURES.items():
        old = re.sub(rf'"{current}(?=["_ ])', f'"{name}', old)
    assert old != text and "lip_corr" not in old
    (own / "metrics.json").write_text(old)
    with pytest.warns(OldNameWarning, match=r"\blip_corr\b") as warned:
        scores = publish.read_metrics(PublishArguments(model=own / "model"))
    assert scores == json.loads(text) and len(warned) == 1


@contextmanager
def problem(code: str, **values: object) -> Iterator[None]:
    """Expect that nothing is published because of this, and maybe more."""
    with refused("publish_problems") as error:
        yield
    assert re.search(message_of(code, **values), error.value.parameters["problems"]), str(error.value)


APP = {"repo_id": None, "space": True, "space_repo_id": "me/app"}
RAVDESS = ("RAVDESS", "CC BY-NC-SA 4.0")


@pytest.mark.parametrize(
    "spoil, options, code, values",
    [
        (lambda run: spoil_metrics(run, lambda s: s["me"]["model"].update(lip_corr=math.nan)), {},
         "figures_not_finite", {"names": "lip_corr", "name": "me"}),
        (lambda run: spoil_metrics(run, lambda s: s["me"]["model"].pop("mouth_mae_centered")), {},
         "figures_missing", {"missing": "mouth_mae_centered", "name": "me"}),
        (lambda run: spoil_metrics(run, lambda s: s.pop("me")), {}, "figures_no_data", {}),
        (spoil_weights, {}, "weights_not_finite", {"name": "head.bias"}),
        (spoil_weights, APP, "weights_not_finite", {"name": "head.bias"}),
        (lambda run: write_sources(run / "model", RAVDESS), {},
         "license_commerce", {"names": "RAVDESS (CC BY-NC-SA 4.0)", "license": "apache-2.0"}),
        (lambda run: write_sources(run / "model", RAVDESS), {"license": "mit"},
         "license_commerce", {"license": "mit"}),
        (lambda run: write_sources(run / "model", ("BEAT", "non-commercial")), APP,
         "license_commerce", {"names": "BEAT (non-commercial)"}),
        (lambda run: None, {"card": ROOT / "model_card.md"}, "card_tables", {"name": "model_card.md"}),
    ],
)  # fmt: skip
def test_a_failing_state_is_refused(own, spoil, options, code, values):
    spoil(own)
    with problem(code, **values):
        publish_own(own, **options)
    assert not (own / "out").exists()


@pytest.mark.parametrize(
    "spoil, code",
    [
        (lambda run: (run / "metrics.json").unlink(), "figures_no_file"),
        (lambda run: change_weights(run, 0.25), "figures_other"),
        (lambda run: spoil_metrics(run, lambda scores: scores.pop("weights")), "figures_unnamed"),
    ],
)
def test_figures_of_no_use_are_refused_with_the_command_that_makes_them(own, spoil, code):
    spoil(own)
    command = message_of("figures_command", model=own / "model", path=own / "metrics.json")
    with refused("publish_problems") as error:
        publish_own(own)
    assert re.fullmatch(f"{message_of(code)}; {command}", error.value.parameters["problems"])
    assert not (own / "out").exists()


def test_files_that_are_missing_or_damaged_are_refused(own):
    with refused("file_missing", MissingFileError, name=Path("gone.md")):
        publish_own(own, card=Path("gone.md"))
    (own / "model" / "sources.json").write_text('[{"name": 1}]')
    with refused("sources_file", path=own / "model" / "sources.json"):
        publish_own(own)
    (own / "model" / "sources.json").unlink()
    with refused("sources_missing", MissingFileError, path=own / "model", name="sources.json"):
        publish_own(own)
    (own / "metrics.json").write_text("{")
    with refused("publish_metrics", path=own / "metrics.json"):
        publish_own(own)
    assert not (own / "out").exists()


@pytest.mark.slow
def test_data_that_forbid_commerce_may_be_published_on_ones_word(own):
    write_sources(own / "model", ("RAVDESS", "CC BY-NC-SA 4.0"))
    publish_own(own, allow_non_commercial=True, space=True, space_repo_id="me/app")
    for kind in ("model", "space"):
        assert "license: apache-2.0" in (own / "out" / kind / "README.md").read_text()


def test_the_license_that_counts_is_that_of_the_card_unless_given(own):
    model, scores = load_checkpoint(own / "model")[0], json.loads((own / "metrics.json").read_text())
    write_sources(own / "model", ("RAVDESS", "CC BY-NC-SA 4.0"))
    given = read_sources(own / "model")
    text = card.write_template("x", model, given, scores, evaluate.tables(scores), "mit")
    (own / "card.md").write_text(text)
    with problem("license_commerce", license="mit"):
        publish_own(own, card=own / "card.md")
    with problem("license_commerce", license="gpl-3.0"):
        publish_own(own, card=own / "card.md", license="gpl-3.0")


@pytest.mark.parametrize(
    "old, new, code, values",
    [
        (
            "import numpy as np",
            "import mediapipe, numpy as np",
            "hub_import",
            {"name": "feature_extraction_bilabial.py", "package": "mediapipe"},
        ),
        (".numpy()", ".numpy() * 0.5", "publish_differs", {"way": "pipeline"}),
    ],
)
def test_code_that_breaks_or_errs_for_strangers_is_refused(own, monkeypatch, old, new, code, values):
    def save_with_another_pipeline(*given, **options) -> Path:
        folder = save_checkpoint(*given, **options)
        path = folder / "feature_extraction_bilabial.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))
        return folder

    monkeypatch.setattr(publish, "save_checkpoint", save_with_another_pipeline)
    with problem(code, **values):
        publish_own(own)
    assert not (own / "out").exists()


@pytest.mark.parametrize(
    "options, code, parameters",
    [
        ({"repo_id": None}, "publish_nothing", {}),
        ({"repo_id": "bilabial"}, "publish_repository", {"option": "--repo_id", "got": "'bilabial'"}),
        ({"dataset": Path("x")}, "publish_repository", {"option": "--dataset_repo_id", "got": "None"}),
        ({"space_repo_id": "me/app"}, "option_needs", {"option": "--space_repo_id", "missing": "--space"}),
        ({"tag": "main"}, "publish_tag", {"got": "'main'"}),
        ({"tag": "a b"}, "publish_tag", {"got": "'a b'"}),
    ],
)
def test_a_command_that_cannot_be_meant(own, options, code, parameters):
    with refused(code, **parameters) as raised:
        publish_own(own, **options)
    assert raised.value.parameters == parameters


def test_a_folder_that_is_no_data_set(own):
    with refused("data_files"):
        publish_own(own, repo_id=None, dataset=Path("x"), dataset_repo_id="me/x")


@pytest.mark.parametrize(
    "spoil, code, values",
    [
        (lambda table: table.drop(["license"]), "data_columns", {"missing": "license"}),
        (lambda table: table.slice(0, 0), "data_no_rows", {}),
        (lambda table: with_coefficients(table, math.inf), "data_not_finite", {}),
    ],
)
def test_a_broken_data_set_is_refused(own, spoil, code, values):
    path = own / "me" / "data" / "validation-00000-of-00001.parquet"
    pyarrow.parquet.write_table(spoil(pyarrow.parquet.read_table(path)), path)
    (own / "me" / "README.md").write_text("# rows\n")
    with refused(code, **values) as error:
        publish_own(own, repo_id=None, dataset=own / "me", dataset_repo_id="me/face")
    assert path in error.value.parameters.values()


def test_a_data_set_of_an_older_version_may_be_published(own):
    path = own / "me" / "data" / "validation-00000-of-00001.parquet"
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).drop(["intensity"]), path)
    (own / "me" / "README.md").write_text("# rows\n")
    publish_own(own, repo_id=None, dataset=own / "me", dataset_repo_id="me/face")
    assert (own / "out" / "dataset" / "data" / path.name).is_file()


def with_coefficients(table: pyarrow.Table, value: float) -> pyarrow.Table:
    rows = table.to_pylist()
    rows[0]["coefficients"][5][7] = value
    return pyarrow.Table.from_pylist(rows, schema=SCHEMA)


def test_embedding_takes_the_sources_along(own, tmp_path, monkeypatch):
    monkeypatch.setitem(publish.EMBEDDED_MODELS, "default", tmp_path / "pretrained")
    publish.publish(PublishArguments(model=own / "model", embed=True))
    assert load_checkpoint(tmp_path / "pretrained")[0].config.styles == ["default", "other"]
    assert read_sources(tmp_path / "pretrained") == read_sources(own / "model")
    (own / "model" / "sources.json").unlink()
    with refused("sources_missing", MissingFileError, name="sources.json"):
        publish.publish(PublishArguments(model=own / "model", embed=True))
    with refused("option_needs", option="--embed", missing="--model"):
        publish.publish(PublishArguments(embed=True))


def test_the_model_for_live_use_is_embedded_in_half_precision(own, tmp_path, monkeypatch):
    """It is half as large, computes in single precision, and says what the other says to three digits."""
    monkeypatch.setitem(publish.EMBEDDED_MODELS, "live", tmp_path / "live")
    publish.publish(PublishArguments(model=own / "model", embed=True, embed_as="live"))
    tensors = load_file(tmp_path / "live" / "model.safetensors")
    before, after = (load_checkpoint(path)[0] for path in (own / "model", tmp_path / "live"))
    buffers = {name for name, _ in before.named_buffers()}
    assert {name for name, one in tensors.items() if one.dtype == torch.float32} == buffers
    assert after.dtype == torch.float32
    sound = torch.randn(1, 16000) * 0.05
    assert (after(sound).coefficients - before(sound).coefficients).abs().max() < 2e-3
    assert read_sources(tmp_path / "live") == read_sources(own / "model")


# --- The work tree


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_code_that_is_in_no_commit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    given = PublishArguments(repo_id="me/x", dry_run=True, model=tmp_path / "none")
    with problem("git_folder", path=tmp_path):
        publish.publish(given)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    assert check_work_tree(tmp_path) == []
    (tmp_path / "notes.txt").write_text("no code\n")
    assert check_work_tree(tmp_path) == []
    for name in ("app.py", "requirements.txt", "train/a.py", "README.md", "model_card.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("new\n")
        (found,) = check_work_tree(tmp_path)
        assert (found.code, found.parameters["names"]) == ("git_changes", name.replace("a.py", ""))
        (tmp_path / name).unlink()
    (tmp_path / "src" / "a.py").write_text("2\n")
    (tmp_path / "src" / "new.py").write_text("3\n")
    with problem("git_changes", names="src/a.py, src/new.py"):
        publish.publish(given)
    monkeypatch.setenv("PATH", "")
    with problem("git_missing"):
        publish.publish(given)


# --- The command


def test_the_embedded_card_is_that_of_the_embedded_figures():
    scores = json.loads((EMBEDDED_MODEL / "metrics.json").read_text())
    text = (ROOT / "model_card.md").read_text()
    assert check_card("model_card.md", text, evaluate.tables(scores)) == []
    assert check_figures(scores) == []


def test_a_refusal_leaves_earlier_files(own, tmp_path):
    (tmp_path / "card.md").write_text("# nothing\n")
    (own / "out" / "model").mkdir(parents=True)
    (own / "out" / "model" / "kept").write_text("earlier")
    with refused("publish_output"):
        publish_own(own, card=tmp_path / "card.md")
    (own / "out" / "model" / publish.DRY_RUN).touch()
    with refused("publish_problems") as error:
        publish_own(own, card=tmp_path / "card.md")
    lacks = [message_of("card_lacks", name="card.md", missing=f"'{mark}") for mark in ("license", "library")]
    assert re.match("; ".join(f"{one}.*" for one in lacks), error.value.parameters["problems"])
    assert (own / "out" / "model" / "kept").read_text() == "earlier"


def test_figures_are_of_these_weights_and_of_rows_held_out():
    assert check_measured({"weights": {"sha256": "a"}}, "a") == []
    assert check_measured({"weights": {"sha256": "a", "split": "test"}}, "a") == []
    (found,) = check_measured({"weights": {"sha256": "b"}}, "a")
    assert found.code == "figures_other"
    (found,) = check_measured({"weights": {"sha256": "a", "split": "train"}}, "a")
    assert (found.code, found.parameters) == ("figures_learned", {"name": "train"})


def test_a_dry_run_leaves_what_it_publishes(own):
    """Its copies would take the place of a model beside which they are to be written."""
    with refused("publish_into_itself"):
        publish_own(own, output=own)
    assert (own / "model" / "model.safetensors").is_file()
