"""Lines of dialogue: the sound files of a folder, or the rows of a manifest that names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from bilabial.errors import UserError, as_path
from bilabial.io.alignment import Transcript, can_align
from bilabial.io.tables import read_table
from bilabial.options import AnimateOptions

SOUND_SUFFIXES = (
    ".aac", ".aif", ".aiff", ".flac", ".m4a", ".mkv", ".mov", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav",
    ".webm", ".wma",
)  # fmt: skip
COLUMNS = ("file", "emotion", "intensity", "style", "text", "timing", "output")


@dataclass(frozen=True)
class Line:
    """One line.

    name: of its files below the output folder, without suffix. text: the transcript, shown in the report and
    aligned where that is possible. timing: a file of known phones, words or visemes; None without. failure:
    the reason, for a row that cannot be read; None otherwise.
    """

    name: str
    sound: Path
    options: AnimateOptions
    text: str = ""
    failure: str | None = None
    timing: Path | None = None

    @property
    def transcript(self) -> Transcript | None:
        """The text where it is aligned: without a timing, in English, and with the extra `align`."""
        return Transcript.of_column(self.text) if self.timing is None and can_align() else None


def read_lines(
    folder: Path,
    manifest: Path | None,
    defaults: AnimateOptions,
    on_warning: Callable[[UserError], None],
) -> list[Line]:
    """The lines of a folder and its subfolders, or of a manifest whose files are relative to the folder.

    An unreadable row becomes a line with a failure. on_warning: called with notes about unused columns.
    Raises UserError for no folder, no lines, a manifest without the column file, and two lines of one name.
    """
    if not as_path(folder).is_dir():
        raise UserError("folder_missing", path=Path(folder))
    if manifest is None:
        lines = [_line_of_file(folder, path, defaults) for path in _sounds(folder)]
        if not lines:
            raise UserError("batch_empty", path=folder, accepted=SOUND_SUFFIXES)
    else:
        lines = list(_lines_of_manifest(folder, manifest, defaults, on_warning))
        if not lines:
            raise UserError("manifest_empty", path=manifest)
    _check_names(lines)
    return lines


def _sounds(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES)
    return sorted(path for path in found if not path.name.startswith(".") and path.is_file())


def _line_of_file(folder: Path, path: Path, options: AnimateOptions) -> Line:
    return Line(path.relative_to(folder).with_suffix("").as_posix(), path, options)


def _lines_of_manifest(
    folder: Path, manifest: Path, defaults: AnimateOptions, on_warning: Callable[[UserError], None]
) -> Iterator[Line]:
    (_, header), *rows = read_table(manifest) or [(1, [])]
    names = [name.strip().lower() for name in header]
    if "file" not in names:
        raise UserError(
            "manifest_columns", path=manifest, accepted=COLUMNS, columns=", ".join(header) or "none"
        )
    unused = [name for name in names if name and name not in COLUMNS]
    if unused:
        on_warning(UserError("manifest_unused", path=manifest, columns=unused, accepted=COLUMNS))
    for number, cells in rows:
        row = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
        yield _line_of_row(folder, manifest, number, row, defaults)


def _line_of_row(
    folder: Path, manifest: Path, number: int, row: dict[str, str], defaults: AnimateOptions
) -> Line:
    """The line of a row; blank cells are the defaults."""
    given, text = row.get("file", "").replace("\\", "/"), row.get("text", "")
    try:
        if not given:
            raise UserError("manifest_file", path=manifest, line=number)
        name = row.get("output") or PurePosixPath(given).with_suffix("").as_posix()
        if Path(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UserError("manifest_outside", path=manifest, line=number, name=name)
        options = _options_of_row(row, defaults)
        options.arguments()  # raises for unreadable values
        timing = folder / row["timing"].replace("\\", "/") if row.get("timing") else None
        return Line(name, folder / given, options, text, timing=timing)
    except ValueError as error:
        return Line(f"row {number}", folder / given, defaults, text, str(error))


def _options_of_row(row: dict[str, str], defaults: AnimateOptions) -> AnimateOptions:
    texts: dict[str, Any] = {name: row[name] for name in ("emotion", "style") if row.get(name)}
    if row.get("intensity"):
        try:
            texts["intensity"] = float(row["intensity"].replace(",", "."))
        except ValueError as error:
            raise UserError("intensity_range", limit=1.5, got=row["intensity"]) from error
    return replace(defaults, **texts)


def _check_names(lines: Sequence[Line]) -> None:
    """Case-insensitive, as some file systems are."""
    first: dict[str, Line] = {}
    for line in lines:
        other = first.setdefault(line.name.lower(), line)
        if other is not line:
            raise UserError("output_twice", first=other.sound, second=line.sound, name=line.name)
