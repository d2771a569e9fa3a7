"""The skin of the head: the bust's cut, the lips' rings, the scalp, light that reaches each vertex, colours.

Lengths are MakeHuman's decimetres until head.py writes metres.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from tools.make_head.glb import encode_png, vertex_normals
from tools.make_head.makehuman import Face

CUT = (
    4.98,
    0.40,
    0.10,
)  # the bust ends where y = c0 + c1 x² + c2 (z - CUT_Z)²: low on the chest, high at the shoulders
CUT_Z = 0.3
UPPER_LIP, LOWER_LIP = 520, 523  # base vertices in the midline where the closed lips touch
NEXT_RING = {520: 474, 523: 493}  # their neighbours towards the outside
REST_GAP = 0.001  # decimetres between the lips at rest: they touch, and cannot be seen through
SEAL = 0.003  # decimetres that a shape presses the lips, which leaves them closed also beside the middle
LIP_RINGS = 7  # edge loops of red between the contact line and the skin
BLUSH = "#c9795f"
SKIN, LIPS, MOUTH, HAIR, LID = "#cf9675", "#a9584f", "#43110f", "#1d1512", "#bd7f68"
# Hairline: height over the azimuth around the vertical axis of the head, degrees from the front
HAIRLINE = (
    (0, 20, 40, 52, 62, 70, 78, 90, 105, 125, 150, 180),
    (7.95, 7.97, 7.95, 7.78, 7.55, 7.22, 7.30, 7.52, 7.40, 7.00, 6.78, 6.72),
)
HEAD_AXIS_Z = 0.45
NUM_DIRECTIONS = 96  # of sky_light
LIP_LIGHT = 0.4  # share of the sky that lips have at least: a seam darker than lips looks open
LIP_BOUNCE = 1.0  # light from the lower lip on the side of the upper one that looks down
SURFACE_PIXELS = 32


def linear(color: str) -> np.ndarray:
    """Linear RGB (3,) of a hexadecimal sRGB colour (IEC 61966-2-1)."""
    value = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def smooth(low: float, high: float, value: np.ndarray | float) -> np.ndarray:
    """0 below low, 1 above high, a cubic between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True)
class Surface:
    """Triangles (N, 3) over vertices that are weighted means of a face's: weights (V, base vertices)."""

    weights: sparse.csr_matrix
    triangles: np.ndarray


