"""Stretches of closed lips, and sheets of simple faces as plotly figures. The page draws its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, SEALED_MM

SKIN, LIPS, INK = "#f1c9a5", "#c4606a", "#3b2a2a"
IRIS, FOLD = "#5b4030", "#b98d6c"
FAINT = 0.15  # threshold of a raised cheek or a sneer for a line
SHEET_STEP_MM = (180.0, 215.0)  # across and down, from face to face of a sheet


def sealed_stretches(distance_mm: np.ndarray, fps: float) -> list[tuple[float, float]]:
    """(start, end) in seconds of the stretches of (T,) in which the lips are closed (below 1.06 mm)."""
    edges = np.diff(np.concatenate([[0], (distance_mm < SEALED_MM).astype(int), [0]]))
    starts, ends = (np.flatnonzero(edges == step).tolist() for step in (1, -1))
    return [(start / fps, end / fps) for start, end in zip(starts, ends, strict=True)]


def contact_sheet_figure(
    faces: FaceClip, row_names: Sequence[str], column_names: Sequence[str], title: str
) -> go.Figure:
    """A contact sheet: frame row * columns + column of the clip as a drawn face in that place.

    Raises ValueError unless the clip has a frame for every place.
    """
    columns = len(column_names)
    if len(faces) != len(row_names) * columns:
        raise ValueError(f"{len(row_names)} x {columns} faces need as many frames, got {len(faces)}")
    poses, shown = _poses(faces), []
    for k in range(len(faces)):
        move = np.array([k % columns * SHEET_STEP_MM[0], -(k // columns) * SHEET_STEP_MM[1]])
        shown.append({name: points + move for name, points in _face(poses, k).items()})
    width, height = columns * SHEET_STEP_MM[0], len(row_names) * SHEET_STEP_MM[1]
    figure = go.Figure(_face_traces(shown, width=1.0))
    texts = [
        *((k * SHEET_STEP_MM[0], 118.0, name, "center") for k, name in enumerate(column_names)),
        *((-95.0, -k * SHEET_STEP_MM[1], name, "right") for k, name in enumerate(row_names)),
    ]
    figure.update_layout(
        title=title,
        width=round(150 + 0.5 * width),
        height=round(120 + 0.5 * height),
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
        plot_bgcolor="white",
        annotations=[
            {"x": x, "y": y, "text": text, "xanchor": anchor, "showarrow": False, "font": {"size": 15}}
            for x, y, text, anchor in texts
        ],
    )
    figure.update_xaxes(visible=False, range=[-290, width - 85])
    figure.update_yaxes(visible=False, range=[-height + 95, 135], scaleanchor="x")
    return figure


def _poses(clip: FaceClip) -> dict[str, np.ndarray]:
    """All curves by name; a coefficient the clip lacks is 0."""
    curves = {name: clip[name] if name in clip.names else np.zeros(len(clip)) for name in ARKIT_BLENDSHAPES}
    return curves | {"gap_mm": clip.lip_distance_mm()}


def _face(poses: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """The shapes of frame k by uid, (N, 2) each, in mm around the nose.

    The subject's left is on the viewer's right (x > 0).
    """
    pose = {name: float(curve[k]) for name, curve in poses.items()}
    lips, opening = _mouth(pose)
    sides = (("Right", -30.0), ("Left", 30.0))
    return {
        "head": _head(pose),
        "folds": _join([line for side, x in sides for line in _folds(pose, side, x)]),
        "eyes": _join([_eye(pose, side, x) for side, x in sides]),
        "iris": _join([_iris(pose, side, x) for side, x in sides]),
        "lines": _join([*(_brow(pose, side, x) for side, x in sides), _nose(pose)]),
        "lips": lips,
        "opening": opening,
    }


def _face_traces(faces: Sequence[dict[str, np.ndarray]], width: float = 1.5) -> list[go.Scatter]:
    """One trace for each kind of shape, of one face or several.

    Every trace has a uid: without one plotly adds a frame to the first instead of replacing it.
    """
    shapes = {uid: _join([face[uid] for face in faces]) for uid in faces[0]}
    fills = {"head": (SKIN, INK), "eyes": ("white", INK), "iris": (IRIS, IRIS), "lips": (LIPS, LIPS)}
    fills["opening"] = ("#4a1520", "#4a1520")
    strokes = {"folds": (FOLD, 1.4), "lines": (INK, 2.7)}
    return [
        _polygon(uid, points, *fills[uid], width)
        if uid in fills
        else _lines(uid, points, strokes[uid][0], strokes[uid][1] * width)
        for uid, points in shapes.items()
    ]


def _head(pose: dict[str, float]) -> np.ndarray:
    """An oval whose chin sinks with the jaw: (N, 2)."""
    angle = np.linspace(0, 2 * np.pi, 49)
    points = np.column_stack([68 * np.cos(angle), 85 * np.sin(angle) - 5])
    chin = np.clip(-np.sin(angle), 0, 1) ** 2
    points[:, 1] -= chin * (24 * pose["jawOpen"] - 4 * pose["mouthShrugLower"])
    return points


def _mouth(pose: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Outline of both lips and of the opening between them; the opening is the lip distance in mm."""
    across = np.cos(np.linspace(0, np.pi, 15))  # +1 at the subject's left corner
    edge, bow = np.abs(across) ** 2, np.sqrt(np.clip(1 - across**2, 0, 1))  # edge: 1 at the corners
    x, corner = np.zeros(15), np.zeros(15)
    for side, own in {"Left": across > 0, "Right": across <= 0}.items():
        x[own], corner[own] = _corner(pose, side)
    x = x * across + 5 * (pose["mouthLeft"] - pose["mouthRight"])
    middle = -45 - 5 * pose["jawOpen"] + corner * edge + 5 * pose["mouthShrugLower"] * bow
    raised = 3.5 * (pose["mouthUpperUpLeft"] + pose["mouthUpperUpRight"])
    upper = middle + bow * (0.3 * pose["gap_mm"] + 0.5 * raised)
    lower = upper - bow * pose["gap_mm"]
    pressed = 1 - 0.25 * (pose["mouthPressLeft"] + pose["mouthPressRight"])
    full = (1 + 0.5 * pose["mouthPucker"] + 0.4 * pose["mouthFunnel"]) * pressed
    above = upper + bow * 6 * full * (1 - 0.7 * pose["mouthRollUpper"])
    below = lower - bow * 8 * full * (1 - 0.7 * pose["mouthRollLower"])
    outline = np.concatenate([np.column_stack([x, above]), np.column_stack([x, below])[::-1]])
    return outline, np.concatenate([np.column_stack([x, upper]), np.column_stack([x, lower])[::-1]])


