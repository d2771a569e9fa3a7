"""The skin's textures: albedo with brows and lips, roughness and occlusion, and the relief of pores.

All are functions of where a texel is on the face; nothing is taken from a photograph. Lengths are decimeters.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates

from tools.make_head.bake import Texels, bump_normals, encode_jpeg, noise, rasterize, to_srgb
from tools.make_head.bust import Surface
from tools.make_head.glb import encode_png, vertex_normals
from tools.make_head.hairs import distance_to_brows, draw_brow_hair
from tools.make_head.lamps import Shadows, sky_of
from tools.make_head.looks import Look
from tools.make_head.skin import LIP_RINGS, MOUTH, linear, scalp, smooth

SKIN_PIXELS, RELIEF_PIXELS, SURFACE_PIXELS = 2048, 1024, 256
NUM_DIRECTIONS = 96  # of the sky
LIP_LIGHT = 0.4  # share of the sky that lips have at least: a seam darker than lips looks open
LIP_BOUNCE = 1.0  # light from the lower lip on the side of the upper one that looks down
BROW_BOX, BROW_PIXELS = (
    (0.05, 7.28, 0.65, 7.60),
    2000,
)  # left, low, right, high of the left brow; per decimeter
NUM_BROW_HAIRS = 760  # a side


@dataclass(frozen=True)
class Points:
    """Points of the skin.

    place: (n, 3) on the first head; normal: (n, 3); ring: (n,) from the lips' contact line; light: (n,) in
    0..1.
    """

    place: np.ndarray
    normal: np.ndarray
    ring: np.ndarray
    light: np.ndarray


def paint_skin(
    look: Look,
    surface: Surface,
    positions: np.ndarray,
    places: np.ndarray,
    uvs: np.ndarray,
    rings: np.ndarray,
) -> tuple[bytes, bytes, bytes]:
    """JPEG of albedo, PNG of occlusion, roughness and gloss, JPEG of normals.

    places: (V, 3), where positions (V, 3) are on the first head, which the painting is laid out for; uvs:
    (V, 2), v down; rings: (V,) of rings_from.
    """
    joined = surface.twins[surface.triangles]
    normals = vertex_normals(positions, joined)[surface.twins]
    shadows = Shadows(positions[joined], 0.02, 9)
    light = sky_of(shadows, positions, normals, 0.03, NUM_DIRECTIONS)
    brows = draw_brows(look)

    def points(texels: Texels) -> Points:
        fields = np.column_stack([places, normals, rings, light])
        taken = texels.take(surface.triangles, fields)
        return Points(taken[:, :3], taken[:, 3:6], taken[:, 6], taken[:, 7])

    texels = rasterize(uvs, surface.triangles, SKIN_PIXELS)
    fine = points(texels)
    albedo = texels.fill(to_srgb(color_skin(look, fine, sample_brows(brows, fine.place))))
    texels = rasterize(uvs, surface.triangles, RELIEF_PIXELS)
    fine = points(texels)
    normal = texels.fill(bump_normals(texels, fine.place, relief(fine)) * 0.5 + 0.5)
    texels = rasterize(uvs, surface.triangles, SURFACE_PIXELS)
    coarse = points(texels)
    shine = texels.fill(surface_of(coarse, sample_brows(brows, coarse.place)))
    return (
        encode_jpeg(albedo, 88),
        encode_png((shine * 255).round().astype(np.uint8)),
        encode_jpeg(normal, 80),
    )


def inside_mouth(ring: np.ndarray) -> np.ndarray:
    return smooth(1.5, 6, -ring)


def lips_of(ring: np.ndarray, ragged: np.ndarray | float = 0.0) -> np.ndarray:
    """(n,) 1 on the red of the lips; ragged: moves its edge, in rings."""
    return (1 - smooth(LIP_RINGS - 1.5, LIP_RINGS + 0.4, ring + ragged)) * (ring > -4)


def color_skin(look: Look, at: Points, brow: np.ndarray) -> np.ndarray:
    """Linear RGB (n, 3); brow: (n,) cover of the brows' hairs."""
    x, y, z = at.place.T
    color = np.repeat(linear(look.skin)[None], len(x), 0)

    def blend(other: str, amount: np.ndarray) -> None:
        nonlocal color
        color = color + (linear(other) - color) * amount.clip(0, 1)[:, None]

    mottle = noise(at.place, 4, 3)
    color = color * (1 + np.outer(mottle, (-0.05, -0.22, -0.26)))
    color = color * (1 + 0.10 * noise(at.place, 75) + 0.12 * noise(at.place, 28, 2))[:, None]
    blend(look.blush, redness(at.place) * (0.9 + 0.9 * mottle))
    eye = np.hypot((np.abs(x) - 0.285) / 0.20, (y - 7.24) / 0.16)
    front = z > 0.95
    blend(look.lid, (1 - smooth(0.6, 1.25, eye)) * 0.55 * front)
    if look.freckles:
        spots = smooth(0.17, 0.3, noise(at.place, 34)) * smooth(0.0, 0.6, redness(at.place) * 3)
        blend("#8a5238", look.freckles * spots)
    if look.beard:
        blend("#3a332f", look.beard * beard_of(at) * (0.75 + 0.8 * noise(at.place, 60)))
    fibres = noise(at.place, (70, 8, 10), 2)
    lips = lips_of(at.ring, 1.2 * noise(at.place, 14, 2))
    blend(look.lips, 0.85 * lips * (1 + 0.25 * fibres))
    blend(MOUTH, inside_mouth(at.ring))
    blend(look.brow, brow)
    ragged = 0.05 * noise(at.place, (60, 14, 14), 2) + 0.03 * noise(at.place, 9, 2)
    blend(look.hair[0], 0.93 * smooth(-0.08, 0.05, scalp(at.place) + ragged) * (np.abs(x) < 0.80))
    return color * shadow_of(at, lips)


