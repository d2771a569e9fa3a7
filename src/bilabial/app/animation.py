"""From a request to an animated clip: steps, checks and caches."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import bilabial
from bilabial import FaceClip
from bilabial.app.comparison import Comparison, compare, watch_lips
from bilabial.app.folders import private_folder
from bilabial.cache import ResultCache
from bilabial.checkpoint import live_source
from bilabial.errors import UserError
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.audio import load_audio
from bilabial.io.recordings import CURVE_SUFFIXES
from bilabial.untrained import untrained_message

if TYPE_CHECKING:
    from bilabial.animator import Style
    from bilabial.hub.expression_bilabial import Mixture, Schedule
    from bilabial.io.capture import Capture

FOLDER = private_folder("bilabial")  # of uploads and results
os.environ.setdefault("GRADIO_TEMP_DIR", str(FOLDER / "gradio"))  # read when gradio is imported

RETENTION_SECONDS = 3600  # how long uploads and results stay on the server
MAX_SECONDS = 120  # of speech per request: more would make the page itself slow
MAX_MEGABYTES = 50  # of one uploaded file
MAX_CURVES_MEGABYTES = 10  # of curves, which take many times their size in memory
RESULT_CACHE_BYTES = 256 * 2**20  # for downloads: two minutes at 120 fps are 11 MB
FACE_CACHE_BYTES = 32 * 2**20  # of references and captured videos, which are not captured again
MAX_EMOTION_CHARACTERS = 100_000
MAX_SEED_DIGITS = 20


@dataclass(frozen=True)
class AnimationRequest:
    """The input of an animation. `handlers.animate` documents each field; `steps` checks them."""

    audio: str | None
    emotion: Mixture | Schedule = "neutral"
    intensity: float = 1.0
    style: str = "default"
    amount: float = 1.0
    reference: str | None = None
    fps: float = 30
    motion: Sequence[str] = ()
    seed: str = ""
    smoothing: float = 0.0
    lip_offset: float = 0.0
    symmetry: float = 0.0
    mouth: float = 1.0
    brows: float = 1.0


@dataclass(frozen=True)
class Speech:
    """What was generated: the face, and the sound it was made from, (S,) float32 at 16 kHz.

    notes: hints for the user, as UserErrors.
    """

    clip: FaceClip
    waveform: np.ndarray
    notes: Sequence[UserError] = ()


class Step(NamedTuple):
    """The current step. share: of the finished work, 0..1; seconds_left: an estimate."""

    text: str
    share: float
    seconds_left: float


class Pace:
    """Running estimate of the time per second of media for a kind of work."""

    def __init__(self, seconds_per_second: float) -> None:
        self._rate = seconds_per_second

    def estimate(self, media_seconds: float) -> float:
        """Seconds of work."""
        return self._rate * media_seconds

    def measure(self, media_seconds: float, start: float) -> None:
        """Record work that began at `start` (time.monotonic) and ends now."""
        self._rate += 0.3 * ((time.monotonic() - start) / max(media_seconds, 1.0) - self._rate)


ANIMATING, CAPTURING = Pace(0.15), Pace(1.0)  # on two processor cores
results: ResultCache[Speech] = ResultCache(RESULT_CACHE_BYTES, RETENTION_SECONDS)
faces: ResultCache[FaceClip] = ResultCache(FACE_CACHE_BYTES, RETENTION_SECONDS)
captures: ResultCache[Capture] = ResultCache(FACE_CACHE_BYTES, RETENTION_SECONDS)


@cache
def animator() -> bilabial.Animator:
    """The embedded default model, imported and loaded when first needed: the page opens seconds earlier."""
    return bilabial.Animator.from_pretrained()


@cache
def live_animator() -> bilabial.Animator:
    """The model of live sessions."""
    return bilabial.Animator.from_pretrained(live_source())


def drop_old() -> None:
    """Free expired cache entries."""
    kept: list[ResultCache[Any]] = [results, faces, captures]
    kept += [animator().speech_states] if animator.cache_info().currsize else []
    for one in kept:
        one.drop_old()


def check_size(path: str, max_megabytes: int) -> None:
    """Raise UserError for a larger file."""
    if Path(path).is_file() and Path(path).stat().st_size > max_megabytes * 2**20:
        raise UserError("file_large", name=Path(path).name, limit=max_megabytes)


def face_of(path: str) -> FaceClip:
    """The face in a reference, captured once: an upload's path contains its hash. Raises ValueError."""
    from bilabial.animator import read_face

    check_size(path, MAX_CURVES_MEGABYTES if path.lower().endswith(CURVE_SUFFIXES) else MAX_MEGABYTES)
    try:
        return faces.of(path, lambda: read_face(Path(path)))
    except UserError:
        raise
    except ValueError as error:  # visitors know their file's name, not its path here
        raise ValueError(str(error).replace(path, Path(path).name)) from error


