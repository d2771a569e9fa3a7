"""Evaluate emotions, styles and motion, and that they keep lips closed.

    python train/pretrain/evaluate_expression.py --dataset data/grid data/natural data/grid_s1 \
        --emodb path/to/emodb --output expression.json --card model_card.md

The options are explained by --help, the method in bilabial.training.evaluation.expression.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from bilabial.training.command_line import run
from bilabial.training.evaluation.expression import ExpressionArguments, evaluate_expression

if __name__ == "__main__":
    run(ExpressionArguments, evaluate_expression)
