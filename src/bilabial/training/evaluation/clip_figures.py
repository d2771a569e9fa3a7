"""Evaluation of one clip: aligned data, metrics of a prediction, and their summary over clips."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.head_landmarks import LIPS, head_landmarks
from bilabial.training.data.schema import coefficients_of
from bilabial.training.evaluation import metrics, shape_metrics
from bilabial.training.evaluation.tables import CLIP_FIGURES, LEADING

MOUTH_AND_JAW = [name.startswith(("jaw", "mouth")) for name in ARKIT_BLENDSHAPES]


@dataclass(frozen=True)
class Clip:
    """A row prepared for evaluation: aligned, valid frames only.

    Lip distance in lip units, gap in outer-eye distances. lips: (T, 40, 2) of the film, see
    bilabial.io.head_landmarks; None in older data sets and without a film.
    """

    id: str
    fps: float
    labels: np.ndarray
    gap: np.ndarray
    valid: np.ndarray
    mask: np.ndarray
    phones: list[tuple[str, float, float]]
    lips: np.ndarray | None = None


def read_clip(row: dict, notes: dict) -> Clip:
    """A row with its audio-video offset removed; notes override the row."""
    note, fps = notes.get(row["id"].rsplit("/", 1)[-1], {}), float(row["fps"])
    phones = [(phone["name"], phone["start"], phone["end"]) for phone in row["phones"]]
    offset_ms = note.get("av_offset_ms", float(row["av_offset_ms"]))
    captured = np.column_stack([coefficients_of(row), row["lip_gap"], row["valid"]]).astype(np.float32)
    captured = metrics.align(captured, fps, offset_ms)
    lips = np.array(row["lips"], np.float32) if len(row.get("lips") or []) else None
    return Clip(
        id=row["id"],
        fps=fps,
        labels=captured[:, :52],
        gap=captured[:, 52],
        valid=captured[:, 53] > 0.99,
        mask=np.array(row["channel_mask"], bool),
        phones=[tuple(phone) for phone in note.get("phones", phones)],
        lips=None if lips is None else metrics.align(lips, fps, offset_ms).reshape(-1, len(LIPS), 2),
    )


def clip_metrics(clip: Clip, predicted: np.ndarray, model: BilabialModel) -> dict:
    """All metrics of one clip and one prediction (T, 52); pooled ones stay counts and lists."""
    ok = clip.valid[: len(predicted)]
    shape = shape_of_prediction(clip, predicted)
    predicted, labels, gap = predicted[: len(ok)][ok], clip.labels[: len(ok)][ok], clip.gap[: len(ok)][ok]
    speaking = metrics.speaking_frames(len(clip.valid), clip.fps, clip.phones)[: len(ok)][ok]
    weights = model.config.lip_distance_weights
    distance = lip_distance(torch.from_numpy(predicted), ARKIT_BLENDSHAPES, weights).numpy()
    result = shape | {
        "mse": metrics.mse(predicted, labels, clip.mask),
        **{f"mae_{group}": metrics.mae(predicted, labels, clip.mask, group) for group in metrics.GROUPS},
        "mve": metrics.mve(predicted, labels),
        "lve": metrics.lve(predicted, labels),
        "fdd": metrics.fdd(predicted, labels),
        "lip_corr": metrics.correlation(distance, gap),
        "lip_corr_speech": metrics.correlation(distance[speaking], gap[speaking]),
        "lag_ms": metrics.best_lag_ms(distance, gap, clip.fps),
        "mouth_mae_centered": metrics.mouth_mae_centered(predicted, labels, clip.mask),
        "channel_corr": metrics.channel_corr(predicted, labels, clip.mask),
        "closure_counts": metrics.frame_closure(distance, gap),
        "speech_counts": metrics.frame_closure(distance, gap, speaking)[2:],
    }
    if clip.phones and ok.all():  # phone times need an unbroken clip
        result["phone_minima"] = metrics.phone_minima(distance, gap, clip.fps, clip.phones)
    return result


def shape_of_prediction(clip: Clip, predicted: np.ndarray) -> dict:
    """The shape of the mouth in a prediction (T, 52), shown on the head, and how steadily it moves."""
    mouth = np.array(MOUTH_AND_JAW) & clip.mask
    shown = head_landmarks().show_lips(predicted)
    result = lip_motion(shown, clip) | {"jitter": shape_metrics.jitter(predicted[:, mouth])}
    if clip.lips is None:
        return result
    ok = clip.valid[: len(predicted)]
    return result | shape_metrics.shape_scores(shown[: len(ok)][ok], clip.lips[: len(ok)][ok])


def lip_motion(lips: np.ndarray, clip: Clip) -> dict:
    """Metrics of lips (T, 40, 2), of a film or of the head, between frames and at phones."""
    seen = np.where(clip.valid[: len(lips), None, None], lips[: len(clip.valid)], np.nan)
    changes = shape_metrics.lip_changes_mm(seen)
    result = {
        "lip_jitter_mm": shape_metrics.MM_PER_OUTER_EYE * shape_metrics.jitter(seen.reshape(len(seen), -1)),
        "lip_changes": changes[np.isfinite(changes)],
    }
    if clip.lips is not None and clip.phones:
        result["phone_widths"] = shape_metrics.phone_widths(seen, clip.fps, clip.phones)
    return result


def summarize(results: Iterable[dict]) -> dict:
    """Medians over clips; closure on frames and on phones pooled over all clips."""
    results = list(results)
    summary = leading_figures(results) | medians(results, CLIP_FIGURES) | {"num_clips": len(results)}
    if shaped := [result for result in results if "phone_widths" in result]:
        rounded, spread = (sum(len(result["phone_widths"][kind]) for result in shaped) for kind in (0, 1))
        summary |= {"num_rounded": rounded, "num_spread": spread}
    changes = [result["lip_changes"] for result in results if len(result.get("lip_changes", []))]
    if changes:
        jump = np.percentile(np.concatenate(changes), shape_metrics.JUMP_PERCENTILE)
        summary["lip_change_mm"] = float(jump)
    if "closure_counts" not in results[0]:  # the film has no coefficients
        return summary
    summary["num_without_lips"] = sum("width_r" not in result for result in results)
    sealed, recalled, opened, closed = np.sum([result["closure_counts"] for result in results], axis=0)
    summary |= {
        "closure_recall": float(recalled / max(sealed, 1)),
        "false_closure": float(closed / max(opened, 1)),
    }
    spoken_open, spoken_closed = np.sum([result["speech_counts"] for result in results], axis=0)
    summary["false_in_speech"] = float(spoken_closed / max(spoken_open, 1))
    return summary | {"num_sealed_frames": int(sealed), "num_open_frames": int(opened)}


def medians(results: list[dict], names: Iterable[str]) -> dict[str, float]:
    """Medians over the clips that have the metric; metrics of no clip are left out."""
    columns = {name: [result[name] for result in results if name in result] for name in names}
    return {
        name: float(np.nanmedian(values))
        for name, values in columns.items()
        if values and not np.isnan(values).all()
    }


def leading_figures(results: list[dict]) -> dict[str, float]:
    """The metrics LEADING of results, and those of their phones."""
    figures = medians(results, LEADING)
    pairs = [result["phone_widths"] for result in results if "phone_widths" in result]
    rounded, spread = ([width for pair in pairs for width in pair[kind]] for kind in (0, 1))
    if rounded and spread:
        figures["width_contrast"] = shape_metrics.width_contrast(rounded, spread)
    pairs = [result["phone_minima"] for result in results if "phone_minima" in result]
    bilabial, control = ([share for pair in pairs for share in pair[kind]] for kind in (0, 1))
    return figures | (metrics.phone_closure(bilabial, control) if bilabial and control else {})
