"""What goes to the Hub works there: without this package, offline, in a clean interpreter."""

import ast
import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from support.errors import refused
from support.paths import ROOT

from bilabial import Animator
from bilabial.checkpoint import EMBEDDED_MODEL, load_checkpoint, save_checkpoint
from bilabial.errors import MissingFileError, quote
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.training.publishing.checks import (
    check_code,
    try_out,
)

HUB_CODE = ROOT / "src" / "bilabial" / "hub"


def test_code_obeys_the_hubs_rules():
    assert check_code(HUB_CODE) == []


@pytest.mark.parametrize(
    "line, code, values",
    [
        ("from . import lips_bilabial", "hub_sibling", {"module": "."}),
        ("from .missing import x", "hub_sibling", {"module": ".missing"}),
        ("from .lips.x import y", "hub_sibling", {"module": ".lips.x"}),
        ("from ..clip import FaceClip", "hub_sibling", {"module": "..clip"}),
        ("import mediapipe", "hub_import", {"package": "mediapipe"}),
        ("def f():\n    from bilabial.clip import FaceClip", "hub_import", {"package": "bilabial"}),
        ('"""\nfrom .somewhere the docstring reads\n"""', "hub_sibling", {"module": ".somewhere"}),
    ],
)
def test_the_check_finds_what_breaks(tmp_path, line, code, values):
    shutil.copytree(HUB_CODE, tmp_path / "code", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "code" / "extra.py").write_text(line + "\n")
    found = [(problem.code, problem.parameters) for problem in check_code(tmp_path / "code")]
    assert (code, {"name": "extra.py", **values}) in found


def test_a_clean_interpreter_computes_the_same(tiny_model, tmp_path):
    folder = save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path / "model")
    assert {path.name for path in HUB_CODE.glob("*.py")} == {path.name for path in folder.glob("*.py")}
    there = json.loads(try_out(folder))
    waveform = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    assert np.allclose(there["coefficients"], tiny_model.animate(waveform, 16000, fps=30).numpy(), atol=1e-6)
    assert there["buffers"] == {name: float(b.double().sum()) for name, b in tiny_model.named_buffers()}
    features = BilabialFeatureExtractor()(waveform, sampling_rate=16000, return_tensors="pt")
    assert there["features"] == pytest.approx(float(features.input_values.abs().sum()), rel=1e-5)


def test_a_folder_without_its_code_is_found_out(tiny_model, tmp_path):
    folder = save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path / "model")
    (folder / "lips_bilabial.py").unlink()
    with refused("publish_load", name="model") as error:
        try_out(folder)
    assert "lips_bilabial" in error.value.parameters["error"]


def test_the_embedded_model_has_no_second_copy_of_the_code():
    assert not list(EMBEDDED_MODEL.glob("*.py"))
    assert "auto_map" not in json.loads((EMBEDDED_MODEL / "config.json").read_text())
    assert (EMBEDDED_MODEL / "model.safetensors").stat().st_size < 25e6


IN_A_CLEAN_INTERPRETER = """
import json, sys, numpy
from transformers import AutoModel, pipeline
first, second = sys.argv[1:]
AutoModel.from_pretrained(first, trust_remote_code=True).save_pretrained(second)
waveform = numpy.random.default_rng(0).standard_normal(16000).astype("float32") * 0.1
faces = []
for folder in (first, second):
    animate = pipeline("audio-to-blendshapes", model=folder, trust_remote_code=True)
    face = animate(waveform, sampling_rate=16000)
    faces.append(face["coefficients"].tolist())
assert "bilabial" not in sys.modules
print(json.dumps(faces))
"""


def test_what_save_pretrained_wrote_loads_anywhere(tiny_model, tmp_path):
    """The model's own method, of what was built here and of what was loaded with its code."""
    animator = Animator(tiny_model, BilabialFeatureExtractor())
    animator.model.save_pretrained(tmp_path / "first")
    environment = os.environ | {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    folders = [str(tmp_path / name) for name in ("first", "second")]
    command = [sys.executable, "-I", "-c", IN_A_CLEAN_INTERPRETER, *folders]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    waveform = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    expected = tiny_model.animate(waveform, 16000).numpy()
    for face in json.loads(done.stdout.splitlines()[-1]):
        assert np.allclose(face, expected, atol=1e-6)


def test_save_checkpoint_leaves_the_classes_as_they_were(tiny_model, tmp_path):
    save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path / "without", with_code=False)
    tiny_model.save_pretrained(tmp_path / "with")
    assert (tmp_path / "with" / "feature_extraction_bilabial.py").is_file()
    assert not list((tmp_path / "without").glob("*.py"))


def test_no_error_of_the_hubs_code_advises_a_module_of_ours():
    """Users of the Hub have those files and no package; strings outside of docstrings are what they read."""
    for path in HUB_CODE.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                advised = re.search(r"\bbilabial\.|train/|pip install", node.value)
                assert not advised, (path.name, node.value)


def test_saving_without_code_after_saving_with(tiny_model, tmp_path):
    save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path / "with", with_code=True)
    folder = save_checkpoint(*load_checkpoint(tmp_path / "with"), tmp_path / "without", with_code=False)
    assert not list(folder.glob("*.py"))
    assert not any("auto_map" in path.read_text() for path in folder.glob("*.json"))
    model = copy.deepcopy(load_checkpoint(folder)[0])  # aligned in memory, as what was built
    waveform = torch.randn(16000) * 0.1
    assert torch.equal(model.animate(waveform, 16000), tiny_model.animate(waveform, 16000))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "preprocessor_config.json"])
def test_a_folder_lacking_a_file_is_named(tiny_model, tmp_path, name):
    folder = save_checkpoint(tiny_model, BilabialFeatureExtractor(), tmp_path / "model")
    (folder / name).unlink()
    with refused("model_files", MissingFileError, path=folder, missing=name):
        load_checkpoint(folder)


@pytest.mark.parametrize("source", ["no/such/folder/here", "/gone", "./gone", "gone", Path("a/b")])
def test_a_source_that_is_nothing(source):
    with refused("model_name", MissingFileError, got=quote(str(source))):
        load_checkpoint(source)
