"""Where things lie in this checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "src" / "bilabial" / "examples" / "english_woman.flac"
TRAIN = ROOT / "train"
