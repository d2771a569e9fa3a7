"""What is kept between requests stays within its bytes and its age."""

import copy
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from bilabial.animator import CACHE_BYTES, Animator
from bilabial.cache import ResultCache, num_bytes
from bilabial.clip import FaceClip
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor


def test_the_longest_unused_value_makes_room():
    kept = ResultCache(1000, 60)
    for key in "ab":
        kept.put(key, np.zeros(400, np.uint8))
    assert kept.get("a") is not None
    kept.put("c", np.zeros(400, np.uint8))
    assert [kept.get(key) is not None for key in "abc"] == [True, False, True]
    assert kept.num_bytes == 800
    large = kept.put("d", np.zeros(1001, np.uint8))  # it is handed on, and not kept
    assert len(large) == 1001 and kept.get("d") is None and kept.get("a") is not None


def test_what_is_old_is_gone():
    kept, made = ResultCache(1000, 0.05), []
    for _ in range(2):
        assert kept.of("a", lambda: made.append(1) or "value") == "value"
    assert made == [1]
    time.sleep(0.1)
    kept.drop_old()
    assert (kept.num_bytes, len(kept), kept.get("a")) == (0, 0, None)


def test_bytes_of_what_the_package_keeps():
    clip = FaceClip(("jawOpen", "mouthClose"), np.zeros((10, 2)), 30)
    assert num_bytes([torch.zeros(3, 5), {"a": np.zeros(4, np.int16)}]) == 68
    assert 80 <= num_bytes(clip) <= 1000


def test_a_copy_begins_empty():
    kept = ResultCache(1000, 60)
    kept.put("a", b"1234")
    for again in (copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))):
        assert (len(again), again.max_bytes, again.max_seconds) == (0, 1000, 60)


def test_many_threads():
    kept = ResultCache(10_000, 60)

    def use(number: int) -> int:
        return len(kept.of(number % 30, lambda: bytes(500 + number % 30)))

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(2000))) == [500 + number % 30 for number in range(2000)]
    assert kept.num_bytes <= 10_000


def test_an_animator_keeps_so_much_of_what_it_heard(tiny_model, monkeypatch):
    """However many sounds there were; the waveforms themselves are not kept."""
    animator = Animator(tiny_model, BilabialFeatureExtractor())
    assert animator.speech_states.max_bytes == CACHE_BYTES <= 256 * 2**20
    animator.speech_states = ResultCache(40_000, 60)
    noise = np.random.default_rng(0).normal(0, 0.1, 40_000).astype(np.float32)
    for first in range(0, 16_000, 1000):
        animator((16000, noise[first : first + 16_000]), motion=())
    assert 0 < animator.speech_states.num_bytes <= 40_000
