"""Phone times for the rows of a prepared data set, written into the column `phones`.

    pip install pocketsphinx==5.1.1 hama==1.7.0
    python train/pretrain/align_phones.py --dataset data/grid --words words.json
    python train/pretrain/align_phones.py --dataset data/mandarin

The options are explained by --help, the method in bilabial.training.teachers.phone_times.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from bilabial.training.command_line import run
from bilabial.training.teachers.phone_times import PhonesArguments, align_phones

if __name__ == "__main__":
    run(PhonesArguments, align_phones)
