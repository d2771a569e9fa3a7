"""Executors of jobs: processes of this machine, or a Ray cluster.

A job writes a file and returns None, or the reason of its failure. It runs in a separate process, so that a
crash or an unexpected error affects no other job. Such a job is tried once more.
"""

import importlib.util
import itertools
import logging
import multiprocessing
import multiprocessing.connection
import os
import pickle
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TypeVar

import bilabial
from bilabial.errors import UserError

DIED = "its worker died"
JOBS_PER_WORKER = 200  # jobs after which a process is replaced: it leaks about 0.1 MB per video

Job = TypeVar("Job")
Function = Callable[[Job], None]
Results = Iterator[tuple[Job, str | None]]


def check_executor(executor: str) -> None:
    """Raises UserError when it is not installed."""
    if executor == "ray" and not importlib.util.find_spec("ray"):
        raise UserError("ray_missing")


def run(
    function: Function[Job],
    jobs: Sequence[Job],
    executor: str,
    num_proc: int,
    log: Path,
    jobs_per_worker: int = JOBS_PER_WORKER,
) -> Results[Job]:
    """Do `function(job)` for each job; yields each finished job with None, or with the reason why it failed
    twice.

    executor: "processes", `num_proc` of them on this machine with their stderr in the file `log`, or "ray":
    on the cluster that $RAY_ADDRESS names, else on one of this machine alone. Function and jobs are pickled.
    jobs_per_worker: jobs after which a process is replaced.
    """
    failed = []
    for job, failure in _run_once(function, jobs, executor, num_proc, log, jobs_per_worker):
        if failure:
            failed.append(job)
        else:
            yield job, None
    yield from _run_once(function, failed, executor, num_proc, log, jobs_per_worker)


def _run_once(
    function: Function[Job],
    jobs: Sequence[Job],
    executor: str,
    num_proc: int,
    log: Path,
    jobs_per_worker: int,
) -> Results[Job]:
    if not jobs:
        return iter(())
    if executor == "ray":
        return _run_on_ray(function, jobs, jobs_per_worker)
    return _run_in_processes(function, jobs, num_proc, log, jobs_per_worker)


def _run_in_processes(
    function: Function[Job], jobs: Iterable[Job], num_proc: int, log: Path, jobs_per_worker: int
) -> Results[Job]:
    # spawn: MediaPipe's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    new_worker = partial(
        ProcessPoolExecutor, 1, context, _start_worker, (log,), max_tasks_per_child=jobs_per_worker
    )
    workers: queue.SimpleQueue[ProcessPoolExecutor] = (
        queue.SimpleQueue()
    )  # one pool per process, to know which job killed its process
    for _ in range(num_proc):
        workers.put(new_worker())

    def do(job: Job) -> tuple[Job, str | None]:
        worker = workers.get()
        try:
            return job, worker.submit(_attempt, function, job).result()
        except BrokenProcessPool:
            worker = new_worker()
            return job, DIED
        finally:
            workers.put(worker)

    try:
        with ThreadPool(num_proc) as threads:
            yield from threads.imap_unordered(do, jobs)
    finally:
        for _ in range(num_proc):
            workers.get().shutdown(cancel_futures=True)


def _run_on_ray(function: Function[Job], jobs: Sequence[Job], jobs_per_worker: int) -> Results[Job]:
    import ray  # an optional extra

    if not ray.is_initialized():
        # workers get this very package
        ray.init(log_to_driver=False, logging_level=logging.WARNING, runtime_env={"py_modules": [bilabial]})
    context = ray.data.DataContext.get_current()
    context.max_errored_blocks = -1  # a block is one job: a dead worker loses no other job
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # no plans and progress; worker deaths are reported

    def do(row: dict) -> dict:
        return {"number": row["number"], "failure": _attempt(function, pickle.loads(row["job"])) or ""}

    rows = [{"number": number, "job": pickle.dumps(job)} for number, job in enumerate(jobs)]
    tasks = ray.data.from_items(rows, override_num_blocks=len(rows))
    left = dict(enumerate(jobs))
    done = tasks.map(do, num_cpus=1, max_calls=jobs_per_worker, ray_remote_args_fn=lambda: {"max_retries": 0})
    for row in done.iter_rows():
        yield left.pop(row["number"]), row["failure"] or None
    yield from zip(left.values(), itertools.repeat(DIED))


def _attempt(function: Function[Job], job: Job) -> str | None:
    """Run a job in this process; returns any error as text."""
    try:
        function(job)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _start_worker(log: Path) -> None:
    """Set up a worker: one thread, stderr of libraries into a file, exit with the parent process.

    There are as many processes as cores (Ray sets the threads of its own workers). MediaPipe prints four
    lines per video; a killed run would leave idle processes.
    """
    import torch  # here: a batch that has nothing to do needs none

    torch.set_num_threads(1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), sys.stderr.fileno())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
