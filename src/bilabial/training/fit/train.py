"""Train Bilabial on a data set made by prepare.py.

A preset is a file of train/presets (or a path) with arguments of this script and, under "model", fields of
the configuration; the command line overrides it. OUTPUT/model is the result, a folder AutoModel loads;
OUTPUT/checkpoints holds the state from which a killed run resumes, with the same result as an uninterrupted
one.
"""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration
from accelerate.utils import ProjectConfiguration, set_seed
from datasets import Dataset, concatenate_datasets
from safetensors import SafetensorError
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import get_cosine_schedule_with_warmup

from bilabial.errors import UserError
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import load_audio
from bilabial.training.data.augmentation import Augmentation, augment
from bilabial.training.data.corpora.take import AUDIO_SUFFIXES
from bilabial.training.data.schema import load_rows
from bilabial.training.data.sources import Source, add_sources, join_sources, sources_of, sources_of_model
from bilabial.training.data.speech_corpora import read_recordings
from bilabial.training.data.windows import ARTICULATION_INPUTS, TrainingOrder, TrainingWindows, collate
from bilabial.training.fit.arguments import (
    TrainArguments,
    check_compiler,
    check_same_run,
    precision_of,
)
from bilabial.training.fit.checkpoints import Progress, folder_of, replace_model, resume, save_state
from bilabial.training.fit.initialization import build_model, load_initial, measure_channels
from bilabial.training.fit.learning_without_forgetting import LearningWithoutForgetting, retained_styles
from bilabial.training.teachers.encoder_distillation import EncoderDistillation

logger = logging.getLogger(__name__)

NEW_STYLE_RATE = 20.0  # factor of the learning rate for the vector of a new style
LOSSES = ("loss", "mse", "closure", "keep_open", "velocity")  # of the validation


def load_splits(args: TrainArguments) -> dict[str, Dataset]:
    """Rows of all data sets, one after another, by split; memory-mapped from files, never in memory.

    Raises UserError when there is nothing to train on, or nothing to stop early by.
    """
    loaded = [load_rows(name) for name in args.dataset]
    names = {name for splits in loaded for name in splits}
    if "train" not in names:
        raise UserError("data_no_training", names=args.dataset)
    if args.patience and "validation" not in names:
        raise UserError("data_no_validation", names=args.dataset)
    return {name: concatenate_datasets([rows[name] for rows in loaded if name in rows]) for name in names}


def load_music(folder: Path) -> tuple[list[np.ndarray], list[Source]]:
    """Recordings (S,) float16 of a folder, level-normalized, and their sources by its metadata.csv.

    Raises UserError where there are no recordings, or none has a source.
    """
    music, sources = [], []
    for piece in read_recordings(folder):
        music.append(load_audio(piece.audio).astype(np.float16))
        sources.append(Source(piece.source, piece.license, 1, len(music[-1]) / SAMPLING_RATE))
    if not music:
        raise UserError("batch_empty", path=folder, accepted=AUDIO_SUFFIXES)
    return music, add_sources(sources)


def build_windows(
    rows: dict[str, Dataset], config: BilabialConfig, args: TrainArguments, music: Sequence[np.ndarray] = ()
) -> tuple[TrainingWindows, TrainingWindows]:
    """Training windows, and deterministic windows of held-out rows."""
    num_frames = round(args.window_seconds * config.frame_rate_hz)
    windows = TrainingWindows(
        rows["train"],
        config,
        num_frames,
        Augmentation() if args.augment else None,
        args.seed,
        args.pseudo_label_weight,
        bool(args.distillation_weight),
        args.emotion_share,
        args.default_share,
        args.articulation_prior,
        music,
    )
    return windows, TrainingWindows(rows.get("validation", rows["train"]), config, num_frames, None)


