"""Readers of face collections: each turns a folder into takes, one per clip, with source and license."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.io.mouth_close import detect
from bilabial.io.recordings import read_recording
from bilabial.training.data.corpora.curves import read_beat, read_facegood
from bilabial.training.data.corpora.livelink import read_livelink
from bilabial.training.data.corpora.take import Take
from bilabial.training.data.corpora.videos import (
    read_crema_d,
    read_grid,
    read_mead,
    read_ravdess,
    read_videos,
)

__all__ = ["READERS", "Take", "read_takes"]

READERS: dict[str, Callable[[Path], Iterator[Take]]] = {
    "videos": read_videos,
    "grid": read_grid,
    "mead": read_mead,
    "ravdess": read_ravdess,
    "crema-d": read_crema_d,
    "livelink": read_livelink,
    "beat": read_beat,
    "facegood": read_facegood,
}
RECORDINGS_LOOKED_AT = 20  # recordings read to detect the convention of mouthClose


def read_takes(reader: str, folder: str | Path, mouth_close: str = "auto") -> list[Take]:
    """All takes of a folder, sorted by id.

    mouth_close: the convention of recorded curves (bilabial.io.mouth_close), "auto" detects it. Raises
    UserError for an unknown reader, no takes, duplicate ids, or an undecided convention.
    """
    if reader not in READERS:
        raise UserError("corpus_reader", accepted=[*READERS], got=reader)
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("folder_missing", path=folder)
    takes = sorted(READERS[reader](folder), key=lambda take: take.id)
    if not takes:
        raise UserError("corpus_empty", path=folder, reader=reader)
    for first, second in pairwise(takes):
        if first.id == second.id:
            raise UserError("corpus_twice", path=folder, name=first.id)
    return _with_mouth_close(takes, folder, mouth_close)


def _readable(files: list[Path]) -> list[FaceClip]:
    """The curves of the readable files; takes of the others fail later, one by one.

    Raises ValueError when there is none.
    """
    clips, errors = [], []
    for path in files:
        try:
            clips.append(read_recording(path))
        except ValueError as error:
            errors.append(error)
    if not clips:
        raise errors[0]
    return clips


def _with_mouth_close(takes: list[Take], folder: Path, mouth_close: str) -> list[Take]:
    """The takes with the convention of their curves, where the reader does not set it."""
    open_takes = {take.id for take in takes if take.curves and not take.mouth_close}
    files = sorted({take.curves for take in takes if take.id in open_takes})
    if files and mouth_close == "auto":
        some = files[:: -(-len(files) // RECORDINGS_LOOKED_AT)]
        clips = _readable(some)
        try:
            mouth_close = detect(clips)
        except UserError as error:
            raise error.in_file(folder) from error
    return [replace(take, mouth_close=mouth_close) if take.id in open_takes else take for take in takes]
