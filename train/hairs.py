"""The head's hairs: lashes, brows and a short haircut, blades of one to three triangles.

Made from numbers here, placed on MakeHuman's lash strips and on the skin; lashes and brows follow the face
units. Lengths are MakeHuman's decimetres until head.py writes metres.
"""

import numpy as np
from eyes_teeth import fit_sphere
from glb import vertex_normals
from makehuman import Face
from scipy import sparse
from scipy.sparse import csgraph
from skin import Surface, smooth

BROW_HEIGHT = 0.028  # half of a brow's height
BACKWARD = np.array([0, -0.35, -1.0])  # how the hair is combed
NUM_BLADES = 2000  # of the haircut
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
    return x, np.interp(s, (0, 0.35, 0.65, 1), (7.425, 7.455, 7.470, 7.42))


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


def make_hair(
    positions: np.ndarray, normals: np.ndarray, triangles: np.ndarray, height: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Short blades over the scalp, combed back: positions (V, 3), triangles and normals (V, 3).

    height: (V,) decimetres above the hairline of each vertex of the skin.
    """
    random = np.random.default_rng(3)
    corners = positions[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    on_scalp = (height[triangles].max(1) > -0.03) * (np.abs(corners[..., 0]).max(1) < 0.86)
    chosen = random.choice(len(triangles), NUM_BLADES, p=area * on_scalp / (area * on_scalp).sum())
    shares = random.dirichlet((1, 1, 1), NUM_BLADES)
    root, normal = (
        np.einsum("ns,nsc->nc", shares, values[triangles[chosen]]) for values in (positions, normals)
    )
    above = (shares * height[triangles[chosen]]).sum(1)
    keep = above > np.abs(random.normal(0.0, 0.05, NUM_BLADES))
    root, normal, above = root[keep], normal[keep], above[keep]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    comb = BACKWARD + random.normal(0, 0.1, root.shape)
    comb -= (comb * normal).sum(1, keepdims=True) * normal
    comb /= np.linalg.norm(comb, axis=1, keepdims=True)
    length = np.interp(above, (0, 0.25, 0.6), (0.06, 0.11, 0.16)) * random.uniform(0.7, 1.2, len(root))
    across = np.cross(normal, comb) * 0.010
    tip = root + length[:, None] * (0.85 * comb + 0.42 * normal)
    blades = np.stack([root - across - 0.01 * normal, root + across - 0.01 * normal, tip], 1).reshape(-1, 3)
    lit = np.repeat(normal, 3, 0) + 0.5 * np.stack([0 * comb, 0 * comb, comb], 1).reshape(-1, 3)
    lit += 0.35 * np.repeat(random.normal(0, 1, root.shape), 3, 0)
    return blades, np.arange(len(blades)).reshape(-1, 3), lit / np.linalg.norm(lit, axis=1, keepdims=True)
