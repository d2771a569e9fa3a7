"""Timings of aligners, subtitles and synthesizers, in the layouts that they write."""

import json

import pytest
from support.errors import refused

from bilabial.errors import MissingFileError
from bilabial.io.phones import seals_lips
from bilabial.io.spelling import sounds_of
from bilabial.io.timing_files import as_timing
from bilabial.io.timings import Timing

# "my Bob": m 0.1-0.2, a diphthong to 0.4, b 0.5-0.6, a vowel to 0.8, b to 0.9
PHONES = [("", 0.0, 0.1), ("m", 0.1, 0.2), ("aɪ", 0.2, 0.4), ("", 0.4, 0.5), ("b", 0.5, 0.6), ("ɑ", 0.6, 0.8),
          ("b", 0.8, 0.9)]  # fmt: skip
ARPABET = ["sil", "M", "AY1", "sp", "B", "AA1", "B"]

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.0
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.0
        intervals: size = 2
        intervals [1]:
            xmin = 0.1
            xmax = 0.4
            text = "my"
        intervals [2]:
            xmin = 0.5
            xmax = 0.9
            text = "Bob ""B"" "
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 1.0
        intervals: size = 7
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
1.0
<exists>
2
"TextTier"
"events"
0
1.0
1
0.3
"click"
"""
VTT = "WEBVTT\n\n1\n00:00.100 --> 00:00.900 align:start\n<v Ann>my <00:00:00.500>Bob\n\nNOTE x\n"
SRT = (
    "\ufeff1\r\n00:00:00,100 --> 00:00:00,400\r\n<i>my</i>\r\n\r\n"
    "2\r\n00:00:00,500 --> 00:00:00,900\r\nBob\r\n"
)


LABELED = [(label, start, end) for label, (_, start, end) in zip(ARPABET, PHONES, strict=True)]


def long_textgrid() -> str:
    rows = [
        f'    intervals [{k + 1}]:\n        xmin = {a}\n        xmax = {b}\n        text = "{label}"\n'
        for k, (label, a, b) in enumerate(LABELED)
    ]
    return LONG + "".join(rows)


def short_textgrid() -> str:
    rows = "".join(f'{start}\n{end}\n"{label}"\n' for label, start, end in LABELED)
    return f'{SHORT}"IntervalTier"\n"MAU"\n0\n1.0\n7\n{rows}'


def azure() -> list:
    ids, starts = [0, 21, 11, 0, 21, 2, 21, 0], [*(start for _, start, _ in PHONES), 0.9]
    timed = zip(ids, starts, strict=True)
    return [{"privAudioOffset": int(start * 1e7), "privVisemeId": one} for one, start in timed]


def polly() -> str:
    marks = [{"time": 100, "type": "word", "start": 0, "end": 2, "value": "my"}]
    visemes, starts = (
        ["sil", "p", "a", "sil", "p", "a", "p", "sil"],
        [*(start for _, start, _ in PHONES), 0.9],
    )
    for viseme, start in zip(visemes, starts, strict=True):
        marks.append({"time": int(1000 * start), "type": "viseme", "value": viseme})
    return "\n".join(map(json.dumps, marks))


def elevenlabs() -> dict:
    alignment = {
        "characters": list("my Bob"),
        "character_start_times_seconds": [0.1, 0.2, 0.4, 0.5, 0.6, 0.8],
        "character_end_times_seconds": [0.2, 0.4, 0.5, 0.6, 0.8, 0.9],
    }
    return {"audio_base64": "", "alignment": alignment}


def piper() -> dict:
    signs = ["^", "m", "aɪ", " ", "b", "ɑ", "b", "$"]
    counts = [2205, 2205, 4410, 2205, 2205, 4410, 2205, 0]
    rows = [{"phoneme": sign, "num_samples": count} for sign, count in zip(signs, counts, strict=True)]
    return {"sample_rate": 22050, "phoneme_alignments": rows}


def kokoro() -> dict:
    return {"tokens": [{"text": "my", "phonemes": "mˈI", "start_ts": 0.1, "end_ts": 0.4},
                       {"text": "Bob", "phonemes": "bˈɑb", "start_ts": 0.5, "end_ts": 0.9},
                       {"text": ".", "phonemes": ".", "start_ts": None, "end_ts": None}]}  # fmt: skip


def whisper() -> dict:
    words = [{"word": " my", "start": 0.1, "end": 0.4}, {"word": " Bob.", "start": 0.5, "end": 0.9}]
    return {"text": "", "segments": [{"start": 0.1, "end": 0.9, "text": " my Bob.", "words": words}]}


def mfa() -> dict:
    entries = [[start, end, label] for label, start, end in LABELED]
    return {"start": 0, "end": 1, "tiers": {"words": {"entries": []}, "phones": {"entries": entries}}}


CTM = "a 1 0.1 0.1 m_B\na 1 0.2 0.2 AY1_E\na 1 0.5 0.1 b_B\n;; note\na 1 0.6 0.2 AA1_I\na 1 0.8 0.1 b_E\n"
EXACT = {
    "long.TextGrid": long_textgrid(), "short.TextGrid": short_textgrid(), "phones.ctm": CTM,
    "azure.json": json.dumps(azure()), "polly.json": polly(), "piper.json": json.dumps(piper()),
    "mfa.json": json.dumps(mfa()), "list.json": json.dumps(PHONES),
    "phones.json": json.dumps({"phones": PHONES}),
}  # fmt: skip
ROUGH = {
    "words.vtt": VTT, "words.srt": SRT, "words.ctm": "a 1 0.1 0.3 my 0.99\na 1 0.5 0.4 Bob 0.98\n",
    "eleven.json": json.dumps(elevenlabs()), "kokoro.json": json.dumps(kokoro()),
    "whisper.json": json.dumps(whisper()),
    "azure_words.json": json.dumps([
        {"audioOffset": 1_000_000, "duration": 3_000_000, "text": "my", "boundaryType": "WordBoundary"},
        {"audioOffset": 5_000_000, "duration": 4_000_000, "text": "Bob", "boundaryType": "WordBoundary"}]),
    "fastapi.json": json.dumps({"timestamps": [{"word": "my", "start_time": 0.1, "end_time": 0.4},
                                               {"word": "Bob", "start_time": 0.5, "end_time": 0.9}]}),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", EXACT)
def test_phones_and_visemes(tmp_path, name, encoding):
    path = tmp_path / name
    path.write_bytes(EXACT[name].encode(encoding))
    timing = as_timing(path)
    assert timing.exact
    closed = [(start, end) for phone, start, end in timing.phones if seals_lips(phone)]
    assert closed == [pytest.approx(span, abs=1e-6) for span in ((0.1, 0.2), (0.5, 0.6), (0.8, 0.9))]
    assert timing.end_seconds == pytest.approx(0.9)


@pytest.mark.parametrize("name", ROUGH)
def test_words_and_characters(tmp_path, name):
    path = tmp_path / name
    path.write_text(ROUGH[name], encoding="utf-8", newline="")
    timing = as_timing(path)
    assert not timing.exact
    middles = [(start + end) / 2 for phone, start, end in timing.phones if seals_lips(phone)]
    assert middles == [pytest.approx(middle, abs=0.08) for middle in (0.15, 0.55, 0.85)]


def test_objects_are_taken_too():
    assert as_timing(PHONES).phones[1] == ("m", 0.1, 0.2)
    assert as_timing(azure()).exact and not as_timing(elevenlabs()).exact
    same = Timing(tuple(PHONES), True)
    assert as_timing(same) is same


def test_unknown_sounds_are_left_to_the_sound():
    timing = as_timing([("m", 0, 0.1), ("5", 0.1, 0.2), ("wa4", 0.2, 0.3)])
    assert [name for name, _, _ in timing.phones] == ["m", "?", "?"]


@pytest.mark.parametrize("word, closes", [
    ("pumpkin", "pmp"), ("lamb", "m"), ("psychology", ""), ("phone", ""), ("debt", ""), ("Bob's", "bb"),
    ("бабушка", "bb"), ("你好", ""), ("...", ""),
])  # fmt: skip
def test_letters_that_close_lips(word, closes):
    assert "".join(sound for sound in sounds_of(word) if seals_lips(sound)) == closes


@pytest.mark.parametrize("name, content, code, values", [
    ("a.doc", "x", "timing_suffix", {"accepted": ".TextGrid, .ctm, .srt, .vtt, .json, .txt"}),
    ("a.txt", "...", "transcript_empty", {"got": "'...'"}),
    ("a.json", "{", "timing_damaged", {}),
    ("a.json", '{"voice": 1}', "timing_json", {}),
    ("a.json", "[]", "timing_json", {}),
    ("a.TextGrid", "hello", "timing_textgrid", {}),
    ("a.ctm", "a 1 0 1 hi\nb 1 0 1 ho\n", "timing_several", {"names": "a, b"}),
    ("a.ctm", "a 1 x 1 hi\n", "timing_damaged", {}),
    ("a.srt", "no cues", "timing_empty", {}),
    ("a.json", '[["m", 0.5, 0.1]]', "timing_times", {"name": "m", "start": 0.5, "end": 0.1}),
    ("a.json", '[["m", -1, 0.1]]', "timing_times", {"name": "m", "start": -1, "end": 0.1}),
    ("a.json", '[["", 0, 1]]', "timing_empty", {}),
])  # fmt: skip
def test_wrong_files_are_refused(tmp_path, name, content, code, values):
    (tmp_path / name).write_text(content)
    with refused(code, path=tmp_path / name, **values):
        as_timing(tmp_path / name)


def test_a_missing_file(tmp_path):
    with refused("file_missing", MissingFileError, name=tmp_path / "none.ctm"):
        as_timing(tmp_path / "none.ctm")
