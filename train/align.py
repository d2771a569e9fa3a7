"""Measure the audio-video offset of each clip of a data set, and write it into the rows.

    python train/align.py --dataset data/grid data/web
    python train/align.py --dataset data/web --model runs/grid/model

The options are explained by --help, the method in bilabial.training.prepare.align.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bilabial.training.command_line import run
from bilabial.training.prepare.align import AlignArguments, align_data_sets

if __name__ == "__main__":
    run(AlignArguments, align_data_sets)
