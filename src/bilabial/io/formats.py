"""The kinds of files that a FaceClip is written to, by name: one table for command, batch and documents."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.io.files import replacing


@dataclass(frozen=True)
class WriteOptions:
    """What some formats want beside the clip. head: a GLB whose face the GLB format animates."""

    head: Path | None = None


@dataclass(frozen=True)
class Format:
    """A kind of file. suffix: of its files. title: for users. write: makes a file at a path."""

    suffix: str
    title: str
    write: Callable[[FaceClip, Path, WriteOptions], object]


def _csv(clip: FaceClip, path: Path, options: WriteOptions) -> None:
    clip.to_csv(path)


def _npz(clip: FaceClip, path: Path, options: WriteOptions) -> None:
    clip.to_npz(path)


def _json(clip: FaceClip, path: Path, options: WriteOptions) -> None:
    from bilabial.io.exporters import to_json

    to_json(clip, path)


def _glb(clip: FaceClip, path: Path, options: WriteOptions) -> None:
    from bilabial.io.exporters import HEAD, to_glb

    to_glb(clip, path, options.head or HEAD)


FORMATS = {
    "csv": Format(".csv", "Live Link Face CSV", _csv),
    "json": Format(".json", "JSON, names and frames of weights", _json),
    "npz": Format(".npz", "numpy archive of a FaceClip", _npz),
    "glb": Format(".glb", "GLB of a head with the animation", _glb),
}


def formats_of(text: str) -> list[str]:
    """Names of formats in a text such as "csv,glb". Raises UserError for an unknown one."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in FORMATS:
            raise UserError("format_unknown", accepted=list(FORMATS), got=name)
    return list(dict.fromkeys(names))


def format_of_path(path: Path) -> str:
    """The format that a file's name ends like, the longest suffix first. Raises UserError for none."""
    by_length = sorted(FORMATS, key=lambda name: -len(FORMATS[name].suffix))
    for name in by_length:
        if path.name.lower().endswith(FORMATS[name].suffix):
            return name
    raise UserError("format_unknown", accepted=list(FORMATS), got=path.suffix or path.name)


def write_clip(
    clip: FaceClip, path: str | Path, name: str | None = None, options: WriteOptions | None = None
) -> Path:
    """Write a clip in a format, None = by the path's suffix; whole or not at all. Returns the path.

    Raises UserError for an unknown format and for a target that cannot be written.
    """
    path = Path(path)
    name = format_of_path(path) if name is None else name
    with replacing(path) as partial:
        FORMATS[name].write(clip, partial, options or WriteOptions())
    return path


def encode_clip(clip: FaceClip, name: str, options: WriteOptions | None = None) -> bytes:
    """The bytes of the file that `write_clip` makes."""
    with tempfile.TemporaryDirectory() as folder:
        return write_clip(clip, Path(folder, f"face{FORMATS[name].suffix}"), name, options).read_bytes()


def paths_of(folder: Path, stem: str, names: Sequence[str]) -> dict[str, Path]:
    """Where a clip's files lie in a folder, by format."""
    return {name: folder / f"{stem}{FORMATS[name].suffix}" for name in names}
