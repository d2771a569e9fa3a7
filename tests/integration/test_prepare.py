"""Preparing real clips: shards, report, copies, kills, and Ray; train/prepare.py as a user runs it."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from datasets import load_dataset
from support.errors import refused
from support.paths import ROOT

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.files import replace_folder
from bilabial.training.data.quality import Quality
from bilabial.training.data.schema import update_rows
from bilabial.training.prepare.filtering import Decision
from bilabial.training.prepare.pipeline import PrepareArguments, log_lost_columns, prepare
from bilabial.training.prepare.report import write_report
from bilabial.training.prepare.shards import check_output, write_shards

pytestmark = pytest.mark.slow

CLIPS = ("bbaf2n", "bbaf3s", "bbaf4p", "bbaf5a")
COPY = "zz"  # of the first clip, under another name
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def options(source: Path, output: Path, **others: object) -> PrepareArguments:
    given = {"reader": "grid", "validation_share": 0.4, "rows_per_shard": 2}
    return PrepareArguments(source=source, output=output, **(given | others))


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "data").iterdir())}


@pytest.fixture(scope="module")
def source(clips, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("grid") / "s1"
    folder.mkdir()
    for name, clip in zip((*CLIPS, COPY), itertools.cycle(CLIPS), strict=False):
        shutil.copy(clips / "grid" / "s1" / f"{clip}.mp4", folder / f"{name}.mp4")
    return folder.parent


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory) -> Path:
    """The data set of an undisturbed run."""
    output = tmp_path_factory.mktemp("whole") / "grid"
    prepare(options(source, output))
    return output


def test_shards_are_bounded_and_stream(whole):
    loaded = load_dataset(str(whole))
    assert sum(map(len, loaded.values())) == len(CLIPS)
    for split, rows in loaded.items():
        shards = sorted((whole / "data").glob(f"{split}-*"))
        assert len(shards) == -(-len(rows) // 2)
        streamed = load_dataset(str(whole), split=split, streaming=True)
        assert [row["id"] for row in streamed] == rows["id"]
        first = next(iter(streamed))
        assert np.array_equal(first["coefficients"], rows[0]["coefficients"])
        assert first["audio"]["bytes"] == rows[0]["audio"]["bytes"]


def test_a_copy_is_dropped_and_the_others_are_good(whole):
    summary = json.loads((whole / "summary.json").read_text())
    assert list(summary["dropped"]) == [f"grid/s1/{COPY}"]
    assert summary["dropped"][f"grid/s1/{COPY}"].startswith("score 0: a copy of grid/s1/bbaf2n by its sound")
    quality = summary["quality"]
    assert min(quality[f"grid/s1/{name}"]["score"] for name in CLIPS) >= 80.0
    assert all(abs(take["quality"]["av_offset_ms"]) < 80 for take in quality.values())


def test_the_report_stands_alone(whole):
    page = (whole / "report.html").read_text()
    assert page.count("Plotly.newPlot") >= 14 and page.count("plotly.js v") <= 2
    assert "<script src" not in page and "<link" not in page
    assert f"grid/s1/{COPY}" in page and "a copy of grid/s1/bbaf2n" in page
    assert (whole / "report.html").stat().st_size < 6e6


def test_another_threshold_captures_nothing_again(source, whole, tmp_path, caplog):
    shutil.copytree(whole, tmp_path / "grid", copy_function=shutil.copy2)
    prepare(options(source, tmp_path / "grid", min_score=0.0, rows_per_shard=100))
    assert "5 takes, 5 done before" in caplog.text
    assert {path.name for path in (tmp_path / "grid" / "data").iterdir()} == {
        "train-00000-of-00001.parquet",
        "validation-00000-of-00001.parquet",
    }
    assert sum(map(len, load_dataset(str(tmp_path / "grid")).values())) == 5


def test_killed_at_any_moment_it_ends_the_same(source, whole, tmp_path):
    """Kill -9 of the whole run: before the first take, among them, and while files are written."""
    output = tmp_path / "grid"
    moments = [
        lambda: (output / ".takes").is_dir(),
        lambda: len(list((output / ".takes").glob("*.json"))) >= 2,
        lambda: (output / "report.html").exists() or list(output.glob(".report.*")),
    ]
    command = [
        sys.executable,
        str(ROOT / "train" / "prepare.py"),
        "--reader",
        "grid",
        "--source",
        str(source),
    ]
    command += [
        "--output",
        str(output),
        "--validation_share",
        "0.4",
        "--rows_per_shard",
        "2",
        "--num_proc",
        "1",
    ]
    for moment in moments:
        run = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while run.poll() is None and not moment():
            time.sleep(0.005)
        os.killpg(run.pid, signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
        assert not (output / "data").exists() or files_of(output) == files_of(whole)
    prepare(options(source, output))
    assert files_of(output) == files_of(whole)
    assert not list((output / ".takes").glob(".*.partial*")) and not (output / "data.partial").exists()
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (output, whole)]
    assert summaries[0] == summaries[1]


def test_one_style_for_all_takes(source, tmp_path):
    given = {"style": "default", "limit": 1, "model": "none", "validation_share": 0.0, "min_score": 0.0}
    prepare(options(source, tmp_path / "grid", **given))
    assert load_dataset(str(tmp_path / "grid"), split="train")["style"] == ["default"]


def test_a_folder_takes_the_place_of_another(tmp_path):
    """By two renames; nothing of another name is touched."""
    (tmp_path / "data.old").mkdir()
    (tmp_path / "data.old" / "mine").touch()
    for number in (1, 2):
        new = tmp_path / "data.partial"
        new.mkdir()
        (new / f"{number}.parquet").touch()
        replace_folder(tmp_path / "data", new)
        names = {path.name for path in tmp_path.rglob("*")}
        assert names == {"data", f"{number}.parquet", "data.old", "mine"}


def test_ray_makes_the_same_data_set(source, whole, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
    try:
        prepare(options(source, tmp_path / "grid", executor="ray"))
    finally:
        ray.shutdown()
    assert files_of(tmp_path / "grid") == files_of(whole)


@pytest.mark.parametrize(
    "change, code",
    [
        ({"min_score": 101}, "option_range"),
        ({"rows_per_shard": 0}, "option_least"),
        ({"num_proc": 0}, "option_least"),
        ({"limit": 0}, "option_least"),
        ({"fps": 0}, "fps_range"),
        ({"validation_share": 1.0}, "option_share"),
    ],
)
def test_wrong_options(tmp_path, change, code):
    ((name, value),) = change.items()
    with refused(code, got=repr(value)) as raised:
        options(tmp_path, tmp_path, **change)
    assert raised.value.parameters.get("option", "--fps") == f"--{name}"


def test_the_report_fits_a_phone(tmp_path):
    if not CHROMIUM:
        pytest.skip("no chromium found (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    good = Quality(3.0, 1.0, 65.0, 0.002, 0.75, 0.25, ARKIT_BLENDSHAPES[:9], None, -15.0, 0.0, 0.12, 0.4, 1.5)
    name = "corpus/" + "a_name_without_a_place_to_break_" * 5
    decisions = [Decision(f"{name}{k}", 100.0, good, [], None, None) for k in range(30)]
    decisions += [Decision(f"{name}dark", 0.0, good, ["dark <b>"], "score 0: dark <b>", "brightest")]
    write_report(tmp_path / "report.html", "Quality of <me>", decisions, 50.0)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": 390, "height": 844})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: errors.append(request.url) if "http" in request.url else None)
        page.goto(f"file://{tmp_path / 'report.html'}")
        page.wait_for_function("document.querySelectorAll('.main-svg').length >= 28")
        for summary in page.locator("summary").all()[:2]:
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.locator("h1").inner_text() == "Quality of <me>" and "<b>" in page.inner_text("body")
        assert not errors
        browser.close()


def test_nothing_of_ones_own_is_replaced(tmp_path):
    """A data set has a folder for itself."""
    (tmp_path / "README.md").write_text("my project")
    with refused("output_used", path=tmp_path):
        check_output(tmp_path)
    mine = tmp_path / "data" / "precious"
    mine.mkdir(parents=True)
    with refused("output_not_data", path=mine):
        check_output(tmp_path)
    with refused("output_not_data", path=mine):
        write_shards({}, tmp_path, 10)
    mine.rmdir()
    half = tmp_path / "data.partial" / "notes.txt"
    half.parent.mkdir()
    half.touch()
    with refused("output_not_data", path=half):
        write_shards({}, tmp_path, 10)
    half.unlink()
    pyarrow.parquet.write_table(pyarrow.table({"mine": [1]}), tmp_path / "data" / "a.parquet")
    with refused("output_not_data", path=tmp_path / "data" / "a.parquet"):
        write_shards({}, tmp_path, 10)
    assert (tmp_path / "data" / "a.parquet").is_file()


def test_lost_notes_are_told(whole, tmp_path, caplog):
    folder = shutil.copytree(whole, tmp_path / "grid")
    log_lost_columns(folder)
    assert not caplog.messages
    rows = load_dataset(str(folder))
    update_rows(folder, "av_offset_ms", {next(iter(rows.values()))[0]["id"]: 12.0})
    log_lost_columns(folder)
    assert caplog.messages == ["the rows had what train/align.py wrote; run it again on the new ones"]
