"""Train Bilabial on a data set made by prepare.py.

    accelerate launch train/train.py --dataset data/grid --output runs/grid
    accelerate launch train/train.py --dataset data/me --preset patent --output runs/me --max_steps 2000
    accelerate launch train/train.py --dataset data/grid data/taught --preset voices --output runs/voices

A preset is a file of train/presets (or a path) with arguments of this script and, under "model", fields of
the configuration; the command line wins over it. OUTPUT/model is the result, a folder AutoModel loads;
OUTPUT/checkpoints holds what a killed run goes on from, with the same result as an uninterrupted one.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import torch
from accelerate import Accelerator, DataLoaderConfiguration, skip_first_batches
from accelerate.utils import ProjectConfiguration, set_seed
from arguments import TrainArguments, check_same_run, parse_arguments
from datasets import Dataset, concatenate_datasets
from hearing import Hearing
from recogniser import start_from_recogniser
from sources import join_sources, sources_of, sources_of_model, write_sources
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    get_cosine_schedule_with_warmup,
)

from bilabial.augmentation import Augmentation
from bilabial.checkpoint import load_checkpoint, save_checkpoint
from bilabial.data import (
    HEARING_INPUTS,
    PRIOR_MASK,
    TrainingWindows,
    coefficients_of,
    collate,
    load_rows,
    waveform_of,
)
from bilabial.hub.blendshapes_bilabial import EMOTIONS
from bilabial.hub.configuration_bilabial import AUDIO_ENCODERS, BilabialConfig
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.loudness_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel

MEAN_POSE_ROWS = 500  # rows whose mean is the pose that training starts from
CHANNEL_ROWS = 200  # rows that say how the default style moves


def audio_encoder_config(name: str | None) -> PreTrainedConfig | None:
    """Configuration of a pretrained encoder. Raises SystemExit where there is none, or another family's."""
    if name is None:
        return None
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise SystemExit(f"--audio_encoder {name}: {error}") from error
    if config.model_type not in AUDIO_ENCODERS:
        families = ", ".join(AUDIO_ENCODERS)
        raise SystemExit(f"--audio_encoder {name} is a {config.model_type}; supported are {families}")
    return config


def load_audio_encoder(model: BilabialModel, args: TrainArguments) -> None:
    """Fill the pretrained weights in, and freeze them if asked for."""
    pretrained = AutoModel.from_pretrained(args.audio_encoder)  # in half precision, where it is stored so
    if model.audio_encoder.family == "whisper":
        pretrained = pretrained.encoder
    model.audio_encoder.encoder.load_state_dict(pretrained.state_dict())  # in float32, to be trained
    if args.freeze_encoder:
        model.audio_encoder.freeze()


def trained_emotions(captured: set[str], emotion_share: float) -> list[str]:
    """Those of the data, and with a share for the prior all that it has."""
    return [name for name in EMOTIONS if name in captured or emotion_share > 0]


def build_model(rows: Dataset, args: TrainArguments, model_fields: dict) -> BilabialModel:
    """A fresh model for the styles, emotions and channels of the data; it starts from their mean pose."""
    labels = rows.select_columns(["style", "emotion"])
    captured = np.flatnonzero(np.array(rows["face"]) == "captured")
    first = rows.select(captured[:MEAN_POSE_ROWS]).with_format("numpy")
    seen = np.stack(first["channel_mask"]).any(axis=0)
    if args.emotion_share:
        seen = seen | PRIOR_MASK.astype(bool)
    config = BilabialConfig(
        styles=["default", *sorted(set(labels["style"]) - {"default"})],
        trained_emotions=trained_emotions(set(labels["emotion"]), args.emotion_share),
        audio_encoder_config=audio_encoder_config(args.audio_encoder),
        **model_fields,
    )
    config.unseen_blendshapes = [name for name, one in zip(config.blendshapes, seen, strict=True) if not one]
    model = BilabialModel(config)
    if args.audio_encoder:
        load_audio_encoder(model, args)
    mean_pose = np.mean(
        [coefficients_of(row)[np.asarray(row["valid"], bool)].mean(axis=0) for row in first], axis=0
    )
    with torch.no_grad():
        model.head.bias.copy_(torch.from_numpy(mean_pose))
        model.head.weight.mul_(0.1)
    if args.hearing_weight:
        if args.audio_encoder:
            raise SystemExit("--hearing_weight teaches the built-in encoder; give no --audio_encoder with it")
        try:
            start_from_recogniser(model.encoder)
        except ValueError as error:
            raise SystemExit(str(error)) from error
    if args.pretrained:
        load_pretrained(model, args.pretrained)
    if args.freeze_encoder and not args.audio_encoder:
        model.encoder.requires_grad_(False)
    return model


