"""Find MediaPipe's landmarks on the head of the viewer: writes viewer/head_landmarks.npz.

    apt-get install chromium && pip install playwright && python -m tools.make_head.landmarks
    python -m tools.make_head.landmarks --keep_map    # a second; after head.py changed the shapes
    python -m tools.make_head.landmarks --check       # only measures what is there

The map says which point of the skin each of the 468 landmarks is: three vertices and their weights. MediaPipe
looks at pictures of the head in many poses; the point is the one that is drawn nearest to the landmark in all
of them. The map holds as long as the skin keeps its vertices; deltas follow from it and from head.glb. On
poses of mouths that the map was not made from it is checked how well the mouth is measured: r and slope of
what MediaPipe sees against what the head shows.
"""

from dataclasses import dataclass, field
from pathlib import Path

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from tqdm import tqdm
from transformers import HfArgumentParser

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.capture import find_landmarker
from bilabial.io.exporters import HEAD
from bilabial.io.head_landmarks import (
    LIPS,
    NUM_LANDMARKS,
    OUTER_EYES,
    PATH,
    HeadLandmarks,
    mouth_measures,
    remove_pose,
)
from bilabial.io.synchrony import correlation
from bilabial.training.evaluation.tables import table
from tools.make_head.glb import Mesh, read_mesh
from tools.make_head.picture import Camera, open_head

SKIN = "skin"  # the mesh on which landmarks lie
SIZE = 400  # pixels of a picture; MediaPipe looks at a face in 256
# Of each pair of left and right one name; each is posed alone and in mixtures
MOUTH_SHAPES = {  # the largest weight in a mixture
    "jawOpen": 0.7, "mouthClose": 0.3, "mouthFunnel": 0.6, "mouthPucker": 0.9, "mouthSmile": 0.8,
    "mouthStretch": 0.6, "mouthFrown": 0.4, "mouthRollLower": 0.6, "mouthRollUpper": 0.5, "mouthPress": 0.4,
    "mouthLowerDown": 0.8, "mouthUpperUp": 0.8, "mouthDimple": 0.4,
}  # fmt: skip
OTHER_SHAPES = (
    "browInnerUp",
    "browDown",
    "browOuterUp",
    "eyeWide",
    "jawLeft",
    "mouthLeft",
    "mouthShrugLower",
)
ALONE = 0.8
MIXED_SHAPES = 4  # of a mixture, besides the jaw
THIRDS = [(3 - a - b, a, b) for a in range(4) for b in range(4 - a)]
CORNERS = np.array(THIRDS) / 3  # places in a triangle that may be a landmark
REACH = 0.12  # outer-eye distances: how far from a landmark, in the first picture, its point may be
CUT = 0.07  # outer-eye distances: what is farther off in a picture counts no more than this
BEHIND = 0.07  # outer-eye distances behind the foremost skin, farther back it cannot be seen


@dataclass
class HeadLandmarksArguments:
    keep_map: bool = field(
        default=False, metadata={"help": "Keep the points of the skin in --output; recompute the rest."}
    )
    check: bool = field(default=False, metadata={"help": "Only measure how good --output is; write nothing."})
    num_poses: int = field(default=40, metadata={"help": "Mixtures that the map is made from."})
    num_checks: int = field(default=40, metadata={"help": "Further mixtures that check it."})
    head: Path = field(default=HEAD, metadata={"help": "GLB written by tools/make_head/head.py."})
    output: Path = field(default=PATH, metadata={"help": "The .npz to write."})
    seed: int = field(default=0, metadata={"help": "Of the mixtures."})


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


def single_poses() -> np.ndarray:
    """Coefficients (N, 52): the face at rest, then each shape alone, left and right together."""
    poses = [_pose({})]
    poses += [_pose({name: ALONE}) for name in (*MOUTH_SHAPES, *OTHER_SHAPES) if name != "mouthClose"]
    return np.array([*poses, _pose({"jawOpen": 0.6, "mouthClose": 0.55})])


def mixed_poses(count: int, rng: np.random.Generator) -> np.ndarray:
    """Coefficients (count, 52): jaws open by any amount, and some shapes of the mouth."""
    others = [name for name in MOUTH_SHAPES if name != "jawOpen"]
    poses = []
    for _ in range(count):
        names = ["jawOpen", *rng.choice(others, MIXED_SHAPES, replace=False)]
        weights = {name: rng.uniform(0, MOUTH_SHAPES[name]) for name in names}
        weights["mouthClose"] = min(weights.get("mouthClose", 0.0), weights["jawOpen"])
        poses.append(_pose(weights))
    return np.array(poses)


def _pose(weights: dict[str, float]) -> np.ndarray:
    """Coefficients (52,) of weights by name, those of a pair on both sides."""
    values = np.zeros(len(ARKIT_BLENDSHAPES))
    for name, weight in weights.items():
        sides = [one for one in (name, f"{name}Left", f"{name}Right") if one in ARKIT_BLENDSHAPES]
        values[[ARKIT_BLENDSHAPES.index(one) for one in sides]] = weight
    return values


