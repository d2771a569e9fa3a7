"""Pseudo-labels: predict faces for speech without video.

A coarticulation teacher is fitted on captured rows with phone times (align_phones.py): a linear filter over
articulation (ridge regression), and a small network for what is not linear, above all lips that meet, trained
on the objective of train.py; with --whisper_teacher most of a face is a regression on Whisper's states
(whisper_regressor.py), with --model half of its mouth is the prediction of an earlier model. The teacher then
predicts faces for speech whose phone times are known or, for recordings without labels, recognized. Those
rows are marked as pseudo-labels and weighted separately in training. The fit on held-out captures is printed
and written to OUTPUT/teacher.json.
"""

import json
import logging
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow
import pyarrow.parquet
import torch
from datasets import Dataset
from torch import nn
from tqdm import tqdm

from bilabial.checkpoint import load_checkpoint
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, OUTER_EYE_PER_LIP_UNIT, interpolate_frames
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.expression_bilabial import restyle
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.lips_bilabial import close_lips, lip_distance, objective, seal
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import load_audio
from bilabial.io.capture import UNSEEN_BLENDSHAPES
from bilabial.io.files import replace_folder
from bilabial.io.phones import ARTICULATION, articulation, seals_lips
from bilabial.training.data.schema import (
    ROWS_PER_GROUP,
    SCHEMA,
    coefficients_of,
    dataset_card,
    encode_sound,
    load_rows,
    waveform_of,
)
from bilabial.training.data.speech_corpora import READERS, Speech
from bilabial.training.evaluation import metrics
from bilabial.training.prepare.shards import begin_data, check_output
from bilabial.training.teachers.phone_times import find_spikes, load_recognizer, phones_of_spikes
from bilabial.training.teachers.vocal_effort import vocal_effort_gains
from bilabial.training.teachers.whisper_regressor import WhisperFaceRegressor, another_voice, ridge
from bilabial.training.teachers.whisper_teacher import WhisperTeacher

logger = logging.getLogger(__name__)

FPS = 50.0
REACH_FRAMES = 8  # 160 ms before and after a phone: anticipatory and carry-over coarticulation
RIDGE = 1000.0  # 0.3e3 to 1e4 are about the same on held-out clips; smaller ones overfit
SPEEDS = (0.75, 1.33)  # the corpus has one speaking rate
MODEL_SHARE = 0.5  # of an earlier model in the mouth, beside all other teachers
WHISPER_SHARE = 0.75  # the rest is phones; of .5, .75 and 1 the best on held-out captures
SEALED_MIDDLE = (0.2, 0.8)  # of a p, b or m; the exact limits hardly matter (docs/design.md)
SEAL_RAMP_SECONDS = 0.04  # of closing before it and of opening after it
MOUTH = torch.tensor([name.startswith(("jaw", "mouth")) for name in ARKIT_BLENDSHAPES])
FEATURE_DROPOUT = 0.2  # of whole features, for phones that the corpus lacks


@dataclass
class PseudoLabelArguments:
    captured: list[Path] = field(metadata={"help": "Data sets with captured faces and phone times."})
    output: Path = field(metadata={"help": "Folder of the data set to write."})
    voices: Path | None = field(default=None, metadata={"help": "Folder made by synthesize.py."})
    emodb: Path | None = field(default=None, metadata={"help": "Folder of the Berlin EmoDB with its labels."})
    labeled: Path | None = field(
        default=None, metadata={"help": "Folder of speech with phone labels (TextGrid or .lab) beside it."}
    )
    recordings: Path | None = field(
        default=None,
        metadata={"help": "Folder of speech without labels; its phones are recognized (needs hama==1.7.0)."},
    )
    whisper_teacher: str | None = field(
        default=None,
        metadata={
            "help": "Hub id or folder of a Whisper to regress faces on, such as openai/whisper-base.",
        },
    )
    model: str | None = field(
        default=None,
        metadata={
            "help": "Earlier model that predicts half of each mouth, for training a model that does not"
            " start from it: 'default' (the embedded one), folder or Hub id."
        },
    )
    validation_share: float = field(
        default=0.0, metadata={"help": "Share of the speakers whose rows become the split validation."}
    )
    steps: int = field(default=1500, metadata={"help": "Optimizer steps of the network."})
    seed: int = field(default=0, metadata={"help": "Of the network and its windows."})


