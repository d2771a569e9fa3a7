"""Recordings of Live Link Face as phones leave them and as spreadsheets save them again, made here."""

import csv
import io

import numpy as np
import pytest
from support.errors import refused

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.live_link import read_live_link
from bilabial.io.recordings import read_capture
from bilabial.io.timecodes import to_timecode

JAW = ARKIT_BLENDSHAPES.index("jawOpen")
SLOPE = 0.1  # of the jaw, a second


def lines_of(times, tmp_path, slope=SLOPE) -> list[list[str]]:
    """Header and rows of a recording at these times of day; the jaw is slope x time since the first row."""
    times = np.asarray(times)
    values = np.zeros((len(times), 52))
    values[:, JAW] = slope * (times - times[0])
    path = FaceClip(ARKIT_BLENDSHAPES, values, 30).to_csv(tmp_path / "made.csv")
    header, *rows = csv.reader(io.StringIO(path.read_text()))
    return [header, *([to_timecode(time % 86400), *row[1:]] for time, row in zip(times, rows, strict=True))]


def write(path, lines, separator=","):
    path.write_text("\n".join(separator.join(line) for line in lines))
    return path


def told(path, seconds: float, slope: float = SLOPE):
    """Which frames at 50 fps are valid, and whether the jaw of those is where it was."""
    capture = read_capture(path, 50.0, "mediapipe", 0.0, seconds)
    jaw = slope * capture.clip.times
    assert capture.clip["jawOpen"][capture.valid] == pytest.approx(jaw[capture.valid], abs=2e-3)
    return capture.valid


@pytest.mark.parametrize("start", [36000.0, 86399.0])
def test_rows_lie_where_their_timecodes_say(tmp_path, start):
    """Two seconds are missing; the recording may pass midnight."""
    times = start + np.concatenate([np.arange(60), np.arange(120, 180)]) / 30
    path = write(tmp_path / "a.csv", lines_of(times, tmp_path))
    valid = told(path, 7.0)
    assert valid.tolist() == [True] * 100 + [False] * 100 + [True] * 100 + [False] * 50
    clip = FaceClip.from_csv(path)
    assert (len(clip), clip.fps) == (180, 30.0) and clip["jawOpen"] == pytest.approx(SLOPE * clip.times)


def test_a_rate_that_changes_midway(tmp_path):
    times = np.concatenate([np.arange(180) / 60, 3 + np.arange(90) / 30])
    path = write(tmp_path / "a.csv", lines_of(times, tmp_path))
    assert told(path, 6.0).all() and FaceClip.from_csv(path).duration_seconds == pytest.approx(6.0, abs=0.02)


def test_a_clock_that_is_a_little_fast(tmp_path):
    """Rows every 33.2 ms for 100 s: spread at 30 fps they would end 0.4 s late."""
    path = write(tmp_path / "a.csv", lines_of(np.arange(3012) * 0.0332, tmp_path, slope=0.01))
    assert told(path, 99.9, slope=0.01).all()


def test_drop_frame_timecodes(tmp_path):
    numbers = np.arange(1790, 1830)  # frames of 1001/30000 s from 00:00:59;20 on, past 00:01:00;02
    lines = lines_of(numbers * 1001 / 30000, tmp_path)
    for line, number in zip(lines[1:], numbers, strict=True):
        shown = number + 2 * (number >= 1800)
        line[0] = f"00:{shown // 1800:02d}:{shown // 30 % 60:02d};{shown % 30:02d}"
    clip = FaceClip.from_csv(write(tmp_path / "a.csv", lines))
    assert (len(clip), clip.fps) == (40, pytest.approx(29.97, abs=1e-3))
    assert clip["jawOpen"] == pytest.approx(SLOPE * clip.times, abs=1e-5)


def test_timecodes_that_are_missing_or_stand_still(tmp_path):
    lines = lines_of(np.arange(90) / 30, tmp_path)
    for number in (1, 20, 21, 22, 90):
        lines[number][0] = "" if number < 22 else lines[number - 1][0]
    assert told(write(tmp_path / "a.csv", lines), 2.9).all()
    for blank in ("", "00:00:00:00.000"):
        still = write(tmp_path / "b.csv", [lines[0], *([blank, *line[1:]] for line in lines[1:])])
        with refused("times_constant", path=still):
            FaceClip.from_csv(still)
        assert FaceClip.from_csv(still, fps=25)["jawOpen"][-1] == pytest.approx(SLOPE * 89 / 30)
        assert FaceClip.from_csv(still, fps=29.97).fps == 29.97


def test_a_clock_that_goes_back_is_refused(tmp_path):
    lines = lines_of(np.concatenate([10 + np.arange(60) / 30, np.arange(60) / 30]) + 50, tmp_path, slope=0)
    path = write(tmp_path / "a.csv", lines)
    with refused("times_back", path=path, seconds=pytest.approx(10 + 59 / 30, abs=1e-4), frame=61):
        FaceClip.from_csv(path)


def test_rows_without_a_face_are_holes(tmp_path):
    """Blank cells, short rows, and the app's count of 0."""
    lines = lines_of(np.arange(150) / 30, tmp_path)
    for number in range(31, 61):
        lines[number] = [lines[number][0], "61", *[""] * 61]
    for number in range(91, 121):
        lines[number] = [lines[number][0], "0"] if number % 2 else [lines[number][0], "0", *["0.0"] * 61]
    valid = told(write(tmp_path / "a.csv", lines), 5.0)
    assert valid.tolist() == [True] * 50 + [False] * 50 + [True] * 50 + [False] * 50 + [True] * 50


