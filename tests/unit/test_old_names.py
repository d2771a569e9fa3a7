"""Names of version 0.1: gone from the tree, and still read where users have them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from support.paths import EXAMPLE, ROOT
from support.rows import animated_row

from bilabial.checkpoint import load_checkpoint
from bilabial.training.command_line import run
from bilabial.training.data.corpora.videos import read_videos
from bilabial.training.data.schema import SCHEMA, load_rows
from bilabial.training.data.sources import parse_sources, sources_of_files
from bilabial.training.data.speech_corpora import read_recordings
from bilabial.training.fit.arguments import parse_arguments
from bilabial.training.old_names import OPTIONS, OldNameWarning, current_figures
from bilabial.training.publishing.publish import PublishArguments

NAMES = "conditions_bilabial|loudness_bilabial|HeardFace|Hearing|Listener|MeanArguments|Rehearsal|"
NAMES += "TeachArguments|Visitor"
WORDS = "doubles|feels?|find_doubles|judge[sd]?|listener|loudness|onlooker|rehears\\w*|settle[sd]?|taught|"
WORDS += "teach(?:es)?"
OLD = re.compile(
    rf"\b(?:{NAMES})\b|\b(?:{WORDS})\b|\b(?:{'|'.join(OPTIONS)})\b|(?i:verdict|licence|colour|neighbour)|"
    r"(?i:recognis|normalis|labelled)|with_lips_of|before_after|\bheard(?:_\w+)?\s*=|"
    # metrics: words of their own, or quoted or in the head of a table
    r"\b(?:r0|maeD|cloC|AUC)(?:_\w+)?\b|[\"'`|] ?(?:J|chr|ctl) ?[\"'`|]"
)
KNOWS_THEM = ("CHANGELOG.md", "src/bilabial/training/old_names.py", "tests/unit/test_old_names.py")
GENERATED = ("src/bilabial/app/static/bundle.js", "src/bilabial/app/package-lock.json")
OTHER_MEANING = {
    ("src/bilabial/training/data/speech_corpora.py", '"J"'),  # a phone of SAMPA
    ("benchmarks/serve.py", "listener"),  # at a socket
    ("src/bilabial/app/static/plots.html", "labelled"),  # aria-labelledby
}
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
        if "/sentences/" not in file  # of everyday English
    }


def test_no_old_name_is_left(texts):
    found = {(file, name[0]) for file, text in texts.items() for name in OLD.finditer(text)}
    assert found - OTHER_MEANING == set()


def test_options_of_a_preset_and_a_command_line_are_read_by_their_old_names(tmp_path):
    preset = tmp_path / "mine.json"
    preset.write_text(json.dumps({"hearing_weight": 0.25, "listener": "openai/whisper-base"}))
    given = ["--dataset", "x", "--output", str(tmp_path), "--preset", str(preset), "--taught_weight=0.5"]
    with pytest.warns(OldNameWarning, match="taught_weight .* pseudo_label_weight"):
        args, _ = parse_arguments([*given, "--rehearsal-share", "0.75"])
    assert (args.distillation_weight, args.pseudo_label_weight, args.retention_share) == (0.25, 0.5, 0.75)
    assert args.whisper_teacher == "openai/whisper-base"


def test_figures_are_read_by_their_old_names():
    """Names of data sets, rows and clips stay, also those that look like a figure."""
    old = {
        "weights": {"sha256": "J"},
        "effort": {"clips": {}},
        "J": {
            "model": {"r0": 0.5, "num_clips": 2},
            "clips": {"ctl": {"r0_speech": 0.1}},
            "intervals": {"model": {"AUC": [0.1, 0.2]}},
        },
        "changed sound": {"clean": {"r0 chr": 0.5, "cost chr": 0.0}},
        "lips in every emotion and style": {"calm": {"r0_grid": 0.9}},
        "recognised emotions": {"all": {"recognised": 0.9}},
    }
    with pytest.warns(OldNameWarning, match="a.json: r0 .* lip_corr, AUC .* closure_auc") as warned:
        scores = current_figures(old, "a.json")
    assert len(warned) == 1
    assert scores == {
        "weights": {"sha256": "J"},
        "effort": {"clips": {}},
        "J": {
            "model": {"lip_corr": 0.5, "num_clips": 2},
            "clips": {"ctl": {"lip_corr_speech": 0.1}},
            "intervals": {"model": {"closure_auc": [0.1, 0.2]}},
        },
        "changed sound": {"clean": {"lip_corr chr": 0.5, "cost chr": 0.0}},
        "lips in every emotion and style": {"calm": {"lip_corr_grid": 0.9}},
        "recognized emotions": {"all": {"recognized": 0.9}},
    }


def test_present_names_are_no_warning(recwarn):
    scores = {"a": {"model": {"lip_corr": 0.5, "jitter": 1.0, "chrominance": 0.0}}}
    assert current_figures(scores, "a.json") == scores and not recwarn


def test_a_data_set_by_its_old_columns_and_values(speech, tmp_path):
    row = animated_row(load_checkpoint()[0], speech)
    new = [row | {"id": "a", "face": "captured"}, row | {"id": "b", "face": "pseudo_label"}]
    table = pyarrow.Table.from_pylist(new, schema=SCHEMA)
    old = pyarrow.array(["captured", "taught"])
    old = table.set_column(table.schema.get_field_index("face"), "face", old)
    old = old.rename_columns(["licence" if name == "license" else name for name in old.column_names])
    for name, rows in (("new", table), ("old", old)):
        (tmp_path / name / "data").mkdir(parents=True)
        pyarrow.parquet.write_table(rows, tmp_path / name / "data" / "train-00000-of-00001.parquet")
    with pytest.warns(OldNameWarning) as warned:
        read = load_rows(tmp_path / "old", "train")
    told = [str(one.message).removeprefix(str(tmp_path / "old")) for one in warned]
    renamed = [": licence .* license", ".* face: taught .* pseudo_label"]
    assert len(told) == len(renamed) and all(map(re.fullmatch, renamed, told))
    expected = load_rows(tmp_path / "new", "train")
    assert {name: read[name][:] for name in expected.features} == expected[:]
    with pytest.warns(OldNameWarning, match="licence .* license"):
        sources = sources_of_files((tmp_path / "old" / "data").iterdir())
    assert sources == sources_of_files((tmp_path / "new" / "data").iterdir())


def test_tables_of_terms_by_their_old_column(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / "metadata.csv").write_text("file,Licence\na.mp4,CC0\n")
    with pytest.warns(OldNameWarning, match="metadata.csv: licence .* license"):
        (take,) = read_videos(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "metadata.csv").write_text("source,licence\nme,MIT\n")
    shutil.copyfile(EXAMPLE, tmp_path / "prompts" / EXAMPLE.name)
    with pytest.warns(OldNameWarning, match="metadata.csv: licence .* license"):
        (speech,) = read_recordings(tmp_path / "prompts")
    path = tmp_path / "sources.json"
    path.write_text('[{"source": "me", "licence": "CC BY 4.0", "rows": 1, "seconds": 2.0}]')
    with pytest.warns(OldNameWarning, match="sources.json: licence .* license"):
        (source,) = parse_sources(path)
    assert (take.license, speech.license, source.license) == ("CC0", "MIT", "CC BY 4.0")


def test_an_old_option_of_a_script(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["publish.py", "--licence=mit", "--repo_id", "me/x"])
    given = []
    run(PublishArguments, given.append)
    assert given[0].license == "mit"
    assert re.fullmatch("warning: .*: licence .* license\n", capsys.readouterr().err)
