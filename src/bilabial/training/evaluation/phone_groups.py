"""Separability of phone groups by mouth shape: a linear classifier on the coefficients.

Leave-one-clip-out: trained on the captured coefficients of all other clips, applied to the clip's captured
coefficients (upper limit) and to predicted ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

GROUPS = {  # ARPAbet
    "UW OW W": ("UW", "OW", "W"),
    "IY EY": ("IY", "EY"),
    "F V": ("F", "V"),
    "SH CH": ("SH", "CH"),
    "AA AE": ("AA", "AE"),
    "P B M": ("P", "B", "M"),
}
LEAST_PHONES = 5  # minimal number of phones of a group
STRENGTH = 0.01  # inverse of the penalty; 0.003 to 1 work equally well on captured phones (mean .74 to .75)
COUNTED = tuple(name for names in GROUPS.values() for name in names)


@dataclass(frozen=True)
class Phones:
    """The phones of a clip: names (N), and coefficients (N, C) at their middles, captured and predicted."""

    names: list[str]
    captured: np.ndarray
    predicted: np.ndarray


def phone_group_accuracy(clips: Sequence[Phones]) -> dict[str, dict[str, float]]:
    """Per group of GROUPS: balanced accuracy "capture" and "model", the model's "share", "num_phones".

    Each group against all others. A group that is rare, or in one clip only, is left out.
    """
    clips = [kept for kept in map(_of_groups, clips) if len(kept.names)]
    rows = {}
    for group, names in GROUPS.items():
        truth = [np.isin(clip.names, names) for clip in clips]
        num_phones = int(sum(of_clip.sum() for of_clip in truth))
        if num_phones < LEAST_PHONES or sum(of_clip.any() for of_clip in truth) < 2:
            continue
        answers = [_classify(clips, truth, left_out) for left_out in range(len(clips))]
        pooled = np.concatenate(truth)
        ceiling, model = (
            float(balanced_accuracy_score(pooled, np.concatenate(predictions)))
            for predictions in zip(*answers, strict=True)
        )
        rows[group] = {"capture": ceiling, "model": model, "share": model / ceiling, "num_phones": num_phones}
    return rows


def _of_groups(clip: Phones) -> Phones:
    """The phones of a clip that are in a group."""
    keep = np.isin(clip.names, COUNTED)
    names = [name for name in clip.names if name in COUNTED]
    return Phones(names, clip.captured[keep], clip.predicted[keep])


def _classify(
    clips: Sequence[Phones], truth: Sequence[np.ndarray], left_out: int
) -> tuple[np.ndarray, np.ndarray]:
    """Output of a classifier trained on all other clips: (N,) bool, captured and predicted."""
    others = [k for k in range(len(clips)) if k != left_out]
    learner = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=1000)
    reader = make_pipeline(StandardScaler(), learner)
    reader.fit(
        np.concatenate([clips[k].captured for k in others]), np.concatenate([truth[k] for k in others])
    )
    return reader.predict(clips[left_out].captured), reader.predict(clips[left_out].predicted)
