"""The least a peer has to beat, a level that opens the jaw: -m benchmarks.peers.peer_energy JOB RESULT."""

import wave

import numpy as np

from benchmarks.peers.job import work

WINDOW_SECONDS, HOP_SECONDS = 0.025, 0.01
RANGE_DB = 40.0  # below the clip's loud frames (their 95th percentile): the jaw is shut
SMOOTHING_SECONDS = 0.03  # sigma
OPEN_JAW = 0.3  # jawOpen of a loud vowel


def jaw_open(waveform: np.ndarray, rate: int) -> np.ndarray:
    """jawOpen every 10 ms, (T,) in 0..0.3, from smoothed level in dB. waveform: (S,) in -1..1."""
    window, hop = round(WINDOW_SECONDS * rate), round(HOP_SECONDS * rate)
    power = np.convolve(np.asarray(waveform, float) ** 2, np.full(window, 1 / window), "same")[::hop]
    level = 10 * np.log10(power.clip(1e-10))
    opening = ((level - np.percentile(level, 95)) / RANGE_DB + 1).clip(0, 1)
    offsets = np.arange(-12, 13) * HOP_SECONDS
    kernel = np.exp(-0.5 * (offsets / SMOOTHING_SECONDS) ** 2)
    padded = np.pad(opening, len(offsets) // 2, mode="edge")
    return OPEN_JAW * np.convolve(padded, kernel / kernel.sum(), "valid")


def animate(clip: dict) -> dict:
    """jawOpen alone; every other coefficient stays 0."""
    with wave.open(clip["wav"]) as file:
        rate, content = file.getframerate(), file.readframes(file.getnframes())
    values = jaw_open(np.frombuffer(content, "<i2") / 32768, rate)
    times = np.arange(len(values)) * HOP_SECONDS
    return {"times": times.tolist(), "names": ["jawOpen"], "values": values[:, None].tolist()}


if __name__ == "__main__":
    work(animate)
