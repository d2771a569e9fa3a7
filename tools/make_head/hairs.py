"""Hairs of the brows, which paint.py draws, and the order of MakeHuman's lash strips.

Lengths are MakeHuman's decimeters.
"""

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from tools.make_head.skin import smooth


def strip_grid(quads: np.ndarray, vertices: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Vertices (columns, 5) of a strip of quads, each column from the eye outwards.

    In a grid the steps to the two corners of a short side tell the row and the column.
    """
    a, b = np.concatenate([np.stack([quads[:, i], quads[:, (i + 1) % 4]]) for i in range(4)], axis=1)
    graph = sparse.csr_matrix((np.ones(len(a)), (a, b)), shape=(len(vertices),) * 2)
    corners = np.flatnonzero(np.bincount(quads.ravel()) == 1)
    steps = csgraph.dijkstra(graph, directed=False, indices=corners, unweighted=True)
    other = int(np.flatnonzero(steps[0, corners] == 4)[0])
    used = np.unique(quads)
    one, two = steps[0, used], steps[other, used]
    row, column = (one - two + 4) / 2, (one + two - 4) / 2
    grid = used[np.lexsort((row, column))].reshape(-1, 5)
    distance = np.linalg.norm(vertices[grid] - center, axis=-1).mean(0)
    return grid if distance[0] < distance[-1] else grid[:, ::-1]


def draw_brow_hair(random: np.random.Generator, half_height: float) -> tuple[np.ndarray, float]:
    """One hair of the left brow, which rise at the nose: points (4, 2) from its root, darkness in 0..1."""
    s = random.uniform(0, 1) ** 0.9
    above = random.uniform(-1, 1)
    height = above * half_height * min(1.0, 0.6 + 2 * s) * (1 - 0.75 * smooth(0.45, 1.05, s))
    degrees = np.interp(s, (0, 0.2, 0.55, 1), (75, 42, 10, -26)) - 20 * np.sign(above) * (s > 0.2)
    heading = np.radians(degrees + random.normal(0, 8))
    length = random.uniform(0.055, 0.085) * min(1.0, 0.65 + 2 * s)
    bend = np.radians(random.uniform(-28, -8)) * np.linspace(0, 1, 4)
    steps = np.stack([np.cos(heading + bend), np.sin(heading + bend)], 1) * length / 4
    root = np.add(brow_line(s), (random.normal(0, 0.004), height))
    return root + np.cumsum(steps, 0) - steps[0], random.uniform(0.5, 1.0) * min(1.0, 0.55 + 3 * s)


def brow_line(s: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the left brow's middle, s from 0 at the nose to 1 at the temple."""
    x = np.interp(s, (0, 0.6, 1), (0.125, 0.39, 0.535))
    return x, np.interp(s, (0, 0.35, 0.65, 1), (7.413, 7.440, 7.455, 7.408))


def distance_to_brows(points: np.ndarray, upright: float) -> np.ndarray:
    """(n,) decimeters from points (n, 2) to the brows' middle lines; heights count upright times."""
    x, y = brow_line(np.linspace(0, 1, 40))
    away = [
        np.hypot(np.abs(points[:, 0]) - a, upright * (points[:, 1] - b)) for a, b in zip(x, y, strict=True)
    ]
    return np.min(away, axis=0)
