"""uLipSync's port for Python: python -m benchmarks.peers.peer_pylipsync JOB RESULT."""

import wave

import numpy as np
from pylipsync import PhonemeAnalyzer

from benchmarks.peers.job import work

# uLipSync's A, E, I, O, U under the names VRM 1.0 gives these vowels -> the same vowels of Oculus' 15.
VISEMES = {"aa": "aa", "ee": "E", "ih": "I", "oh": "O", "ou": "U"}
analyzer = PhonemeAnalyzer()


def animate(clip: dict) -> dict:
    """The weights of the vowels (they share the level), every setting at the package's default."""
    with wave.open(clip["wav"]) as file:
        rate, content = file.getframerate(), file.readframes(file.getnframes())
    waveform = (np.frombuffer(content, "<i2") / 32768).astype(np.float32)
    segments = analyzer.extract_phoneme_segments(waveform, rate, return_seconds=True)
    rows = [{phone.name: float(phone.target) for phone in segment.phonemes} for segment in segments]
    return {
        "times": [(segment.start + segment.end) / 2 for segment in segments],
        "names": list(VISEMES.values()),
        "values": [[row[name] for name in VISEMES] for row in rows],
    }


if __name__ == "__main__":
    work(animate)
