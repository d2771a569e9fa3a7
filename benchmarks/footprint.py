"""Memory of training: the real trainer on data several times larger than its limit.

    python -m benchmarks.footprint --dataset data/grid --copies 1 30 --limit_mb 1024

Writes a data set of so many copies of the rows, a shard each, and runs train/train.py (preset tiny) on it
from an empty cache, with RLIMIT_DATA at the limit: the kernel refuses a process more private writable memory
than that (VmData), touched or only reserved. Pages of mapped files do not count, the kernel can drop them.
RssAnon is what was touched of it, RSS counts the mapped pages as well. The last run is the counter-check:
there `datasets` copies the rows into memory. Linux only.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow
import pyarrow.parquet

TRAIN = Path(__file__).resolve().parents[1] / "train" / "train.py"
MEGABYTE = 2**20
PERIOD_SECONDS = 0.02
FRUGAL = {"ARROW_DEFAULT_MEMORY_POOL": "system"}  # Arrow's own allocator reserves 1 GB that it does not use
IN_MEMORY = {"HF_DATASETS_IN_MEMORY_MAX_SIZE": str(2**50)}


def write_copy(given: pyarrow.parquet.ParquetFile, copy: int, target: Path) -> None:
    """The rows of a shard under ids of their own, a row group at a time."""
    with pyarrow.parquet.ParquetWriter(target, given.schema_arrow) as writer:
        for group in range(given.num_row_groups):
            table = given.read_row_group(group)
            ids = pyarrow.array([f"{one}/{copy}" for one in table["id"].to_pylist()])
            writer.write_table(table.set_column(table.schema.get_field_index("id"), "id", ids))


def write_copies(dataset: Path, copies: int, folder: Path) -> int:
    """FOLDER/data with the rows of a data set so many times, under ids of their own; returns its bytes."""
    target = folder / "data"
    target.mkdir(parents=True)
    for split, times in (("train", copies), ("validation", 1)):
        given = sorted((dataset / "data").glob(f"{split}-*.parquet"))
        shards = [(path, copy) for copy in range(times) for path in given]
        for number, (path, copy) in enumerate(shards):
            name = target / f"{split}-{number:05d}-of-{len(shards):05d}.parquet"
            write_copy(pyarrow.parquet.ParquetFile(path), copy, name)
    return sum(path.stat().st_size for path in target.iterdir())


def status_mb(pid: int, field: str) -> float:
    """A field of /proc/PID/status; 0 when the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def watch(run: subprocess.Popen) -> dict[str, float]:
    """The most memory of any one of the trainer's processes until it ends, in MB by field of its status."""
    peaks = dict.fromkeys(("RssAnon", "VmData", "VmRSS"), 0.0)
    while run.poll() is None:
        try:
            workers = [process.pid for process in psutil.Process(run.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            workers = []
        for field, peak in peaks.items():
            peaks[field] = max(peak, *(status_mb(pid, field) for pid in (run.pid, *workers)))
        time.sleep(PERIOD_SECONDS)
    return peaks


def train(data: Path, folder: Path, args: argparse.Namespace, environment: dict[str, str]) -> str:
    """Cells of the table: what a run on this data set took, and how it ended."""
    command = [sys.executable, TRAIN, "--dataset", data, "--preset", "tiny", "--output", folder / "run"]
    command += ["--max_steps", args.steps, "--eval_steps", args.steps, "--batch_size", args.batch_size]
    command += ["--num_workers", args.workers]
    bound = (round(args.limit_mb * MEGABYTE),) * 2
    environment |= FRUGAL | {"HF_HOME": str(folder / "cache"), "ACCELERATE_USE_CPU": "true"}
    with (folder / "log").open("w+") as log:
        run = subprocess.Popen(
            [str(word) for word in command], stdout=log, stderr=log, env=os.environ | environment,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, bound),
        )  # fmt: skip
        peaks = watch(run)
        log.seek(0)
        said = [line for line in log.read().splitlines() if line.strip()]
    ended = f"{args.steps} steps, model written" if run.returncode == 0 else said[-1][:100]
    arrow = sum(path.stat().st_size for path in (folder / "cache").rglob("*.arrow")) / MEGABYTE
    return f"{arrow:.0f} | {peaks['RssAnon']:.0f} | {peaks['VmData']:.0f} | {peaks['VmRSS']:.0f} | {ended} |"


def measure(args: argparse.Namespace, copies: int, in_memory: bool) -> str:
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        size = write_copies(args.dataset, copies, Path(folder) / "set") / MEGABYTE
        cells = train(Path(folder) / "set", Path(folder), args, IN_MEMORY if in_memory else {})
    return f"| {size:.0f}{' (copied into memory)' if in_memory else ''} | {cells}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True, help="folder made by prepare.py")
    parser.add_argument(
        "--copies", type=int, nargs="+", default=[1, 30], help="of its rows, one run for each"
    )
    parser.add_argument("--limit_mb", type=float, required=True, help="RLIMIT_DATA of each process")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1, help="loader processes")
    parser.add_argument("--scratch", type=Path, help="folder for data and caches, 2.2 times the data on disk")
    args = parser.parse_args()
    print(f"Limit {args.limit_mb:.0f} MB for each process; the most of any process in MB:\n")
    print("| Parquet | Arrow | RssAnon | VmData | RSS | end |\n|---|---|---|---|---|---|")
    for copies, in_memory in [*((count, False) for count in args.copies), (max(args.copies), True)]:
        print(measure(args, copies, in_memory), flush=True)


if __name__ == "__main__":
    main()
