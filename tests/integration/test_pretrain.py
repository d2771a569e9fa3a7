"""The chain that makes the embedded model, from videos and recordings to a model with measured gains."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import EXAMPLE, ROOT

from bilabial.animator import Animator

MAKEFILE = ROOT / "train" / "pretrain" / "Makefile"


def make(*variables: str) -> subprocess.CompletedProcess:
    command = ["make", "--file", MAKEFILE, f"PYTHON={sys.executable}", *variables]
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True)


def write_terms(folder: Path, source: str) -> None:
    (folder / "metadata.csv").write_text(f"source,license\n{source},CC0\n")


def copy_recordings(folder: Path, source: str) -> None:
    """A collection of two short recordings of one speaker."""
    (folder / "someone").mkdir(parents=True)
    for name in ("first", "second"):
        shutil.copy(EXAMPLE, folder / "someone" / f"{name}.flac")
    write_terms(folder, source)


def test_a_missing_corpus_is_named(tmp_path):
    done = make(f"OUTPUT={tmp_path}")
    assert done.returncode and "*** GRID " in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("flite"), reason="flite is not installed")
@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_the_chain_makes_a_model_from_nothing(clips, whisper, tmp_path):
    """Every step with little data, and nothing is done twice."""
    output = tmp_path / "made"
    copy_recordings(tmp_path / "recordings" / "readers", "Readers")
    copy_recordings(output / "asterisk" / "prompts" / "speaker", "Prompts")
    (output / "asterisk" / "music").mkdir()
    shutil.copy(EXAMPLE, output / "asterisk" / "music" / "piece.flac")
    write_terms(output / "asterisk" / "music", "A band")
    (output / "asterisk.done").touch()  # what Debian's packages hold
    variables = {
        "OUTPUT": output, "GRID": clips / "grid" / "s1", "GRID_WORDS": clips / "grid" / "s1_words.json",
        "PEOPLE": clips / "grid_people", "EMODB": clips / "emodb", "RECORDINGS": tmp_path / "recordings",
        "TEACHER": whisper, "NUM_PROC": 1, "PREPARE_OPTIONS": "--limit 4 --model none",
        "SYNTHESIZE_OPTIONS": "--num_flite 2 --num_espeak 0",
        "PSEUDO_LABEL_OPTIONS": "--steps 2", "TRAIN_OPTIONS": "--preset tiny --max_steps 2",
        "ACCELERATE_OPTIONS": "--cpu --num_processes 1",
    }  # fmt: skip
    chain = [f"{name}={value}" for name, value in variables.items()]
    done = make(*chain)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    model = output / "model"
    clip = Animator.from_pretrained(model)(EXAMPLE)
    assert clip.values.shape[1] == 52 and clip.values.std() > 0
    sources = {entry["source"] for entry in json.loads((model / "sources.json").read_text())}
    assert {"Readers", "Prompts", "A band"} <= sources
    again = make(*chain)
    assert again.returncode == 0 and "train.py" not in again.stdout
