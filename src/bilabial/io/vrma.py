"""VRM Animation (VRMC_vrm_animation 1.0): expressions, gaze and head, playable on any VRM."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.io.exporters import write_glb
from bilabial.io.frame_clock import FrameClock
from bilabial.io.head_rotation import quaternions
from bilabial.io.vrm import LOOKS, PRESETS

FLOAT, LOOK_AT_HEIGHT = 5126, 0.06  # glTF's componentType; meters of the eyes over the head bone
# Heights over the ground of the bones that a head hangs from, and its own, of an adult in meters
HEAD_FROM = {"hips": 0.95, "spine": 1.05, "chest": 1.2, "neck": 1.45, "head": 1.53}


def to_vrma(clip: FaceClip, path: str | Path, gaze_degrees: np.ndarray | None = None) -> Path:
    """Write a clip whose names are expressions; names that VRM does not preset become custom ones.

    gaze_degrees: (T, 2) yaw to the subject's left and pitch up. The head bone turns where the clip has a
    head; the bones that it hangs from do not move. Returns the path. Raises UserError for names of looks,
    which VRMA leaves to the gaze.
    """
    looks = [name for name in clip.names if name in LOOKS]
    if looks:
        raise UserError("vrma_looks", names=looks)
    times = FrameClock.of(clip.fps).seconds(len(clip)).astype("<f4")
    writer = _Writer(times)
    expressions: dict[str, dict] = {}
    for name in clip.names:
        moved = np.zeros((len(clip), 3), "<f4")
        moved[:, 0] = clip[name]
        node = writer.add_curve(name, "translation", moved)
        expressions.setdefault("preset" if name in PRESETS else "custom", {})[name] = {"node": node}
    extension: dict = {"specVersion": "1.0", "expressions": expressions}
    if gaze_degrees is not None:
        gaze = np.column_stack([gaze_degrees, np.zeros(len(clip))])
        node = writer.add_curve("lookAt", "rotation", quaternions(gaze).astype("<f4"))
        extension["lookAt"] = {"node": node, "offsetFromHeadBone": [0.0, LOOK_AT_HEIGHT, 0.0]}
    if clip.head is not None:
        node = writer.add_curve("head", "rotation", quaternions(clip.head).astype("<f4"))
        bones = writer.hang(node, HEAD_FROM)
        extension["humanoid"] = {"humanBones": {name: {"node": bone} for name, bone in bones.items()}}
    return write_glb(path, writer.scene(extension), bytes(writer.binary))


class _Writer:
    """Nodes with one animated property each, on one clock."""

    def __init__(self, times: np.ndarray):
        self.binary = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []
        self.nodes: list[dict] = []
        self.samplers: list[dict] = []
        self.channels: list[dict] = []
        self._children: set[int] = set()
        bounds = {"min": [float(times[0])], "max": [float(times[-1])]}
        self._clock = self._add(times, "SCALAR", bounds)

    def add_curve(self, name: str, path: str, values: np.ndarray) -> int:
        """A node with a property's values (T, 3 or 4); returns its number."""
        output = self._add(values, f"VEC{values.shape[1]}", {})
        self.samplers.append({"input": self._clock, "output": output, "interpolation": "LINEAR"})
        target = {"node": len(self.nodes), "path": path}
        self.channels.append({"sampler": len(self.samplers) - 1, "target": target})
        self.nodes.append({"name": name})
        return len(self.nodes) - 1

    def hang(self, last: int, heights: Mapping[str, float]) -> dict[str, int]:
        """Put a node below others in a line, at heights in meters by bone; returns their numbers."""
        bones, below = {}, 0.0
        for name, height in heights.items():
            bones[name] = last if name == list(heights)[-1] else len(self.nodes)
            if bones[name] != last:
                self.nodes.append({"name": name})
            self.nodes[bones[name]]["translation"] = [0.0, round(height - below, 3), 0.0]
            below = height
        numbers = list(bones.values())
        for parent, child in itertools.pairwise(numbers):
            self.nodes[parent]["children"] = [child]
        self._children = set(numbers[1:])
        return bones

    def scene(self, extension: dict) -> dict:
        return {
            "asset": {"version": "2.0", "generator": "bilabial"},
            "extensionsUsed": ["VRMC_vrm_animation"],
            "extensions": {"VRMC_vrm_animation": extension},
            "scene": 0,
            "scenes": [{"nodes": [k for k in range(len(self.nodes)) if k not in self._children]}],
            "nodes": self.nodes,
            "animations": [{"name": "speech", "samplers": self.samplers, "channels": self.channels}],
            "accessors": self.accessors,
            "bufferViews": self.views,
        }

    def _add(self, values: np.ndarray, kind: str, bounds: dict) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": values.nbytes})
        accessor = {"bufferView": len(self.views) - 1, "componentType": FLOAT, "type": kind}
        self.accessors.append(accessor | {"count": len(values)} | bounds)
        self.binary += values.tobytes()
        return len(self.accessors) - 1
