"""Initial weights of a run: random, from a phone recognizer, a pretrained encoder, or another model."""

from collections.abc import Iterator

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModel, PreTrainedConfig

from bilabial.articulation import TONGUE_MASK, shows_tongue
from bilabial.checkpoint import load_checkpoint
from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import EMOTIONS
from bilabial.hub.configuration_bilabial import AUDIO_ENCODERS, BilabialConfig
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.training.data.schema import phone_names, read_row, waveform_of
from bilabial.training.data.windows import PRIOR_MASK
from bilabial.training.fit.arguments import TrainArguments
from bilabial.training.fit.learning_without_forgetting import retained_styles
from bilabial.training.teachers.phone_recognizer import initialize_from_recognizer

MEAN_POSE_ROWS = 500  # rows whose mean pose is the initial output
EMOTION_WEIGHTS = ("modulation.weight", "expression.weight")  # (out, emotions and style), in that order
CHANNEL_ROWS = 200  # rows for the statistics of the default style


def audio_encoder_config(name: str | None) -> PreTrainedConfig | None:
    """Configuration of a pretrained encoder. Raises UserError for a missing one or another family."""
    if name is None:
        return None
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise UserError("encoder_load", name=[name], error=str(error).splitlines()[:1]) from error
    if config.model_type not in AUDIO_ENCODERS:
        raise UserError("encoder_family", name=[name], accepted=[*AUDIO_ENCODERS], got=config.model_type)
    return config


def load_audio_encoder(model: BilabialModel, name: str) -> None:
    """Load the weights of a pretrained encoder."""
    pretrained = AutoModel.from_pretrained(name)  # in half precision, if stored so
    if model.audio_encoder.family == "whisper":
        pretrained = pretrained.encoder
    model.audio_encoder.encoder.load_state_dict(pretrained.state_dict())  # in float32, to be trained


def load_initial(args: TrainArguments) -> BilabialModel | None:
    """The model of --init_from. Raises UserError where there is none, or where another option sets the
    start, too.
    """
    if args.init_from is None:
        for option in ("retention_share", "only_emotions"):
            if getattr(args, option):
                raise UserError("option_needs", option=f"--{option}", missing="--init_from")
        return None
    if args.audio_encoder:
        raise UserError("option_excludes", option="--init_from", other="--audio_encoder")
    return load_checkpoint(args.init_from)[0]


def build_model(
    rows: Dataset, args: TrainArguments, model_fields: dict, initial: BilabialModel | None = None
) -> BilabialModel:
    """The model at step 0, for the styles, emotions and channels of the data and of the initial model."""
    model = BilabialModel(config_of_run(rows, args, model_fields, initial))
    if initial:
        copy_weights(initial, model)
    else:
        start_at_mean_pose(model, rows)
        if args.audio_encoder:
            load_audio_encoder(model, args.audio_encoder)
    if args.distillation_weight:
        initialize_encoder(model, keep=initial is not None)
    if args.freeze_encoder:
        freeze_encoder(model)
    if args.retention_share:
        freeze_styles(model, retained_styles(initial, rows.unique("style"), args.retention_share))
    if args.only_emotions:
        freeze_all_but_emotions(model)
    return model


def config_of_run(
    rows: Dataset, args: TrainArguments, model_fields: dict, initial: BilabialModel | None
) -> BilabialConfig:
    """Configuration of the initial model, else the defaults, overridden by the preset and by the data's
    names.
    """
    seen = np.any([row["channel_mask"] for row in captured(rows)], axis=0)
    if args.emotion_share:
        seen = seen | PRIOR_MASK.astype(bool)
    if args.articulation_prior and shows_tongue(phone_names(rows)):
        seen = seen | TONGUE_MASK.astype(bool)
    known = initial.config if initial else BilabialConfig()
    emotions = {*rows.unique("emotion"), *(known.trained_emotions if initial else ())}
    fields = {
        **known.to_dict(),
        **model_fields,
        "styles": [*known.styles, *sorted(set(rows.unique("style")) - set(known.styles))],
        "trained_emotions": [name for name in EMOTIONS if name in emotions or args.emotion_share > 0],
    }
    if args.audio_encoder:
        fields["audio_encoder_config"] = audio_encoder_config(args.audio_encoder)
    config = BilabialConfig.from_dict(fields)
    unseen = known.unseen_blendshapes if initial else config.blendshapes
    visible = {name for name, one in zip(config.blendshapes, seen, strict=True) if one}
    config.unseen_blendshapes = [name for name in unseen if name not in visible]
    return config


def captured(rows: Dataset) -> Iterator[dict]:
    """The first rows of captured faces (`read_row`), one in memory at a time."""
    indices = np.flatnonzero(np.array(rows["face"]) == "captured")[:MEAN_POSE_ROWS]
    rows = rows.with_format("arrow")
    return (read_row(rows, int(index)) for index in indices)