def _corner(pose: dict[str, float], side: str) -> tuple[float, float]:
    """Offset of a mouth corner from the middle, across and up."""
    smile, frown, stretch, dimple = (
        pose[f"mouth{kind}{side}"] for kind in ("Smile", "Frown", "Stretch", "Dimple")
    )
    narrow = 10 * pose["mouthPucker"] + 6 * pose["mouthFunnel"]
    across = 25 + 8 * smile + 6 * stretch + 5 * dimple - 2 * frown - narrow
    return across, 13 * smile + 6 * dimple - 12 * frown - 4 * stretch


def _lids(pose: dict[str, float], side: str) -> tuple[float, float]:
    """Offsets of the upper and lower lid from the middle of the eye."""
    squint = pose[f"eyeSquint{side}"]
    upper = 8 * (1 - pose[f"eyeBlink{side}"] + 0.5 * pose[f"eyeWide{side}"] - 0.25 * squint)
    lower = 5 * (1 - 0.6 * squint - 0.4 * pose[f"cheekSquint{side}"] + 0.3 * pose[f"eyeWide{side}"])
    return max(upper, 0.3 - 0.5 * lower), lower


def _eye(pose: dict[str, float], side: str, x: float) -> np.ndarray:
    upper, lower = _lids(pose, side)
    angle = np.linspace(0, 2 * np.pi, 25)
    return np.column_stack(
        [x + 15 * np.cos(angle), 12 + np.where(np.sin(angle) > 0, upper, lower) * np.sin(angle)]
    )


