"""Mutations of curve files as made by programs, spreadsheets and accidents, read and compared with the truth.

The curves are waves whose value at any time is known. After CHANGES a file has the same meaning and must be
read correctly. After DAMAGES it must be refused with a message, or its valid part must be correct except for
the damaged cells.
"""

import csv
import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.recordings import read_capture, read_recording
from bilabial.io.timecodes import to_timecode

SECONDS, FPS = 3.0, 50.0  # of the curves, and at which they are read
NOON = 12 * 3600.0
TOLERANCE = 0.05  # of a coefficient half an interval of 24 fps from the next row, where it moves fastest
MAX_HIT_SHARE = 0.1  # of the frames that damaged cells may change
MIN_VALID_SHARE = 0.9  # share of frames covered by the rows of an undamaged file
FREQUENCIES = 0.5 + np.arange(len(ARKIT_BLENDSHAPES)) / 80  # Hz


@dataclass
class Rows:
    """A recording before it is written. missing: the stretch without rows, seconds."""

    names: list[str]
    times: np.ndarray
    values: np.ndarray
    missing: tuple[float, float] = (0.0, 0.0)
    start: float = NOON
    options: dict = field(default_factory=dict)


def truth(times: np.ndarray) -> np.ndarray:
    """The curves at times (T,): (T, 52) in 0..1."""
    phase = 2 * np.pi * FREQUENCIES * times[:, None] + np.arange(len(ARKIT_BLENDSHAPES))
    return 0.3 + 0.2 * np.sin(phase)


def rows_of(rng: np.random.Generator) -> Rows:
    times = np.arange(round(SECONDS * (fps := rng.choice([24, 25, 30, 60])))) / fps
    return Rows(list(ARKIT_BLENDSHAPES), times, truth(times))


# ---- changes that keep the meaning of a file


def plain(rows: Rows, rng: np.random.Generator) -> None:
    pass


def hole(rows: Rows, rng: np.random.Generator) -> None:
    first = rng.uniform(0.3, 2.0)
    kept = (rows.times < first) | (rows.times > first + rng.uniform(0.2, 0.7))
    before, after = rows.times[rows.times < first][-1], rows.times[(rows.times > first) & kept][0]
    rows.missing = (before, after)
    rows.times, rows.values = rows.times[kept], rows.values[kept]


def jitter(rows: Rows, rng: np.random.Generator) -> None:
    step = rows.times[1]
    rows.times = rows.times + rng.uniform(0, 0.3, len(rows.times)) * step * (rows.times > 0)
    rows.values = truth(rows.times)


def percents(rows: Rows, rng: np.random.Generator) -> None:
    rows.values = rows.values * 100


def sides(rows: Rows, rng: np.random.Generator) -> None:
    short = [name.replace("Left", "_L").replace("Right", "_R") for name in rows.names]
    rows.names = [str(rng.choice([old, new])) for old, new in zip(rows.names, short, strict=True)]


def prefixes(rows: Rows, rng: np.random.Generator) -> None:
    prefix = rng.choice(["blendShape1.", "head__", "rig:", "ARKit_"])
    rows.names = [prefix + name for name in rows.names]


def spaces(rows: Rows, rng: np.random.Generator) -> None:
    rows.names = ["".join(f" {c}" if c.isupper() else c for c in name).title() for name in rows.names]


def shuffle(rows: Rows, rng: np.random.Generator) -> None:
    order = rng.permutation(len(rows.names))
    rows.names, rows.values = [rows.names[k] for k in order], rows.values[:, order]


def extra(rows: Rows, rng: np.random.Generator) -> None:
    rows.names = [*rows.names, "notAFace"]
    rows.values = np.column_stack([rows.values, rng.normal(0, 50, len(rows.values))])


def midnight(rows: Rows, rng: np.random.Generator) -> None:
    rows.start = 86400.0 - rng.uniform(0.2, 2.5)


def separators(rows: Rows, rng: np.random.Generator) -> None:
    rows.options = {"delimiter": str(rng.choice([";", "\t", "|"])), "sep": bool(rng.random() < 0.5)}


def decimals(rows: Rows, rng: np.random.Generator) -> None:
    rows.options = {"delimiter": ";", "decimal": ","}


def blanks(rows: Rows, rng: np.random.Generator) -> None:
    rows.options = {"blank": int(rng.integers(1, 6))}


def utf16(rows: Rows, rng: np.random.Generator) -> None:
    rows.options = {"encoding": str(rng.choice(["utf-16", "utf-8-sig"]))}


def no_times(rows: Rows, rng: np.random.Generator) -> None:
    rows.options = {"untimed": set(rng.integers(1, len(rows.times), 5).tolist())}


def milliseconds(rows: Rows, rng: np.random.Generator) -> None:
    rows.options = {"factor": 1000}


CHANGES: dict[str, list[Callable[[Rows, np.random.Generator], None]]] = {
    "csv": [
        plain, hole, jitter, percents, sides, prefixes, spaces, shuffle, extra, midnight, separators,
        decimals, blanks, utf16, no_times,
    ],
    "json": [plain, hole, jitter, percents, sides, prefixes, spaces, shuffle, extra, milliseconds],
    "npz": [plain, sides, prefixes, shuffle],
}  # fmt: skip


