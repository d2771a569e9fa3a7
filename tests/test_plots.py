import json

import numpy as np
import pytest

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.plots import animation_figure, lip_distance_figure, sealed_stretches


def clip_with(fps: float = 30.0, frames: int = 30, **curves) -> FaceClip:
    values = np.zeros((frames, 52), np.float32)
    for name, curve in curves.items():
        values[:, ARKIT_BLENDSHAPES.index(name)] = curve
    return FaceClip(ARKIT_BLENDSHAPES, values, fps)


def mouth_height(figure, frame: int) -> float:
    opening = figure.frames[frame].data[4]
    return float(np.max(opening.y[:15] - opening.y[15:][::-1]))


def test_sealed_stretches_by_hand():
    distance = np.array([0.0, 0.5, 9.0, 9.0, 0.0])
    assert sealed_stretches(distance, 10) == [(0.0, 0.2), (0.4, 0.5)]
    assert sealed_stretches(np.full(3, 9.0), 10) == []


def test_lip_distance_figure_shades_what_is_closed():
    jaw = np.where(np.arange(30) < 15, 0.0, 0.4)
    figure = lip_distance_figure(clip_with(jawOpen=jaw))
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(0.0, 0.5)]
    assert figure.data[0].y[-1] == pytest.approx(0.4 * 38)
    assert "Closed for 0.50 of 1.00 s" in figure.layout.title.text


def test_the_drawn_mouth_opens_by_the_lip_distance():
    figure = animation_figure(clip_with(jawOpen=np.linspace(0, 0.5, 30)))
    assert mouth_height(figure, 0) == pytest.approx(0.0, abs=0.2)
    assert mouth_height(figure, 29) == pytest.approx(0.5 * 38, abs=0.5)


def test_one_frame_a_clip_frame_and_named_curves():
    clip = clip_with(jawOpen=np.linspace(0, 0.5, 30))
    figure = animation_figure(clip)
    assert [frame.name for frame in figure.frames] == [str(k) for k in range(30)]
    assert {"jawOpen", "mouthClose"} <= {trace.name for trace in figure.data}
    assert [button.label for button in figure.layout.updatemenus[0].buttons] == ["Play", "Pause"]
    json.loads(figure.to_json())


def test_fast_clips_are_drawn_at_30_frames_a_second():
    figure = animation_figure(clip_with(fps=120, frames=120))
    assert len(figure.frames) == 30
    assert figure.layout.meta["fps"] == 30.0
