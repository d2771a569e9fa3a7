"""Records of a batch in OUTPUT/.bilabial: key, files and measures of each line."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from bilabial.io.files import make_folder, replacing

FOLDER = ".bilabial"


@dataclass(frozen=True)
class Record:
    """The record of one line.

    key: of sound, settings and weights. files: by path below the output folder, with their `stamp`. measures:
    of the line, LineMeasures as a dict. notes: warnings. failure: why there are no files; None on success.
    """

    key: str
    files: dict[str, dict]
    measures: dict | None
    notes: list[str]
    failure: str | None = None


def stamp(path: Path) -> dict:
    """The stamp of a file for detecting changes: size, time and SHA-256."""
    status = path.stat()
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns, "sha256": digest}


def is_changed(path: Path, known: dict) -> bool:
    """Whether a file has another content than when it was stamped; its content is read only if need be."""
    status = path.stat()
    if (status.st_size, status.st_mtime_ns) == (known["bytes"], known["modified_ns"]):
        return False
    return status.st_size != known["bytes"] or stamp(path)["sha256"] != known["sha256"]


def path_of_record(output: Path, name: str) -> Path:
    return output / FOLDER / f"{name}.json"


def write_record(output: Path, name: str, record: Record) -> None:
    path = path_of_record(output, name)
    make_folder(path.parent)
    with replacing(path) as partial:
        partial.write_text(json.dumps(asdict(record), ensure_ascii=False), encoding="utf-8")


def read_record(output: Path, name: str) -> Record | None:
    """The record of a line; None if missing or of another version."""
    try:
        return Record(**json.loads(path_of_record(output, name).read_bytes()))
    except (OSError, TypeError, ValueError):
        return None


def names_of_records(output: Path) -> set[str]:
    """Names of all lines with a record in this folder."""
    folder = output / FOLDER
    return {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.json")}


def remove_partial_files(output: Path) -> None:
    """Those that a killed run left; `replacing` names them."""
    for path in output.rglob(".*.partial*"):
        path.unlink(missing_ok=True)
