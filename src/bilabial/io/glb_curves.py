"""Curves of an animated face in a GLB: the first animation of ARKit's morph targets, and of its head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bilabial.errors import UserError
from bilabial.io.exporters import read_glb
from bilabial.io.gltf_arrays import DTYPES, read_array
from bilabial.io.head_rotation import bone_degrees, head_bone
from bilabial.io.names import arkit_name
from bilabial.io.tracks import Track, track_of_rows

DAMAGE = (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError)


def read_glb_curves(path: str | Path) -> Track:
    """The weights of the first animation that moves morph targets; of two meshes the first counts.

    Raises UserError for a GLB without one, with none of ARKit's names, or a damaged one.
    """
    scene, binary = read_glb(path)
    try:
        channels = _weight_channels(scene)
        curves = {} if not channels else _curves(scene, binary, channels)
        turns = _head(scene, binary)
    except DAMAGE as error:
        raise UserError("glb_animation", path=Path(path)) from error
    if not channels:
        raise UserError("glb_still", path=Path(path))
    if not curves:
        raise UserError("curves_unknown", path=Path(path))
    try:
        times = next(iter(curves.values()))[0]
        rows = np.stack([np.interp(times, own, values) for own, values in curves.values()], axis=1)
        track = track_of_rows(list(curves), rows, times)
        if turns is not None:
            head = np.stack([np.interp(times, turns[0], angle) for angle in turns[1].T], axis=1)
            track = replace(track, head=head)
        return track
    except UserError as error:
        raise error.in_file(path) from error


def _weight_channels(scene: Mapping) -> list[tuple[Mapping, Mapping]]:
    """(channel, its sampler) of the first animation with morph weights."""
    for animation in scene.get("animations", []):
        samplers = animation["samplers"]
        found = [
            (channel, samplers[channel["sampler"]])
            for channel in animation["channels"]
            if channel["target"]["path"] == "weights"
        ]
        if found:
            return found
    return []


def _curves(
    scene: Mapping, binary: bytes, channels: list[tuple[Mapping, Mapping]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(times, values), (N,) float64 each, by ARKit's name."""
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for channel, sampler in channels:
        mesh = scene["meshes"][scene["nodes"][channel["target"]["node"]]["mesh"]]
        times = _numbers(scene, binary, sampler["input"])
        weights = _numbers(scene, binary, sampler["output"])
        if sampler.get("interpolation") == "CUBICSPLINE":  # in-tangent, value, out-tangent of each key
            weights = weights.reshape(len(times), 3, -1)[:, 1]
        for name, values in zip(_target_names(mesh), weights.reshape(len(times), -1).T, strict=False):
            known = arkit_name(name)
            if known and known not in curves:
                curves[known] = times, values
    return curves


def _head(scene: Mapping, binary: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    """Times (N,) and angles (N, 3), as FaceClip.head, of the head bone in the animation of the face."""
    bone = head_bone(scene)
    for animation in scene.get("animations", []):
        targets = [(channel["target"]["path"], channel) for channel in animation["channels"]]
        if "weights" not in dict(targets):
            continue
        for path, channel in targets:
            if path == "rotation" and channel["target"].get("node") == bone is not None:
                sampler = animation["samplers"][channel["sampler"]]
                times = _numbers(scene, binary, sampler["input"])
                turns = read_array(scene, binary, sampler["output"])
                if sampler.get("interpolation") == "CUBICSPLINE":
                    turns = turns.reshape(len(times), 3, 4)[:, 1]
                return times, bone_degrees(scene, bone, turns)
        return None
    return None


def _target_names(mesh: Mapping) -> list[str]:
    """As the extras of a mesh, or those of its first primitive, give them."""
    parts = (mesh.get("extras"), mesh["primitives"][0].get("extras"))
    return next((list(map(str, extras["targetNames"])) for extras in parts if extras), [])


def _numbers(scene: Mapping, binary: bytes, index: int) -> np.ndarray:
    """A scalar accessor as (N,) float64; integers become 0..1."""
    values, kind = read_array(scene, binary, index).ravel(), scene["accessors"][index]
    if kind.get("normalized") or DTYPES[kind["componentType"]] == "<f4":
        return values
    return values / np.iinfo(DTYPES[kind["componentType"]]).max  # some writers leave the mark out
