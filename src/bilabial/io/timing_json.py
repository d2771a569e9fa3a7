"""Timings from JSON: Azure, Amazon Polly, ElevenLabs, Piper, Kokoro, Whisper, Montreal Forced Aligner."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bilabial.errors import UserError, as_number
from bilabial.io.phones import Phone, is_phone
from bilabial.io.timings import (
    MISAKI,
    Timing,
    of_labels,
    of_onsets,
    of_phones,
    of_words,
    plain_phone,
    spread,
    with_ends,
)

# learn.microsoft.com/azure/ai-services/speech-service/how-to-speech-synthesis-viseme: a phone of each id
AZURE = (
    "", "æ", "ɑ", "ɔ", "ɛ", "ɝ", "j", "w", "o", "aʊ", "ɔɪ",
    "aɪ", "h", "ɹ", "l", "s", "ʃ", "ð", "f", "t", "k", "p",
)  # fmt: skip
# docs.aws.amazon.com/polly/latest/dg/viseme.html
POLLY = {"sil": "", "S": "ʃ", "T": "θ", "r": "ɹ", "@": "ə", "E": "ɛ", "O": "ɔ"}
TICKS_HZ = 1e7  # Azure counts in 100 ns


def _azure_visemes(events: Sequence[Mapping]) -> Timing:
    rows = [(AZURE[int(_entry(one, "visemeid"))], _entry(one, "audiooffset") / TICKS_HZ) for one in events]
    return of_onsets(rows)


def _azure_words(events: Sequence[Mapping]) -> Timing:
    rows = []
    for one in events:
        start = _entry(one, "audiooffset") / TICKS_HZ
        rows.append((_entry(one, "text"), start, start + _entry(one, "duration") / TICKS_HZ))
    return of_words(rows)


def _polly(marks: Sequence[Mapping]) -> Timing:
    """Visemes if there are any, else words, which have no end times."""
    onsets = [(one["type"], one["value"], one["time"] / 1000) for one in marks]
    visemes = [(POLLY.get(value, value), time) for kind, value, time in onsets if kind == "viseme"]
    if visemes:
        return of_onsets(visemes)
    words = [(value, time) for kind, value, time in onsets if kind == "word"]
    return of_words([(word, start, end) for word, start, end in with_ends(words)])


def _elevenlabs(content: Mapping) -> Timing:
    """Characters with times; those between spaces are a word."""
    given = content.get("alignment") or content.get("normalized_alignment") or content
    if "charStartTimesMs" in given:
        starts = [time / 1000 for time in given["charStartTimesMs"]]
        ends = [start + time / 1000 for start, time in zip(starts, given["charDurationsMs"], strict=True)]
        characters = given["chars"]
    else:
        characters = given["characters"]
        starts, ends = given["character_start_times_seconds"], given["character_end_times_seconds"]
    rows: list[tuple[str, float, float]] = []
    fresh = True
    for character, start, end in zip(characters, starts, ends, strict=True):
        if not character.strip():
            fresh = True
        elif fresh:
            rows.append((character, start, end))
            fresh = False
        else:
            rows[-1] = (rows[-1][0] + character, rows[-1][1], end)
    return of_words(rows)


def _piper(content: Mapping) -> Timing:
    """Phones and how many samples each lasts."""
    rows = content.get("phoneme_alignments") or content.get("alignments")
    if rows is None:
        rows = [
            {"phoneme": phone, "num_samples": count}
            for phone, count in zip(content["phonemes"], content["phoneme_id_samples"], strict=True)
        ]
    ends = np.cumsum([row["num_samples"] for row in rows]) / content.get("sample_rate", 22050)
    signs = [plain_phone(row["phoneme"]) for row in rows]
    names = [
        "" if sign in ("^", "$", " ") or not sign.strip() or not sign[0].isalpha() else sign for sign in signs
    ]
    return Timing(tuple(zip(names, [0.0, *ends[:-1]], ends, strict=True)), exact=True)


def _kokoro(tokens: Sequence[Mapping]) -> Timing:
    """Words with their phones in IPA, spread over each word."""
    phones: list[Phone] = []
    for token in tokens:
        start, end = as_number(_entry(token, "startts")), as_number(_entry(token, "endts"))
        signs = [MISAKI.get(sign, sign) for sign in token.get("phonemes") or ""]
        signs = [sign for sign in signs if is_phone(sign) and sign.isalpha() and sign not in "ˈˌː"]
        if np.isfinite([start, end]).all():
            phones += spread(signs, start, end)
    return Timing(tuple(phones), exact=False)


def _phone_rows(rows: Sequence[Mapping]) -> Timing:
    return of_phones([(row["phone"], row["start"], row["end"]) for row in rows])


def _words_of(rows: Sequence[Mapping]) -> Timing:
    """Words of Whisper, WhisperX, Deepgram and others."""
    words, starts, ends = (
        ("word", "text", "punctuatedword", "value"),
        ("start", "starttime", "startts"),
        ("end", "endtime", "endts"),
    )
    return of_words([(_first(row, words), _first(row, starts), _first(row, ends)) for row in rows])


def _segments(content: Mapping) -> Timing:
    """Whisper's segments: their words where they have times, else the whole texts."""
    segments = content["segments"]
    words = [word for segment in segments for word in segment.get("words") or []]
    return _words_of([word for word in words if "start" in word] or segments)


