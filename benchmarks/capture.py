"""Effect of capture options: smoothing by MediaPipe's VIDEO mode, and interpolating coefficients or images.

python -m benchmarks.capture path/to/clips/*.mp4
"""

import argparse
import time
from pathlib import Path

import numpy as np
from mediapipe.tasks.python import vision

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.capture import capture_video, find_landmarker
from bilabial.io.faces import MAX_FACES, track_faces
from bilabial.io.synchrony import correlation
from bilabial.io.video import decode_frames
from bilabial.training.evaluation.metrics import best_lag_ms

MODES = {
    "IMAGE": (vision.RunningMode.IMAGE, 1),
    "VIDEO, one face": (vision.RunningMode.VIDEO, 1),
    f"VIDEO, up to {MAX_FACES} faces (ours)": (vision.RunningMode.VIDEO, MAX_FACES),
}


def tracking(videos: list[Path]) -> None:
    """Lag, correlation and movement of the lip gap in each running mode, against IMAGE mode; time."""
    landmarker, captured, seconds = find_landmarker(), {}, {}
    for name, (mode, num_faces) in MODES.items():
        start = time.perf_counter()
        tracks = (track_faces(decode_frames(video), landmarker, num_faces, mode) for video in videos)
        captured[name] = list(tracks)
        seconds[name] = time.perf_counter() - start
    print("| running mode | lag (ms) | r | std of the gap | time |\n|---|---|---|---|---|")
    for name, clips in captured.items():
        rows = []
        for film, image in zip(clips, captured["IMAGE"], strict=True):
            gap, reference = film.tracks[0].values[:, -1], image.tracks[0].values[:, -1]
            fps = 1 / np.median(np.diff(film.times))
            lag, r = best_lag_ms(gap, reference, fps), correlation(gap, reference)
            rows.append((lag, r, gap.std() / reference.std()))
        lag, r, std = np.mean(rows, axis=0)
        print(f"| {name} | {lag:.0f} | {r:.3f} | {std:.2f} | {seconds[name] / seconds['IMAGE']:.2f} |")


def interpolation(videos: list[Path], fps: float) -> None:
    """Interpolating coefficients against interpolating pictures, at a rate that is not the video's."""
    rows = []
    jaw = ARKIT_BLENDSHAPES.index("jawOpen")
    for video in videos:
        numbers, pictures = (
            capture_video(video, fps, interpolation=kind) for kind in ("coefficients", "frames")
        )
        difference = np.abs(numbers.clip.values - pictures.clip.values)
        r = correlation(numbers.lip_gap, pictures.lip_gap)
        rows.append(
            (
                difference.mean(),
                difference[:, jaw].mean(),
                r,
                best_lag_ms(pictures.lip_gap, numbers.lip_gap, fps),
            )
        )
    mean, jaw_mean, r, lag = np.mean(rows, axis=0)
    print(
        f"\nPictures against numbers at {fps:g} fps: mean difference of a coefficient {mean:.4f}, of jawOpen"
    )
    print(f"{jaw_mean:.4f}; lip gap: r {r:.3f}, lag {lag:.0f} ms. {len(videos)} clips.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--fps", type=float, default=30.0, help="target rate of the interpolation")
    args = parser.parse_args()
    tracking(args.videos)
    interpolation(args.videos, args.fps)
