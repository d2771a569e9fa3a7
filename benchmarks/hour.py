"""One hour of sound through Animator: memory and time, and how much of the time the level takes.

python -m benchmarks.hour [--minutes 60] [--model path/to/model]

The sound is the package's English example, repeated, in a FLAC file of 44.1 kHz stereo. Memory is what this
process holds at most, libraries and model included; times are shares of the length of the sound.
"""

import argparse
import resource
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from bilabial import Animator
from bilabial.hub.level_bilabial import SAMPLING_RATE, normalize_level
from bilabial.io.audio import load_audio, resample

ROOT = Path(__file__).resolve().parents[1]

EXAMPLE = ROOT / "src" / "bilabial" / "examples" / "english_woman.flac"
FILE_HZ, SHORT_SECONDS, REPEATS = 44100, 10, 5
LIMIT_MB, LIMIT_SHARE = 1024, 0.01


def write_long(path: Path, seconds: float) -> None:
    """The example repeated, written in pieces."""
    piece = resample(load_audio(EXAMPLE), SAMPLING_RATE, FILE_HZ)
    frame_samples = np.repeat((piece.clip(-1, 1) * 32767).astype(np.int16), 2)[None]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=FILE_HZ, layout="stereo")
        for number in range(round(seconds * FILE_HZ / len(piece))):
            frame = av.AudioFrame.from_ndarray(frame_samples, format="s16", layout="stereo")
            frame.sample_rate, frame.time_base = FILE_HZ, Fraction(1, FILE_HZ)
            frame.pts = number * len(piece)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best(action, repeats: int = REPEATS) -> float:
    """CPU seconds of the fastest run, the one least disturbed by other work."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--model", help="folder or Hub id; left out: the embedded default")
    args = parser.parse_args()
    seconds = 60.0 * args.minutes
    animator = Animator.from_pretrained(args.model)
    rng = np.random.default_rng(0)
    short = (0.1 * rng.standard_normal(SHORT_SECONDS * SAMPLING_RATE)).astype(np.float32)
    short_seconds = best(lambda: animator((SAMPLING_RATE, np.roll(short, rng.integers(len(short))))))
    level_seconds = best(lambda: normalize_level(short))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.flac"
        write_long(path, seconds)
        before_mb, cpu, wall = peak_mb(), time.process_time(), time.perf_counter()
        load_audio(path, 2 * seconds)
        cpu_loading = time.process_time() - cpu
        cpu, wall = time.process_time(), time.perf_counter()
        clip = animator(path, max_seconds=2 * seconds)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    rows = {
        "length of the sound": f"{clip.duration_seconds / 60:.1f} min",
        "memory before, at most": f"{before_mb:.0f} MB",
        "memory, at most": f"{peak_mb():.0f} MB",
        f"memory over the {LIMIT_MB} MB it may take": f"{peak_mb() / LIMIT_MB:.2f}",
        "real-time factor by the clock": f"{wall / seconds:.4f}",
        "real-time factor in CPU time": f"{cpu / seconds:.4f}",
        f"CPU time over what two idle cores have for {LIMIT_SHARE}": f"{cpu / seconds / LIMIT_SHARE / 2:.2f}",
        "of it reading the file": f"{cpu_loading / cpu:.2f}",
        f"level normalization, of a call with {SHORT_SECONDS} s": f"{level_seconds / short_seconds:.4f}",
    }
    print(f"| measured with {torch.get_num_threads()} threads | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
