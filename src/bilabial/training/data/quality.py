"""Quality of a take: measures of sound and face, a mark for each, and a score.

Everything is a pure function of arrays. The limits were set on real clips and on the same clips made worse
step by step (docs/design.md): marks decrease where the captured lips begin to degrade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, SEALED_GAP
from bilabial.hub.level_bilabial import SAMPLING_RATE, speech_level_db
from bilabial.io.capture import Capture, View
from bilabial.io.levels import LOWEST_DB, clipped_share
from bilabial.io.timeline import Gap

STILL_RANGE = 0.005  # of a channel that does not move: at most 12 in real clips, at least 31 in frozen ones
# Below it are: of 55 clips of 1 to 4 s with their own sound 1, of 573 pairs with another clip's sound 95 %;
# of 22 longer clips 1, of 197 pairs all (docs/design.md).
CHANCE_R, CHANCE_SECONDS, LEAST_R = 0.6, 3.0, 0.4
MAX_LISTED_GAPS = 5  # in a complaint; all are in the report


@dataclass(frozen=True)
class Quality:
    """Measures of one take; None where there is nothing to measure, as the picture where there is no video.

    seconds: of sound. face_share: of the frames, with a face, 0..1. eye_distance: between the outer corners
    of the eyes, pixels. jitter: noise of landmarks on rigid parts from frame to frame, in eye distances.
    brightest, darkest: 95th and 5th percentile of the face's brightness, 0..1; these four are medians over
    the frames. dead_channels: names of coefficients that the capture can see and that do not move.
    av_offset_ms: how late the lips are; None also without a clear correlation peak. level_db: of the loud
    stretches, dB below full scale. clipped_share: of the samples, at full scale. opening: 95th percentile of
    the lip gap, in outer-eye distances. sealed_share: of the frames, with closed lips. closures_per_second:
    how often they close. gaps: (start, length) in seconds of silence inserted for lost packets.
    missing_seconds: by how much the sound ends before its declared end. decoded_share: of the declared length
    of the video, with pictures. agreement: Pearson r of the lips with the model's prediction from the sound,
    at the best shift. offset_trust: confidence in av_offset_ms, 0 to 1. audio_stream: index of the stream
    used, None for a separate sound file. num_audio_streams, num_faces: numbers compared. turned_degrees:
    counterclockwise rotation of the pictures.
    """

    seconds: float
    face_share: float
    eye_distance: float | None
    jitter: float | None
    brightest: float | None
    darkest: float | None
    dead_channels: Sequence[str]
    av_offset_ms: float | None
    level_db: float
    clipped_share: float
    opening: float
    sealed_share: float
    closures_per_second: float
    gaps: Sequence[Sequence[float]] = ()
    missing_seconds: float = 0.0
    decoded_share: float = 1.0
    agreement: float | None = None
    offset_trust: float | None = None
    audio_stream: int | None = None
    num_audio_streams: int = 1
    num_faces: int = 1
    turned_degrees: int = 0

    @property
    def notes(self) -> list[str]:
        """The choices made, in words; empty for one sound and one upright face."""
        several = self.num_audio_streams > 1
        notes = [f"audio stream {self.audio_stream} of {self.num_audio_streams}, counted from 0"] * several
        notes += [f"one of {self.num_faces} faces"] * (self.num_faces > 1)
        notes += [f"pictures turned by {self.turned_degrees} degrees"] * bool(self.turned_degrees)
        return notes

    @property
    def compared(self) -> str:
        """The numbers of faces and audio streams compared, in words."""
        pairs = self.num_audio_streams * self.num_faces
        return f", the best of {pairs} pairs of face and audio stream" if pairs > 1 else ""

    @property
    def needed_agreement(self) -> float:
        """The r above which lips and sound belong together; short takes correlate by chance."""
        seconds = max(self.seconds * self.face_share, CHANCE_SECONDS)
        return max(CHANCE_R * (CHANCE_SECONDS / seconds) ** 0.5, LEAST_R)

    @property
    def agreement_ratio(self) -> float | None:
        """Agreement divided by the required r."""
        return None if self.agreement is None else self.agreement / self.needed_agreement

    @property
    def lost_share(self) -> float:
        """Of the sound, lost in gaps: 0..1."""
        return sum(seconds for _, seconds in self.gaps) / self.seconds

    @property
    def where_lost(self) -> str:
        """The gaps in words."""
        listed, others = self.gaps[:MAX_LISTED_GAPS], self.gaps[MAX_LISTED_GAPS:]
        text = ", ".join(f"{seconds:.2f} s at {start:.2f} s" for start, seconds in listed)
        return text + (f" and {len(others)} more" if others else "")

    @property
    def missing_share(self) -> float:
        """Of the declared length, missing at the end: 0..1."""
        return self.missing_seconds / (self.seconds + self.missing_seconds)

    @property
    def picture_share(self) -> float:
        """Of the declared length, with pictures, as far as the sound goes: a cut file counts once."""
        return min(1.0, self.decoded_share / (1.0 - self.missing_share))

    @property
    def moving_share(self) -> float:
        """Of the 52 coefficients, those that are not dead: 0..1."""
        return 1.0 - len(self.dead_channels) / len(ARKIT_BLENDSHAPES)

    @property
    def av_error_ms(self) -> float | None:
        """How far the lips are from the sound, early or late."""
        return None if self.av_offset_ms is None else abs(self.av_offset_ms)


@dataclass(frozen=True)
class Limit:
    """Limits of a measure: its mark falls linearly from 1 at `good` to 0 at `useless`.

    complaint: what is said about a take beyond `good`, to be formatted with the measure as `value` and the
    Quality as `quality`.
    """

    good: float
    useless: float
    complaint: str

    def mark(self, value: float | None) -> float:
        if value is None:
            return 1.0
        return float(np.clip((value - self.useless) / (self.good - self.useless), 0.0, 1.0))


# By name of a measure of Quality.
LIMITS: dict[str, Limit] = {
    "face_share": Limit(0.9, 0.4, "a face in only {value:.0%} of the frames"),
    "eye_distance": Limit(26.0, 12.0, "a small face, {value:.0f} pixels between the eyes' outer corners"),
    "jitter": Limit(0.01, 0.02, "trembling landmarks, by {value:.1%} of the eye distance"),
    "brightest": Limit(0.2, 0.04, "a dark face, {value:.0%} of full brightness at its lightest"),
    "darkest": Limit(0.5, 0.8, "an overexposed face, {value:.0%} of full brightness at its darkest"),
    "moving_share": Limit(0.7, 0.5, "a still face, only {value:.0%} of the coefficients move"),
    "av_error_ms": Limit(250.0, 300.0, "lips and sound {value:.0f} ms apart"),
    "agreement_ratio": Limit(
        1.1,
        0.9,
        "lips that do not follow the sound (r {quality.agreement:.2f}, {quality.needed_agreement:.2f} is "
        "needed{quality.compared})",
    ),
    "offset_trust": Limit(0.5, -1.0, "an offset of lips and sound that cannot be told"),
    "picture_share": Limit(0.95, 0.5, "pictures that end early, after {value:.0%} of the length"),
    "level_db": Limit(-50.0, -65.0, "silent or very soft sound, speech at {value:.0f} dB"),
    "clipped_share": Limit(0.003, 0.02, "clipped sound, {value:.1%} of the samples at full scale"),
    "lost_share": Limit(0.0, 0.5, "lost packets, the sound is silent for {quality.where_lost}"),
    "missing_share": Limit(
        0.0,
        0.6,
        "a cut file, {value:.0%} of its length ({quality.missing_seconds:.1f} s) is missing",
    ),
    "opening": Limit(0.03, 0.01, "lips that hardly open, by {value:.1%} of the eye distance"),
}


def quality_of(
    waveform: np.ndarray,
    capture: Capture,
    av_offset_ms: float | None = None,
    gaps: Sequence[Gap] = (),
    missing_seconds: float = 0.0,
) -> Quality:
    """Measure a take.

    waveform: (S,) float32 at 16 kHz, as recorded. capture: the face on the same clock. gaps,
    missing_seconds: of the recording, see `bilabial.io.audio.Recording`.
    """
    gap, seconds = capture.lip_gap[capture.valid], len(waveform) / SAMPLING_RATE
    sealed = gap < SEALED_GAP
    closures = int(sealed[:1].sum() + (np.diff(sealed.astype(int)) == 1).sum())
    view = capture.view
    brightest, darkest = (np.nanmedian(view.light[:, column]) for column in (1, 0)) if view else (None, None)
    return Quality(
        seconds=_rounded(seconds),
        face_share=_rounded(capture.valid.mean() if capture.face_share is None else capture.face_share),
        eye_distance=_rounded(np.nanmedian(view.eye_distance) if view else None),
        jitter=_rounded(jitter(view) if view else None),
        brightest=_rounded(brightest),
        darkest=_rounded(darkest),
        dead_channels=dead_channels(capture),
        av_offset_ms=_rounded(av_offset_ms),
        level_db=_rounded(max(speech_level_db(waveform), LOWEST_DB)),
        clipped_share=_rounded(clipped_share(waveform)),
        opening=_rounded(np.percentile(gap, 95) if len(gap) else 0.0),
        sealed_share=_rounded(sealed.mean() if len(gap) else 0.0),
        closures_per_second=_rounded(closures / seconds),
        gaps=[[_rounded(gap.start_seconds), _rounded(gap.seconds)] for gap in gaps],
        missing_seconds=_rounded(missing_seconds),
        decoded_share=_rounded(capture.decoded_share),
        turned_degrees=capture.turned_degrees,
    )


def jitter(view: View) -> float | None:
    """Noise of landmarks on rigid parts, in outer-eye distances; None where it cannot be measured.

    The standard deviation of white noise with the same second differences: the median of the second
    differences, in which head motion nearly cancels, over the square root of 6.
    """
    bones = (view.bones - view.bones.mean(axis=1, keepdims=True)) / view.eye_distance[:, None, None]
    bend = bones[2:] - 2 * bones[1:-1] + bones[:-2]
    size = np.sqrt((bend**2).sum(axis=2).mean(axis=1) / 6.0)
    return float(np.median(size[np.isfinite(size)])) if np.isfinite(size).any() else None


def dead_channels(capture: Capture) -> list[str]:
    """Names of the coefficients that this kind of capture can see and that do not move in the take."""
    values = capture.clip.values[capture.valid]
    ranges = np.ptp(values, axis=0) if len(values) else np.zeros(len(capture.clip.names))
    seen = (name not in capture.unseen for name in capture.clip.names)
    return [
        name
        for name, visible, size in zip(capture.clip.names, seen, ranges, strict=True)
        if visible and size < STILL_RANGE
    ]


def marks_of(quality: Quality) -> dict[str, float]:
    """A mark from 0 to 1 for each measure that has a limit; missing measures count as good."""
    return {name: limit.mark(getattr(quality, name)) for name, limit in LIMITS.items()}


def score_of(quality: Quality) -> float:
    """0 to 100: the product of the marks, so that one useless measure makes a take useless."""
    return 100.0 * float(np.prod(list(marks_of(quality).values())))


def complaints(quality: Quality) -> dict[str, str]:
    """Problems of a take in words, by measure, the worst first."""
    marks = {name: mark for name, mark in marks_of(quality).items() if mark < 1.0}
    worst_first = sorted(marks, key=marks.get)
    return {
        name: LIMITS[name].complaint.format(value=getattr(quality, name), quality=quality)
        for name in worst_first
    }


def _rounded(value: float | None) -> float | None:
    """Round to five digits, so that a JSON round trip is exact."""
    return None if value is None else float(f"{value:.5g}")
