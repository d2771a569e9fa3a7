"""Find MediaPipe's landmarks on the head of the viewer: writes viewer/head_landmarks.npz.

    python train/head_landmarks.py --keep_map    # a second; after train/head.py changed the shapes

The map says which point of the skin each of the 468 landmarks is: three vertices and their weights. It holds
as long as the skin keeps its vertices; deltas follow from it and from head.glb.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
from glb import Mesh, read_mesh
from transformers import HfArgumentParser

from bilabial.head_landmarks import OUTER_EYES, PATH, HeadLandmarks
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

HEAD = PATH.with_name("head.glb")
SKIN = "skin"  # the mesh on which landmarks lie


@dataclass
class HeadLandmarksArguments:
    keep_map: bool = field(
        default=False, metadata={"help": "Keep the points of the skin in --output; compute the rest anew."}
    )
    head: Path = field(default=HEAD, metadata={"help": "GLB written by train/head.py."})
    output: Path = field(default=PATH, metadata={"help": "The .npz to write."})


@dataclass(frozen=True, eq=False)
class SkinMap:
    """Where landmarks lie on the skin: index (468, 3) vertices, weight (468, 3) of them, sum 1."""

    index: np.ndarray
    weight: np.ndarray

    def place(self, vertices: np.ndarray) -> np.ndarray:
        """Landmarks (..., 468, 3) of vertices (..., V, 3)."""
        return (vertices[..., self.index, :] * self.weight[..., None]).sum(axis=-2)


def read_map(path: Path) -> SkinMap:
    """The map in a file of this script. Raises ValueError where there is none."""
    with np.load(path) as stored:
        if not {"index", "weight"} <= set(stored.files):
            raise ValueError(f"{path} has no map; run this without --keep_map")
        return SkinMap(stored["index"].astype(int), stored["weight"].astype(np.float64))


def place_landmarks(skin: Mesh, skin_map: SkinMap) -> HeadLandmarks:
    """Rest and deltas at the landmarks, in outer-eye distances. Raises ValueError for another skin's map."""
    if skin_map.index.max() >= len(skin.positions):
        raise ValueError(
            f"the map names vertex {skin_map.index.max()}, the skin has {len(skin.positions)} vertices; "
            "run this without --keep_map"
        )
    order = [skin.target_names.index(name) for name in ARKIT_BLENDSHAPES]
    rest = skin_map.place(skin.positions.astype(np.float64))
    first, second = OUTER_EYES
    distance = np.linalg.norm(rest[first, :2] - rest[second, :2])
    return HeadLandmarks(rest / distance, skin_map.place(skin.deltas[order].astype(np.float64)) / distance)


def write_landmarks(path: Path, head: HeadLandmarks, skin_map: SkinMap) -> None:
    """What bilabial.head_landmarks reads, and the map for the next time."""
    np.savez_compressed(
        path,
        names=np.array(ARKIT_BLENDSHAPES),
        rest=head.rest.astype(np.float32),
        deltas=head.deltas.astype(np.float16),  # to 0.05 %, of at most half an outer-eye distance
        index=skin_map.index.astype(np.uint16),
        weight=skin_map.weight.astype(np.float32),
    )


def main(args: HeadLandmarksArguments) -> None:
    try:
        skin = read_mesh(args.head, SKIN)
        skin_map = read_map(args.output)
        head = place_landmarks(skin, skin_map)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    write_landmarks(args.output, head, skin_map)
    print(f"wrote {args.output}")


if __name__ == "__main__":
    main(HfArgumentParser(HeadLandmarksArguments).parse_args_into_dataclasses()[0])
