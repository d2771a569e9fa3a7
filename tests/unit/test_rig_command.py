"""`bilabial rig`, and `--rig` of the other commands."""

import json
import re

import numpy as np
import pytest
from support.command import assert_told, run, told
from support.errors import message_of
from support.faces import SPEECH

from bilabial.io.exporters import HEAD
from bilabial.rig import RigProfile


def test_fit_writes_a_profile_and_tells(tmp_path, capsys):
    assert run("rig", "fit", HEAD, "-o", tmp_path / "head.json") == 0
    said = capsys.readouterr().out
    assert re.search("52 .*'arkit'", said) and "mouthClose" in said
    profile = RigProfile.load(tmp_path / "head.json")
    assert profile.lip_mm["jawOpen"] == pytest.approx(34.8, abs=1.5)
    assert run("rig", "fit", HEAD, "-o", tmp_path / "head.json", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["base"] == "arkit" and summary["seals"] and summary["missing"] == []


def test_list(capsys):
    assert run("rig", "list") == 0
    assert "oculus            Oculus / Meta: 15 visemes" in capsys.readouterr().out


def test_convert_to_a_rig(tmp_path, capsys):
    source = SPEECH.to_npz(tmp_path / "face.npz")
    target = tmp_path / "face.maya.csv"
    assert run("convert", source, target, "--rig", "character_creator", "--start", "00:00:10:00") == 0
    header, first, *_ = target.read_text().splitlines()
    assert "Mouth_Pucker_Up_L" in header and first.startswith("300,00:00:10:00,0.000000000,")
    assert run("convert", source, tmp_path / "face.anim", "--node", "Body/Head") == 0
    assert 'path: "Body/Head"' in (tmp_path / "face.anim").read_text()
    assert run("convert", source, tmp_path / "face.glb", "--rig", "arkit", "--head", HEAD) == 0


def test_what_is_refused(tmp_path, capsys):
    source, target = SPEECH.to_npz(tmp_path / "face.npz"), tmp_path / "out.csv"
    assert run("convert", source, target, "--rig", "nobody") == 2
    assert_told(capsys, "rig_file", got="'nobody'")
    assert run("convert", source, target, "--rig", "oculus") == 2
    assert_told(capsys, "format_names", name="csv")
    assert run("convert", source, target, "--start", "noon") == 2
    assert_told(capsys, "timecode_start", rate=30, got="'noon'")
    assert run("rig", "fit", tmp_path / "none.glb") == 2
    assert_told(capsys, "file_missing", name=tmp_path / "none.glb")
    assert run("rig", "fit", HEAD, "-o", tmp_path) == 2
    assert_told(capsys, "output_is_folder", path=tmp_path)
    small = {"channels": {"jawOpen": "jawOpen"}, "lip_mm": {"jawOpen": 5.0}}
    (tmp_path / "small.json").write_text(json.dumps(small))
    assert run("convert", source, target, "--rig", tmp_path / "small.json") == 0
    assert re.search(f"warning: {message_of('rig_short', name='small')}", told(capsys))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.npz", "out.csv", "small.json"]
    assert np.load(source)["values"].shape == (90, 52)
