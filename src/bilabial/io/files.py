"""Atomic writing of files and folders, and file-system errors as UserError."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bilabial.errors import UserError, as_path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, that replaces it when the block ends.

    Its name begins with a dot and holds the machine and the process: writers do not disturb each other.

    Where the block or the file system fails, `path` stays as it was and nothing is left. Raises UserError for
    a folder, a read-only target and a full disk.
    """
    path = as_path(path)
    if path.is_dir():
        raise UserError("output_is_folder", path=path)
    partial = path.with_name(f".{path.stem}.{platform.node()}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if isinstance(error, ValueError):  # a MissingFileError of what the block reads
            raise
        raise UserError("output_failed", path=path, error=error.strerror or error) from error
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8, atomically. Raises UserError as `replacing`."""
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def replace_folder(folder: Path, new: Path) -> None:
    """Put `new` in the place of `folder`, which is removed, by two renames.

    A process that is killed between them leaves no `folder`, and `new` under its own name.
    """
    if not folder.exists():
        new.rename(folder)
        return
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as old:
        folder.rename(Path(old) / folder.name)
        new.rename(folder)


def make_folder(path: str | Path) -> Path:
    """The folder, created if missing. Raises UserError where that fails."""
    path = as_path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("folder_failed", path=path, error=error.strerror or error) from error
    return path
