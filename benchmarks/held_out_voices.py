"""How well lips follow the pseudo-labels of held-out speakers, clean and through rooms, noise and music.

    python -m benchmarks.held_out_voices --dataset data/pseudo_labeled

The data set is one made with `--validation_share`: the speakers of its split "validation" are not trained on.
Prints the median correlation of the predicted lip distance with that of the labels, after every change.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import HfArgumentParser

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.training.data.schema import coefficients_of, load_rows, waveform_of
from bilabial.training.evaluation.robustness import correlations, cost_of_changes
from bilabial.training.evaluation.tables import table


@dataclass
class HeldOutArguments:
    dataset: Path = field(metadata={"help": "Pseudo-labeled data set with a split validation."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded default."}
    )
    num_clips: int = field(default=120, metadata={"help": "Recordings, evenly spread over the split."})


def label_distance(row: dict, config: BilabialConfig) -> np.ndarray:
    """Lip distance (T,) of a row's labels, in lip units."""
    labels = torch.from_numpy(coefficients_of(row))
    return lip_distance(labels, config.blendshapes, config.lip_distance_weights).numpy()


def main(args: HeldOutArguments) -> None:
    splits = load_rows(args.dataset)
    if "validation" not in splits:
        raise SystemExit(f"{args.dataset} has no split 'validation': make it with --validation_share")
    model, _ = load_checkpoint(args.model)
    chosen = np.unique(np.linspace(0, len(splits["validation"]) - 1, args.num_clips).round().astype(int))
    rows = [splits["validation"][int(index)] for index in chosen]
    labels = [
        (label_distance(row, model.config), np.asarray(row["valid"], bool), float(row["fps"])) for row in rows
    ]
    measured = correlations(model, [waveform_of(row) for row in rows], labels)
    print(table(cost_of_changes({"held-out voices": measured})))


if __name__ == "__main__":
    main(HfArgumentParser(HeldOutArguments).parse_args_into_dataclasses()[0])
