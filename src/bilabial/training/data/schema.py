"""The data set: its columns, how rows are written, read and changed.

A row is one take: 16 kHz sound and the face captured from it, on the same clock (frame k at k / fps seconds
after the first sample). Channels that the capture cannot see are masked, frames without a face are not valid;
neither counts in a loss or a metric.
"""

from __future__ import annotations

import wave
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from datasets import Audio, Dataset, DatasetDict, Features, List, Value, load_dataset

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.level_bilabial import SAMPLING_RATE, normalize_level
from bilabial.io.audio import decode_wav, encode_wav
from bilabial.io.capture import Capture
from bilabial.io.files import replacing
from bilabial.io.head_landmarks import LIPS
from bilabial.io.phones import Phone
from bilabial.training import old_names
from bilabial.training.data.corpora import Take

ROWS_PER_GROUP = 100  # of the Parquet files: about 10 MB that a reader holds at a time

FACES = ("captured", "pseudo_label")  # from video, or from a teacher that was fitted on captures

FEATURES = Features(
    {
        "id": Value("string"),
        "audio": Audio(sampling_rate=SAMPLING_RATE, decode=False),  # a WAV file, level-normalized
        "coefficients": List(
            List(Value("float32"), length=len(ARKIT_BLENDSHAPES))
        ),  # columns: ARKIT_BLENDSHAPES
        "channel_mask": List(
            Value("bool"), length=len(ARKIT_BLENDSHAPES)
        ),  # False: the capture cannot see it
        "valid": List(Value("bool")),  # False: no face in the frame
        "lip_gap": List(Value("float32")),  # inner-lip distance in outer-eye distances, from landmarks
        "lips": List(
            List(Value("float32"), length=2 * len(LIPS))
        ),  # x, y of the landmarks LIPS without pose, in outer-eye distances; or []
        "fps": Value("float32"),
        "face": Value("string"),  # one of FACES
        "capture_method": Value("string"),  # one of capture.METHODS, "curves", or "" if unknown
        "av_offset_ms": Value("float32"),  # how late the lips are, negative = early; 0 where not measured
        "phones": List(
            {"name": Value("string"), "start": Value("float32"), "end": Value("float32")}
        ),  # or []
        "emotion": Value("string"),
        "intensity": Value("float32"),  # of the emotion, 0 to 1.5; 1 if unknown
        "style": Value("string"),
        "speaker": Value("string"),
        "source": Value("string"),
        "license": Value("string"),
    }
)

# `datasets` wants torchcodec to encode sound; rows are written with pyarrow under the same schema instead.
SCHEMA = FEATURES.arrow_schema

# columns that older data sets lack, and their default values
NEWER = {"intensity": 1.0, "lips": [], "capture_method": ""}


def row_of_take(take: Take, waveform: np.ndarray, capture: Capture) -> dict:
    """A row of FEATURES. waveform: (S,) float32 at 16 kHz, as recorded; it is stored level-normalized."""
    return {
        "id": take.id,
        "audio": encode_sound(waveform, take.id),
        "coefficients": list(capture.clip.select(ARKIT_BLENDSHAPES).values),
        "channel_mask": [name not in capture.unseen for name in ARKIT_BLENDSHAPES],
        "valid": capture.valid,
        "lip_gap": capture.lip_gap,
        "lips": [] if capture.lips is None else list(capture.lips.reshape(len(capture.lips), -1)),
        "fps": capture.clip.fps,
        "face": "captured",
        "capture_method": capture.method,
        "av_offset_ms": 0.0,
        "phones": [],
        "emotion": take.emotion,
        "intensity": take.intensity,
        "style": take.style,
        "speaker": take.speaker,
        "source": take.source,
        "license": take.license,
    }


def encode_sound(waveform: np.ndarray, name: str) -> dict:
    """The column `audio` of a row: (S,) float32 at 16 kHz, level-normalized, as a WAV file."""
    return {"bytes": encode_wav(normalize_level(waveform)), "path": f"{name.replace('/', '_')}.wav"}


def dataset_card(folder: Path, fps: float) -> str:
    """The README.md of a prepared data set: columns, and number of rows by source and license."""
    columns = ["source", "license", "emotion", "speaker"]
    tables = [pyarrow.parquet.read_table(path, columns=columns) for path in data_files(folder)]
    rows = [row for table in tables for row in table.to_pylist()]
    sources = Counter((row["source"], row["license"]) for row in rows)
    lines = [f"| {source} | {license} | {count} |" for (source, license), count in sorted(sources.items())]
    emotions = ", ".join(
        f"{name} {count}" for name, count in Counter(row["emotion"] for row in rows).most_common()
    )
    return "\n".join(
        [
            "---\ntags: [bilabial, talking-face, arkit, blendshapes]\n---\n",
            f"# Captured speech, {len(rows)} takes at {fps:g} fps\n",
            "Made by Bilabial's `train/prepare.py`. `coefficients` are the 52 ARKit blendshapes in the order "
            "of `bilabial.ARKIT_BLENDSHAPES`, `lip_gap` is the distance of the inner lips in outer-eye "
            "distances, `lips` are x and y of MediaPipe's lip landmarks without pose in the same unit; "
            "`capture_method` says how coefficients were made; `channel_mask` and `valid` mark channels and "
            "frames that count.\n",
            "| source | license | takes |\n|---|---|---|",
            *lines,
            f"\nEmotions: {emotions}. Speakers: {len({row['speaker'] for row in rows})}.\n",
        ]
    )


def missing_columns(names: Iterable[str]) -> list[str]:
    """The columns of FEATURES that are missing in these, except those that older data sets lack."""
    current = {old_names.COLUMNS.get(name, name) for name in names}
    return sorted(set(FEATURES) - current - set(NEWER))


