"""Where the head ends: pieces cut from MakeHuman's body, their closed edges, and the shirt.

Lengths are MakeHuman's decimeters until head.py writes meters.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tools.make_head.glb import vertex_normals
from tools.make_head.makehuman import Face

# The piece ends where (x / a)^4 + ((y - top) / b)^4 = 1 below the top
BUST_WIDTH, BUST_TOP, BUST_DEPTH = 2.1, 6.1, 1.75
COLLAR_SLOPE = 0.42  # how much higher the collar is at the nape than at the pit of the neck
COLLAR, SKIN_BELOW = 5.76, 0.13  # its height in front, and how far the skin goes on below
SHIRT_OFF = 0.035  # from the skin
SAME_UV = 1e5


@dataclass(frozen=True)
class Surface:
    """Triangles (N, 3) over vertices that are weighted means of a face's: weights (V, base vertices).

    uvs: (V, 2), v up. Vertices at a seam of the texture stand twice: twins (V,) is the first of each.
    """

    weights: sparse.csr_matrix
    triangles: np.ndarray
    uvs: np.ndarray | None = None
    twins: np.ndarray | None = None


def triangulate(quads: np.ndarray, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles (2Q, 3) a quad, along its shorter diagonal, and which corners (2Q, 3) they are."""
    a, b, c, d = quads.T
    first = np.linalg.norm(vertices[a] - vertices[c], axis=1) < np.linalg.norm(
        vertices[b] - vertices[d], axis=1
    )
    one = np.where(first[:, None], (0, 1, 2), (0, 1, 3))
    two = np.where(first[:, None], (0, 2, 3), (1, 2, 3))
    corners = np.concatenate([one, two])
    rows = np.tile(np.arange(len(quads)), 2)[:, None]
    return quads[rows, corners], corners


def bust_height(xyz: np.ndarray) -> np.ndarray:
    """(N,) above 0 inside the bust."""
    below = (BUST_TOP - xyz[:, 1]).clip(0) / BUST_DEPTH
    return 1 - (np.abs(xyz[:, 0]) / BUST_WIDTH) ** 4 - below**4


def collar_height(xyz: np.ndarray) -> np.ndarray:
    """(N,) decimeters above the shirt's collar."""
    return xyz[:, 1] - COLLAR - COLLAR_SLOPE * (0.75 - xyz[:, 2]) + 0.1 * xyz[:, 0] ** 2


def cut(face: Face, height: np.ndarray) -> tuple[Surface, list[np.ndarray]]:
    """The part of the body where height (N,) is above 0, clipped exactly; its borders' vertices in order."""
    quads = face.quads["body"]
    triangles, corners = triangulate(quads, face.vertices)
    uvs = face.uvs["body"][np.tile(np.arange(len(quads)), 2)[:, None], corners]
    inside = height[triangles] > 0
    touched = inside.any(1)
    rows: list[tuple] = [((int(v), 1.0),) for v in np.unique(triangles[touched][inside[touched]])]
    place = {row[0][0]: i for i, row in enumerate(rows)}
    pieces, border = [], {}
    for triangle, uv, within in zip(triangles[touched], uvs[touched], inside[touched], strict=True):
        if within.all():
            pieces.append([(place[int(v)], q) for v, q in zip(triangle, uv, strict=True)])
            continue
        turn = int(np.flatnonzero(within if within.sum() == 1 else ~within)[0])
        order = [(turn + i) % 3 for i in range(3)]
        (a, b, c), (p, q, r) = triangle[order].tolist(), uv[order]
        first, last = (_cross(rows, place, height, a, p, *other) for other in ((b, q), (c, r)))
        if within.sum() == 1:
            pieces.append([(place[a], p), first, last])
            border[first[0]] = last[0]
        else:
            pieces += [[(place[b], q), (place[c], r), last], [(place[b], q), last, first]]
            border[last[0]] = first[0]
    return _surface(rows, pieces, len(height)), _loops(border)


def _cross(rows: list, place: dict, height: np.ndarray, a: int, p, b: int, q) -> tuple[int, np.ndarray]:
    """The vertex where the edge from a to b meets height 0, and its uv between p and q."""
    key = (min(a, b), max(a, b))
    share = height[a] / (height[a] - height[b])
    if key not in place:
        place[key] = len(rows)
        rows.append(((a, 1 - share), (b, share)))
    return place[key], p + share * (q - p)


def _surface(rows: list, pieces: list, num_vertices: int) -> Surface:
    """Of weights and triangles of (vertex, uv): vertices with several uvs are repeated at the end."""
    vertices = np.array([[v for v, _ in piece] for piece in pieces])
    uvs = np.array([[uv for _, uv in piece] for piece in pieces]).reshape(-1, 2)
    keys = np.column_stack([vertices.ravel(), np.round(uvs * SAME_UV)]).astype(np.int64)
    keys, first, corner = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    owner = keys[:, 0]
    again = np.r_[False, owner[1:] == owner[:-1]]
    index = np.where(again, len(rows) + np.cumsum(again) - 1, owner)
    twins = np.r_[np.arange(len(rows)), owner[again]]
    order = np.argsort(index)
    columns = [v for row in rows for v, _ in row]
    shares = [share for row in rows for _, share in row]
    owners = [i for i, row in enumerate(rows) for _ in row]
    weights = sparse.csr_matrix((shares, (owners, columns)), shape=(len(rows), num_vertices))
    return Surface(weights[twins], index[corner.reshape(-1, 3)], uvs[first][order], twins)


def _loops(following: dict[int, int]) -> list[np.ndarray]:
    """Closed ways of vertices each of which tells the next."""
    left, loops = dict(following), []
    while left:
        loop = [next(iter(left))]
        while (after := left.pop(loop[-1])) != loop[0]:
            loop.append(after)
        loops.append(np.array(loop))
    return loops


def make_rim(positions: np.ndarray, border: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A closed edge: the border again, a rounded step inwards, a lid across: positions, triangles."""
    edge = positions[border]
    middle = edge.mean(0)
    inward = middle - edge
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    rings = [edge + step * inward for step in (0.0, 0.02, 0.06)]
    rings += [rings[-1] + 0.5 * (middle - rings[-1])]
    count = len(border)
    here, there = np.arange(count), (np.arange(count) + 1) % count
    faces = []
    for a in range(0, (len(rings) - 1) * count, count):
        b = a + count
        faces += [np.stack([a + here, b + there, a + there], 1), np.stack([a + here, b + here, b + there], 1)]
    faces.append(np.stack([b + there, b + here, np.full(count, len(rings) * count)], 1))
    return np.concatenate([*rings, middle[None]]), np.concatenate(faces)


def make_shirt(face: Face, height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A shirt where height (N,) is above 0: positions (V, 3) and triangles, edges closed."""
    shape, borders = cut(face, height)
    triangles = shape.twins[shape.triangles]
    skin = shape.weights @ face.vertices
    positions = skin + SHIRT_OFF * vertex_normals(skin, triangles)
    parts = [triangles]
    for border in borders:
        rim, faces = make_rim(positions, border)
        parts.append(faces + len(positions))
        positions = np.concatenate([positions, rim])
    used, triangles = np.unique(np.concatenate(parts), return_inverse=True)
    return positions[used], triangles.reshape(-1, 3)
