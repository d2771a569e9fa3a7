import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.errors import refused

from bilabial.io.audio import load_audio
from bilabial.io.phones import ARTICULATION, articulation
from bilabial.training.data.speech_corpora import read_emodb, read_labeled, read_recordings, read_voices

HEADER = "signal x\ntype 0\nseparator ;\nnfields 1\n#\n"


def emodb(folder: Path, **labels: str) -> Path:
    """EmoDB's layout with empty sound files: {name: lines after the header}."""
    for part in ("lablaut", "audio"):
        (folder / part).mkdir(exist_ok=True)
    for name, lines in labels.items():
        (folder / "lablaut" / f"{name}.lablaut").write_text(HEADER + lines, encoding="latin-1")
        (folder / "audio" / f"{name[:7]}.flac").touch()
    return folder


def phones_in(folder: Path, lines: str) -> list[tuple[str, float, float]]:
    (speech,) = read_emodb(emodb(folder, **{"03a01Faxx": lines}))
    return list(speech.phones)


def test_a_label_is_where_a_phone_begins(tmp_path):
    lines = " 0.10 -1 a\n 0.25 -1 b\n 0.30 -1 !b\n 0.31 -1 basp\n 0.33 -1 aI\t+nas\t1\n 0.50 -1 .\n"
    assert phones_in(tmp_path, lines) == [
        ("sil", 0.0, 0.1), ("a", 0.1, 0.25), ("b", 0.25, 0.3), ("b", 0.3, 0.31), ("b", 0.31, 0.33),
        ("aɪ", 0.33, 0.5),
    ]  # fmt: skip


def test_a_closure_after_a_pause_is_no_pause(tmp_path):
    lines = "  0.0  -1 I\n  0.2  -1 (\n  0.4  -1 _p\n  0.45 -1 !p\n  0.5  -1 .\n"
    assert phones_in(tmp_path, lines) == [
        ("ɪ", 0.0, 0.2), ("sil", 0.2, 0.4), ("p", 0.4, 0.45), ("p", 0.45, 0.5)
    ]  # fmt: skip


@pytest.mark.parametrize("note", ["+lar", "-sth,-tie", "", "!", "[+eng"])
def test_a_line_without_a_sign_continues_the_phone(tmp_path, note):
    lines = f"  0.0  -1 m\n  0.1  -1 {note}\n  0.2  -1 .\n"
    assert phones_in(tmp_path, lines) == [("m", 0.0, 0.2)]


@pytest.mark.parametrize(
    "label, name",
    [("I+nas", "ɪ"), ("!b+na", "b"), ("gas+sth", "ɡ"), ("dsap", "d"), ("i6", "iɐ"), ("(gef", "sil")],
)
def test_notes_and_slips_within_a_label(tmp_path, label, name):
    assert phones_in(tmp_path, f"  0.0  -1 {label}\n  0.2  -1 .\n") == [(name, 0.0, 0.2)]


def test_emodb_leaves_out_what_has_no_labels_or_no_sound(tmp_path):
    folder = emodb(tmp_path, **{"03a01Faxx": "  0.1  -1 a\n  0.2  -1 .\n", "08a01Wbxx": "", "14b09Eaxx": ""})
    emodb(folder, **{"14b09Ea": "  0.1  -1 m\n  0.2  -1 .\n", "16b10Waxx": "  0.1  -1 a\n  0.2  -1 .\n"})
    (folder / "audio" / "16b10Wa.flac").unlink()
    read = list(read_emodb(folder))
    assert [speech.id for speech in read] == ["emodb/03a01Fa", "emodb/14b09Ea"]
    assert read[0].speaker == "emodb_03" and read[0].license == "CC0"
    assert read[0].audio == folder / "audio" / "03a01Fa.flac"


def test_every_label_of_emodb_is_known(clips):
    """Phones follow one another without a gap, and articulation() knows them all."""
    count = Counter()
    for speech in read_emodb(clips / "emodb"):
        count[speech.id] += 1
        articulation(speech.phones, np.arange(3) / 50)
        edges = [time for _, start, end in speech.phones for time in (start, end)]
        assert edges == sorted(edges) and edges[1:-1:2] == edges[2::2] and edges[0] == 0.0
    assert len(count) > 530 and set(count.values()) == {1}


def test_emodbs_vowels_are_where_the_sound_is_loud(clips):
    """The level of the sound follows vowels and falls in pauses and stops, best without a shift in time."""
    vowel, silence, stop = (ARTICULATION.index(name) for name in ("vowel", "silence", "stop"))
    shifts = np.arange(-0.1, 0.11, 0.02)
    scores = []
    for speech in list(read_emodb(clips / "emodb"))[::50]:
        waveform = load_audio(speech.audio)
        levels = np.log(np.add.reduceat(waveform**2, np.arange(0, len(waveform), 160)) + 1e-6)
        times = np.arange(len(levels)) * 0.01
        features = (articulation(speech.phones, times + shift) for shift in shifts)
        expected = [one[:, vowel] - one[:, silence] - 0.5 * one[:, stop] for one in features]
        scores.append([np.corrcoef(one, levels)[0, 1] for one in expected])
    mean = np.mean(scores, axis=0)
    assert abs(shifts[mean.argmax()]) < 0.03 and mean.max() > 0.6


