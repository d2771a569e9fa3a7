"""Arguments of train.py: the command line over a preset over defaults, and the record of them in a run's
folder.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from datasets import Dataset
from transformers import HfArgumentParser

from bilabial.errors import UserError
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.io.files import write_atomically
from bilabial.io.tables import read_object
from bilabial.training.fit.checkpoints import check_model_folder
from bilabial.training.old_names import current_arguments, current_options

PRESETS = Path(__file__).resolve().parents[4] / "train" / "presets"  # of a checkout
LEAST = {"batch_size": 1, "max_steps": 1, "eval_steps": 1, "window_seconds": 0.1}
# Arguments that do not change what a run computes; the data are identified by their rows
FREE = ("dataset", "output", "stop_after_steps", "num_workers")


@dataclass
class TrainArguments:
    dataset: list[str] = field(
        metadata={"help": "Folders or Hub ids of data sets made by prepare.py or pseudo_label.py."}
    )
    output: Path = field(metadata={"help": "Folder of the run: checkpoints, logs and the model."})
    preset: str | None = field(
        default=None,
        metadata={
            "help": "Name in train/presets, or path of a .json file; left out: finetune with --init_from, "
            "else default."
        },
    )
    calibration: Path | None = field(
        default=None, metadata={"help": "The JSON that calibrate.py wrote; it overrides the preset."}
    )
    audio_encoder: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder of a wav2vec2, hubert, wavlm or whisper to build upon."},
    )
    freeze_encoder: bool = field(
        default=False,
        metadata={"help": "Do not train a pretrained encoder: faster, and less overfitting on little data."},
    )
    only_emotions: bool = field(
        default=False,
        metadata={"help": "Train only the weights that multiply an emotion; neutral speech does not change."},
    )
    encoder_learning_rate: float = field(
        default=3e-4, metadata={"help": "Peak rate of a built-in encoder that starts from weights."}
    )
    audio_encoder_learning_rate: float = field(
        default=2e-5, metadata={"help": "Its peak rate: that of HuBERT's authors (fairseq, base_10h.yaml)."}
    )
    init_from: str | None = field(
        default=None,
        metadata={"help": "Model to start from: 'default' (the embedded one), a folder or a Hub id."},
    )
    retention_share: float = field(
        default=0.0,
        metadata={
            "help": "Share of windows for learning without forgetting: the initial model gives their "
            "labels, in old styles and emotions; 1 = distillation, in all its styles."
        },
    )
    distillation_weight: float = field(
        default=0.0,
        metadata={"help": "Weight of distillation from a phone recognizer (needs hama==1.7.0); 0 = none."},
    )
    whisper_teacher: str | None = field(
        default=None,
        metadata={
            "help": "Hub id or folder of a Whisper to distill from as well, such as openai/whisper-base."
        },
    )
    pseudo_label_weight: float = field(
        default=0.5, metadata={"help": "Weight of a pseudo-labeled frame; a captured one has 1."}
    )
    emotion_share: float = field(
        default=0.6,
        metadata={
            "help": "Share of neutral windows that get an emotion missing in the data, by the prior "
            "(emotions.py); 0 = none."
        },
    )
    articulation_prior: bool = field(
        default=True,
        metadata={
            "help": "Give labels what no capture shows: the tongue at th, the lower lip under the teeth at f "
            "and v (bilabial.articulation), in rows with phones."
        },
    )
    music: Path | None = field(
        default=None,
        metadata={
            "help": "Folder of music without singing, for windows of music with a resting face and of "
            "speech with music behind it. Half of the music in training is synthetic, without a"
            " folder all of it."
        },
    )
    default_share: float = field(
        default=0.5,
        metadata={
            "help": "Share of windows of a named style that are labeled as the default style, which so "
            "becomes the average of all."
        },
    )
    max_steps: int = field(
        default=5000, metadata={"help": "Optimizer steps: about an hour on two CPU cores."}
    )
    batch_size: int = field(default=16, metadata={"help": "Windows per process and step."})
    window_seconds: float = field(
        default=2.4, metadata={"help": "Length of a window; several times the model's reach."}
    )
    learning_rate: float = field(default=1e-3, metadata={"help": "Peak rate; warmed up, then a cosine to 0."})
    warmup_steps: int = field(default=200, metadata={"help": "Steps to the peak rate."})
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's, on matrices only."})
    max_grad_norm: float = field(default=1.0, metadata={"help": "Gradients are scaled down to this norm."})
    augment: bool = field(
        default=True, metadata={"help": "Augment windows: gain, noise, tilt, formants, tempo."}
    )
    eval_steps: int = field(default=500, metadata={"help": "Steps between validations and checkpoints."})
    patience: int = field(
        default=0,
        metadata={
            "help": "Stop after so many validations without a lower loss and keep the best checkpoint; "
            "0 = never, keep the last."
        },
    )
    precision: Literal["auto", "bf16", "fp32"] = field(
        default="auto",
        metadata={
            "help": "Precision of forward and backward; auto = bf16 with `accelerate launch "
            "--mixed_precision bf16` or on a GPU that supports it."
        },
    )
    compile: bool = field(
        default=False,
        metadata={"help": "Use torch.compile, which pays off on a GPU; needs a C++ compiler."},
    )
    num_workers: int = field(default=1, metadata={"help": "Processes that prepare windows."})
    seed: int = field(default=0, metadata={"help": "Seed of weights, windows and dropout."})
    stop_after_steps: int | None = field(
        default=None, metadata={"help": "Stop at this step; the same command resumes."}
    )


def parse_arguments(argv: list[str]) -> tuple[TrainArguments, dict]:
    """Command line over preset over defaults: the arguments, and the preset's fields of the configuration."""
    argv = current_arguments(argv)
    selector = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    selector.add_argument("--preset")
    selector.add_argument("--init_from", "--init-from")  # HfArgumentParser takes both spellings
    selected = selector.parse_known_args(argv)[0]
    name = selected.preset or ("finetune" if selected.init_from else "default")
    path = Path(name) if name.endswith(".json") else PRESETS / f"{name}.json"
    if not path.is_file():
        names = sorted(preset.stem for preset in PRESETS.glob("*.json"))
        raise UserError("preset_name", got=name, accepted=names)
    preset = current_options(read_object(path), str(path))
    model_fields = preset.pop("model", {})
    for keys, owner in ((preset, TrainArguments), (model_fields, BilabialConfig)):
        unknown = sorted(set(keys) - {known.name for known in fields(owner)})
        if unknown:
            raise UserError("preset_fields", path=path, names=unknown, owner=owner.__name__)
    parser = HfArgumentParser(TrainArguments)
    parser.set_defaults(**{"preset": name, **preset})
    args = parser.parse_args_into_dataclasses(argv)[0]
    for name, least in LEAST.items():
        if getattr(args, name) < least:
            raise UserError("option_least", option=f"--{name}", low=least, got=getattr(args, name))
    return args, model_fields | (read_calibration(args.calibration) if args.calibration else {})


