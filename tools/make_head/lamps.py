"""How much of each lamp and of the sky reaches a vertex of the head at rest: the viewer's shadows.

The viewer's lamps stand still beside the head, so their shadows are stored and cost nothing when it draws.
Lengths are MakeHuman's decimeters.
"""

from collections.abc import Sequence

import numpy as np

# Towards the lamps of app/static/lighting.js: key, fill, rim
LAMPS = ((0.55, 0.6, 0.85), (-1.0, 0.15, 0.75), (-0.8, 0.55, -0.85))
SPREAD = 0.14  # radians: half of a lamp's width as the head sees it
PER_LAMP, PER_SKY = 12, 32  # directions


class Shadows:
    """Casts rays at triangles, given by their corners (N, 3, 3), through depth maps."""

    def __init__(self, corners: np.ndarray, cell: float = 0.035, num_steps: int = 6) -> None:
        """cell: of a depth map; num_steps: samples along an edge."""
        self.cell = cell
        grid = np.stack(np.meshgrid(np.linspace(0, 1, num_steps), np.linspace(0, 1, num_steps)), -1)
        grid = grid.reshape(-1, 2)
        grid = grid[grid.sum(1) <= 1 + 1e-9]
        shares = np.c_[grid, 1 - grid.sum(1)]
        self.samples = np.einsum("sk,nkc->nsc", shares, corners).reshape(-1, 3)

    def free(self, points: np.ndarray, direction: np.ndarray, margin: float) -> np.ndarray:
        """(n,) bool: nothing lies more than margin before points (n, 3) on the way along a direction."""
        side = np.cross(direction, [0.3, 0.5, 0.8])
        side /= np.linalg.norm(side)
        axes = np.stack([side, np.cross(direction, side)], axis=1)
        cells = np.floor(self.samples @ axes / self.cell).astype(int)
        low = cells.min(0)
        cells -= low
        shape = cells.max(0) + 1
        depth = np.full(shape[0] * shape[1], -np.inf)
        np.maximum.at(depth, cells[:, 0] * shape[1] + cells[:, 1], self.samples @ direction)
        at = (np.floor(points @ axes / self.cell).astype(int) - low).clip(0, shape - 1)
        return points @ direction > depth[at[:, 0] * shape[1] + at[:, 1]] - margin


def around(direction: Sequence[float], spread: float, count: int) -> np.ndarray:
    """Unit directions (count, 3) in a disc around one."""
    axis = np.array(direction) / np.linalg.norm(direction)
    side = np.cross(axis, [0.3, 0.5, 0.8])
    side /= np.linalg.norm(side)
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = spread * np.sqrt((np.arange(count) + 0.5) / count)
    ways = axis + radius[:, None] * (
        np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * np.cross(axis, side)
    )
    return ways / np.linalg.norm(ways, axis=1, keepdims=True)


def light_of(
    shadows: Shadows, points: np.ndarray, normals: np.ndarray, margin: float, deep: float
) -> np.ndarray:
    """(V, 4) in 0..1: the share of each lamp, and of the sky, that reaches points (V, 3).

    margin: how far an occluder must be away; deep: share of the light that an occluder lets through.
    """
    raised = points + 0.02 * normals
    shares = [
        np.mean([shadows.free(raised, way, margin) for way in around(lamp, SPREAD, PER_LAMP)], axis=0)
        for lamp in LAMPS
    ]
    shares.append(sky_of(shadows, points, normals, margin, PER_SKY))
    return deep + (1 - deep) * np.stack(shares, 1)


def all_around(count: int) -> np.ndarray:
    """Unit directions (count, 3), even over the sphere, from above to below."""
    height = 1 - 2 * (np.arange(count) + 0.5) / count
    turn = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(turn), height, radius * np.sin(turn)], 1)


def sky_of(
    shadows: Shadows, points: np.ndarray, normals: np.ndarray, margin: float, count: int
) -> np.ndarray:
    """(V,) in 0..1: the share of an even sky, brighter above, that reaches points, from count directions."""
    raised = points + 0.02 * normals
    seen, total = np.zeros(len(points)), np.zeros(len(points))
    for way in all_around(count):
        facing = (normals @ way).clip(0) * (1.0 if way[1] > 0 else 0.6)
        seen += facing * shadows.free(raised, way, margin)
        total += facing
    return seen / np.maximum(total, 1e-9)
