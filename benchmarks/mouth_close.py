"""Detection of mouthClose conventions: on captures, and on the same rewritten as ARKit and Audio2Face.

    python -m benchmarks.mouth_close --dataset data/grid data/natural --live_link recording.csv

A capture is rewritten by its landmarks: where the lips are sealed, mouthClose cancels the jaw, and elsewhere
it leaves them as far apart as they are. For docs/design.md.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, OUTER_EYE_PER_LIP_UNIT, SEALED_GAP
from bilabial.io.mouth_close import AHEAD, AHEAD_OFFSET, CANCELLED, CONVENTIONS, LOW_JAW, convert, detect
from bilabial.training.data.schema import coefficients_of, load_rows

DRAWS, CLIPS_PER_DRAW = 200, (5, 10, 20)
UNDECIDED = "does not tell"
HEAD = (
    "| curves | written as | frames | ahead | cancelled | found | clips: right / wrong |\n" + "|---" * 7 + "|"
)


def rewritten(coefficients: np.ndarray, gap: np.ndarray, fps: float) -> dict[str, FaceClip]:
    """A capture (T, 52) with lip gaps (T,) in each convention."""
    jaw, close = (ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "mouthClose"))
    apart = np.maximum(gap - SEALED_GAP, 0) / OUTER_EYE_PER_LIP_UNIT
    arkit = coefficients.copy()
    arkit[:, jaw] = np.maximum(coefficients[:, jaw], apart)
    limit = (arkit[:, jaw] - apart).clip(0)
    arkit[:, close] = np.where(apart > 0, np.minimum(coefficients[:, close], limit), arkit[:, jaw])
    audio2face = arkit.copy()
    audio2face[:, jaw] -= arkit[:, close]
    clips = {"mediapipe": coefficients, "arkit": arkit, "audio2face": audio2face}
    return {name: FaceClip(ARKIT_BLENDSHAPES, clips[name].clip(0, 1), fps) for name in CONVENTIONS}


def found(clips: list[FaceClip]) -> str:
    try:
        return detect(clips)
    except ValueError:
        return UNDECIDED


def shares(clips: list[FaceClip]) -> str:
    """Of all frames those ahead, and of those with a lowered jaw the cancelled ones."""
    jaw, close = (np.concatenate([clip[name] for clip in clips]) for name in ("jawOpen", "mouthClose"))
    ahead, lowered = (close > AHEAD * jaw + AHEAD_OFFSET).mean(), jaw >= LOW_JAW
    cancelled = (close >= CANCELLED * jaw)[lowered].mean()
    return f"{len(jaw):,} | {ahead:.2%} | {cancelled:.2%}"


def report(name: str, convention: str, clips: list[FaceClip]) -> None:
    rng, draws = np.random.default_rng(0), []
    for count in CLIPS_PER_DRAW:
        if len(clips) > count:
            some = [rng.choice(len(clips), count, replace=False) for _ in range(DRAWS)]
            seen = Counter(found([clips[index] for index in one]) for one in some)
            wrong = DRAWS - seen[convention] - seen[UNDECIDED]
            draws.append(f"{count}: {seen[convention] / DRAWS:.1%} / {wrong / DRAWS:.1%}")
    print(f"| {name} | {convention} | {shares(clips)} | {found(clips)} | {', '.join(draws) or '-'} |")


def main(datasets: list[Path], live_link: Path | None) -> None:
    print(HEAD)
    for folder in datasets:
        clips: dict[str, list[FaceClip]] = {name: [] for name in CONVENTIONS}
        gaps, distances = [], {name: [] for name in CONVENTIONS}
        for rows in load_rows(folder).values():
            for row in rows:
                valid = np.asarray(row["valid"], bool)
                gap = np.asarray(row["lip_gap"], np.float32)[valid]
                gaps.append(gap)
                for name, clip in rewritten(coefficients_of(row)[valid], gap, row["fps"]).items():
                    clips[name].append(clip)
                    distances[name].append(convert(clip, name).lip_distance_mm())
        for name in CONVENTIONS:
            report(folder.name, name, clips[name])
        gap = np.concatenate(gaps)
        fits = (
            f"{name} {np.corrcoef(np.concatenate(distances[name]), gap)[0, 1]:.3f}" for name in CONVENTIONS
        )
        print(f"\n{folder.name}: r of the converted curves' lip distance with the gap: {', '.join(fits)}\n")
    if live_link:
        report("Live Link Face", "arkit", [FaceClip.from_csv(live_link)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, nargs="+", default=[], help="Made by train/prepare.py.")
    parser.add_argument("--live_link", type=Path, help="A CSV of Live Link Face.")
    arguments = parser.parse_args()
    main(arguments.dataset, arguments.live_link)
