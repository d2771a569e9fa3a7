"""The skin of the head: the lips' rings and how they are sealed, and the scalp.

Lengths are MakeHuman's decimeters until head.py writes meters.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from tools.make_head.makehuman import Face

UPPER_LIP, LOWER_LIP = 520, 523  # base vertices in the midline where the closed lips touch
NEXT_RING = {520: 474, 523: 493}  # their neighbors towards the outside
REST_GAP = 0.001  # decimeters between the lips at rest: they touch, and cannot be seen through
SEAL = 0.003  # decimeters that a shape presses the lips, which leaves them closed also beside the middle
LIP_RINGS = 7  # edge loops of red between the contact line and the skin
MOUTH = "#43110f"
# Hairline: height over the azimuth around the vertical axis of the head, degrees from the front
HAIRLINE = (
    (0, 20, 40, 52, 62, 70, 78, 90, 105, 125, 150, 180),
    (7.89, 7.91, 7.89, 7.74, 7.53, 7.22, 7.30, 7.52, 7.40, 7.00, 6.78, 6.72),
)
HEAD_AXIS_Z = 0.45


def linear(color: str) -> np.ndarray:
    """Linear RGB (3,) of a hexadecimal sRGB color (IEC 61966-2-1)."""
    value = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def smooth(low: float, high: float, value: np.ndarray | float) -> np.ndarray:
    """0 below low, 1 above high, a cubic between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def lip_ring(face: Face, start: int) -> list[int]:
    """Base vertices of one edge loop round the mouth, from the midline through the subject's left corner."""
    quads = face.quads["body"]
    touching: dict[int, list[np.ndarray]] = {}
    for quad in quads:
        for v in quad:
            touching.setdefault(int(v), []).append(quad)

    def neighbors(v: int) -> set[int]:
        quads_of = touching[v]
        return {int(q[(list(q).index(v) + s) % 4]) for q in quads_of for s in (1, 3)}

    ring = [start, max(neighbors(start), key=lambda v: face.vertices[v, 0])]
    while True:
        last, before = ring[-1], ring[-2]
        beside = {int(v) for q in touching[last] if before in q for v in q}
        ahead = [v for v in neighbors(last) if v not in beside]
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
    """Height above the hairline (V,) in decimeters; negative on the face and the neck."""
    azimuth = np.degrees(np.arctan2(np.abs(vertices[:, 0]), vertices[:, 2] - HEAD_AXIS_Z))
    return vertices[:, 1] - np.interp(azimuth, *HAIRLINE)
