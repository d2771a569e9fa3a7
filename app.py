"""The Space: run with `python app.py`; it needs src/ and what requirements.txt lists."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

from bilabial.app.launch import launch

if __name__ == "__main__":
    launch()
