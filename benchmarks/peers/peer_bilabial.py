"""Bilabial itself: python peer_bilabial.py JOB RESULT [MODEL]."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))

from job import work

from bilabial.audio import decode_wav
from bilabial.checkpoint import load_checkpoint
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

model, _ = load_checkpoint(sys.argv[3] if len(sys.argv) > 3 else None)


def animate(clip: dict) -> dict:
    """The model's coefficients at the frame rate of the capture, as train/evaluate.py asks for them."""
    waveform = decode_wav(Path(clip["wav"]).read_bytes())
    values = model.animate(waveform, 16000, fps=clip["fps"]).cpu().numpy()
    times = [frame / clip["fps"] for frame in range(len(values))]
    return {"times": times, "names": list(ARKIT_BLENDSHAPES), "values": values.tolist()}


if __name__ == "__main__":
    work(animate)
