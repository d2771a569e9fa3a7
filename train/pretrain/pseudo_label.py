"""Pseudo-labels: predict faces for speech without video.

    python train/pretrain/pseudo_label.py --captured data/grid_s1 --voices data/voices --emodb data/emodb \
        --output data/pseudo_labeled

The options are explained by --help, the method in bilabial.training.teachers.pseudo_label.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from bilabial.training.command_line import run
from bilabial.training.teachers.pseudo_label import PseudoLabelArguments, pseudo_label

if __name__ == "__main__":
    run(PseudoLabelArguments, pseudo_label)
