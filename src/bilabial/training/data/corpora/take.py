"""Take: one clip of one speaker, as every reader hands it over, and what readers share to find files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

VIDEO_SUFFIXES = (".mp4", ".mov", ".mpg", ".mpeg", ".avi", ".mkv", ".webm", ".m4v", ".flv")
AUDIO_SUFFIXES = (".flac", ".wav", ".m4a", ".g722", ".opus", ".ogg", ".mp3")
CURVE_SUFFIXES = (".csv", ".json", ".npz")  # bilabial.io.recordings reads them
PIECE_SECONDS = 10.0
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Take:
    """One clip of one speaker: a video with sound, or curves with a sound, and what is known about it.

    id: unique in the collection. video: None where the face comes as curves; then `curves` names their file
    and `audio` the sound. Beside a video, `audio` is the sound of a video that has none itself.
    start_seconds, duration_seconds: which stretch of the sound to take, None = as much as there is of both.
    curves_late_seconds: how long after the sound's beginning the curves begin, negative = before.
    mouth_close: the curves' convention of mouthClose, one of bilabial.io.mouth_close.CONVENTIONS, None for
    videos. recording: the id of what the take is a piece of. emotion: one of EMOTIONS, shown as strongly as
    intensity says: 0 to 1.5, 1 = as people do who are only asked for it. style: a name, "default" for none.
    split: one of SPLITS, None lets `prepare` decide. source, licence: where it comes from and under which
    terms.
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
    curves_late_seconds: float = 0.0
    mouth_close: str | None = None
    recording: str | None = None
    intensity: float = 1.0

    @property
    def files(self) -> tuple[Path, ...]:
        """What the take is read from."""
        return tuple(path for path in (self.video, self.curves, self.audio) if path)


def files_below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Files of a folder and its folders with one of these suffixes, sorted by path; none that is hidden."""
    return (
        path
        for path in sorted(folder.resolve().rglob("*"))
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
    )


def with_suffix_of(path: Path, suffixes: Sequence[str]) -> Path | None:
    """The file beside `path` that has its name and one of these suffixes, small or in capitals."""
    spellings = (spelling for suffix in suffixes for spelling in (suffix, suffix.upper()))
    return next((found for suffix in spellings if (found := path.with_suffix(suffix)).is_file()), None)


def sound_beside(curves: Path) -> Path:
    """The sound of a file of curves. Raises ValueError where there is none."""
    audio = with_suffix_of(curves, AUDIO_SUFFIXES)
    if audio is None:
        raise ValueError(f"{curves} has no sound beside it; {', '.join(AUDIO_SUFFIXES)} are looked for")
    return audio


def pieces_of(take: Take, seconds: float) -> Iterator[Take]:
    """A take of minutes, cut into takes of 10 s from its start on; the last piece takes the rest.

    A window of every take is drawn in each epoch, and a median over clips is one over many.
    """
    count = max(1, int(seconds // PIECE_SECONDS))
    for piece in range(count):
        start = piece * PIECE_SECONDS
        yield replace(
            take,
            id=f"{take.id}_{piece:02d}",
            recording=take.id,
            start_seconds=take.start_seconds + start,
            duration_seconds=PIECE_SECONDS if piece < count - 1 else seconds - start,
        )
