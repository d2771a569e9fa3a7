"""Haircuts of cards: ribbons that grow from the scalp, lie on the head and fall, under a texture of strands.

A haircut is a list of locks. Each lock steps from its root in the direction in which it is combed, bends to
the ground, and is pushed out of the head. Lengths are MakeHuman's decimeters until head.py writes meters.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial import cKDTree

from tools.make_head.glb import encode_png, vertex_normals
from tools.make_head.lamps import Shadows, all_around
from tools.make_head.skin import linear, smooth

NUM_STEPS = 8
CLUMPS = 4  # columns of the texture
HIDDEN = 0.06  # below so much hair nothing shows
WHOLE = 0.7  # share of a lock, from its root, in which its strands leave no holes
NUM_VIEWS = 96
CROWN = np.array([0.03, 8.2, -0.05])  # where the hair whorls


@dataclass(frozen=True)
class Haircut:
    """A haircut.

    locks: how many; layers: distance from the scalp of the lowest and of the highest; width: of a lock;
    length: of a lock at the top and at the sides, besides its way down to y = level; fall: share by which a
    step bends to the ground; lift: how far a root stands up; parting: x where the hair parts, None for hair
    combed from the crown; swept: how far hair from the forehead is combed back; curl: how far locks turn.
    """

    locks: int
    layers: tuple[float, float]
    width: float
    length: tuple[float, float]
    fall: float
    lift: float
    parting: float | None
    swept: float
    level: float | None = None
    curl: float = 0.0


CUTS = {
    "crop": Haircut(
        locks=1050, layers=(0.008, 0.05), width=0.055, length=(0.24, 0.10), fall=0.03, lift=0.5, parting=None,
        swept=0.15, curl=0.6,
    ),
    "bob": Haircut(
        locks=950, layers=(0.02, 0.085), width=0.125, length=(0.30, 0.1), fall=0.40, lift=0.05, parting=0.24,
        swept=0.75, level=6.40,
    ),
}  # fmt: skip


class HeadSurface:
    """How far points are outside of the skin, and which way is out."""

    def __init__(self, positions: np.ndarray, normals: np.ndarray) -> None:
        self.positions, self.normals, self.tree = positions, normals, cKDTree(positions)

    def __call__(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distances (n,) and directions (n, 3) of points (n, 3)."""
        away, near = self.tree.query(points, k=6)
        share = 1 / (away + 0.02) ** 2
        share /= share.sum(1, keepdims=True)
        out = np.einsum("nk,nkc->nc", share, self.normals[near])
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        heights = np.einsum("nkc,nkc->nk", points[:, None] - self.positions[near], self.normals[near])
        return (share * heights).sum(1), out


def make_haircut(
    cut: Haircut, positions: np.ndarray, triangles: np.ndarray, above: np.ndarray, colors: tuple[str, str]
) -> tuple[np.ndarray, ...]:
    """Cards of a haircut on a skin (V, 3) with triangles; above: (V,) decimeters above the hairline.

    Returns positions (n, 3), triangles, normals (n, 3), linear colors (n, 3) and texture coordinates (n, 2).
    """
    random = np.random.default_rng(5)
    head = HeadSurface(positions, vertex_normals(positions, triangles))
    roots, high = plant(cut, positions, triangles, above, random)
    path, layer = grow(cut, head, roots, random)
    count = len(roots)
    _, out = head(path.reshape(-1, 3))
    out = out.reshape(path.shape)
    along = np.gradient(path, axis=1)
    across = np.cross(along, out)
    across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-9)
    t = np.linspace(0, 1, NUM_STEPS)
    width = cut.width * (0.75 + 0.25 * smooth(0, 0.3, t)) * (1 - 0.55 * smooth(0.55, 1, t))
    width = (
        width[None] * random.uniform(0.7, 1.25, (count, 1)) * (0.55 + 0.45 * smooth(0.0, 0.25, high))[:, None]
    )
    sides = [path + side * 0.5 * width[..., None] * across for side in (-1, 1)]
    cards = np.stack(sides, 2).reshape(-1, 3)
    tint = random.uniform(0.25, 0.75, (count, 1))
    depth = (layer - cut.layers[0]) / (cut.layers[1] - cut.layers[0])
    shade = (0.75 + 0.25 * depth)[:, None] * (0.75 + 0.25 * smooth(0, 0.3, t))[None]
    color = linear(colors[0]) + tint[..., None] * (linear(colors[1]) - linear(colors[0]))
    color = np.repeat((color * shade[..., None])[:, :, None], 2, axis=2).reshape(-1, 3)
    clump = random.integers(0, CLUMPS, count)[:, None, None]
    flip = random.integers(0, 2, count)[:, None, None]
    u = (clump + 0.04 + 0.92 * np.abs(flip - np.array([0, 1.0]))) / CLUMPS
    uvs = np.stack(np.broadcast_arrays(u, t[None, :, None]), -1).reshape(-1, 2)
    normals = np.repeat(out[:, :, None], 2, axis=2).reshape(-1, 3)
    ribbons = shown(cards, _ribbons(count, np.argsort(layer)), positions[triangles], uvs[:, 1] > WHOLE)
    used, ribbons = np.unique(ribbons, return_inverse=True)
    return cards[used], ribbons.reshape(-1, 3), normals[used], color[used], uvs[used]


