"""Checkpoints of a run and its final model, each folder written atomically.

A checkpoint is written beside the others as `partial` and then renamed, and only after that the one before is
removed: whenever a run is killed, the newest `step_*` is complete.
"""

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from accelerate import Accelerator
from safetensors import SafetensorError

from bilabial.checkpoint import save_checkpoint
from bilabial.errors import UserError
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.files import replace_folder
from bilabial.training.data.sources import Source, write_sources

PARTIAL, PROGRESS = "partial", "progress.json"


@dataclass
class Progress:
    """Progress of a run: steps made, and when the validation loss was lowest."""

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf

    def note(self, loss: float) -> None:
        """Record a validation loss measured at this step."""
        if loss < self.best_loss:
            self.best_step, self.best_loss = self.step, loss


def folder_of(folder: Path, step: int) -> Path:
    return folder / f"step_{step:07d}"


def save_state(accelerator: Accelerator, folder: Path, progress: Progress, keep_best: bool = False) -> None:
    """Write a checkpoint, then remove the others, except the best one when asked to.

    Raises ValueError when it cannot be written; earlier checkpoints stay.
    """
    partial, target = folder / PARTIAL, folder_of(folder, progress.step)
    try:
        accelerator.save_state(str(partial))
        if accelerator.is_main_process:
            (partial / PROGRESS).write_text(json.dumps(asdict(progress)))
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors have their own
        if accelerator.is_main_process:
            shutil.rmtree(partial, ignore_errors=True)
        last = newest(folder)
        parameters = {"path": folder, "step": progress.step, "error": str(error).splitlines()[0]}
        if last:
            raise UserError("checkpoint_failed", **parameters, last=last.step) from error
        raise UserError("checkpoint_first", **parameters) from error
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        partial.rename(target)
        needed = {target, folder_of(folder, progress.best_step)} if keep_best else {target}
        for old in set(folder.glob("step_*")) - needed:
            if (old / PROGRESS).is_file():
                shutil.rmtree(old)
    accelerator.wait_for_everyone()


def newest(folder: Path) -> Progress | None:
    """The checkpoint to resume from, or None."""
    saved = sorted(folder.glob("step_*"))
    return Progress(**json.loads((saved[-1] / PROGRESS).read_text())) if saved else None


def resume(accelerator: Accelerator, folder: Path) -> Progress:
    """Load the newest checkpoint, if any, and remove the unfinished files of a killed run."""
    if accelerator.is_main_process:
        shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    accelerator.wait_for_everyone()
    progress = newest(folder)
    if progress is None:
        return Progress()
    accelerator.load_state(str(folder_of(folder, progress.step)))
    accelerator.print(f"resumed at step {progress.step}")
    return progress


def replace_model(model: BilabialModel, sources: list[Source], folder: Path) -> None:
    """Write a model that AutoModel loads, with its sources, replacing the folder's content.

    A complete model exists at any time, where the file system can exchange two names. Raises OSError or
    SafetensorError when it cannot be written, and ValueError where the folder holds something else; the old
    content stays.
    """
    check_model_folder(folder)
    partial = folder.with_name(f"{folder.name}.{PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        save_checkpoint(model, BilabialFeatureExtractor(), partial)
        write_sources(partial, sources)
    except (OSError, SafetensorError):
        shutil.rmtree(partial, ignore_errors=True)
        raise
    replace_folder(folder, partial)


def check_model_folder(folder: Path) -> None:
    """Raise UserError where `replace_model` would remove something that is not a Bilabial model."""
    for path in (folder, folder.with_name(f"{folder.name}.{PARTIAL}")):
        if path.exists() and not is_model(path):
            raise UserError("output_not_model", path=path)


def is_model(folder: Path) -> bool:
    """Whether a folder is empty or holds a Bilabial model, finished or not."""
    if not folder.is_dir():
        return False
    try:
        return json.loads((folder / "config.json").read_text())["model_type"] == BilabialConfig.model_type
    except (OSError, ValueError, LookupError, TypeError):  # its code is written before its config
        return all(path.name.endswith("_bilabial.py") for path in folder.iterdir())
