import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support.errors import refused
from support.paths import EXAMPLE

from bilabial.io.alignment import Aligner
from bilabial.io.audio import load_audio
from bilabial.io.phones import seals_lips
from bilabial.training.evaluation.metrics import BILABIALS
from bilabial.training.teachers.phone_times import (
    aligned_phones,
    find_spikes,
    load_recognizer,
    phones_of_spikes,
    read_words,
    words_of,
)
from bilabial.training.teachers.synthesize import speak_flite


def tone(*loud: tuple[float, float], seconds: float = 2.0) -> np.ndarray:
    times = np.arange(int(seconds * 16000)) / 16000
    inside = np.any([(times >= a) & (times < b) for a, b in loud], axis=0)
    return (0.1 * np.sin(times * 2000) * inside).astype(np.float32)


def test_phones_begin_before_their_spikes_and_silence_is_named():
    phones = phones_of_spikes([("pʰ", 0.47), ("ɑ", 0.57), ("s", 1.47)], tone((0.4, 0.8), (1.4, 1.8)))
    assert [phone["name"] for phone in phones] == ["SIL", "P", "AA", "SIL", "s", "SIL"]
    starts = [phone["start"] for phone in phones]
    assert starts == pytest.approx([0.0, 0.4, 0.5, 0.8, 1.4, 1.8], abs=0.03)
    assert [phone["end"] for phone in phones] == pytest.approx([*starts[1:], 2.0])


def test_a_quiet_closure_is_no_pause():
    phones = phones_of_spikes([("ɑ", 0.27), ("p", 0.47), ("ɑ", 0.57)], tone((0.2, 0.4), (0.5, 1.9)))
    assert [phone["name"] for phone in phones][:4] == ["SIL", "AA", "P", "AA"]


def test_without_the_recognizer_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hama.asr", None)
    with refused("recognizer_missing") as error:
        load_recognizer()
    assert "hama==1.7.0" in str(error.value)


def test_the_recognizer_hears_the_bilabials_of_real_speech():
    """Phones come in order, and pieces of a long recording neither double nor lose any."""
    pytest.importorskip("hama")
    recognizer, speech = load_recognizer(), load_audio(EXAMPLE)
    once = find_spikes(recognizer, speech)
    repeated = find_spikes(recognizer, np.tile(speech, int(25 // (len(speech) / 16000)) + 1))
    times = [time for _, time in repeated]
    assert times == sorted(times)
    phones = phones_of_spikes(once, speech)
    assert any(phone["name"] in BILABIALS for phone in phones)
    copies = len(repeated) / len(once)
    assert copies == pytest.approx(int(25 // (len(speech) / 16000)) + 1, rel=0.1)


class WritesTones:
    """What hama's recognizer answers, now and then, to languages with tones."""

    def transcribe_waveform(self, waveform: np.ndarray, sampling_rate: int) -> None:
        return None

    def phoneme_spans(self, result: None) -> list:
        names = ["m", "a", "³", "ɓ", "˥", "a"]
        return [SimpleNamespace(phoneme=name, start_frame=10 * k) for k, name in enumerate(names)]


def test_tones_are_not_taken_for_phones():
    spikes = find_spikes(WritesTones(), np.zeros(32000, np.float32))
    assert [name for name, _ in spikes] == ["m", "a", "ɓ", "a"]
    assert [time for _, time in spikes] == pytest.approx([0.0, 0.2, 0.6, 1.0])


# ---- forced alignment


def bilabial_starts(phones: list[tuple[str, float, float]]) -> list[float]:
    return [start for name, start, _ in phones if name in BILABIALS]


def check_order(phones: list[dict], seconds: float) -> None:
    edges = [phone[key] for phone in phones for key in ("start", "end")]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= seconds + 0.05


def test_words_are_aligned_with_a_synthesizers_phones():
    """The synthesizer says when it closed the lips."""
    pytest.importorskip("pocketsphinx")
    if shutil.which("flite") is None:
        pytest.skip("flite is not installed (apt-get install flite)")
    text = "bob put my paper map on the big table by the pool"
    speech, _, spoken = speak_flite({"voices": ["slt"], "text": text, "speed": 1.0})
    phones = aligned_phones(Aligner(), speech, text)
    check_order(phones, len(speech) / 16000)
    found = bilabial_starts([(phone["name"], phone["start"], phone["end"]) for phone in phones])
    expected = bilabial_starts(spoken)
    assert len(found) == len(expected) == 12
    assert np.median(np.abs(np.subtract(found, expected))) <= 0.02
    assert np.abs(np.subtract(found, expected)).max() < 0.1


def test_words_of_real_speech_are_where_they_were_heard(clips):
    pytest.importorskip("pocketsphinx")
    words = json.loads((clips / "grid" / "s1_words.json").read_text())["bbaf2n"]
    speech = load_audio(clips / "grid" / "s1" / "bbaf2n.mp4")
    phones = aligned_phones(Aligner(), speech, words_of(words))
    check_order(phones, len(speech) / 16000)
    found = bilabial_starts([(phone["name"], phone["start"], phone["end"]) for phone in phones])
    bin_and_blue = [start for start, _, word in words if word[0] == "b"]
    assert found == pytest.approx(bin_and_blue, abs=0.06)


@pytest.mark.parametrize("text", ["blue", "many big hippopotamuses", "qqq zzz", "", "3", "你好", "[laughs]"])
def test_wrong_words_have_no_phones(text):
    pytest.importorskip("pocketsphinx")
    aligner, speech = Aligner(), load_audio(EXAMPLE)
    assert aligned_phones(aligner, speech, text) == []
    assert aligned_phones(aligner, np.zeros(1600, np.float32), "bob put my map away") == []


def test_a_clip_that_failed_does_not_spoil_the_next():
    pytest.importorskip("pocketsphinx")
    speech, words = load_audio(EXAMPLE), ["please"]
    fresh, used = Aligner(), Aligner()
    used(speech[:1600], ["bob", "put", "my", "map", "away"])
    assert used(speech, words).phones == fresh(speech, words).phones


def test_lips_meet_in_p_b_and_m_of_every_writing():
    assert all(seals_lips(name) for name in ("P", "B", "M", "p", "pʰ", "bː", "m̩", "ɓ"))
    assert not any(seals_lips(name) for name in ("W", "w", "F", "ɱ", "ɸ", "ʙ", "N", "AA1", "SIL", "tʃ", "ː"))


def test_words_without_times_and_pauses():
    assert words_of([[0, 1, "sil"], [1, 2, "Bin"], [2, 3, "SP"], [3, 4, "blue"]]) == "bin blue"
    assert words_of("Bin Blue") == "bin blue"


def test_words_of_grids_align_files(tmp_path):
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "bbaf2n.align").write_text("0 23750 sil\n23750 29500 bin\n29500 34000 blue\n")
    words = read_words(tmp_path)
    assert words == {"bbaf2n": [[0.0, 0.95, "sil"], [0.95, 1.18, "bin"], [1.18, 1.36, "blue"]]}
    assert words_of(words["bbaf2n"]) == "bin blue"
    (tmp_path / "s1" / "bbaf2n.align").write_text("0 bin\n")
    with refused("words_line", path=tmp_path / "s1" / "bbaf2n.align"):
        read_words(tmp_path)
    with refused("words_path", path=tmp_path / "gone"):
        read_words(tmp_path / "gone")
