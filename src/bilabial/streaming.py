"""Streaming: `Animator.stream`, for a microphone or synthesized speech that arrives in chunks.

A frame is returned as soon as no later sound can change it, so that chunks of any size give the same result
as one shot at the same level. Two things depend on the past alone, instead of the whole recording: the level
of the speaker, and, for the quietest sounds, whether there is speech. Brow accents need the following
syllables: a stream has none.
"""

from __future__ import annotations

import copy
import math
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError, as_number
from bilabial.hub.blendshapes_bilabial import check_fps, frames_at_rate, num_frames
from bilabial.hub.expression_bilabial import (
    Mixture,
    check_intensity,
    mixture_weights,
    transition,
)
from bilabial.hub.level_bilabial import (
    FAINTEST_LEVEL_DB,
    LOUD_RANGE_DB,
    SAMPLING_RATE,
    SILENCE_LEVEL_DB,
    SPEECH_LEVEL_DB,
    SPEECH_OVER_NOISE_DB,
    as_floats,
    quiet_share,
    rest_reach_frames,
)
from bilabial.hub.lips_bilabial import close_lips, match_lip_closure
from bilabial.motion import (
    CLOSING_SECONDS,
    OPENING_SECONDS,
    SIDES,
    Sound,
    add_motion,
    check_motion,
    check_seed,
    keep_lips,
)
from bilabial.steps import ModelSteps

STREAM_MOTIONS = ("blink", "gaze", "breath")  # those that need no later sound
IDLE_MOTION_SECONDS = 60  # period of blinks, gaze and breath; a whole number of breaths
LEVEL_SECONDS = 6.0  # of sound for the estimate of the speaker's level
LEVEL_FOLLOWS_SECONDS = 0.5  # time constant of the level, of speech
MAX_LEVEL_CHANGE_DB = 0.25  # in 20 ms
STEP_FRAMES = 250  # internal frames (5 s) that are decoded at a time


class FaceSettings(Protocol):
    """What a stream needs to know of a model: some fields of BilabialConfig, by its names."""

    @property
    def blendshapes(self) -> Sequence[str]: ...

    @property
    def emotions(self) -> Sequence[str]: ...

    @property
    def trained_emotions(self) -> Sequence[str]: ...

    @property
    def style_size(self) -> int: ...

    @property
    def frame_hop_samples(self) -> int: ...

    @property
    def frame_rate_hz(self) -> float: ...

    @property
    def lookahead_seconds(self) -> float: ...

    @property
    def num_decoder_frames(self) -> int: ...

    @property
    def rest_seconds(self) -> float: ...

    @property
    def seal_distance(self) -> float: ...

    @property
    def lip_distance_weights(self) -> Mapping[str, float]: ...


class SpeakerLevel:
    """Running estimate of the speaker's level; it starts at a usual level and never jumps."""

    def __init__(self, frames_a_second: float):
        self.level_db = SPEECH_LEVEL_DB
        self._recent_db: deque[float] = deque(maxlen=round(LEVEL_SECONDS * frames_a_second))
        self._share = 1.0 / (LEVEL_FOLLOWS_SECONDS * frames_a_second)

    def update(self, frame: np.ndarray) -> float:
        """Update with the next frame (S,) as recorded; returns the level in dB."""
        self._recent_db.append(10 * math.log10(max(float(np.mean(frame**2)), 1e-12)))
        recent_db = np.array(self._recent_db)
        soft_db, loud_db = np.percentile(recent_db, (10, 95))
        least_db = max(FAINTEST_LEVEL_DB, soft_db + SPEECH_OVER_NOISE_DB, loud_db - LOUD_RANGE_DB)
        if self._recent_db[-1] >= least_db:  # constant in pauses
            speech_db = np.minimum(recent_db[recent_db >= least_db], loud_db)  # against slamming doors
            missing_db = 10 * math.log10(np.mean(10 ** (speech_db / 10))) - self.level_db
            self.level_db += float(
                np.clip(missing_db * self._share, -MAX_LEVEL_CHANGE_DB, MAX_LEVEL_CHANGE_DB)
            )
        return self.level_db


