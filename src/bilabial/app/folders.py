"""Where the app's files lie: one folder that only its user can read, emptied by age."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path


def private_folder(name: str) -> Path:
    """The user's own folder in that of temporary files, always the same one.

    Where something else has its name (a link, or what another user made), it is a new one.
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
    """A new folder in a folder, which is made where it is not there."""
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent))


def remove_old(folder: Path, max_seconds: float, spared: Collection[str] = ()) -> None:
    """Remove what was not changed for so long, but for the files `spared`; others may do so as well."""
    oldest = time.time() - max_seconds
    for path, status in list(_below(folder)):  # a folder's time as it was before anything was removed from it
        if status.st_mtime < oldest and str(path) not in spared:
            with suppress(OSError):  # gone already, or a folder that still holds something
                path.rmdir() if stat.S_ISDIR(status.st_mode) else path.unlink()


def bytes_below(folder: Path) -> int:
    """Bytes of all files in a folder and its folders."""
    return sum(status.st_size for _, status in _below(folder) if stat.S_ISREG(status.st_mode))


def _below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder, what a folder holds before the folder itself. Links are not followed."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in [*files, *folders]:
            path = Path(parent, name)
            with suppress(FileNotFoundError):
                yield path, path.lstat()
