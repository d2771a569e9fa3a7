"""The weighted average of checkpoints that share their history, as a new model.

Training on one face makes the mouth follow other voices less well. The mean of the weights before and after
restores that and keeps most of the gain (docs/research_log.md; Wortsman et al. 2022, "Robust fine-tuning of
zero-shot models", CVPR). That holds between a model and one that started from it, or two that started from
the same. The first model must have all styles and channels; the result has its styles and configuration.
OUTPUT/model is the result, as of train.py, and replaces what was there.
"""

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from datasets import concatenate_datasets
from safetensors import SafetensorError

from bilabial.checkpoint import load_checkpoint
from bilabial.errors import UserError
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.training.data.schema import load_rows
from bilabial.training.data.sources import join_sources, sources_of_model
from bilabial.training.fit.checkpoints import check_model_folder, replace_model
from bilabial.training.fit.initialization import measure_channels, weights_for

logger = logging.getLogger(__name__)


@dataclass
class AverageArguments:
    models: list[str] = field(metadata={"help": "Folders or Hub ids; default is the embedded model."})
    weights: list[float] = field(metadata={"help": "One per model, above 0; normalized to a sum of 1."})
    dataset: list[str] = field(
        metadata={"help": "Data set to measure how the average's default style moves."}
    )
    output: Path = field(metadata={"help": "Folder whose model/ is written."})


def check_arguments(args: AverageArguments) -> None:
    """Raise UserError unless there are two models or more and a positive weight for each."""
    if len(args.models) < 2 or len(args.weights) != len(args.models):
        raise UserError("average_count", models=len(args.models), weights=len(args.weights))
    if not all(math.isfinite(weight) and weight > 0 for weight in args.weights):
        raise UserError("average_weights", got=args.weights)


def load_models(names: list[str]) -> list[BilabialModel]:
    """The models. Raises UserError where one cannot be loaded or has styles or channels that the first
    lacks.
    """
    models = []
    for name in names:
        models.append(load_checkpoint(name)[0])
        first, own = models[0].config, models[-1].config
        known = {
            "emotions": own.emotions == first.emotions,
            "blendshapes": own.blendshapes == first.blendshapes,
            "styles": own.styles == first.styles[: len(own.styles)],
            "trained_emotions": set(own.trained_emotions) <= set(first.trained_emotions),
            "unseen_blendshapes": set(own.unseen_blendshapes) >= set(first.unseen_blendshapes),
        }
        for part, fits in known.items():
            if not fits:
                raise UserError(
                    "average_other",
                    name=[name],
                    part=part,
                    own=getattr(own, part),
                    first=names[:1],
                    accepted=getattr(first, part),
                )
    return models


def average_of(models: list[BilabialModel], weights: list[float]) -> BilabialModel:
    """The first model's kind with the mean of all weights, summed in float64, in evaluation mode.

    Others may lack its last styles and channels, and reach further (`initialization.weights_for`). Raises
    UserError naming a weight where other sizes differ.
    """
    mean = BilabialModel(models[0].config)
    states = [weights_for(model, mean.config) for model in models]
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in states]
    for other in shapes[1:]:
        differing = sorted(name for name, _ in shapes[0].items() ^ other.items())
        if differing:
            raise UserError("average_sizes", name=differing[0])
    shares = np.array(weights) / sum(weights)
    summed = {
        name: sum(share * state[name].double() for share, state in zip(shares, states, strict=True))
        for name in states[0]
    }
    mean.load_state_dict(summed)
    return mean.eval()


def average(args: AverageArguments) -> None:
    check_arguments(args)
    models = load_models(args.models)
    folder = args.output / "model"
    check_model_folder(folder)
    rows = concatenate_datasets([load_rows(name, split="train") for name in args.dataset])
    mean = average_of(models, args.weights)
    measure_channels(mean, rows)
    sources = [source for name in args.models for source in sources_of_model(name)]
    try:
        replace_model(mean, join_sources(sources, []), folder)
    except (OSError, SafetensorError) as error:
        raise UserError("output_failed", path=folder, error=error) from error
    logger.info(f"wrote {folder}")