def as_saved(lines, how: str) -> str:
    if how in ("semicolons", "sep"):
        text = "\n".join(";".join(line).replace(".", ",") for line in lines)
        return "sep=;\n" + text if how == "sep" else text
    if how == "tabs":
        return "\r\n".join("\t".join(line) for line in lines)
    if how == "trailing":
        return "\n".join([",".join(line) for line in lines]) + "\n\n\n,,,,\n" + "," * 62 + "\n   \n"
    if how == "quoted":
        return "\n".join(",".join(f'"{cell.replace(".", ",")}"' for cell in line) for line in lines)
    if how == "sides":
        shorter = [name.replace("Left", "_L").replace("Right", "_R") for name in lines[0][:54]]
        return "\n".join(map(",".join, [shorter + lines[0][54:], *lines[1:]]))
    if how == "spaces":
        spaced = ["".join(f" {c}" if c.isupper() else c for c in name) for name in lines[0]]
        return "\n".join(", ".join(line) for line in [spaced, *lines[1:]])
    percent = [[*line[:2], *(f"{float(cell) * 100:.4f}" for cell in line[2:])] for line in lines[1:]]
    return "\n".join(map(",".join, [lines[0], *percent]))


@pytest.mark.parametrize(
    "how", ["semicolons", "sep", "tabs", "trailing", "quoted", "sides", "spaces", "percent"]
)
def test_tables_as_spreadsheets_save_them(tmp_path, how):
    values = np.random.default_rng(0).random((30, 52))
    given = FaceClip(ARKIT_BLENDSHAPES, values, 30)
    lines = list(csv.reader(io.StringIO(given.to_csv(tmp_path / "a.csv").read_text())))
    (tmp_path / "b.csv").write_text(as_saved(lines, how))
    read = FaceClip.from_csv(tmp_path / "b.csv")
    assert read.fps == 30.0 and np.allclose(read.values, given.values, atol=1e-5)


@pytest.mark.parametrize(
    "line, column, cell, code, values",
    [
        (6, 20, "", "csv_row", {"line": 6, "column": "mouthClose", "got": "''"}),
        (6, 20, "hello", "csv_row", {"line": 6, "column": "mouthClose", "got": "'hello'"}),
        (6, 20, "nan", "csv_not_finite", {"line": 6, "column": "mouthClose", "got": "nan"}),
        (6, 20, "300", "curves_range", {"name": "mouthClose", "value": 300, "frame": 5}),
        (1, 20, "JawOpen", "curves_twice", {"first": "JawOpen", "second": "JawOpen", "name": "jawOpen"}),
        (1, 20, "MouthShut", "csv_columns", {"missing": "mouthClose"}),
        (1, 0, "Take", "csv_times", {}),
        (6, 0, "noon", "timecode_form", {"got": "'noon'"}),
        (6, 0, "00:00:75:00", "timecode_form", {"got": "'00:00:75:00'"}),
    ],
)
def test_a_wrong_cell_is_said(tmp_path, line, column, cell, code, values):
    lines = lines_of(np.arange(30) / 30, tmp_path)
    lines[line - 1][column] = cell
    with refused(code, path=tmp_path / "a.csv", **values):
        read_live_link(write(tmp_path / "a.csv", lines))


def test_wrong_rows_are_said(tmp_path):
    lines = lines_of(np.arange(30) / 30, tmp_path)
    cut = [*lines[:9], lines[9][:30]]
    doubled = [*lines[:3], [*lines[3][:2], *["0", "1"] * 61]]  # decimal commas between commas
    for wrong, code, values in (
        (cut, "csv_row", {"line": 10, "column": "mouthDimpleRight", "got": "''"}),
        (doubled, "csv_cells", {"line": 4, "count": 124, "columns": 63}),
        (lines[:1], "csv_empty", {}),
    ):
        with refused(code, path=tmp_path / "a.csv", **values):
            read_live_link(write(tmp_path / "a.csv", wrong))


def test_times_in_numbers(tmp_path):
    """Seconds or milliseconds in the first column, as other programs write them."""
    for factor in (1, 1000):
        lines = lines_of(np.arange(60) / 30, tmp_path)
        rows = [[f"{factor * k / 30:.4f}", *line[1:]] for k, line in enumerate(lines[1:])]
        path = write(tmp_path / "a.csv", [["Time", *lines[0][1:]], *rows])
        assert FaceClip.from_csv(path).fps == 30.0 and told(path, 1.9).all()


def test_files_of_the_kinds_that_failed(clips):
    """Small files beside the test data, each of a kind that was read wrong once."""
    folder = clips.parent / "cases" / "curves"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    plain = FaceClip.from_csv(folder / "semicolon.csv")
    for name in ("trailing_blanks.csv", "underscore_LR.csv"):
        assert np.array_equal(FaceClip.from_csv(folder / name).values, plain.values)
    assert np.allclose(FaceClip.from_csv(folder / "percent100.csv").values, plain.values, atol=1e-5)
