"""The data set: its schema, and rows made into training windows.

A row is one take: 16 kHz sound and the face captured from it, on the same clock (frame k at k / fps seconds
after the first sample). Channels that the capture cannot see are masked, frames without a face are not valid;
neither counts in a loss or a metric.
"""

from __future__ import annotations

import wave
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet
import torch
from datasets import Audio, Dataset, DatasetDict, Features, List, Value, load_dataset

from bilabial.articulation_prior import TONGUE, TONGUE_MASK, articulate
from bilabial.audio import decode_wav, encode_wav
from bilabial.augmentation import Augmentation, Changes, draw_changes, draw_music, resting_face
from bilabial.capture import Capture
from bilabial.clip import interpolate_frames
from bilabial.corpora import Take
from bilabial.emotions import PRIOR_BLENDSHAPES, express
from bilabial.head_landmarks import LIPS
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS
from bilabial.hub.conditions_bilabial import MAX_INTENSITY, mixture_weights
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.loudness_bilabial import SAMPLING_RATE, normalize_level
from bilabial.phones import Phone, articulation

ROWS_PER_GROUP = 100  # of the Parquet files: some 10 MB that a reader holds at a time
HEARING_INPUTS = ("articulation", "articulation_mask")
UPPER_FACE = np.array([name.startswith(("brow", "eye")) for name in ARKIT_BLENDSHAPES])
UNHEARD = np.array([name.startswith(("eyeBlink", "eyeLook")) for name in ARKIT_BLENDSHAPES])
PRIOR_MASK = np.array([name in PRIOR_BLENDSHAPES for name in ARKIT_BLENDSHAPES], np.float32)
ROWS_PER_REST = 20
SINGLE_EMOTION_SHARE = 0.7  # of the expressed windows; the others mix two
FACES = ("captured", "taught")  # from video, or from a teacher that was fitted on captures

FEATURES = Features(
    {
        "id": Value("string"),
        "audio": Audio(sampling_rate=SAMPLING_RATE, decode=False),  # a WAV file, level-normalised
        "coefficients": List(
            List(Value("float32"), length=len(ARKIT_BLENDSHAPES))
        ),  # columns: ARKIT_BLENDSHAPES
        "channel_mask": List(
            Value("bool"), length=len(ARKIT_BLENDSHAPES)
        ),  # False: the capture cannot see it
        "valid": List(Value("bool")),  # False: no face in the frame
        "lip_gap": List(Value("float32")),  # inner-lip distance in outer-eye distances, from landmarks
        "lips": List(
            List(Value("float32"), length=2 * len(LIPS))
        ),  # x, y of the landmarks LIPS without pose, in outer-eye distances; or []
        "fps": Value("float32"),
        "face": Value("string"),  # one of FACES
        "capture_method": Value("string"),  # one of capture.METHODS, "curves", or "" where nobody says
        "av_offset_ms": Value("float32"),  # how late the lips are, negative = early; 0 where not measured
        "phones": List(
            {"name": Value("string"), "start": Value("float32"), "end": Value("float32")}
        ),  # or []
        "emotion": Value("string"),
        "intensity": Value("float32"),  # of the emotion, 0 to 1.5; 1 where nobody says
        "style": Value("string"),
        "speaker": Value("string"),
        "source": Value("string"),
        "licence": Value("string"),
    }
)
# `datasets` wants torchcodec to encode sound; rows are written with pyarrow under the same schema instead.
SCHEMA = FEATURES.arrow_schema
# columns that older data sets lack, and what holds for their rows
NEWER = {"intensity": 1.0, "lips": [], "capture_method": ""}


def row_of_take(take: Take, waveform: np.ndarray, capture: Capture) -> dict:
    """A row of FEATURES. waveform: (S,) float32 at 16 kHz, as recorded; it is stored level-normalised."""
    return {
        "id": take.id,
        "audio": encode_sound(waveform, take.id),
        "coefficients": list(capture.clip.select(ARKIT_BLENDSHAPES).values),
        "channel_mask": [name not in capture.unseen for name in ARKIT_BLENDSHAPES],
        "valid": capture.valid,
        "lip_gap": capture.lip_gap,
        "lips": [] if capture.lips is None else list(capture.lips.reshape(len(capture.lips), -1)),
        "fps": capture.clip.fps,
        "face": "captured",
        "capture_method": capture.method,
        "av_offset_ms": 0.0,
        "phones": [],
        "emotion": take.emotion,
        "intensity": take.intensity,
        "style": take.style,
        "speaker": take.speaker,
        "source": take.source,
        "licence": take.licence,
    }


