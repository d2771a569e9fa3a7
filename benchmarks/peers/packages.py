"""Install peers, pinned, each into a folder of its own; nothing enters Bilabial's environment.

A finished folder is kept and used again as long as its pins are the same.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

OPENFACEFX = ("openfacefx==0.24.0", "numpy==2.3.5")
PYLIPSYNC = ("pylipsync==0.2.1", "librosa==0.11.0", "numpy==2.3.5")
HEADAUDIO = "@met4citizen/headaudio@0.1.0"
PINS = "pins.txt"  # in a finished folder


class PeerError(RuntimeError):
    """A peer could not be installed or run; the text is one sentence for the reader of the table."""


def install_python(pins: Sequence[str], folder: Path) -> Path:
    """The interpreter of a virtual environment with these pins, recreated if `folder` has others.

    Raises PeerError.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not _finished(folder, pins):
        _call(pins[0], [sys.executable, "-m", "venv", "--clear", str(folder)])
        _call(pins[0], [str(python), "-m", "pip", "install", "--quiet", "--retries", "1", *pins])
        (folder / PINS).write_text("\n".join(pins))
    return python


def install_node(pin: str, folder: Path) -> Path:
    """The folder of a package that npm installed. Raises PeerError, also where there is no npm."""
    if not _finished(folder, [pin]):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _call(pin, ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", pin])
        (folder / PINS).write_text(pin)
    return folder / "node_modules" / pin.rpartition("@")[0]


def _finished(folder: Path, pins: Sequence[str]) -> bool:
    return (folder / PINS).is_file() and (folder / PINS).read_text() == "\n".join(pins)


def _call(pin: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise PeerError(f"{pin} could not be installed: {command[0]} cannot be started.") from error
    if done.returncode:
        raise PeerError(f"{pin} could not be installed: {last_error(done.stdout + done.stderr)}.")


def last_error(output: str) -> str:
    """The line of a program's output that names what went wrong, without its full stop."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["it gave no reason"]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1]).rstrip(".")
