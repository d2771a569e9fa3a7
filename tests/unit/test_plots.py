from dataclasses import replace

import numpy as np
import pytest

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.plots import contact_sheet_figure, sealed_stretches


def clip_with(fps: float = 30.0, frames: int = 30, **curves) -> FaceClip:
    values = np.zeros((frames, 52), np.float32)
    for name, curve in curves.items():
        values[:, ARKIT_BLENDSHAPES.index(name)] = curve
    return FaceClip(ARKIT_BLENDSHAPES, values, fps)


def test_sealed_stretches_by_hand():
    distance = np.array([0.0, 0.5, 9.0, 9.0, 0.0])
    assert sealed_stretches(distance, 10) == [(0.0, 0.2), (0.4, 0.5)]
    assert sealed_stretches(np.full(3, 9.0), 10) == []


def test_the_drawn_mouth_opens_by_the_lip_distance():
    for jaw in (0.0, 0.5):
        opening = shape("opening", jawOpen=jaw)[:, 1]
        assert np.max(opening[:15] - opening[15:][::-1]) == pytest.approx(jaw * 38, abs=0.5)


def test_the_drawn_mouth_has_the_geometry_of_its_clip():
    clip = clip_with(frames=1, jawOpen=0.5, mouthPucker=0.5)
    clip = replace(clip, lip_weights={"jawOpen": 1.0, "mouthPucker": -1.0})
    lips = next(
        trace for trace in contact_sheet_figure(clip, ["a"], ["b"], "").data if trace.uid == "opening"
    )
    height = np.array(lips.y, float)
    assert np.max(height[:15] - height[15:30][::-1]) == pytest.approx(0.0, abs=0.2)


def shape(uid: str, **curves: float) -> np.ndarray:
    """A shape of the face drawn from one frame: (N, 2), gaps left out."""
    trace = next(
        t for t in contact_sheet_figure(clip_with(frames=1, **curves), ["a"], ["b"], "").data if t.uid == uid
    )
    points = np.column_stack([trace.x, trace.y]).astype(float)
    return points[np.isfinite(points).all(axis=1)]


def test_the_face_shows_what_emotions_move():
    mouth, brows, eyes = shape("lips"), shape("lines"), shape("eyes")
    smile = shape("lips", mouthSmileLeft=0.6)
    assert smile[0, 0] > mouth[0, 0] + 3 and smile[0, 1] > mouth[0, 1] + 5  # the subject's left is at x > 0
    assert np.allclose(smile[14], mouth[14])  # the other corner stays
    assert shape("lips", mouthFrownLeft=0.6)[0, 1] < mouth[0, 1] - 5
    assert shape("lines", browInnerUp=0.6)[0, 1] > brows[0, 1] + 5
    assert shape("lines", browDownRight=0.6)[0, 1] < brows[0, 1] - 5
    assert np.ptp(shape("eyes", eyeBlinkLeft=1.0, eyeBlinkRight=1.0)[:, 1]) < 0.6 * np.ptp(eyes[:, 1])
    assert np.ptp(shape("eyes", eyeWideLeft=0.6)[:, 1]) > np.ptp(eyes[:, 1]) + 1
    assert len(shape("folds", noseSneerLeft=0.6, cheekSquintLeft=0.6)) > len(shape("folds"))
    looking = shape("iris", eyeLookOutLeft=0.5, eyeLookInRight=0.5)
    assert looking[:, 0].mean() > shape("iris")[:, 0].mean() + 2


def test_the_iris_stays_between_the_lids():
    for pose in (
        {},
        {"eyeBlinkLeft": 1.0},
        {"eyeSquintLeft": 0.9, "eyeLookUpLeft": 1.0},
        {"eyeLookDownLeft": 1.0},
    ):
        eye, iris = shape("eyes", **pose), shape("iris", **pose)
        left = [points[points[:, 0] > 0] for points in (eye, iris)]
        assert left[1][:, 1].max() <= left[0][:, 1].max() + 0.2
        assert left[1][:, 1].min() >= left[0][:, 1].min() - 0.2


def test_a_sheet_has_every_face_in_its_place():
    clip = clip_with(frames=6, jawOpen=np.linspace(0, 0.5, 6))
    figure = contact_sheet_figure(clip, ["neutral", "happy"], ["m", "a", "u"], "title")
    head = next(trace for trace in figure.data if trace.uid == "head")
    assert np.isnan(np.array(head.x, float)).sum() == 5
    assert {note.text for note in figure.layout.annotations} == {"neutral", "happy", "m", "a", "u"}
    with pytest.raises(ValueError, match="2 x 2 .* 6"):
        contact_sheet_figure(clip, ["a", "b"], ["c", "d"], "title")
