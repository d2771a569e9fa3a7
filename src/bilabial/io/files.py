"""Atomic writing of files, and file-system errors as UserError."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bilabial.errors import UserError, as_path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, that replaces it when the block ends.

    Where the block or the file system fails, `path` stays as it was and nothing is left. Raises UserError for
    a folder, a read-only target and a full disk.
    """
    path = as_path(path)
    if path.is_dir():
        raise UserError("output_is_folder", path=path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if isinstance(error, ValueError):  # a MissingFileError of what the block reads
            raise
        raise UserError("output_failed", path=path, error=error.strerror or error) from error
    finally:
        partial.unlink(missing_ok=True)


def make_folder(path: str | Path) -> Path:
    """The folder, created if missing. Raises UserError where that fails."""
    path = as_path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError("folder_failed", path=path, error=error.strerror or error) from error
    return path
