"""Sources and licenses of a model's training data: OUTPUT/model/sources.json.

train.py writes it, a list of {"source", "license", "rows", "seconds"}: of the rows that the model was trained
on, and of the model that it started from. licenses.py decides what the terms allow.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow
import pyarrow.compute
import pyarrow.parquet
from datasets import Dataset
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from bilabial.checkpoint import folder_or_id
from bilabial.errors import UserError
from bilabial.io.files import write_atomically
from bilabial.training.old_names import current_columns, current_entries

SOURCES_FILE = "sources.json"
COLUMNS = ["id", "source", "license", "valid", "fps"]
ROWS_PER_BATCH = 1000


@dataclass(frozen=True)
class Source:
    """A collection in a data set or in a model's training data: name, terms and amount."""

    source: str
    license: str
    rows: int
    seconds: float


def sources_of(rows: Dataset) -> list[Source]:
    """The sources of the rows of a data set."""
    return _count(rows.select_columns(COLUMNS).with_format("arrow").iter(batch_size=ROWS_PER_BATCH))


def sources_of_files(files: Iterable[Path]) -> list[Source]:
    """The sources of the rows in a data set's Parquet files."""
    return _count(
        batch.rename_columns(current_columns(batch.schema.names, str(path)))
        for path in files
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(columns=_stored_columns(path))
    )


def _stored_columns(path: Path) -> list[str]:
    """COLUMNS as a file of rows calls them."""
    names = pyarrow.parquet.read_schema(path).names
    stored = dict(zip(current_columns(names, str(path)), names, strict=True))
    return [stored[name] for name in COLUMNS]


def _count(batches: Iterable[pyarrow.Table | pyarrow.RecordBatch]) -> list[Source]:
    """Rows and seconds by source and license; a row that is given twice counts once.

    Ids alone are not unique: two collections may have files of the same name.
    """
    rows: dict[tuple[str, str, str], Source] = {}
    for batch in batches:
        frames = pyarrow.compute.list_value_length(batch["valid"]).to_pylist()
        columns = [batch[name].to_pylist() for name in ("id", "source", "license", "fps")]
        for name, source, license, fps, count in zip(*columns, frames, strict=True):
            rows[name, source, license] = Source(source, license, 1, count / fps)
    return add_sources(rows.values())


def add_sources(parts: Iterable[Source]) -> list[Source]:
    """One entry for each source and its terms, with the rows and seconds of all its parts."""
    totals: dict[tuple[str, str], list[float]] = {}
    for part in parts:
        total = totals.setdefault((part.source, part.license), [0, 0.0])
        total[0] += part.rows
        total[1] += part.seconds
    return [Source(*key, int(rows), round(seconds, 1)) for key, (rows, seconds) in sorted(totals.items())]


def sources_of_model(name: str) -> list[Source]:
    """The sources of a model in a folder or on the Hub; without a record, one entry that says so.

    "default" and "live" are the embedded models.
    """
    folder = Path(folder_or_id(name))
    if folder.is_dir():
        path = folder / SOURCES_FILE
    else:
        try:
            path = Path(hf_hub_download(name, SOURCES_FILE))
        except EntryNotFoundError:
            path = None
    if path is None or not path.is_file():
        return [Source(f"the model {name}, which does not name its sources", "unknown", 0, 0.0)]
    return parse_sources(path)


def parse_sources(path: Path) -> list[Source]:
    """What a sources.json holds. Raises UserError for another file."""
    try:
        entries = current_entries(json.loads(path.read_text(encoding="utf-8")), str(path))
        return [Source(**entry) for entry in entries]
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError("sources_file", path=path, error=error) from error


def join_sources(own: list[Source], earlier: list[Source]) -> list[Source]:
    """The union of both lists; of duplicates, the entry with more rows."""
    joined: dict[tuple[str, str], Source] = {}
    for entry in (*own, *earlier):
        key = entry.source, entry.license
        if key not in joined or entry.rows > joined[key].rows:
            joined[key] = entry
    return list(joined.values())


def write_sources(folder: Path, sources: list[Source]) -> Path:
    """Write FOLDER/sources.json atomically; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SOURCES_FILE
    write_atomically(path, json.dumps([asdict(one) for one in sources], indent=1, ensure_ascii=False))
    return path
