"""Train Bilabial on a data set made by prepare.py.

    accelerate launch train/train.py --dataset data/grid --output runs/grid
    accelerate launch train/train.py --dataset data/me --init_from default --output runs/me
    accelerate launch train/train.py --dataset data/grid data/pseudo --preset voices --output runs/voices

A preset is a file of train/presets (or a path) with arguments of this script and, under "model", fields of
the configuration; the command line overrides it. The loop is in bilabial.training.fit.train.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bilabial.training.command_line import exit_with_errors
from bilabial.training.data.schema import BrokenRow
from bilabial.training.fit.arguments import parse_arguments
from bilabial.training.fit.train import train

if __name__ == "__main__":
    with exit_with_errors():
        try:
            train(*parse_arguments(sys.argv[1:]))
        except BrokenRow as error:  # of a loader's worker, with its traceback before it
            line = str(error).strip().splitlines()[-1].removeprefix(f"{BrokenRow.__module__}.BrokenRow: ")
            raise ValueError(f"{line}; take it out of the data set. The last checkpoint is kept") from error
