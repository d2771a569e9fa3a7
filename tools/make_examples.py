"""Speak the app's examples with free synthesizers: Debian's flite (English) and espeak-ng (Mandarin).

    apt-get install flite espeak-ng && python -m tools.make_examples

The sentences are ours and rich in p, b, m; the recordings are synthetic, so nobody's voice is published.
"""

import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np

from bilabial.io.audio import load_audio

ROOT = Path(__file__).resolve().parents[1]

EXAMPLES = ROOT / "src" / "bilabial" / "examples"
PAUSE_SAMPLES = 5600  # 0.35 s before and after, for the face to rest
SENTENCES = {
    "english_woman": (
        ["flite", "-voice", "slt", "-o"],
        "Bob and Pam bought a map. My mother makes the best plum jam, but maybe we should stop for a moment.",
    ),
    "english_man": (
        ["flite", "-voice", "rms", "-o"],
        "Please put the paper boat by the window. People mumble, but puppets open their mouths.",
    ),
    "mandarin": (
        ["espeak-ng", "-v", "cmn", "-s", "150", "-w"],
        "爸爸妈妈买了八百本漂亮的毛笔。明天跑步吗？不,我们爬山。",
    ),
}


def write_flac(path: Path, waveform: np.ndarray) -> None:
    """16 kHz mono, 16 bit; waveform: (S,) float32 in -1..1."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=16000, layout="mono")
        stream.format = "s16"
        samples = (np.clip(waveform, -1, 1) * 32767).round().astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = 16000
        for part in (frame, None):
            container.mux(stream.encode(part))


def main() -> None:
    EXAMPLES.mkdir(exist_ok=True)
    for name, (command, sentence) in SENTENCES.items():
        with tempfile.TemporaryDirectory() as folder:
            spoken = Path(folder) / "speech.wav"
            text = ["-t", sentence] if command[0] == "flite" else [sentence]
            subprocess.run([*command, str(spoken), *text], check=True)
            waveform = load_audio(spoken)
        waveform = np.pad(waveform, PAUSE_SAMPLES)
        write_flac(EXAMPLES / f"{name}.flac", waveform)
        print(f"{name}: {len(waveform) / 16000:.1f} s")


if __name__ == "__main__":
    main()