def redness(place: np.ndarray) -> np.ndarray:
    """(n,) share of blood in the skin: cheeks, nose, ears, chin."""
    x, y, z = place.T
    cheeks = np.exp(-(((np.abs(x) - 0.44) / 0.2) ** 2) - ((y - 7.02) / 0.19) ** 2) * smooth(0.6, 0.9, z)
    nose = np.exp(-((x / 0.15) ** 2) - ((y - 6.98) / 0.11) ** 2) * smooth(1.3, 1.45, z)
    chin = np.exp(-((x / 0.2) ** 2) - ((y - 6.33) / 0.12) ** 2) * smooth(1.0, 1.3, z)
    ears = smooth(0.80, 0.93, np.abs(x)) * smooth(6.8, 6.95, y)
    return 0.42 * cheeks + 0.38 * nose + 0.18 * chin + 0.45 * ears


def beard_of(at: Points) -> np.ndarray:
    """(n,) where a beard grows: upper lip, chin, jaws."""
    x, y, z = at.place.T
    top = np.interp(np.abs(x), (0, 0.2, 0.4, 0.7, 0.85), (6.86, 6.82, 6.62, 6.75, 7.2))
    region = (1 - smooth(-0.07, 0.05, y - top)) * smooth(5.9, 6.3, y) * smooth(0.1, 0.35, z)
    return region * (1 - lips_of(at.ring)) * (at.ring > 0)


def shadow_of(at: Points, lips: np.ndarray) -> np.ndarray:
    """(n, 3) how much of the albedo is left where little light comes: redder than gray."""
    inside = inside_mouth(at.ring)
    down = -at.normal[:, 1]
    light = np.maximum(at.light, LIP_LIGHT * lips) * (1 - inside)
    dimmed = (0.4 + 0.6 * smooth(0.0, 0.8, light))[:, None] ** np.array([0.8, 1.0, 1.05])
    seam = lips * (1 - smooth(0.5, 3, np.abs(at.ring)))
    return dimmed * (1 + LIP_BOUNCE * (seam * smooth(0, 0.8, down))[:, None])