@torch.no_grad()
def start_at_mean_pose(model: BilabialModel, rows: Dataset) -> None:
    """Set the output bias so that a fresh model predicts about the mean captured face."""
    poses = [row["coefficients"][row["valid"]].mean(axis=0) for row in captured(rows) if row["valid"].any()]
    model.head.bias.copy_(torch.from_numpy(np.mean(poses, axis=0)))
    model.head.weight.mul_(0.1)


def initialize_encoder(model: BilabialModel, keep: bool) -> None:
    """Initialize the built-in encoder from the recognizer, or only check that it is possible. Raises
    UserError.
    """
    if model.config.audio_encoder_config is not None:
        raise UserError("option_excludes", option="--distillation_weight", other="--audio_encoder")
    own = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    initialize_from_recognizer(model.encoder)
    if keep:
        model.encoder.load_state_dict(own)


def copy_weights(initial: BilabialModel, model: BilabialModel) -> None:
    """Copy the initial model's weights (`weights_for`). Raises UserError where sizes differ."""
    old = weights_for(initial, model.config)
    for name, value in model.state_dict().items():
        if getattr(old.get(name), "shape", None) != value.shape:
            raise UserError("preset_sizes", name=name)
    model.load_state_dict(old)


@torch.no_grad()
def weights_for(initial: BilabialModel, config: BilabialConfig) -> dict[str, torch.Tensor]:
    """The initial model's weights, extended to more styles or cut to a shorter history.

    New styles start as the default style; channels that never moved start at 0; convolution kernels are cut
    to the new reach.
    """
    weights = shorten_reach(initial, config)
    vectors = weights["style_embedding.weight"]
    added = len(config.styles) - len(vectors)
    weights["style_embedding.weight"] = torch.cat([vectors, *[vectors[:1]] * added])
    new = [config.blendshapes.index(name) for name in initial.config.unseen_blendshapes]
    for name in ("head.weight", "head.bias", "expression.weight"):
        weights[name] = weights[name].clone()
        weights[name][new] = 0.0
    return weights


def shorten_reach(initial: BilabialModel, config: BilabialConfig) -> dict[str, torch.Tensor]:
    """The initial model's weights, each convolution of its encoder cut to a configuration's reach."""
    first, last = (
        was - now
        for was, now in zip(initial.config.encoder_conv_frames, config.encoder_conv_frames, strict=True)
    )
    weights = initial.state_dict()
    if min(first, last) < 0:
        return weights
    for name, value in weights.items():
        if name.startswith("encoder.layers.") and name.endswith(".conv.weight"):
            weights[name] = value[..., first : value.shape[-1] - last]
    return weights


def freeze_styles(model: BilabialModel, names: set[str]) -> None:
    """Freeze the vectors of these styles; the others are trained."""
    free = torch.tensor([[float(name not in names)] for name in model.config.styles])
    model.style_embedding.weight.register_hook(lambda gradient: gradient * free.to(gradient.device))


def freeze_encoder(model: BilabialModel) -> None:
    """Freeze the speech encoder."""
    if model.config.audio_encoder_config is None:
        model.encoder.requires_grad_(False)
    else:
        model.audio_encoder.freeze()


def freeze_all_but_emotions(model: BilabialModel) -> None:
    """Freeze every weight except those that multiply emotions."""
    free = torch.arange(len(model.config.emotions) + model.config.style_size) < len(model.config.emotions)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith(EMOTION_WEIGHTS))
        if parameter.requires_grad:
            parameter.register_hook(lambda gradient: gradient * free.to(gradient.device))


@torch.no_grad()
def measure_channels(model: BilabialModel, rows: Dataset) -> None:
    """Store the statistics of the default style in the configuration; other styles are relative to them.

    Means are of the decoder's output, around which gains apply; standard deviations include the gains.
    """
    model.eval()
    some = rows.select(np.unique(np.linspace(0, len(rows) - 1, CHANNEL_ROWS).round().astype(int)))
    sounds = [waveform_of(row) for row in some]
    gains, model.config.style_gains = model.config.style_gains, None
    plain = _frames_of(model, sounds)
    model.config.channel_means = [round(value, 5) for value in plain.mean(dim=0).tolist()]
    model.config.style_gains = gains
    moved = _frames_of(model, sounds) if gains else plain
    model.config.channel_spreads = [round(value, 5) for value in moved.std(dim=0).tolist()]


def _frames_of(model: BilabialModel, sounds: list[np.ndarray]) -> torch.Tensor:
    rate = model.config.frame_rate_hz
    return torch.cat([model.animate(sound, SAMPLING_RATE, fps=rate) for sound in sounds])
