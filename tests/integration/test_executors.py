"""Jobs that fail or kill their process cost themselves alone: on processes and on a local Ray."""

import importlib.util
import os
import subprocess
import sys

import psutil
import pytest
from support.errors import refused

from bilabial.executors import DIED, check_executor, run

pytestmark = pytest.mark.slow

# A module of its own: workers import what they do, and this one is quick to import.
WORK = """
import os, signal

def work(job):
    'A job is a path, .../WHAT_NUMBER: it leaves a file there, or fails in its own way.'
    folder, name = os.path.split(job)
    what = name.split("_")[0]
    with open(os.path.join(folder, "tries"), "a") as tries:
        tries.write(what + " ")
    if what == "dies" or (what == "once" and not os.path.exists(job + ".tried")):
        open(job + ".tried", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raises":
        raise RuntimeError("a decoder's own words")
    with open(job, "w") as made:
        made.write(str(os.getpid()))
"""
NAMES = ("ok_0", "dies_1", "ok_2", "once_3", "raises_4", "ok_5")


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield importlib.import_module("work").work
    sys.modules.pop("work")


@pytest.fixture(params=["processes", "ray"])
def executor(request, work):
    if request.param == "ray":
        ray = pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
        yield "ray"
        ray.shutdown()
    else:
        yield "processes"


def test_a_dead_worker_costs_its_job_alone(tmp_path, work, executor):
    jobs = [str(tmp_path / name) for name in NAMES]
    failures = {os.path.basename(job): why for job, why in run(work, jobs, executor, 2, tmp_path / "log")}
    raised = failures.pop("raises_4")
    assert "RuntimeError: a decoder's own words" in raised
    assert failures == {"ok_0": None, "dies_1": DIED, "ok_2": None, "once_3": None, "ok_5": None}
    assert all((tmp_path / name).exists() is (why is None) for name, why in failures.items())
    tries = (tmp_path / "tries").read_text().split()
    assert tries.count("dies") == tries.count("once") == tries.count("raises") == 2


def test_workers_end_with_the_run_that_started_them(tmp_path):
    """A run that is killed alone, and not with its group, leaves no process behind."""
    script = tmp_path / "script.py"
    script.write_text(
        "import time\nfrom bilabial.executors import run\n"
        "def work(seconds):\n    print('begun', flush=True)\n    time.sleep(seconds)\n"
        "if __name__ == '__main__':\n    list(run(work, [60], 'processes', 1, 'log'))\n"
    )
    process = subprocess.Popen([sys.executable, script], cwd=tmp_path, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"begun\n"
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=30)
    assert gone and not alive


def test_no_jobs(tmp_path):
    assert list(run(print, [], "processes", 2, tmp_path / "log")) == []


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_ray_is_asked_for_by_its_extra():
    with refused("ray_missing") as error:
        check_executor("ray")
    assert "[ray]" in str(error.value)


def test_workers_are_made_anew(tmp_path, work):
    """A process does so many jobs and no more: what it keeps of each does not add up."""
    jobs = [str(tmp_path / f"pid_{k}") for k in range(12)]
    assert all(why is None for _, why in run(work, jobs, "processes", 2, tmp_path / "log", 2))
    pids = [(tmp_path / f"pid_{k}").read_text() for k in range(12)]
    assert max(map(pids.count, pids)) <= 2
