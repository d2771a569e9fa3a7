"""Training windows from rows of a data set, and the order of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from datasets import Dataset

from bilabial.articulation import TONGUE, TONGUE_MASK, articulate
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS, interpolate_frames
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.expression_bilabial import MAX_INTENSITY, mixture_weights
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.phones import Phone, articulation
from bilabial.training.data.augmentation import Augmentation, Changes, draw_changes
from bilabial.training.data.emotions import PRIOR_BLENDSHAPES, express
from bilabial.training.data.noises import draw_music
from bilabial.training.data.schema import read_row, spans_of, waveform_of

ARTICULATION_INPUTS = ("articulation", "articulation_mask")
UPPER_FACE = np.array([name.startswith(("brow", "eye")) for name in ARKIT_BLENDSHAPES])
BLINKS_AND_GAZE = np.array([name.startswith(("eyeBlink", "eyeLook")) for name in ARKIT_BLENDSHAPES])
PRIOR_MASK = np.array([name in PRIOR_BLENDSHAPES for name in ARKIT_BLENDSHAPES], np.float32)
ROWS_PER_REST = 20
SINGLE_EMOTION_SHARE = 0.7  # share of windows with a single emotion; the others mix two


class TrainingWindows(torch.utils.data.Dataset):
    """Windows of `num_frames` internal frames from rows of a data set, one per row and epoch.

    Window n is of row n % len in epoch n // len: `TrainingOrder` goes through all of them. In the default
    style a person's resting upper face is subtracted (`upper_face_rests`), and lids and gaze do not move:
    they cannot be predicted from sound, bilabial.motion adds them.

    An item is a dict of arrays: input_values (S,), attention_mask (S,), labels (T, 52), label_mask (T,),
    channel_mask (52,), emotion (E,), style (). All randomness follows from (seed, epoch, row), so that a
    resumed run repeats it. augmentation: None gives the window at the take's beginning, unchanged; else items
    also have changes (K,) for `augment` and voices (S,) float16 for babble; in windows without speech,
    input_values are zeros and the face rests. pseudo_label_weight: value of label_mask for a pseudo-labeled
    frame; a captured one has 1. with_articulation: items also have ARTICULATION_INPUTS: articulation (T, A),
    features of the row's phones, and articulation_mask (T,), 0 where they are unknown. emotion_share: share
    of neutral windows that get an emotion missing in the rows, by the prior of
    bilabial.training.data.emotions; with it the prior's channels count even where the capture does not see
    them: neutral is 0. default_share: share of windows of a named style that are labeled as the default
    style, which so becomes the average of all. articulation_prior: where a row has phones, labels get the
    shapes of bilabial.articulation, and the tongue counts; a tongue that was captured stays as it is. music:
    recordings (S,) float16 at 16 kHz, used in half of the windows with music.
    """

    def __init__(
        self,
        rows: Dataset,
        config: BilabialConfig,
        num_frames: int,
        augmentation: Augmentation | None,
        seed: int = 0,
        pseudo_label_weight: float = 1.0,
        with_articulation: bool = False,
        emotion_share: float = 0.0,
        default_share: float = 0.5,
        articulation_prior: bool = False,
        music: Sequence[np.ndarray] = (),
    ):
        self.rows, self.config, self.num_frames = rows.with_format("arrow"), config, num_frames
        self.augmentation, self.seed = augmentation, seed
        self.pseudo_label_weight, self.with_articulation = pseudo_label_weight, with_articulation
        self.emotion_share, self.default_share = emotion_share, default_share
        self.articulation_prior, self.music = articulation_prior, music
        captured = set(rows.unique("emotion"))
        self.rests = upper_face_rests(rows)
        self.prior_emotions = [name for name in config.emotions[1:] if name not in captured]
        self.sounds = rows.select_columns("audio").with_format(None)  # babble needs no faces

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        epoch, index = divmod(number, len(self))
        rng = np.random.default_rng((self.seed, epoch, index))
        row, changes = read_row(self.rows, index), self.augmentation
        speed = rng.uniform(*changes.speed_ratio) if changes else 1.0
        waveform, coefficients, valid = row["waveform"], row["coefficients"], row["valid"]
        duration = min(len(waveform) / SAMPLING_RATE, len(coefficients) / float(row["fps"]))
        room = max(0.0, duration - self.num_frames / self.config.frame_rate_hz * speed)
        start = rng.uniform(0.0, room) if changes else 0.0
        late = float(row["av_offset_ms"]) / 1000
        window = self._cut(waveform, coefficients, valid, float(row["fps"]), start, speed, late)
        if row["face"] == "pseudo_label":
            window["label_mask"] *= np.float32(self.pseudo_label_weight)
        phones, times = spans_of(row), self._times(start, speed)
        if self.with_articulation:
            window |= self._articulation(phones, times)
        channel_mask = np.asarray(row["channel_mask"], np.float32)
        if self.articulation_prior and phones:
            window["labels"] = self._articulate(window["labels"], phones, times, channel_mask)
            channel_mask = np.maximum(channel_mask, TONGUE_MASK)
        style = self._style(str(row["style"]), rng)
        if changes:
            drawn = draw_changes(changes, rng)
            window["changes"] = np.array(drawn, np.float32)
            window["voices"] = self._voices(index, drawn, rng, len(window["input_values"]))
            if drawn.silence:
                window |= self._without_speech(window, resting_face(coefficients, row["lip_gap"], valid))
        if style == 0:
            rest = self.rests.get(rest_key(row), 0.0)
            window["labels"] = np.where(BLINKS_AND_GAZE, 0.0, np.clip(window["labels"] - rest, 0.0, 1.0))
        emotion = self._emotion(str(row["emotion"]), float(row["intensity"]))
        if changes and self.emotion_share > 0 and self.prior_emotions:
            if not emotion.any() and rng.random() < self.emotion_share:
                emotion = self._drawn_emotion(rng)
                window["labels"] = express(window["labels"], emotion, self.config.frame_rate_hz)
            channel_mask = np.maximum(channel_mask, PRIOR_MASK)
        window["labels"] = window["labels"].astype(np.float32)
        return window | {"channel_mask": channel_mask, "emotion": emotion, "style": np.array(style)}

    def _cut(
        self,
        waveform: np.ndarray,
        coefficients: np.ndarray,
        valid: np.ndarray,
        fps: float,
        start: float,
        speed: float,
        late: float,
    ) -> dict[str, np.ndarray]:
        """The window from `start` seconds on, played `speed` times as fast; beyond the end: padding.

        late: seconds by which the lips lag their sound; the face is shifted back by them.
        """
        num_samples = self.num_frames * self.config.frame_hop_samples
        positions = start * SAMPLING_RATE + np.arange(num_samples) * speed
        inside = positions <= len(waveform) - 1
        input_values = np.interp(positions, np.arange(len(waveform)), waveform).astype(np.float32) * inside
        times = self._times(start, speed) + late
        labels = interpolate_frames(np.arange(len(coefficients)) / fps, coefficients, times)
        nearest = np.round(times * fps).astype(int)
        label_mask = (nearest >= 0) & (nearest < len(valid)) & valid[nearest.clip(0, len(valid) - 1)]
        return {
            "input_values": input_values,
            "attention_mask": inside.astype(np.int64),
            "labels": labels,
            "label_mask": label_mask.astype(np.float32),
        }

    def _times(self, start: float, speed: float) -> np.ndarray:
        """Times of the window's frames in the row's sound: (T,) in seconds."""
        return start + np.arange(self.num_frames) / self.config.frame_rate_hz * speed

    def _articulation(self, phones: Sequence[Phone], times: np.ndarray) -> dict[str, np.ndarray]:
        """Articulatory features of the window's frames, and a mask: 0 outside known phones."""
        known = (times >= phones[0][1]) & (times < phones[-1][2]) if phones else np.zeros(len(times))
        return {
            "articulation": articulation(phones, times),
            "articulation_mask": np.asarray(known, np.float32),
        }

    def _articulate(
        self, labels: np.ndarray, phones: Sequence[Phone], times: np.ndarray, channel_mask: np.ndarray
    ) -> np.ndarray:
        """Labels (T, 52) with the articulation prior; a captured tongue stays."""
        shaped = articulate(labels.astype(np.float32), phones, times)
        if channel_mask[TONGUE]:
            shaped[:, TONGUE] = labels[:, TONGUE]
        return shaped

    def _voices(
        self, index: int, drawn: Changes[float], rng: np.random.Generator, num_samples: int
    ) -> np.ndarray:
        """Babble of other rows, or music, where drawn: (S,) float16."""
        together = np.zeros(num_samples, np.float32)
        if drawn.music:
            together = self._music(rng, num_samples)
        elif np.isfinite(drawn.babble_snr_db) and len(self) > 1:
            for step in rng.integers(1, len(self), int(drawn.num_babblers)):
                sound = waveform_of(self.sounds[int((index + step) % len(self))])
                together += np.resize(np.roll(sound, -rng.integers(len(sound))), num_samples)
        return together.astype(np.float16)

    def _music(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """(S,) of recorded music where there is some, and synthetic music in half of the windows."""
        if not self.music or rng.random() < 0.5:
            return draw_music(rng, num_samples)
        piece = self.music[int(rng.integers(len(self.music)))]
        return np.resize(np.roll(piece, -rng.integers(len(piece))), num_samples)

    def _without_speech(self, window: dict[str, np.ndarray], resting: np.ndarray) -> dict[str, np.ndarray]:
        """The window without speech: the resting face (52,) in all frames, and no phones."""
        frames = len(window["labels"])
        changed = {
            "input_values": np.zeros_like(window["input_values"]),
            "labels": np.tile(resting, (frames, 1)).astype(np.float32),
        }
        if self.with_articulation:
            changed["articulation"] = articulation([], np.zeros(frames))
        return changed

    def _emotion(self, name: str, intensity: float) -> np.ndarray:
        """Weights (E,) of the row's emotion times its intensity; neutral is all zeros."""
        return mixture_weights(name, self.config.emotions) * np.float32(intensity)

    def _drawn_emotion(self, rng: np.random.Generator) -> np.ndarray:
        """Weights (E,) of one emotion of the prior, or of a mixture of two, at a random intensity."""
        count = 1 if len(self.prior_emotions) == 1 or rng.random() < SINGLE_EMOTION_SHARE else 2
        names, shares = rng.choice(self.prior_emotions, count, replace=False), rng.dirichlet(np.ones(count))
        mixture = dict(zip(names.tolist(), shares.tolist(), strict=True))
        return mixture_weights(mixture, self.config.emotions) * np.float32(rng.uniform(0.0, MAX_INTENSITY))

    def _style(self, name: str, rng: np.random.Generator) -> int:
        """Index of the row's style, or that of the default one."""
        drawn = self.augmentation is not None and rng.random() < self.default_share
        unnamed = drawn or name not in self.config.styles
        return 0 if unnamed else list(self.config.styles).index(name)


class TrainingOrder(torch.utils.data.Sampler[int]):
    """Numbers of the windows `first` to `last` of a run: every epoch has all rows in another order.

    A run is one sequence: a resumed run continues in the middle, and epochs do not end batches.
    """

    def __init__(self, num_rows: int, seed: int, first: int, last: int):
        self.num_rows, self.seed, self.first, self.last = num_rows, seed, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __iter__(self) -> Iterator[int]:
        for epoch in range(self.first // self.num_rows, -(-self.last // self.num_rows)):
            start = epoch * self.num_rows
            order = np.random.default_rng((self.seed, epoch)).permutation(self.num_rows)
            yield from (start + order[max(self.first - start, 0) : self.last - start]).tolist()


def upper_face_rests(rows: Dataset) -> dict[str, np.ndarray]:
    """Each speaker's resting upper face without emotion: (52,) by `rest_key`, 0 for the lower face.

    It is person-specific and not part of the default style. Median of at most 20 neutral rows; a speaker
    without one has no entry.
    """
    notes = rows.select_columns(["speaker", "emotion", "face"]).with_format("arrow")[:]
    chosen: dict[str, list[int]] = {}
    for index, note in enumerate(notes.to_pylist()):
        if note["emotion"] == EMOTIONS[0] and len(chosen.setdefault(rest_key(note), [])) < ROWS_PER_REST:
            chosen[rest_key(note)].append(index)
    faces, rests = rows.with_format("arrow"), {}
    for key, indices in chosen.items():
        read = [read_row(faces, index) for index in indices]
        frames = np.concatenate([row["coefficients"][row["valid"]] for row in read])
        rests[key] = np.where(UPPER_FACE, np.median(frames, axis=0), 0.0) if len(frames) else np.zeros(52)
    return rests


def rest_key(row: Mapping) -> str:
    """The person whose face a row shows: its speaker, or the teacher."""
    return "pseudo_label" if row["face"] == "pseudo_label" else str(row["speaker"])


def collate(windows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Stack windows to a batch of tensors."""
    return {name: torch.from_numpy(np.stack([window[name] for window in windows])) for name in windows[0]}


def resting_face(coefficients: np.ndarray, lip_gap: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The closed face of a take, (52,) float32: the mean where its lip gap is in its lowest tenth.

    coefficients (T, 52) float32, lip_gap (T,), valid (T,) bool; frames without a face do not count where any
    has one.
    """
    if valid.any():
        coefficients, lip_gap = coefficients[valid], lip_gap[valid]
    return coefficients[lip_gap <= np.quantile(lip_gap, 0.1)].mean(axis=0)