def see_landmarks(camera: Camera, poses: np.ndarray) -> np.ndarray:
    """MediaPipe's landmarks (N, 478, 3), in pixels like a film's, of pictures of poses (N, 52).

    Raises ValueError when it sees no face in one.
    """
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(find_landmarker())),
        running_mode=vision.RunningMode.IMAGE,
    )
    seen = []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for pose in tqdm(poses, unit="picture"):
            picture = np.ascontiguousarray(camera(pose))
            result = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture))
            if not result.face_landmarks:
                raise ValueError(f"MediaPipe sees no face in picture {len(seen)} of the head")
            seen.append([(point.x, point.y, point.z) for point in result.face_landmarks[0]])
    return camera.size * np.array(seen)


def find_map(skin: Mesh, camera: Camera, poses: np.ndarray, seen: np.ndarray) -> SkinMap:
    """The point of the skin nearest to each landmark over all pictures; the first shows the face at rest."""
    index, weight = _candidates(skin)
    order = [skin.target_names.index(name) for name in ARKIT_BLENDSHAPES]
    vertices = skin.positions + np.tensordot(poses, skin.deltas[order], axes=1)
    drawn = np.stack([(camera.project(posed)[index] * weight[..., None]).sum(axis=1) for posed in vertices])
    depth = (skin.positions[index, 2] * weight).sum(axis=1)
    unit = np.linalg.norm(seen[0, OUTER_EYES[0], :2] - seen[0, OUTER_EYES[1], :2])  # pixels
    meters = np.ptp(skin.positions[:, 0]) / np.ptp(camera.project(skin.positions)[:, 0])  # of a pixel, about
    best = []
    for landmark in range(NUM_LANDMARKS):
        near = np.flatnonzero(np.linalg.norm(drawn[0] - seen[0, landmark, :2], axis=1) < REACH * unit)
        front = near[depth[near] > depth[near].max() - BEHIND * unit * meters]
        distances = np.linalg.norm(drawn[:, front] - seen[:, landmark, None, :2], axis=2)
        best.append(front[(np.minimum(distances, CUT * unit) ** 2).mean(axis=0).argmin()])
    return SkinMap(index[best], weight[best])


def _candidates(skin: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Points of the front of the skin: vertices (N, 3) and their weights (N, 3)."""
    front = skin.triangles[skin.positions[skin.triangles, 2].mean(axis=1) > 0].astype(int)
    return np.repeat(front, len(CORNERS), axis=0), np.tile(CORNERS, (len(front), 1))


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


def check_landmarks(head: HeadLandmarks, poses: np.ndarray, seen: np.ndarray) -> dict[str, dict[str, float]]:
    """Rows of a table: r and slope of each mouth measure, as MediaPipe sees it against what is shown."""
    found = mouth_measures(remove_pose(seen, head=head)[:, list(LIPS), :2])
    rows = {}
    for name, shown in mouth_measures(head.show_lips(poses)).items():
        slope = np.polyfit(shown, found[name], 1)[0]
        rows[name] = {"r": correlation(found[name], shown), "slope": float(slope), "num_poses": len(poses)}
    return rows


def write_landmarks(path: Path, head: HeadLandmarks, skin_map: SkinMap) -> None:
    """What bilabial.io.head_landmarks reads, and the map for the next time."""
    np.savez_compressed(
        path,
        names=np.array(ARKIT_BLENDSHAPES),
        rest=head.rest.astype(np.float32),
        deltas=head.deltas.astype(np.float16),  # to 0.05 %, of at most half an outer-eye distance
        index=skin_map.index.astype(np.uint16),
        weight=skin_map.weight.astype(np.float32),
    )


def make_map(skin: Mesh, args: HeadLandmarksArguments) -> tuple[SkinMap, dict[str, dict[str, float]]]:
    """A map, made anew or the one that is there, and its check on poses that it was not made from."""
    rng = np.random.default_rng(args.seed)
    poses = np.concatenate([single_poses(), mixed_poses(args.num_poses, rng)])
    checks = mixed_poses(args.num_checks, rng)
    with open_head(SIZE, "face", args.head) as camera:
        if args.check:
            skin_map = read_map(args.output)
        else:
            skin_map = find_map(skin, camera, poses, see_landmarks(camera, poses))
        seen = see_landmarks(camera, checks)
    return skin_map, check_landmarks(place_landmarks(skin, skin_map), checks, seen)


def main(args: HeadLandmarksArguments) -> None:
    try:
        skin = read_mesh(args.head, SKIN)
        skin_map, checked = (read_map(args.output), {}) if args.keep_map else make_map(skin, args)
        head = place_landmarks(skin, skin_map)
    except (ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    if checked:
        print(table(checked))
    if not args.check:
        write_landmarks(args.output, head, skin_map)
        print(f"wrote {args.output}")


if __name__ == "__main__":
    main(HfArgumentParser(HeadLandmarksArguments).parse_args_into_dataclasses()[0])