def encode_sound(waveform: np.ndarray, name: str) -> dict:
    """The column `audio` of a row: (S,) float32 at 16 kHz, level-normalised, as a WAV file."""
    return {"bytes": encode_wav(normalize_level(waveform)), "path": f"{name.replace('/', '_')}.wav"}


def dataset_card(folder: Path, fps: float) -> str:
    """The README.md of a prepared data set: what a column means, and per source and licence how many rows."""
    columns = ["source", "licence", "emotion", "speaker"]
    tables = [
        pyarrow.parquet.read_table(path, columns=columns)
        for path in sorted((folder / "data").glob("*.parquet"))
    ]
    rows = [row for table in tables for row in table.to_pylist()]
    sources = Counter((row["source"], row["licence"]) for row in rows)
    lines = [f"| {source} | {licence} | {count} |" for (source, licence), count in sorted(sources.items())]
    emotions = ", ".join(
        f"{name} {count}" for name, count in Counter(row["emotion"] for row in rows).most_common()
    )
    return "\n".join(
        [
            "---\ntags: [bilabial, talking-face, arkit, blendshapes]\n---\n",
            f"# Captured speech, {len(rows)} takes at {fps:g} fps\n",
            "Made by Bilabial's `train/prepare.py`. `coefficients` are the 52 ARKit blendshapes in the order "
            "of `bilabial.ARKIT_BLENDSHAPES`, `lip_gap` is the distance of the inner lips in outer-eye "
            "distances, `lips` are x and y of MediaPipe's lip landmarks without pose in the same unit; "
            "`capture_method` says how coefficients were made; `channel_mask` and `valid` mark channels and "
            "frames that count.\n",
            "| source | licence | takes |\n|---|---|---|",
            *lines,
            f"\nEmotions: {emotions}. Speakers: {len({row['speaker'] for row in rows})}.\n",
        ]
    )


def missing_columns(names: Iterable[str]) -> list[str]:
    """Which columns of FEATURES a data set with these lacks, besides those that older ones may lack."""
    return sorted(set(FEATURES) - set(names) - set(NEWER))


def load_rows(source: str | Path, split: str | None = None) -> Dataset | DatasetDict:
    """Load a prepared data set from a folder or the Hub; one that is older gets the columns it lacks.

    Raises ValueError when its columns are others.
    """
    rows = load_dataset(str(source), split=split)
    features = rows.features if isinstance(rows, Dataset) else next(iter(rows.values())).features
    missing = missing_columns(features)
    if missing:
        raise ValueError(
            f"{source} is not a data set made by train/prepare.py: it lacks {', '.join(missing)}"
        )
    if isinstance(rows, Dataset):
        return _with_newer_columns(rows)
    return DatasetDict({name: _with_newer_columns(of_split) for name, of_split in rows.items()})


def _with_newer_columns(rows: Dataset) -> Dataset:
    """Rows with all columns of FEATURES."""
    for name, value in NEWER.items():
        if name not in rows.features:
            rows = rows.add_column(name, [value] * len(rows), feature=FEATURES[name])
    return rows


def update_rows(folder: Path, column: str, values: Mapping[str, object]) -> None:
    """Set a column of the rows with these ids in FOLDER/data; other rows keep theirs.

    A file is replaced whole or not at all, so that a killed run leaves the old one. Raises ValueError for
    ids that no file holds.
    """
    left = set(values)
    for path in sorted((folder / "data").glob("*.parquet")):
        table = pyarrow.parquet.read_table(path)
        ids, old = table["id"].to_pylist(), table[column].to_pylist()
        if left.isdisjoint(ids):
            continue
        left -= set(ids)
        new = pyarrow.array(
            [values.get(name, value) for name, value in zip(ids, old, strict=True)],
            SCHEMA.field(column).type,
        )
        table = table.set_column(table.schema.get_field_index(column), SCHEMA.field(column), new)
        partial = path.with_suffix(".partial")
        pyarrow.parquet.write_table(table, partial, row_group_size=ROWS_PER_GROUP)
        partial.replace(path)
    if left:
        raise ValueError(f"{folder} has no row {sorted(left)[0]!r}")


class BrokenRow(ValueError):
    """A row that cannot be trained on; the message is one line that names it."""


