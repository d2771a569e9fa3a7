"""Which runtime a model runs on: its ONNX files where there are any, else torch.

ONNX files of a model are made once and kept in the user's cache, under a key of the model and of the code
that makes them: another model or version makes its own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bilabial.checkpoint import checkpoint_file, weights_sha256
from bilabial.errors import UserError, as_path
from bilabial.runtime.animator import OnnxAnimator
from bilabial.runtime.settings import SETTINGS_FILE

if TYPE_CHECKING:
    from bilabial.animator import Animator

RUNTIMES = ("onnx", "torch")
PACKAGE = Path(__file__).parents[1]
# code that ONNX files depend on
GRAPH_CODE = ("hub/*.py", "runtime/*.py", "head_motion.py", "incremental.py", "streaming.py")


def open_animator(
    source: str | None = None,
    runtime: str | None = None,
    on_message: Callable[[str], None] | None = None,
) -> Animator | OnnxAnimator:
    """A model on a runtime.

    source: a folder of `bilabial export onnx`, or as for `load_checkpoint`. runtime: of RUNTIMES; "onnx"
    makes the files where they are missing, in a minute. None = onnx where they are there, else torch.
    ONNX Runtime computes a call in one thread. on_message: takes a line about files that are made. Raises
    UserError, also for torch with a folder of ONNX files.
    """
    if runtime not in (None, *RUNTIMES):
        raise UserError("runtime", accepted=RUNTIMES, got=runtime)
    given = as_path(source) if source is not None and (as_path(source) / SETTINGS_FILE).is_file() else None
    if given is not None and runtime == "torch":
        raise UserError("runtime_torch", path=given)
    folder = given or (None if runtime == "torch" else onnx_cache_folder(source))
    if folder is not None and runtime == "onnx" and not (folder / SETTINGS_FILE).is_file():
        _make(source, folder, on_message)
    if folder is not None and (folder / SETTINGS_FILE).is_file() and (given or runtime or _has_onnxruntime()):
        return OnnxAnimator(folder, num_threads=1)
    return _on_torch(source)


def open_for_streams(
    source: str | None = None, runtime: str | None = None, on_message: Callable[[str], None] | None = None
) -> Animator | OnnxAnimator:
    """As `open_animator`, for a process of its own: there torch, too, computes a call in one thread.

    So streams do not wait for each other. It sets the number of threads of the whole process.
    """
    animator = open_animator(source, runtime, on_message)
    if not isinstance(animator, OnnxAnimator):
        import torch

        torch.set_num_threads(1)
    return animator


def onnx_cache_folder(source: str | Path | None = None) -> Path:
    """The folder in the user's cache for the ONNX files of a model, which may not exist yet.

    source, errors: as of `load_checkpoint`.
    """
    key = hashlib.sha256(weights_sha256(source).encode())
    paths = sorted(path for pattern in GRAPH_CODE for path in PACKAGE.glob(pattern))
    for path in (checkpoint_file(source, "config.json"), *paths):
        key.update(path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "bilabial" / "onnx" / key.hexdigest()[:16]


def _make(source: str | None, folder: Path, on_message: Callable[[str], None] | None) -> None:
    try:
        from bilabial.runtime.export import export_onnx
    except ImportError as error:
        raise UserError("onnx_packages", error=error) from error
    if on_message:
        on_message(f"the model is written as ONNX into {folder}, once")
    export_onnx(source, folder, ["fp32"])


def _has_onnxruntime() -> bool:
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return False
    return True


def _on_torch(source: str | None) -> Animator:
    from transformers.utils.logging import disable_progress_bar

    from bilabial.animator import Animator

    disable_progress_bar()
    return Animator.from_pretrained(source)