def read_calibration(path: Path) -> dict:
    """The fields of the configuration that calibrate.py wrote. Raises UserError for another file."""
    try:
        calibration = dict(json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError("calibration_file", path=path, error=error) from error
    unknown = sorted(set(calibration) - {known.name for known in fields(BilabialConfig)})
    if unknown:
        raise UserError("calibration_fields", path=path, names=unknown)
    return calibration


def precision_of(args: TrainArguments, gpu_has_bf16: bool) -> Literal["bf16", "fp32"]:
    """The precision that "auto" selects. Raises UserError for another precision of `accelerate launch`."""
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")  # "no" is also its default
    if launched not in ("no", "bf16"):
        raise UserError("precision_launched", got=launched)
    if args.precision != "auto":
        return args.precision
    return "bf16" if launched == "bf16" or gpu_has_bf16 else "fp32"


def check_compiler(args: TrainArguments) -> None:
    """Raise UserError when --compile is given and there is no compiler for the code that it generates."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if args.compile and shutil.which(compiler) is None:
        raise UserError("compiler_missing", name=compiler)


def fingerprint_of_rows(rows: Mapping[str, Dataset]) -> str:
    """Identifies the rows of a run: their number, and a checksum of ids, sources, emotions, styles and
    offsets.
    """
    columns = ["id", "fps", "source", "license", "emotion", "intensity", "style", "av_offset_ms"]
    digest = hashlib.sha256()
    for split, of_split in sorted(rows.items()):
        digest.update(split.encode())
        for batch in of_split.select_columns(columns).iter(batch_size=1000):
            digest.update(json.dumps([batch[name] for name in columns]).encode())
    return f"{sum(map(len, rows.values()))} of {digest.hexdigest()[:12]}"


def check_same_run(
    args: TrainArguments, model_fields: dict, num_processes: int, rows: Mapping[str, Dataset]
) -> None:
    """Raise UserError when OUTPUT holds a run with other arguments or rows, which cannot be resumed.

    Also when it holds files of no run, which this run would replace.
    """
    check_model_folder(args.output / "model")
    facts = {"model": model_fields, "num_processes": num_processes, "rows": fingerprint_of_rows(rows)}
    record = json.dumps(asdict(args) | facts, default=str, indent=2)
    path = args.output / "arguments.json"
    if not path.is_file():
        if (args.output / "checkpoints").exists():
            raise UserError("run_unknown", path=args.output / "checkpoints")
        args.output.mkdir(parents=True, exist_ok=True)
        write_atomically(path, record)
        return
    before, now = json.loads(path.read_text()), json.loads(record)
    before = current_options(before, str(path))
    changed = [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in before | now
        if key not in FREE and before.get(key) != now.get(key)
    ]
    if changed:
        raise UserError("run_other", path=args.output, changed=changed)
