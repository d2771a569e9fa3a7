"""Approximate phones of written words, for timings of words or characters.

Letters show where lips meet (p, b, m), where they open and where a lip touches the teeth; of what else they
say little is needed here, so vowels are taken as they look. Latin and Cyrillic letters; of other scripts the
sounds stay unknown, and the sound alone decides.
"""

from __future__ import annotations

import re
from unicodedata import category, normalize

UNKNOWN = "?"
# Letters and groups of letters -> IPA, "" for what is silent; the longest group goes first.
GROUPS = {
    "eigh": "eɪ", "ough": "o", "augh": "ɔ", "tsch": "tʃ", "sch": "ʃ", "tch": "tʃ", "igh": "aɪ", "eau": "o",
    "ph": "f", "th": "θ", "sh": "ʃ", "ch": "tʃ", "ck": "k", "ng": "ŋ", "wh": "w", "qu": "kw", "gh": "ɡ",
    "dg": "dʒ", "ai": "eɪ", "ay": "eɪ", "ea": "i", "ee": "i", "ei": "eɪ", "ey": "i", "ie": "i", "oa": "o",
    "oo": "u", "ou": "aʊ", "ow": "aʊ", "oi": "ɔɪ", "oy": "ɔɪ", "au": "ɔ", "aw": "ɔ", "ue": "u", "ew": "u",
    "ui": "u", "a": "æ", "e": "ɛ", "i": "ɪ", "o": "ɔ", "u": "ʌ", "y": "i", "b": "b", "c": "k", "d": "d",
    "f": "f", "g": "ɡ", "h": "h", "j": "dʒ", "k": "k", "l": "l", "m": "m", "n": "n", "p": "p", "q": "k",
    "r": "ɹ", "s": "s", "t": "t", "v": "v", "w": "w", "x": "ks", "z": "z", "ß": "s", "ø": "ø", "œ": "œ",
    "æ": "æ", "ı": "ɪ", "ł": "w", "а": "a", "б": "b", "в": "v", "г": "ɡ", "д": "d", "е": "e", "ж": "ʒ",
    "з": "z", "и": "i", "к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s",
    "т": "t", "у": "u", "ф": "f", "х": "x", "ц": "ts", "ч": "tʃ", "ш": "ʃ", "щ": "ʃ", "ъ": "", "ы": "ɨ",
    "ь": "", "э": "ɛ", "ю": "u", "я": "a", "і": "i", "є": "e",
}  # fmt: skip
# At the beginning and at the end of a word: silent letters of English, where a lip letter is among them.
FIRST = {"ps": "s", "pn": "n", "pt": "t", "kn": "n", "wr": "ɹ", "wh": "w"}
LAST = {"mb": "m", "mbs": "mz", "bt": "t", "mn": "m"}
PARTS = re.compile("|".join(sorted(map(re.escape, GROUPS), key=len, reverse=True)))
DOUBLED = re.compile(r"([^aeiou])\1")


def sounds_of(word: str) -> list[str]:
    """IPA signs of a written word in order, UNKNOWN for letters of other scripts; [] for punctuation."""
    plain = DOUBLED.sub(r"\1", _plain(word))
    before, plain = _taken(plain, FIRST, str.startswith, str.removeprefix)
    after, plain = _taken(plain, LAST, str.endswith, str.removesuffix)
    if len(plain) > 2 and plain.endswith("e") and not after and plain[-2] not in "aeiou":
        plain = plain[:-1]  # silent at the end of English words
    sounds, place = [*before], 0
    while place < len(plain):
        match = PARTS.match(plain, place)
        sounds += list(GROUPS[match[0]]) if match else [UNKNOWN]
        place = match.end() if match else place + 1
    return [*sounds, *after]


def _plain(word: str) -> str:
    """Small letters without accents; what is no letter is left out."""
    return "".join(sign for sign in normalize("NFD", word.lower()) if category(sign).startswith("L"))


def _taken(word: str, endings: dict[str, str], has, without) -> tuple[str, str]:
    """The sounds of a beginning or an end that a word has, and the rest of it."""
    for ending, sounds in endings.items():
        if len(word) > len(ending) and has(word, ending):
            return sounds, without(word, ending)
    return "", word
