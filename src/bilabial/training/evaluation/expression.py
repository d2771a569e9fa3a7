"""Evaluate emotions, styles and motion, and that they keep lips closed.

Emotions are recognized by a classifier that was not trained on this model (emotion_classifier.py).
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from datasets import Dataset
from tqdm import tqdm

from bilabial.animator import Animator
from bilabial.checkpoint import weights_sha256
from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, EMOTIONS, MM_PER_LIP_UNIT
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.audio import load_audio
from bilabial.io.tables import read_object
from bilabial.motion import Sound, add_motion
from bilabial.training.data.emotions import CORNERS, CORPUS_EMOTIONS, PROTOTYPES
from bilabial.training.data.schema import waveform_of
from bilabial.training.data.speech_corpora import read_emodb
from bilabial.training.evaluation import metrics
from bilabial.training.evaluation.clip_figures import Clip, read_clip
from bilabial.training.evaluation.emotion_classifier import measure_separability
from bilabial.training.evaluation.evaluate import load_data
from bilabial.training.evaluation.tables import WEIGHTS, table, write_card

logger = logging.getLogger(__name__)

EXPRESSIVE = np.array(
    [name.startswith(("brow", "eyeSquint", "eyeWide", *CORNERS)) for name in ARKIT_BLENDSHAPES]
)  # the upper face and the corners of the mouth
EYES = np.array([name.startswith(("eyeLook", "eyeBlink")) for name in ARKIT_BLENDSHAPES])
SIGNATURE = 0.3  # threshold for the coefficients of an emotion's signature
INTENSITIES = np.arange(16) / 10
MAX_CLIPS = 12  # per data set
MIN_REFERENCE_FRAMES = 20
NO_REFERENCE = ("reference_still", "reference_silent")  # codes of the error for a half without speech
FPS = 30.0
CAPTIONS = {
    "recognized emotions": "Rows: the emotion asked for, at intensity 1, on speech outside the training "
    "data; columns: the prediction of a logistic regression trained on action units that people show, not on "
    "this model.",
    "lips in every emotion and style": "At intensity or amount 1; closure pooled over all frames, medians of "
    "lip_corr.",
    "intensity": "Mean of an emotion's signature coefficients from intensity 0 to 1.5 in steps of 0.1: the "
    "smallest step (monotone: not below 0) and three of the means.",
    "schedules": "Largest change from frame to frame at 30 fps that schedules through all emotions add.",
    "blinks": "Of `bilabial.motion`, over a minute of every sound: rates per minute, lengths in ms, and how "
    "many sounds have the first three blinks of another.",
    "silence": "Ten seconds in each emotion: the largest lip distance, and how many coefficients move.",
    "style from a reference": "The share of halves of clips whose amplitudes (standard deviations) are "
    "nearer with the style taken from the other half, and the mean errors.",
    "captured emotions": "Mean absolute distance of the mean upper face and mouth corners from the capture.",
    "vocal effort": "Opening of the mouth by the voice alone, emotion neutral: over the speaker's mean, by "
    "how EmoDB's actors spoke.",
}
Animate = Callable[..., np.ndarray]


@dataclass
class ExpressionArguments:
    dataset: list[str] = field(metadata={"help": "Folders or Hub ids of data sets made by prepare.py."})
    output: Path = field(metadata={"help": "The JSON file to write."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded default."}
    )
    split: str = field(default="validation", metadata={"help": "The split to measure on."})
    emodb: Path | None = field(default=None, metadata={"help": "Folder of the Berlin EmoDB."})
    phones: Path | None = field(
        default=None, metadata={"help": "JSON with audio-video offsets, see evaluate.py."}
    )
    card: Path | None = field(default=None, metadata={"help": "Model card whose tables are updated."})


def measure_lips(
    animate: Animate,
    data: dict[str, list[tuple[Clip, np.ndarray]]],
    ways: dict[str, dict],
    weights: Mapping[str, float],
) -> dict[str, dict]:
    """Per emotion and style: closure recall and false closure pooled over all clips, median correlation per
    data set.

    weights: of the model's lip distance.
    """
    result = {}
    for way, options in tqdm(ways.items(), unit="way"):
        counts, scores = np.zeros(4), {}
        for source, clips in data.items():
            lip_corr = []
            for clip, sound in clips:
                face = animate(sound, fps=clip.fps, **options)[: len(clip.gap)]
                seen = clip.valid[: len(face)]
                distance, gap = lip_units(face, weights)[seen], clip.gap[: len(face)][seen]
                counts += metrics.frame_closure(distance, gap)
                lip_corr.append(metrics.correlation(distance, gap))
            scores[f"lip_corr_{source}"] = float(np.median(lip_corr))
        recall, false = counts[1] / max(counts[0], 1), counts[3] / max(counts[2], 1)
        result[way] = {"closure_recall": float(recall), "false_closure": float(false), **scores}
    return result


def measure_intensity(animate: Animate, sound: np.ndarray) -> dict[str, dict[str, float]]:
    """Per emotion: the smallest step of a signature coefficient's mean from one intensity to the next.

    Beside it the mean of the signature coefficients at intensity 0, 1 and 1.5. Monotone = no step below 0.
    """
    result = {}
    for emotion, prototype in zip(EMOTIONS[1:], PROTOTYPES[1:], strict=True):
        signature = prototype >= min(SIGNATURE, prototype.max())
        faces = [animate(sound, emotion=emotion, intensity=float(i)) for i in INTENSITIES]
        means = np.array([face.mean(axis=0) for face in faces])[:, signature]  # (16, signature)
        at = {f"at_{i:g}": float(means[round(i * 10)].mean()) for i in (0.0, 1.0, 1.5)}
        result[emotion] = {"smallest_step": float(np.diff(means, axis=0).min()), **at}
    return result


def measure_schedule(animate: Animate, sound: np.ndarray) -> dict[str, float]:
    """Largest change from frame to frame, at 30 fps, that schedules through all emotions add to speech."""
    neutral, jumps, seconds = animate(sound), [], len(sound) / SAMPLING_RATE
    for first, second in pairwise(EMOTIONS):
        schedule = [(0.0, first), (seconds / 3, second), (seconds * 2 / 3, "neutral")]
        jumps.append(np.abs(np.diff(animate(sound, emotion=schedule) - neutral, axis=0)).max())
    return {"largest_jump": float(max(jumps)), "median_jump": float(np.median(jumps))}


def measure_blinks(sounds: list[np.ndarray]) -> dict[str, float]:
    """Blinks of one minute of each sound, repeated: their rate per minute and length in ms, at 60 fps."""
    rates, lengths, starts = [], [], []
    for sound in sounds:
        minute = np.resize(sound, 60 * SAMPLING_RATE)
        still = FaceClip(ARKIT_BLENDSHAPES, np.zeros((3600, len(ARKIT_BLENDSHAPES)), np.float32), 60.0)
        lids = add_motion(still, Sound.of(minute, SAMPLING_RATE, still), {"blink": 1.0})["eyeBlinkLeft"]
        edges = np.diff(np.concatenate([[0], (lids > 0.02).astype(int), [0]]))
        begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        rates.append(len(begins))
        lengths += list((ends - begins) / 60 * 1000)
        starts.append(tuple(begins[:3]))
    return {
        "lowest_rate": min(rates), "mean_rate": float(np.mean(rates)), "highest_rate": max(rates),
        "shortest_ms": float(min(lengths)), "longest_ms": float(max(lengths)),
        "same_phase": len(starts) - len(set(starts)), "num_sounds": len(sounds),
    }  # fmt: skip


def measure_rest(animator: Animator) -> dict[str, dict[str, float]]:
    """Ten seconds of silence in each emotion: largest lip distance in mm, and the motion of the face."""
    silence, result = (SAMPLING_RATE, np.zeros(10 * SAMPLING_RATE, np.float32)), {}
    for emotion in EMOTIONS:
        clip = animator(silence, emotion=emotion)
        moving = clip.values.std(axis=0)
        result[emotion] = {
            "max_mm": float(clip.lip_distance_mm().max()), "moving_channels": int((moving > 0.003).sum()),
        }  # fmt: skip
    return result


def measure_truth(animate: Animate, data: dict[str, list[tuple[Clip, np.ndarray]]]) -> dict[str, dict]:
    """Clips of captured emotion: distance of the mean upper face and mouth corners from the capture's.

    Predicted neutral, and with the clip's emotion.
    """
    result = {}
    for clip, sound in (pair for pairs in data.values() for pair in pairs):
        emotion = emotion_in_name(clip.id)
        if emotion is None:
            continue
        expressive = EXPRESSIVE & clip.mask
        captured = clip.labels[clip.valid].mean(axis=0)[expressive]
        faces = {way: animate(sound, emotion=way).mean(axis=0)[expressive] for way in ("neutral", emotion)}
        errors = [float(np.abs(face - captured).mean()) for face in faces.values()]
        result[clip.id.rsplit("/", 1)[-1]] = {"neutral": errors[0], "own_emotion": errors[1]}
    if result:
        ways = ("neutral", "own_emotion")
        result["mean"] = {way: float(np.mean([row[way] for row in result.values()])) for way in ways}
    return result


def emotion_in_name(clip_id: str) -> str | None:
    """The emotion that MEAD's clips carry in their names (M030_level_3_angry_016), None for others."""
    labels = CORPUS_EMOTIONS["MEAD"]
    found = [labels[part] for part in clip_id.rsplit("/", 1)[-1].split("_") if part in labels]
    return found[0] if len(found) == 1 else None


