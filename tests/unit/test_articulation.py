import numpy as np
import pytest
from support.errors import refused

from bilabial.io.phones import ARTICULATION, SILENCES, articulation, ipa_of, is_phone


def features_of(name: str, times: tuple[float, ...] = (0.05,)) -> np.ndarray:
    """Articulation at the times of a phone from 0 to 0.1 s."""
    return articulation([(name, 0.0, 0.1)], np.array(times))


def names_of(features: np.ndarray) -> set[str]:
    return {name for name, value in zip(ARTICULATION, features, strict=True) if value}


@pytest.mark.parametrize(
    "arpabet, ipa", [("B", "b"), ("P", "p"), ("M", "m"), ("SH", "ʃ"), ("AA1", "ɑ"), ("ER0", "ɚ"), ("HH", "h")]
)
def test_arpabet_and_ipa_agree(arpabet, ipa):
    assert np.array_equal(features_of(arpabet), features_of(ipa))


def test_what_the_mouth_does():
    assert names_of(features_of("b")[0]) == {"bilabial", "stop", "voiced"}
    assert names_of(features_of("M")[0]) == {"bilabial", "nasal", "voiced"}
    assert names_of(features_of("f")[0]) == {"labiodental", "fricative"}
    assert names_of(features_of("u")[0]) == {"vowel", "voiced", "close", "back", "rounded"}
    assert "open" in names_of(features_of("AA")[0]) and "rounded" in names_of(features_of("w")[0])


@pytest.mark.parametrize(
    "name, first, second", [("AY", "a", "ɪ"), ("OW", "o", "ʊ"), ("CH", "t", "ʃ"), ("aʊ", "a", "ʊ")]
)
def test_phones_of_two_signs_change_half_way(name, first, second):
    features = features_of(name, (0.0, 0.049, 0.051, 0.099))
    assert np.array_equal(features[:2], np.repeat(features_of(first), 2, axis=0))
    assert np.array_equal(features[2:], np.repeat(features_of(second), 2, axis=0))


def test_silence_is_where_nothing_is():
    """A phone reaches from its start up to its end, which belongs to the next; order is kept."""
    phones = [("m", 0.1, 0.2), ("ɑ", 0.2, 0.3)]
    features = articulation(phones, np.array([-0.1, 0.05, 0.1, 0.199, 0.2, 0.299, 0.3, 9.0]))
    assert features.shape == (8, len(ARTICULATION)) and features.dtype == np.float32
    spoken = [names_of(one) & {"silence", "bilabial", "vowel"} for one in features]
    assert spoken == [{"silence"}] * 2 + [{"bilabial"}] * 2 + [{"vowel"}] * 2 + [{"silence"}] * 2
    assert names_of(articulation([], np.zeros(1))[0]) == {"silence"}
    assert all(names_of(features_of(name)[0]) == {"silence"} for name in SILENCES)


@pytest.mark.parametrize("name, unknown", [("QQ", "Q, Q"), ("b?", "?"), ("7", "7")])
def test_an_unknown_name_is_refused(name, unknown):
    with refused("phone_unknown", got=repr(name), unknown=unknown):
        features_of(name)


def test_other_names_are_left_alone():
    assert [ipa_of(name) for name in ("ʃ", "sil", "OY2", "aɪ")] == ["ʃ", "sil", "ɔɪ", "aɪ"]


def test_marks_of_ipa_say_nothing():
    """What recognizers write: tie bars, length, aspiration, ASCII letters, a mark that stands alone."""
    times = np.array([0.25, 0.75])
    for marked, plain in (("d͡ʒ", "dʒ"), ("iː", "i"), ("pʰ", "p"), ("ɝ", "ɚ"), ("g", "ɡ"), ("ñ", "n")):
        assert np.array_equal(articulation([(marked, 0, 1)], times), articulation([(plain, 0, 1)], times))
    assert np.array_equal(articulation([("̃", 0, 1)], times), articulation([], times))


def test_a_tone_is_no_phone():
    assert all(is_phone(name) for name in ("b", "AA1", "tʃ", "tʰ", "ɑː", "sil", "ɓ", "ɦ", "ʏ"))
    assert not any(is_phone(name) for name in ("³", "˥", "一", "<unk>"))