def triangulate(quads: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Two triangles (2Q, 3) a quad, along its shorter diagonal."""
    a, b, c, d = quads.T
    first = np.linalg.norm(vertices[a] - vertices[c], axis=1) < np.linalg.norm(
        vertices[b] - vertices[d], axis=1
    )
    one = np.where(first, (a, b, c), (a, b, d)).T
    two = np.where(first, (a, c, d), (b, c, d)).T
    return np.concatenate([one, two])


def cut_bust(face: Face) -> tuple[Surface, np.ndarray]:
    """The part of the body above the cut, clipped exactly; and the border's vertices (B,) in order."""
    xyz = face.vertices
    height = xyz[:, 1] - CUT[0] - CUT[1] * xyz[:, 0] ** 2 - CUT[2] * (xyz[:, 2] - CUT_Z) ** 2
    triangles = triangulate(face.quads["body"], xyz)
    above = height[triangles] > 0
    kept = [tuple(t) for t in triangles[above.all(1)]]
    used = {int(v): i for i, v in enumerate(np.unique(triangles[above.any(1)][above[above.any(1)]]))}
    rows = [((v, 1.0),) for v in used]
    between: dict[tuple[int, int], int] = {}

    def crossing(a: int, b: int) -> int:
        key = (min(a, b), max(a, b))
        if key not in between:
            share = height[a] / (height[a] - height[b])
            between[key] = len(rows)
            rows.append(((a, 1 - share), (b, share)))
        return between[key]

    result, border = [tuple(used[int(v)] for v in t) for t in kept], {}
    for corners, up in zip(
        triangles[above.any(1) & ~above.all(1)], above[above.any(1) & ~above.all(1)], strict=True
    ):
        turn = int(np.flatnonzero(up if up.sum() == 1 else ~up)[0])
        a, b, c = (int(corners[(turn + i) % 3]) for i in range(3))
        first, last = crossing(a, b), crossing(a, c)
        if up.sum() == 1:
            result.append((used[a], first, last))
            border[first] = last
        else:
            result += [(used[b], used[c], last), (used[b], last, first)]
            border[last] = first
    columns = [v for row in rows for v, _ in row]
    shares = [share for row in rows for _, share in row]
    owners = [i for i, row in enumerate(rows) for _ in row]
    weights = sparse.csr_matrix((shares, (owners, columns)), shape=(len(rows), len(xyz)))
    loop = [next(iter(border))]
    while border[loop[-1]] != loop[0]:
        loop.append(border[loop[-1]])
    return Surface(weights, np.array(result)), np.array(loop)


def lip_ring(face: Face, start: int) -> list[int]:
    """Base vertices of one edge loop round the mouth, from the midline through the subject's left corner."""
    quads = face.quads["body"]
    touching: dict[int, list[np.ndarray]] = {}
    for quad in quads:
        for v in quad:
            touching.setdefault(int(v), []).append(quad)

    def neighbours(v: int) -> set[int]:
        quads_of = touching[v]
        return {int(q[(list(q).index(v) + s) % 4]) for q in quads_of for s in (1, 3)}

    ring = [start, max(neighbours(start), key=lambda v: face.vertices[v, 0])]
    while True:
        last, before = ring[-1], ring[-2]
        beside = {int(v) for q in touching[last] if before in q for v in q}
        ahead = [v for v in neighbours(last) if v not in beside]
        if len(ahead) != 1:
            raise ValueError(f"vertex {last} of the lips' ring has {len(ahead)} ways on, not 1")
        if ahead[0] == start:
            return ring
        ring.append(ahead[0])


def rings_from(face: Face, ring: list[int]) -> np.ndarray:
    """Steps along edges from the lips' contact line: (N,) positive outside, negative inside, 0 on it."""
    quads = face.quads["body"]
    a, b = np.concatenate([np.stack([quads[:, i], quads[:, (i + 1) % 4]]) for i in range(4)], axis=1)
    graph = sparse.csr_matrix((np.ones(len(a)), (a, b)), shape=(len(face.vertices),) * 2)
    open_graph = graph.tolil()
    open_graph[ring] = 0
    open_graph[:, ring] = 0
    _, labels = csgraph.connected_components(open_graph.tocsr())
    outside = labels == labels[NEXT_RING[UPPER_LIP]]
    steps = csgraph.dijkstra(graph, indices=ring, unweighted=True, min_only=True)
    return np.where(outside, steps, -steps)


def split_ring(face: Face, ring: list[int]) -> tuple[list[int], list[int]]:
    """The contact line of the upper and of the lower lip, each from the subject's right to the left."""
    x = face.vertices[ring, 0]
    left, right = int(np.argmax(x)), int(np.argmin(x))
    return ring[right:] + ring[: left + 1], ring[left : right + 1][::-1]


def seal_lips(
    face: Face,
    ring: list[int],
    rings: np.ndarray,
    jaw_open: int,
    mouth_close: int,
    closed: Sequence[int],
    pressed: Sequence[int],
) -> Face:
    """The face with lips that touch at rest and a mouthClose that cancels jawOpen between the lips.

    Shapes (their indices) of closed neither part nor push the lips, of pressed do not part them.
    """
    upper, lower = split_ring(face, ring)
    both = face.deltas[jaw_open] + face.deltas[mouth_close]
    x = face.vertices[:, 0]

    def between(values: np.ndarray) -> np.ndarray:
        """Upper minus lower lip at every vertex's x, (N, 3) from (N, 3)."""
        columns = values.T
        return np.stack(
            [np.interp(x, x[upper], c[upper]) - np.interp(x, x[lower], c[lower]) for c in columns], 1
        )

    fade = 1 - smooth(1, LIP_RINGS, np.abs(rings))
    y = face.vertices[:, 1]
    middle = (np.interp(x, x[upper], y[upper]) + np.interp(x, x[lower], y[lower])) / 2
    side = np.where(y >= middle, -0.5, 0.5)
    side[upper], side[lower] = -0.5, 0.5  # in the middle they touch, or nearly
    side *= fade
    corners = 1 - smooth(0.97, 1.0, np.abs(x) / x[upper].max())
    gap = (between(face.vertices)[:, 1] - REST_GAP) * corners
    vertices = face.vertices + np.stack([0 * x, side * gap, 0 * x], 1)
    deltas = face.deltas.copy()
    deltas[mouth_close] += side[:, None] * between(both)
    for shape in closed:
        deltas[shape, :, 1] += side * (between(deltas[shape])[:, 1] + SEAL * corners)
    for shape in pressed:
        deltas[shape, :, 1] += side * between(deltas[shape])[:, 1].clip(0)
    return replace(face, vertices=vertices, deltas=deltas)


def scalp(vertices: np.ndarray) -> np.ndarray:
    """Height above the hairline (V,) in decimetres; negative on the face and the neck."""
    azimuth = np.degrees(np.arctan2(np.abs(vertices[:, 0]), vertices[:, 2] - HEAD_AXIS_Z))
    return vertices[:, 1] - np.interp(azimuth, *HAIRLINE)


def sky_light(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Share of an even sky that reaches each vertex, (V,) in 0..1: depth maps from directions on a sphere."""
    normals = vertex_normals(positions, triangles)
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9)), -1).reshape(-1, 2)
    grid = grid[grid.sum(1) <= 1]
    shares = np.c_[grid, 1 - grid.sum(1)]
    samples = np.einsum("sk,nkc->nsc", shares, positions[triangles]).reshape(-1, 3)
    golden = np.pi * (3 - np.sqrt(5))
    seen, total = np.zeros(len(positions)), np.zeros(len(positions))
    for i in range(NUM_DIRECTIONS):
        y = 1 - 2 * (i + 0.5) / NUM_DIRECTIONS
        radius = np.sqrt(1 - y * y)
        direction = np.array([radius * np.cos(golden * i), y, radius * np.sin(golden * i)])
        side = np.cross(direction, [0.3, 0.5, 0.8])
        side /= np.linalg.norm(side)
        axes = np.stack([side, np.cross(direction, side)], axis=1)
        cells = np.floor((samples @ axes) / 0.02).astype(int)
        low = cells.min(0)
        cells -= low
        width = cells[:, 1].max() + 3
        depth = np.full((cells[:, 0].max() + 3) * width, -np.inf)
        np.maximum.at(depth, cells[:, 0] * width + cells[:, 1], samples @ direction)
        points = positions + 0.03 * normals
        at = (np.floor((points @ axes) / 0.02).astype(int) - low).clip(0)
        free = points @ direction > depth[(at[:, 0] * width + at[:, 1]).clip(0, len(depth) - 1)] - 0.03
        facing = (normals @ direction).clip(0) * (1.0 if y > 0 else 0.6)
        seen += facing * free
        total += facing
    return seen / np.maximum(total, 1e-9)


def color_skin(
    positions: np.ndarray, triangles: np.ndarray, rings: np.ndarray, to_brow: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Skin, redder lips, cheeks and ears, a dark mouth, lids, scalp; darker where little light comes.

    positions: (V, 3); rings: (V,) of rings_from; to_brow: (V,) distance to the brows. Returns linear RGB
    (V, 3), and where each vertex is in paint_surface's picture, (V, 2): light and roughness in 0..1.
    """
    x, y, z = positions.T
    color = np.repeat(linear(SKIN)[None], len(positions), 0)

    def blend(other: str, amount: np.ndarray) -> None:
        nonlocal color
        color = color + (linear(other) - color) * amount[:, None]

    cheeks = np.exp(-(((np.abs(x) - 0.46) / 0.2) ** 2) - ((y - 7.05) / 0.17) ** 2) * (z > 0.8)
    nose = np.exp(-((x / 0.14) ** 2) - ((y - 7.0) / 0.1) ** 2) * (z > 1.4)
    ears = smooth(0.82, 0.95, np.abs(x)) * (y > 6.9)
    blend(BLUSH, 0.35 * (cheeks + nose) + 0.45 * ears)
    lips = (1 - smooth(LIP_RINGS - 1.6, LIP_RINGS + 0.2, rings)) * (rings > -4)
    blend(LIPS, 0.85 * lips)
    inside = smooth(0.5, 4, -rings)
    blend(MOUTH, inside)
    for side in (1, -1):
        away = np.hypot((side * x - 0.289) / 0.21, (y - 7.352) / 0.115)
        blend(LID, 0.6 * (1 - smooth(0.7, 1.25, away)) * (z > 1.0))
    blend("#5b3f31", 0.55 * (1 - smooth(0.01, 0.08, to_brow)) * (z > 0.8))
    hair = smooth(-0.06, 0.07, scalp(positions)) * (np.abs(x) < 0.83)
    blend(HAIR, 0.99 * hair)
    down = -vertex_normals(positions, triangles)[:, 1]
    light = np.maximum(sky_light(positions, triangles), LIP_LIGHT * lips) * (1 - inside)
    covered = (1 - smooth(0.5, 3, rings)) * (1 - smooth(-0.3, 0.2, down))  # by the upper lip: no gloss
    sky = light * (1 - 0.8 * covered)
    rough = 0.56 - 0.16 * lips + 0.3 * hair
    dimmed = (0.4 + 0.6 * smooth(0.0, 0.8, light))[:, None] ** np.array([0.8, 1.0, 1.05])
    seam = lips * (1 - smooth(0.5, 3, np.abs(rings)))
    dimmed *= 1 + LIP_BOUNCE * (seam * smooth(0, 0.8, down))[:, None]
    return color * dimmed, np.stack([sky, rough], 1)


def place_in_surface(places: np.ndarray) -> np.ndarray:
    """Texture coordinates (V, 2) of light and roughness in 0..1, which are the middles of pixels."""
    return (0.5 + places * (SURFACE_PIXELS - 1)) / SURFACE_PIXELS


def paint_surface() -> bytes:
    """PNG that holds at (u, v) occlusion u, roughness v and, as alpha, no gloss where it is dark."""
    v, u = np.mgrid[:SURFACE_PIXELS, :SURFACE_PIXELS] / (SURFACE_PIXELS - 1)
    pixels = np.stack([0.25 + 0.75 * smooth(0.0, 0.8, u), v, 0 * u, smooth(0.05, 0.5, u)], -1)
    return encode_png((pixels * 255).round().astype(np.uint8))
