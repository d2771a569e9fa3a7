"""Speech without a face: sound with phone times, as `train/voices.py` makes it and as EmoDB has it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bilabial.phones import Phone

# SAMPA of EmoDB's labels -> IPA. A stop is a closure ("t", after a pause "_t"), a burst ("!t") and aspiration
# ("tasp").
SAMPA = {
    "aI": "aɪ", "aU": "aʊ", "OY": "ɔɪ", "tS": "tʃ", "@": "ə", "6": "ɐ", "?": "ʔ", "N": "ŋ", "S": "ʃ",
    "Z": "ʒ", "C": "ç", "X": "χ", "I": "ɪ", "E": "ɛ", "O": "ɔ", "U": "ʊ", "Y": "y", "V": "ʌ", "A": "ɑ",
    "9": "œ", "2": "ø", "J": "ɲ", "R": "ʁ", "D": "ð", "T": "θ", "B": "β", "G": "ɣ", "H": "h", "L": "l",
    "4": "ɾ", "g": "ɡ",
}  # fmt: skip


@dataclass(frozen=True)
class Speech:
    """One utterance: a sound file, phones (IPA or ARPAbet) with times in seconds, and where it comes from."""

    id: str
    audio: Path
    phones: tuple[Phone, ...]
    speaker: str
    source: str
    licence: str


def read_voices(folder: Path) -> Iterator[Speech]:
    """What train/voices.py spoke: FOLDER/speech/ID.wav and ID.json."""
    sources = {
        "kokoro": ("Kokoro-82M (hexgrad)", "Apache-2.0"),
        "flite": ("flite voices (Carnegie Mellon University)", "BSD-like"),
        "espeak": ("espeak-ng", "GPL-3.0 (the program; its sound is free)"),
    }
    for path in sorted((folder / "speech").glob("*.json")):
        job = json.loads(path.read_text())
        source, licence = sources[job["engine"]]
        yield Speech(
            id=f"voices/{job['id']}",
            audio=path.with_suffix(".wav"),
            phones=tuple((name, start, end) for name, start, end in job["phones"]),
            speaker="+".join(sorted(set(job["voices"]))),
            source=source,
            licence=licence,
        )


def read_emodb(folder: Path) -> Iterator[Speech]:
    """Berlin Database of Emotional Speech: FOLDER/audio/*.flac (or wav/*.wav) and FOLDER/lablaut/*.lablaut.

    Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss (2005), Interspeech. 10 German actors, CC0 in this edition.
    Utterances without labels or sound are left out.
    """
    for path in sorted((folder / "lablaut").glob("*.lablaut")):
        name = path.stem[:7]  # 03a01Fa: speaker, text, emotion, version
        audio = next(
            (found for found in sorted(folder.glob(f"*/{name}.*")) if found.suffix != ".lablaut"), None
        )
        phones = tuple(_lablaut_phones(path.read_text(encoding="latin-1")))
        if audio is not None and phones:
            yield Speech(
                id=f"emodb/{name}",
                audio=audio,
                phones=phones,
                speaker=f"emodb_{name[:2]}",
                source="Berlin Database of Emotional Speech (Burkhardt et al. 2005)",
                licence="CC0",
            )


READERS: dict[str, Callable[[Path], Iterator[Speech]]] = {"voices": read_voices, "emodb": read_emodb}


def _lablaut_phones(text: str) -> list[Phone]:
    """Phones of lines "start_seconds colour label [notes]" after a "#".

    The speech begins with silence, the last line only ends it. A line without a sign continues the phone
    before.
    """
    starts = [("sil", 0.0)]
    for line in text.partition("\n#\n")[2].splitlines():
        fields = line.split()
        name = _ipa_of_sampa(fields[2]) if len(fields) > 2 else None
        if name is not None:
            starts.append((name, float(fields[0])))
    return [(name, start, end) for (name, start), (_, end) in pairwise(starts) if end > start]


def _ipa_of_sampa(label: str) -> str | None:
    """IPA signs of a label, "sil" for a pause, None for one that only continues what was there."""
    if label.startswith((".", "(")) or label == "_":
        return "sil"
    sign = re.split(r"[-+(]", label.lstrip("!_"))[0]  # without notes, such as "+nas"
    sign = re.sub(r"(asp|as|sap)$", "", sign)
    signs = SAMPA.get(sign) or "".join(SAMPA.get(letter, letter) for letter in sign)
    return signs if signs.isalpha() else None
