import numpy as np
import pytest

from bilabial.training.evaluation.phone_groups import GROUPS, Phones, phone_group_accuracy

NAMES = [names[0] for names in GROUPS.values()] * 3 + ["K", "SIL"]


def clip(seed: int, size: float, told: bool = True) -> Phones:
    """A clip whose captured faces tell the groups apart, and predictions of some size that do or do not."""
    rng = np.random.default_rng(seed)
    directions = np.random.default_rng(0).standard_normal((len(GROUPS), 8))
    kinds = [next((k for k, names in enumerate(GROUPS.values()) if name in names), 0) for name in NAMES]
    captured = directions[kinds] + 0.1 * rng.standard_normal((len(NAMES), 8))
    return Phones(NAMES, captured, size * (captured if told else rng.permutation(captured)))


def test_faces_that_tell_everything_reach_what_the_capture_reaches():
    rows = phone_group_accuracy([clip(seed, 1.0) for seed in range(5)])
    assert list(rows) == list(GROUPS)
    for row in rows.values():
        assert row["capture"] == row["model"] > 0.85 and row["share"] == 1.0
        assert row["num_phones"] == 15  # phones of no group do not count


def test_faces_that_tell_nothing_are_at_chance():
    rows = phone_group_accuracy([clip(seed, 1.0, told=False) for seed in range(20)])
    assert np.mean([row["model"] for row in rows.values()]) == pytest.approx(0.5, abs=0.1)
    assert min(row["capture"] for row in rows.values()) > 0.85


def test_faces_too_small_are_not_read():
    rows = phone_group_accuracy([clip(seed, 0.02) for seed in range(5)])
    assert np.mean([row["share"] for row in rows.values()]) < 0.7


def test_rare_groups_are_left_out():
    one = clip(0, 1.0)
    few = [Phones(one.names[:2], one.captured[:2], one.predicted[:2])] * 3
    assert phone_group_accuracy(few) == {} and phone_group_accuracy([]) == {}
