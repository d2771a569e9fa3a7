"""Textures baked from numbers: every texel of a part knows which point of the surface it is.

Texels are laid out as MakeHuman's, with more room for the face. Lengths are decimeters.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy.ndimage import distance_transform_edt, map_coordinates

# From MakeHuman's texture coordinates to ours, each axis for itself: the face gets most of the picture
ACROSS = ((0, 0.12, 0.641, 0.785, 0.97, 1.0), (0, 0.015, 0.14, 0.34, 0.96, 1.0))
UP = ((0, 0.14, 0.35, 0.615, 0.82, 1.0), (0, 0.07, 0.23, 0.80, 0.95, 1.0))
LATTICE = np.random.default_rng(11).uniform(size=(48, 48, 48))


@dataclass(frozen=True)
class Texels:
    """Of a square picture: covered (H, W) bool, and for the covered ones their triangle and shares (n, 3)."""

    covered: np.ndarray
    triangle: np.ndarray
    shares: np.ndarray

    def take(self, triangles: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Values (V, ...) of vertices at the texels, (n, ...)."""
        corners = values[triangles[self.triangle]]
        return np.einsum("nk,nk...->n...", self.shares, corners)

    def fill(self, values: np.ndarray) -> np.ndarray:
        """A picture (H, W, C) of values (n, C); texels that nothing covers repeat the nearest."""
        picture = np.zeros((*self.covered.shape, values.shape[1]))
        picture[self.covered] = values
        nearest = distance_transform_edt(~self.covered, return_distances=False, return_indices=True)
        return picture[tuple(nearest)]


def lay_out(uvs: np.ndarray) -> np.ndarray:
    """Our texture coordinates (V, 2), v down as in glTF, of MakeHuman's, v up."""
    return np.stack([np.interp(uvs[:, 0], *ACROSS), 1 - np.interp(uvs[:, 1], *UP)], 1)


def rasterize(uvs: np.ndarray, triangles: np.ndarray, size: int) -> Texels:
    """Texels of triangles (N, 3) with texture coordinates (V, 2), v down, in a picture of size x size."""
    owner = np.full((size, size), -1)
    shares = np.zeros((size, size, 3))
    for k, (a, b, c) in enumerate(uvs[triangles] * size - 0.5):
        low = np.ceil(np.minimum(np.minimum(a, b), c) - 0.01).astype(int).clip(0)
        high = np.floor(np.maximum(np.maximum(a, b), c) + 0.01).astype(int).clip(max=size - 1)
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0 or (high < low).any():
            continue
        x, y = np.meshgrid(np.arange(low[0], high[0] + 1), np.arange(low[1], high[1] + 1))
        v = ((x - a[0]) * (c[1] - a[1]) - (y - a[1]) * (c[0] - a[0])) / area
        w = ((b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])) / area
        inside = (v >= -1e-3) & (w >= -1e-3) & (v + w <= 1.001)
        rows, columns = y[inside], x[inside]
        owner[rows, columns] = k
        shares[rows, columns] = np.stack([1 - v - w, v, w], -1)[inside]
    covered = owner >= 0
    return Texels(covered, owner[covered], shares[covered])


def noise(points: np.ndarray, per_dm: float | tuple, octaves: int = 1) -> np.ndarray:
    """(n,) value noise around 0, about -0.5..0.5, of points (n, 3); per_dm: cells per decimeter (by axis)."""
    total, weight = np.zeros(len(points)), 0.0
    for octave in range(octaves):
        at = points * np.asarray(per_dm) * 2**octave + 17.3 * octave
        total += 0.5**octave * (map_coordinates(LATTICE, at.T, order=1, mode="grid-wrap") - 0.5)
        weight += 0.5**octave
    return total / weight


def bump_normals(texels: Texels, positions: np.ndarray, height: np.ndarray) -> np.ndarray:
    """(n, 3) normals in the texture's frame (y up in the picture) of a relief's height (n,) in decimeters."""
    filled = texels.fill(np.column_stack([positions, height]))
    down, across = np.gradient(filled, axis=(0, 1))
    steps = [np.linalg.norm(step[..., :3], axis=-1) for step in (across, down)]
    slopes = [
        (d[..., 3] / np.maximum(step, np.median(step) / 4)).clip(-1, 1)
        for d, step in zip((across, down), steps, strict=True)
    ]
    normals = np.stack([-slopes[0], slopes[1], np.ones_like(slopes[0])], -1)[texels.covered]
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def to_srgb(color: np.ndarray) -> np.ndarray:
    """sRGB in 0..1 of linear RGB (IEC 61966-2-1)."""
    color = color.clip(0, 1)
    return np.where(color <= 0.0031308, 12.92 * color, 1.055 * color ** (1 / 2.4) - 0.055)


def encode_jpeg(pixels: np.ndarray, quality: int) -> bytes:
    """pixels: (H, W, 3) in 0..1."""
    file = io.BytesIO()
    Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8)).save(
        file, "JPEG", quality=quality, optimize=True, subsampling="4:2:0"
    )
    return file.getvalue()
