"""Cost of preparing: speed, memory, and recovery from kills.

    python -m benchmarks.prepare speed path/to/clips/*.mp4
    python -m benchmarks.prepare memory path/to/clips/*.mp4 --num_takes 1000
    python -m benchmarks.prepare kills path/to/clips/*.mp4 --num_kills 20

All run train/prepare.py as a user does, on copies of the clips, with two processes.
"""

import argparse
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import psutil

from bilabial.io.capture import decode_frames

ROOT = Path(__file__).resolve().parents[1]

NUM_PROC = 2
CUT_SECONDS = 0.4
MARKS = (50, 100, 250, 500, 750, 1000)  # takes after which memory is read


def source_of(clips: list[Path], folder: Path, num_takes: int | None = None) -> Path:
    """A folder like GRID's with the clips, over and over again under other names until there are enough."""
    (folder / "s0").mkdir(parents=True)
    for number in range(num_takes or len(clips)):
        shutil.copy(clips[number % len(clips)], folder / "s0" / f"take{number:05d}.mp4")
    return folder


def start(source: Path, output: Path) -> subprocess.Popen:
    command = [sys.executable, ROOT / "train" / "prepare.py", "--reader", "grid", "--source", source]
    options = ["--output", output, "--num_proc", NUM_PROC, "--min_score", 0, "--validation_share", 0.3]
    return subprocess.Popen(
        [str(word) for word in (*command, *options)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def speed(clips: list[Path], folder: Path) -> None:
    """Frames per second of two undisturbed cores, from CPU time, so that a busy machine measures the same.

    The cost of starting is measured on one clip and taken off.
    """
    begin = time.process_time()
    frames = [sum(1 for _ in decode_frames(clip)) for clip in clips]
    decoding = time.process_time() - begin
    seconds = []
    for name, some in (("one", clips[:1]), ("all", clips)):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start(source_of(some, folder / name), folder / f"out_{name}").wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    steady = (seconds[1] - seconds[0]) / (sum(frames) - frames[0])
    print(
        f"| {len(clips)} clips, {sum(frames)} frames | frames/s on 2 cores | times decoding |\n|---|---|---|"
    )
    print(f"| decoding alone | {2 * sum(frames) / decoding:.0f} | 1 |")
    print(f"| preparing | {2 / steady:.0f} | {steady * sum(frames) / decoding:.1f} |")
    print(f"\nStarting and writing: {seconds[0] - frames[0] * steady:.1f} s of CPU time.")


def memory(clips: list[Path], folder: Path, num_takes: int) -> None:
    """Resident memory of the run's processes while it prepares clips of 0.4 s."""
    (folder / "cuts").mkdir()
    cuts = [cut(clip, folder / "cuts" / clip.name) for clip in clips]
    output = folder / "out"
    run = start(source_of(cuts, folder / "source", num_takes), output)
    print("| takes done | main process (MB) | largest other (MB) | all (MB) |\n|---|---|---|---|")
    marks = [mark for mark in MARKS if mark <= num_takes]
    while run.poll() is None and marks:
        if len(list((output / ".takes").glob("*.json"))) >= marks[0]:
            main, *others = resident_mb(run.pid)
            print(
                f"| {marks.pop(0)} | {main:.0f} | {max(others):.0f} | {main + sum(others):.0f} |", flush=True
            )
        time.sleep(0.2)
    print(f"\nexit status {run.wait()}")


def resident_mb(pid: int) -> list[float]:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    return [one.memory_info().rss / 1e6 for one in family if one.is_running()]


def cut(clip: Path, target: Path) -> Path:
    """The second half second or so of a clip, re-encoded: 10 frames at 25 fps, and their sound."""
    with av.open(str(clip)) as given, av.open(str(target), "w") as made:
        video, audio = given.streams.video[0], given.streams.audio[0]
        pictures = made.add_stream("libx264", rate=video.average_rate, options={"crf": "18"})
        pictures.width, pictures.height, pictures.pix_fmt = video.width, video.height, "yuv420p"
        sound = made.add_stream("aac", rate=audio.rate, layout="mono")
        for frame in given.decode(video, audio):
            if 0.5 <= frame.time < 0.5 + CUT_SECONDS:
                frame.pts = round((frame.time - 0.5) / frame.time_base)
                stream = pictures if isinstance(frame, av.VideoFrame) else sound
                made.mux(stream.encode(frame))
        made.mux(pictures.encode(None))
        made.mux(sound.encode(None))
    return target


def kills(clips: list[Path], folder: Path, num_kills: int, seed: int) -> None:
    """Kill the run with all its processes at random times; compare its end with an undisturbed run."""
    source = source_of(clips, folder / "source")
    begin = time.monotonic()
    if start(source, folder / "whole").wait():
        raise RuntimeError("the undisturbed run failed")
    seconds, draw, hit = time.monotonic() - begin, random.Random(seed), 0
    while hit < num_kills:
        run = start(source, folder / "killed")
        wait = draw.uniform(0.0, seconds)
        try:
            run.wait(wait)
            shutil.rmtree(folder / "killed")  # it came to its end: from the beginning
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            hit += 1
            kept = len(list((folder / "killed" / ".takes").glob("*.json")))
            print(f"killed after {wait:.1f} s with {kept} takes kept", flush=True)
    start(source, folder / "killed").wait()
    whole, killed = (digests(folder / name / "data") for name in ("whole", "killed"))
    print(f"{len(whole)} files after {hit} kills: {'the same bytes' if whole == killed else 'OTHERS'}")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "memory", "kills"))
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--num_takes", type=int, default=1000)
    parser.add_argument("--num_kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "speed":
            speed(args.clips, Path(folder))
        elif args.what == "memory":
            memory(args.clips, Path(folder), args.num_takes)
        else:
            kills(args.clips, Path(folder), args.num_kills, args.seed)
