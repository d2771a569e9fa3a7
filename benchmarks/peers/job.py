"""The measured process: read a job, animate its clips one after another, write curves and cost.

A job is a JSON file {"clips": [{"id", "wav", "fps", "phones"}, ...]}, a result another one
{"curves": {id: {"times", "names", "values"}}, "seconds": {id: number}, "peak_mb": number}. This file runs in
the peers' environments and therefore needs nothing but Python.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

REPEATS = 3  # the fastest counts, the least disturbed one
PROCESS_STATUS = Path("/proc/self/status")


def peak_mb() -> float:
    """The largest resident memory of this process so far, in MB.

    Linux' VmHWM is asked first, because ru_maxrss also counts the parent that started the process.
    """
    if PROCESS_STATUS.exists():
        lines = dict(line.split(":", 1) for line in PROCESS_STATUS.read_text().splitlines() if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def work(animate: Callable[[dict], dict]) -> None:
    """Run `animate` (a clip of the job -> its curves) over the job named on the command line.

    Loading is over by now; the first clip is animated once before the clock starts, so that what a library
    compiles or reads on first use does not count.
    """
    clips = json.loads(Path(sys.argv[1]).read_text())["clips"]
    animate(clips[0])
    curves, seconds = {}, {}
    for clip in clips:
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            curves[clip["id"]] = animate(clip)
            times.append(time.perf_counter() - start)
        seconds[clip["id"]] = min(times)
    result = {"peak_mb": peak_mb(), "seconds": seconds, "curves": curves}
    Path(sys.argv[2]).write_text(json.dumps(result))
