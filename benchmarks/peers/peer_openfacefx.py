"""OpenFaceFX, from phone times or levels: -m benchmarks.peers.peer_openfacefx JOB RESULT phones|energy."""

import sys

import numpy as np
from openfacefx import generate_from_alignment
from openfacefx.alignment import PhonemeSegment
from openfacefx.energy import generate_from_energy

from benchmarks.peers.job import work

FPS = 60.0  # OpenFaceFX' own default
SILENCES = ("SIL", "SP", "SPN", "NSN", "")


def track_of(clip: dict, mode: str):
    """OpenFaceFX' track of a clip, all settings at their defaults.

    "phones" is the path that its documentation calls accurate. Its optional JALI rules are off: with them
    fewer lips close on our clips.
    """
    if mode == "energy":
        return generate_from_energy(clip["wav"], fps=FPS)
    segments = [
        PhonemeSegment("sil" if name in SILENCES else name, start, end) for name, start, end in clip["phones"]
    ]
    return generate_from_alignment(segments, fps=FPS)


def animate(clip: dict) -> dict:
    """The track's viseme curves, sampled; keyframes are joined by straight lines, as its engines do."""
    track = track_of(clip, sys.argv[3])
    times = np.arange(int(track.duration * FPS) + 1) / FPS
    curves = [
        np.interp(times, [key.time for key in channel.keys], [key.value for key in channel.keys])
        for channel in track.channels
    ]
    names = [channel.name for channel in track.channels]
    return {"times": times.tolist(), "names": names, "values": np.transpose(curves).tolist()}


if __name__ == "__main__":
    work(animate)
