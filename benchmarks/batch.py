"""How fast a batch of dialogue is made, end to end: times real time, and memory over its course.

python -m benchmarks.batch [--lines 400] [--workers 2] [--format csv]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

import bilabial
from bilabial.io.audio import encode_wav, load_audio

SECONDS = 3
EXAMPLES = Path(bilabial.__file__).parent / "examples"


def write_dialogue(folder: Path, num_lines: int) -> None:
    """Lines of 3 s, each another stretch of the examples at another level."""
    speech = np.concatenate([load_audio(path) for path in sorted(EXAMPLES.glob("*.flac"))])
    rng = np.random.default_rng(0)
    for number in range(num_lines):
        start = rng.integers(len(speech) - SECONDS * 16000)
        sound = speech[start : start + SECONDS * 16000] * rng.uniform(0.3, 1.0)
        path = folder / f"act {number % 10}" / f"line {number:05d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_wav(sound))


def watch(process: psutil.Popen, sizes: list[float], output: Path) -> None:
    """Every second: lines that are made, and megabytes of the command and its workers together."""
    while process.poll() is None:
        try:
            family = [process, *process.children(recursive=True)]
            megabytes = sum(one.memory_info().rss for one in family) / 2**20
        except psutil.NoSuchProcess:
            continue
        sizes.append((len(list(output.rglob(".bilabial/**/*.json"))), round(megabytes)))
        time.sleep(1)


def cpu_seconds() -> float:
    """Of all processes that ended, those of this one and their own."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(folder: Path, output: Path, args: argparse.Namespace) -> tuple[float, list[tuple[int, int]], dict]:
    """Seconds of one run of the command, its memory, and its summary."""
    command = [sys.executable, "-m", "bilabial", "batch", str(folder), "-o", str(output), "--json"]
    command += ["--format", args.format, "--workers", str(args.workers)]
    start, sizes = time.perf_counter(), []
    process = psutil.Popen(command, stdout=subprocess.PIPE, text=True)
    watcher = threading.Thread(target=watch, args=(process, sizes, output))
    watcher.start()
    summary = json.loads(process.communicate()[0])
    watcher.join()
    return time.perf_counter() - start, sizes, summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--format", default="csv")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_dialogue(Path(folder, "dialogue"), args.lines)
        made, sizes, summary = run(Path(folder, "dialogue"), Path(folder, "out"), args)
        cpu = cpu_seconds()
        kept, _, again = run(Path(folder, "dialogue"), Path(folder, "out"), args)
    assert (summary["made"], again["kept"]) == (args.lines, args.lines)
    working = [megabytes for count, megabytes in sizes if count]
    early, late = (np.median(part) for part in np.array_split(working, 2))
    rows = {
        f"{args.lines} lines of {SECONDS} s, {args.format}, {args.workers} workers": f"{made:.1f} s",
        "times real time, end to end": f"{args.lines * SECONDS / made:.0f}",
        "the same if other programs left the cores alone": f"{args.lines * SECONDS / cpu * args.workers:.0f}",
        "the same with nothing to do": f"{kept:.1f} s",
        "memory of all processes, first half": f"{early:.0f} MB",
        "second half": f"{late:.0f} MB",
        "lines with findings": summary["with_findings"],
    }
    print("| | |\n|---|---|")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