class Coarticulation(nn.Module):
    """Articulation (B, T, A) -> coefficients (B, T, 52), unclamped: a linear filter plus a small network."""

    def __init__(self, size: int = 96):
        super().__init__()
        features, reach = len(ARTICULATION), REACH_FRAMES
        self.filter = nn.Conv1d(features, len(ARKIT_BLENDSHAPES), 2 * reach + 1, padding=reach)
        hidden = [
            nn.Conv1d(features, size, reach + 1, padding=reach // 2), nn.GELU(), nn.Dropout(0.2),
            nn.Conv1d(size, size, reach + 1, padding=reach // 2), nn.GELU(), nn.Dropout(0.2),
        ]  # fmt: skip
        last = nn.Conv1d(size, len(ARKIT_BLENDSHAPES), 5, padding=2)
        self.network = nn.Sequential(*hidden, last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = features.transpose(1, 2)
        kept = features
        if self.training:
            whole = torch.rand(*features.shape[:2], 1) > FEATURE_DROPOUT
            kept = features * whole / (1 - FEATURE_DROPOUT)
        return (self.filter(features) + self.network(kept)).transpose(1, 2)


class Teacher(NamedTuple):
    """The teachers of a face: phones with times, Whisper's states, and an earlier model."""

    coarticulation: Coarticulation
    whisper: WhisperFaceRegressor | None = None
    whisper_share: float = WHISPER_SHARE
    model: BilabialModel | None = None


def phones_of(row: dict) -> list[tuple[str, float, float]]:
    return [(phone["name"], phone["start"], phone["end"]) for phone in row["phones"]]


def face_at(row: dict, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients (T, 52), lip gap (T,) and whether a face was seen (T,), at times (T,) of the sound."""
    fps, valid = float(row["fps"]), np.asarray(row["valid"], bool)
    values = np.column_stack([coefficients_of(row), np.asarray(row["lip_gap"], np.float32)])
    times = times + float(row["av_offset_ms"]) / 1000
    nearest = np.round(times * fps).astype(int)
    seen = (nearest >= 0) & (nearest < len(valid)) & valid[nearest.clip(0, len(valid) - 1)]
    values = interpolate_frames(np.arange(len(values)) / fps, values, times)
    return values[:, :-1], values[:, -1], seen


def frame_times(row: dict) -> np.ndarray:
    """Times of a row's frames at 50 fps, in seconds."""
    return np.arange(round(len(row["valid"]) * FPS / float(row["fps"]))) / FPS


def fit_filter(teacher: Coarticulation, rows: list[dict]) -> None:
    """Set the filter by ridge regression of coefficients on articulation within reach."""
    size = len(ARTICULATION) * (2 * REACH_FRAMES + 1) + 1
    gram, moments = np.zeros((size, size)), np.zeros((size, len(ARKIT_BLENDSHAPES)))
    for row in rows:
        coefficients, _, seen = face_at(row, frame_times(row))
        features = articulation(phones_of(row), frame_times(row))
        padded = np.pad(features, ((REACH_FRAMES, REACH_FRAMES), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(
            padded, 2 * REACH_FRAMES + 1, axis=0
        )  # (T, A, taps)
        inputs = np.column_stack([windows.reshape(len(windows), -1), np.ones(len(windows))])[seen]
        gram += inputs.T @ inputs
        moments += inputs.T @ coefficients[seen]
    solution = ridge(gram, moments, RIDGE)
    with torch.no_grad():
        weights = solution[:-1].T.reshape(teacher.filter.weight.shape)
        teacher.filter.weight.copy_(torch.from_numpy(weights))
        teacher.filter.bias.copy_(torch.from_numpy(solution[-1]))
    teacher.filter.requires_grad_(False)


def draw_windows(rows: list[dict], count: int, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """Articulation (B, T, A), coefficients (B, T, 52) and mask (B, T) of takes at changed tempo."""
    num_frames, windows = 120, []
    for index in rng.choice(len(rows), count):
        row, times = rows[index], np.arange(num_frames) / FPS * rng.uniform(*SPEEDS)
        labels, _, seen = face_at(row, times)
        windows.append((articulation(phones_of(row), times), labels, seen))
    return tuple(torch.from_numpy(np.stack(part)).float() for part in zip(*windows, strict=True))


def fit_network(teacher: Coarticulation, rows: list[dict], args: PseudoLabelArguments) -> None:
    """Train the network on the residual of the filter, with the objective of train.py."""
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    config = BilabialConfig()
    optimizer = torch.optim.AdamW(teacher.network.parameters(), weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, args.steps)
    channels = torch.tensor([[name not in UNSEEN_BLENDSHAPES for name in ARKIT_BLENDSHAPES]]).float()
    teacher.train()
    for _ in tqdm(range(args.steps), unit="step"):
        features, labels, mask = draw_windows(rows, 16, rng)
        loss, _, _ = objective(teacher(features), labels, mask, channels.expand(len(labels), -1), config)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    teacher.eval()


@torch.no_grad()
def face_of(
    teacher: Teacher, phones: list, sound: np.ndarray, num_frames: int, gain: float = 1.0
) -> np.ndarray:
    """Coefficients (T, 52) float32 in 0..1 at 50 fps for phones with times and their sound (S,).

    gain: factor of the mouth's movement around its mean, applied before the earlier model is mixed in, since
    that model already reacts to vocal effort. Almost closed lips and those of p, b and m are sealed.
    """
    times, config = np.arange(num_frames) / FPS, BilabialConfig()
    features = torch.from_numpy(articulation(phones, times))
    face = teacher.coarticulation(features[None])[0]
    if teacher.whisper:
        regressed = torch.from_numpy(teacher.whisper(sound, num_frames))
        face = teacher.whisper_share * regressed + (1.0 - teacher.whisper_share) * face
    face = with_vocal_effort(face.clamp(0.0, 1.0), gain)
    if teacher.model:
        drawn = teacher.model.animate(sound, SAMPLING_RATE, fps=FPS)
        drawn = drawn[torch.arange(num_frames).clamp(max=len(drawn) - 1)]
        face = torch.where(MOUTH, MODEL_SHARE * drawn + (1.0 - MODEL_SHARE) * face, face)
    names, weights = ARKIT_BLENDSHAPES, config.lip_distance_weights
    face = close_lips(face, names, weights, torch.from_numpy(labial_share(phones, times)))
    return seal(face, names, weights, config.seal_distance).numpy()


def with_vocal_effort(face: torch.Tensor, gain: float) -> torch.Tensor:
    """A face (T, 52) whose mouth movement around its mean is scaled by `gain`; sealed lips stay sealed."""
    style_stats = torch.where(MOUTH, math.log(gain), 0.0) * torch.tensor([[0.0], [1.0]])
    weights = BilabialConfig().lip_distance_weights
    return restyle(face, style_stats, face.mean(dim=0), ARKIT_BLENDSHAPES, weights)


def labial_share(phones: list, times: np.ndarray) -> np.ndarray:
    """How far the lips are closed by p, b and m at times (T,): (T,) float32 in 0..1."""
    share = np.zeros(len(times), np.float32)
    for name, start, end in phones:
        if seals_lips(name):
            first, last = (start + part * (end - start) for part in SEALED_MIDDLE)
            outside = np.maximum(first - times, times - last).clip(min=0.0)
            share = np.maximum(share, 1.0 - outside / SEAL_RAMP_SECONDS)
    return share.astype(np.float32)


def fit_regressor(rows: list[dict], whisper: WhisperTeacher) -> WhisperFaceRegressor:
    """Captured rows -> the faces that the Whisper regression predicts for them."""
    takes, rng = [], np.random.default_rng(0)
    for row in tqdm(rows, unit="take"):
        face, _, use = face_at(row, frame_times(row))
        takes.append((waveform_of(row), face, use))
        takes.append(another_voice(*takes[-1], rng))
    regressor = WhisperFaceRegressor(whisper)
    regressor.fit(*zip(*takes, strict=True))
    return regressor


def load_earlier(name: str) -> BilabialModel:
    """The earlier model as a teacher. Its almost closed lips are not sealed here but in the mean of all
    teachers.

    Raises UserError when it cannot be loaded.
    """
    model, _ = load_checkpoint(name)
    model.config.seal_distance = 0.0
    return model


def measure(teacher: Teacher, rows: list[dict]) -> dict[str, float]:
    """The teacher's fit on held-out captures: medians of the correlations, and frame closure."""
    mask = np.array([name not in UNSEEN_BLENDSHAPES for name in ARKIT_BLENDSHAPES])
    scores, counts = [], np.zeros(4)
    for row in rows:
        labels, gap, seen = face_at(row, frame_times(row))
        face = face_of(teacher, phones_of(row), waveform_of(row), len(labels))[seen]
        labels, gap, distance = labels[seen], gap[seen], _distance(face)
        scores.append([metrics.correlation(distance, gap), metrics.channel_corr(face, labels, mask)])
        counts += metrics.frame_closure(distance, gap)
    lip_corr, channel_corr = np.median(scores, axis=0)
    return {
        "num_clips": len(rows), "lip_corr": float(lip_corr), "channel_corr": float(channel_corr),
        "closure_recall": float(counts[1] / max(counts[0], 1)),
        "false_closure": float(counts[3] / max(counts[2], 1)),
    }  # fmt: skip


def _distance(face: np.ndarray) -> np.ndarray:
    weights = BilabialConfig().lip_distance_weights
    return lip_distance(torch.from_numpy(face), ARKIT_BLENDSHAPES, weights).numpy()


def with_phones(speeches: list[Speech]) -> Iterator[Speech]:
    """Speech with labeled or recognized phones; utterances without any phone are dropped."""
    recognizer = None if all(speech.phones for speech in speeches) else load_recognizer()
    for speech in tqdm(speeches, unit="utterance", disable=recognizer is None):
        if speech.phones:
            yield speech
        elif spikes := find_spikes(recognizer, waveform := load_audio(speech.audio)):
            phones = phones_of_spikes(spikes, waveform)
            yield replace(speech, phones=tuple((one["name"], one["start"], one["end"]) for one in phones))


def gains_of(speeches: list[Speech]) -> dict[str, float]:
    """Gain of the opening in each utterance by vocal effort; 1 for speakers with one utterance."""
    by_speaker: dict[str, list[Speech]] = {}
    for speech in speeches:
        by_speaker.setdefault(speech.speaker, []).append(speech)
    gains: dict[str, float] = {}
    for spoken in tqdm(by_speaker.values(), unit="speaker"):
        openings = vocal_effort_gains([load_audio(speech.audio) for speech in spoken])
        gains |= {speech.id: float(gain) for speech, gain in zip(spoken, openings, strict=True)}
    return gains


def pseudo_label_row(teacher: Teacher, speech: Speech, gain: float, style: str) -> dict:
    """A row of FEATURES: the sound, and the face predicted from its phones and vocal effort."""
    waveform = load_audio(speech.audio)
    num_frames = int(len(waveform) / SAMPLING_RATE * FPS) + 1
    face = face_of(teacher, list(speech.phones), waveform, num_frames, gain)
    return {
        "id": speech.id,
        "audio": encode_sound(waveform, speech.id),
        "coefficients": list(face),
        "channel_mask": [name not in UNSEEN_BLENDSHAPES for name in ARKIT_BLENDSHAPES],
        "valid": [True] * len(face),
        "lip_gap": _distance(face) * OUTER_EYE_PER_LIP_UNIT,
        "lips": [],
        "fps": FPS,
        "face": "pseudo_label",
        "capture_method": "",
        "av_offset_ms": 0.0,
        "phones": [{"name": name, "start": start, "end": end} for name, start, end in speech.phones],
        "emotion": "neutral",  # of the face: the teacher knows only this speaker
        "intensity": 1.0,
        "style": style,
        "speaker": speech.speaker,
        "source": speech.source,
        "license": speech.license,
    }


def split_of(speaker: str, validation_share: float) -> str:
    """Stable pseudo-random split by the speaker's name: adding data never moves a speaker."""
    draw = int.from_bytes(sha256(speaker.encode()).digest()[:4], "big") / 2**32
    return "validation" if draw < validation_share else "train"


def write_rows(rows: Iterator[dict], output: Path, validation_share: float = 0.0) -> int:
    """Write OUTPUT/data atomically, a Parquet file for each split; returns the number of rows."""
    partial, count = begin_data(output), 0
    groups: dict[str, list[dict]] = {}
    with ExitStack() as stack:
        writers: dict[str, pyarrow.parquet.ParquetWriter] = {}

        def flush(split: str) -> None:
            if split not in writers:
                path = partial / f"{split}-00000-of-00001.parquet"
                writers[split] = stack.enter_context(pyarrow.parquet.ParquetWriter(path, SCHEMA))
            writers[split].write_table(pyarrow.Table.from_pylist(groups.pop(split), schema=SCHEMA))

        for row in rows:
            split = split_of(row["speaker"], validation_share)
            groups.setdefault(split, []).append(row)
            count += 1
            if len(groups[split]) == ROWS_PER_GROUP:
                flush(split)
        for split in list(groups):
            flush(split)
    replace_folder(output / "data", partial)
    return count


def _without_lips(rows: Dataset | None) -> Iterable[dict]:
    """Rows without the landmarks, which no teacher needs and which are slow to read."""
    return [] if rows is None else rows.remove_columns("lips")


def pseudo_label(args: PseudoLabelArguments) -> None:
    folders = {name: getattr(args, name) for name in READERS}
    check_output(args.output)
    speeches = [one for name, folder in folders.items() if folder for one in READERS[name](folder)]
    if not speeches:
        raise UserError("speech_missing", options=[f"--{name}" for name in READERS])
    splits = {}
    for split in ("train", "validation"):
        loaded = [load_rows(folder) for folder in args.captured]
        rows = [row for splits_of in loaded for row in _without_lips(splits_of.get(split))]
        splits[split] = [row for row in rows if row["phones"] and row["face"] == "captured"]
    if not splits["train"]:
        raise UserError("data_no_phones", path=Path(args.captured[0]))
    model = load_earlier(args.model) if args.model else None
    coarticulation = Coarticulation()
    fit_filter(coarticulation, splits["train"])
    fit_network(coarticulation, splits["train"], args)
    whisper = (
        fit_regressor(splits["train"], WhisperTeacher(args.whisper_teacher)) if args.whisper_teacher else None
    )
    teacher = Teacher(coarticulation, whisper, model=model)
    fit = measure(teacher, splits["validation"] or splits["train"])
    logger.info(f"the teacher on held-out captures: {fit}")
    speeches = list(with_phones(speeches))
    if not speeches:
        raise UserError("speech_no_phones", path=args.recordings)
    gains = gains_of(speeches)
    styles = {row["style"] for row in splits["train"]}
    style = styles.pop() if len(styles) == 1 else "default"  # the teacher's own speaker
    utterances = tqdm(speeches, unit="utterance")
    made = (pseudo_label_row(teacher, speech, gains[speech.id], style) for speech in utterances)
    count = write_rows(made, args.output, args.validation_share)
    (args.output / "teacher.json").write_text(json.dumps(fit, indent=1) + "\n")
    (args.output / "README.md").write_text(dataset_card(args.output, FPS))
    logger.info(f"{count} rows in {args.output}")