def read_row(rows: Dataset, index: int) -> dict:
    """One row of rows in the format "arrow", its curves as arrays; twenty times as fast as "numpy".

    Only the row's own bytes are read from the memory-mapped files. Raises BrokenRow when its sound cannot be
    decoded, its curves have different lengths, or a number is not finite.
    """
    table = rows[index]
    row = table.drop_columns(["coefficients", "valid", "lip_gap", "lips"]).to_pylist()[0]
    curves = {name: table[name].combine_chunks().flatten() for name in ("coefficients", "valid", "lip_gap")}
    row["coefficients"] = coefficients = _numbers(curves["coefficients"].flatten())
    row["valid"], row["lip_gap"] = _numbers(curves["valid"]) > 0, _numbers(curves["lip_gap"])
    frames = {len(coefficients) / len(ARKIT_BLENDSHAPES), len(row["valid"]), len(row["lip_gap"])}
    if frames == {0} or len(frames) > 1:
        raise BrokenRow(f"row {row['id']!r} has coefficients, valid and lip_gap of no or unequal lengths")
    row["coefficients"] = coefficients.reshape(-1, len(ARKIT_BLENDSHAPES))
    if not (np.isfinite(coefficients).all() and np.isfinite(row["lip_gap"]).all()):
        raise BrokenRow(f"row {row['id']!r} has coefficients or lip gaps that are not finite numbers")
    try:
        row["waveform"] = waveform_of(row)
    except (ValueError, EOFError, wave.Error, TypeError) as error:
        raise BrokenRow(f"row {row['id']!r} has sound that cannot be decoded: {error!r}") from error
    if not len(row["waveform"]):
        raise BrokenRow(f"row {row['id']!r} holds no sound")
    return row


def _numbers(column: pyarrow.Array) -> np.ndarray:
    """(N,) float32; a missing number is NaN."""
    return column.cast(pyarrow.float32()).to_numpy(zero_copy_only=False)


def waveform_of(row: dict) -> np.ndarray:
    """The sound of a row: (S,) float32 at 16 kHz."""
    return decode_wav(row["audio"]["bytes"])


def coefficients_of(row: dict) -> np.ndarray:
    """The captured coefficients of a row: (T, 52) float32."""
    return np.asarray(row["coefficients"], dtype=np.float32).reshape(-1, len(ARKIT_BLENDSHAPES))


