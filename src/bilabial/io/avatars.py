"""Avatars as meshes: displacements of each morph target of a GLB or VRM, in meters of its scene.

Uncompressed glTF 2.0 with sparse and quantized accessors; VRM 0.x and 1.0 expressions. Skinned meshes stand
in their bind pose. Compressed files are refused by name: measuring them would need their decoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bilabial.errors import UserError
from bilabial.io.exporters import read_glb
from bilabial.io.gltf_arrays import read_array
from bilabial.io.vrm import expressions_of, target_names

COMPRESSION = ("KHR_draco_mesh_compression", "EXT_meshopt_compression", "KHR_meshopt_compression")
MAX_VERTICES = 2_000_000
DAMAGE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class Part:
    """A mesh of the scene.

    mesh: its number in the file. points: (V, 3) meters, y up. triangles: (N, 3). targets: what each morph
    target adds, (V, 3) meters, by name; in the order of the file.
    """

    mesh: int
    points: np.ndarray
    triangles: np.ndarray
    targets: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Avatar:
    """Parts with morph targets, and expressions of VRM: weights by (mesh, target's number) by name."""

    parts: tuple[Part, ...]
    expressions: Mapping[str, Mapping[tuple[int, int], float]]

    @property
    def target_names(self) -> list[str]:
        """All morph targets, each name once."""
        return list(dict.fromkeys(name for part in self.parts for name in part.targets))

    def moves(self, part: Part, name: str) -> np.ndarray:
        """What an expression, or else a morph target, of this name adds to a part at weight 1: (V, 3)."""
        if name in self.expressions:
            targets, moved = list(part.targets.values()), np.zeros_like(part.points)
            for (mesh, number), weight in self.expressions[name].items():
                if mesh == part.mesh and number < len(targets):
                    moved = moved + weight * targets[number]
            return moved
        return part.targets.get(name, np.zeros_like(part.points))


def read_avatar(path: str | Path) -> Avatar:
    """The parts of a GLB or VRM that have morph targets.

    Raises FileNotFoundError, or UserError for an invalid, compressed or too large GLB.
    """
    scene, binary = read_glb(path)
    compressed = [name for name in COMPRESSION if name in scene.get("extensionsUsed", [])]
    if compressed:
        raise UserError("avatar_compressed", path=Path(path), names=compressed)
    try:
        return _Reader(scene, binary, Path(path)).avatar()
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError("avatar_damaged", path=Path(path), error=error) from error


class _Reader:
    """The scene and the binary part of one file."""

    def __init__(self, scene: dict, binary: bytes, path: Path):
        self.scene, self.binary, self.path = scene, binary, path

    def avatar(self) -> Avatar:
        worlds = self._worlds()
        parts = [
            self._part(number, node)
            for number, node in worlds.items()
            if "mesh" in self.scene["nodes"][number]
            and any("targets" in one for one in self._mesh(number)["primitives"])
        ]
        return Avatar(tuple(parts), expressions_of(self.scene))

    def _mesh(self, node: int) -> dict:
        return self.scene["meshes"][self.scene["nodes"][node]["mesh"]]

    def _worlds(self) -> dict[int, np.ndarray]:
        """Matrix (4, 4) of each node of the scene."""
        nodes = self.scene.get("nodes", [])
        children = {child for node in nodes for child in node.get("children", [])}
        waiting = [(number, np.eye(4)) for number in range(len(nodes)) if number not in children]
        worlds: dict[int, np.ndarray] = {}
        while waiting:
            number, parent = waiting.pop()
            if number not in worlds:
                worlds[number] = parent @ _matrix(nodes[number])
                waiting += [(child, worlds[number]) for child in nodes[number].get("children", [])]
        return dict(sorted(worlds.items()))

    def _part(self, number: int, world: np.ndarray) -> Part:
        """The primitives of a node's mesh together; those that share their vertices hold them once."""
        node, mesh = self.scene["nodes"][number], self._mesh(number)
        placed = self._bind_pose(node["skin"]) if "skin" in node else world
        names, starts, moved, triangles = target_names(mesh), dict[tuple, int](), [], []
        vertices: list[np.ndarray] = []
        for primitive in mesh["primitives"]:
            targets = [one.get("POSITION") for one in primitive.get("targets", [])]
            key = (primitive["attributes"]["POSITION"], *targets)
            if key not in starts:
                vertices.append(self._array(key[0]))
                starts[key] = sum(map(len, vertices)) - len(vertices[-1])
                deltas = [np.zeros_like(vertices[-1]) if one is None else self._array(one) for one in targets]
                moved.append(deltas or [np.zeros_like(vertices[-1])] * len(names))
            count = self.scene["accessors"][key[0]]["count"]
            triangles.append(starts[key] + self._triangles(primitive, count))
        points, changes = np.concatenate(vertices), map(np.concatenate, zip(*moved, strict=True))
        turn = placed[:3, :3]
        named = zip(names, changes, strict=True)
        shapes = {name or f"target {k}": delta @ turn.T for k, (name, delta) in enumerate(named)}
        return Part(node["mesh"], points @ turn.T + placed[:3, 3], np.concatenate(triangles), shapes)

    def _bind_pose(self, skin: int) -> np.ndarray:
        """What a skin's first joint does to a vertex at rest; in the bind pose all joints do the same."""
        given = self.scene["skins"][skin]
        world = self._worlds()[given["joints"][0]]
        if "inverseBindMatrices" not in given:
            return world
        return world @ self._array(given["inverseBindMatrices"])[0].reshape(4, 4).T

    def _triangles(self, primitive: dict, count: int) -> np.ndarray:
        if primitive.get("mode", 4) != 4:
            return np.zeros((0, 3), int)
        if "indices" not in primitive:
            return np.arange(count - count % 3).reshape(-1, 3)
        return self._array(primitive["indices"]).astype(int).reshape(-1, 3)

    def _array(self, index: int) -> np.ndarray:
        """An accessor as (count, width) float64, a sparse one filled up, a normalized one in -1..1."""
        accessor = self.scene["accessors"][index]
        if not 0 <= accessor["count"] <= MAX_VERTICES * 3:
            raise UserError("avatar_large", path=self.path, limit=MAX_VERTICES)
        return read_array(self.scene, self.binary, index)


def _matrix(node: Mapping) -> np.ndarray:
    """A node's own matrix (4, 4)."""
    if "matrix" in node:
        return np.array(node["matrix"], float).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
    turn = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    own = np.eye(4)
    own[:3, :3] = turn * np.array(node.get("scale", (1.0, 1.0, 1.0)))
    own[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return own
