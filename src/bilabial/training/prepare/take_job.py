"""Preparation of one take: its row and quality, each written atomically to its own file.

KEY.json holds the outcome (`Outcome`), KEY.parquet the row where there is one. KEY is a hash of the take, its
files and the options; the outcome is written last and marks the take as done.
"""

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pyarrow.parquet

from bilabial.checkpoint import load_checkpoint
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import check_fps
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import LEAST_MISSING_SECONDS, Recording, read_recording
from bilabial.io.capture import Capture, capture_track, watch_faces
from bilabial.io.files import write_atomically
from bilabial.io.media import has_sound
from bilabial.io.recordings import read_capture
from bilabial.io.timeline import Gap, cut_gaps
from bilabial.training.data.corpora import Take
from bilabial.training.data.duplicates import Fingerprint, fingerprint_of
from bilabial.training.data.quality import Quality, quality_of
from bilabial.training.data.schema import SCHEMA, row_of_take, waveform_of
from bilabial.training.prepare.active_speaker import agreement, find_pair, read_streams, stretch_of
from bilabial.training.prepare.align import find_peak, predict_distance

CACHE_VERSION = 7  # of the two files; kept takes of another version are prepared again
NO_MODEL = "none"
LEAST_TRUST = 0.5  # a correlation of 0.55; below it the offset is not reliable
MAX_LAG_SECONDS = 0.8  # align.py corrects 0.3; another 0.3 in a clip that is 0.24 off must be found


@dataclass(kw_only=True)
class TakeOptions:
    """Options that the outcome of a take depends on."""

    fps: float = field(
        default=50.0, metadata={"help": "Frames per second of the labels; 50 is the model's own rate."}
    )
    interpolation: Literal["coefficients", "frames"] = field(
        default="coefficients",
        metadata={"help": "What is interpolated to that rate: coefficients, or images (the patent)."},
    )
    capture_method: Literal["fit", "mediapipe"] = field(
        default="fit",
        metadata={"help": "Capture method: coefficients fitted to landmarks, or MediaPipe's own."},
    )
    max_seconds: float = field(default=3600.0, metadata={"help": "Drop a take that lasts longer."})
    audio_stream: int | None = field(
        default=None,
        metadata={
            "help": "Audio stream of a video, counted from 0; left out: the one that agrees best with "
            "the lips."
        },
    )
    landmarker: Path | None = field(
        default=None, metadata={"help": "Path of face_landmarker.task; left out: searched for."}
    )
    model: str | None = field(
        default=None,
        metadata={
            "help": "Folder or Hub id of the model that measures the agreement of face and sound and "
            "their offset; left out: the embedded model; 'none': neither is measured."
        },
    )

    def __post_init__(self) -> None:
        """Paths become absolute: workers of a cluster have other working directories. Raises UserError for a
        wrong rate.
        """
        check_fps(self.fps)
        if self.audio_stream is not None and self.audio_stream < 0:
            raise UserError("option_least", option="--audio_stream", low=0, got=self.audio_stream)
        if self.landmarker:
            self.landmarker = self.landmarker.resolve()
        if self.model and Path(self.model).is_dir():
            self.model = str(Path(self.model).resolve())


@dataclass(frozen=True)
class Outcome:
    """The outcome of a take. reason: why it is unusable, None with a row, quality and fingerprints."""

    reason: str | None = None
    quality: Quality | None = None
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True)
class Job:
    """A take to prepare. outcome: path of its outcome."""

    take: Take
    options: TakeOptions
    outcome: Path

    @property
    def row(self) -> Path:
        """Path of its row."""
        return self.outcome.with_suffix(".parquet")

    @property
    def done(self) -> bool:
        return self.outcome.is_file()


def job_of_take(take: Take, options: TakeOptions, folder: Path) -> Job:
    """The job of a take; its key is a hash of the take, size and time of its files, and the options."""
    stats = [path.stat() for path in take.files]
    marks = [number for stat in stats for number in (stat.st_size, stat.st_mtime_ns)]
    labels = {name: value for name, value in asdict(take).items() if name != "split"}
    given = {name: value for name, value in asdict(options).items() if name != "landmarker"}
    key = hashlib.sha256(json.dumps([CACHE_VERSION, labels, given, marks], default=str).encode()).hexdigest()
    return Job(take, options, folder / f"{key[:20]}.json")


