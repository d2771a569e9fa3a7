"""Fit closure thresholds and lip-distance weights to a data set; print and write how well they separate.

Truth is the inner-lip gap that the capture measured from landmarks: sealed below 1.2 % of the outer-eye
distance, open above 6 %.
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import (
    ARKIT_BLENDSHAPES,
    LIP_DISTANCE_WEIGHTS,
    OPEN_GAP,
    OUTER_EYE_PER_LIP_UNIT,
    SEALED_GAP,
)
from bilabial.hub.lips_bilabial import closure_ratio
from bilabial.training.data.schema import coefficients_of, load_rows
from bilabial.training.evaluation.metrics import separation

logger = logging.getLogger(__name__)

PAIRS = (("mouthLowerDownLeft", "mouthLowerDownRight"), ("mouthUpperUpLeft", "mouthUpperUpRight"))
PRIOR_FRAMES = (
    200  # weight of the measured values, in frames: for channels that never move in the data they are kept
)
MAX_SEALED_WEIGHT = 4.0


@dataclass
class CalibrateArguments:
    dataset: str = field(metadata={"help": "Folder or Hub id of a data set made by prepare.py."})
    output: Path | None = field(
        default=None, metadata={"help": "JSON to write; DATASET/calibration.json if left out."}
    )
    split: str = field(default="train", metadata={"help": "The split to fit."})
    sealed_share: float = field(
        default=0.05, metadata={"help": "Share of sealed frames that may count as less than sealed."}
    )
    open_share: float = field(
        default=0.2, metadata={"help": "Share of open frames that may count as more than open."}
    )


def read_frames(dataset: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients (N, 52) and lip gaps (N,) of all valid frames."""
    coefficients, gaps = [], []
    for row in tqdm(load_rows(dataset, split).with_format("numpy"), unit="row"):
        valid = np.asarray(row["valid"], bool)
        coefficients.append(coefficients_of(row)[valid])
        gaps.append(np.asarray(row["lip_gap"])[valid])
    return np.concatenate(coefficients), np.concatenate(gaps)


def fit_thresholds(ratio: np.ndarray, gap: np.ndarray, args: CalibrateArguments) -> dict[str, float]:
    """closure_ratio_low and _high: quantiles of the ratio (N,) of open and of sealed frames.

    Raises UserError when there are too few frames of either kind, or the two do not separate.
    """
    sealed, opened = ratio[gap < SEALED_GAP], ratio[gap > OPEN_GAP]
    if min(len(sealed), len(opened)) < 50:
        raise UserError("calibrate_few", sealed=len(sealed), opened=len(opened), least=50)
    low, high = np.quantile(opened, 1 - args.open_share), np.quantile(sealed, args.sealed_share)
    if low >= high:
        raise UserError("calibrate_mixed", sealed=float(high), opened=float(low))
    return {"closure_ratio_low": round(float(low), 3), "closure_ratio_high": round(float(high), 3)}


def fit_weights(coefficients: np.ndarray, gap: np.ndarray) -> tuple[dict[str, float], float, float]:
    """Least squares of the gap on the lip coefficients.

    Returns weights in units of jawOpen = 1, R², and that unit in outer-eye distances. Left and right share a
    weight. The measured weights act as a prior of PRIOR_FRAMES frames of average movement.
    """
    measured = LIP_DISTANCE_WEIGHTS["measured"]
    terms = [(name,) for name in measured if not any(name in pair for pair in PAIRS)] + list(PAIRS)
    columns = np.column_stack(
        [coefficients[:, [ARKIT_BLENDSHAPES.index(n) for n in term]].sum(1) for term in terms]
    )
    prior = np.array([measured[term[0]] for term in terms]) * OUTER_EYE_PER_LIP_UNIT
    strength = PRIOR_FRAMES * np.mean(columns**2)
    normal = columns.T @ columns + strength * np.eye(len(terms))
    fitted = np.linalg.solve(normal, columns.T @ gap + strength * prior)
    r_squared = 1 - np.var(gap - columns @ fitted) / np.var(gap)
    weights = {
        name: round(float(w / fitted[0]), 3) for term, w in zip(terms, fitted, strict=True) for name in term
    }
    return weights, float(r_squared), float(fitted[0])


def calibrate(args: CalibrateArguments) -> None:
    coefficients, gap = read_frames(args.dataset, args.split)
    jaw, close = (
        torch.from_numpy(coefficients[:, ARKIT_BLENDSHAPES.index(n)]) for n in ("jawOpen", "mouthClose")
    )
    ratio = closure_ratio(close, jaw).numpy()
    thresholds = fit_thresholds(ratio, gap, args)
    weights, r_squared, unit = fit_weights(coefficients, gap)
    columns = [ARKIT_BLENDSHAPES.index(name) for name in weights]
    distance = coefficients[:, columns] @ np.array([*weights.values()])
    sealed_share = float((gap < SEALED_GAP).mean())
    rare = min(MAX_SEALED_WEIGHT, max(1.0, 0.5 / sealed_share))
    result = {**thresholds, "lip_distance_weights": weights, "sealed_frame_weight": round(rare, 2)}
    logger.info(f"{len(gap)} frames, {sealed_share:.1%} sealed, {(gap > OPEN_GAP).mean():.1%} open")
    ratio_auc, distance_auc = (
        separation(values[gap < SEALED_GAP], values[gap > OPEN_GAP]) for values in (-ratio, distance)
    )
    logger.info(f"ratio: area under the curve {ratio_auc:.3f}, thresholds {thresholds}")
    logger.info(f"distance: area under the curve {distance_auc:.3f}, R2 {r_squared:.3f},")
    logger.info(f"  one unit is {unit:.3f} outer-eye distances, weights {weights}")
    output = args.output or Path(args.dataset) / "calibration.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")
    logger.info(f"wrote {output}")
