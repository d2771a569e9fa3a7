"""Times of known words: forced alignment of an English text with speech, by pocketsphinx (the extra `align`).

Other languages are not aligned. Numbers must be written as words, since they are read in several ways.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from threading import Lock

import numpy as np

from bilabial.errors import UserError
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.phones import SILENCES, Phone, arpabet_of
from bilabial.io.spelling import sounds_of
from bilabial.io.timings import Timing

FRAME_SECONDS = 0.01
# The decoder's own beams (1e-48 and more) and its second search drop 7 of 24 recordings of strangers.
SEARCH = {"beam": 1e-120, "wbeam": 1e-120, "pbeam": 1e-120, "bestpath": False}
# Mean log-likelihood of a frame, relative to the best of all phones' states. docs/timing.md has the table.
LEAST_SCORE = -36.0
MOST_UNCOVERED = 0.2  # share of the energy in pauses of the transcript: it is too short
NOT_SPOKEN = re.compile(r"\[[^]]*\]|<[^>]*>|\{[^}]*\}|\([^)]*\)")  # directions such as [laughs]
LATIN_WORD = re.compile("[a-zß-ÿœıł']+")
BETWEEN_WORDS = re.compile(r"[^\w']+|_")


@dataclass(frozen=True)
class Transcript:
    """What is said in a recording, without times. Directions in brackets are left out.

    Raises UserError for a text without words.
    """

    text: str

    def __post_init__(self) -> None:
        if not self.words:
            raise UserError("transcript_empty", got=self.text)

    @property
    def words(self) -> list[str]:
        """Its words in small letters, without punctuation."""
        plain = NOT_SPOKEN.sub(" ", self.text.lower().replace("’", "'"))
        return [word for part in BETWEEN_WORDS.split(plain) if (word := part.strip("'"))]

    @classmethod
    def of_column(cls, text: str) -> Transcript | None:
        """Of a text in a manifest; None where it is empty, or has digits or letters that are not Latin."""
        try:
            transcript = cls(text)
        except UserError:
            return None
        return transcript if all(_pronunciation(word) for word in transcript.words) else None


@dataclass(frozen=True)
class Alignment:
    """phones: in ARPAbet, pauses as SIL. score: 0 at best; below LEAST_SCORE, other words were spoken."""

    phones: tuple[Phone, ...]
    score: float

    @property
    def fits(self) -> bool:
        return self.score >= LEAST_SCORE


class Aligner:
    """Forced alignment of English words. Raises UserError where pocketsphinx is not installed."""

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise UserError("align_extra", error=error) from error
        self.decoder = Decoder(lm=None, loglevel="FATAL", **SEARCH)

    def __call__(self, waveform: np.ndarray, words: Sequence[str]) -> Alignment | None:
        """The phones of words in (S,) float32 at 16 kHz; None where the sound is too short for them.

        A word that is not in the dictionary is pronounced as it is spelled. Raises UserError for one that is
        not in Latin letters.
        """
        self._add_words(words)
        samples = (waveform.clip(-1.0, 1.0) * 32767).astype("<i2").tobytes()
        try:
            self.decoder.set_align_text(" ".join(words))
            self._decode(samples)
            best = self.decoder.hyp()
            if best is None or len(best.hypstr.split()) < len(words):
                return None
            self.decoder.set_alignment()  # after the words, the phones in them
            self._decode(samples)
        except RuntimeError:  # no path
            return None
        found = [phone for word in self.decoder.get_alignment() for phone in word]
        phones = [(one.name, one.start, one.start + one.duration) for one in found]
        score = sum(one.score for one in found) / sum(one.duration for one in found)
        return Alignment(tuple((name, a * FRAME_SECONDS, b * FRAME_SECONDS) for name, a, b in phones), score)

    def _decode(self, samples: bytes) -> None:
        self.decoder.start_utt()
        self.decoder.process_raw(samples, full_utt=True)
        self.decoder.end_utt()

    def _add_words(self, words: Sequence[str]) -> None:
        for word in words:
            if self.decoder.lookup_word(word) is None:
                if not (phones := _pronunciation(word)):
                    raise UserError("transcript_word", word=word)
                self.decoder.add_word(word, " ".join(phones), True)


def _pronunciation(word: str) -> list[str]:
    """ARPAbet of a word as it is spelled; [] for one that is not in Latin letters."""
    return arpabet_of("".join(sounds_of(word))) if LATIN_WORD.fullmatch(word) else []


@cache
def _aligner() -> Aligner:
    return Aligner()


_LOCK = Lock()  # a decoder aligns one recording at a time


def can_align() -> bool:
    """Whether the extra `align` is installed."""
    return find_spec("pocketsphinx") is not None


def align_transcript(waveform: np.ndarray, transcript: Transcript) -> Timing:
    """The times of a transcript in (S,) float32 at 16 kHz.

    Raises UserError where its words are not in the sound, are not English, or the extra is missing.
    """
    with _LOCK:
        alignment = _aligner()(waveform, transcript.words)
    if alignment is None or not alignment.fits or _uncovered(waveform, alignment.phones) > MOST_UNCOVERED:
        raise UserError("transcript_unfit")
    return Timing(alignment.phones, exact=True)


def _uncovered(waveform: np.ndarray, phones: Sequence[Phone]) -> float:
    """Share of the energy of (S,) that lies in pauses of the phones; 1 for silence."""
    paused = np.ones(len(waveform), bool)
    for name, start, end in phones:
        if name not in SILENCES:
            paused[round(start * SAMPLING_RATE) : round(end * SAMPLING_RATE)] = False
    energy = np.square(waveform, dtype=np.float64)
    return float(energy[paused].sum() / energy.sum()) if energy.any() else 1.0