def load_pretrained(model: BilabialModel, name: str) -> None:
    """Start from another Bilabial model of the same sizes; of its styles, those that the data have too."""
    try:
        source = load_checkpoint(name)[0]
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
    state, own = source.state_dict(), model.state_dict()
    odd = [
        key
        for key in own
        if "style_embedding" not in key and getattr(state.get(key), "shape", 0) != own[key].shape
    ]
    if odd:
        raise SystemExit(
            f"{name} has other sizes than this model: {odd[0]}; give the preset it was trained with"
        )
    embedding = own["style_embedding.weight"].clone()
    for index, style in enumerate(model.config.styles):
        if style in source.config.styles and embedding.shape[1] == source.config.style_size:
            embedding[index] = state["style_embedding.weight"][list(source.config.styles).index(style)]
    model.load_state_dict(state | {"style_embedding.weight": embedding})


@torch.no_grad()
def measure_channels(model: BilabialModel, rows: Dataset) -> None:
    """Note in the configuration how the default style moves, which other styles are measured by."""
    model.eval()
    some = rows.select(np.unique(np.linspace(0, len(rows) - 1, CHANNEL_ROWS).round().astype(int)))
    frames = [model.animate(waveform_of(row), SAMPLING_RATE, fps=model.config.frame_rate_hz) for row in some]
    frames = torch.cat(frames)
    model.config.channel_means = [round(value, 5) for value in frames.mean(dim=0).tolist()]
    model.config.channel_spreads = [round(value, 5) for value in frames.std(dim=0).tolist()]


def load_splits(args: TrainArguments) -> dict[str, Dataset]:
    """Rows of all data sets, one after another, by split."""
    try:
        loaded = [load_rows(name) for name in args.dataset]
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from error
    names = {name for splits in loaded for name in splits}
    return {name: concatenate_datasets([rows[name] for rows in loaded if name in rows]) for name in names}


