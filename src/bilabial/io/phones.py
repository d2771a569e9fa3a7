"""Phones as articulatory features: IPA and ARPAbet names -> features shared by all languages.

The features follow the chart of the International Phonetic Association (Handbook of the IPA, 1999), reduced
to what is visible; rounding of English consonants (sh, ch, r) is as in Ladefoged, "A Course in Phonetics".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from unicodedata import category, normalize

import numpy as np

from bilabial.errors import UserError

ARTICULATION = (
    "silence", "vowel", "open", "mid", "close", "front", "back", "rounded", "rhotic",
    "bilabial", "labiodental", "dental", "alveolar", "postalveolar", "palatal", "velar", "glottal",
    "stop", "fricative", "nasal", "lateral", "approximant", "voiced",
)  # fmt: skip

_CONSONANTS = {  # IPA symbols -> place, manner, voicing and secondary rounding
    "p": "bilabial stop", "b ɓ": "bilabial stop voiced", "m": "bilabial nasal voiced",
    "ɸ β": "bilabial fricative", "ʙ": "bilabial approximant voiced", "ɱ": "labiodental nasal voiced",
    "f": "labiodental fricative", "v ʋ": "labiodental fricative voiced",
    "θ": "dental fricative", "ð": "dental fricative voiced",
    "t ʈ": "alveolar stop", "d ɖ ɗ": "alveolar stop voiced", "n ɳ ɴ": "alveolar nasal voiced",
    "s ʦ": "alveolar fricative", "z ʣ": "alveolar fricative voiced",
    "l ɫ": "alveolar lateral approximant voiced", "ɮ": "alveolar lateral fricative voiced",
    "ɾ r ɽ T": "alveolar approximant voiced",
    "ʃ ʧ": "postalveolar fricative rounded", "ʒ ʤ": "postalveolar fricative rounded voiced",
    "ʂ ꭧ": "postalveolar fricative", "ɹ": "postalveolar approximant rhotic rounded voiced",
    "ɻ ʐ": "postalveolar approximant rhotic voiced",
    "ɕ ʨ ç c": "palatal fricative", "ʥ ʑ ʝ ɟ": "palatal fricative voiced", "ɲ": "palatal nasal voiced",
    "ʎ": "palatal lateral approximant voiced", "j": "palatal approximant voiced",
    "ɥ": "palatal approximant rounded voiced", "w": "bilabial velar approximant rounded voiced",
    "k q": "velar stop", "ɡ g": "velar stop voiced", "ŋ": "velar nasal voiced", "x χ": "velar fricative",
    "ɣ ʁ ʀ ɰ": "velar fricative voiced", "h ħ ɦ": "glottal fricative", "ʔ": "glottal stop",
}  # fmt: skip
_VOWELS = {  # height, backness, rounding
    "i": "close front", "y": "close front rounded", "ɪ": "close mid front", "ʏ": "close mid front rounded",
    "ɨ ᵻ": "close", "ʉ": "close rounded",
    "u": "close back rounded", "ɯ": "close back", "ʊ": "close mid back rounded",
    "e": "mid front", "ø": "mid front rounded", "ɛ": "mid open front", "œ": "mid open front rounded",
    "ə ᵊ ɘ": "mid", "ɵ": "mid rounded", "ɚ ɜ ɝ": "mid rhotic", "ɤ": "mid back", "o": "mid back rounded",
    "ʌ ɐ": "mid open", "ɔ": "mid open back rounded", "æ": "open front", "a": "open",
    "ɑ": "open back", "ɒ": "open back rounded",
}  # fmt: skip
_ARPABET = {
    "AA": "ɑ", "AE": "æ", "AH": "ʌ", "AO": "ɔ", "AW": "aʊ", "AX": "ə", "AY": "aɪ", "B": "b", "CH": "tʃ",
    "D": "d", "DH": "ð", "EH": "ɛ", "ER": "ɚ", "EY": "eɪ", "F": "f", "G": "ɡ", "HH": "h", "IH": "ɪ",
    "IY": "i", "JH": "dʒ", "K": "k", "L": "l", "M": "m", "N": "n", "NG": "ŋ", "OW": "oʊ", "OY": "ɔɪ",
    "P": "p", "R": "ɹ", "S": "s", "SH": "ʃ", "T": "t", "TH": "θ", "UH": "ʊ", "UW": "u", "V": "v",
    "W": "w", "Y": "j", "Z": "z", "ZH": "ʒ",
}  # fmt: skip
_NEAREST = {ipa: name for name, ipa in _ARPABET.items()} | {
    "o": "OW", "a": "AA", "e": "EH", "ə": "AH", "x": "K", "r": "R", "ø": "ER", "œ": "ER", "y": "UW",
    "ɨ": "IH",
}  # fmt: skip
_SOUNDS = re.compile("|".join(sorted(_NEAREST, key=len, reverse=True)))  # diphthongs before their parts
SILENCES = ("", "sil", "SIL", "SP", "SPN", "NSN", "pau", "PAU", "<sil>", "(NULL)")
MARKS = ("Mn", "Lm")  # Unicode's combining marks and modifier letters
Phone = tuple[str, float, float]  # name, start and end in seconds


def _table() -> dict[str, np.ndarray]:
    table = {name: _vector("silence") for name in SILENCES}
    for signs, words in (*_CONSONANTS.items(), *((k, f"vowel voiced {v}") for k, v in _VOWELS.items())):
        table |= {sign: _vector(words) for sign in signs.split()}
    return table


def _vector(words: str) -> np.ndarray:
    return np.array([float(name in words.split()) for name in ARTICULATION], np.float32)


_FEATURES = _table()


def ipa_of(name: str) -> str:
    """The IPA symbols of an ARPAbet name (a diphthong has two); other names unchanged."""
    return _ARPABET.get(name.rstrip("012"), name)


def arpabet_of(ipa: str) -> list[str]:
    """The ARPAbet names nearest to the sounds of English in an IPA text; other signs are left out."""
    return [_NEAREST[sound] for sound in _SOUNDS.findall(ipa)]


def is_phone(name: str) -> bool:
    """Whether a name has articulatory features; the symbol of a tone has none."""
    return all(sign in _FEATURES for sign in _signs_of(name))


def seals_lips(name: str) -> bool:
    """Whether the lips meet in a phone, IPA or ARPAbet: p, b, m and related phones."""
    return has_features(name, "bilabial", "stop") or has_features(name, "bilabial", "nasal")


@cache
def has_features(name: str, *wanted: str) -> bool:
    """Whether a phone, IPA or ARPAbet, has all of these features of ARTICULATION at its start; the symbol of
    a tone has none.
    """
    if not is_phone(name):
        return False
    features = articulation([(name, 0.0, 1.0)], np.zeros(1))[0]
    return all(features[ARTICULATION.index(one)] for one in wanted)


def _signs_of(name: str) -> list[str]:
    """The IPA symbols of a phone in order, without ties, length and other marks."""
    signs = name if name in SILENCES else ipa_of(name)
    if signs in _FEATURES:
        return [signs]
    return [sign for sign in normalize("NFD", signs) if category(sign) not in MARKS]


def articulation(phones: Sequence[Phone], times: np.ndarray) -> np.ndarray:
    """Articulatory features (T, len(ARTICULATION)) float32 in 0..1 at times (T,), in seconds.

    Phones of two symbols (diphthongs, affricates) change half-way; ties, length and other marks are ignored;
    times without a phone are silence. Raises ValueError for a name that is neither IPA, ARPAbet nor a
    silence.
    """
    features = np.tile(_FEATURES["sil"], (len(times), 1))
    for name, start, end in phones:
        parts = _signs_of(name)
        unknown = [sign for sign in parts if sign not in _FEATURES]
        if unknown:
            raise UserError("phone_unknown", got=name, unknown=unknown)
        cuts = np.linspace(start, end, len(parts) + 1)
        for sign, first, last in zip(parts, cuts[:-1], cuts[1:], strict=True):
            features[(times >= first) & (times < last)] = _FEATURES[sign]
    return features
