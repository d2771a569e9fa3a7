"""Coefficients fitted to landmarks: known poses of the head come back, filmed lips have their size."""

import numpy as np
import pytest
import torch

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.configuration_bilabial import LIP_DISTANCE_WEIGHTS
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.io.capture import capture_video
from bilabial.io.face_fit import DROPPED, FITTED, fit_coefficients, neutral_face
from bilabial.io.head_landmarks import (
    LIPS,
    POINTS,
    head_degrees,
    head_landmarks,
    mouth_measures,
    remove_pose,
)

FPS = 25.0


def curves(num_frames: int = 100) -> np.ndarray:
    """Smooth coefficients (T, 52) of one mouth shape after another, with rest between them."""
    values = np.zeros((num_frames, len(ARKIT_BLENDSHAPES)))
    bump = np.sin(np.linspace(0, np.pi, 10)) ** 2
    poses = [{"jawOpen": 0.5}, {"mouthPucker": 0.6}, {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5},
             {"jawOpen": 0.3, "mouthFunnel": 0.5}, {"mouthRollLower": 0.5, "jawOpen": 0.1}]  # fmt: skip
    for number, pose in enumerate(poses):
        for name, value in pose.items():
            values[20 * number : 20 * number + 10, ARKIT_BLENDSHAPES.index(name)] = value * bump
    return values


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points of the head as a film in pixels: turned, 3 times as large in x and y as far, moving sideways."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    moved = points @ turn.T * 80.0 + np.linspace(0, 30, len(points))[:, None, None]
    return moved * np.array([1.0, -1.0, -1.0])


def test_pose_is_removed() -> None:
    shown = head_landmarks().show(curves())
    back = remove_pose(turned(shown, 12.0))
    assert np.abs(back - shown).max() < 0.01  # bridge and tip of the nose move a little with the mouth


def test_some_landmarks_are_as_good_as_all() -> None:
    film = turned(head_landmarks().show(curves()), 5.0)
    some = remove_pose(film[:, POINTS], POINTS)
    np.testing.assert_allclose(some, remove_pose(film)[:, POINTS], atol=1e-9)


def test_frames_without_a_face_stay_nan_and_none_is_an_error() -> None:
    film = turned(head_landmarks().show(curves()), 0.0)
    film[3] = np.nan
    back = remove_pose(film)
    assert np.isnan(back[3]).all() and np.isfinite(np.delete(back, 3, axis=0)).all()
    with pytest.raises(ValueError):
        remove_pose(np.full_like(film, np.nan))


def test_known_poses_of_the_head_come_back() -> None:
    given = curves()
    points = head_landmarks().show(given)[:, POINTS]
    fitted = fit_coefficients(points, np.zeros_like(given), FPS)
    assert fitted.shape == given.shape and fitted.min() >= 0 and fitted.max() <= 1
    for name in ("jawOpen", "mouthPucker", "mouthSmileLeft", "mouthFunnel", "mouthRollLower"):
        column = ARKIT_BLENDSHAPES.index(name)
        assert np.corrcoef(given[:, column], fitted[:, column])[0, 1] > 0.9, name
    shown = mouth_measures(head_landmarks().show_lips(fitted))
    for name, true in mouth_measures(head_landmarks().show_lips(given)).items():
        assert np.corrcoef(true, shown[name])[0, 1] > 0.97, name
        assert 0.85 < shown[name].std() / true.std() < 1.15, name


def test_what_is_not_fitted_is_the_estimate_or_zero() -> None:
    given = curves()
    estimates = np.full_like(given, 0.25)
    fitted = fit_coefficients(head_landmarks().show(given)[:, POINTS], estimates, FPS)
    for column, name in enumerate(ARKIT_BLENDSHAPES):
        if name in DROPPED:
            assert (fitted[:, column] == 0).all(), name
        elif name not in FITTED:
            assert (fitted[:, column] == 0.25).all(), name


def test_sealed_lips_of_a_film_are_sealed_whatever_the_neutral_face_says() -> None:
    """A person whose lips are 2 % of the eye distance nearer than those of the head at rest."""
    given = curves()
    points = head_landmarks().show(given)[:, POINTS]
    lower = np.isin(POINTS, LIPS) & (np.array(POINTS) != 13)
    points[:, lower, 1] += 0.02  # the lips meet
    gap = points[:, POINTS.index(13), 1] - points[:, POINTS.index(14), 1]
    fitted = fit_coefficients(points, np.zeros_like(given), FPS)
    weights = LIP_DISTANCE_WEIGHTS["measured"]
    distance = lip_distance(torch.from_numpy(fitted), ARKIT_BLENDSHAPES, weights).numpy()
    assert (gap < 0.012).any() and distance[gap < 0.012].max() < 1e-6
    assert np.corrcoef(distance, gap)[0, 1] > 0.95
    neutral = neutral_face(points, np.zeros_like(given), head_landmarks())
    assert neutral[POINTS.index(13), 1] - neutral[POINTS.index(14), 1] < 0.012


def test_filmed_lips_have_their_size_on_the_head(clips) -> None:
    """A stranger's lips: the fit explains nearly all of their motion, MediaPipe's coefficients less."""
    video = clips / "validation" / "grid" / "lbax4n.mp4"
    explained = {}
    for method in ("fit", "mediapipe"):
        capture = capture_video(video, FPS, duration_seconds=3.0, method=method)
        assert capture.method == method and capture.lips.shape == (75, len(LIPS), 2)
        assert set(DROPPED).issubset(capture.unseen) == (method == "fit")
        film, shown = capture.lips, head_landmarks().show_lips(capture.clip.values)
        film, shown = film - film.mean(axis=0), shown - shown.mean(axis=0)
        explained[method] = 1.0 - ((film - shown) ** 2).sum() / (film**2).sum()
    assert explained["fit"] > 0.9 > explained["mediapipe"] + 0.05


def test_another_method_is_refused() -> None:
    with pytest.raises(ValueError, match="fit, mediapipe, got 'guess'"):
        capture_video("x.mp4", method="guess")


def test_the_pose_of_a_head_by_its_sides():
    """The head's own landmarks as a film has them, turned to the subject's left, up and to the right."""
    rest = head_landmarks().rest[list(POINTS)]
    yaw, pitch, roll = np.radians([20.0, 10.0, 5.0])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    turns = np.stack([np.eye(3), about_y, about_x, about_z])
    film = 90 * np.einsum("tij,pj->tpi", turns, rest) * np.array([1, -1, -1]) + 200  # pixels, y down, z away
    missing = np.full((1, *film.shape[1:]), np.nan)
    found = head_degrees(np.concatenate([film, missing]))
    assert np.allclose(found[:4], [[0, 0, 0], [20, 0, 0], [0, 10, 0], [0, 0, 5]], atol=1e-6)
    assert np.isnan(found[4]).all()
