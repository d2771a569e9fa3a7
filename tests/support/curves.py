"""Recorded curves as other programs write them."""

import json

import numpy as np

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.names import arkit_name

ALPHABETICAL_51 = sorted(name for name in ARKIT_BLENDSHAPES if name != "tongueOut")


def beat(path, seconds: float = 2.0, names=ALPHABETICAL_51, **curves):
    """60 fps, the jaw a ramp from 0 to 0.5 unless it is given."""
    times = np.arange(round(seconds * 60)) / 60
    given = {"jawOpen": np.linspace(0, 0.5, len(times))} | curves
    frames = [
        {
            "weights": [float(np.broadcast_to(given.get(arkit_name(n), 0.0), len(times))[k]) for n in names],
            "time": float(time),
            "rotation": [],
        }
        for k, time in enumerate(times)
    ]
    path.write_text(json.dumps({"names": list(names), "frames": frames}))
    return path
