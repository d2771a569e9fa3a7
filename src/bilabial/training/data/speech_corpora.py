"""Speech without a face, of `synthesize.py`, EmoDB, or any corpus: with phone times, or sound alone."""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from bilabial.errors import UserError
from bilabial.io.phones import SILENCES, Phone, articulation
from bilabial.io.tables import decoded
from bilabial.training.data.corpora.take import AUDIO_SUFFIXES, files_below, with_suffix_of
from bilabial.training.old_names import current_entries

# SAMPA of EmoDB's labels -> IPA. A stop is a closure ("t", after a pause "_t"), a burst ("!t") and aspiration
# ("tasp").
SAMPA = {
    "aI": "aɪ", "aU": "aʊ", "OY": "ɔɪ", "tS": "tʃ", "@": "ə", "6": "ɐ", "?": "ʔ", "N": "ŋ", "S": "ʃ",
    "Z": "ʒ", "C": "ç", "X": "χ", "I": "ɪ", "E": "ɛ", "O": "ɔ", "U": "ʊ", "Y": "y", "V": "ʌ", "A": "ɑ",
    "9": "œ", "2": "ø", "J": "ɲ", "R": "ʁ", "D": "ð", "T": "θ", "B": "β", "G": "ɣ", "H": "h", "L": "l",
    "4": "ɾ", "g": "ɡ",
}  # fmt: skip

TERMS_FILE = "metadata.csv"
LABEL_SUFFIXES = (".textgrid", ".lab")
LAB_UNITS_PER_SECOND = 1e7  # integers in HTK's .lab files are units of 100 ns; others are seconds
PHONE_TIERS = ("phones", "phone", "phonemes", "phn", "mau")
INTERVAL = re.compile(r'xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = "((?:[^"]|"")*)"')


@dataclass(frozen=True)
class Speech:
    """One utterance: a sound file, phones (IPA or ARPAbet) with times in seconds, and where it comes from.

    No phones: not labeled.
    """

    id: str
    audio: Path
    phones: tuple[Phone, ...]
    speaker: str
    source: str
    license: str


def read_voices(folder: Path) -> Iterator[Speech]:
    """What train/pretrain/synthesize.py spoke: FOLDER/speech/ID.wav and ID.json."""
    sources = {
        "kokoro": ("Kokoro-82M (hexgrad)", "Apache-2.0"),
        "flite": ("flite voices (Carnegie Mellon University)", "BSD-like"),
        "espeak": ("espeak-ng", "GPL-3.0 (the program; its sound is free)"),
    }
    for path in sorted((folder / "speech").glob("*.json")):
        job = json.loads(path.read_text())
        source, license = sources[job["engine"]]
        yield Speech(
            id=f"voices/{job['id']}",
            audio=path.with_suffix(".wav"),
            phones=tuple((name, start, end) for name, start, end in job["phones"]),
            speaker="+".join(sorted(set(job["voices"]))),
            source=source,
            license=license,
        )


def read_emodb(folder: Path) -> Iterator[Speech]:
    """Berlin Database of Emotional Speech: FOLDER/wav/*.wav (or audio/*.flac) and FOLDER/lablaut/*.lablaut.

    Burkhardt, Paeschke, Rolfes, Sendlmeier, Weiss (2005), Interspeech. 10 German actors, CC0 in this edition.
    Utterances without labels or sound are left out.
    """
    for path in sorted((folder / "lablaut").glob("*.lablaut")):
        name = path.stem[:7]  # 03a01Fa: speaker, text, emotion, version
        audio = next(
            (found for found in sorted(folder.glob(f"*/{name}.*")) if found.suffix in AUDIO_SUFFIXES), None
        )
        phones = tuple(_lablaut_phones(path.read_text(encoding="latin-1")))
        if audio is not None and phones:
            yield Speech(
                id=f"emodb/{name}",
                audio=audio,
                phones=phones,
                speaker=f"emodb_{name[:2]}",
                source="Berlin Database of Emotional Speech (Burkhardt et al. 2005)",
                license="CC0",
            )


def read_labeled(folder: Path) -> Iterator[Speech]:
    """Any corpus of speech with phone labels: NAME.TextGrid or NAME.lab beside NAME.wav, at any depth.

    A TextGrid (Praat; the Montreal Forced Aligner writes them) has a tier of PHONE_TIERS; a .lab holds lines
    "start end phone". Phones are IPA or ARPAbet. FOLDER/metadata.csv has the columns source and license; the
    speaker is the folder of the sound. Sounds without labels are left out. Raises ValueError naming the file
    for invalid labels, unknown phones, or a missing metadata.csv.
    """
    source, license = _terms_of(folder)
    for labels in files_below(folder, LABEL_SUFFIXES):
        audio = with_suffix_of(labels, AUDIO_SUFFIXES)
        if audio is None:
            continue
        name = labels.relative_to(folder.resolve()).with_suffix("")
        yield Speech(
            id=f"{folder.resolve().name}/{name}",
            audio=audio,
            phones=_phones_of_labels(labels),
            speaker=labels.parent.name,
            source=source,
            license=license,
        )