def parse_seed(text: str) -> int | None:
    """A whole number of 0 or more, None for an empty text. Raises UserError for anything else."""
    text = text.strip()
    if not text:
        return None
    if not text.isdecimal():
        raise UserError("seed_text", got=text)
    if len(text) > MAX_SEED_DIGITS:
        raise UserError("seed_long", count=len(text), limit=MAX_SEED_DIGITS)
    return int(text)


def parse_emotion(text: str) -> Mixture | Schedule:
    """The emotion of an API call: a name, or JSON of a mixture or a schedule. Raises UserError."""
    if len(text) > MAX_EMOTION_CHARACTERS:
        raise UserError("emotion_long", count=len(text), limit=MAX_EMOTION_CHARACTERS)
    try:
        return json.loads(text) if text.strip()[:1] in ("{", "[") else text.strip()
    except (ValueError, RecursionError) as error:  # also numbers of too many digits
        raise UserError("emotion_text", got=text) from error


def parse_schedule(schedule: object) -> Mixture | Schedule:
    """The emotion of the page's panel: a schedule, or the mixture of its only entry. Raises UserError."""
    if not isinstance(schedule, list) or not schedule:
        raise UserError("schedule_kind", got=schedule)
    if len(schedule) > 1:
        return schedule
    if not isinstance(schedule[0], list) or len(schedule[0]) != 2:
        raise UserError("schedule_entry", got=schedule[0])
    return schedule[0][1]


def steps(request: AnimationRequest) -> Generator[Step, None, Speech]:
    """Animate, reporting each step before it starts. Raises ValueError or FileNotFoundError."""
    if not request.audio:
        raise UserError("no_speech")
    from bilabial.motion import Adjustments  # imports torch: only when needed

    notes: list[UserError] = []
    yield Step("Reading the audio", 0.1, 1.0)
    seed = parse_seed(request.seed or "")
    check_size(request.audio, MAX_MEGABYTES)
    waveform = load_audio(request.audio, MAX_SECONDS, on_warning=notes.append)
    seconds = len(waveform) / SAMPLING_RATE
    untrained = untrained_message(animator().settings, request.emotion, request.intensity)
    style: Style = {request.style: request.amount}
    if request.reference:
        yield Step("Capturing the reference", 0.2, ANIMATING.estimate(seconds) + 5.0)
        style = animator().reference_style(face_of(request.reference), request.amount)
    yield Step("Animating", 0.5, ANIMATING.estimate(seconds))
    start = time.monotonic()
    amplitudes = {"mouth": request.mouth, "brows": request.brows}
    adjustments = Adjustments(request.smoothing / 1000, amplitudes, request.lip_offset, request.symmetry)
    sound = (SAMPLING_RATE, waveform)
    clip = animator()(
        sound, request.emotion, request.intensity, style, request.fps, request.motion or [], seed, adjustments
    )
    ANIMATING.measure(seconds, start)
    if untrained:
        notes.append(untrained)
    return Speech(clip, waveform, notes)


def comparison_steps(speech: Speech, video: str) -> Generator[Step, None, Comparison]:
    """The lips of a video of the same speech. Raises ValueError or FileNotFoundError."""
    seconds = len(speech.waveform) / SAMPLING_RATE  # by content: the path of an upload holds its hash
    yield Step("Capturing the video", 0.6, CAPTURING.estimate(seconds))
    check_size(video, MAX_MEGABYTES)
    start = time.monotonic()
    capture = captures.of((video, seconds), lambda: watch_lips(video, seconds))
    CAPTURING.measure(seconds, start)
    return compare(speech.clip, capture)