def test_voices_are_read(tmp_path):
    (tmp_path / "speech").mkdir()
    job = {
        "id": "flite_00000",
        "engine": "flite",
        "voices": ["slt"],
        "phones": [["sil", 0.0, 0.1], ["B", 0.1, 0.2]],
    }
    kokoro = {**job, "id": "kokoro_00000", "engine": "kokoro", "voices": ["bf_emma", "af_sky", "bf_emma"]}
    for one in (kokoro, job):
        (tmp_path / "speech" / f"{one['id']}.json").write_text(json.dumps(one))
    first, second = read_voices(tmp_path)
    assert first.id == "voices/flite_00000" and first.audio == tmp_path / "speech" / "flite_00000.wav"
    assert first.phones == (("sil", 0.0, 0.1), ("B", 0.1, 0.2)) and first.speaker == "slt"
    assert second.speaker == "af_sky+bf_emma" and second.license == "Apache-2.0"


def test_emodb_as_it_is_given_out(tmp_path):
    """wav/, lablaut/ and labsilb/ side by side: labels of syllables are no sound."""
    folder = emodb(tmp_path, **{"03a01Fa": "  0.1  -1 a\n  0.2  -1 .\n"})
    (folder / "audio" / "03a01Fa.flac").unlink()
    for part, name in (("labsilb", "03a01Fa.labsilb"), ("wav", "03a01Fa.wav")):
        (folder / part).mkdir()
        (folder / part / name).touch()
    assert [speech.audio.name for speech in read_emodb(folder)] == ["03a01Fa.wav"]


TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.9
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.9
        intervals: size = 1
            intervals [1]:
                xmin = 0
                xmax = 0.9
                text = "pa"
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 0.9
        intervals: size = 3
            intervals [1]:
                xmin = 0
                xmax = 0.3
                text = "pʰ"
            intervals [2]:
                xmin = 0.3
                xmax = 0.65
                text = "AA1"
            intervals [3]:
                xmin = 0.65
                xmax = 0.9
                text = "spn"
"""


def labeled(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".wav").touch()
    (folder / "metadata.csv").write_text("source,license\nSomebody's corpus,CC BY 4.0\n")
    return folder


@pytest.mark.parametrize(
    "name, text",
    [
        ("anna/one.TextGrid", TEXTGRID),
        ("anna/one.lab", "0 3000000 p\n3000000 6500000 AA\n6500000 9000000 SIL\n"),
        ("anna/one.lab", "0.0 0.3 p\n0.3 0.65 AA1\n0.65 0.9 sp\n"),
    ],
)
def test_labels_beside_a_sound(tmp_path, name, text):
    folder = labeled(tmp_path, name, text)
    (folder / "anna" / "two.wav").touch()
    (speech,) = read_labeled(folder)
    assert [start for _, start, _ in speech.phones] == [0.0, 0.3, 0.65] and speech.phones[-1][2] == 0.9
    assert [phone.rstrip("1") for phone, _, _ in speech.phones] == ["p", "AA", "sil"]
    assert (speech.id, speech.speaker) == (f"{tmp_path.name}/anna/one", "anna")
    assert (speech.audio.name, speech.source, speech.license) == ("one.wav", "Somebody's corpus", "CC BY 4.0")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_labels_in_praats_encodings(tmp_path, encoding):
    text = TEXTGRID.replace('"AA1"', '"ɑ"').replace('"AA"', '"ɑ"')
    folder = labeled(tmp_path, "anna/one.TextGrid", text)
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (folder / "anna" / "one.TextGrid").write_bytes((mark + text).encode(encoding))
    (speech,) = read_labeled(folder)
    assert [start for _, start, _ in speech.phones] == [0.0, 0.3, 0.65]
    (folder / "anna" / "one.TextGrid").write_bytes((text + "é").encode("latin-1", "replace"))
    with refused("labels_damaged", path=folder / "anna" / "one.TextGrid"):
        list(read_labeled(folder))


@pytest.mark.parametrize(
    "name, text, code",
    [
        ("a.lab", "0 1 XYZ\n", "phone_unknown"),
        ("a.lab", "0 p\n", "labels_line"),
        ("a.lab", "", "labels_empty"),
        ("a.TextGrid", TEXTGRID.replace("phones", "tones"), "labels_tier"),
    ],
)
def test_other_labels_are_named(tmp_path, name, text, code):
    with refused(code, path=tmp_path / name):
        list(read_labeled(labeled(tmp_path, name, text)))


def test_labeled_speech_says_whose_it_is(tmp_path):
    labeled(tmp_path, "a.lab", "0 1 p\n")
    for table in ("source,license\nme,\n", "source\nme\n", ""):
        (tmp_path / "metadata.csv").write_text(table)
        with refused("speech_terms", path=tmp_path / "metadata.csv"):
            list(read_labeled(tmp_path))


def test_recordings_without_labels(tmp_path):
    terms = "source,license\n{},CC0\n"
    for name in ("anna/short/one.wav", "anna/two.g722", "ben/three.opus", "four.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"sound")
    (tmp_path / "ben" / "empty.wav").touch()
    (tmp_path / "anna" / "metadata.csv").write_text(terms.format("Anna's"))
    with refused("speech_terms", path=tmp_path / "metadata.csv"):
        list(read_recordings(tmp_path))
    (tmp_path / "metadata.csv").write_text(terms.format("Everybody's"))
    speeches = {speech.audio.name: speech for speech in read_recordings(tmp_path)}
    assert set(speeches) == {"one.wav", "two.g722", "three.opus", "four.wav"}
    assert speeches["one.wav"].id == f"{tmp_path.name}/anna/short/one"
    root = tmp_path.name
    speakers = {"one.wav": "anna/short", "two.g722": "anna", "three.opus": f"{root}/ben", "four.wav": root}
    assert {name: speech.speaker for name, speech in speeches.items()} == speakers
    assert [speeches[name].source for name in ("one.wav", "three.opus")] == ["Anna's", "Everybody's"]
    assert all(speech.phones == () and speech.license == "CC0" for speech in speeches.values())
