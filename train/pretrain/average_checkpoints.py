"""The weighted average of checkpoints that share their history, as a new model.

    python train/pretrain/average_checkpoints.py --models runs/me/model default --weights 0.8 0.2 \
        --dataset data/me --output runs/mean

The options are explained by --help, the method in bilabial.training.fit.average.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from bilabial.training.command_line import run
from bilabial.training.fit.average import AverageArguments, average

if __name__ == "__main__":
    run(AverageArguments, average)
