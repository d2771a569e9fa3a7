"""Match the amplitude of a style to captured faces.

    python train/pretrain/scale_amplitude.py --model runs/voices/model --dataset data/people \
        --output runs/people

The options are explained by --help, the method in bilabial.training.fit.amplitude.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from bilabial.training.command_line import run
from bilabial.training.fit.amplitude import AmplitudeArguments, scale_amplitude

if __name__ == "__main__":
    run(AmplitudeArguments, scale_amplitude)
