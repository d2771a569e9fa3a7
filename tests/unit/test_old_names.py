"""Names of version 0.1: gone from the tree, and still read where users have them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.paths import ROOT

from bilabial.training.fit.arguments import parse_arguments
from bilabial.training.old_names import OPTIONS, OldNameWarning, current_figures

OLD = re.compile(
    r"HeardFace|with_lips_of|\bHearing\b|\bListener\b|\bRehearsal\b|onlooker|\b[vV]erdicts?\b|find_doubles|"
    r"\bVisitor\b|\.feel\(|[rR]ecogniser|conditions_bilabial|loudness_bilabial|before_after|\bsettle\b|"
    + "|".join(set(OPTIONS) - {"listener"})
    # metrics: words of their own, or quoted or in the head of a table
    + r"|\b(?:r0|maeD|cloC|AUC)(?:_\w+)?\b|[\"'`|] ?(?:J|chr|ctl) ?[\"'`|]"
)
KNOWS_THEM = ("CHANGELOG.md", "src/bilabial/training/old_names.py", "tests/unit/test_old_names.py")
GENERATED = ("src/bilabial/app/static/bundle.js",)
OTHER_MEANING = {("src/bilabial/training/data/speech_corpora.py", '"J"')}  # a phone of SAMPA
TEXTS = {".csv", ".html", ".js", ".json", ".md", ".mjs", ".py", ".sh", ".toml", ".txt", ".yml", ""}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """All texts under git but those that keep old names, by path."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no checkout of git")
    command = ["git", "-C", str(ROOT), "ls-files"]
    files = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return {
        file: (ROOT / file).read_text()
        for file in files
        if Path(file).suffix in TEXTS and file not in (*KNOWS_THEM, *GENERATED) and (ROOT / file).is_file()
    }


def test_no_old_name_is_left(texts):
    found = {(file, name[0]) for file, text in texts.items() for name in OLD.finditer(text)}
    assert found - OTHER_MEANING == set()


def test_options_of_a_preset_and_a_command_line_are_read_by_their_old_names(tmp_path):
    preset = tmp_path / "mine.json"
    preset.write_text(json.dumps({"hearing_weight": 0.25, "listener": "openai/whisper-base"}))
    given = ["--dataset", "x", "--output", str(tmp_path), "--preset", str(preset), "--taught_weight=0.5"]
    with pytest.warns(OldNameWarning, match="taught_weight is now called pseudo_label_weight"):
        args, _ = parse_arguments([*given, "--rehearsal-share", "0.75"])
    assert (args.distillation_weight, args.pseudo_label_weight, args.retention_share) == (0.25, 0.5, 0.75)
    assert args.whisper_teacher == "openai/whisper-base"


def test_figures_are_read_by_their_old_names():
    """Names of data sets, rows and clips stay, also those that look like a figure."""
    old = {
        "weights": {"sha256": "J"},
        "J": {
            "model": {"r0": 0.5, "num_clips": 2},
            "clips": {"ctl": {"r0_speech": 0.1}},
            "intervals": {"model": {"AUC": [0.1, 0.2]}},
        },
        "changed sound": {"clean": {"r0 chr": 0.5, "cost chr": 0.0}},
        "lips in every emotion and style": {"calm": {"r0_grid": 0.9}},
    }
    with pytest.warns(OldNameWarning, match="a.json: r0 is now called lip_corr, AUC is now") as warned:
        scores = current_figures(old, "a.json")
    assert len(warned) == 1
    assert scores == {
        "weights": {"sha256": "J"},
        "J": {
            "model": {"lip_corr": 0.5, "num_clips": 2},
            "clips": {"ctl": {"lip_corr_speech": 0.1}},
            "intervals": {"model": {"closure_auc": [0.1, 0.2]}},
        },
        "changed sound": {"clean": {"lip_corr chr": 0.5, "cost chr": 0.0}},
        "lips in every emotion and style": {"calm": {"lip_corr_grid": 0.9}},
    }


def test_present_names_are_no_warning(recwarn):
    scores = {"a": {"model": {"lip_corr": 0.5, "jitter": 1.0, "chrominance": 0.0}}}
    assert current_figures(scores, "a.json") == scores and not recwarn
