"""FaceClips as plotly figures: the lips' distance, coefficient curves, and a simple face that moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import MM_PER_LIP_UNIT, OUTER_EYE_PER_LIP_UNIT, SEALED_GAP

SEALED_MM = (
    SEALED_GAP / OUTER_EYE_PER_LIP_UNIT * MM_PER_LIP_UNIT
)  # 1.06 mm: below it the lips count as closed
CURVES = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthStretchLeft",
    "mouthRollLower", "mouthLowerDownLeft", "mouthUpperUpLeft", "browInnerUp", "eyeBlinkLeft",
)  # fmt: skip
SHOWN_CURVES = 4  # the others wait in the legend
MAX_ANIMATION_FPS = 30.0
SKIN, LIPS, INK = "#f1c9a5", "#c4606a", "#3b2a2a"
FACE_NAMES = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthSmileLeft", "mouthSmileRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthStretchLeft", "mouthStretchRight", "mouthRollLower",
    "mouthRollUpper", "mouthUpperUpLeft", "mouthUpperUpRight", "eyeBlinkLeft", "eyeBlinkRight",
    "eyeWideLeft", "eyeWideRight", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeLookDownLeft",
    "browInnerUp", "browDownLeft", "browDownRight", "browOuterUpLeft", "browOuterUpRight",
)  # fmt: skip


def sealed_stretches(distance_mm: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """(start, end) in seconds of the stretches of (T,) in which the lips are closed (below 1.06 mm)."""
    edges = np.diff(np.concatenate([[0], (distance_mm < SEALED_MM).astype(int), [0]]))
    return [
        (a / fps, b / fps)
        for a, b in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    ]


def lip_distance_figure(clip: FaceClip) -> go.Figure:
    """Lip distance in mm over time, stretches of closed lips shaded."""
    distance = clip.lip_distance_mm()
    figure = go.Figure()
    figure.add_scatter(x=clip.times, y=distance, name="predicted", line={"color": LIPS, "width": 2})
    stretches = sealed_stretches(distance, clip.fps)
    closed_seconds = sum(end - start for start, end in stretches)
    figure.update_layout(
        title=f"Closed for {closed_seconds:.2f} of {clip.duration_seconds:.2f} s (shaded)",
        title_font_size=14,
        xaxis={"title": "time (s)", "range": [0, clip.duration_seconds]},
        yaxis={"title": "lip distance (mm)", "range": [0, max(12.0, float(distance.max()) * 1.1)]},
        shapes=[
            {"type": "rect", "x0": a, "x1": b, "y0": 0, "y1": 1, "yref": "paper", "line": {"width": 0},
             "fillcolor": "rgba(196, 96, 106, 0.18)", "layer": "below"}
            for a, b in stretches
        ],
        margin={"l": 55, "r": 15, "t": 45, "b": 45},
        height=280,
        showlegend=False,
    )  # fmt: skip
    return figure


def animation_figure(clip: FaceClip, names: Sequence[str] = CURVES) -> go.Figure:
    """A drawn face above the curves of coefficients, one plotly frame per clip frame, a play button.

    A clip of more than 30 fps is drawn at 30. Frame k of the figure is named str(k); layout.meta holds fps
    and duration.
    """
    drawn = clip.resample(MAX_ANIMATION_FPS) if clip.fps > MAX_ANIMATION_FPS else clip
    figure = make_subplots(rows=2, cols=1, row_heights=[0.62, 0.38], vertical_spacing=0.06)
    poses = _poses(drawn)
    figure.add_traces(_face_traces(poses, 0), rows=[1] * 5, cols=[1] * 5)
    figure.add_trace(_cursor(0.0), row=2, col=1)
    for position, name in enumerate(names):
        visible = True if position < SHOWN_CURVES else "legendonly"
        figure.add_trace(go.Scatter(x=clip.times, y=clip[name], name=name, visible=visible), row=2, col=1)
    moving = list(range(6))
    figure.frames = [
        go.Frame(data=[*_face_traces(poses, k), _cursor(time)], name=str(k), traces=moving)
        for k, time in enumerate(drawn.times)
    ]
    frame_ms = 1000 / drawn.fps
    play = {
        "frame": {"duration": frame_ms, "redraw": False},
        "transition": {"duration": 0},
        "fromcurrent": True,
    }
    stop = {"frame": {"duration": 0, "redraw": False}, "mode": "immediate"}
    figure.update_layout(
        height=640,
        margin={"l": 45, "r": 15, "t": 10, "b": 35},
        meta={"fps": drawn.fps, "duration_seconds": clip.duration_seconds},
        legend={"orientation": "h", "y": -0.12, "yanchor": "top"},
        updatemenus=[
            {"type": "buttons", "direction": "left", "x": 0, "y": 1, "xanchor": "left", "yanchor": "top",
             "buttons": [{"label": "Play", "method": "animate", "args": [None, play]},
                         {"label": "Pause", "method": "animate", "args": [[None], stop]}]}
        ],
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-90, 90], row=1, col=1)
    figure.update_yaxes(visible=False, range=[-118, 92], scaleanchor="x", row=1, col=1)
    figure.update_xaxes(title="time (s)", range=[0, clip.duration_seconds], row=2, col=1)
    figure.update_yaxes(range=[0, 1], row=2, col=1)
    return figure


def _poses(clip: FaceClip) -> dict[str, np.ndarray]:
    """The curves that the drawing uses, by name; a coefficient the clip lacks is 0."""
    curves = {name: clip[name] if name in clip.names else np.zeros(len(clip)) for name in FACE_NAMES}
    return curves | {"gap_mm": clip.lip_distance_mm()}


def _face_traces(poses: dict[str, np.ndarray], k: int) -> list[go.Scatter]:
    """Head, eyes, lines (brows, nose, pupils), lips and mouth opening of frame k, in mm around the nose.

    Every trace has a uid: without one plotly draws a frame beside the first instead of in its place.
    The subject's left is at the viewer's right (x > 0).
    """
    pose = {name: float(curve[k]) for name, curve in poses.items()}
    lips, opening = _mouth(pose)
    return [
        _polygon("head", _head(pose), SKIN, INK),
        _polygon("eyes", _join([_eye(pose, "Right", -30), _eye(pose, "Left", 30)]), "white", INK),
        _lines(_join([_brow(pose, "Right", -30), _brow(pose, "Left", 30), _nose(), *_pupils(pose)])),
        _polygon("lips", lips, LIPS, LIPS),
        _polygon("opening", opening, "#4a1520", "#4a1520"),
    ]


def _head(pose: dict[str, float]) -> np.ndarray:
    """An oval whose chin sinks with the jaw: (N, 2)."""
    angle = np.linspace(0, 2 * np.pi, 49)
    points = np.column_stack([68 * np.cos(angle), 85 * np.sin(angle) - 5])
    chin = np.clip(-np.sin(angle), 0, 1) ** 2
    points[:, 1] -= chin * 24 * pose["jawOpen"]
    return points


def _mouth(pose: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Outline of both lips and of the opening between them; the opening is the lip distance in mm."""
    narrow = 10 * pose["mouthPucker"] + 6 * pose["mouthFunnel"]
    across = np.cos(np.linspace(0, np.pi, 15))  # +1 at the subject's left corner
    side = {"Left": across > 0, "Right": across <= 0}
    x, corner = np.zeros(15), np.zeros(15)
    for name, own in side.items():
        smile, frown, stretch = (pose[f"mouth{kind}{name}"] for kind in ("Smile", "Frown", "Stretch"))
        x[own] = across[own] * (25 + 7 * smile + 4 * stretch - narrow)
        corner[own] = 8 * smile - 7 * frown
    edge = np.abs(across) ** 2  # 1 at the corners
    bow = np.sqrt(np.clip(1 - across**2, 0, 1))
    middle = -45 - 5 * pose["jawOpen"] + corner * edge
    raised = 3 * (pose["mouthUpperUpLeft"] + pose["mouthUpperUpRight"])
    upper = middle + bow * (0.3 * pose["gap_mm"] + 0.5 * raised)
    lower = upper - bow * pose["gap_mm"]
    full = 1 + 0.5 * pose["mouthPucker"] + 0.4 * pose["mouthFunnel"]
    above = upper + bow * 6 * full * (1 - 0.7 * pose["mouthRollUpper"])
    below = lower - bow * 8 * full * (1 - 0.7 * pose["mouthRollLower"])
    outline = np.concatenate([np.column_stack([x, above]), np.column_stack([x, below])[::-1]])
    return outline, np.concatenate([np.column_stack([x, upper]), np.column_stack([x, lower])[::-1]])


