"""Folders that training writes: there whole or not at all, and nobody else's are removed."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors import SafetensorError
from support.errors import refused

from bilabial.checkpoint import load_checkpoint
from bilabial.training.fit import checkpoints
from bilabial.training.fit.checkpoints import check_model_folder, replace_model
from bilabial.training.teachers import pseudo_label
from bilabial.training.teachers.pseudo_label import PseudoLabelArguments


@pytest.fixture
def written(tiny_model, tmp_path) -> Path:
    replace_model(tiny_model, [], tmp_path / "model")
    return tmp_path / "model"


def test_a_model_takes_the_place_of_a_model(tiny_model, written):
    (written / "of_the_first").touch()
    shutil.copytree(written, written.with_name("model.partial"))  # of a killed run
    replace_model(tiny_model, [], written)
    assert [path.name for path in written.parent.iterdir()] == ["model"]
    assert not (written / "of_the_first").exists()
    assert load_checkpoint(written)[0].config.styles == tiny_model.config.styles


def test_there_is_a_model_at_any_time(tiny_model, written, monkeypatch):
    """Also when the last step, before which all is written, is the one at which a run is killed."""

    def killed(folder: Path, new: Path) -> None:
        assert load_checkpoint(folder) and load_checkpoint(new)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "replace_folder", killed)
    with pytest.raises(KeyboardInterrupt):
        replace_model(tiny_model, [], written)
    monkeypatch.undo()
    assert load_checkpoint(written)
    replace_model(tiny_model, [], written)
    assert [path.name for path in written.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["model", "model.partial"])
@pytest.mark.parametrize("content", ["mesh.obj", "config.json"])
def test_what_is_no_model_of_ours_stays(tiny_model, tmp_path, name, content):
    mine = tmp_path / name / content
    mine.parent.mkdir()
    mine.write_text(json.dumps({"model_type": "whisper"}))
    with refused("output_not_model", path=tmp_path / name):
        replace_model(tiny_model, [], tmp_path / "model")
    assert mine.is_file()


def test_a_file_or_an_empty_folder_in_its_place(tmp_path):
    (tmp_path / "model").mkdir()
    check_model_folder(tmp_path / "model")
    (tmp_path / "model").rmdir()
    (tmp_path / "model").touch()
    with refused("output_not_model", path=tmp_path / "model"):
        check_model_folder(tmp_path / "model")


def test_a_model_that_cannot_be_written_leaves_the_old_one(tiny_model, written, monkeypatch):
    def full(*_: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(checkpoints, "write_sources", full)
    with pytest.raises(SafetensorError):
        replace_model(tiny_model, [], written)
    assert [path.name for path in written.parent.iterdir()] == ["model"] and load_checkpoint(written)


def test_teaching_into_a_folder_of_ones_own(tmp_path):
    """`--output .` beside a folder data of other data sets, as the README's commands make one."""
    mine = tmp_path / "data" / "grid" / "data" / "train.parquet"
    mine.parent.mkdir(parents=True)
    mine.touch()
    with refused("output_not_data", path=tmp_path / "data" / "grid", folder=tmp_path / "data"):
        pseudo_label.pseudo_label(PseudoLabelArguments([str(tmp_path)], output=tmp_path, voices=tmp_path))
    with refused("output_not_data", path=tmp_path / "data" / "grid"):
        pseudo_label.write_rows(iter([]), tmp_path)
    assert mine.is_file()


def test_teaching_into_a_project(tmp_path):
    (tmp_path / "README.md").write_text("my project")
    with refused("output_used", path=tmp_path):
        pseudo_label.pseudo_label(PseudoLabelArguments([str(tmp_path)], output=tmp_path, voices=tmp_path))