def measure_reference(
    animate: Animate, animator: Animator, data: dict[str, list[tuple[Clip, np.ndarray]]]
) -> dict[str, dict[str, float]]:
    """Styles from one half of a clip: share of clips whose other half is closer in amplitude than with the
    default style.

    The amplitude's error is the mean difference of standard deviations over the captured channels that a
    reference style sets. Halves without speech are left out.
    """
    result = {}
    for source, clips in data.items():
        nearer, errors = [], []
        for clip, sound in clips:
            half = len(clip.labels) // 2
            for kept, other in ((slice(0, half), slice(half, None)), (slice(half, None), slice(0, half))):
                captured = clip.labels[kept][clip.valid[kept]]
                if len(captured) < MIN_REFERENCE_FRAMES:
                    continue
                expressive = clip.mask & ~EYES
                wanted = clip.labels[other][clip.valid[other]].std(axis=0)[expressive]
                try:
                    ways = (None, animator.model.reference_style(captured))
                except UserError as error:
                    if error.code not in NO_REFERENCE:
                        raise
                    continue
                faces = [
                    animate(sound, style=style, fps=clip.fps)[: len(clip.labels)][other] for style in ways
                ]
                distances = [float(np.abs(face.std(axis=0)[expressive] - wanted).mean()) for face in faces]
                nearer.append(distances[1] < distances[0])
                errors.append(distances)
        result[source] = {
            "nearer": float(np.mean(nearer)), "default_error": float(np.mean(errors, axis=0)[0]),
            "reference_error": float(np.mean(errors, axis=0)[1]), "num_halves": len(nearer),
        }  # fmt: skip
    return result


