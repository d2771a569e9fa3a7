"""Fit closure thresholds and lip-distance weights to a data set; print and write how well they separate.

    python train/calibrate.py --dataset data/grid
    accelerate launch train/train.py --dataset data/grid --calibration data/grid/calibration.json ...

The options are explained by --help, the method in bilabial.training.fit.calibrate.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bilabial.training.command_line import run
from bilabial.training.fit.calibrate import CalibrateArguments, calibrate

if __name__ == "__main__":
    run(CalibrateArguments, calibrate)
