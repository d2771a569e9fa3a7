"""Export of a FaceClip: JSON by frames, and a GLB head with the animation in it."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

import bilabial
from bilabial.clip import FaceClip
from bilabial.errors import MissingFileError, UserError, as_path
from bilabial.io.frame_clock import FrameClock
from bilabial.io.head_rotation import JSON_ROTATION, bone_rotations, head_bone, own_turn
from bilabial.io.names import arkit_name
from bilabial.io.vrm import expressions_of, target_names

GLB_MAGIC, GLB_JSON, GLB_BINARY = 0x46546C67, 0x4E4F534A, 0x004E4942  # glTF 2.0, section 4.4
HEAD = Path(bilabial.__file__).parent / "viewer" / "head.glb"  # of the page, made by tools/make_head
FLOAT = 5126  # glTF's componentType


def to_json(clip: FaceClip, path: str | Path) -> Path:
    """Write names and frames in the layout of LAM's JSON: a list of weights and a time for every frame.

    `names`, `metadata` {fps, frame_count, blendshape_names}, `frames` [{weights, time, rotation}]; rotation
    is the clip's head, which `metadata` says then, or []. Returns the path.
    """
    turned = np.zeros((len(clip), 0)) if clip.head is None else clip.head
    frames = [
        {"weights": _rounded(row), "time": round(float(time), 6), "rotation": _rounded(head)}
        for time, row, head in zip(clip.times, clip.values, turned, strict=True)
    ]
    names = list(clip.names)
    metadata = {"fps": clip.fps, "frame_count": len(clip), "blendshape_names": names}
    metadata |= {} if clip.head is None else {"rotation": JSON_ROTATION}
    path = Path(path)
    path.write_text(json.dumps({"names": names, "metadata": metadata, "frames": frames}))
    return path


def _rounded(row: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in row]


def to_glb(clip: FaceClip, path: str | Path, head: str | Path) -> Path:
    """Write a GLB: the head with the clip as animation of morph targets and head bone. Returns the path.

    head: a GLB whose morph targets have the clip's names, or ARKit's in any spelling (bilabial.io.names), in
    the extras of a mesh or, as VRM writes them, of its primitives; or a VRM whose expressions have the clip's
    names. Targets that the clip lacks stay at 0; a GLB without a head bone (`head_bone`) does not turn.
    Raises UserError for an invalid GLB, one with external buffers, and a head without any of the clip's
    names.
    """
    scene, binary = read_glb(head)
    try:
        return write_glb(path, *_animated(clip, scene, binary, head))
    except (AttributeError, LookupError, TypeError) as error:
        raise UserError("glb_scene", path=Path(head), error=f"{type(error).__name__} {error}") from error


def _animated(clip: FaceClip, scene: dict, binary: bytes, head: str | Path) -> tuple[dict, bytes]:
    """The scene with the clip as its animation, and the binary part with the curves appended."""
    buffers = scene.get("buffers", [])
    if len(buffers) > 1 or any("uri" in buffer for buffer in buffers):
        raise UserError("glb_buffers", path=Path(head))
    curves = [_curves(clip, scene, number) for number in range(len(scene.get("meshes", [])))]
    nodes = [
        (number, node["mesh"])
        for number, node in enumerate(scene.get("nodes", []))
        if "mesh" in node and curves[node["mesh"]] is not None
    ]
    if not nodes:
        raise UserError("glb_shapes", path=Path(head))
    times = FrameClock.of(clip.fps).seconds(len(clip)).astype(np.float32)
    binary = _append(scene, binary, times, {"min": [float(times[0])], "max": [float(times[-1])]})
    clock, samplers, channels = len(scene["accessors"]) - 1, list[dict](), list[dict]()
    written: dict[bytes, int] = {}  # numbers of samplers, by their curves
    for node, mesh in nodes:
        key = curves[mesh].tobytes()
        if key not in written:
            binary = _append(scene, binary, curves[mesh].ravel(), {})
            written[key] = len(samplers)
            output = len(scene["accessors"]) - 1
            samplers.append({"input": clock, "output": output, "interpolation": "LINEAR"})
        channels.append({"sampler": written[key], "target": {"node": node, "path": "weights"}})
    bone = head_bone(scene)
    if clip.head is not None and bone is not None:
        turns = bone_rotations(scene, bone, clip.head).astype(np.float32)
        binary = _append(scene, binary, turns, {})
        samplers.append({"input": clock, "output": len(scene["accessors"]) - 1, "interpolation": "LINEAR"})
        channels.append({"sampler": len(samplers) - 1, "target": {"node": bone, "path": "rotation"}})
        _split_matrix(scene["nodes"][bone])
    animation = {"name": "speech", "samplers": samplers, "channels": channels}
    scene["animations"] = [*scene.get("animations", []), animation]
    return scene, binary


def _split_matrix(node: dict) -> None:
    """Put translation, rotation and scale for a matrix, which no animated node has (glTF 2.0, 3.5.3)."""
    if "matrix" in node:
        rotation = own_turn(node)
        matrix = np.array(node.pop("matrix"), float).reshape(4, 4).T
        scale = np.linalg.norm(matrix[:3, :3], axis=0)
        node |= {
            "translation": matrix[:3, 3].tolist(),
            "rotation": rotation.tolist(),
            "scale": scale.tolist(),
        }


def read_glb(path: str | Path) -> tuple[dict, bytes]:
    """The scene and the binary part of a GLB.

    Raises FileNotFoundError, or UserError for an invalid or truncated file.
    """
    path = as_path(path)
    if not path.is_file():
        raise MissingFileError("file_missing", name=path)
    content = path.read_bytes()
    if len(content) < 20 or struct.unpack("<II", content[:8]) != (GLB_MAGIC, 2):
        raise UserError("glb_other", path=path)
    size = struct.unpack("<I", content[8:12])[0]
    if size > len(content):
        raise UserError("glb_cut", path=path, count=len(content), size=size)
    chunks, start = {}, 12
    while start + 8 <= len(content):
        length, kind = struct.unpack("<II", content[start : start + 8])
        chunks[kind] = content[start + 8 : start + 8 + length]
        start += 8 + length
    try:
        scene = dict(json.loads(chunks[GLB_JSON]))
        return scene, chunks.get(GLB_BINARY, b"")
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise UserError("glb_scene", path=path, error=f"{type(error).__name__} {error}") from error


def _curves(clip: FaceClip, scene: dict, mesh: int) -> np.ndarray | None:
    """Weights (T, targets) of a mesh, by the targets' names or a VRM's expressions; None where none moves."""
    names = target_names(scene["meshes"][mesh])
    curves, moved = np.zeros((len(clip), len(names)), np.float32), False
    for target, given in enumerate(names):
        meant = given if given in clip.names else arkit_name(given)
        if meant is not None and meant in clip.names:
            curves[:, target], moved = clip[meant], True
    for name, binds in expressions_of(scene).items():
        for (number, target), weight in binds.items():
            if (
                name in clip.names
                and number == mesh
                and target < len(names)
                and names[target] not in clip.names
            ):
                curves[:, target] += weight * clip[name]
                moved = True
    return curves if moved else None


def write_glb(path: str | Path, scene: dict, binary: bytes) -> Path:
    """Write a GLB of a scene and its one buffer. Returns the path."""
    binary += b"\0" * (-len(binary) % 4)
    scene["buffers"] = [{"byteLength": len(binary)}]
    text = json.dumps(scene, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(binary)
    path = Path(path)
    with path.open("wb") as file:
        file.write(struct.pack("<III", GLB_MAGIC, 2, size))
        for kind, chunk in ((GLB_JSON, text), (GLB_BINARY, binary)):
            file.write(struct.pack("<II", len(chunk), kind) + chunk)
    return path


def _append(scene: dict, binary: bytes, values: np.ndarray, bounds: dict) -> bytes:
    """Add numbers (N,) or quaternions (N, 4) float32 to a scene as an accessor; returns the binary part with
    them at its end."""
    binary += b"\0" * (-len(binary) % 4)
    view = {"buffer": 0, "byteOffset": len(binary), "byteLength": values.nbytes}
    scene.setdefault("bufferViews", []).append(view)
    accessor = {"bufferView": len(scene["bufferViews"]) - 1, "componentType": FLOAT}
    scene.setdefault("accessors", []).append(
        accessor | {"type": "SCALAR" if values.ndim == 1 else "VEC4", "count": len(values), **bounds}
    )
    return binary + values.tobytes()
