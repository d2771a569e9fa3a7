"""Ablation of the objective: train the presets one after another, evaluate each, print one table.

    python -m benchmarks.ablation --dataset data/grid --evaluate data/grid_strangers --output runs/ablation

Everything but the loss weights is the same. With --card the table is written into a model card.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bilabial.training.evaluation.tables import table, write_card

ROOT = Path(__file__).resolve().parents[1]

UNSEALED = ("--seal_distance", "0")
ROWS = (  # label, preset, options of the evaluation
    ("MSE only", "mse", UNSEALED),
    ("+ closure", "mse_closure", UNSEALED),
    ("+ keep-open", "mse_closure_keep_open", UNSEALED),
    ("+ velocity", "default", UNSEALED),
    ("+ sealing of almost closed lips (the default)", "default", ()),
)
COLUMNS = (
    "lip_corr", "lag_ms", "mouth_mae_centered", "channel_corr", "closure_recall", "false_closure",
    "bilabial_closure", "vowel_false_closure", "youden_j", "closure_auc",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, help="data set to train on")
    parser.add_argument(
        "--evaluate", required=True, nargs="+", help="data sets whose validation split is measured"
    )
    parser.add_argument("--phones", help="phone times, see train/evaluate.py")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder of the runs; finished ones are kept"
    )
    parser.add_argument("--max_steps", default="1200")
    parser.add_argument("--card", type=Path, help="model card to write the table into")
    args = parser.parse_args()
    launch = [sys.executable, "-m", "accelerate.commands.launch", str(ROOT / "train" / "train.py")]
    scores: dict[str, dict[str, dict]] = {}
    for label, preset, options in ROWS:
        run, metrics = args.output / preset, args.output / "metrics.json"
        if not (run / "model").is_dir():
            # without priors: terms of the objective are compared on captured faces alone
            training = [
                "--dataset",
                args.dataset,
                "--preset",
                preset,
                "--output",
                str(run),
                "--emotion_share",
                "0",
                "--articulation_prior",
                "false",
            ]
            subprocess.run([*launch, *training, "--max_steps", args.max_steps], check=True)
        evaluation = ["--model", str(run / "model"), "--dataset", *args.evaluate, "--output", str(metrics)]
        evaluation += ["--phones", args.phones] if args.phones else []
        subprocess.run(
            [sys.executable, str(ROOT / "train" / "evaluate.py"), *evaluation, *options], check=True
        )
        measured = json.loads(metrics.read_text())
        for dataset, result in ((name, rows) for name, rows in measured.items() if "clips" in rows):
            kept = {column: value for column, value in result["model"].items() if column in COLUMNS}
            scores.setdefault(dataset, {})[label] = kept
    text = "\n\n".join(f"### {dataset}\n\n{table(rows)}" for dataset, rows in scores.items())
    (args.output / "ablation.json").write_text(json.dumps(scores, indent=1) + "\n")
    print(text)
    if args.card:
        write_card(args.card, "ablation", text)


if __name__ == "__main__":
    main()
