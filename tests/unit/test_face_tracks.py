"""Which face of one image is which of the next, by hand: boxes of (left, top, right, bottom) pixels."""

import numpy as np
import pytest

from bilabial.io.face_tracks import NO_FACE, join_faces


def box(x: float, y: float = 0.0, size: float = 100.0) -> np.ndarray:
    return np.array([x, y, x + size, y + size])


def times(count: int) -> list[float]:
    return [k / 25 for k in range(count)]


def test_two_equal_faces_never_swap_whatever_their_order():
    rng = np.random.default_rng(0)
    orders = [rng.permutation(2) for _ in range(60)]
    boxes = [np.stack([box(0 + rng.normal(0, 3)), box(150 + rng.normal(0, 3))])[order] for order in orders]
    tracks = join_faces(times(60), boxes)
    assert len(tracks) == 2
    for track in tracks:
        assert np.ptp([faces[face][0] for faces, face in zip(boxes, track, strict=True)]) < 30


def test_a_moving_face_is_one_and_a_jump_is_another():
    walking = [box(20.0 * k)[None] for k in range(30)]
    assert len(join_faces(times(30), walking)) == 1
    cut = [box(0.0)[None]] * 10 + [box(300.0)[None]] * 10 + [box(10.0)[None]] * 10
    first, second = join_faces(times(30), cut)
    assert (first == NO_FACE).tolist() == [False] * 10 + [True] * 10 + [False] * 10
    assert (second == NO_FACE).tolist() == [True] * 10 + [False] * 10 + [True] * 10
    zoomed = [box(0.0)[None]] * 5 + [box(0.0, size=200.0)[None]] * 5
    assert len(join_faces(times(10), zoomed)) == 2


def test_after_a_gap_a_face_may_be_further_away():
    nothing = np.zeros((0, 4))
    lost = [box(0.0)[None]] * 5 + [nothing] * 15 + [box(100.0)[None]] * 5
    (track,) = join_faces(times(25), lost)
    assert (track == NO_FACE).sum() == 15
    assert len(join_faces(times(10), [box(0.0)[None]] * 5 + [box(100.0)[None]] * 5)) == 2


def test_the_face_seen_most_comes_first():
    boxes = [np.stack([box(0, size=80), box(200, size=100)])] * 4 + [box(0, size=80)[None]] * 4
    first, second = join_faces(times(8), boxes)
    assert first.tolist() == [0] * 8 and second.tolist() == [1] * 4 + [NO_FACE] * 4


def test_no_faces():
    assert join_faces([], []) == []
    assert join_faces(times(2), [np.zeros((0, 4))] * 2) == []
    with pytest.raises(ValueError, match="zip"):
        join_faces(times(2), [])
