"""Compare a fine-tuned model with the one it started from: a table, and the lips of held-out clips.

    python train/compare.py --after runs/me/model --dataset data/me --output runs/me/report.html
    python train/compare.py --before runs/old/model --after runs/me/model --dataset data/me \
        --others data/grid --output runs/me/report.html

The options are explained by --help, the method in bilabial.training.evaluation.compare.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bilabial.training.command_line import run
from bilabial.training.evaluation.compare import CompareArguments, compare

if __name__ == "__main__":
    run(CompareArguments, compare)