def _eye(pose: dict[str, float], side: str, x: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 17)
    height = 8 * np.clip(1 - pose[f"eyeBlink{side}"] + 0.4 * pose[f"eyeWide{side}"], 0.04, 1.4)
    return np.column_stack(
        [x + 15 * np.cos(angle), 12 + np.where(np.sin(angle) > 0, height, 5) * np.sin(angle)]
    )


def _pupils(pose: dict[str, float]) -> list[np.ndarray]:
    across = 6 * (pose["eyeLookOutLeft"] - pose["eyeLookInLeft"])
    up = 4 * (pose["eyeLookUpLeft"] - pose["eyeLookDownLeft"])
    angle = np.linspace(0, 2 * np.pi, 9)
    open_sides = [(side, x) for side, x in (("Right", -30), ("Left", 30)) if pose[f"eyeBlink{side}"] < 0.6]
    return [
        np.column_stack([x + across + 2.0 * np.cos(angle), 12 + up + 2.0 * np.sin(angle)])
        for _, x in open_sides
    ]


def _brow(pose: dict[str, float], side: str, x: float) -> np.ndarray:
    sign = np.sign(x)
    inner = 8 * pose["browInnerUp"] - 7 * pose[f"browDown{side}"]
    outer = 8 * pose[f"browOuterUp{side}"] - 4 * pose[f"browDown{side}"]
    return np.array([(x - sign * 16, 30 + inner), (x, 34 + (inner + outer) / 2), (x + sign * 17, 29 + outer)])


def _nose() -> np.ndarray:
    return np.array([(-6.0, -18.0), (0.0, -21.0), (6.0, -18.0)])


def _join(shapes: Sequence[np.ndarray]) -> np.ndarray:
    """Several shapes as one line with gaps (NaN) between."""
    return np.concatenate([part for shape in shapes for part in (shape, [[np.nan, np.nan]])][:-1])


def _polygon(uid: str, points: np.ndarray, fill: str, line: str) -> go.Scatter:
    return go.Scatter(
        uid=uid, x=np.round(points[:, 0], 1), y=np.round(points[:, 1], 1), mode="lines", fill="toself",
        fillcolor=fill,
        line={"color": line, "width": 1.5}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _lines(points: np.ndarray) -> go.Scatter:
    return go.Scatter(
        uid="lines", x=np.round(points[:, 0], 1), y=np.round(points[:, 1], 1), mode="lines",
        line={"color": INK, "width": 4}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _cursor(time: float) -> go.Scatter:
    return go.Scatter(
        uid="cursor",
        x=[round(time, 4)] * 2,
        y=[0, 1],
        mode="lines",
        line={"color": INK, "width": 1},
        hoverinfo="skip",
        showlegend=False,
    )
