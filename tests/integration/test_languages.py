"""The benchmark of languages: which phones count as p, b, m and as open vowels."""

import json

import pytest
from support.paths import ROOT

from benchmarks.languages import SENTENCES, draw_jobs, in_arpabet
from bilabial.io.phones import ipa_of, is_phone
from bilabial.training.evaluation.metrics import BILABIALS, LABIALS, OPEN_VOWELS

pytestmark = pytest.mark.slow

ARPABET = (
    "AA AE AH AO AW AX AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
)


def test_phones_of_all_languages_count_as_arpabet_does():
    for name in ARPABET.split():
        counted = in_arpabet(ipa_of(name))
        assert (counted in BILABIALS) == (name in BILABIALS), name
        assert (counted in LABIALS) == (name in LABIALS), name
        assert (counted in OPEN_VOWELS) == (name in (*OPEN_VOWELS, "OY")), name


def test_marks_and_unknown_signs():
    assert [in_arpabet(name) for name in ("pʰ", "bʱ", "m̩", "ɓ")] == ["B"] * 4
    assert [in_arpabet(name) for name in ("sil", "aː", "β", "?")] == ["SIL", "AA", "V", "T"]
    assert not is_phone("?")


def test_every_sentence_is_spoken_by_three_voices():
    sentences = json.loads(SENTENCES.read_text())
    jobs = draw_jobs()
    assert len(jobs) == 3 * sum(map(len, sentences.values())) and SENTENCES.is_relative_to(ROOT)
    assert len({(job["text"], *job["voices"]) for job in jobs}) == len(jobs)
    trained = {"en", "es", "fr", "it", "pt", "zh", "de", "ru"}  # in training
    assert not trained & set(sentences)
