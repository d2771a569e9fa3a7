"""Triangle meshes with morph targets to one binary glTF 2.0 file (Khronos specification, section 4) and back.

Plain glTF: no compression, no required extension, so that every loader opens it. Morph targets are sparse
accessors. One skin with the joints Neck and Head; no animations, no cameras. Only what is written here is
read back.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from bilabial.io.exporters import read_glb
from bilabial.io.exporters import write_glb as write_container
from bilabial.io.gltf_arrays import read_array

MOVES_METERS = 1e-4  # a vertex that moves less is left out of a morph target
TURNS = 0.05  # a normal that changes less (3 degrees) is left out
COMPONENT_TYPES = {np.dtype(np.uint8): 5121, np.dtype(np.uint16): 5123, np.dtype(np.float32): 5126}
SHAPE_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
NECK, PIVOT = (
    (0.0, -0.12, -0.03),
    (0.0, -0.045, -0.01),
)  # meters: where the neck begins, and where a head turns


@dataclass(frozen=True)
class Part:
    """One mesh with one material.

    positions: (V, 3) in meters, y up, face to +z; triangles: (N, 3), counter-clockwise from outside; deltas:
    (K, V, 3) in meters, what each morph target adds, K = 0 for a part that never moves; material: of glTF;
    normals: (V, 3), of the triangles when None; colors: (V, 3 or 4) linear RGB(A); uvs: (V, 2); image: PNG or
    JPEG of the base color; surface: PNG of occlusion (red), roughness (green) and gloss (alpha); relief:
    JPEG of normals; bends: whether the normals follow the morph targets; twins: (V,), of each vertex the one
    whose normal it shares; light: (V, 4) in 0..1, what of each lamp and of the sky reaches it (_LIGHT);
    extras: kept in the mesh's extras; turning: how far it goes with the head, (V,) in 0..1, or one number for
    all of it.
    """

    name: str
    positions: np.ndarray
    triangles: np.ndarray
    deltas: np.ndarray
    material: dict
    normals: np.ndarray | None = None
    colors: np.ndarray | None = None
    uvs: np.ndarray | None = None
    image: bytes | None = None
    surface: bytes | None = None
    relief: bytes | None = None
    bends: bool = True
    twins: np.ndarray | None = None
    light: np.ndarray | None = None
    extras: dict | None = None
    turning: np.ndarray | float = 0.0


def vertex_normals(positions: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3), each the mean of the triangles around a vertex weighted by area."""
    a, b, c = (positions[triangles[:, i]] for i in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(positions, dtype=float)
    for i in range(3):
        np.add.at(normals, triangles[:, i], faces)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def vertex_tangents(
    positions: np.ndarray, normals: np.ndarray, uvs: np.ndarray, triangles: np.ndarray
) -> np.ndarray:
    """Tangents (V, 4) as in glTF: along u, and the sign of the bitangent, which points up the picture."""
    a, b, c = triangles.T
    sides = positions[b] - positions[a], positions[c] - positions[a]
    (u1, v1), (u2, v2) = (uvs[b] - uvs[a]).T, (uvs[c] - uvs[a]).T
    area = (u1 * v2 - u2 * v1)[:, None]
    area = np.where(np.abs(area) < 1e-12, np.inf, area)
    along = (v2[:, None] * sides[0] - v1[:, None] * sides[1]) / area
    up = (u2[:, None] * sides[0] - u1[:, None] * sides[1]) / area
    sums = np.zeros((2, *positions.shape))
    for corner in triangles.T:
        np.add.at(sums[0], corner, along)
        np.add.at(sums[1], corner, up)
    flat = np.linalg.norm(np.cross(normals, sums[0]), axis=1) < 1e-9
    sums[0][flat] = np.where(np.abs(normals[flat, :1]) < 0.9, [1.0, 0, 0], [0, 1.0, 0])
    tangents = sums[0] - normals * np.einsum("vc,vc->v", normals, sums[0])[:, None]
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    sign = np.where(np.einsum("vc,vc->v", np.cross(normals, tangents), sums[1]) < 0, -1.0, 1.0)
    return np.column_stack([tangents, sign])


def encode_png(pixels: np.ndarray) -> bytes:
    """pixels: (H, W, channels) uint8: gray and alpha, RGB, or RGBA."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return file.getvalue()


class Binary:
    """The file's binary chunk and the accessors that point into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict] = []
        self.accessors: list[dict] = []

    def add_view(self, data: bytes, target: int | None = None) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(view | ({"target": target} if target else {}))
        self.data += data
        return len(self.views) - 1

    def add_array(
        self, values: np.ndarray, target: int | None, normalized: bool = False, bounds: bool = False
    ) -> int:
        accessor = self._describe(values)
        accessor["bufferView"] = self.add_view(np.ascontiguousarray(values).tobytes(), target)
        if normalized:
            accessor["normalized"] = True
        if bounds:
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_sparse(self, values: np.ndarray, smallest: float, bounds: bool = False) -> int:
        """values: (V, 3) float32; rows shorter than smallest count as zero."""
        kept = np.flatnonzero(np.linalg.norm(values, axis=1) > smallest).astype(np.uint16)
        values = np.where(np.isin(np.arange(len(values)), kept)[:, None], values, 0).astype(np.float32)
        accessor = self._describe(values)
        if bounds:
            accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
        if len(kept):
            accessor["sparse"] = {
                "count": len(kept),
                "indices": {"bufferView": self.add_view(kept.tobytes()), "componentType": 5123},
                "values": {"bufferView": self.add_view(values[kept].tobytes())},
            }
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    @staticmethod
    def _describe(values: np.ndarray) -> dict:
        width = values.shape[1] if values.ndim > 1 else 1
        kind = {"componentType": COMPONENT_TYPES[values.dtype], "type": SHAPE_TYPES[width]}
        return kind | {"count": len(values)}


def write_glb(path: Path, parts: Sequence[Part], target_names: Sequence[str], asset: dict) -> None:
    """One node per part under one root, or under the joint Head; asset: what is added to the file's asset."""
    binary = Binary()
    document: dict = {
        "asset": {"version": "2.0", "generator": "tools/make_head/head.py of bilabial"} | asset,
        "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "head", "children": list(range(1, len(parts) + 1))}],
        "meshes": [], "materials": [], "textures": [], "images": [], "samplers": [
            {"wrapS": 33071, "wrapT": 33071, "minFilter": 9987, "magFilter": 9729},
            {"wrapS": 33071, "wrapT": 33071, "minFilter": 9729, "magFilter": 9729},
        ],
    }  # fmt: skip
    for part in parts:
        document["nodes"].append({"name": part.name, "mesh": len(document["meshes"])})
        material = {"name": part.name} | part.material
        maps = material["pbrMetallicRoughness"] = dict(material["pbrMetallicRoughness"])
        if part.image:
            maps["baseColorTexture"] = _add_texture(document, binary, part.image, sampler=0)
        if part.surface:
            texture = _add_texture(document, binary, part.surface, sampler=1)
            maps["metallicRoughnessTexture"] = material["occlusionTexture"] = texture
            material["extensions"] = {"KHR_materials_specular": {"specularTexture": texture}}
        if part.relief:
            material["normalTexture"] = _add_texture(document, binary, part.relief, sampler=0)
        document["materials"].append(material)
        primitive = _primitive(part, binary) | {"material": len(document["materials"]) - 1}
        mesh: dict = {"name": part.name, "primitives": [primitive], "extras": part.extras or {}}
        if len(part.deltas):
            mesh["extras"] = {"targetNames": list(target_names)} | mesh["extras"]
            mesh["weights"] = [0] * len(target_names)
        document["meshes"].append(mesh)
    if any(np.any(part.turning) for part in parts):
        _add_joints(document, binary, parts)
    document |= {"accessors": binary.accessors, "bufferViews": binary.views}
    document["extensionsUsed"] = sorted(
        {name for m in document["materials"] for name in m.get("extensions", {})}
    )
    write_container(path, {key: value for key, value in document.items() if value != []}, bytes(binary.data))


def _add_joints(document: dict, binary: Binary, parts: Sequence[Part]) -> None:
    """Two joints below the root, parts that turn as a whole below the Head, and a skin for the others."""
    nodes, root = document["nodes"], document["nodes"][0]
    neck, head = len(nodes), len(nodes) + 1
    nodes.append({"name": "Neck", "translation": list(NECK), "children": [head]})
    nodes.append({"name": "Head", "translation": np.subtract(PIVOT, NECK).round(4).tolist(), "children": []})
    root["children"].append(neck)
    unbound = np.tile(np.eye(4, dtype=np.float32).ravel(), (2, 1))  # column by column: translations are last
    unbound[:, 12:15] = -np.array([NECK, PIVOT])
    for number, part in enumerate(parts, start=1):
        if np.ndim(part.turning):
            document.setdefault("skins", [{"joints": [neck, head], "skeleton": neck}])
            nodes[number]["skin"] = 0
            root["children"].remove(number)  # nodes with a skin are roots (glTF 2.0, 3.7.3.3)
            document["scenes"][0]["nodes"].append(number)
        elif part.turning:
            nodes[number]["translation"] = [-place for place in PIVOT]
            root["children"].remove(number)
            nodes[head]["children"].append(number)
    if "skins" in document:
        document["skins"][0]["inverseBindMatrices"] = binary.add_array(unbound, None)


def _add_texture(document: dict, binary: Binary, image: bytes, sampler: int) -> dict:
    kind = "image/jpeg" if image.startswith(b"\xff\xd8") else "image/png"
    document["images"].append({"bufferView": binary.add_view(image), "mimeType": kind})
    document["textures"].append({"source": len(document["images"]) - 1, "sampler": sampler})
    return {"index": len(document["textures"]) - 1}


def _primitive(part: Part, binary: Binary) -> dict:
    twins = np.arange(len(part.positions)) if part.twins is None else part.twins

    def normals_of(positions: np.ndarray) -> np.ndarray:
        return vertex_normals(positions, twins[part.triangles])[twins]

    own = normals_of(part.positions)
    normals = own if part.normals is None else part.normals
    attributes = {
        "POSITION": binary.add_array(part.positions.astype(np.float32), 34962, bounds=True),
        "NORMAL": binary.add_array(normals.astype(np.float32), 34962),
    }
    if part.relief:
        tangents = vertex_tangents(part.positions, normals, part.uvs, part.triangles)
        attributes["TANGENT"] = binary.add_array(tangents.astype(np.float32), 34962)
    if part.uvs is not None:
        attributes["TEXCOORD_0"] = binary.add_array(part.uvs.astype(np.float32), 34962)
    if part.colors is not None:
        opaque = np.concatenate([part.colors, np.ones((len(part.colors), 1))], axis=1)[:, :4].clip(0, 1)
        attributes["COLOR_0"] = binary.add_array(
            (opaque * 65535).round().astype(np.uint16), 34962, normalized=True
        )
    if np.ndim(part.turning):
        share = (np.asarray(part.turning).clip(0, 1) * 255).round().astype(np.uint8)
        nothing = np.zeros_like(share)
        joints = np.tile(np.array([0, 1, 0, 0], np.uint8), (len(share), 1)) * (share > 0)[:, None]
        weights = np.stack([255 - share, share, nothing, nothing], axis=1)
        attributes["JOINTS_0"] = binary.add_array(joints, 34962)
        attributes["WEIGHTS_0"] = binary.add_array(weights, 34962, normalized=True)
    if part.light is not None:
        levels = (part.light.clip(0, 1) * 255).round().astype(np.uint8)
        attributes["_LIGHT"] = binary.add_array(levels, 34962, normalized=True)
    targets = []
    if len(part.deltas):
        still = binary.add_sparse(np.zeros_like(part.positions), 1.0, bounds=True)
    for delta in part.deltas:
        target = {"POSITION": still, "NORMAL": still}
        if np.linalg.norm(delta, axis=1).max() > MOVES_METERS:
            target["POSITION"] = binary.add_sparse(delta, MOVES_METERS, bounds=True)
            if part.bends:
                turned = normals_of(part.positions + delta) - own
                target["NORMAL"] = binary.add_sparse(turned, TURNS)
        targets.append(target)
    indices = binary.add_array(part.triangles.astype(np.uint16).ravel(), 34963)
    primitive = {"attributes": attributes, "indices": indices}
    return primitive | ({"targets": targets} if targets else {})


@dataclass(frozen=True, eq=False)
class Mesh:
    """A mesh of such a file.

    positions (V, 3) and deltas (K, V, 3) in meters; normals (V, 3), and what each morph target adds to them:
    normal_deltas (K, V, 3); triangles (N, 3); extras: of the mesh, with the names of morph targets.
    """

    positions: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    deltas: np.ndarray
    normal_deltas: np.ndarray
    extras: dict

    @property
    def target_names(self) -> list[str]:
        return self.extras.get("targetNames", [])

    def pose(self, **weights: float) -> np.ndarray:
        """Positions (V, 3) with weights of morph targets by name."""
        moved = [weight * self.deltas[self.target_names.index(name)] for name, weight in weights.items()]
        return self.positions + sum(moved, np.zeros_like(self.positions))


def read_mesh(path: Path, name: str) -> Mesh:
    """A mesh of a file of write_glb. Raises ValueError where the file is no GLB or has no such mesh."""
    document, binary = read_glb(path)
    meshes = {mesh["name"]: mesh for mesh in document["meshes"]}
    if name not in meshes:
        raise ValueError(f"{path} has no mesh {name!r}, it has {', '.join(meshes)}")
    (primitive,) = meshes[name]["primitives"]
    array = partial(read_array, document, binary)
    positions, normals = (array(primitive["attributes"][key]) for key in ("POSITION", "NORMAL"))
    deltas, normal_deltas = (
        np.array([array(target[key]) for target in primitive.get("targets", [])]).reshape(
            -1, *positions.shape
        )
        for key in ("POSITION", "NORMAL")
    )
    triangles = array(primitive["indices"]).astype(int).reshape(-1, 3)
    return Mesh(positions, normals, triangles, deltas, normal_deltas, meshes[name]["extras"])