class FaceStream:
    """A stream: `feed` it sound, get the final frames, and `finish` at the end.

    names: the columns of its frames. fps: of its frames, the first at time 0. delay_seconds: a frame is
    returned when at most so much sound after its time was fed. level_db: of the speaker, dB.
    """

    def __init__(
        self,
        steps: ModelSteps,
        config: FaceSettings,
        emotion: Mixture,
        intensity: float,
        style: np.ndarray,
        fps: float,
        motion: Mapping[str, float] | Sequence[str] | str | None,
        seed: int | None,
        level_db: float | None,
    ):
        """See `Animator.stream`. steps: of the model, in that style, a whole style vector."""
        strengths = check_motion(STREAM_MOTIONS if motion is None else motion)
        if any(strength for name, strength in strengths.items() if name not in STREAM_MOTIONS):
            raise UserError("stream_motion", accepted=STREAM_MOTIONS, got=list(strengths))
        check_seed(seed)
        seed = random.randrange(2**32) if seed is None else seed
        self._steps, self._config = steps, config
        self.names, self.fps = tuple(config.blendshapes), check_fps(fps)
        self._hop = config.frame_hop_samples
        self._num_ahead = math.ceil(config.lookahead_seconds * config.frame_rate_hz)
        self._rest_reach = rest_reach_frames(self._hop, config.rest_seconds)
        self._num_before = max(self._rest_reach, config.num_decoder_frames)
        opening = config.style_size + len(self.names) + self.names.index("jawOpen")
        self._opening = float(np.exp(style[opening]))  # how far the style opens lips
        weights = config.lip_distance_weights
        self._idle_motion = (
            draw_idle_motion(self.names, self.fps, weights, strengths, seed)
            if any(strengths.values())
            else None
        )
        if level_db is not None and not np.isfinite(as_number(level_db)):
            raise UserError("level_range", got=level_db)
        self._given_level_db = None if level_db is None else as_number(level_db)
        self._emotion = self._encoded(emotion, intensity)
        self.reset()

    def reset(self, keep_level: bool = False) -> None:
        """Discard the sound and restart at time 0, with the current emotion.

        keep_level: same speaker: the level estimate is kept.
        """
        if not keep_level:
            self._level = SpeakerLevel(self._config.frame_rate_hz)
        self.level_db = self._level.level_db if self._given_level_db is None else self._given_level_db
        self._rest = np.zeros(0, np.float32)  # samples of an incomplete frame
        self._sound = np.zeros(0, np.float32)  # complete frames at the training level, from frame _first on
        self._first = self._num_received = self._num_done = self._num_sent = 0  # samples; the others frames
        self._weights = np.zeros((0, len(self._emotion)), np.float32)  # from frame _first to _num_done
        self._before, self._changed = self._emotion, 0  # the emotion until frame _changed
        self._last: tuple[np.ndarray, np.ndarray] | None = None  # faces of frame _num_done - 1
        self._num_stepped = 0  # frames of sound that the model was given
        self._steps.reset()
        self._finished = False

    @property
    def delay_seconds(self) -> float:
        """Look-ahead in whole internal frames, plus one for interpolation."""
        return (self._num_ahead + 1) * self._hop / SAMPLING_RATE

    @property
    def received_seconds(self) -> float:
        return self._num_received / SAMPLING_RATE

    def set_emotion(self, emotion: Mixture, intensity: float = 1.0) -> None:
        """Change the emotion from the next frame on, with a transition of a second as in a schedule.

        Raises ValueError as `Animator.stream` does.
        """
        wanted = self._encoded(emotion, intensity)
        now = self._weights_of(range(self._num_done, self._num_done + 1))[0]
        self._before, self._emotion, self._changed = now, wanted, self._num_done

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """Feed the next samples (S,) at 16 kHz: floats in -1..1, or integers of a microphone.

        Returns the frames (n, C) float32 in 0..1 that became final, n may be 0. Raises ValueError for another
        shape, for non-finite values, and after `finish`.
        """
        samples = as_floats(samples).astype(np.float32)
        if samples.ndim != 1 or not np.isfinite(samples).all():
            raise ValueError(f"samples must be (samples,) finite numbers, got shape {samples.shape}")
        if self._finished:
            raise ValueError("this stream is finished; reset() begins a new one")
        self._num_received += len(samples)
        joined = np.concatenate([self._rest, samples])
        full = len(joined) // self._hop * self._hop
        self._rest = joined[full:]
        self._sound = np.concatenate([self._sound, self._leveled(joined[:full])])
        num_received_frames = self._first + len(self._sound) // self._hop
        return self._advance(num_received_frames - self._num_ahead + 1)

    def finish(self) -> np.ndarray:
        """The remaining frames (n, C); in total ceil(seconds * fps)."""
        self._finished = True
        self._sound = np.concatenate([self._sound, self._leveled(self._rest)])
        self._rest = self._rest[:0]
        return self._advance(self._first + math.ceil(len(self._sound) / self._hop))

    def preview(self, missing: np.ndarray | None = None) -> np.ndarray:
        """The frames (n, C) that `finish` would return now; the stream's state does not change.

        missing: sound (S,) to append, as for `feed`, None = none. A later `feed` returns these frames again,
        computed with the actual sound. Raises ValueError as `feed`.
        """
        twin = copy.deepcopy(self)
        frames = [] if missing is None else [twin.feed(missing)]
        return np.concatenate([*frames, twin.finish()])

    def rest_face(self) -> np.ndarray:
        """The resting face (C,) float32 with the current emotion, without blinks, gaze and breath."""
        twin = copy.deepcopy(self)
        twin._idle_motion = None
        twin.reset()
        return np.concatenate([twin.feed(np.zeros(SAMPLING_RATE // 2, np.float32)), twin.finish()])[-1]

    def _encoded(self, emotion: Mixture, intensity: float) -> np.ndarray:
        if not isinstance(emotion, (str, Mapping)):
            raise UserError("stream_schedule", got=emotion)
        return mixture_weights(emotion, self._config.emotions) * np.float32(check_intensity(intensity))

    def _leveled(self, samples: np.ndarray) -> np.ndarray:
        """Samples (S,), from the start of a frame on, at the training level."""
        levels_db = [np.full(0, self.level_db)]
        for start in range(0, len(samples), self._hop):
            frame, before = samples[start : start + self._hop], self.level_db
            if self._given_level_db is None:
                self.level_db = self._level.update(frame)
            levels_db.append(np.linspace(before, self.level_db, len(frame)))
        gain = 10 ** ((SPEECH_LEVEL_DB - np.concatenate(levels_db)) / 20)
        return samples * gain.astype(np.float32)

    def _advance(self, num_certain: int) -> np.ndarray:
        """Faces of the internal frames up to `num_certain`, then the frames to return."""
        sent = [np.zeros((0, len(self.names)), np.float32)]
        while self._num_done < num_certain:
            end = min(num_certain, self._num_done + STEP_FRAMES)
            faces = self._decode(range(self._num_done, end))
            sent.append(self._hand_out(faces, end))
            self._num_done, self._last = end, (faces[0][-1:], faces[1][-1:])
            self._forget(max(0, end - self._num_before))
        return np.concatenate(sent)

    def _decode(self, frames: range) -> tuple[np.ndarray, np.ndarray]:
        """Faces (K, C) of internal frames, neutral and with emotion, moved to rest by their sound."""
        self._weights = np.concatenate([self._weights, self._weights_of(frames)])
        stepped = self._step(frames.stop + self._steps.delay_frames)
        neutral, face = (part[-len(frames) :] for part in stepped)
        if self._config.rest_seconds <= 0:
            return neutral, face
        share = np.array([self._share_at_rest(frame) for frame in frames], np.float32)
        weights = self._config.lip_distance_weights
        return close_lips(neutral, self.names, weights, share), close_lips(face, self.names, weights, share)

    def _step(self, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Give the model its sound up to frame `end`; returns faces of as many delayed frames."""
        first, count = self._num_stepped, end - self._num_stepped
        sound = self._sound[(first - self._first) * self._hop : (end - self._first) * self._hop]
        samples = np.zeros(count * self._hop, np.float32)
        samples[: len(sound)] = sound
        mask = (np.arange(count) * self._hop < len(sound)).astype(np.float32)
        emotion = np.zeros((1 + bool(self._weights.any()), count, len(self._emotion)), np.float32)
        delayed = self._weights[-count:]  # frames before the first are padding
        emotion[-1, count - len(delayed) :] = delayed
        self._num_stepped = end
        return self._steps(samples, mask, emotion)

    def _share_at_rest(self, frame: int) -> float:
        """`quiet_share` of an internal frame, by the sound available when it is decoded."""
        start = max(self._first, frame - self._rest_reach)
        end = None if self._finished else (frame + self._num_ahead - self._first) * self._hop
        sound = self._sound[(start - self._first) * self._hop : end]
        share = quiet_share(sound, self._hop, self._config.rest_seconds, self._config.lookahead_seconds)
        return share[frame - start]

    def _hand_out(self, faces: tuple[np.ndarray, np.ndarray], end: int) -> np.ndarray:
        """Frames (n, C) at the asked rate, from faces up to the internal frame before `end`."""
        rate_hz, first = self._config.frame_rate_hz, self._num_done
        if self._last:
            neutral, face = (np.concatenate(pair) for pair in zip(self._last, faces, strict=True))
            faces, first = (neutral, face), first - 1
        count = math.floor((end - 1) / rate_hz * self.fps + 1e-9) + 1
        if self._finished and end * self._hop >= self._num_received:
            count = num_frames(self.received_seconds, self.fps)
        numbers = range(self._num_sent, max(count, self._num_sent))
        self._num_sent = numbers.stop
        if not numbers:
            return np.zeros((0, len(self.names)), np.float32)
        config = self._config
        neutral, face = (frames_at_rate(part, rate_hz, numbers, self.fps, first) for part in faces)
        values = match_lip_closure(
            neutral, face, self._opening, self.names, config.lip_distance_weights, config.seal_distance,
            bool(self._weights.any()),
        )  # fmt: skip
        return values if self._idle_motion is None else self._live(values, numbers, self._idle_motion)

    def _live(self, values: np.ndarray, numbers: range, drawn: np.ndarray) -> np.ndarray:
        """Frames (n, C) with the drawn blinks, gaze and breath (N, C) added; lip distance stays."""
        life = drawn[np.arange(numbers.start, numbers.stop) % len(drawn)]
        moved = 1.0 - (1.0 - values) * (1.0 - life)
        for side in SIDES:  # no wide eyes in a blink
            wide, blink = self.names.index(f"eyeWide{side}"), self.names.index(f"eyeBlink{side}")
            moved[:, wide] *= 1.0 - life[:, blink]
        still = FaceClip(self.names, values, self.fps, self._config.lip_distance_weights)
        return keep_lips(replace(still, values=moved.clip(0.0, 1.0)), still).values

    def _weights_of(self, frames: range) -> np.ndarray:
        """Emotion weights (K, E) of internal frames that are not decoded yet."""
        passed = (np.arange(frames.start, frames.stop) - self._changed) / self._config.frame_rate_hz
        weights = self._before + transition(passed)[:, None] * (self._emotion - self._before)
        return weights.clip(min=0.0).astype(np.float32)

    def _forget(self, first: int) -> None:
        """Drop everything before an internal frame, which no later frame needs."""
        if first > self._first:
            self._sound = self._sound[(first - self._first) * self._hop :].copy()
            self._weights = self._weights[first - self._first :]
            self._first = first


def draw_idle_motion(
    names: Sequence[str], fps: float, lip_weights: Mapping[str, float], motion: Mapping[str, float], seed: int
) -> np.ndarray:
    """Blinks, gaze and breath of a face at rest: (IDLE_MOTION_SECONDS * fps, C) float32, to be repeated."""
    resting = np.zeros((round(IDLE_MOTION_SECONDS * fps), len(names)), np.float32)
    still = FaceClip(names, resting, fps, lip_weights)
    sound = Sound(np.full(len(still), SILENCE_LEVEL_DB), fps, seed)
    idle = add_motion(still, sound, motion).values.copy()
    left = (IDLE_MOTION_SECONDS - still.times) / (CLOSING_SECONDS[1] + OPENING_SECONDS[1])  # in blinks
    idle[:, [names.index(f"eyeBlink{side}") for side in SIDES]] *= left.clip(0.0, 1.0)[:, None]
    return idle.astype(np.float32)
