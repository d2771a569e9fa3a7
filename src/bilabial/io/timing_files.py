"""Timings from files: TextGrid (Praat, Montreal Forced Aligner), CTM (Kaldi), SRT, WebVTT and JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bilabial.errors import MissingFileError, UserError, as_path
from bilabial.io.alignment import Transcript
from bilabial.io.tables import decoded
from bilabial.io.timing_json import timing_of_json, timing_of_text
from bilabial.io.timings import Timing, of_labels, of_words

PHONE_TIER = re.compile("phon|segment|mau", re.IGNORECASE)
WORD_TIER = re.compile("word|ort|token", re.IGNORECASE)
TOKENS = re.compile(r'"((?:[^"]|"")*)"|(?<![\w.])(-?\d+(?:\.\d+)?(?:[eE]-?\d+)?)(?![\w.])|(<exists>)')
SUBTITLE_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
SUBTITLE = re.compile(rf"{SUBTITLE_TIME}\s*-->\s*{SUBTITLE_TIME}")
INLINE_TIME = re.compile(rf"<{SUBTITLE_TIME}>")
FORMATS = (".TextGrid", ".ctm", ".srt", ".vtt", ".json", ".txt")
TimingSource = Timing | Transcript | str | Path | Mapping | Sequence


def _textgrid(text: str) -> Timing:
    """The tier of phones, else of words, else the first. Long and short TextGrid alike."""
    text = re.sub(r"\[\d*\]", "", text)
    tokens = [
        match[1] if match[2] is None and match[3] is None else match[2] or match[3]
        for match in TOKENS.finditer(text)
    ]
    if "TextGrid" not in tokens[:3]:
        raise UserError("timing_textgrid")
    tiers: list[tuple[str, list[tuple[str, float, float]]]] = []
    place = tokens.index("<exists>") + 2
    while place < len(tokens):
        kind, name, count = tokens[place], tokens[place + 1], int(tokens[place + 4])
        width = 3 if kind == "IntervalTier" else 2
        rows = [tokens[place + 5 + width * k : place + 5 + width * (k + 1)] for k in range(count)]
        if kind == "IntervalTier":
            tiers.append((name, [(label.replace('""', '"'), float(a), float(b)) for a, b, label in rows]))
        place += 5 + width * count
    if not tiers:
        raise UserError("timing_textgrid")
    for wanted, is_phones in ((PHONE_TIER, True), (WORD_TIER, False)):
        for name, labels in tiers:
            if wanted.search(name):
                return of_labels(labels, is_phones)
    return of_labels(tiers[0][1], None)


def _ctm(text: str) -> Timing:
    """Lines of recording, channel, start, duration and a word or phone."""
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith(";;")]
    recordings = {row[0] for row in rows}
    if len(recordings) > 1:
        raise UserError("timing_several", names=sorted(recordings))
    timed = [(row[4], float(row[2]), float(row[2]) + float(row[3])) for row in rows]
    return of_labels(timed, None)


def _subtitles(text: str) -> Timing:
    """Cues of SRT or WebVTT; times within a cue of WebVTT are taken."""
    rows, matches = [], list(SUBTITLE.finditer(text))
    for match, after in zip(matches, [*matches[1:], None], strict=False):
        start, end = _seconds(*match.groups()[:4]), _seconds(*match.groups()[4:])
        said = text[match.end() : after.start() if after else len(text)].partition("\n")[2]
        said = re.split(r"\n\s*\n", said)[0]
        parts = INLINE_TIME.split(said)  # a text, then four groups of a time and a text, ...
        times = [start, *(_seconds(*parts[k : k + 4]) for k in range(1, len(parts), 5)), end]
        for words, first, last in zip(parts[::5], times[:-1], times[1:], strict=True):
            plain = re.sub(r"<[^>]*>|\{[^}]*\}|^\s*-?\s*[A-Z][\w ]{0,20}:\s", " ", words).strip()
            if plain and last > first:
                rows.append((plain, first, last))
    return of_words(rows)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def as_timing(source: TimingSource) -> Timing | Transcript:
    """A timing from a file, from what a synthesizer's JSON holds, or of (name, start, end) of phones; or a
    transcript, from a text file or a str that is no name of a file.

    Raises FileNotFoundError, or UserError naming the file and what is wrong.
    """
    if isinstance(source, (Timing, Transcript)):
        return source
    if isinstance(source, str) and not _is_file_name(source):
        return Transcript(source)
    if isinstance(source, (str, Path)):
        return read_timing(source)
    return timing_of_json(source)


def _is_file_name(text: str) -> bool:
    """Whether a text names a file: it ends as one that is read, or is one word with a dot or slash in it."""
    text = text.strip()
    reads = text.lower().endswith(tuple(suffix.lower() for suffix in FORMATS))
    return reads or bool(re.fullmatch(r"\S*[./\\]\S+", text))


def read_timing(path: str | Path) -> Timing | Transcript:
    """A timing from a file, by its suffix, or the transcript of a text file. Raises as `as_timing`."""
    path = as_path(path)
    if not path.is_file():
        raise MissingFileError("file_missing", name=path)
    readers: dict[str, Callable[[str], Timing | Transcript]] = {
        ".textgrid": _textgrid, ".ctm": _ctm, ".srt": _subtitles, ".vtt": _subtitles, ".json": timing_of_text,
        ".txt": Transcript,
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise UserError("timing_suffix", path=path, accepted=FORMATS)
    try:
        return reader(decoded(path.read_bytes()))
    except UserError as error:
        raise error.in_file(path) from error
    except (IndexError, KeyError, RecursionError, TypeError, ValueError, AttributeError) as error:
        raise UserError("timing_damaged", path=path, error=error) from error
