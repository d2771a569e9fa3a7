"""The landmarks on the head: that the stored ones are those of head.glb, and what a stored map can do."""

import dataclasses

import numpy as np
import pytest
from support.browsing import three  # noqa: F401 a fixture

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.head_landmarks import LIPS, MOUTH_MEASURES, PATH, head_landmarks
from tools.chromium import CHROMIUM
from tools.make_head.glb import read_mesh
from tools.make_head.landmarks import (
    HEAD,
    SKIN,
    HeadLandmarksArguments,
    check_landmarks,
    find_map,
    main,
    mixed_poses,
    place_landmarks,
    read_map,
    see_landmarks,
    single_poses,
    write_landmarks,
)
from tools.make_head.picture import open_head

pytestmark = pytest.mark.slow

MOST = 1e-3  # outer-eye distances, 0.09 mm


@pytest.fixture(scope="module")
def skin():
    return read_mesh(HEAD, SKIN)


def test_stored_landmarks_are_those_of_the_head(skin):
    """Fails after a change of the head's shapes: run python -m tools.make_head.landmarks --keep_map."""
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
    with pytest.raises(ValueError, match=" 100 vertices.*--keep_map"):
        place_landmarks(fewer, read_map(PATH))


def test_mixtures_are_seeded_and_keep_lips_apart_that_a_jaw_opens():
    poses = mixed_poses(20, np.random.default_rng(3))
    assert np.array_equal(poses, mixed_poses(20, np.random.default_rng(3)))
    jaw, close = (poses[:, ARKIT_BLENDSHAPES.index(name)] for name in ("jawOpen", "mouthClose"))
    assert (close <= jaw).all() and (poses >= 0).all() and (poses <= 1).all()
    left, right = (poses[:, ARKIT_BLENDSHAPES.index(f"mouthSmile{side}")] for side in ("Left", "Right"))
    assert np.array_equal(left, right) and left.any()
    assert len(single_poses()) > 20 and not single_poses()[0].any()


def test_a_check_tells_what_a_tracker_sees_from_what_is_shown():
    """Landmarks drawn from the head itself are seen exactly, in a picture of any size, turned and shifted."""
    head, poses = head_landmarks(), mixed_poses(10, np.random.default_rng(0))
    turn = np.array([[0.995, -0.1, 0.0], [0.1, 0.995, 0.0], [0.0, 0.0, 1.0]])
    seen = 200 * (head.show(poses) @ turn.T) * [1, -1, -1] + 320
    rows = check_landmarks(head, poses, seen)
    assert list(rows) == list(MOUTH_MEASURES)
    for row in rows.values():
        assert row["r"] == pytest.approx(1.0, abs=1e-3) and row["slope"] == pytest.approx(1.0, abs=0.01)
    lips = seen.copy()
    lips[:, list(LIPS)] = lips[:, list(LIPS)].mean(axis=0)
    assert all(abs(row["slope"]) < 0.05 for row in check_landmarks(head, poses, lips).values())


@pytest.mark.skipif(not CHROMIUM, reason="no chromium found (apt-get install chromium)")
def test_a_map_is_found_in_a_few_pictures(skin, three):  # noqa: F811
    """A map from five pictures puts landmarks near where the stored one has them, and sees a mouth open."""
    poses, checks = single_poses()[:5], mixed_poses(4, np.random.default_rng(1))
    with open_head(256, "face") as camera:
        seen, of_checks = (see_landmarks(camera, some) for some in (poses, checks))
        skin_map = find_map(skin, camera, poses, seen)
    head = place_landmarks(skin, skin_map)
    apart = np.linalg.norm((head.rest - head_landmarks().rest)[:, :2], axis=1)
    assert np.median(apart) < 0.05 and np.median(apart[list(LIPS)]) < 0.05
    assert check_landmarks(head, checks, of_checks)["gap"]["r"] > 0.9
