"""What belongs to the lids: the shadow that they throw on the eyeball, and their lashes.

Both are means of the face's vertices, so that they follow the face units. Lengths are MakeHuman's decimeters
until head.py writes meters.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import sparse

from tools.make_head.bust import Surface
from tools.make_head.eyes_teeth import fit_sphere
from tools.make_head.glb import encode_png
from tools.make_head.hairs import strip_grid
from tools.make_head.makehuman import Face
from tools.make_head.skin import linear

SOCKET_U = 0.16  # MakeHuman's sockets lie left of this in the texture
COLUMNS = 15  # across an eye
# From the upper lid to the lower one: place, and how dark the shadow is there
SHADE = ((0, 0.85), (0.08, 0.6), (0.2, 0.34), (0.38, 0.13), (0.6, 0.0), (0.86, 0.0), (0.95, 0.22), (1, 0.5))
SHADE_COLOR = "#2a0f0a"
ABOVE_EYE = 1.034  # radii of the eyeball from its middle: just before the cornea
# Of each lid: MakeHuman's strip, how far the lashes reach along it, hairs, and their thickness in pixels
LIDS = ((2, 1.0, 90, 2.6), (1, 0.5, 40, 1.2))
LASH_ROWS = 5
LASH_PICTURE = (512, 256)
LASH_COLOR = (20, 13, 10)


@dataclass(frozen=True)
class Shade:
    """A surface before each eyeball: positions at rest (V, 3), means of the face but for a fixed part."""

    surface: Surface
    positions: np.ndarray
    alpha: np.ndarray


def lid_edge(face: Face, helper: str) -> tuple[sparse.csr_matrix, np.ndarray, float]:
    """Where the lids of one eye leave the eyeball: weights (E, N); the eyeball's middle and radius."""
    middle, radius = fit_sphere(face.vertices[np.unique(face.quads[helper])])
    quads, uvs = face.quads["body"], face.uvs["body"]
    mine = (np.sign(face.vertices[quads[:, 0], 0]) == np.sign(middle[0])) & (uvs[:, 0, 0] < SOCKET_U)
    mine &= face.vertices[quads[:, 0], 1] > 7.0
    socket = set(np.unique(quads[mine]).tolist())
    lids = quads[~mine]
    loop = sorted(socket & set(np.unique(lids).tolist()))
    distance = np.linalg.norm(face.vertices - middle, axis=1) / radius
    inside, rows = set(loop), []
    for vertex in loop:
        chain = [vertex]
        while distance[chain[-1]] < 1.0 and len(chain) < 6:
            near = _neighbors(lids, chain[-1]) - inside - set(chain)
            near = {v for v in near if len(chain) < 2 or v not in _beside(lids, chain[-1], chain[-2])}
            if not near:
                break
            chain.append(max(near, key=lambda v: distance[v]))
        rows.append(_crossing(chain, distance))
    owners = [i for i, row in enumerate(rows) for _ in row]
    columns, shares = zip(*(pair for row in rows for pair in row), strict=True)
    return sparse.csr_matrix((shares, (owners, columns)), shape=(len(rows), len(distance))), middle, radius


def _neighbors(quads: np.ndarray, vertex: int) -> set[int]:
    around = quads[(quads == vertex).any(1)]
    place = (around == vertex).argmax(1)
    rows = np.arange(len(around))
    return {int(v) for step in (1, 3) for v in around[rows, (place + step) % 4]}


def _beside(quads: np.ndarray, vertex: int, before: int) -> set[int]:
    """The other corners of the quads that have both."""
    both = quads[(quads == vertex).any(1) & (quads == before).any(1)]
    return {int(v) for v in both.ravel()} - {vertex}


def _crossing(chain: list[int], distance: np.ndarray) -> list[tuple[int, float]]:
    if len(chain) == 1 or distance[chain[-1]] < 1.0:
        return [(chain[-1], 1.0)]
    a, b = chain[-2], chain[-1]
    share = float((1.0 - distance[a]) / (distance[b] - distance[a]))
    return [(a, 1 - share), (b, share)]


def make_shade(face: Face) -> Shade:
    """The lids' shadow on both eyeballs."""
    weights, places, alphas, triangles = [], [], [], []
    for helper in ("helper-l-eye", "helper-r-eye"):
        edge, middle, radius = lid_edge(face, helper)
        points = edge @ face.vertices
        upper, lower = _lines(points)
        rows = [(1 - t) * upper + t * lower for t, _ in SHADE]
        mean = sparse.csr_matrix(np.concatenate(rows)) @ edge
        rest = mean @ face.vertices
        ray = rest - middle
        distance = np.linalg.norm(ray, axis=1, keepdims=True)
        lifted = middle + ray / distance * np.maximum(distance, ABOVE_EYE * radius)
        ends = np.abs(np.linspace(-1, 1, COLUMNS)) ** 6 * 0.5
        alphas.append(np.maximum(np.repeat([a for _, a in SHADE], COLUMNS), np.tile(ends, len(SHADE))))
        triangles.append(_grid_triangles(len(SHADE), COLUMNS) + sum(map(len, places)))
        weights.append(mean)
        places.append(lifted)
    surface = Surface(sparse.vstack(weights).tocsr(), np.concatenate(triangles))
    return Shade(surface, np.concatenate(places), np.concatenate(alphas))