class TrainingWindows(torch.utils.data.Dataset):
    """Windows of `num_frames` internal frames from rows of a data set, one per row and epoch.

    Window n is of row n % len in epoch n // len: `TrainingOrder` goes through all of them.
    In the default style the upper face moves about no person's rest (`upper_face_rests`), and lids and gaze
    do not move: sound does not tell them, bilabial.motion does.

    An item is a dict of arrays: input_values (S,), attention_mask (S,), labels (T, 52), label_mask (T,),
    channel_mask (52,), emotion (E,), style (). All randomness follows from (seed, epoch, row), so that a
    resumed run repeats it. augmentation: None gives the window at the take's beginning, unchanged; else items
    also have changes (K,), what `augment` is to do to the sound, and voices (S,) float16, who babbles; where
    the speech is taken away, input_values are zeros and the face rests.
    taught_weight: what label_mask holds for a frame of a taught face, beside 1 for a captured one.
    with_hearing: items also have HEARING_INPUTS: articulation (T, A), what the phones of the row say about
    the mouth, and articulation_mask (T,), 0 where nothing is known. emotion_share: of
    the windows of neutral faces, how many get an emotion that the rows do not have, by the prior of
    bilabial.emotions; with it the prior's channels count, where the capture does not see them: neutral is 0.
    default_share: of the windows of a named style, how many are given as the default one, which so becomes
    the average of all. articulation_prior: where a row has phones, labels get the shapes of
    bilabial.articulation_prior, and the tongue counts; a tongue that was captured stays as it is. music:
    recordings (S,) float16 at 16 kHz, heard in half of the windows with music.
    """

    def __init__(
        self,
        rows: Dataset,
        config: BilabialConfig,
        num_frames: int,
        augmentation: Augmentation | None,
        seed: int = 0,
        taught_weight: float = 1.0,
        with_hearing: bool = False,
        emotion_share: float = 0.0,
        default_share: float = 0.5,
        articulation_prior: bool = False,
        music: Sequence[np.ndarray] = (),
    ):
        self.rows, self.config, self.num_frames = rows.with_format("arrow"), config, num_frames
        self.augmentation, self.seed = augmentation, seed
        self.taught_weight, self.with_hearing = taught_weight, with_hearing
        self.emotion_share, self.default_share = emotion_share, default_share
        self.articulation_prior, self.music = articulation_prior, music
        captured = set(rows.unique("emotion"))
        self.rests = upper_face_rests(rows)
        self.prior_emotions = [name for name in config.emotions[1:] if name not in captured]
        self.sounds = rows.select_columns("audio").with_format(None)  # a voice in the babble needs no face

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
        if row["face"] == "taught":
            window["label_mask"] *= np.float32(self.taught_weight)
        phones, times = spans_of(row), self._times(start, speed)
        if self.with_hearing:
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
            window["labels"] = np.where(UNHEARD, 0.0, np.clip(window["labels"] - rest, 0.0, 1.0))
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

        late: seconds by which the lips come after their sound; the face is moved back by them.
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
        """When the window's frames are in the row's sound: (T,) in seconds."""
        return start + np.arange(self.num_frames) / self.config.frame_rate_hz * speed

    def _articulation(self, phones: Sequence[Phone], times: np.ndarray) -> dict[str, np.ndarray]:
        """Articulatory features of the window's frames, and a mask: 0 outside the phones that are known."""
        known = (times >= phones[0][1]) & (times < phones[-1][2]) if phones else np.zeros(len(times))
        return {
            "articulation": articulation(phones, times),
            "articulation_mask": np.asarray(known, np.float32),
        }

    def _articulate(
        self, labels: np.ndarray, phones: Sequence[Phone], times: np.ndarray, channel_mask: np.ndarray
    ) -> np.ndarray:
        """Labels (T, 52) with the shapes that the capture leaves out; a captured tongue stays."""
        shaped = articulate(labels.astype(np.float32), phones, times)
        if channel_mask[TONGUE]:
            shaped[:, TONGUE] = labels[:, TONGUE]
        return shaped

    def _voices(self, index: int, drawn: Changes, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Sounds of other rows at once, or music, where they are drawn: (S,) float16."""
        together = np.zeros(num_samples, np.float32)
        if drawn.music:
            together = self._music(rng, num_samples)
        elif np.isfinite(drawn.babble_snr_db) and len(self) > 1:
            for step in rng.integers(1, len(self), drawn.num_babblers):
                sound = waveform_of(self.sounds[int((index + step) % len(self))])
                together += np.resize(np.roll(sound, -rng.integers(len(sound))), num_samples)
        return together.astype(np.float16)

    def _music(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """(S,) of recorded music where there is some, and synthetic music in half of the windows."""
        if not self.music or rng.random() < 0.5:
            return draw_music(rng, num_samples)
        piece = self.music[rng.integers(len(self.music))]
        return np.resize(np.roll(piece, -rng.integers(len(piece))), num_samples)

    def _without_speech(self, window: dict[str, np.ndarray], resting: np.ndarray) -> dict[str, np.ndarray]:
        """What a window has instead when nobody speaks: resting (52,) in all frames, and no phones."""
        frames = len(window["labels"])
        changed = {
            "input_values": np.zeros_like(window["input_values"]),
            "labels": np.tile(resting, (frames, 1)).astype(np.float32),
        }
        if self.with_hearing:
            changed["articulation"] = articulation([], np.zeros(frames))
        return changed

    def _emotion(self, name: str, intensity: float) -> np.ndarray:
        """Weights (E,) of the row's emotion, as strong as it is shown; neutral is all zeros."""
        return mixture_weights(name, self.config.emotions) * np.float32(intensity)

    def _drawn_emotion(self, rng: np.random.Generator) -> np.ndarray:
        """Weights (E,) of one emotion of the prior, or of a mixture of two, at any intensity."""
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
    """Numbers of the windows `first` to `last` of a run: in every epoch all rows, each time in another order.

    One run is one sequence, so that a resumed run goes on in the middle of it, and epochs do not end batches.
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


def spans_of(row: Mapping) -> list[Phone]:
    """The phones of a row: (name, start and end in seconds)."""
    return [(str(one["name"]), float(one["start"]), float(one["end"])) for one in row["phones"]]


def phone_names(rows: Dataset) -> set[str]:
    """The names of all phones of all rows."""
    names: set[str] = set()
    for batch in rows.select_columns(["phones"]).with_format("arrow").iter(batch_size=1000):
        phones = batch["phones"].combine_chunks().flatten()
        names |= set(pyarrow.compute.unique(phones.field("name")).to_pylist())
    return names


def upper_face_rests(rows: Dataset) -> dict[str, np.ndarray]:
    """Where each speaker's upper face is without emotion: (52,) by `rest_key`, 0 for the lower face.

    How high somebody's brows sit, and what MediaPipe makes of them, belongs to the person and not to the
    default style. It is the median of at most 20 neutral rows; a speaker without one has no entry.
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
    """Whose face a row shows: its speaker's, or the teacher's."""
    return "taught" if row["face"] == "taught" else str(row["speaker"])


def collate(windows: list[dict[str, np.ndarray]]) -> dict[str, torch.Tensor]:
    """Stack windows to a batch of tensors."""
    return {name: torch.from_numpy(np.stack([window[name] for window in windows])) for name in windows[0]}
