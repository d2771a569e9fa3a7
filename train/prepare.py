"""Face videos, or recorded curves with sound -> a Hugging Face data set, and a report of its quality.

    python train/prepare.py --reader grid --source path/to/grid --output data/grid
    python train/prepare.py --reader videos --source my_recordings --output data/me --num_proc 4
    python train/prepare.py --reader livelink --source path/to/takes --output data/phone

The options are explained by --help, the method in bilabial.training.prepare.pipeline.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bilabial.training.command_line import run
from bilabial.training.prepare.pipeline import PrepareArguments, prepare

if __name__ == "__main__":
    run(PrepareArguments, prepare)