def read_recordings(folder: Path) -> Iterator[Speech]:
    """Recorded speech without labels: every non-empty sound file of a folder and its subfolders.

    The nearest metadata.csv above a sound, up to FOLDER, has the columns source and license. The speaker is
    the sound's folder at the first level below that file. Raises ValueError without metadata.csv.
    """
    folder = folder.resolve()
    terms = {path.parent: _terms_of(path.parent) for path in folder.rglob(TERMS_FILE)}
    for audio in files_below(folder, AUDIO_SUFFIXES):
        if audio.stat().st_size:
            own = next((above for above in audio.parents if above in terms), folder)
            source, license = terms.get(own) or _terms_of(own)
            speaker = own.name if audio.parent == own else f"{own.name}/{audio.relative_to(own).parts[0]}"
            name = audio.relative_to(folder).with_suffix("")
            yield Speech(f"{folder.name}/{name}", audio, (), speaker, source, license)


READERS: dict[str, Callable[[Path], Iterator[Speech]]] = {
    "voices": read_voices,
    "emodb": read_emodb,
    "labeled": read_labeled,
    "recordings": read_recordings,
}


def _terms_of(folder: Path) -> tuple[str, str]:
    """Source and license of a corpus, from its metadata.csv."""
    path = folder / TERMS_FILE
    rows = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = current_entries(list(csv.DictReader(file)), str(path))
    if len(rows) != 1 or not (rows[0].get("source") and rows[0].get("license")):
        raise UserError("speech_terms", path=path)
    return rows[0]["source"], rows[0]["license"]


def _phones_of_labels(path: Path) -> tuple[Phone, ...]:
    """Phones of a TextGrid or .lab in the order of time, by the names that articulation() knows.

    Praat writes UTF-16 where a label is not ASCII.
    """
    try:
        text = decoded(path.read_bytes())
        spans = _lab_spans(text) if path.suffix.lower() == ".lab" else _textgrid_spans(text)
        if not spans:
            raise UserError("labels_empty")
        phones = tuple((_phone_name(name), start, end) for start, end, name in spans)
        articulation(phones, np.zeros(0))
    except UserError as error:
        raise error.in_file(path) from error
    except ValueError as error:
        raise UserError("labels_damaged", path=path, error=error) from error
    return phones


def _lab_spans(text: str) -> list[tuple[float, float, str]]:
    fields = [line.split() for line in text.splitlines() if line.strip()]
    if any(len(one) < 3 for one in fields):
        raise UserError("labels_line")
    unit = LAB_UNITS_PER_SECOND if all(one[1].isdigit() for one in fields) else 1.0
    return [(float(one[0]) / unit, float(one[1]) / unit, one[2]) for one in fields]


def _textgrid_spans(text: str) -> list[tuple[float, float, str]]:
    """Intervals of the first tier of phones in Praat's long text format."""
    tiers = re.split(r"item \[\d+\]:", text)[1:]
    for tier in tiers:
        name = re.search(r'name = "([^"]*)"', tier)
        if name and name[1].lower() in PHONE_TIERS:
            return [(float(start), float(end), label) for start, end, label in INTERVAL.findall(tier)]
    raise UserError("labels_tier", accepted=PHONE_TIERS)


def _phone_name(label: str) -> str:
    """A label without length, aspiration and other modifiers; all kinds of silence are "sil"."""
    label = label.strip()
    if label.upper() in SILENCES or label.lower() in SILENCES:
        return "sil"
    return "".join(sign for sign in label if unicodedata.category(sign) not in ("Lm", "Mn", "Sk"))


def _lablaut_phones(text: str) -> list[Phone]:
    """Phones of lines "start_seconds color label [notes]" after a "#".

    The first line is silence, the last one only ends it. A line without a symbol continues the previous
    phone.
    """
    starts = [("sil", 0.0)]
    for line in text.partition("\n#\n")[2].splitlines():
        fields = line.split()
        name = _ipa_of_sampa(fields[2]) if len(fields) > 2 else None
        if name is not None:
            starts.append((name, float(fields[0])))
    return [(name, start, end) for (name, start), (_, end) in pairwise(starts) if end > start]


def _ipa_of_sampa(label: str) -> str | None:
    """IPA symbols of a label, "sil" for a pause, None where it continues the previous phone."""
    if label.startswith((".", "(")) or label == "_":
        return "sil"
    sign = re.split(r"[-+(]", label.lstrip("!_"))[0]  # without notes, such as "+nas"
    sign = re.sub(r"(asp|as|sap)$", "", sign)
    signs = SAMPA.get(sign) or "".join(SAMPA.get(letter, letter) for letter in sign)
    return signs if signs.isalpha() else None
