"""VRM Animation (VRMC_vrm_animation 1.0): weights of expressions and gaze, playable on any VRM."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.io.exporters import write_glb
from bilabial.io.frame_clock import FrameClock
from bilabial.io.vrm import LOOKS, PRESETS

FLOAT, LOOK_AT_HEIGHT = 5126, 0.06  # glTF's componentType; meters of the eyes over the head bone


def to_vrma(clip: FaceClip, path: str | Path, gaze_degrees: np.ndarray | None = None) -> Path:
    """Write a clip whose names are expressions; names that VRM does not preset become custom ones.

    gaze_degrees: (T, 2) yaw to the subject's left and pitch up. Returns the path. Raises UserError for names
    of looks, which VRMA leaves to the gaze.
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
        node = writer.add_curve("lookAt", "rotation", _quaternions(gaze_degrees))
        extension["lookAt"] = {"node": node, "offsetFromHeadBone": [0.0, LOOK_AT_HEIGHT, 0.0]}
    return write_glb(path, writer.scene(extension), bytes(writer.binary))


def _quaternions(gaze_degrees: np.ndarray) -> np.ndarray:
    """(T, 4) x, y, z, w of yaw about y, then pitch about x (extrinsic ZXY); eyes look to +z at rest."""
    yaw, pitch = np.radians(gaze_degrees).T / 2
    pitch = -pitch  # about x, a positive angle looks down
    return np.stack(
        [
            np.cos(yaw) * np.sin(pitch),
            np.sin(yaw) * np.cos(pitch),
            -np.sin(yaw) * np.sin(pitch),
            np.cos(yaw) * np.cos(pitch),
        ],
        axis=1,
    ).astype("<f4")


class _Writer:
    """Nodes with one animated property each, on one clock."""

    def __init__(self, times: np.ndarray):
        self.binary = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []
        self.nodes: list[dict] = []
        self.samplers: list[dict] = []
        self.channels: list[dict] = []
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

    def scene(self, extension: dict) -> dict:
        return {
            "asset": {"version": "2.0", "generator": "bilabial"},
            "extensionsUsed": ["VRMC_vrm_animation"],
            "extensions": {"VRMC_vrm_animation": extension},
            "scene": 0,
            "scenes": [{"nodes": list(range(len(self.nodes)))}],
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