def _tiers(content: Mapping) -> Timing:
    """JSON of the Montreal Forced Aligner: tiers of [start, end, label]."""
    tiers = content["tiers"]
    name = "phones" if "phones" in tiers else "words"
    return of_labels([(label, start, end) for start, end, label in tiers[name]["entries"]], name == "phones")


def _entry(row: Mapping, name: str):
    """An entry whose key is this without case and underscores; JavaScript's SDK puts priv before it."""
    for key, value in row.items():
        if key.lower().removeprefix("priv").replace("_", "") == name:
            return value
    raise KeyError(name)


def _first(row: Mapping, names: Sequence[str]):
    for name in names:
        try:
            return _entry(row, name)
        except KeyError:
            continue
    raise KeyError(names[0])


_OBJECTS: dict[str, Callable[[Mapping], Timing]] = {
    "alignment": _elevenlabs, "normalized_alignment": _elevenlabs, "characters": _elevenlabs,
    "charStartTimesMs": _elevenlabs, "phoneme_alignments": _piper, "phoneme_id_samples": _piper,
    "alignments": _piper, "tiers": _tiers,
    "phones": lambda content: timing_of_json(content["phones"]),
    "visemes": lambda content: timing_of_json(content["visemes"]),
    "tokens": lambda content: timing_of_json(content["tokens"]),
    "timestamps": lambda content: timing_of_json(content["timestamps"]),
    "words": lambda content: timing_of_json(content["words"]), "segments": _segments,
}  # fmt: skip
_LISTS: tuple[tuple[set[str], Callable[[Sequence[Mapping]], Timing]], ...] = (
    ({"audiooffset", "visemeid"}, _azure_visemes), ({"audiooffset", "duration", "text"}, _azure_words),
    ({"time", "type", "value"}, _polly), ({"phonemes", "startts", "endts"}, _kokoro),
    ({"phone", "start", "end"}, _phone_rows),
    ({"start", "end"}, _words_of), ({"starttime", "endtime"}, _words_of),
)  # fmt: skip


def timing_of_text(text: str) -> Timing:
    """JSON, or JSON lines as Polly writes them."""
    try:
        content = json.loads(text)
    except ValueError:
        content = [json.loads(line) for line in text.splitlines() if line.strip()]
    return timing_of_json(content)


def timing_of_json(content: object) -> Timing:
    """A timing from parsed JSON of a synthesizer or an aligner. Raises UserError for another layout."""
    if isinstance(content, Mapping):
        for key, reader in _OBJECTS.items():
            if key in content:
                return reader(content)
    elif isinstance(content, Sequence) and not isinstance(content, str) and len(content):
        first = content[0]
        if isinstance(first, (list, tuple)) and len(first) == 3:
            return of_phones(content)
        if isinstance(first, Mapping):
            keys = {key.lower().removeprefix("priv").replace("_", "") for key in first}
            for needed, read_list in _LISTS:
                if needed <= keys:
                    return read_list(content)
    raise UserError("timing_json")