def build_optimizer(model: torch.nn.Module, args: TrainArguments) -> torch.optim.AdamW:
    """AdamW that decays matrices and leaves biases, norms and embeddings alone, in two rates."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = args.learning_rate
            if "audio_encoder.encoder." in name:
                rate = args.audio_encoder_learning_rate
            elif ".encoder." in name and (args.pretrained or args.hearing_weight):
                rate = args.encoder_learning_rate
            decay = args.weight_decay if parameter.dim() > 1 and "embedding" not in name else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    groups = [{"params": group, "lr": lr, "weight_decay": decay} for (lr, decay), group in groups.items()]
    return torch.optim.AdamW(groups, lr=args.learning_rate, betas=(0.9, 0.98))


@torch.no_grad()
def validate(model: torch.nn.Module, loader: DataLoader, accelerator: Accelerator) -> dict[str, float]:
    """Mean loss and loss terms over the validation windows."""
    model.eval()
    sums: dict[str, list[float]] = {}
    for batch in loader:
        output = model(**batch)
        for name, value in {"loss": output.loss, **output.loss_terms}.items():
            sums.setdefault(f"validation/{name}", []).append(
                accelerator.gather_for_metrics(value).mean().item()
            )
    model.train()
    return {name: float(np.mean(values)) for name, values in sums.items()}


def save_state(accelerator: Accelerator, folder: Path, step: int) -> None:
    """Write a checkpoint whole or not at all, then remove the older ones."""
    target, partial = folder / f"step_{step:07d}", folder / "partial"
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        partial.rename(target)
        for old in folder.glob("step_*"):
            if old != target:
                shutil.rmtree(old)
    accelerator.wait_for_everyone()


def main(args: TrainArguments, model_fields: dict) -> None:
    accelerator = Accelerator(
        mixed_precision="bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no",
        log_with="tensorboard",
        project_config=ProjectConfiguration(project_dir=str(args.output)),
        dataloader_config=DataLoaderConfiguration(use_seedable_sampler=True, data_seed=args.seed),
    )
    with accelerator.main_process_first():
        check_same_run(args, model_fields)
    set_seed(args.seed)
    rows = load_splits(args)
    if "train" not in rows:
        raise SystemExit(f"{', '.join(args.dataset)} has no split 'train'; it is for evaluation only")
    model = build_model(rows["train"], args, model_fields)
    config = model.config
    num_frames = round(args.window_seconds * config.frame_rate_hz)
    augmentation = Augmentation() if args.augment else None
    windows = TrainingWindows(
        rows["train"],
        config,
        num_frames,
        augmentation,
        args.seed,
        args.taught_weight,
        bool(args.hearing_weight),
        args.emotion_share,
    )
    held_out = TrainingWindows(rows.get("validation", rows["train"]), config, num_frames, None)
    options = {"batch_size": args.batch_size, "collate_fn": collate, "num_workers": args.num_workers}
    if len(windows) < args.batch_size:
        raise SystemExit(f"there are {len(windows)} training rows, a batch needs {args.batch_size}")
    hearing = Hearing(accelerator.device) if args.hearing_weight else torch.nn.Identity()
    optimizer = build_optimizer(torch.nn.ModuleList([model, hearing]), args)
    # Accelerate steps the schedule once per process and step: its length is counted in those
    processes = accelerator.num_processes
    schedule = get_cosine_schedule_with_warmup(
        optimizer, args.warmup_steps * processes, args.max_steps * processes
    )
    loader = DataLoader(windows, shuffle=True, drop_last=True, **options)
    model, optimizer, schedule, loader, held_out_loader = accelerator.prepare(
        model, optimizer, schedule, loader, DataLoader(held_out, **options)
    )
    if args.hearing_weight:
        hearing = accelerator.prepare(hearing)
    accelerator.init_trackers("logs")

    checkpoints, step = args.output / "checkpoints", 0
    if accelerator.is_main_process:
        shutil.rmtree(checkpoints / "partial", ignore_errors=True)
    saved = sorted(checkpoints.glob("step_*"))
    if saved:
        accelerator.load_state(str(saved[-1]))
        step = int(saved[-1].name.removeprefix("step_"))
        accelerator.print(f"resumed at step {step}")

    last_step = min(args.max_steps, args.stop_after_steps or args.max_steps)
    progress = tqdm(total=args.max_steps, initial=step, unit="step", disable=not accelerator.is_main_process)
    while step < last_step:
        epoch, done = divmod(step, len(loader))
        loader.set_epoch(epoch)
        windows.epoch = epoch
        for batch in skip_first_batches(loader, done) if done else loader:
            # every step has its own randomness: a resumed run draws what an uninterrupted one would
            torch.manual_seed(args.seed + 1000003 * step + accelerator.process_index)
            to_hear = {name: batch.pop(name) for name in HEARING_INPUTS if name in batch}
            output = model(**batch)
            loss, terms = output.loss, output.loss_terms
            if to_hear:
                heard = hearing(output.speech_states, attention_mask=batch["attention_mask"], **to_hear)
                loss, terms = loss + args.hearing_weight * sum(heard.values()), terms | heard
            if not torch.isfinite(loss):
                raise SystemExit(f"the loss is {loss.item()} at step {step}; the last checkpoint is kept")
            accelerator.backward(loss)
            norm = accelerator.clip_grad_norm_(model.parameters(), args.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            step += 1
            progress.update()
            scores = {"loss": loss, "grad_norm": norm, **terms}
            accelerator.log({f"train/{name}": float(value) for name, value in scores.items()}, step=step)
            if step % args.eval_steps == 0 or step == last_step:
                scores = validate(model, held_out_loader, accelerator)
                accelerator.log(scores, step=step)
                if accelerator.is_main_process:
                    text = ", ".join(f"{name} {value:.5f}" for name, value in scores.items())
                    progress.write(f"step {step}: {text}")
                save_state(accelerator, checkpoints, step)
            if step == last_step:
                break
    progress.close()
    if step == args.max_steps and accelerator.is_main_process:
        model = accelerator.unwrap_model(model)
        measure_channels(model, rows["train"])
        earlier = sources_of_model(args.pretrained) if args.pretrained else []
        write_sources(args.output / "model", join_sources(sources_of(rows["train"]), earlier))
        save_checkpoint(model, BilabialFeatureExtractor(), args.output / "model")
        print(f"wrote {args.output / 'model'}")
    accelerator.end_training()


if __name__ == "__main__":
    main(*parse_arguments(sys.argv[1:]))