def written(rows: Rows, kind: str) -> bytes:
    if kind == "csv":
        return _csv(rows)
    if kind == "json":
        factor = rows.options.get("factor", 1)
        frames = [
            {"weights": row.round(6).tolist(), "time": round(float(second) * factor, 6), "rotation": []}
            for second, row in zip(rows.times, rows.values, strict=True)
        ]
        return json.dumps({"names": rows.names, "frames": frames}).encode()
    with tempfile.TemporaryDirectory() as folder:
        fps = round(1 / rows.times[1])
        return FaceClip(rows.names, rows.values, fps).to_npz(Path(folder) / "a.npz").read_bytes()


def _csv(rows: Rows) -> bytes:
    options, buffer = rows.options, io.StringIO()
    delimiter = options.get("delimiter", ",")
    if options.get("sep"):
        buffer.write(f"sep={delimiter}\n")
    writer = csv.writer(buffer, delimiter=delimiter)
    names = [name[:1].upper() + name[1:] for name in rows.names]
    writer.writerow(["Timecode", "BlendshapeCount", *names])
    for number, (second, values) in enumerate(zip(rows.times, rows.values, strict=True)):
        code = "" if number in options.get("untimed", ()) else to_timecode((rows.start + second) % 86400)
        cells = [f"{value:.6f}".replace(".", options.get("decimal", ".")) for value in values]
        writer.writerow([code, 61, *cells])
    for _ in range(options.get("blank", 0)):
        buffer.write(delimiter * 3 + "\n\n")
    return buffer.getvalue().encode(options.get("encoding", "utf-8"))


# ---- accidents


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    damaged = bytearray(content)
    for place in rng.integers(len(damaged), size=rng.integers(1, 4)):
        damaged[place] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content))]


def cut_out(content: bytes, rng: np.random.Generator) -> bytes:
    first = int(rng.integers(len(content)))
    return content[:first] + content[first + int(rng.integers(1, 3000)) :]


def drop_lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.splitlines(keepends=True)
    first = int(rng.integers(len(lines)))
    return b"".join(lines[:first] + lines[first + int(rng.integers(1, 20)) :])


def swap_lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.splitlines(keepends=True)
    one, other = rng.integers(len(lines), size=2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def repeat_lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.splitlines(keepends=True)
    first = int(rng.integers(len(lines)))
    last = first + int(rng.integers(1, 30))
    return b"".join(lines[:last] + lines[first:])


def wild(content: bytes, rng: np.random.Generator) -> bytes:
    """A number becomes another, of any size or kind."""
    numbers = [b"", b"nan", b"inf", b"-1", b"1e9", b"255", b"37.5", b'"x"', b"0,5", b"null", b"1e400", b"{}"]
    parts = content.split(b"," if b"," in content else b";")
    parts[int(rng.integers(len(parts)))] = numbers[int(rng.integers(len(numbers)))]
    return b",".join(parts)


def nothing(content: bytes, rng: np.random.Generator) -> bytes:
    return [b"", b"\n\n\n", b"null", b"[]", b"{}", b"\0" * 100, b"[" * 5000][int(rng.integers(7))]


DAMAGES: list[Callable[[bytes, np.random.Generator], bytes]] = [
    flip, cut, cut_out, drop_lines, swap_lines, repeat_lines, wild, nothing,
]  # fmt: skip


def curve_mutants(count: int, seed: int) -> Iterator[tuple[str, str, bytes, Rows, bool]]:
    """Yield kind of file, change, content, the rows written, and whether it must be read."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        kind = ("csv", "json", "csv", "json", "csv", "npz")[number % 6]
        rows, changes = rows_of(rng), CHANGES[kind]
        change = changes[int(rng.integers(len(changes)))]
        change(rows, rng)
        content, name = written(rows, kind), change.__name__
        damaged = number % 12 >= 6
        if damaged:
            damage = DAMAGES[int(rng.integers(len(DAMAGES)))]
            content, name = damage(content, rng), damage.__name__
        yield kind, name, content, rows, not damaged


def read_curves(kind: str, content: bytes, rows: Rows, must_be_read: bool) -> tuple[str, str, float]:
    """The outcome of a file, "face", "refused" or "failed", why, and its CPU time in seconds."""
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"curves.{kind}"
        path.write_bytes(content)
        try:
            read_recording(path)
            text = wrong_capture(path, rows, must_be_read)
            outcome = "failed" if text else "face"
        except UserError as error:
            text = str(error)
            outcome = "failed" if must_be_read or len(text) > 500 or not text.strip() else "refused"
        except Exception as error:  # any other error is a finding
            outcome, text = "failed", f"{type(error).__name__}: {error}"
    return outcome, text, time.process_time() - start


def wrong_capture(path: Path, rows: Rows, must_be_whole: bool) -> str:
    """Errors of what is read from a file, empty if correct."""
    capture = read_capture(path, FPS, "mediapipe", 0.0, SECONDS + 1.0)
    times, valid = capture.clip.times, capture.valid
    compared = valid & (times <= rows.times[-1])
    off = np.abs(capture.clip.values - truth(times)).max(axis=1) > TOLERANCE
    share = off[compared].mean() if compared.any() else 0.0
    if share > (0.0 if must_be_whole else MAX_HIT_SHARE):
        return f"{share:.0%} of the valid frames are wrong"
    first, last = rows.missing
    hole = (times > first + 1.5 / 24) & (times < last - 1e-6)
    if must_be_whole and (capture.valid & hole).any():
        return "frames in the hole count as valid"
    if must_be_whole and valid[(times <= rows.times[-1]) & ~hole].mean() < MIN_VALID_SHARE:
        return f"only {valid.mean():.0%} of the frames are valid"
    return ""
