"""The app's folder for files: private to its user, old files are deleted."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path


def private_folder(name: str) -> Path:
    """The user's folder below the temporary directory, always the same one.

    A new one where the name is taken (by a link, or another user's folder).
    """
    user = os.getuid() if hasattr(os, "getuid") else None
    path = Path(tempfile.gettempdir()).resolve() / f"{name}_{user or 0}"
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or user not in (None, status.st_uid):
        return Path(tempfile.mkdtemp(prefix=f"{name}_")).resolve()
    path.chmod(0o700)
    return path


def new_folder(parent: Path) -> Path:
    """A new folder in a folder, which is created if missing."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))


def remove_old(folder: Path, max_seconds: float, spared: Collection[str] = ()) -> None:
    """Remove what has not changed for so long, except the files `spared`; safe beside other processes."""
    oldest = time.time() - max_seconds
    for path, status in list(_below(folder)):  # a folder's time before removals
        if status.st_mtime < oldest and str(path) not in spared:
            with suppress(OSError):  # already gone, or a folder that is not empty
                path.rmdir() if stat.S_ISDIR(status.st_mode) else path.unlink()


def bytes_below(folder: Path) -> int:
    """Bytes of all files in a folder and its subfolders."""
    return sum(status.st_size for _, status in _below(folder) if stat.S_ISREG(status.st_mode))


def _below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder, contents before their folder. Links are not followed."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in [*files, *folders]:
            path = Path(parent, name)
            with suppress(FileNotFoundError):
                yield path, path.lstat()
