"""Checks before publishing: code, card, figures, weights and work tree.

Every check returns a list of problems, errors that are not raised.
"""

import ast
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from bilabial.errors import UserError
from bilabial.hub.modeling_bilabial import BilabialModel

ALLOWED_IMPORTS = {"numpy", "torch", "transformers", "huggingface_hub"}
# The pattern by which transformers finds relative imports, also in docstrings and comments.
RELATIVE_IMPORT = re.compile(r"^\s*(?:from|import)\s+\.(\S*)", re.MULTILINE)
# Sources of what is published
CODE = ("app.py", "requirements.txt", "src", "train", "README.md", "model_card.md")
WANTED_FIGURES = ("lip_corr", "lag_ms", "mouth_mae_centered", "closure_recall", "false_closure")
MAX_NAMED = 5  # files in a sentence
TRY_OUT = """
import json, sys, numpy, torch
from transformers import AutoFeatureExtractor, AutoModel, pipeline
given = {"trust_remote_code": True, "revision": sys.argv[2] if len(sys.argv) > 2 else None}
model = AutoModel.from_pretrained(sys.argv[1], **given)
extractor = AutoFeatureExtractor.from_pretrained(sys.argv[1], **given)
animate = pipeline("audio-to-blendshapes", model=sys.argv[1], **given)
assert "bilabial" not in sys.modules, "the code of the repository was not used"
waveform = numpy.random.default_rng(0).standard_normal(16000).astype("float32") * 0.1
face = animate(waveform, sampling_rate=16000, fps=30)
print(json.dumps({
    "coefficients": model.animate(waveform, sampling_rate=16000, fps=30).tolist(),
    "pipeline": {**face, "coefficients": face["coefficients"].tolist()},
    "features": float(extractor(waveform, sampling_rate=16000, return_tensors="pt").input_values.abs().sum()),
    "buffers": {name: float(buffer.double().sum()) for name, buffer in model.named_buffers()},
}))
"""
OPEN_APP = """
import sys
sys.path.insert(0, sys.argv[1])
import app, bilabial
from bilabial.app.page import build_demo
assert bilabial.__file__.startswith(sys.argv[1]), "the package of the Space was not used"
build_demo()
"""


def check_code(folder: Path) -> list[UserError]:
    """Problems of the folder's Python files on the Hub."""
    problems = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text()
        for target in RELATIVE_IMPORT.findall(text):
            if not re.fullmatch(r"\w+", target) or not (folder / f"{target}.py").is_file():
                problems.append(UserError("hub_sibling", name=path.name, module=f".{target}"))
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            for name in names:
                package = name.split(".")[0]
                if package not in ALLOWED_IMPORTS | set(sys.stdlib_module_names):
                    problems.append(UserError("hub_import", name=path.name, package=package))
    return problems


def check_card(name: str, text: str, *tables: str) -> list[UserError]:
    """Problems of a model card, whose figures must be those of metrics.json."""
    wanted = ("license:", "library_name: transformers", "trust_remote_code=True", "<!-- metrics -->")
    problems = [UserError("card_lacks", name=name, missing=repr(mark)) for mark in wanted if mark not in text]
    if not problems and not all(table in text for table in tables):
        problems.append(UserError("card_tables", name=name))
    return problems


def check_figures(scores: dict) -> list[UserError]:
    """Missing or non-finite figures in a metrics.json."""
    data = {name: entries["model"] for name, entries in scores.items() if "clips" in entries}
    problems = [] if data else [UserError("figures_no_data")]
    for name, row in data.items():
        missing = [figure for figure in WANTED_FIGURES if figure not in row]
        if missing:
            problems.append(UserError("figures_missing", missing=missing, name=name))
        broken = [figure for figure, value in row.items() if not math.isfinite(value)]
        if broken:
            problems.append(UserError("figures_not_finite", names=broken, name=name))
    return problems


def check_measured(scores: dict, weights: str) -> list[UserError]:
    """Whether figures belong to the weights with this SHA-256 and to held-out rows."""
    noted = scores.get("weights", {})
    measured = noted.get("sha256")
    if measured == weights:
        return [UserError("figures_learned", name="train")] if noted.get("split") == "train" else []
    return [UserError("figures_other" if measured else "figures_unnamed")]


def check_weights(model: BilabialModel) -> list[UserError]:
    """Non-finite weights."""
    broken = [name for name, values in model.state_dict().items() if not torch.isfinite(values).all()]
    return [UserError("weights_not_finite", name=name) for name in broken[:MAX_NAMED]]


def check_work_tree(root: Path) -> list[UserError]:
    """Uncommitted code."""
    command = ["git", "-C", str(root), "status", "--porcelain", "--", *CODE]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        return [UserError("git_missing")]
    if done.returncode:
        reason = done.stderr.strip().splitlines()[0]
        return [UserError("git_folder", path=root, error=reason)]
    changed = [line[3:] for line in done.stdout.splitlines()]
    if not changed:
        return []
    more = [f"{len(changed) - MAX_NAMED} more"] if len(changed) > MAX_NAMED else []
    return [UserError("git_changes", names=changed[:MAX_NAMED] + more)]


def code_revision(root: Path) -> str:
    """The commit of the code, as git abbreviates it; "an unknown commit" without git."""
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "an unknown commit"


def check_use(folder: Path, model: BilabialModel) -> list[UserError]:
    """Whether AutoModel and pipeline give the same results from the folder as the model here."""
    waveform = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    here, there = model.animate(waveform, 16000, fps=30).numpy(), json.loads(try_out(folder))
    ways = {"AutoModel": there["coefficients"], "pipeline": there["pipeline"]["coefficients"]}
    return [
        UserError("publish_differs", way=way)
        for way, values in ways.items()
        if not np.allclose(values, here, atol=1e-5)
    ]


def try_out(folder: Path) -> str:
    """Load and use a model's folder in a clean interpreter, offline, without this package.

    Returns what it printed (JSON). Raises ValueError with the interpreter's last line.
    """
    with tempfile.TemporaryDirectory() as home:
        environment = {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "PATH": "", "HOME": home}
        return run_clean(TRY_OUT, folder, home, environment)


def open_app(folder: Path) -> None:
    """Import the app of a Space's folder, and build its page. Raises ValueError if that fails."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"HF_HOME": home, "GRADIO_ANALYTICS_ENABLED": "0"}
        run_clean(OPEN_APP, folder, home, environment)


def run_clean(code: str, folder: Path, home: str, environment: dict[str, str]) -> str:
    """The last line that a clean interpreter prints."""
    command = [sys.executable, "-I", "-c", code, str(folder.resolve())]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise UserError("publish_load", name=folder.name, error=words[-1:])
    return (done.stdout.strip().splitlines() or [""])[-1]