def load_rows(source: str | Path, split: str | None = None) -> Dataset | DatasetDict:
    """Load a prepared data set from a folder or the Hub; an older one gets the missing columns.

    Raises UserError when its columns are others.
    """
    rows = load_dataset(str(source), split=split)
    features = rows.features if isinstance(rows, Dataset) else next(iter(rows.values())).features
    missing = missing_columns(features)
    if missing:
        raise UserError("data_columns", name=Path(source), missing=missing)
    if isinstance(rows, Dataset):
        return _as_written_now(rows, source)
    return DatasetDict({name: _as_written_now(of_split, source) for name, of_split in rows.items()})


def _as_written_now(rows: Dataset, source: str | Path) -> Dataset:
    """Rows with all columns of FEATURES, by the present names and values."""
    names = old_names.current_columns(rows.column_names, str(source))
    rows = rows.rename_columns(
        {old: new for old, new in zip(rows.column_names, names, strict=True) if old != new}
    )
    old_faces = {old: new for old, new in old_names.FACES.items() if old in rows.unique("face")}
    if old_faces:
        old_names.warn_of(old_faces, f"{source}, column face")
        faces = [old_faces.get(face, face) for face in rows["face"]]
        rows = rows.remove_columns("face").add_column("face", faces, feature=FEATURES["face"])
    for name, value in NEWER.items():
        if name not in rows.features:
            rows = rows.add_column(name, [value] * len(rows), feature=FEATURES[name])
    return rows


def data_files(folder: Path) -> list[Path]:
    """The Parquet files of a prepared data set, without what a killed run began to write."""
    return sorted(path for path in (folder / "data").glob("*.parquet") if not path.name.startswith("."))


def update_rows(folder: Path, column: str, values: Mapping[str, object]) -> None:
    """Set a column of the rows with these ids in FOLDER/data; other rows keep theirs.

    Files are replaced atomically. Raises ValueError for ids that no file holds.
    """
    left = set(values)
    for path in data_files(folder):
        table = pyarrow.parquet.read_table(path)
        ids, old = table["id"].to_pylist(), table[column].to_pylist()
        if left.isdisjoint(ids):
            continue
        left -= set(ids)
        new = pyarrow.array(
            [values.get(name, value) for name, value in zip(ids, old, strict=True)],
            SCHEMA.field(column).type,
        )
        table = table.set_column(table.schema.get_field_index(column), SCHEMA.field(column), new)
        with replacing(path) as partial:
            pyarrow.parquet.write_table(table, partial, row_group_size=ROWS_PER_GROUP)
    if left:
        raise ValueError(f"{folder} has no row {sorted(left)[0]!r}")


class BrokenRow(ValueError):
    """A row that cannot be trained on; the message is one line that names it."""


def read_row(rows: Dataset, index: int) -> dict:
    """One row of rows in the format "arrow", its curves as arrays; twenty times as fast as "numpy".

    Only the row's own bytes are read from the memory-mapped files. Raises BrokenRow when its sound cannot be
    decoded, its curves have different lengths, or a number is not finite.
    """
    table = rows[index]
    row = table.drop_columns(["coefficients", "valid", "lip_gap", "lips"]).to_pylist()[0]
    curves = {name: table[name].combine_chunks().flatten() for name in ("coefficients", "valid", "lip_gap")}
    row["coefficients"] = coefficients = _numbers(curves["coefficients"].flatten())
    row["valid"], row["lip_gap"] = _numbers(curves["valid"]) > 0, _numbers(curves["lip_gap"])
    frames = {len(coefficients) / len(ARKIT_BLENDSHAPES), len(row["valid"]), len(row["lip_gap"])}
    if frames == {0} or len(frames) > 1:
        raise BrokenRow(f"row {row['id']!r} has coefficients, valid and lip_gap of no or unequal lengths")
    row["coefficients"] = coefficients.reshape(-1, len(ARKIT_BLENDSHAPES))
    if not (np.isfinite(coefficients).all() and np.isfinite(row["lip_gap"]).all()):
        raise BrokenRow(f"row {row['id']!r} has coefficients or lip gaps that are not finite numbers")
    try:
        row["waveform"] = waveform_of(row)
    except (ValueError, EOFError, wave.Error, TypeError) as error:
        raise BrokenRow(f"row {row['id']!r} has sound that cannot be decoded: {error!r}") from error
    if not len(row["waveform"]):
        raise BrokenRow(f"row {row['id']!r} holds no sound")
    return row


def _numbers(column: pyarrow.Array) -> np.ndarray:
    """(N,) float32; a missing number is NaN."""
    return column.cast(pyarrow.float32()).to_numpy(zero_copy_only=False)


def waveform_of(row: dict) -> np.ndarray:
    """The sound of a row: (S,) float32 at 16 kHz."""
    return decode_wav(row["audio"]["bytes"])


def coefficients_of(row: dict) -> np.ndarray:
    """The captured coefficients of a row: (T, 52) float32."""
    return np.asarray(row["coefficients"], dtype=np.float32).reshape(-1, len(ARKIT_BLENDSHAPES))


def spans_of(row: Mapping) -> list[Phone]:
    """The phones of a row: (name, start and end in seconds)."""
    return [(str(one["name"]), float(one["start"]), float(one["end"])) for one in row["phones"]]


def phone_names(rows: Dataset) -> set[str]:
    """The names of all phones of all rows."""
    names: set[str] = set()
    for batch in rows.select_columns(["phones"]).with_format("arrow").iter(batch_size=1000):
        phones = batch["phones"].combine_chunks().flatten()
        names |= set(pyarrow.compute.unique(phones.field("name")).to_pylist())
    return names
