"""The landmarks on the head: that the stored ones are those of head.glb, and what a stored map can do."""

import dataclasses

import numpy as np
import pytest
from glb import read_mesh
from head_landmarks import (
    HEAD,
    SKIN,
    HeadLandmarksArguments,
    main,
    place_landmarks,
    read_map,
    write_landmarks,
)

from bilabial.head_landmarks import LIPS, PATH, head_landmarks
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

MOST = 1e-3  # outer-eye distances, 0.09 mm


@pytest.fixture(scope="module")
def skin():
    return read_mesh(HEAD, SKIN)


def test_stored_landmarks_are_those_of_the_head(skin):
    """Fails after a change of the head's shapes: run python train/head_landmarks.py --keep_map."""
    made, stored = place_landmarks(skin, read_map(PATH)), head_landmarks()
    assert np.abs(made.rest - stored.rest).max() < MOST
    assert np.abs(made.deltas - stored.deltas).max() < MOST
    first, second = stored.rest[33], stored.rest[263]
    assert np.linalg.norm((first - second)[:2]) == pytest.approx(1.0)


def test_landmarks_move_as_their_coefficients_say():
    head = head_landmarks()
    coefficients = np.zeros((2, 52))
    coefficients[1, ARKIT_BLENDSHAPES.index("jawOpen")] = 1.0
    rest, opened = head.show(coefficients)
    assert abs(rest[13, 1] - rest[14, 1]) < 0.03 and opened[13, 1] - opened[14, 1] > 0.2
    np.testing.assert_allclose(head.show_lips(coefficients), head.show(coefficients)[:, list(LIPS), :2])


def test_a_kept_map_follows_a_changed_head(skin, tmp_path):
    path = tmp_path / "landmarks.npz"
    skin_map = read_map(PATH)
    stale = dataclasses.replace(head_landmarks(), deltas=np.zeros_like(head_landmarks().deltas))
    write_landmarks(path, stale, skin_map)
    main(HeadLandmarksArguments(keep_map=True, output=path))
    with np.load(path) as stored:
        assert np.abs(stored["deltas"] - head_landmarks().deltas).max() < MOST


def test_a_map_of_another_skin_is_refused(skin):
    fewer = dataclasses.replace(skin, positions=skin.positions[:100])
    with pytest.raises(ValueError, match="the skin has 100 vertices; run this without --keep_map"):
        place_landmarks(fewer, read_map(PATH))
