"""Avatars made from the embedded head, with morph targets of other names."""

import struct
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.exporters import HEAD, read_glb, write_glb
from tools.make_head.glb import Part, read_mesh
from tools.make_head.glb import write_glb as write_parts

VOWELS = {
    "aa": {"jawOpen": 0.7}, "ih": {"jawOpen": 0.2, "mouthStretchLeft": 0.4, "mouthStretchRight": 0.4},
    "ou": {"jawOpen": 0.25, "mouthPucker": 0.9}, "oh": {"jawOpen": 0.5, "mouthFunnel": 0.5},
    "ee": {"jawOpen": 0.15, "mouthSmileLeft": 0.5, "mouthSmileRight": 0.5},
}  # fmt: skip


def glb_bytes(scene: bytes, binary: bytes | None = None) -> bytes:
    """A GLB with any bytes as its scene, also damaged ones (`write_glb` writes valid files)."""
    chunks = struct.pack("<I4s", len(scene), b"JSON") + scene
    if binary is not None:
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def avatar(path: Path, skin, deltas: dict[str, np.ndarray], scale: float = 1.0) -> Path:
    """The skin of the head, and its teeth, with other morph targets."""
    material = {"pbrMetallicRoughness": {}}
    parts = [
        Part("skin", scale * skin.positions, skin.triangles, scale * np.array([*deltas.values()]), material)
    ]
    for name in ("teeth_upper", "teeth_lower"):
        teeth = read_mesh(HEAD, name)
        moves = np.zeros((len(deltas), *teeth.positions.shape))
        moves[0] = mixed(teeth, {"jawOpen": 1.0})  # the first target opens the jaw
        parts.append(Part(name, scale * teeth.positions, teeth.triangles, scale * moves, material))
    write_parts(path, parts, [*deltas], {})
    return path


def mixed(mesh, weights: dict[str, float]) -> np.ndarray:
    moved = np.zeros_like(mesh.positions)
    for name, weight in weights.items():
        moved = moved + weight * mesh.deltas[mesh.target_names.index(name)]
    return moved


def vrm(path: Path, skin) -> Path:
    """A VRM 1.0 whose expressions are five vowels and two blinks, bound to targets of other names."""
    poses = VOWELS | {"blinkLeft": {"eyeBlinkLeft": 1.0}, "blinkRight": {"eyeBlinkRight": 1.0}}
    avatar(path, skin, {f"shape{k}": mixed(skin, pose) for k, pose in enumerate(poses.values())})
    scene, binary = read_glb(path)
    node = next(k for k, one in enumerate(scene["nodes"]) if one.get("name") == "skin")
    preset = {
        name: {"morphTargetBinds": [{"node": node, "index": k, "weight": 1.0}]}
        for k, name in enumerate(poses)
    }
    scene["extensions"] = {"VRMC_vrm": {"specVersion": "1.0", "expressions": {"preset": preset}}}
    scene["extensionsUsed"] = [*scene.get("extensionsUsed", []), "VRMC_vrm"]
    return write_glb(path, scene, binary)


BONES = (
    "hips", "spine", "head", *(
        f"{side}{part}" for side in ("left", "right")
        for part in ("UpperLeg", "LowerLeg", "Foot", "UpperArm", "LowerArm", "Hand")
    ),
)  # fmt: skip


def perfect_sync_vrm(path: Path, skin, names: tuple[str, ...]) -> Path:
    """A VRM 1.0 with expressions of ARKit's names, in upper camel case, and the bones that VRM requires."""
    avatar(path, skin, {name: mixed(skin, {name: 1.0}) for name in names})
    scene, binary = read_glb(path)
    node = next(k for k, one in enumerate(scene["nodes"]) if one.get("name") == "skin")
    first, center = len(scene["nodes"]), skin.positions.mean(axis=0).tolist()
    scene["nodes"] += [
        {"name": bone, "translation": center if bone == "head" else [0, 0, 0]} for bone in BONES
    ]
    scene["scenes"][0]["nodes"] += range(first, first + len(BONES))
    custom = {
        name[0].upper() + name[1:]: {"morphTargetBinds": [{"node": node, "index": k, "weight": 1.0}]}
        for k, name in enumerate(names)
    }
    scene["extensions"] = {
        "VRMC_vrm": {
            "specVersion": "1.0",
            "meta": {"name": "test", "authors": ["Bilabial"], "licenseUrl": "https://vrm.dev/licenses/1.0/"},
            "humanoid": {"humanBones": {bone: {"node": first + k} for k, bone in enumerate(BONES)}},
            "expressions": {"custom": custom},
        }
    }
    scene["extensionsUsed"] = [*scene.get("extensionsUsed", []), "VRMC_vrm"]
    return write_glb(path, scene, binary)


def turned_vrm(path: Path, skin, version: str) -> tuple[Path, Rotation]:
    """An avatar whose spine and head bone are turned at rest (two rotations), as VRM 0 ("VRM") or 1."""
    perfect_sync_vrm(path, skin, ARKIT_BLENDSHAPES)
    scene, binary = read_glb(path)
    bones = scene["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]
    spine, head = bones["spine"]["node"], bones["head"]["node"]
    turns, matrix = Rotation.random(2, rng=np.random.default_rng(0)), np.eye(4)
    matrix[:3, :3] = turns[0].as_matrix()
    scene["nodes"][spine] = {"name": "spine", "children": [head], "matrix": matrix.T.ravel().tolist()}
    scene["nodes"][head]["rotation"] = turns[1].as_quat().tolist()
    scene["scenes"][0]["nodes"].remove(head)
    if version == "VRM":
        scene["extensions"] = {"VRM": {"humanoid": {"humanBones": [{"bone": "head", "node": head}]}}}
    return write_glb(path, scene, binary), turns
