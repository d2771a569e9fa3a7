"""Print what each of the 52 shapes of a head moves: where, how far, and how it differs from the others.

    python -m tools.make_head.shapes
    python -m tools.make_head.shapes --lip_heights lip_heights.npz    # lips beside those of another mesh

The other mesh's file has names (K,), upper0 and lower0 (P,), the heights of the closed lips' contours in the
midline, and upper and lower (K, P), what each shape adds to them; all in centimeters.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from transformers import HfArgumentParser

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES as NAMES
from bilabial.io.exporters import HEAD, read_glb
from tools.make_head.glb import Mesh, read_mesh
from tools.make_head.mouth import mirrored_name

PARTS = ("skin", "eyes", "teeth_upper", "teeth_lower", "tongue", "eye_shade", "lashes")
MM = 1000  # millimeters per meter
CM = 10  # millimeters per centimeter
MIRROR = 1e-4  # meters between a vertex and the mirrored place of its partner
TURNED = ("jawLeft", "mouthLeft")  # shapes whose name ends in a side and which move the whole mouth


@dataclass
class HeadShapesArguments:
    head: Path = field(default=HEAD, metadata={"help": "GLB written by head.py."})
    lip_heights: Path | None = field(
        default=None, metadata={"help": ".npz with the lips' heights of another mesh, to compare."}
    )


@dataclass(frozen=True)
class Shape:
    """What one coefficient does at 1.

    part: of the head that it moves most; moved_mm: (3,) of the vertex that moves most (left, up, forward);
    place_mm: (3,) of that vertex; mirror_mm: the largest difference to the mirrored shape of the other side;
    alike, cosine: the most similar other shape, over all parts.
    """

    name: str
    part: str
    moved_mm: np.ndarray
    place_mm: np.ndarray
    mirror_mm: float
    alike: str
    cosine: float


def measure_shapes(meshes: dict[str, Mesh]) -> list[Shape]:
    """One Shape per name of ARKIT_BLENDSHAPES, of the parts of a head."""
    flat = np.concatenate([mesh.deltas.reshape(len(NAMES), -1) for mesh in meshes.values()], 1).astype(float)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    cosines = flat @ flat.T - 2 * np.eye(len(NAMES))
    errors = np.max([mirror_errors(mesh) for mesh in meshes.values()], axis=0)
    shapes = []
    for k, name in enumerate(NAMES):
        lengths = {part: np.linalg.norm(mesh.deltas[k], axis=1) for part, mesh in meshes.items()}
        part = max(lengths, key=lambda part: lengths[part].max())
        vertex = lengths[part].argmax()
        moved, place = meshes[part].deltas[k, vertex] * MM, meshes[part].positions[vertex] * MM
        alike = int(cosines[k].argmax())
        shapes.append(Shape(name, part, moved, place, errors[k] * MM, NAMES[alike], cosines[k, alike]))
    return shapes


def mirror_errors(mesh: Mesh) -> np.ndarray:
    """(52,) meters: how far each shape is from the mirrored one of the other side, at paired vertices."""
    distance, partner = cKDTree(mesh.positions).query(mesh.positions * [-1, 1, 1])
    paired = (distance < MIRROR) & (partner[partner] == np.arange(len(partner)))
    order = [NAMES.index(mirrored_name(name)) for name in NAMES]
    other = mesh.deltas[order][:, partner] * [-1, 1, 1]
    return (np.linalg.norm(mesh.deltas - other, axis=2) * paired).max(1)


def lip_moves(head: Path, skin: Mesh) -> dict[str, np.ndarray]:
    """{name: (2,) mm that the upper and the lower lip rise in the midline}; pairs of sides together."""
    document, _ = read_glb(head)
    extras = next(mesh["extras"] for mesh in document["meshes"] if mesh["name"] == "skin")
    lips = [min(extras[lip], key=lambda v: abs(skin.positions[v, 0])) for lip in ("upperLip", "lowerLip")]
    return _sum_sides(NAMES, skin.deltas[:, lips, 1] * MM)


def other_lip_moves(path: Path) -> dict[str, np.ndarray]:
    """The same of a file of heights: what the lower edge of the upper lip and the lower lip's top do."""
    with np.load(path) as heights:
        upper = (heights["upper0"] + heights["upper"]).min(1) - heights["upper0"].min()
        lower = (heights["lower0"] + heights["lower"]).max(1) - heights["lower0"].max()
        return _sum_sides(heights["names"].tolist(), np.stack([upper, lower], 1) * CM)


def _sum_sides(names: Iterable[str], moves: np.ndarray) -> dict[str, np.ndarray]:
    """One entry for mouthSmile instead of mouthSmileLeft and mouthSmileRight; the mouth's turns stay two."""
    total: dict[str, np.ndarray] = {}
    for name, move in zip(names, moves, strict=True):
        turned = name in TURNED or mirrored_name(name) in TURNED
        plain = name if turned else name.removesuffix("Left").removesuffix("Right")
        total[plain] = total.get(plain, 0) + move
    return total


def main(args: HeadShapesArguments) -> None:
    try:
        meshes = {part: read_mesh(args.head, part) for part in PARTS}
        other = other_lip_moves(args.lip_heights) if args.lip_heights else None
    except (ValueError, OSError, KeyError) as error:
        raise SystemExit(f"cannot read the shapes: {error}") from error
    print("| shape | part | moves most, mm (left, up, forward) | at | mirror error | most alike | cosine |")
    print("|---|---|---|---|---|---|---|")
    for shape in measure_shapes(meshes):
        moved, place = (" ".join(f"{value:.1f}" for value in row) for row in (shape.moved_mm, shape.place_mm))
        print(
            f"| {shape.name} | {shape.part} | {moved} | {place} | {shape.mirror_mm:.2f} | "
            f"{shape.alike} | {shape.cosine:.2f} |"
        )
    if other is None:
        return
    print("\n| lips in the midline, mm up | upper | lower | apart | other: upper | lower | apart |")
    print("|---|---|---|---|---|---|---|")
    for name, (upper, lower) in lip_moves(args.head, meshes["skin"]).items():
        if name in other and name.startswith(("mouth", "jaw")):
            high, low = other[name]
            print(
                f"| {name} | {upper:.1f} | {lower:.1f} | {upper - lower:.1f} | "
                f"{high:.1f} | {low:.1f} | {high - low:.1f} |"
            )


if __name__ == "__main__":
    main(HfArgumentParser(HeadShapesArguments).parse_args_into_dataclasses()[0])