def _lines(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights (COLUMNS, E) of even places along the upper and the lower edge, from the right to the left."""
    left, right = int(points[:, 0].argmax()), int(points[:, 0].argmin())
    chord = np.interp(points[:, 0], points[[right, left], 0], points[[right, left], 1])
    x = np.linspace(points[right, 0], points[left, 0], COLUMNS)
    lines = []
    for mine in (points[:, 1] >= chord, points[:, 1] <= chord):
        mine[[left, right]] = True
        order = np.flatnonzero(mine)[np.argsort(points[mine, 0])]
        line = np.zeros((COLUMNS, len(points)))
        line[:, order] = np.stack([np.interp(x, points[order, 0], row) for row in np.eye(len(order))], 1)
        lines.append(line)
    return lines[0], lines[1]


def _grid_triangles(rows: int, columns: int) -> np.ndarray:
    """Triangles of a grid that runs down and to +x, which face +z."""
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a, b = (i * columns + j).ravel(), (i * columns + j + 1).ravel()
    c, d = a + columns, b + columns
    return np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])


def make_lashes(face: Face) -> tuple[Surface, np.ndarray]:
    """Ribbons along MakeHuman's lash strips, and texture coordinates (V, 2) in paint_lashes's picture."""
    rows, uvs, triangles = [], [], []
    for side in "lr":
        middle, _ = fit_sphere(face.vertices[np.unique(face.quads[f"helper-{side}-eye"])])
        for k, (lid, reach, _, _) in enumerate(LIDS):
            grid = strip_grid(face.quads[f"helper-{side}-eyelashes-{lid}"], face.vertices, middle)
            if face.vertices[grid[0, 0], 0] > face.vertices[grid[-1, 0], 0]:
                grid = grid[::-1]
            along = 0.85 + 3.15 * reach * np.linspace(0, 1, LASH_ROWS)
            start = len(rows)
            for r, place in enumerate(along):
                row = min(int(place), 3)
                for c, column in enumerate(grid):
                    rows.append({int(column[row]): row + 1 - place, int(column[row + 1]): place - row})
                    across = c / (len(grid) - 1)
                    uvs.append(
                        (across if side == "l" else 1 - across, 0.5 * k + 0.5 * (1 - r / (LASH_ROWS - 1)))
                    )
            triangles.append(_grid_triangles(LASH_ROWS, len(grid)) + start)
    owners = [i for i, row in enumerate(rows) for _ in row]
    columns = [v for row in rows for v in row]
    shares = [share for row in rows for share in row.values()]
    weights = sparse.csr_matrix((shares, (owners, columns)), shape=(len(rows), len(face.vertices)))
    return Surface(weights, np.concatenate(triangles)), np.array(uvs)


def paint_lashes() -> bytes:
    """PNG of lashes, the upper lid's in the upper half with roots below, the lower lid's in the other."""
    width, height = LASH_PICTURE
    random = np.random.default_rng(1)
    fine = 4
    halves = []
    for _, _, count, thick in LIDS:
        picture = Image.new("L", (width * fine, height // 2 * fine))
        draw = ImageDraw.Draw(picture)
        for k in range(count):
            s = (k + random.uniform(0.15, 0.85)) / count
            long = random.uniform(0.6, 0.96) * (0.55 + 0.45 * min(1, 4 * s, 6 * (1 - s)))
            bend, lean = random.normal(0, 0.008), 0.05 * (s - 0.4) + random.normal(0, 0.007)
            t = np.linspace(0, 1, 9)
            x = (s + lean * t + bend * t**2) * width * fine
            y = (1 - 0.02 - t * long) * height / 2 * fine
            for i in range(8):
                draw.line(
                    [x[i], y[i], x[i + 1], y[i + 1]], 255, max(1, round(fine * thick * (1 - 0.8 * t[i])))
                )
        halves.append(np.asarray(picture.reduce(fine)))
    alpha = np.concatenate(halves)
    color = np.broadcast_to(np.uint8(LASH_COLOR), (*alpha.shape, 3))
    return encode_png(np.concatenate([color, (alpha // 8 * 8)[..., None]], 2))


def shade_colors(shade: Shade) -> np.ndarray:
    """Linear RGBA (V, 4)."""
    return np.column_stack([np.tile(linear(SHADE_COLOR), (len(shade.alpha), 1)), shade.alpha])
