"""Bilabial itself: python -m benchmarks.peers.peer_bilabial JOB RESULT [MODEL]."""

import sys
from pathlib import Path

from benchmarks.peers.job import work
from bilabial.checkpoint import load_checkpoint
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.audio import decode_wav

model, _ = load_checkpoint(sys.argv[3] if len(sys.argv) > 3 else None)


def animate(clip: dict) -> dict:
    """The model's coefficients at the frame rate of the capture, as train/evaluate.py asks for them."""
    waveform = decode_wav(Path(clip["wav"]).read_bytes())
    values = model.animate(waveform, 16000, fps=clip["fps"]).cpu().numpy()
    times = [frame / clip["fps"] for frame in range(len(values))]
    return {"times": times, "names": list(ARKIT_BLENDSHAPES), "values": values.tolist()}


if __name__ == "__main__":
    work(animate)
