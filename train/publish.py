"""Check a trained model, a data set and the Space, and publish them on the Hub.

    python train/publish.py --repo_id me/bilabial --model runs/me/model --dry_run
    python train/publish.py --repo_id me/bilabial --model runs/me/model --tag v0.1.0 --private
    python train/publish.py --dataset data/me --dataset_repo_id me/my-face
    python train/publish.py --space --space_repo_id me/talking-face --model runs/me/model

The options are explained by --help, the method in bilabial.training.publishing.publish.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from bilabial.training.command_line import run
from bilabial.training.publishing.publish import PublishArguments, publish

if __name__ == "__main__":
    run(PublishArguments, publish, prefix="publish: ")
