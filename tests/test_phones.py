import subprocess
import sys

import numpy as np
import pytest
from conftest import EXAMPLE, ROOT
from phones import find_spikes, phones_of_spikes

from bilabial.audio import load_audio
from bilabial.metrics import BILABIALS


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


def test_without_the_recogniser_one_sentence_says_what_to_install():
    code = "import sys; sys.modules['hama.asr'] = None; import phones; phones.load_recogniser()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "train", capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.strip().endswith("pip install hama==1.7.0")
    assert "Traceback" not in done.stderr


def test_the_recogniser_hears_the_bilabials_of_real_speech():
    """Phones come in order, and pieces of a long recording neither double nor lose any."""
    pytest.importorskip("hama")
    from phones import load_recogniser

    recogniser, speech = load_recogniser(), load_audio(EXAMPLE)
    once = find_spikes(recogniser, speech)
    repeated = find_spikes(recogniser, np.tile(speech, int(25 // (len(speech) / 16000)) + 1))
    times = [time for _, time in repeated]
    assert times == sorted(times)
    phones = phones_of_spikes(once, speech)
    assert any(phone["name"] in BILABIALS for phone in phones)
    copies = len(repeated) / len(once)
    assert copies == pytest.approx(int(25 // (len(speech) / 16000)) + 1, rel=0.1)
