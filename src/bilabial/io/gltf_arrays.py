"""Numbers of a GLB: the accessors of its scene (Khronos' glTF 2.0, section 3.6.2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

DTYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}  # componentType
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def read_array(scene: Mapping, binary: bytes, index: int) -> np.ndarray:
    """An accessor as (count, width) float64, a sparse one filled up, a normalized one in -1..1.

    scene, binary: of `read_glb`. Raises ValueError, KeyError, IndexError or TypeError for a damaged file.
    """
    accessor = scene["accessors"][index]
    count, width = accessor["count"], WIDTHS[accessor["type"]]
    values = np.zeros((count, width))
    if "bufferView" in accessor:
        values = _view(scene, binary, accessor, count, width)
    if sparse := accessor.get("sparse"):
        rows = _view(scene, binary, sparse["indices"], sparse["count"], 1).astype(int).ravel()
        given = sparse["values"] | {"componentType": accessor["componentType"]}
        values[rows] = _view(scene, binary, given, sparse["count"], width)
    if accessor.get("normalized"):
        values = values / np.iinfo(DTYPES[accessor["componentType"]]).max
    return values


def _view(scene: Mapping, binary: bytes, given: Mapping, count: int, width: int) -> np.ndarray:
    view, dtype = scene["bufferViews"][given["bufferView"]], np.dtype(DTYPES[given["componentType"]])
    start = view.get("byteOffset", 0) + given.get("byteOffset", 0)
    stride = view.get("byteStride", dtype.itemsize * width)
    if start + (count - 1) * stride + dtype.itemsize * width > len(binary):
        raise ValueError("an accessor ends behind the file")
    return np.ndarray((count, width), dtype, binary, start, (stride, dtype.itemsize)).astype(float)