def prepare_take(take: Take, options: TakeOptions) -> tuple[dict, Outcome]:
    """One take -> one row of FEATURES, and its quality. Raises ValueError saying why there is none."""
    recording, capture, chosen = (_read_curves if take.curves else _read_video)(take, options)
    capture, waveform = outside_gaps(capture, recording.gaps), recording.waveform
    row = row_of_take(take, waveform, capture)
    quality = quality_of(waveform, capture, None, recording.gaps, recording.missing_seconds)
    measured: dict[str, Any] = {**chosen, **_sync(row, options.model)}
    quality = replace(quality, **measured)
    return row, Outcome(quality=quality, fingerprint=fingerprint_of(waveform, capture))


def outside_gaps(capture: Capture, gaps: Sequence[Gap]) -> Capture:
    """The capture with frames marked invalid where the sound was lost: the face speaks but the sound is
    silent.
    """
    times, valid = capture.clip.times, capture.valid.copy()
    for gap in gaps:
        valid &= (times < gap.start_seconds) | (times >= gap.start_seconds + gap.seconds)
    return replace(capture, valid=valid)


def keep_take(job: Job) -> None:
    """Prepare the take of a job and store its outcome; finished takes are skipped."""
    if job.done:
        return
    try:
        row, outcome = prepare_take(job.take, job.options)
    except ValueError as reason:
        write_atomically(job.outcome, json.dumps({"reason": str(reason)}).encode())
        return
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row], schema=SCHEMA), sink)
    write_atomically(job.row, sink.getvalue())
    write_atomically(job.outcome, json.dumps(asdict(outcome)).encode())


def read_outcome(job: Job) -> Outcome:
    """The stored outcome of a finished job."""
    kept = json.loads(job.outcome.read_bytes())
    if kept["reason"]:
        return Outcome(kept["reason"])
    return Outcome(None, Quality(**kept["quality"]), Fingerprint(**kept["fingerprint"]))


def _read_video(take: Take, options: TakeOptions) -> tuple[Recording, Capture, dict]:
    """The matching sound and face of a video, and the fields of Quality about the choice."""
    own = take.audio is None or has_sound(take.video)
    model = _load_model(options.model)
    recordings = read_streams(
        take.video if own else take.audio, options.max_seconds, options.audio_stream, model is not None
    )
    film = watch_faces(
        take.video,
        options.fps,
        **stretch_of(recordings.values()),
        interpolation=options.interpolation,
        landmarker=options.landmarker,
    )
    choice = find_pair(film, recordings, options.fps, model)
    recording = recordings[choice.audio_stream]
    capture = capture_track(
        film, choice.track, options.fps, **stretch_of([recording]), method=options.capture_method
    )
    stream = choice.audio_stream if own else None
    chosen = {"audio_stream": stream, "num_audio_streams": len(recordings), "num_faces": choice.num_faces}
    return recording, capture, chosen


def _read_curves(take: Take, options: TakeOptions) -> tuple[Recording, Capture, dict]:
    """The part of sound and face that a take specifies, of equal length."""
    recording = read_recording(take.audio, options.max_seconds, options.audio_stream)
    first, start_seconds = round(take.start_seconds * SAMPLING_RATE), take.start_seconds
    wanted_seconds = take.duration_seconds or len(recording.waveform) / SAMPLING_RATE - start_seconds
    piece = recording.waveform[first : first + round(wanted_seconds * SAMPLING_RATE)]
    if not len(piece):
        raise UserError("sound_ends", name=take.audio.name, start=start_seconds)
    seconds = len(piece) / SAMPLING_RATE
    missing = recording.missing_seconds if take.duration_seconds is None else wanted_seconds - seconds
    missing = missing if missing > LEAST_MISSING_SECONDS else 0.0
    gaps = cut_gaps(recording.gaps, start_seconds, seconds)
    capture = read_capture(
        take.curves, options.fps, take.mouth_close, start_seconds - take.curves_late_seconds, seconds
    )
    return Recording(piece, start_seconds, gaps, missing), capture, {}


def _sync(row: dict, source: str | None) -> dict[str, float | None]:
    """The fields of Quality about the agreement of lips and sound; empty without a model."""
    model = _load_model(source)
    if model is None:
        return {}
    fps = float(row["fps"])
    distance = predict_distance(waveform_of(row), fps, model)
    peak = find_peak(row, distance, MAX_LAG_SECONDS)
    return {
        "av_offset_ms": peak.offset_ms if peak.trust >= LEAST_TRUST else None,
        "offset_trust": peak.trust,
        "agreement": agreement(distance, row["lip_gap"], row["valid"], fps),
    }


@functools.cache
def _load_model(source: str | None) -> BilabialModel | None:
    """One model per process. None for NO_MODEL."""
    return None if source == NO_MODEL else load_checkpoint(source)[0]