def build_optimizer(model: torch.nn.Module, args: TrainArguments) -> torch.optim.AdamW:
    """AdamW with several learning rates and weight decay on matrices alone, not on biases, norms, embeddings
    or frozen weights.
    """
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = args.learning_rate
            if "audio_encoder.encoder." in name:
                rate = args.audio_encoder_learning_rate
            elif ".encoder." in name and (args.init_from or args.distillation_weight):
                rate = args.encoder_learning_rate
            elif "style_embedding" in name and args.retention_share:
                rate = NEW_STYLE_RATE * args.learning_rate
            decays = parameter.dim() > 1 and "embedding" not in name and not args.only_emotions
            decay = args.weight_decay if decays else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    options = [{"params": group, "lr": lr, "weight_decay": decay} for (lr, decay), group in groups.items()]
    return torch.optim.AdamW(options, lr=args.learning_rate, betas=(0.9, 0.98))


@torch.no_grad()
def validate(model: torch.nn.Module, loader: DataLoader, accelerator: Accelerator) -> dict[str, float]:
    """Mean losses over the frames of the validation windows, for any number of processes."""
    model = accelerator.unwrap_model(model, keep_torch_compile=False).eval()
    sums = torch.zeros(len(LOSSES) + 1, device=accelerator.device)  # the last is a count of frames
    for batch in loader:
        output = model(**batch)
        losses = {"loss": output.loss, **output.loss_terms}
        means = torch.stack([*(losses[name].float() for name in LOSSES), sums.new_ones(())])
        sums += batch["label_mask"].sum() * means
    model.train()
    *totals, count = accelerator.reduce(sums, "sum").tolist()
    return {f"validation/{name}": total / max(count, 1) for name, total in zip(LOSSES, totals, strict=True)}


def check_finite(values: dict[str, float], step: int, last_saved: int) -> None:
    """Raise UserError when a loss is not finite, before it reaches the weights."""
    for name, value in values.items():
        if not math.isfinite(value):
            if last_saved:
                raise UserError("loss_not_finite", name=name, value=value, step=step, last=last_saved)
            raise UserError("loss_not_finite_first", name=name, value=value, step=step)


def out_of_patience(progress: Progress, args: TrainArguments) -> bool:
    """Whether the validation loss has not improved for --patience validations."""
    waited = progress.step - progress.best_step
    return bool(args.patience) and waited >= args.patience * args.eval_steps


def write_model(
    model: BilabialModel, rows: Dataset, music_sources: list[Source], args: TrainArguments
) -> None:
    """Write OUTPUT/model atomically. Raises UserError when it cannot be written."""
    neutral_retained = args.only_emotions or args.retention_share == 1
    if not neutral_retained or model.config.channel_means is None:
        measure_channels(model, rows)
    earlier = sources_of_model(args.init_from) if args.init_from else []
    folder = args.output / "model"
    try:
        replace_model(model, join_sources([*sources_of(rows), *music_sources], earlier), folder)
    except (OSError, SafetensorError) as error:
        raise UserError("model_failed", path=folder, error=error) from error


