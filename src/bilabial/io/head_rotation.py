"""Rotations of a head as quaternions, and the bone of an avatar that takes them.

In a space with x to the subject's left, y up and z forward, as in glTF, VRM, Godot and USD.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

HEAD_CURVES = ("headYaw", "headPitch", "headRoll")  # columns of tables, degrees as FaceClip.head
JSON_ROTATION = "degrees: yaw to the subject's left, pitch up, roll to the right"  # of a frame in JSON
HALF_TURN = 180.0
HEAD_BONE = re.compile(r"(^|.*[^a-z])head", re.IGNORECASE)  # Head, mixamorig:Head, CC_Base_Head, J_Bip_C_Head
BACKWARDS = np.array([0.0, 1.0, 0.0, 0.0])  # half a turn about y: a model that looks to -z


def is_head(angles: np.ndarray, num_frames: int) -> bool:
    """Whether an array is a FaceClip's head of so many frames that moves or is turned."""
    right = angles.shape == (num_frames, 3) and np.isfinite(angles).all()
    return bool(right and 0.0 < np.abs(angles).max() <= HALF_TURN)


def head_curves(head: np.ndarray | None) -> dict[str, np.ndarray]:
    """The columns (T,) of a head (T, 3) by the names of tables; {} for None."""
    return {} if head is None else dict(zip(HEAD_CURVES, head.T, strict=True))


def quaternions(head: np.ndarray) -> np.ndarray:
    """(T, 4) x, y, z, w of angles (T, 3) as FaceClip.head: about y, then about x, then about z."""
    yaw, pitch, roll = np.radians(head.astype(np.float64)).T / 2
    zero = np.zeros_like(yaw)
    turn = np.stack([zero, np.sin(yaw), zero, np.cos(yaw)], axis=1)
    nod = np.stack([-np.sin(pitch), zero, zero, np.cos(pitch)], axis=1)  # a positive angle about x looks down
    tilt = np.stack([zero, zero, np.sin(roll), np.cos(roll)], axis=1)
    return multiply(multiply(turn, nod), tilt)


def head_degrees(rotations: np.ndarray) -> np.ndarray:
    """The angles (T, 3), as FaceClip.head, of quaternions (T, 4) of any length but 0."""
    x, y, z, w = (rotations / np.linalg.norm(rotations, axis=1, keepdims=True)).T
    yaw = np.arctan2(2 * (x * z + w * y), 1 - 2 * (x * x + y * y))
    pitch = -np.arcsin((2 * (w * x - y * z)).clip(-1.0, 1.0))
    roll = np.arctan2(2 * (x * y + w * z), 1 - 2 * (x * x + z * z))
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def multiply(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Products (..., 4) of quaternions x, y, z, w: first the other rotation, then the one."""
    a, b = one[..., :3], other[..., :3]
    vector = one[..., 3:] * b + other[..., 3:] * a + np.cross(a, b)
    return np.concatenate([vector, one[..., 3:] * other[..., 3:] - np.sum(a * b, -1, keepdims=True)], axis=-1)


def inverse(rotation: np.ndarray) -> np.ndarray:
    """Of unit quaternions (..., 4)."""
    return rotation * np.array([-1.0, -1.0, -1.0, 1.0])


def head_bone(scene: Mapping) -> int | None:
    """The node of a glTF scene that turns the head: as VRM names it, else the first joint called head."""
    extensions = scene.get("extensions", {})
    bones = extensions.get("VRMC_vrm", {}).get("humanoid", {}).get("humanBones", {})
    if "head" in bones:
        return int(bones["head"]["node"])
    for bone in extensions.get("VRM", {}).get("humanoid", {}).get("humanBones", []):
        if bone.get("bone") == "head":
            return int(bone["node"])
    joints = sorted({joint for skin in scene.get("skins", []) for joint in skin["joints"]})
    named = (joint for joint in joints if HEAD_BONE.fullmatch(str(scene["nodes"][joint].get("name", ""))))
    return next(named, None)


def resting_turns(scene: Mapping, bone: int) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (4,) that a bone has at rest: of its parents together, and its own.

    The subject of a VRM 0 looks to -z; for it the first holds half a turn more.
    """
    parents = {
        child: number for number, node in enumerate(scene["nodes"]) for child in node.get("children", [])
    }
    turn, node = np.array([0.0, 0.0, 0.0, 1.0]), bone
    while (parent := parents.get(node)) is not None:
        turn, node = multiply(own_turn(scene["nodes"][parent]), turn), parent
    if "VRM" in scene.get("extensions", {}):
        turn = multiply(BACKWARDS, turn)
    return turn, own_turn(scene["nodes"][bone])


def bone_rotations(scene: Mapping, bone: int, head: np.ndarray) -> np.ndarray:
    """(T, 4) quaternions of a bone's node for angles (T, 3) of the head beside its rest."""
    above, own = resting_turns(scene, bone)
    return multiply(inverse(above), multiply(quaternions(head), multiply(above, own)))


def bone_degrees(scene: Mapping, bone: int, rotations: np.ndarray) -> np.ndarray:
    """The angles (T, 3) of which `bone_rotations` makes these rotations (T, 4)."""
    above, own = resting_turns(scene, bone)
    turned = multiply(multiply(above, rotations), inverse(multiply(above, own)))
    return head_degrees(turned)


def own_turn(node: Mapping) -> np.ndarray:
    """The rotation (4,) of a node, also of one with a matrix."""
    if "matrix" not in node:
        return np.array(node.get("rotation", [0.0, 0.0, 0.0, 1.0]), float)
    columns = np.array(node["matrix"], float).reshape(4, 4).T[:3, :3]
    columns = columns / np.linalg.norm(columns, axis=0)
    w = np.sqrt(max(1.0 + np.trace(columns), 0.0)) / 2
    if w < 1e-3:  # half a turn: the axis is the largest column of R + 1
        axis = (columns + np.eye(3))[:, np.argmax(np.diag(columns))]
        return np.array([*(axis / np.linalg.norm(axis)), 0.0])
    off = columns - columns.T
    return np.array([off[2, 1] / (4 * w), off[0, 2] / (4 * w), off[1, 0] / (4 * w), w])