def measure_vocal_effort(
    animate: Animate, emodb: Path, weights: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Opening by vocal effort alone: 90th percentile of lip distance over the speaker's mean."""
    opened: dict[str, dict[str, list[float]]] = {}
    for speech in tqdm(list(read_emodb(emodb))[::2], unit="utterance"):
        distance = lip_units(animate(load_audio(speech.audio)), weights)
        emotion = CORPUS_EMOTIONS["EmoDB"][speech.id[-2]]
        opened.setdefault(speech.speaker, {}).setdefault(emotion, []).append(np.percentile(distance, 90))
    result: dict[str, dict[str, float]] = {}
    for emotion in sorted({name for speaker in opened.values() for name in speaker}):
        shares = [
            np.mean(speaker[emotion]) / np.mean([value for values in speaker.values() for value in values])
            for speaker in opened.values()
            if emotion in speaker
        ]
        result[emotion] = {"opening": float(np.mean(shares)), "num_speakers": len(shares)}
    return result


def lip_units(face: np.ndarray, weights: Mapping[str, float]) -> np.ndarray:
    """Lip distance (T,) in lip units of coefficients (T, 52), by a model's weights."""
    return FaceClip(ARKIT_BLENDSHAPES, face, FPS, weights).lip_distance_mm() / MM_PER_LIP_UNIT


def tables(scores: dict) -> str:
    """The tables of an expression.json, one below another, each with its caption."""
    names = [name for name in scores if name != WEIGHTS]
    return "\n\n".join(f"### {name}\n\n{CAPTIONS[name]}\n\n{table(scores[name])}" for name in names)


def measure(animator: Animator, rows: dict[str, Dataset], notes: dict, emodb: Path | None) -> dict[str, dict]:
    """All tables by the names of CAPTIONS."""

    def animate(sound: np.ndarray, fps: float = FPS, **options) -> np.ndarray:
        return animator.model.animate(sound, SAMPLING_RATE, fps=fps, **options).cpu().numpy()

    data = {name: list(some_clips(of_name, notes)) for name, of_name in rows.items()}
    pairs = [pair for clips in data.values() for pair in clips]
    sounds = [sound for _, sound in pairs]
    confusion, recognized = measure_separability(animate, sounds, neutral_faces(data))
    emotions = {name: {"emotion": name} for name in EMOTIONS}
    styles = {f"style {name}": {"style": name} for name in animator.model.style_names}
    longest, weights = max(sounds, key=len), animator.model.config.lip_distance_weights
    scores = {
        "recognized emotions": confusion | {"all": {"recognized": recognized}},
        "lips in every emotion and style": measure_lips(animate, data, emotions | styles, weights),
        "intensity": measure_intensity(animate, longest),
        "schedules": {"all emotions": measure_schedule(animate, longest)},
        "blinks": {"one minute each": measure_blinks(sounds)},
        "silence": measure_rest(animator),
        "style from a reference": measure_reference(animate, animator, data),
    }
    truth = measure_truth(animate, data)
    if truth:
        scores["captured emotions"] = truth
    if emodb:
        scores["vocal effort"] = measure_vocal_effort(animate, emodb, weights)
    return scores


def neutral_faces(data: dict[str, list[tuple[Clip, np.ndarray]]]) -> np.ndarray:
    """Mean faces (N, 52) of the clips of the largest data set: one speaker without emotion."""
    clips = [clip for clip, _ in max(data.values(), key=len)]
    return np.array([np.where(clip.mask, clip.labels[clip.valid].mean(axis=0), 0.0) for clip in clips])


def some_clips(rows: Dataset, notes: dict) -> Iterator[tuple[Clip, np.ndarray]]:
    """At most 12 clips of a data set, evenly drawn, with their sound."""
    for index in np.unique(np.linspace(0, len(rows) - 1, MAX_CLIPS).round().astype(int)):
        row = rows[int(index)]
        yield read_clip(row, notes), waveform_of(row)


def evaluate_expression(args: ExpressionArguments) -> None:
    animator, rows = Animator.from_pretrained(args.model), load_data(args.dataset, args.split)
    notes = read_object(args.phones) if args.phones else {}
    scores = {WEIGHTS: {"sha256": weights_sha256(args.model)}} | measure(animator, rows, notes, args.emodb)
    args.output.write_text(json.dumps(scores, indent=1) + "\n")
    logger.info(tables(scores))
    if args.card:
        write_card(args.card, "expression", tables(scores))