def _iris(pose: dict[str, float], side: str, x: float) -> np.ndarray:
    """The visible part of the iris."""
    outward = 6 * (pose[f"eyeLookOut{side}"] - pose[f"eyeLookIn{side}"])
    across, up = outward * np.sign(x), 5 * (pose[f"eyeLookUp{side}"] - pose[f"eyeLookDown{side}"])
    angle = np.linspace(0, 2 * np.pi, 17)
    disc = np.column_stack([across + 4.5 * np.cos(angle), up + 4.5 * np.sin(angle)])
    upper, lower = _lids(pose, side)
    opened = np.sqrt(np.clip(1 - (disc[:, 0] / 15) ** 2, 0, 1))
    disc[:, 1] = np.clip(disc[:, 1], np.minimum(-lower, upper) * opened, upper * opened)
    return disc + np.array([x, 12.0])


def _brow(pose: dict[str, float], side: str, x: float) -> np.ndarray:
    sign = np.sign(x)
    inner = 16 * pose["browInnerUp"] - 15 * pose[f"browDown{side}"]
    outer = 14 * pose[f"browOuterUp{side}"] - 4 * pose[f"browDown{side}"]
    nearer = 3 * pose[f"browDown{side}"]  # brows move together
    middle = 0.35 * inner + 0.65 * outer
    return np.array([(x - sign * (16 + nearer), 30 + inner), (x, 34 + middle), (x + sign * 17, 28 + outer)])


def _nose(pose: dict[str, float]) -> np.ndarray:
    left, right = (4 * pose[f"noseSneer{side}"] for side in ("Left", "Right"))
    return np.array([(-7.0 - right / 2, -18.0 + right), (0.0, -21.0), (7.0 + left / 2, -18.0 + left)])


def _folds(pose: dict[str, float], side: str, x: float) -> list[np.ndarray]:
    """Lines of the skin: from nose to mouth, wrinkles beside the nose, a raised cheek."""
    sign = np.sign(x)
    sneer, cheek = pose[f"noseSneer{side}"], pose[f"cheekSquint{side}"]
    pulled = min(
        1.0, pose[f"mouthSmile{side}"] + pose[f"mouthUpperUp{side}"] + sneer + pose[f"mouthDimple{side}"]
    )
    across, up = _corner(pose, side)
    start, end = np.array([sign * 11, -16 + 4 * sneer]), np.array([sign * (across + 5), -43 + up])
    bend = (start + end) / 2 + [sign * 7, 4]
    along = np.linspace(0, 0.25 + 0.75 * pulled, 7)[:, None]
    fold = (1 - along) ** 2 * start + 2 * along * (1 - along) * bend + along**2 * end
    wrinkle = [(sign * 3, 4.0), (sign * (3 + 7 * sneer), 4.0 - 5 * sneer)]
    raised = [(x - sign * 8 * cheek, -2.0), (x, -4.0), (x + sign * 8 * cheek, -2.0)]
    shown = [fold] + [wrinkle] * (sneer > FAINT) + [raised] * (cheek > FAINT)
    return [np.array(line) for line in shown]


def _join(shapes: Sequence[np.ndarray]) -> np.ndarray:
    """Several shapes as one line with gaps (NaN) between."""
    return np.concatenate([part for shape in shapes for part in (shape, [[np.nan, np.nan]])][:-1])


def _polygon(uid: str, points: np.ndarray, fill: str, line: str, width: float) -> go.Scatter:
    return go.Scatter(
        uid=uid, x=np.round(points[:, 0], 1), y=np.round(points[:, 1], 1), mode="lines", fill="toself",
        fillcolor=fill,
        line={"color": line, "width": width}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _lines(uid: str, points: np.ndarray, color: str, width: float) -> go.Scatter:
    return go.Scatter(
        uid=uid, x=np.round(points[:, 0], 1), y=np.round(points[:, 1], 1), mode="lines",
        line={"color": color, "width": width}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
