"""The head's hairs: lashes and brows of blades, and a short haircut as a shell with streaks.

Made from numbers here, placed on MakeHuman's lash strips and on the skin; lashes and brows follow the face
units. Lengths are MakeHuman's decimetres until head.py writes metres.
"""

import numpy as np
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse import csgraph

from tools.make_head.eyes_teeth import fit_sphere
from tools.make_head.glb import encode_png, vertex_normals
from tools.make_head.makehuman import Face
from tools.make_head.skin import Surface, linear, smooth

BROW_HEIGHT = 0.028  # half of a brow's height
HAIR_THICKNESS = 0.07
HAIR_POLE = np.array([0, 7.1, 0.35])  # on the axis from ear to ear round which the hair is combed
HAIR_DARK, HAIR_LIGHT = "#17100d", "#412e23"
NUM_BROW_HAIRS = 280  # a side
# Lid of MakeHuman's strips, hairs between two columns, share of the strip's depth, half a width in columns
LASHES = ((2, 5, 1.0, 0.065), (1, 3, 0.45, 0.04))


def make_lashes(face: Face) -> Surface:
    """Tapered hairs along MakeHuman's lash strips, each a mean of two neighbouring columns of a strip."""
    random = np.random.default_rng(1)
    rows: list[dict[int, float]] = []
    for side in "lr":
        centre, _ = fit_sphere(face.vertices[np.unique(face.quads[f"helper-{side}-eye"])])
        for lid, num_hairs, reach, width in LASHES:
            grid = _grid(face.quads[f"helper-{side}-eyelashes-{lid}"], face.vertices, centre)
            for k in range(len(grid) - 1):
                for hair in range(num_hairs):
                    place = (hair + random.uniform(0.2, 0.8)) / num_hairs
                    lean, length = random.uniform(-0.25, 0.25), 3.1 * reach * random.uniform(0.8, 1.0)
                    for step, wide in ((0.1, -1), (0.1, 1), (0.55, -0.7), (0.55, 0.7), (1.0, 0)):
                        across = place + lean * step + wide * width
                        rows.append(_on_strip(grid, k, across, 0.9 + step * length))
    blade = np.array([[0, 1, 2], [2, 1, 3], [2, 3, 4]])
    triangles = np.arange(0, len(rows), 5)[:, None, None] + blade
    return Surface(_weights(rows, len(face.vertices)), triangles.reshape(-1, 3))


def _on_strip(grid: np.ndarray, column: int, across: float, along: float) -> dict[int, float]:
    """Weights of a point of a strip: across columns and along rows from the eye outwards."""
    row = min(int(along), grid.shape[1] - 2)
    rest = along - row
    corners = grid[column : column + 2, row : row + 2].ravel().tolist()
    shares = np.outer((1 - across, across), (1 - rest, rest)).ravel().tolist()
    return dict(zip(corners, shares, strict=True))


def _grid(quads: np.ndarray, vertices: np.ndarray, centre: np.ndarray) -> np.ndarray:
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
    distance = np.linalg.norm(vertices[grid] - centre, axis=-1).mean(0)
    return grid if distance[0] < distance[-1] else grid[:, ::-1]


def _weights(rows: list[dict[int, float]], num_vertices: int) -> sparse.csr_matrix:
    owners = [i for i, row in enumerate(rows) for _ in row]
    columns = [v for row in rows for v in row]
    shares = [share for row in rows for share in row.values()]
    return sparse.csr_matrix((shares, (owners, columns)), shape=(len(rows), num_vertices))


def make_brows(positions: np.ndarray, triangles: np.ndarray) -> tuple[Surface, np.ndarray, np.ndarray]:
    """Hairs lying on the skin above the eyes.

    Returns the surface they are means of, offsets (V, 3) outwards, and the skin's normals (V, 3): light on
    them is softer than on the hairs' own.
    """
    random = np.random.default_rng(2)
    normals = vertex_normals(positions, triangles)
    corners = positions[triangles]
    near = triangles[(corners[..., 1] > 7.3).all(1) & (corners[..., 2] > 0.4).all(1)]
    rows, lifts, lit = [], [], []
    for _ in range(NUM_BROW_HAIRS):
        root, step, across = _brow_hair(random)
        for side in (1, -1):
            blade = (root - side * across, 0.002), (root + side * across, 0.002), (root + step, 0.008)
            for point, lift in blade:
                row, normal = _drop(point * [side, 1], positions, normals, near)
                rows.append(row)
                lifts.append(lift * normal)
                lit.append(normal)
    faces = np.arange(len(rows)).reshape(-1, 3)
    return Surface(_weights(rows, len(positions)), faces), np.array(lifts), np.array(lit)


