"""What goes to the Hub works there: without this package, offline, in a clean interpreter."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import publish
import pytest
import torch
from conftest import ROOT

from bilabial.checkpoint import EMBEDDED_MODEL, load_checkpoint, save_checkpoint
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor

HUB_CODE = ROOT / "src" / "bilabial" / "hub"


def test_code_obeys_the_hubs_rules():
    assert publish.check_code(HUB_CODE) == []


@pytest.mark.parametrize(
    "line, problem",
    [
        ("from . import lips_bilabial", "'.' is not a file beside it"),
        ("from .missing import x", "'.missing' is not a file beside it"),
        ("from .lips.x import y", "'.lips.x' is not a file beside it"),
        ("from ..clip import FaceClip", "'..clip' is not a file beside it"),
        ("import mediapipe", "imports mediapipe"),
        ("def f():\n    from bilabial.clip import FaceClip", "imports bilabial"),
        ('"""\nfrom .somewhere the docstring reads\n"""', "'.somewhere' is not a file beside it"),
    ],
)
def test_the_check_finds_what_breaks(tmp_path, line, problem):
    shutil.copytree(HUB_CODE, tmp_path / "code", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "code" / "extra.py").write_text(line + "\n")
    assert any(problem in found for found in publish.check_code(tmp_path / "code"))


def test_a_clean_interpreter_computes_the_same(tiny_model, tmp_path):
    folder = save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path / "model")
    assert {path.name for path in HUB_CODE.glob("*.py")} == {path.name for path in folder.glob("*.py")}
    there = json.loads(publish.try_out(folder))
    waveform = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    assert np.allclose(there["coefficients"], tiny_model.animate(waveform, 16000, fps=30).numpy(), atol=1e-6)
    assert there["buffers"] == {name: float(b.double().sum()) for name, b in tiny_model.named_buffers()}
    features = BilabialFeatureExtractor()(waveform, sampling_rate=16000, return_tensors="pt")
    assert there["features"] == pytest.approx(float(features.input_values.abs().sum()), rel=1e-5)


def test_a_folder_without_its_code_is_found_out(tiny_model, tmp_path):
    folder = save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path / "model")
    (folder / "lips_bilabial.py").unlink()
    with pytest.raises(RuntimeError, match="does not load in a clean interpreter"):
        publish.try_out(folder)


def test_the_embedded_model_has_no_second_copy_of_the_code():
    assert not list(EMBEDDED_MODEL.glob("*.py"))
    assert "auto_map" not in json.loads((EMBEDDED_MODEL / "config.json").read_text())
    assert (EMBEDDED_MODEL / "model.safetensors").stat().st_size < 25e6


def test_saving_without_code_after_saving_with(tiny_model, tmp_path):
    save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path / "with", with_code=True)
    folder = save_checkpoint(*load_checkpoint(tmp_path / "with"), tmp_path / "without", with_code=False)
    assert not list(folder.glob("*.py"))
    assert not any("auto_map" in path.read_text() for path in folder.glob("*.json"))
    model, _ = load_checkpoint(folder)
    waveform = torch.randn(16000) * 0.1
    assert torch.equal(model.animate(waveform, 16000), tiny_model.animate(waveform, 16000))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_folder_lacking_a_file_is_named(tiny_model, tmp_path, name):
    folder = save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"it lacks {name}"):
        load_checkpoint(folder)


@pytest.mark.parametrize("source", ["no/such/folder/here", "/gone", "./gone", "gone", Path("a/b")])
def test_a_source_that_is_nothing(source):
    with pytest.raises(FileNotFoundError, match="neither a folder nor a Hub id"):
        load_checkpoint(source)


def run_publish(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "train" / "publish.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_dry_run_writes_a_whole_repository(tmp_path):
    done = run_publish("--repo_id", "me/bilabial", "--dry_run", "--output", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"README.md", "config.json", "model.safetensors", "preprocessor_config.json"} < names
    assert "modeling_bilabial.py" in names
    assert "auto_map" in json.loads((tmp_path / "out" / "config.json").read_text())


def test_publish_refuses_a_bad_card_and_a_bad_name(tmp_path):
    (tmp_path / "card.md").write_text("# nothing\n")
    done = run_publish("--repo_id", "me/bilabial", "--dry_run", "--card", "card.md", cwd=tmp_path)
    assert done.returncode == 1 and "card.md lacks 'license:'" in done.stderr
    assert not (tmp_path / "build").exists()
    done = run_publish("--repo_id", "bilabial", "--dry_run", cwd=tmp_path)
    assert done.returncode == 1 and "must look like name/model" in done.stderr
