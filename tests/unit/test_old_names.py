"""Names of version 0.1: gone from the tree, and still read where users have them."""

import json
import re

import pytest
from support.paths import ROOT

from bilabial.training.fit.arguments import RENAMED, parse_arguments

OLD = re.compile(
    r"HeardFace|with_lips_of|\bHearing\b|\bListener\b|\bRehearsal\b|onlooker|\b[vV]erdicts?\b|find_doubles|"
    r"\bVisitor\b|\.feel\(|[rR]ecogniser|conditions_bilabial|loudness_bilabial|before_after|\bsettle\b|"
    + "|".join(set(RENAMED) - {"listener"})
)
FOLDERS = ("src", "train", "benchmarks", "tests", "tools", "docs")
KNOWS_THEM = ("test_old_names.py", "arguments.py")


def test_no_old_name_is_left():
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    paths += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "model_card.md")]
    found = {
        f"{path.relative_to(ROOT)}: {name[0]}"
        for path in paths
        if path.suffix in (".py", ".md") and path.name not in KNOWS_THEM
        for name in OLD.finditer(path.read_text())
    }
    assert not found


def test_options_of_a_preset_and_a_command_line_are_read_by_their_old_names(tmp_path):
    preset = tmp_path / "mine.json"
    preset.write_text(json.dumps({"hearing_weight": 0.25, "listener": "openai/whisper-base"}))
    given = ["--dataset", "x", "--output", str(tmp_path), "--preset", str(preset), "--taught_weight=0.5"]
    with pytest.warns(UserWarning, match="taught_weight is now called pseudo_label_weight"):
        args, _ = parse_arguments([*given, "--rehearsal-share", "0.75"])
    assert (args.distillation_weight, args.pseudo_label_weight, args.retention_share) == (0.25, 0.5, 0.75)
    assert args.whisper_teacher == "openai/whisper-base"
