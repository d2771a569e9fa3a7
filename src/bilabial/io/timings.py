"""Timings: phones with times of a recording, from any source.

Words and characters become the sounds of their letters, evenly spread: approximate, as `exact` tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bilabial.errors import UserError, as_number
from bilabial.io.phones import SILENCES, Phone, is_phone
from bilabial.io.spelling import UNKNOWN, sounds_of

LAST_SECONDS = 0.1  # duration of the last viseme, which has no end time
MISAKI = {"A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "Q": "əʊ"}  # Kokoro's signs of diphthongs
MARKS_OF_PLACE = re.compile(r"_[BIES]$")  # Kaldi's phones: in which place of a word


@dataclass(frozen=True)
class Timing:
    """Phones with times of one recording.

    phones: (IPA or ARPAbet name, start, end in seconds) in order; a silence's name is one of SILENCES, "?" is
    an unknown sound. exact: True for times of phones or visemes, False if spread over words.
    """

    phones: tuple[Phone, ...]
    exact: bool

    def __post_init__(self) -> None:
        rows = [(str(name), as_number(start), as_number(end)) for name, start, end in self.phones]
        for name, start, end in rows:
            if not (np.isfinite([start, end]).all() and -1e-6 <= start <= end):
                raise UserError("timing_times", name=name or "silence", start=start, end=end)
        rows = [(name if _is_known(name) else UNKNOWN, start, end) for name, start, end in rows]
        object.__setattr__(self, "phones", tuple(sorted(rows, key=lambda row: row[1:])))
        if not self.spoken:
            raise UserError("timing_empty")

    @property
    def spoken(self) -> list[Phone]:
        """The phones without silences."""
        return [phone for phone in self.phones if phone[0] not in SILENCES]

    @property
    def end_seconds(self) -> float:
        """When the last sound ends."""
        return max(end for _, _, end in self.spoken)


def _is_known(name: str) -> bool:
    return name in SILENCES or is_phone(name)


def of_phones(rows: Iterable[Sequence]) -> Timing:
    return Timing(tuple((plain_phone(str(name)), start, end) for name, start, end in rows), exact=True)


def of_words(rows: Iterable[tuple[str, float, float]]) -> Timing:
    """Words, or longer texts, with times: each sound of their letters gets the same share."""
    phones: list[Phone] = []
    for text, start, end in rows:
        sounds = [sound for word in str(text).split() for sound in sounds_of(word)]
        phones += spread(sounds, as_number(start), as_number(end))
    return Timing(tuple(phones), exact=False)


def spread(sounds: Sequence[str], start: float, end: float) -> list[Phone]:
    edges = np.linspace(start, end, len(sounds) + 1)
    return [(name, float(a), float(b)) for name, a, b in zip(sounds, edges[:-1], edges[1:], strict=True)]


def of_labels(rows: Sequence[tuple[str, float, float]], is_phones: bool | None) -> Timing:
    """Rows of a tier: phones where its name says so, or where all its labels are phones, else words."""
    names = [plain_phone(label) for label, _, _ in rows]
    if is_phones is None:
        is_phones = bool(names) and all(_is_known(name) for name in names)
    if is_phones:
        return of_phones([(name, *times) for name, (_, *times) in zip(names, rows, strict=True)])
    return of_words([row for row in rows if row[0] not in SILENCES and not row[0].startswith("<")])


def plain_phone(label: str) -> str:
    """A phone without its place in the word; stress stays with ARPAbet, which reads it."""
    label = MARKS_OF_PLACE.sub("", label.strip())
    if label.lower() in ("sil", "sp", "spn", "<eps>", "<p:>", "#", "_", "pau", "h#"):
        return ""
    return MISAKI.get(label, label)


def of_onsets(rows: Sequence[tuple[str, float]]) -> Timing:
    return Timing(tuple(with_ends(rows)), exact=True)


def with_ends(rows: Sequence[tuple[str, float]]) -> list[tuple[str, float, float]]:
    """Each lasts until the next one begins."""
    ends = [start for _, start in rows[1:]] + [rows[-1][1] + LAST_SECONDS]
    return [(name, start, max(start, end)) for (name, start), end in zip(rows, ends, strict=True)]
