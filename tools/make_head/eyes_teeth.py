"""The head's eyes with an iris, its teeth and gums.

Made from numbers here, placed by MakeHuman's helpers; both follow the face units. No picture and no
mesh of others is used. Lengths are MakeHuman's decimeters until head.py writes meters.
"""

import numpy as np

from tools.make_head.glb import encode_png
from tools.make_head.makehuman import Face
from tools.make_head.skin import linear, smooth

# Degrees the eyeball turns at 1: axis (x down, y to the subject's left) of each look, left eye
LOOKS = {"Up": (-22, 0), "Down": (25, 0), "In": (0, -28), "Out": (0, 28)}
EYE_EDGE, ZOOM = 1.9, 0.6  # radians from the axis where the eyeball ends; more pixels for the iris
IRIS_DEGREES = 22.0  # from the eye's axis to the edge of the iris
TEETH_MM = {"upper": (8.5, 6.6, 7.6, 7.0, 6.8, 10.2), "lower": (5.3, 5.9, 6.8, 7.1, 7.2, 11.2)}
ENAMEL, GUM = "#b9ad97", "#7a3838"
LOWER_LIGHT = 0.5  # share of the light that the upper lip leaves to the lower teeth and gum


def _sphere(num_around: int, angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Directions (V, 3) around +z at angles (radians from +z, the first is 0), and triangles."""
    turn = np.arange(num_around) / num_around * 2 * np.pi
    rings = [
        np.stack([np.cos(turn) * np.sin(a), np.sin(turn) * np.sin(a), np.full_like(turn, np.cos(a))], 1)
        for a in angles[1:]
    ]
    here = np.arange(num_around)
    there = (here + 1) % num_around
    triangles = [np.stack([0 * here, 1 + here, 1 + there], 1)]
    for r in range(len(rings) - 1):
        a, b = 1 + r * num_around, 1 + (r + 1) * num_around
        triangles += [
            np.stack([a + here, b + here, b + there], 1),
            np.stack([a + here, b + there, a + there], 1),
        ]
    return np.concatenate([[[0, 0, 1.0]], *rings]), np.concatenate(triangles)


def fit_sphere(points: np.ndarray) -> tuple[np.ndarray, float]:
    """Center (3,) and radius, least squares."""
    solved = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(1), rcond=None)[0]
    return solved[:3], float(np.sqrt(solved[3] + solved[:3] @ solved[:3]))


def make_eyes(face: Face, names: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    """Positions, triangles, uvs and deltas (52, V, 3) of both eyeballs, which turn with eyeLook*."""
    iris = np.radians(IRIS_DEGREES)
    angles = np.r_[np.linspace(0, iris, 6), np.linspace(iris, EYE_EDGE, 8)[1:]]
    directions, triangles = _sphere(28, angles)
    polar = np.arccos(directions[:, 2].clip(-1, 1))
    bulge = 1 + 0.022 * (1 - smooth(0.5 * iris, 1.25 * iris, polar))  # the cornea
    uvs = 0.5 + 0.5 * directions[:, :2] * ((polar / EYE_EDGE) ** ZOOM / np.maximum(np.sin(polar), 1e-6))[
        :, None
    ] * [1, -1]
    positions, deltas = [], []
    for side, helper in (("Left", "helper-l-eye"), ("Right", "helper-r-eye")):
        center, radius = fit_sphere(face.vertices[np.unique(face.quads[helper])])
        ball = directions * bulge[:, None] * radius
        moved = np.zeros((len(names), *ball.shape))
        for look, (down, out) in LOOKS.items():
            turn = _rotation(np.radians(down), np.radians(out if side == "Left" else -out))
            moved[names.index(f"eyeLook{look}{side}")] = ball @ turn.T - ball
        positions.append(ball + center)
        deltas.append(moved)
    both = np.concatenate([triangles, triangles + len(directions)])
    return np.concatenate(positions), both, np.tile(uvs, (2, 1)), np.concatenate(deltas, 1)


def _rotation(down: float, left: float) -> np.ndarray:
    """(3, 3) that turns +z down (about x) and to +x (about y), radians."""
    about_x = [[1, 0, 0], [0, np.cos(down), -np.sin(down)], [0, np.sin(down), np.cos(down)]]
    about_y = [[np.cos(left), 0, np.sin(left)], [0, 1, 0], [-np.sin(left), 0, np.cos(left)]]
    return np.array(about_y) @ np.array(about_x)


def paint_eye(colors: tuple[str, str], eye_white: str, size: int = 256) -> bytes:
    """PNG of an eyeball seen along its axis: distance from the middle = (angle / EYE_EDGE) ** ZOOM.

    colors: sRGB of the iris, and of its ring round the pupil; eye_white: sRGB.
    """
    random = np.random.default_rng(0)
    y, x = (np.mgrid[:size, :size] + 0.5) / size * 2 - 1
    polar = np.hypot(x, y) ** (1 / ZOOM) * EYE_EDGE / np.radians(IRIS_DEGREES)  # 1 at the iris's edge
    around = np.arctan2(y, x)
    fibres = np.zeros_like(x)
    for count in (23, 41, 67, 97, 131):
        fibres += np.sin(count * around + random.uniform(0, 6.3) + 1.5 * np.sin(3 * polar + count)) / 5
    iris = linear(colors[0]) * (0.72 + 0.5 * fibres[..., None])
    warm = (1 - smooth(0.38, 0.62, polar + 0.06 * fibres))[..., None]
    iris = iris * (1 - warm) + warm * linear(colors[1]) * (0.8 + 0.4 * fibres[..., None])
    iris *= (1 - 0.85 * smooth(0.78, 1.0, polar))[..., None] * (0.75 + 0.35 * (y > -2) * (0.5 + 0.5 * y))[
        ..., None
    ]
    iris *= smooth(0.33, 0.39, polar)[..., None]  # the pupil
    white = linear(eye_white) * np.ones((size, size, 1))
    veins = 0.5 + 0.5 * np.sin(9 * around + 2 * np.sin(5 * polar) + 3 * np.sin(4 * around))
    red = (smooth(1.3, 2.8, polar) * (0.35 + 0.25 * veins))[..., None]
    white = white * (1 - red) + red * linear("#b98078")
    edge = smooth(0.94, 1.08, polar)[..., None]
    color = (iris * (1 - edge) + white * edge).clip(0, 1)
    srgb = np.where(color <= 0.0031308, 12.92 * color, 1.055 * color ** (1 / 2.4) - 0.055)
    return encode_png((srgb * 255).round().astype(np.uint8))


def make_teeth(face: Face, which: str) -> tuple[np.ndarray, ...]:
    """Positions, triangles, colors and deltas (52, V, 3) of one row of 12 teeth and its gum."""
    helper = np.unique(face.quads[f"helper-{which}-teeth"])
    rest = face.vertices[helper]
    low, high = rest.min(0), rest.max(0)
    up = 1 if which == "upper" else -1  # from the edge of the teeth to the gum
    half, depth = high[0] * (0.97 if up > 0 else 0.93), 0.467
    front = high[2] - (0.035 if up > 0 else 0.075)  # the lower row bites behind the upper one
    edge = low[1] - 0.036 if up > 0 else high[1] - 0.068  # MakeHuman's upper lip hides its teeth

    def arch(x: np.ndarray) -> np.ndarray:
        return front - depth * np.abs(x / half) ** 3.2

    x = np.linspace(0, half, 400)
    length = np.r_[0, np.cumsum(np.hypot(np.diff(x), np.diff(arch(x))))]
    widths = np.array(TEETH_MM[which]) / sum(TEETH_MM[which]) * length[-1]
    middles = np.interp(np.cumsum(widths) - widths / 2, length, x)
    ball, faces = _sphere(10, np.linspace(0, np.pi, 7))
    box = np.sign(ball) * np.abs(ball) ** 0.4  # a rounded box
    positions, triangles, colors = [], [], []
    for i, (middle, width) in enumerate(zip(middles, widths, strict=True)):
        for side in (1, -1):
            slope = np.gradient(arch(x), x)[np.searchsorted(x, middle)]
            along = np.array([1, 0, slope]) / np.hypot(1, slope)
            out = np.array([-along[2], 0, along[0]])
            tall = (0.105, 0.095, 0.11, 0.09, 0.085, 0.08)[i] * (1 if up > 0 else 0.85) / 2
            thick = 0.034 + 0.016 * (i > 2) + 0.02 * (i > 4)
            local = box * [width / 2 * 1.03, tall, thick]
            local[:, 2] -= 0.03 * (local[:, 1] * up / tall < 0) * (local[:, 1] * up / tall) * -0.4
            center = np.array([middle, edge + up * (tall + (0.006 if i == 1 else 0.0)), arch(middle)])
            tooth = center + local[:, :1] * along + local[:, 1:2] * [0, 1, 0] + local[:, 2:] * out
            triangles.append((faces if side > 0 else faces[:, ::-1]) + sum(map(len, positions)))
            positions.append(tooth * [side, 1, 1])
            shade = (0.6 + 0.4 * smooth(-1.0, 0.6, box[:, 2])) * (1 - 0.35 * smooth(0.0, 1.0, up * box[:, 1]))
            colors.append(linear(ENAMEL) * (shade * (1 - 0.17 * i))[:, None])
    gum, gum_faces = _gum(arch, half, edge + up * 0.118, up)
    triangles.append(gum_faces + sum(map(len, positions)))
    positions.append(gum)
    fade = np.abs(gum[:, :1] / half) ** 2
    colors.append(linear(GUM) * (1 - 0.6 * fade))
    positions = np.concatenate(positions)
    colors = np.concatenate(colors) * (1.0 if which == "upper" else LOWER_LIGHT)
    affine = np.linalg.lstsq(
        np.c_[rest, np.ones(len(rest))],
        face.deltas[:, helper].transpose(1, 0, 2).reshape(len(rest), -1),
        rcond=None,
    )[0]
    deltas = (
        (np.c_[positions, np.ones(len(positions))] @ affine).reshape(len(positions), -1, 3).transpose(1, 0, 2)
    )
    return positions, np.concatenate(triangles), colors, deltas


def _gum(arch, half: float, height: float, up: int) -> tuple[np.ndarray, np.ndarray]:
    """A tube along the arch: positions and triangles."""
    x = half * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 31))
    turn = np.arange(8) / 8 * 2 * np.pi
    slope = np.gradient(arch(x), x)
    out = np.stack([-slope, 0 * x, np.ones_like(x)], 1) / np.hypot(1, slope)[:, None]
    path = np.stack([x, np.full_like(x, height), arch(x)], 1) - 0.012 * out
    tube = path[:, None] + 0.05 * np.cos(turn)[None, :, None] * out[:, None]
    tube = tube + (0.052 * np.sin(turn))[None, :, None] * np.array([0, 1, 0])
    i, j = np.meshgrid(np.arange(30), np.arange(8), indexing="ij")
    a, b, c, d = (((i + p) * 8 + (j + q) % 8).ravel() for p, q in ((0, 0), (1, 0), (1, 1), (0, 1)))
    return tube.reshape(-1, 3), np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
