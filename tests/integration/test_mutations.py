"""Damaged media: a face, or an error in a sentence; `benchmarks/mutations.py` tries a thousand."""

import pytest
from support.models import build_random

from benchmarks.mutations import mutants, read
from bilabial import Animator
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_media_give_a_face_or_a_sentence(tiny_config, seed):
    animator = Animator(build_random(tiny_config), BilabialFeatureExtractor())
    outcomes = [(name, damage, read(content, animator)) for name, damage, content in mutants(24, seed)]
    assert [told for told in outcomes if told[2].kind not in ("face", "refused")] == []
    assert {outcome.kind for _, _, outcome in outcomes} == {"face", "refused"}
