"""The scripts of train/, run as users run them or in this process."""

import subprocess
import sys

from bilabial.training.fit import train
from bilabial.training.fit.arguments import parse_arguments
from support.paths import TRAIN


def run(script: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    command = [sys.executable, str(TRAIN / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def launch(*arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    """A real `accelerate launch` on the CPU."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1"]
    command += [str(TRAIN / "train.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def run_here(*options: object) -> None:
    """The training script's main, in this process."""
    train.train(*parse_arguments([str(one) for one in options]))