def train(args: TrainArguments, model_fields: dict) -> None:
    check_compiler(args)
    on_gpu = torch.cuda.is_available()
    args.precision = precision_of(args, on_gpu and torch.cuda.is_bf16_supported())
    accelerator = Accelerator(
        mixed_precision="bf16" if args.precision == "bf16" else "no",
        dynamo_backend="inductor" if args.compile else None,
        log_with="tensorboard",
        project_config=ProjectConfiguration(project_dir=str(args.output)),
        dataloader_config=DataLoaderConfiguration(even_batches=False, non_blocking=on_gpu),
    )
    processes = accelerator.num_processes
    with accelerator.local_main_process_first():
        rows = load_splits(args)
    with accelerator.main_process_first():
        check_same_run(args, model_fields, processes, rows)
    set_seed(args.seed)
    initial = load_initial(args)
    model = build_model(rows["train"], args, model_fields, initial)
    music, music_sources = load_music(args.music) if args.music else ([], [])
    windows, held_out = build_windows(rows, model.config, args, music)
    distillation = (
        EncoderDistillation(accelerator.device, args.whisper_teacher)
        if args.distillation_weight
        else torch.nn.Identity()
    )
    retention = None
    if args.retention_share:
        styles = retained_styles(initial, rows["train"].unique("style"), args.retention_share)
        retention = LearningWithoutForgetting(initial, styles, args.retention_share, accelerator.device)
    optimizer = build_optimizer(torch.nn.ModuleList([model, distillation]), args)
    # Accelerate steps the schedule once per process and step: its length is counted in those
    schedule = get_cosine_schedule_with_warmup(
        optimizer, args.warmup_steps * processes, args.max_steps * processes
    )
    model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    if args.distillation_weight:
        distillation = accelerator.prepare(distillation)
    accelerator.init_trackers("logs")
    checkpoints = args.output / "checkpoints"
    progress = resume(accelerator, checkpoints)

    last_step = min(args.max_steps, args.stop_after_steps or args.max_steps)
    if out_of_patience(progress, args):
        last_step = progress.step
    options: dict[str, Any] = {
        "batch_size": args.batch_size,
        "collate_fn": collate,
        "num_workers": args.num_workers,
    }
    first, last = (step * args.batch_size * processes for step in (progress.step, last_step))
    order = TrainingOrder(len(windows), args.seed, first, max(first, last))
    loader, held_out_loader = accelerator.prepare(
        DataLoader(windows, sampler=order, pin_memory=on_gpu, **options), DataLoader(held_out, **options)
    )
    saved, shown = progress.step, accelerator.is_main_process
    with tqdm(total=args.max_steps, initial=saved, unit="step", disable=not shown) as bar:
        for batch in loader:
            # seeded per step: a resumed run draws the same numbers as an uninterrupted one
            torch.manual_seed(args.seed + 1000003 * progress.step + accelerator.process_index)
            clean = batch["input_values"]
            if args.augment:
                changes = batch.pop("voices"), batch.pop("changes")
                batch["input_values"] = augment(clean, batch["attention_mask"], *changes)
            if retention:
                batch = retention(batch)
            targets = {name: batch.pop(name) for name in ARTICULATION_INPUTS if name in batch}
            output = model(**batch)
            loss, terms = output.loss, output.loss_terms
            if targets:
                distilled = distillation(output.speech_states, clean, batch["attention_mask"], **targets)
                loss, terms = loss + args.distillation_weight * sum(distilled.values()), terms | distilled
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
            scores = {"loss": loss.detach(), "grad_norm": norm, **terms}
            means = accelerator.reduce(
                torch.stack([value.detach().float() for value in scores.values()]), "mean"
            )
            scores = {f"train/{name}": value for name, value in zip(scores, means.tolist(), strict=True)}
            check_finite(scores, progress.step + 1, saved)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            progress.step += 1
            bar.update()
            accelerator.log(scores, step=progress.step)
            whole = progress.step % args.eval_steps == 0 or progress.step == args.max_steps
            if whole:
                scores = validate(model, held_out_loader, accelerator)
                check_finite(scores, progress.step, saved)
                progress.note(scores["validation/loss"])
                accelerator.log(scores, step=progress.step)
                text = ", ".join(f"{name} {value:.5f}" for name, value in scores.items())
                if accelerator.is_main_process:
                    bar.write(f"step {progress.step}: {text}")
            if whole or progress.step == last_step:
                save_state(accelerator, checkpoints, progress, keep_best=bool(args.patience))
                saved = progress.step
            if out_of_patience(progress, args):
                break
    if progress.step == args.max_steps or out_of_patience(progress, args):
        if args.patience:
            accelerator.load_state(str(folder_of(checkpoints, progress.best_step)))
            accelerator.print(f"the best of {progress.step} steps was {progress.best_step}")
        if accelerator.is_main_process:
            model = accelerator.unwrap_model(model, keep_fp32_wrapper=False, keep_torch_compile=False)
            write_model(model, rows["train"], music_sources, args)
            logger.info(f"wrote {args.output / 'model'}")
    accelerator.end_training()
