"""ONNX files beside torch, on one thread of one run: size, difference, speed and cold start.

python benchmarks/runtimes.py [--model FOLDER] [--sounds FOLDER] [--onnx FOLDER]
    [--dataset FOLDER --phones FILE]          # the figures of films, too

Times are CPU seconds, the least of several runs: they say little of this machine and much of the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import numpy as np
import torch

from bilabial.animator import Animator
from bilabial.hub.blendshapes_bilabial import SEALED_MM
from bilabial.io.audio import load_audio
from bilabial.runtime.animator import OnnxAnimator
from bilabial.runtime.export import export_onnx
from bilabial.runtime.settings import graph_file

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "src" / "bilabial" / "examples"
SOUNDS = (".flac", ".wav", ".mp3", ".mkv", ".mp4")
REPEATS, PIECE = 7, 1600
FIGURES = (
    "lip_corr", "mouth_mae_centered", "channel_corr", "bilabial_closure", "vowel_false_closure", "youden_j",
    "closure_auc", "width_r", "width_contrast",
)  # fmt: skip
COLD = {
    "torch": "from bilabial.animator import Animator as A; A.from_pretrained({model!r})({sound!r})",
    "onnx": "from bilabial.runtime.animator import OnnxAnimator as A; "
    "A({folder!r}, {precision!r}, 1)({sound!r})",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="folder or Hub id; left out: the embedded model")
    parser.add_argument("--sounds", type=Path, default=EXAMPLES, help="folder of sound or video files")
    parser.add_argument("--dataset", help="of train/prepare.py: its validation split is measured, too")
    parser.add_argument(
        "--phones", type=Path, help="phone times of the data set, as train/evaluate.py takes them"
    )
    parser.add_argument("--onnx", type=Path, help="files of `bilabial export onnx`; left out: made now")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        folder = args.onnx or Path(made)
        if args.onnx is None:
            export_onnx(args.model, folder)
        compare(args.model, folder, sorted(p for p in args.sounds.rglob("*") if p.suffix in SOUNDS))
        if args.dataset:
            measure(
                args.model, folder, args.dataset, json.loads(args.phones.read_text()) if args.phones else {}
            )


def compare(model: str | None, folder: Path, paths: list[Path]) -> None:
    """Print the tables of one model."""
    animator = Animator.from_pretrained(model)
    runners = {name: OnnxAnimator(folder, name, 1) for name in OnnxAnimator(folder).settings.precisions}
    print(f"differences to torch on {len(paths)} sounds, and sizes of the two files")
    print("| | MB | largest | mean | lips, mean mm | sealed alike % | stream, largest |")
    print("|---|---|---|---|---|---|---|")
    sounds = [load_audio(path) for path in paths]
    for name, runner in runners.items():
        sizes = [f"{(folder / graph_file(g, name)).stat().st_size / 1e6:.1f}" for g in ("offline", "step")]
        print(f"| {name} | {' + '.join(sizes)} | " + " | ".join(differences(animator, runner, sounds)) + " |")
    sound = np.concatenate(sounds)[: 16000 * 10]
    print(f"\nCPU time on one thread, % of {len(sound) / 16000:.0f} s of sound (times torch's speed)")
    print("| | whole | in pieces of 0.1 s | with an emotion |\n|---|---|---|---|")
    of_torch: list[float] = []
    for name, each in {"torch": animator, **runners}.items():
        seconds = list(speeds(each, sound))
        of_torch = of_torch or seconds
        shares = [
            f"{100 * own * 16000 / len(sound):.2f} ({torchs / own:.1f}x)"
            for own, torchs in zip(seconds, of_torch, strict=True)
        ]
        print(f"| {name} | " + " | ".join(shares) + " |")
    print("\ncold start to the first animated file: a new process, CPU and wall seconds")
    for name in ("torch", *runners):
        code = COLD["torch" if name == "torch" else "onnx"]
        cpu, wall = cold_start(
            code.format(model=model, folder=str(folder), precision=name, sound=str(paths[0]))
        )
        print(f"{name}: {cpu:.2f} s, {wall:.2f} s")


def measure(model: str | None, folder: Path, dataset: str, notes: dict) -> None:
    """Print the figures of films for each precision, as train/evaluate.py defines them."""
    from bilabial.training.data.schema import load_rows, waveform_of
    from bilabial.training.evaluation.clip_figures import clip_metrics, read_clip, summarize

    animator, rows = Animator.from_pretrained(model), load_rows(dataset, "validation")
    clips = [(waveform_of(row), read_clip(row, notes)) for row in rows]
    runners = {name: OnnxAnimator(folder, name, 1) for name in OnnxAnimator(folder).settings.precisions}
    print(f"\n{len(clips)} films: lips, mouth shapes and closures\n| | {' | '.join(FIGURES)} |")
    print("|---" * (len(FIGURES) + 1) + "|")
    for name, each in {"torch": animator, **runners}.items():
        results = []
        for waveform, clip in clips:
            values = each((16000, waveform), fps=clip.fps, motion=()).values
            results.append(clip_metrics(clip, values, animator.model))
        summary = summarize(results)
        print(f"| {name} | {' | '.join(f'{summary[key]:.4f}' for key in FIGURES)} |", flush=True)


def differences(animator: Animator, runner: OnnxAnimator, sounds: list[np.ndarray]) -> Iterator[str]:
    """Largest and mean difference of coefficients, of lips in mm, frames sealed alike, and in a stream."""
    apart, lips, alike, streamed = [], [], [], 0.0
    for sound in sounds:
        wanted = animator((16000, sound), "happy", motion=())
        given = runner((16000, sound), "happy", motion=())
        apart.append(np.abs(given.values - wanted.values))
        pair = (wanted.lip_distance_mm(), given.lip_distance_mm())
        lips.append(np.abs(pair[0] - pair[1]))
        alike.append((pair[0] < SEALED_MM) == (pair[1] < SEALED_MM))
    for piece in (160, 320, 1600, 1009):
        faces = [in_pieces(each, sounds[0], piece) for each in (animator, runner)]
        streamed = max(streamed, float(np.abs(faces[0] - faces[1]).max()))
    apart, lips, alike = map(np.concatenate, (apart, lips, alike))
    yield from (
        f"{apart.max():.1e}",
        f"{apart.mean():.1e}",
        f"{lips.mean():.4f}",
        f"{100 * alike.mean():.2f}",
    )
    yield f"{streamed:.1e}"


def in_pieces(animator: Animator | OnnxAnimator, sound: np.ndarray, piece: int, **options) -> np.ndarray:
    stream = animator.stream(motion=(), **options)
    frames = [stream.feed(sound[start : start + piece]) for start in range(0, len(sound), piece)]
    return np.concatenate([*frames, stream.finish()])


def speeds(animator: Animator | OnnxAnimator, sound: np.ndarray) -> Iterator[float]:
    """CPU seconds of a whole clip, of a stream, and of a whole clip with an emotion."""
    rng = np.random.default_rng(0)

    def other_sound() -> tuple[int, np.ndarray]:  # torch caches the states of a sound
        return 16000, np.roll(sound, rng.integers(len(sound)))

    yield least(lambda: animator(other_sound(), motion=()))
    yield least(lambda: in_pieces(animator, sound, PIECE))
    yield least(lambda: animator(other_sound(), "happy", motion=()))


def least(action: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def cold_start(code: str) -> tuple[float, float]:
    """CPU and wall seconds of a new interpreter, the least of three."""
    runs = []
    for _ in range(3):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        runs.append((cpu, time.perf_counter() - start))
    return min(run[0] for run in runs), min(run[1] for run in runs)


if __name__ == "__main__":
    main()
