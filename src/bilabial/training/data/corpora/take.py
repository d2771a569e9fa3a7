"""Take, the common output of all readers: one clip of one speaker; and helpers to find files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bilabial.errors import UserError

VIDEO_SUFFIXES = (".mp4", ".mov", ".mpg", ".mpeg", ".avi", ".mkv", ".webm", ".m4v", ".flv")
AUDIO_SUFFIXES = (".flac", ".wav", ".m4a", ".g722", ".opus", ".ogg", ".mp3")
PIECE_SECONDS = 10.0
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Take:
    """One clip of one speaker: a video with sound, or curves with a sound, and its metadata.

    id: unique in the collection. video: None for recorded curves; then `curves` is their file and `audio` the
    sound. With a video, `audio` is the sound file of a silent video. start_seconds, duration_seconds: the
    part of the sound to use, None = all that both cover. curves_late_seconds: how long after the sound's
    beginning the curves begin, negative = before. mouth_close: the curves' convention of mouthClose, one of
    bilabial.io.mouth_close.CONVENTIONS, None for videos. recording: the id of the recording that the take is
    a piece of. emotion, intensity: one of EMOTIONS, 0 to 1.5, where 1 is an emotion acted without a stated
    level. style: a name, "default" for none. split: one of SPLITS, None lets `prepare` decide. source,
    license: origin and terms.
    """

    id: str
    video: Path | None
    emotion: str = "neutral"
    style: str = "default"
    speaker: str = "unknown"
    split: str | None = None
    source: str = "own recording"
    license: str = "unknown"
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
        """The files of the take."""
        return tuple(path for path in (self.video, self.curves, self.audio) if path)


def files_below(folder: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Files below a folder with one of these suffixes, sorted by path, without hidden ones."""
    return (
        path
        for path in sorted(folder.resolve().rglob("*"))
        if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
    )


def with_suffix_of(path: Path, suffixes: Sequence[str]) -> Path | None:
    """The file beside `path` with its name and one of these suffixes, in lower or upper case."""
    spellings = (spelling for suffix in suffixes for spelling in (suffix, suffix.upper()))
    return next((found for suffix in spellings if (found := path.with_suffix(suffix)).is_file()), None)


def sound_beside(curves: Path) -> Path:
    """The sound of a file of curves. Raises UserError where there is none."""
    audio = with_suffix_of(curves, AUDIO_SUFFIXES)
    if audio is None:
        raise UserError("curves_sound", path=curves, accepted=AUDIO_SUFFIXES)
    return audio


def pieces_of(take: Take, seconds: float) -> Iterator[Take]:
    """Cut a long take into takes of 10 s; the last piece takes the rest.

    Each epoch draws a window of every take, and medians are over clips: pieces keep both balanced.
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
