"""Where the data of a model come from and under which terms: OUTPUT/model/sources.json.

train.py writes it, a list of {"source", "licence", "rows", "seconds"}: of the rows that the model was trained
on, and of the model that it started from.
"""

import json
import os
from pathlib import Path

import pyarrow.compute
from datasets import Dataset
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError

from bilabial.checkpoint import EMBEDDED_MODEL

SOURCES_FILE = "sources.json"
COLUMNS = ["id", "source", "licence", "valid", "fps"]
ROWS_PER_BATCH = 1000


def sources_of(rows: Dataset) -> list[dict]:
    """Rows and seconds by source and licence; a row that is given twice counts once."""
    totals: dict[tuple[str, str], list[float]] = {}
    seen: set[str] = set()
    for batch in rows.select_columns(COLUMNS).with_format("arrow").iter(batch_size=ROWS_PER_BATCH):
        frames = pyarrow.compute.list_value_length(batch["valid"]).to_pylist()
        columns = [batch[name].to_pylist() for name in ("id", "source", "licence", "fps")]
        for name, source, licence, fps, count in zip(*columns, frames, strict=True):
            if name not in seen:
                seen.add(name)
                total = totals.setdefault((source, licence), [0, 0.0])
                total[0] += 1
                total[1] += count / fps
    return [_entry(*key, rows, seconds) for key, (rows, seconds) in sorted(totals.items())]


def sources_of_model(name: str) -> list[dict]:
    """The sources of a model in a folder or on the Hub; of one that names none, an entry that says so.

    "default" is the embedded model.
    """
    folder = EMBEDDED_MODEL if name == "default" else Path(name)
    if folder.is_dir():
        path = folder / SOURCES_FILE
    else:
        try:
            path = Path(hf_hub_download(name, SOURCES_FILE))
        except EntryNotFoundError:
            path = None
    if path is None or not path.is_file():
        return [_entry(f"the model {name}, which does not name its sources", "unknown", 0, 0.0)]
    return json.loads(path.read_text(encoding="utf-8"))


def join_sources(own: list[dict], earlier: list[dict]) -> list[dict]:
    """Both lists in one; of a source and licence in both, the entry with more rows."""
    joined: dict[tuple[str, str], dict] = {}
    for entry in (*own, *earlier):
        key = entry["source"], entry["licence"]
        if key not in joined or entry["rows"] > joined[key]["rows"]:
            joined[key] = entry
    return list(joined.values())


def write_sources(folder: Path, sources: list[dict]) -> Path:
    """Write FOLDER/sources.json, whole or not at all; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SOURCES_FILE
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(sources, file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    return path


def _entry(source: str, licence: str, rows: int, seconds: float) -> dict:
    return {"source": source, "licence": licence, "rows": int(rows), "seconds": round(seconds, 1)}
