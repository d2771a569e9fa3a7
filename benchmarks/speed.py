"""Speed and size: ratios to the length of the speech, best of several runs in one process.

python -m benchmarks.speed [path/to/model]
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from bilabial import Animator
from bilabial.checkpoint import EMBEDDED_MODEL

ROOT = Path(__file__).resolve().parents[1]

SECONDS, REPEATS = 10, 20


def best(action: Callable[[], object]) -> float:
    """Seconds of the fastest of REPEATS runs, the least disturbed one."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def stream_seconds(animator: Animator, speech: np.ndarray, piece_seconds: float, **options) -> float:
    """Seconds that one piece of a running stream costs, half of all pieces less."""
    stream, piece, times = animator.stream(**options), round(16000 * piece_seconds), []
    for start in range(0, len(speech) - piece, piece):
        begin = time.perf_counter()
        stream.feed(speech[start : start + piece])
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def import_seconds(module: str) -> float:
    """Seconds a fresh interpreter needs to import a module, less those of an empty one."""
    times = []
    for code in ("pass", f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {module}"):
        command = [sys.executable, "-c", code]
        times.append(min(_timed(command) for _ in range(3)))
    return times[1] - times[0]


def _timed(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", help="folder or Hub id; left out: the embedded default")
    args = parser.parse_args()
    animator = Animator.from_pretrained(args.model)
    rng = np.random.default_rng(0)
    sound = (0.1 * rng.standard_normal(16000 * SECONDS)).astype(np.float32)

    def shifted_sound() -> tuple[int, np.ndarray]:
        return 16000, np.roll(sound, rng.integers(len(sound)))

    speech = shifted_sound()
    clip_seconds = best(lambda: animator(shifted_sound()))
    emotion_seconds = best(lambda: animator(shifted_sound(), "happy", style="lively"))
    again_seconds = best(lambda: animator(speech, "happy", style="lively"))
    parameters = sum(p.numel() for p in animator.model.parameters())
    size = sum(path.stat().st_size for path in EMBEDDED_MODEL.iterdir())
    config = animator.model.config
    rows = {
        f"{SECONDS} s of speech to a clip": f"{clip_seconds:.3f} s",
        "the same with emotion and style, over that": f"{emotion_seconds / clip_seconds:.2f}",
        "once more with emotion and style, over that": f"{again_seconds / clip_seconds:.2f}",
        "real-time factor": f"{clip_seconds / SECONDS:.4f}",
        "0.1 s of a stream, over that": f"{stream_seconds(animator, speech[1], 0.1) / 0.1:.2f}",
        "0.1 s of a stream with emotion, over that":
            f"{stream_seconds(animator, speech[1], 0.1, emotion='happy') / 0.1:.2f}",
        "0.2 s of a stream, over that": f"{stream_seconds(animator, speech[1], 0.2) / 0.2:.2f}",
        "delay of a stream": f"{animator.stream().delay_seconds:.2f} s",
        "import app": f"{import_seconds('app'):.1f} s",
        "parameters": f"{parameters / 1e6:.2f} M",
        "embedded model": f"{size / 1e6:.1f} MB",
        "look-ahead / history": f"{config.lookahead_seconds} / {config.history_seconds} s",
        "peak memory of this process": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB",
    }  # fmt: skip
    print(f"| measured with {torch.get_num_threads()} threads | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