def surface_of(at: Points, brow: np.ndarray) -> np.ndarray:
    """(n, 4) in 0..1: occlusion, roughness, 0, and gloss, which is none where it is dark, and on hair.

    brow: as in `color_skin`.
    """
    inside, lips = inside_mouth(at.ring), lips_of(at.ring)
    down = -at.normal[:, 1]
    light = np.maximum(at.light, LIP_LIGHT * lips) * (1 - inside)
    covered = (1 - smooth(0.5, 3, at.ring)) * (1 - smooth(-0.3, 0.2, down))  # by the upper lip: no gloss
    sky = light * (1 - 0.8 * covered)
    x, y, z = at.place.T
    oily = np.exp(-((x / 0.16) ** 2) - ((y - 7.1) / 0.25) ** 2) + 0.6 * np.exp(
        -((x / 0.4) ** 2) - ((y - 7.75) / 0.2) ** 2
    )
    hair = smooth(-0.06, 0.07, scalp(at.place)) * (np.abs(x) < 0.8)
    rough = 0.60 - 0.09 * oily * (z > 1.0) - 0.20 * lips + 0.3 * hair + 0.12 * noise(at.place, 20, 2)
    return np.stack(
        [0.25 + 0.75 * smooth(0, 0.8, sky), rough, 0 * sky, smooth(0.05, 0.5, sky) * (1 - brow) * (1 - hair)],
        1,
    ).clip(0, 1)


def relief(at: Points) -> np.ndarray:
    """(n,) decimeters: pores, and the lips' furrows."""
    x, y, z = at.place.T
    lips = lips_of(at.ring)
    pores = noise(at.place, 70) + 0.7 * noise(at.place, 38, 2)
    coarse = 0.5 + 0.9 * np.exp(-(((np.abs(x) - 0.2) / 0.3) ** 2) - ((y - 7.0) / 0.3) ** 2) * (z > 1.0)
    furrows = noise(at.place, (75, 9, 9), 2)
    return 0.0022 * pores * coarse * (1 - lips) * (at.ring > 0) + 0.004 * furrows * lips


def draw_brows(look: Look) -> np.ndarray:
    """(2, H, W) in 0..1: cover of the hairs of the left brow in BROW_BOX, and of the mirrored right one."""
    left, low, right, high = BROW_BOX
    width, height = round((right - left) * BROW_PIXELS), round((high - low) * BROW_PIXELS)
    sides = []
    for side in range(2):
        random = np.random.default_rng((2, side))
        picture = Image.new("L", (width, height))
        for _ in range(NUM_BROW_HAIRS):
            points, shade = draw_brow_hair(random, look.brow_height)
            at = (points - (left, low)) * BROW_PIXELS
            at[:, 1] = height - at[:, 1]
            for k, thick in enumerate((3, 3, 2, 2, 1)[: len(at) - 1]):
                ImageDraw.Draw(picture).line([*at[k], *at[k + 1]], fill=int(255 * shade), width=thick)
        hairs = gaussian_filter(np.asarray(picture, float) / 255, 1.2)
        x, y = np.meshgrid(np.arange(width) / BROW_PIXELS + left, high - np.arange(height) / BROW_PIXELS)
        away = distance_to_brows(np.stack([x.ravel(), y.ravel()], 1), 1.0).reshape(x.shape)
        s = ((x - 0.125) / 0.41).clip(0, 1)
        body = np.exp(-((away / (look.brow_height * (1.15 - 0.55 * s))) ** 2)) * smooth(0.11, 0.17, x)
        sides.append(1 - (1 - 0.92 * hairs) * (1 - 0.6 * body))
    return np.stack(sides)


def sample_brows(brows: np.ndarray, place: np.ndarray) -> np.ndarray:
    """(n,) cover of the brows at points of the skin."""
    left, _, right, high = BROW_BOX
    x, y, z = place.T
    at = np.stack([(x < 0).astype(float), (high - y) * BROW_PIXELS, (np.abs(x) - left) * BROW_PIXELS])
    near = (z > 0.7) & (np.abs(x) < right)
    return np.where(near, map_coordinates(brows, at, order=1, cval=0.0, prefilter=False), 0)
