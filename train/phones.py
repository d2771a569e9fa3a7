"""Phone times for the rows of a prepared data set, by a phone recogniser; written into the column `phones`.

    pip install hama==1.7.0
    python train/phones.py --dataset data/mandarin

It needs no transcript and hears p, b, m and open vowels in many languages; evaluate.py then measures closure
on them. Its times are coarse (some 20 ms) and it misses and confuses phones: with a transcript, forced
alignment is better. Run it after prepare.py, which writes the column empty.
"""

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
from tqdm import tqdm
from transformers import HfArgumentParser

from bilabial.data import load_rows, update_rows, waveform_of
from bilabial.hub.loudness_bilabial import LEVEL_FRAME_SAMPLES, SAMPLING_RATE, speech_level_db

# IPA as the recogniser writes it -> ARPAbet. Phones that no metric tells apart keep their IPA name.
ARPABET = {
    "p": "P", "pʰ": "P", "p͈": "P", "b": "B", "ɓ": "B", "m": "M", "f": "F", "ɸ": "F", "v": "V", "β": "V",
    "w": "W", "ʋ": "W", "ɥ": "W", "ʍ": "W", "a": "AA", "ä": "AA", "ɑ": "AA", "ɐ": "AA", "ɒ": "AA", "æ": "AE",
    "ʌ": "AH", "ɔ": "AO", "aʊ": "AW", "aɪ": "AY", "ɛ": "EH",
}  # fmt: skip
FRAME_SECONDS = 0.02
# The recogniser spikes late in a phone: 0.05-0.13 s after its beginning, 0.07 at the median, against forced
# alignments of 11 English clips (130 phones).
SPIKE_DELAY_SECONDS = 0.07
MIN_PHONE_SECONDS = 0.1  # a quiet beginning is a closure, not a pause
QUIET_DB = -25.0  # below the level of speech
CHUNK_SECONDS, OVERLAP_SECONDS = 20.0, 1.0  # attention over minutes is slow, and unlike its training


@dataclass
class PhonesArguments:
    dataset: list[Path] = field(metadata={"help": "Folders of data sets made by prepare.py."})


def load_recogniser():
    """The recogniser of the package hama. Raises SystemExit with one sentence when it is not installed."""
    try:
        from hama.asr import ASRModel
    except ImportError as error:
        raise SystemExit("phone times need a phone recogniser: pip install hama==1.7.0") from error
    return ASRModel()


def find_spikes(recogniser, waveform: np.ndarray) -> list[tuple[str, float]]:
    """(IPA name, time in seconds) of each phone heard in (S,) float32 at 16 kHz, in order of time."""
    spikes, duration = [], len(waveform) / SAMPLING_RATE
    for start in np.arange(0.0, duration, CHUNK_SECONDS):
        first, last = max(0.0, start - OVERLAP_SECONDS), start + CHUNK_SECONDS + OVERLAP_SECONDS
        chunk = waveform[round(first * SAMPLING_RATE) : round(last * SAMPLING_RATE)]
        result = recogniser.transcribe_waveform(chunk, SAMPLING_RATE)
        for span in recogniser.phoneme_spans(result):
            time = first + span.start_frame * FRAME_SECONDS
            if start <= time < start + CHUNK_SECONDS:
                spikes.append((span.phoneme, float(time)))
    return spikes


def phones_of_spikes(spikes: list[tuple[str, float]], waveform: np.ndarray) -> list[dict]:
    """Phones with start and end in seconds; where the sound falls quiet between two, SIL.

    A phone begins 0.07 s before its spike and lasts until the next one or the first quiet frame.
    """
    duration = len(waveform) / SAMPLING_RATE
    quiet = np.flatnonzero(_levels_db(waveform) < speech_level_db(waveform) + QUIET_DB) * FRAME_SECONDS
    starts = [max(0.0, time - SPIKE_DELAY_SECONDS) for _, time in spikes] + [duration]
    phones = [_phone("SIL", 0.0, starts[0])]
    for (ipa, _), start, following in zip(spikes, starts[:-1], starts[1:], strict=True):
        pauses = quiet[(quiet >= start + MIN_PHONE_SECONDS) & (quiet < following - MIN_PHONE_SECONDS)]
        end = float(pauses[0]) if len(pauses) else following
        phones += [_phone(ARPABET.get(ipa, ipa), start, end), _phone("SIL", end, following)]
    return [phone for phone in phones if phone["end"] > phone["start"]]


def _phone(name: str, start: float, end: float) -> dict:
    return {"name": name, "start": round(start, 3), "end": round(end, 3)}


def _levels_db(waveform: np.ndarray) -> np.ndarray:
    frames = np.pad(waveform, (0, -len(waveform) % LEVEL_FRAME_SAMPLES)).reshape(-1, LEVEL_FRAME_SAMPLES)
    return 10 * np.log10(np.mean(frames.astype(np.float64) ** 2, axis=1) + 1e-12)


def main(args: PhonesArguments) -> None:
    recogniser = load_recogniser()
    for folder in args.dataset:
        phones = {}
        for split in load_rows(folder).values():
            for row in tqdm(split, unit="row"):
                waveform = waveform_of(row)
                phones[row["id"]] = phones_of_spikes(find_spikes(recogniser, waveform), waveform)
        update_rows(folder, "phones", phones)
        counts = Counter(phone["name"] for of_row in phones.values() for phone in of_row)
        print(f"{folder}: {counts.total()} phones in {len(phones)} rows: {dict(counts.most_common())}")


if __name__ == "__main__":
    main(HfArgumentParser(PhonesArguments).parse_args_into_dataclasses()[0])
