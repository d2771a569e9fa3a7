"""Readers of face collections: each turns a folder into takes, one per clip; no video is opened."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bilabial.facegood import read_weights
from bilabial.hub.blendshapes_bilabial import EMOTIONS

VIDEO_SUFFIXES = (".mp4", ".mov", ".mpg", ".mpeg", ".avi", ".mkv", ".webm", ".m4v")
AUDIO_SUFFIXES = (".flac", ".wav")
SPLITS = ("train", "validation", "test")
PIECE_SECONDS = 10.0


@dataclass(frozen=True)
class Take:
    """One clip of one speaker: a video with sound, or curves with a sound, and what is known about it.

    id: unique in the collection. video: None where the face comes as curves; then `curves` names their
    archive, `audio` the sound, and `start_seconds` and `duration_seconds` say which stretch of both it is.
    emotion: one of EMOTIONS. style: a name, "default" for none. split: one of SPLITS, None lets `prepare`
    decide. source, licence: where it comes from and under which terms.
    """

    id: str
    video: Path | None
    emotion: str = "neutral"
    style: str = "default"
    speaker: str = "unknown"
    split: str | None = None
    source: str = "own recording"
    licence: str = "unknown"
    curves: Path | None = None
    audio: Path | None = None
    start_seconds: float = 0.0
    duration_seconds: float | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What the take is read from."""
        return tuple(path for path in (self.video, self.curves, self.audio) if path)


def read_grid(folder: Path) -> Iterator[Take]:
    """GRID audiovisual corpus: SPEAKER/CLIP.mpg (or .mp4), or one speaker's folder. All takes are neutral.

    Cooke, Barker, Cunningham, Shao (2006), JASA 120, 2421. CC BY 4.0. The style is the speaker: grid_s1.
    """
    for video in _videos_below(folder):
        speaker = video.parent.name
        yield Take(
            id=f"grid/{speaker}/{video.stem}",
            video=video,
            style=f"grid_{speaker}",
            speaker=f"grid_{speaker}",
            source="GRID audiovisual corpus (Cooke, Barker, Cunningham, Shao 2006)",
            licence="CC BY 4.0",
        )


def read_videos(folder: Path) -> Iterator[Take]:
    """Your own recordings: FOLDER/videos/* and FOLDER/metadata.csv.

    metadata.csv has a column `file` (relative to videos/) and, as you like, emotion, style, split, speaker,
    source, licence; an empty cell takes the default. Without speaker, all files are one speaker's. Raises
    ValueError naming row and column.
    """
    table = folder / "metadata.csv"
    if not table.is_file():
        raise ValueError(f"{folder} has no metadata.csv with the columns file, emotion, style, split")
    with table.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if "file" not in (reader.fieldnames or ()):
            raise ValueError(
                f"{table} needs a column 'file', it has {', '.join(reader.fieldnames or ['nothing'])}"
            )
        for number, row in enumerate(reader, start=2):
            yield _take_of_row(
                {k: v.strip() for k, v in row.items() if k and v and v.strip()}, folder, number
            )


def read_facegood(folder: Path) -> Iterator[Take]:
    """FACEGOOD's Mandarin recordings: NAME.npz (curves, see bilabial.facegood) beside NAME.flac or NAME.wav.

    MIT. A recording of minutes is cut into pieces of 10 s, so that a median over clips is one over many and
    levels are set as in short clips; the last piece takes the rest. All are for validation: the faces were
    solved for another rig, so they are no labels to learn from. Raises ValueError for curves without a sound.
    """
    for curves in sorted(folder.resolve().glob("*.npz")):
        audio = next((path for s in AUDIO_SUFFIXES if (path := curves.with_suffix(s)).is_file()), None)
        if audio is None:
            raise ValueError(f"{curves} has no sound beside it; {', '.join(AUDIO_SUFFIXES)} are looked for")
        seconds = read_weights(curves).duration_seconds
        count = max(1, int(seconds // PIECE_SECONDS))
        for piece in range(count):
            start = piece * PIECE_SECONDS
            yield Take(
                id=f"facegood/{curves.stem}_{piece:02d}",
                video=None,
                style="facegood",
                speaker="facegood",
                split="validation",
                source="FACEGOOD-Audio2Face, Mandarin",
                licence="MIT",
                curves=curves,
                audio=audio,
                start_seconds=start,
                duration_seconds=(PIECE_SECONDS if piece < count - 1 else seconds - start),
            )


READERS: dict[str, Callable[[Path], Iterator[Take]]] = {
    "grid": read_grid,
    "videos": read_videos,
    "facegood": read_facegood,
}


def read_takes(reader: str, folder: str | Path) -> list[Take]:
    """All takes of a folder, sorted by id.

    Raises ValueError for an unknown reader, no takes, or an id given twice.
    """
    if reader not in READERS:
        raise ValueError(f"reader must be one of {', '.join(READERS)}, got {reader!r}")
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    takes = sorted(READERS[reader](folder), key=lambda take: take.id)
    if not takes:
        raise ValueError(f"{folder} holds no takes for the reader {reader!r}")
    for first, second in pairwise(takes):
        if first.id == second.id:
            raise ValueError(f"{folder} names the take {first.id!r} twice")
    return takes


def _videos_below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.resolve().rglob("*")) if path.suffix.lower() in VIDEO_SUFFIXES)


def _take_of_row(row: dict[str, str], folder: Path, number: int) -> Take:
    where = f"{folder / 'metadata.csv'} line {number}"
    if "file" not in row:
        raise ValueError(f"{where} has an empty column 'file'")
    video = folder / "videos" / row["file"]
    if not video.is_file():
        raise ValueError(f"{where} names {row['file']!r}, which is not in {folder / 'videos'}")
    emotion, split = row.get("emotion", "neutral"), row.get("split")
    if emotion not in EMOTIONS:
        raise ValueError(f"{where}: emotion must be one of {', '.join(EMOTIONS)}, got {emotion!r}")
    if split is not None and split not in SPLITS:
        raise ValueError(f"{where}: split must be one of {', '.join(SPLITS)} or empty, got {split!r}")
    optional = {key: row[key] for key in ("style", "speaker", "source", "licence") if key in row}
    return Take(id=f"videos/{row['file']}", video=video.resolve(), emotion=emotion, split=split, **optional)
