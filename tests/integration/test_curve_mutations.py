"""Sixty changed and damaged files of curves; `python benchmarks/mutations.py --what curves` tries 1,000."""

import numpy as np
import pytest

from benchmarks.curve_mutations import CHANGES, curve_mutants, read_curves, rows_of, written

pytestmark = pytest.mark.slow


def test_changed_curves_are_read_right_and_damaged_ones_refused():
    outcomes = [
        (kind, change, *read_curves(kind, content, rows, must))
        for kind, change, content, rows, must in curve_mutants(60, seed=1)
    ]
    assert [outcome for outcome in outcomes if outcome[2] == "failed"] == []
    assert {outcome[2] for outcome in outcomes} == {"face", "refused"}


@pytest.mark.parametrize("kind", CHANGES)
def test_every_change_is_read(kind):
    for change in CHANGES[kind]:
        rng = np.random.default_rng(7)
        rows = rows_of(rng)
        change(rows, rng)
        outcome, text, _ = read_curves(kind, written(rows, kind), rows, True)
        assert outcome == "face", f"{change.__name__}: {text}"


def test_what_is_wrong_is_found():
    """Times that are lost and numbers that are clipped do not pass."""
    rows = rows_of(np.random.default_rng(0))
    late = written(rows, "json").replace(b'"time": 0.', b'"time": 1.')
    assert read_curves("json", late, rows, False)[0] in ("failed", "refused")
    rows.values = rows.values / 2
    assert "of the valid frames are wrong" in read_curves("csv", written(rows, "csv"), rows, False)[1]
