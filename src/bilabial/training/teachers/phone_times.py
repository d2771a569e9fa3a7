"""Phone times for the rows of a prepared data set, written into the column `phones`.

With --words, a JSON of {clip name: [[start, end, word], ...]} or {clip name: "the words"}, or a folder with
GRID's .align files, English speech is aligned with its transcript (10 ms); the name is the last part of a
row's id, and a clip that cannot be aligned keeps no phones. Without it a phone recognizer is used: it needs
no transcript and finds p, b, m and open vowels in many languages, but its times are coarse (about 20 ms) and
it misses and confuses phones. Run it after prepare.py, which writes the column empty.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bilabial.errors import UserError
from bilabial.hub.level_bilabial import LEVEL_FRAME_SAMPLES, SAMPLING_RATE, speech_level_db
from bilabial.io.alignment import Aligner, Transcript
from bilabial.io.phones import is_phone
from bilabial.io.tables import read_object
from bilabial.training.data.schema import load_rows, update_rows, waveform_of

logger = logging.getLogger(__name__)

# The recognizer's IPA -> ARPAbet. Phones that no metric distinguishes keep their IPA name.
ARPABET = {
    "p": "P", "pʰ": "P", "p͈": "P", "b": "B", "ɓ": "B", "m": "M", "f": "F", "ɸ": "F", "v": "V", "β": "V",
    "w": "W", "ʋ": "W", "ɥ": "W", "ʍ": "W", "a": "AA", "ä": "AA", "ɑ": "AA", "ɐ": "AA", "ɒ": "AA", "æ": "AE",
    "ʌ": "AH", "ɔ": "AO", "aʊ": "AW", "aɪ": "AY", "ɛ": "EH",
}  # fmt: skip
ALIGN_HZ = 25000  # of the times in GRID's .align files
FRAME_SECONDS = 0.02
# The recognizer spikes late in a phone: 0.05-0.13 s after its beginning, 0.07 at the median, against forced
# alignments of 11 English clips (130 phones).
SPIKE_DELAY_SECONDS = 0.07
MIN_PHONE_SECONDS = 0.1  # quiet at the start is a closure, not a pause
QUIET_DB = -25.0  # below speech level
CHUNK_SECONDS, OVERLAP_SECONDS = 20.0, 1.0  # attention over minutes is slow, and unlike in its training


@dataclass
class PhonesArguments:
    dataset: list[Path] = field(metadata={"help": "Folders of data sets made by prepare.py."})
    words: Path | None = field(
        default=None, metadata={"help": "JSON file of the words of each clip, or a folder of .align files."}
    )


def load_recognizer():
    """The recognizer of the package hama. Raises UserError when it is not installed."""
    try:
        from hama.asr import ASRModel
    except ImportError as error:
        raise UserError("recognizer_missing") from error
    return ASRModel()


def find_spikes(recognizer, waveform: np.ndarray) -> list[tuple[str, float]]:
    """(IPA name, time in seconds) of each phone recognized in (S,) float32 at 16 kHz, in order of time.

    Tones, which the recognizer outputs as well, are left out.
    """
    spikes, duration = [], len(waveform) / SAMPLING_RATE
    for start in np.arange(0.0, duration, CHUNK_SECONDS):
        first, last = max(0.0, start - OVERLAP_SECONDS), start + CHUNK_SECONDS + OVERLAP_SECONDS
        chunk = waveform[round(first * SAMPLING_RATE) : round(last * SAMPLING_RATE)]
        result = recognizer.transcribe_waveform(chunk, SAMPLING_RATE)
        for span in recognizer.phoneme_spans(result):
            time = first + span.start_frame * FRAME_SECONDS
            if start <= time < start + CHUNK_SECONDS and is_phone(span.phoneme):
                spikes.append((span.phoneme, float(time)))
    return spikes


def phones_of_spikes(spikes: list[tuple[str, float]], waveform: np.ndarray) -> list[dict]:
    """Phones with start and end in seconds, SIL where the sound between two is quiet.

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


def read_words(path: Path) -> dict[str, str | list]:
    """Words by clip name, of a JSON file or of GRID's NAME.align files ("start end word", 1/25000 s)."""
    if path.is_file():
        return read_object(path)
    words: dict[str, str | list] = {}
    for align in sorted(path.rglob("*.align")):
        lines = [line.split() for line in align.read_text().splitlines() if line.strip()]
        if any(len(line) != 3 for line in lines):
            raise UserError("words_line", path=align)
        words[align.stem] = [[int(a) / ALIGN_HZ, int(b) / ALIGN_HZ, word] for a, b, word in lines]
    if not words:
        raise UserError("words_path", path=path)
    return words


def words_of(entry: str | list) -> str:
    """The words of a clip without times and pauses."""
    if isinstance(entry, str):
        return entry.lower()
    return " ".join(word.lower() for _, _, word in entry if word.lower() not in ("sil", "sp"))


def aligned_phones(aligner: Aligner, waveform: np.ndarray, words: str) -> list[dict]:
    """Phones in ARPAbet of (S,) float32; empty where words and sound do not match."""
    try:
        alignment = aligner(waveform, Transcript(words).words)
    except UserError:  # no words, or words of other letters
        return []
    return [_phone(*one) for one in alignment.phones] if alignment and alignment.fits else []


def align_phones(args: PhonesArguments) -> None:
    words = read_words(args.words) if args.words else {}
    aligner, recognizer = (Aligner(), None) if args.words else (None, load_recognizer())
    for folder in args.dataset:
        phones = {}
        for split in load_rows(folder).values():
            for row in tqdm(split.select_columns(["id", "audio"]), unit="row"):
                waveform, entry = waveform_of(row), words.get(row["id"].rsplit("/", 1)[-1])
                if recognizer:
                    phones[row["id"]] = phones_of_spikes(find_spikes(recognizer, waveform), waveform)
                elif entry:
                    phones[row["id"]] = aligned_phones(aligner, waveform, words_of(entry))
        if not phones:
            raise UserError("words_of_others", path=args.words, folder=folder)
        update_rows(folder, "phones", phones)
        counts = Counter(phone["name"] for of_row in phones.values() for phone in of_row)
        empty = sum(not of_row for of_row in phones.values())
        logger.info(f"{folder}: {counts.total()} phones in {len(phones) - empty} rows, none in {empty}:")
        logger.info(dict(counts.most_common()))
