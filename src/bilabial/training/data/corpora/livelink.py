"""Reader of Live Link Face takes: a CSV of coefficients, and the movie or sound that was recorded with it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av
import numpy as np

from bilabial.errors import UserError
from bilabial.io.live_link import read_sheet
from bilabial.io.media import media_seconds, open_media
from bilabial.io.timecodes import LIVE_LINK_TIMECODE_HZ, between, rising_times, seconds_of_timecode
from bilabial.training.data.corpora.take import AUDIO_SUFFIXES, VIDEO_SUFFIXES, Take, files_below, pieces_of

# Files of a take, by preference: with calibration NAME_cal.csv, NAME_raw.csv and the resting face
# NAME_neutral.csv; else NAME.csv. frame_log.csv has no coefficients.
KINDS = ("_cal", "", "_raw")
NO_FACES = ("_neutral", "frame_log")
MIN_COMMON_SHARE = 0.5  # share of a take that a sound must cover to match by timecode


@dataclass(frozen=True)
class Clock:
    """When a movie or sound began, in seconds since midnight, and its length.

    as_the_app_counts: the same timecode with its frames read at 60 Hz, as Live Link Face counts them.
    """

    start: float
    as_the_app_counts: float
    seconds: float


def read_livelink(folder: Path) -> Iterator[Take]:
    """Live Link Face (Epic Games): folders of NAME_iPhone.csv or NAME_iPhone_cal.csv with a movie or sound.

    Your own recordings; you state their license. The calibrated curves are preferred. A sound or movie
    belongs to the curves when its timecode (of a movie's timecode track, or the time reference of a broadcast
    WAV) says that it was recorded at the same time; else when it has their name, and then both begin
    together. Files in the curves' folder take precedence, and sounds over movies. The speaker is the folder
    above the takes. Raises ValueError for curves without a sound.
    """
    folder = folder.resolve()
    media = list(files_below(folder, AUDIO_SUFFIXES + VIDEO_SUFFIXES))
    for curves in _curves_of_takes(folder):
        sound, late, seconds = _sound_of(curves, media)
        speaker = curves.parent.parent.name if curves.parent != folder else folder.name
        take = Take(
            id=f"livelink/{curves.relative_to(folder).with_suffix('')}",
            video=None,
            style=speaker,
            speaker=speaker,
            source="own recording with Live Link Face",
            curves=curves,
            audio=sound,
            start_seconds=max(0.0, late),
            curves_late_seconds=late,
        )
        yield from pieces_of(take, seconds)


def _curves_of_takes(folder: Path) -> list[Path]:
    """One CSV for every take, the calibrated one if present."""
    best: dict[Path, Path] = {}
    for path in files_below(folder, (".csv",)):
        if path.stem.endswith(NO_FACES):
            continue
        take, kind = _take_of(path), _kind_of(path)
        if take not in best or KINDS.index(kind) < KINDS.index(_kind_of(best[take])):
            best[take] = path
    return sorted(best.values())


def _kind_of(path: Path) -> str:
    return next((kind for kind in KINDS if kind and path.stem.endswith(kind)), "")


def _take_of(path: Path) -> Path:
    """The path without suffix that all files of a take share."""
    return path.with_name(path.stem.removesuffix(_kind_of(path)))


def _sound_of(curves: Path, media: list[Path]) -> tuple[Path, float, float]:
    """The sound of some curves, how many seconds after its beginning they begin, and how long both go on."""
    near = sorted(media, key=lambda path: (path.parent != curves.parent, path.suffix not in AUDIO_SUFFIXES))
    name, times = _take_of(curves).name, _times(curves)
    length = float(times[-1] - times[0])
    for path in near:
        clock = clock_of(path)
        if clock is None:
            continue
        starts = [clock.start, clock.as_the_app_counts] if path.stem == name else [clock.start]
        late = min((between(start, times[0]) for start in starts), key=abs)
        common = min(clock.seconds, late + length) - max(0.0, late)
        if common >= MIN_COMMON_SHARE * length:
            return path, late, common
    for path in near:
        if path.stem == name:
            return path, 0.0, min(media_seconds(path), length)
    raise UserError("livelink_sound", path=curves, count=len(media), name=name)


def _times(curves: Path) -> np.ndarray:
    """Seconds since midnight of a recording's frames."""
    sheet = read_sheet(curves)
    try:
        return rising_times(sheet.times())
    except UserError as error:
        raise error.in_file(curves) from error


@cache
def clock_of(path: Path) -> Clock | None:
    """The clock of a movie (timecode track) or sound (broadcast WAV); None where the file carries none."""
    with open_media(path) as container:
        if not container.streams.audio:
            return None
        sound, tags = container.streams.audio[0], container.metadata
        seconds = container.duration / av.time_base if container.duration else 0.0
        if "time_reference" in tags:
            start = int(tags["time_reference"]) / sound.rate
            return Clock(start, start, seconds)
        video = container.streams.video[0] if container.streams.video else None
        timecode = tags.get("timecode") or (video.metadata.get("timecode") if video else None)
        if timecode is None or video is None:
            return None
        frames_hz = float(video.average_rate)
        if int(re.split("[:;]", timecode)[-1]) >= math.ceil(frames_hz):
            frames_hz = LIVE_LINK_TIMECODE_HZ
        later = _start(sound) - _start(video)  # the timecode is that of the first picture
        start, as_the_app_counts = (
            seconds_of_timecode(timecode, rate) + later for rate in (frames_hz, LIVE_LINK_TIMECODE_HZ)
        )
        return Clock(start, as_the_app_counts, seconds)


def _start(stream: av.stream.Stream) -> float:
    return float(stream.start_time * stream.time_base) if stream.start_time else 0.0