def shown(cards: np.ndarray, ribbons: np.ndarray, skin: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The triangles of ribbons (n, 3) that can be seen, in pairs, and those of ends, (V,) bool.

    skin: corners (m, 3, 3) of the head's triangles.
    """
    shadows = Shadows(np.concatenate([cards[ribbons], skin]), 0.03, 8)
    middles, seen = cards[ribbons].mean(1), ends[ribbons].any(1)
    for way in all_around(NUM_VIEWS):
        seen |= shadows.free(middles, way, HIDDEN)
    return ribbons[np.repeat(seen.reshape(-1, 2).any(1), 2)]


def _ribbons(count: int, order: np.ndarray) -> np.ndarray:
    """Triangles of count ribbons of NUM_STEPS pairs of vertices, in an order."""
    quad = np.array([[0, 1, 2], [1, 3, 2]])
    ribbon = (np.arange(NUM_STEPS - 1)[:, None, None] * 2 + quad).reshape(-1, 3)
    return (order[:, None, None] * 2 * NUM_STEPS + ribbon).reshape(-1, 3)


def plant(
    cut: Haircut, positions: np.ndarray, triangles: np.ndarray, above: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Roots (n, 3) spread over the scalp, more at the parting, and how far above the hairline each is."""
    count = cut.locks
    corners = positions[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    hairy = (above[triangles].max(1) > 0) & (np.abs(corners[..., 0]).max(1) < 0.82)
    area *= hairy
    chosen = random.choice(len(triangles), 6 * count, p=area / area.sum())
    shares = random.dirichlet((1, 1, 1), 6 * count)
    points = np.einsum("nk,nkc->nc", shares, corners[chosen])
    high = np.einsum("nk,nk->n", shares, above[triangles[chosen]])
    points, high = points[high > 0.0], high[high > 0.0]
    kept = _spread(points, count)
    if cut.parting is not None:
        beside = np.flatnonzero((np.abs(points[:, 0] - cut.parting) < 0.06) & (points[:, 2] > -0.3))
        kept = np.concatenate([kept, beside[_spread(points[beside], count // 9)]])
    return points[kept], high[kept]


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """Indices of count points, each farthest from those before."""
    kept, away = [0], np.full(len(points), np.inf)
    while len(kept) < min(count, len(points)):
        away = np.minimum(away, np.linalg.norm(points - points[kept[-1]], axis=1))
        kept.append(int(away.argmax()))
    return np.array(kept)


def grow(
    cut: Haircut, head: HeadSurface, roots: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Paths (n, NUM_STEPS, 3) of locks and the layer (n,) that each lies in."""
    count = len(roots)
    layer = random.uniform(*cut.layers, count)
    top = smooth(7.45, 7.95, roots[:, 1])
    length = (cut.length[1] + top * (cut.length[0] - cut.length[1])) * random.uniform(0.85, 1.1, count)
    if cut.level is not None:
        length += 0.88 * (roots[:, 1] - cut.level) * random.uniform(0.94, 1.04, count)
    step = length / (NUM_STEPS - 1)
    _, out = head(roots)
    heading = comb(cut, roots, out, random) + random.normal(0, 0.10, roots.shape)
    if cut.parting is not None:  # locks of both sides cross there, so that no scalp shows
        near = np.exp(-(((roots[:, 0] - cut.parting) / 0.10) ** 2))
        roots = roots - 0.05 * near[:, None] * heading
    phase = random.uniform(0, 2 * np.pi, count)
    points, path, distance = roots.copy(), [roots - 0.01 * out], np.zeros(count)
    for k in range(1, NUM_STEPS):
        free = smooth(0.0, 0.25, distance - layer)
        heading *= (1 - 0.75 * free)[:, None]
        heading += (cut.fall + 0.8 * free)[:, None] * np.array([0, -1.0, 0])
        if cut.curl:
            swing = np.cross(heading, out) * np.sin(phase + 2.2 * k)[:, None]
            heading += cut.curl * swing
        flat = heading - np.einsum("nc,nc->n", heading, out)[:, None].clip(max=0) * out  # not into the head
        heading = flat + (cut.lift * (0.3 + 0.7 * top) * max(0.0, 1 - k / 3))[:, None] * out
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        points = points + step[:, None] * heading
        for _ in range(2):
            distance, out = head(points)
            wanted = layer * min(1.0, k / 2.5)
            points = points + (wanted - distance).clip(0)[:, None] * out
        path.append(points)
    path = np.stack(path, 1)
    return np.concatenate([path[:, :1], gaussian_filter1d(path, 0.8, axis=1)[:, 1:]], 1), layer


def comb(cut: Haircut, roots: np.ndarray, out: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Unit directions (n, 3) in which locks leave their roots, along the scalp."""
    x, _, z = roots.T
    front = smooth(0.2, 1.1, z)
    if cut.parting is None:
        way = roots - CROWN
        way = way / np.linalg.norm(way, axis=1, keepdims=True)
        way += np.stack([0 * x, 0 * x, -cut.swept * front], 1)
    else:
        side = np.sign(x - cut.parting + random.normal(0, 0.035, len(x)))
        way = np.stack([side, -0.15 + 0 * x, -cut.swept * front], 1)
        back = (1 - smooth(-0.5, 0.1, z))[:, None]
        way = way * (1 - back) + back * np.stack([0.6 * side, -1 + 0 * x, 0 * x], 1)
    way = way - np.einsum("nc,nc->n", way, out)[:, None] * out
    return way / np.linalg.norm(way, axis=1, keepdims=True)


def paint_strands(width: int = 256, height: int = 512) -> bytes:
    """PNG of gray and alpha: CLUMPS columns of strands that run down and end at different lengths."""
    random = np.random.default_rng(3)
    column = width // CLUMPS
    x = np.arange(width)
    inside = (x % column + 0.5) / column
    across = 1 - np.abs(2 * inside - 1) ** 2.5
    fine = gaussian_filter(random.normal(size=(height, width)), (40, 0.7), mode="wrap")
    broad = gaussian_filter(random.normal(size=(height, width)), (60, 3.0), mode="wrap")
    fine, broad = fine / fine.std(), broad / broad.std()
    ends = gaussian_filter1d(random.normal(size=width), 0.8, mode="wrap")
    ends = 0.90 + 0.06 * ends / ends.std()
    down = (np.arange(height)[:, None] + 0.5) / height
    cover = across * 1.5 - 0.25 + 0.22 * fine + 0.12 * broad
    cover = cover * smooth(-0.02, 0.10, down) * (1 - smooth(-0.10, 0.02, down - ends[None]))
    cover -= 0.5 * smooth(0.6, 1.0, down) * (0.5 - 0.5 * np.tanh(fine))
    alpha = smooth(0.25, 0.62, cover)
    gray = 0.86 + 0.10 * fine + 0.05 * broad
    pixels = (np.stack([gray, alpha], -1).clip(0, 1) * 31).round() * (255 / 31)
    return encode_png(pixels.astype(np.uint8))