def _brow_hair(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root, length and half a width of one hair of the left brow, (x, y) each: rising at the nose."""
    s = random.uniform(0, 1) ** 0.9
    above = random.uniform(-1, 1)
    height = above * BROW_HEIGHT * min(1.0, 0.55 + 2 * s) * (1 - smooth(0.55, 1.05, s))
    degrees = np.interp(s, (0, 0.25, 0.6, 1), (62, 38, 5, -28)) - 18 * np.sign(above) * (s > 0.2)
    angle = np.radians(degrees + random.normal(0, 7))
    heading = np.array([np.cos(angle), np.sin(angle)])
    length = random.uniform(0.06, 0.085) * min(1.0, 0.65 + 2 * s)
    across = np.array([-heading[1], heading[0]]) * 0.0019
    return np.add(brow_line(s), (0, height)), heading * length, across


def brow_line(s: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the left brow's middle, s from 0 at the nose to 1 at the temple."""
    x = np.interp(s, (0, 0.6, 1), (0.125, 0.39, 0.535))
    return x, np.interp(s, (0, 0.35, 0.65, 1), (7.413, 7.440, 7.455, 7.408))


def distance_to_brows(positions: np.ndarray) -> np.ndarray:
    """(V,) decimetres from the brows' middle lines, heights counted more."""
    x, y = brow_line(np.linspace(0, 1, 40))
    return np.hypot(np.abs(positions[:, :1]) - x, 1.7 * (positions[:, 1:2] - y)).min(1)


def _drop(
    point: np.ndarray, positions: np.ndarray, normals: np.ndarray, triangles: np.ndarray
) -> tuple[dict[int, float], np.ndarray]:
    """Where the line along z through point (x, y) meets the front of the skin: weights, and the normal."""
    corners = positions[triangles][..., :2]
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, point - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    v = (ap[:, 0] * ac[:, 1] - ap[:, 1] * ac[:, 0]) / np.where(area == 0, 1, area)
    w = (ab[:, 0] * ap[:, 1] - ab[:, 1] * ap[:, 0]) / np.where(area == 0, 1, area)
    inside = np.flatnonzero((v >= 0) & (w >= 0) & (v + w <= 1) & (area > 0))
    depth = positions[triangles[inside]][..., 2].mean(1)
    best = inside[int(np.argmax(depth))]
    shares = np.array([1 - v[best] - w[best], v[best], w[best]])
    normal = shares @ normals[triangles[best]]
    row = {int(i): float(share) for i, share in zip(triangles[best], shares, strict=True)}
    return row, normal / np.linalg.norm(normal)


def make_hair(positions: np.ndarray, triangles: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, ...]:
    """A short haircut combed back: a shell over the scalp, whose streaks are paint_hair's.

    above: (V,) decimetres above the hairline of each vertex of the skin. Returns positions (V, 3), triangles,
    linear RGBA (V, 4) that fades out at the hairline, and texture coordinates (V, 2).
    """
    normals = vertex_normals(positions, triangles)
    scalp = (above[triangles].max(1) > 0) & (np.abs(positions[triangles][..., 0]).max(1) < 0.86)
    used, faces = np.unique(triangles[scalp], return_inverse=True)
    root, height = positions[used], above[used]
    thick = 0.008 + HAIR_THICKNESS * smooth(0.0, 0.45, height)
    rays = root - HAIR_POLE
    across = np.arcsin(rays[:, 0] / np.linalg.norm(rays, axis=1))  # constant along a comb's way over the head
    along = np.arctan2(rays[:, 2], rays[:, 1])
    uvs = np.stack([0.5 + across / np.pi, 0.5 - along / (1.4 * np.pi)], 1)
    colors = np.concatenate([np.ones_like(root), smooth(-0.01, 0.10, height)[:, None]], axis=1)
    return root + thick[:, None] * normals[used], faces.reshape(-1, 3), colors, uvs


def paint_hair(along: int = 128, across: int = 512) -> bytes:
    """PNG of streaks along the second axis."""
    random = np.random.default_rng(3)
    streaks = np.zeros((along, across))
    for length, width, weight in ((10, 0.5, 1.0), (6, 1.0, 0.8), (20, 1.8, 0.5)):
        noise = gaussian_filter(random.normal(size=streaks.shape), (length, width), mode="wrap")
        streaks += weight * noise / noise.std()
    streaks = smooth(-2.2, 2.6, streaks)
    color = linear(HAIR_DARK) + (linear(HAIR_LIGHT) - linear(HAIR_DARK)) * streaks[..., None] ** 1.5
    srgb = np.where(color <= 0.0031308, 12.92 * color, 1.055 * color ** (1 / 2.4) - 0.055)
    return encode_png((srgb * 63).round().astype(np.uint8) * 4)
