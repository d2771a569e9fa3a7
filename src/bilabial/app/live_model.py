"""The model as live mode runs it in the browser: ONNX files, made once when the app starts, and kept.

Where they cannot be made (no `onnx` package, no place to write), live mode runs in sessions on the server.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

import bilabial
from bilabial.app.npm import ONNX_RUNTIME
from bilabial.app.player import MICROPHONE, WORKER
from bilabial.checkpoint import live_source
from bilabial.runtime.choice import onnx_cache_folder
from bilabial.runtime.settings import SETTINGS_FILE, graph_file

PRECISION = "int8"  # 3.5 MB to download
FILES = (graph_file("step", PRECISION), SETTINGS_FILE)
ROUTE = "/live-model/{version}/{name}"
MAX_AGE_SECONDS = 30 * 86400  # that a browser keeps them; another version has another address
MAX_BEHIND_SECONDS = 1.5  # that faces may be late for a while; then the server makes them
LOGGER = logging.getLogger(__name__)


def folder() -> Path:
    """Where the files of the embedded model for live use are kept."""
    return onnx_cache_folder(live_source()) / "browser"


def live_props(file_address: str) -> dict:
    """What the page needs to run the model, addresses relative to the page.

    file_address: prefix of the path of a served file.
    """
    return {
        "model": ROUTE[1:].format(version=folder().parent.name, name=""),
        "worker": f"{file_address}{WORKER}",
        "microphone": f"{file_address}{MICROPHONE}",
        "runtime": ONNX_RUNTIME.source(file_address),
        "max_behind_seconds": MAX_BEHIND_SECONDS,
    }


def make() -> None:
    """Make the files where they are missing, in a process of its own: the page stays responsive."""
    made = folder()
    if (made / SETTINGS_FILE).is_file():
        return
    source = str(Path(bilabial.__file__).parents[1])
    paths = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", "bilabial", "export", "onnx", str(made), "--precision", PRECISION]
    command += ["--model", live_source()]
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if hasattr(os, "setpriority"):  # the page comes first
        os.setpriority(os.PRIO_PROCESS, process.pid, 19)
    _, errors = process.communicate()
    if process.returncode:
        reason = (errors.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
        LOGGER.warning("live mode runs on the server, not in browsers: %s", reason)


def serve(request: Request) -> Response:
    """One of FILES; 204 until all are there, which no browser reports as an error."""
    version, name, made = request.path_params["version"], request.path_params["name"], folder()
    if version != made.parent.name or name not in FILES:
        return Response(status_code=404)
    if not (made / SETTINGS_FILE).is_file():  # written last
        return Response(status_code=204, headers={"cache-control": "no-store"})
    return FileResponse(made / name, headers={"cache-control": f"max-age={MAX_AGE_SECONDS}, immutable"})
