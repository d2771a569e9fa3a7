"""Evaluate a model on prepared data sets and write metrics.json.

    python train/evaluate.py --model runs/a/model --dataset data/grid data/web --output runs/a/metrics.json
    python train/evaluate.py --dataset data/web --phones clips.json --changes --card model_card.md \
        --output metrics.json

The options are explained by --help, the method in bilabial.training.evaluation.evaluate.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bilabial.training.command_line import run
from bilabial.training.evaluation.evaluate import EvaluateArguments, evaluate_data_sets

if __name__ == "__main__":
    run(EvaluateArguments, evaluate_data_sets)
