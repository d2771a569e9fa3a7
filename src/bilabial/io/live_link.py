"""CSV of Live Link Face, also as saved by spreadsheets: one row per frame, timecode first."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.head_rotation import is_head
from bilabial.io.names import columns_by_name
from bilabial.io.tables import Line, read_table
from bilabial.io.timecodes import rising_times, seconds_of_times, times_of_timecodes
from bilabial.io.tracks import Track, even_track, track_of_rows

TIMES = ("timecode", "time", "timestamp", "seconds")  # names of the column of times
HEAD = ("headyaw", "headpitch", "headroll")
COUNT = "blendshapecount"
SINGLE_FRAME_FPS = 30.0  # of a file with one frame, which has no rate
NUM_LISTED = 5  # number of missing names in an error


@dataclass(frozen=True)
class Sheet:
    """The rows of a file with a face, with their line numbers; columns: ARKit name -> column.

    head_columns: of HEAD, () where one is missing.
    """

    columns: dict[str, int]
    time_column: int | None
    rows: list[Line]
    head_columns: tuple[int, ...] = ()

    def times(self) -> np.ndarray:
        """Times of the rows, (N,) float64 seconds since midnight or of the file's own clock.

        NaN where a row has none. Raises UserError for values that are neither timecodes nor numbers.
        """
        if self.time_column is None:
            raise UserError("csv_times")
        cells = [row[self.time_column].strip() for _, row in self.rows]
        numbers = [_number(cell) for cell in cells]
        if all(number is not None or not cell for number, cell in zip(numbers, cells, strict=True)):
            times = np.array([np.nan if number is None else number for number in numbers])
            return seconds_of_times(times) if len(times) > 1 else times
        return times_of_timecodes(cells)

    def head(self) -> np.ndarray | None:
        """(N, 3) degrees as FaceClip.head, of opposite radians; None where they are 0 or no angles."""
        cells = [[_number(row[column]) for column in self.head_columns] for _, row in self.rows]
        angles = -np.degrees(np.array(cells, dtype=float))
        return angles if is_head(angles, len(cells)) else None


def read_sheet(path: str | Path) -> Sheet:
    """The rows and columns of a Live Link Face CSV. Raises UserError naming the file and what is wrong."""
    (_, header), *rows = read_table(path) or [(1, [])]
    plain = [re.sub("[^a-z]", "", name.lower()) for name in header]
    try:
        columns = columns_by_name(header)
    except UserError as error:
        raise error.in_file(path) from error
    missing = [name for name in ARKIT_BLENDSHAPES if name not in columns]
    if missing:
        more = [f"and {len(missing) - NUM_LISTED} more"] if len(missing) > NUM_LISTED else []
        listed = [*missing[:NUM_LISTED], *more]
        raise UserError("csv_columns", path=Path(path), missing=listed, columns=", ".join(header) or "none")
    for number, row in rows:
        if any(map(str.strip, row[len(header) :])):
            counts = {"count": len(row), "columns": len(header)}
            raise UserError("csv_cells", path=Path(path), line=number, **counts)
    count = plain.index(COUNT) if COUNT in plain else None
    rows = [(number, row + [""] * (len(header) - len(row))) for number, row in rows]
    seen = [line for line in rows if _shows_a_face(line[1], columns, count)]
    if not seen:
        raise UserError("csv_empty", path=Path(path))
    head = tuple(plain.index(name) for name in HEAD if name in plain)
    times = next((plain.index(name) for name in TIMES if name in plain), None)
    return Sheet(columns, times, seen, head if len(head) == len(HEAD) else ())


def read_live_link(path: str | Path, fps: float | None = None) -> Track:
    """The 52 coefficients and the head of a Live Link Face CSV at the times of its timecodes.

    Cells may be separated by commas, semicolons or tabs, numbers may have decimal commas and be percents.
    Rows without any coefficient are frames without a face. fps: the rate of evenly spaced rows, ignoring
    their timecodes; None = by their timecodes. Raises UserError naming the file and what is wrong.
    """
    sheet = read_sheet(path)
    values = np.array([_values(path, line, sheet.columns) for line in sheet.rows])
    try:
        if fps is None and len(values) == 1:
            fps = SINGLE_FRAME_FPS
        if fps is not None:
            return replace(even_track(ARKIT_BLENDSHAPES, values, fps), head=sheet.head())
        times = rising_times(sheet.times())
        return replace(track_of_rows(ARKIT_BLENDSHAPES, values, times - times[0]), head=sheet.head())
    except UserError as error:
        raise error.in_file(path) from error


def _shows_a_face(row: list[str], columns: dict[str, int], count: int | None) -> bool:
    """Whether a row has coefficients; the app writes a count of 0 where it finds no face."""
    cells = {row[column].strip() for column in columns.values()}
    if count is not None and row[count].strip() == "0":
        return any(_number(cell) != 0.0 for cell in cells - {""})
    return cells != {""}


def _values(path: str | Path, line: Line, columns: dict[str, int]) -> list[float]:
    number, row = line
    values = []
    for name in ARKIT_BLENDSHAPES:
        cell = row[columns[name]]
        value = _number(cell)
        if value is None:
            raise UserError("csv_row", path=Path(path), line=number, column=name, got=cell)
        if not np.isfinite(value):
            raise UserError("csv_not_finite", path=Path(path), line=number, column=name, got=value)
        values.append(value)
    return values


def _number(cell: str) -> float | None:
    """A number with a decimal point or comma, None for anything else."""
    try:
        return float(cell.replace(",", "."))
    except ValueError:
        return None
