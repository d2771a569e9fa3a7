"""Words without times: aligned with the sound by the extra `align`, noticed where they do not fit."""

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from support.command import assert_told, run
from support.errors import message_of, refused
from support.paths import ROOT

from bilabial import Animator, FaceClip
from bilabial.delivery.batch import Settings, jobs_of, make_line
from bilabial.delivery.lines import read_lines
from bilabial.delivery.records import read_record
from bilabial.errors import MissingFileError, UserError
from bilabial.io import alignment
from bilabial.io.alignment import Transcript, align_transcript
from bilabial.io.audio import encode_wav, load_audio
from bilabial.io.phones import arpabet_of, seals_lips
from bilabial.io.timing_files import as_timing
from bilabial.options import AnimateOptions
from bilabial.timing import TimingWarning

EXAMPLES = ROOT / "src" / "bilabial" / "examples"
SENTENCE = "Bob put my paper map on the big table, by Mirabel's pool."
OTHER = "The sun is so hot today that all the children in the street are eating ice cream."


@pytest.fixture(scope="module")
def spoken() -> tuple[np.ndarray, list]:
    """Speech (S,) at 16 kHz of a synthesizer and its exact phones."""
    pytest.importorskip("pocketsphinx")
    from bilabial.training.teachers.synthesizers import speak_flite

    try:
        waveform, rate, phones = speak_flite({"voices": ["slt"], "text": SENTENCE, "speed": 1.0})
    except FileNotFoundError:
        pytest.skip("flite is not installed")
    return load_audio((rate, waveform)), phones


@pytest.fixture(scope="module")
def animator() -> Animator:
    return Animator.from_pretrained()


def test_words_get_the_times_of_the_sound(spoken):
    """A name that no dictionary has is pronounced as it is spelled."""
    waveform, phones = spoken
    found = align_transcript(waveform, Transcript(SENTENCE)).phones
    starts = [start for name, start, _ in found if seals_lips(name)]
    expected = [start for name, start, _ in phones if seals_lips(name)]
    assert len(starts) == len(expected) == 14
    assert np.median(np.abs(np.subtract(starts, expected))) <= 0.02


def test_the_animator_takes_words(spoken, animator):
    waveform, phones = spoken
    with warnings.catch_warnings():
        warnings.simplefilter("error", TimingWarning)
        shown = animator((16000, waveform), timing=SENTENCE, motion=())
    distance = shown.lip_distance_mm()
    for start, end in [(start, end) for name, start, end in phones if seals_lips(name)]:
        assert distance[(shown.times > start - 0.06) & (shown.times < end + 0.06)].min() < 0.1


@pytest.mark.parametrize(
    "words", [OTHER, "Bob", f"{SENTENCE} {OTHER} {OTHER}", "Der Tag ist schön, wir gehen spazieren"]
)
def test_words_of_another_sound_are_told_and_not_followed(spoken, animator, words):
    audio = (16000, spoken[0])
    with pytest.warns(TimingWarning, match=message_of("transcript_unfit")):
        shown = animator(audio, timing=words, motion=())
    assert np.allclose(shown.values, animator(audio, motion=()).values)


def test_words_of_recorded_speech_are_not_those_of_another(animator):
    pytest.importorskip("pocketsphinx")
    for name in ("english_man", "english_woman", "mandarin"):
        with refused("transcript_unfit"):
            align_transcript(load_audio(EXAMPLES / f"{name}.flac"), Transcript(OTHER))


def test_words_of_real_speech(clips):
    pytest.importorskip("pocketsphinx")
    speech = load_audio(clips / "validation" / "grid" / "brbk7n.mp4")
    found = align_transcript(speech, Transcript("bin red by k seven now")).phones
    assert [start for name, start, _ in found if name == "B"] == pytest.approx([0.45, 0.94], abs=0.06)


def test_without_the_extra_one_sentence_names_it(spoken, animator, monkeypatch):
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    alignment._aligner.cache_clear()
    with refused("align_extra"):
        animator((16000, spoken[0]), timing=SENTENCE)


@pytest.mark.parametrize("words, word", [("he is 30", "30"), ("я дома", "я"), ("你好", "你好")])
def test_a_word_that_is_not_aligned_is_named(spoken, words, word):
    with refused("transcript_word", word=word):
        align_transcript(spoken[0], Transcript(words))


def test_a_text_is_words_or_the_name_of_a_file(tmp_path):
    assert as_timing("Hello").words == ["hello"]
    assert as_timing("[laughs] Don’t stop -- it’s O.K.").words == ["don't", "stop", "it's", "o", "k"]
    (tmp_path / "words.txt").write_text("Hello, Bob.")
    assert as_timing(str(tmp_path / "words.txt")).words == ["hello", "bob"]
    for name in ("speech.TextGrid", "my words.txt", "timings/speech"):
        with refused("file_missing", MissingFileError, name=Path(name)):
            as_timing(name)
    with refused("transcript_empty", got="'[sighs] ...'"):
        as_timing("[sighs] ...")


def test_sounds_of_letters_are_in_arpabet():
    assert arpabet_of("tʃeɪks") == ["CH", "EY", "K", "S"]


def test_the_command_takes_a_text_file(spoken, tmp_path, capsys):
    (tmp_path / "one.wav").write_bytes(encode_wav(spoken[0]))
    (tmp_path / "one.txt").write_text(SENTENCE)
    given = ("animate", tmp_path / "one.wav", "-o", tmp_path / "one.npz", "--timing", tmp_path / "one.txt")
    assert run(*given) == 0
    assert (FaceClip.from_npz(tmp_path / "one.npz").lip_distance_mm() < 0.1).sum() > 12
    (tmp_path / "one.txt").write_text("He is 30.")
    assert run(*given) == 2
    assert_told(capsys, "transcript_word", word="30")


def test_a_batch_aligns_its_column_text(spoken, tmp_path, monkeypatch, capsys):
    for name in ("known", "other", "plain"):
        (tmp_path / f"{name}.wav").write_bytes(encode_wav(spoken[0]))
    table = tmp_path / "lines.csv"
    table.write_text(f'file,text\nknown.wav,"{SENTENCE}"\nother.wav,"{OTHER}"\nplain.wav,你好\n')
    lines = read_lines(tmp_path, table, AnimateOptions(), lambda note: None)
    jobs = jobs_of(lines, Settings(tmp_path / "out", ("npz",)))
    for job in jobs:
        make_line(job)
    known, other, plain = (read_record(tmp_path / "out", job.line.name) for job in jobs)
    assert not known.notes and not plain.notes and other.notes[0] == str(UserError("transcript_unfit"))
    shown = [(FaceClip.from_npz(job.paths["npz"]).lip_distance_mm() < 0.1).sum() for job in jobs]
    assert shown[0] != shown[1] == shown[2]
    monkeypatch.setattr("bilabial.delivery.lines.can_align", lambda: False)
    again = jobs_of(lines, Settings(tmp_path / "out", ("npz",)))
    assert [job.is_done for job in again] == [False, False, True]  # made with words, or with none
