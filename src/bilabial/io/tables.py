"""Tables of programs and spreadsheets (CSV with commas, semicolons or tabs, in UTF-8 or UTF-16), and JSON."""

from __future__ import annotations

import codecs
import csv
import io
import json
from pathlib import Path

from bilabial.errors import MissingFileError, UserError, as_path

SEPARATORS = (",", ";", "\t", "|")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # byte order marks of "Unicode text"

Line = tuple[int, list[str]]


def read_table(path: str | Path) -> list[Line]:
    """The rows of a table with their line numbers, the header first; rows of blank cells are left out.

    The separator is that of the header, or of a first line such as sep=;. Raises FileNotFoundError, or
    UserError for another encoding and for unclosed quotes.
    """
    path = as_path(path)
    if not path.is_file():
        raise MissingFileError("file_missing", name=path)
    content = path.read_bytes()
    try:
        return _lines(decoded(content))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError("csv_encoding", path=path, error=error) from error


def decoded(content: bytes) -> str:
    """Text in UTF-8, or in UTF-16 with a byte order mark. Raises UnicodeDecodeError for another encoding."""
    return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")


def read_object(path: Path) -> dict:
    """The object in a JSON file. Raises FileNotFoundError, or UserError for other content."""
    if not path.is_file():
        raise MissingFileError("file_missing", name=path)
    try:
        return dict(json.loads(decoded(path.read_bytes())))
    except (TypeError, ValueError) as error:
        raise UserError("json_object", path=path, error=error) from error


def _lines(text: str) -> list[Line]:
    separator, skipped = _separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    rows = [(reader.line_num, row) for row in reader]
    return [(number, row) for number, row in rows[skipped:] if any(map(str.strip, row))]


def _separator(text: str) -> tuple[str, int]:
    """The separator of cells, and the number of lines before the header that declare it."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    said = first.strip('"')
    if said.lower().startswith("sep=") and len(said.rstrip(",;")) <= 5:
        return said[4:5] or ",", text.splitlines().index(first) + 1
    return max(SEPARATORS, key=first.count), 0
