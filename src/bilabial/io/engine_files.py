"""Animations for game engines and film tools as text: Unity .anim, Godot .tres, USD .usda."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bilabial.clip import FaceClip
from bilabial.io.frame_clock import FrameClock
from bilabial.io.head_rotation import quaternions

TRANSFORM, ROTATION_BINDING = 4, 2  # Unity's class, and its attribute for a quaternion
UNITY_AXES = np.array([1.0, -1.0, -1.0, 1.0])  # Unity's x is to the subject's right, and its hand the left
SKINNED_MESH_RENDERER, BLEND_SHAPE_BINDING = 137, 20  # Unity's class, and the kind of its binding
LINEAR_TANGENTS = 69  # both tangents broken and linear
PERCENT = 100.0  # Unity's blend shape weights


def to_unity(
    clip: FaceClip, path: str | Path, node: str = "Face", title: str = "speech", head_node: str = "Head"
) -> Path:
    """Write an AnimationClip for Unity: weights 0..100 of the blend shapes of one SkinnedMeshRenderer.

    node: the renderer's path below the animated object. head_node: that of the head, which looks to +z where
    its rotation is 0; a clip with a head turns it. Keys in the midst of a still stretch are left out.
    Returns the path.
    """
    times = FrameClock.of(clip.fps).seconds(len(clip))
    curves = [
        line
        for name in clip.names
        for line in _unity_curve(times, PERCENT * clip[name], f"blendShape.{name}", node)
    ]
    bindings = [line for name in clip.names for line in _unity_binding(name, node)]
    turns = np.zeros((0, 4)) if clip.head is None else quaternions(clip.head) * UNITY_AXES
    rotations = ["  m_RotationCurves: []"]
    editor_curves = curves
    if len(turns):
        rotations = ["  m_RotationCurves:", *_unity_rotation(times, turns, head_node)]
        bindings += _unity_rotation_binding(head_node)
        editor_curves = curves + [
            line
            for axis, values in zip("xyzw", turns.T, strict=True)
            for line in _unity_curve(times, values, f"m_LocalRotation.{axis}", head_node, TRANSFORM)
        ]
    lines = [
        "%YAML 1.1", "%TAG !u! tag:unity3d.com,2011:", "--- !u!74 &7400000", "AnimationClip:",
        "  m_ObjectHideFlags: 0", "  m_CorrespondingSourceObject: {fileID: 0}",
        "  m_PrefabInstance: {fileID: 0}", "  m_PrefabAsset: {fileID: 0}",
        f"  m_Name: {json.dumps(title, ensure_ascii=False)}", "  serializedVersion: 7",
        "  m_Legacy: 0", "  m_Compressed: 0", "  m_UseHighQualityCurve: 1", *rotations,
        "  m_CompressedRotationCurves: []", "  m_EulerCurves: []", "  m_PositionCurves: []",
        "  m_ScaleCurves: []", "  m_FloatCurves:", *curves, "  m_PPtrCurves: []",
        f"  m_SampleRate: {_number(clip.fps)}", "  m_WrapMode: 0", "  m_Bounds:",
        "    m_Center: {x: 0, y: 0, z: 0}", "    m_Extent: {x: 0, y: 0, z: 0}",
        "  m_ClipBindingConstant:", "    genericBindings:", *bindings, "    pptrCurveMapping: []",
        "  m_AnimationClipSettings:", "    serializedVersion: 2",
        "    m_AdditiveReferencePoseClip: {fileID: 0}", "    m_AdditiveReferencePoseTime: 0",
        "    m_StartTime: 0", f"    m_StopTime: {_number(times[-1])}", "    m_OrientationOffsetY: 0",
        "    m_Level: 0", "    m_CycleOffset: 0", "    m_HasAdditiveReferencePose: 0", "    m_LoopTime: 0",
        "    m_LoopBlend: 0", "    m_LoopBlendOrientation: 0", "    m_LoopBlendPositionY: 0",
        "    m_LoopBlendPositionXZ: 0", "    m_KeepOriginalOrientation: 0",
        "    m_KeepOriginalPositionY: 1", "    m_KeepOriginalPositionXZ: 0", "    m_HeightFromFeet: 0",
        "    m_Mirror: 0", "  m_EditorCurves:", *editor_curves, "  m_EulerEditorCurves: []",
        "  m_HasGenericRootTransform: 0", "  m_HasMotionFloatCurves: 0", "  m_Events: []",
    ]  # fmt: skip
    return _written(path, lines)


def to_godot(
    clip: FaceClip, path: str | Path, node: str = "Face", title: str = "speech", head_node: str = "Head"
) -> Path:
    """Write an Animation resource for Godot 4: one blend shape track a curve. Returns the path.

    node: the path from the AnimationPlayer's root to the MeshInstance3D. head_node: that to the head's
    Node3D, or of a bone as "Skeleton3D:Head", which looks to +z where its rotation is 0; a clip with a head
    has a rotation track for it.
    """
    clock = FrameClock.of(clip.fps)
    times = clock.seconds(len(clip))
    lines = [
        '[gd_resource type="Animation" format=3]', "", "[resource]",
        f"resource_name = {json.dumps(title, ensure_ascii=False)}",
        f"length = {_number(len(clip) / float(clock.rate))}", f"step = {_number(1 / float(clock.rate))}",
    ]  # fmt: skip
    for number, name in enumerate(clip.names):
        keys = ", ".join(f"{_number(time)}, 1, {_number(value)}" for time, value in _kept(times, clip[name]))
        lines += [
            f'tracks/{number}/type = "blend_shape"',
            f"tracks/{number}/imported = false",
            f"tracks/{number}/enabled = true",
            f"tracks/{number}/path = NodePath({json.dumps(f'{node}:{name}', ensure_ascii=False)})",
            f"tracks/{number}/interp = 1",
            f"tracks/{number}/loop_wrap = false",
            f"tracks/{number}/keys = PackedFloat32Array({keys})",
        ]
    if clip.head is not None:
        number, turns = len(clip.names), quaternions(clip.head)
        keys = ", ".join(
            f"{_number(time)}, 1, {', '.join(map(_number, turn))}"
            for time, turn in zip(times, turns, strict=True)
        )
        lines += [
            f'tracks/{number}/type = "rotation_3d"',
            f"tracks/{number}/imported = false",
            f"tracks/{number}/enabled = true",
            f"tracks/{number}/path = NodePath({json.dumps(head_node, ensure_ascii=False)})",
            f"tracks/{number}/interp = 1",
            f"tracks/{number}/loop_wrap = false",
            f"tracks/{number}/keys = PackedFloat32Array({keys})",
        ]
    return _written(path, lines)


def to_usd(clip: FaceClip, path: str | Path, start: str | None = None) -> Path:
    """Write a USD layer (.usda) with a SkelAnimation: blendShapes and their weights at each time code.

    Time codes are frames, the first is that of the start timecode HH:MM:SS:FF. Meshes take it by
    skel:animationSource. A clip with a head turns the joint Head, which stays at the origin. Returns the
    path.
    """
    clock = FrameClock.of(clip.fps, start)
    names = ", ".join(json.dumps(name, ensure_ascii=False) for name in clip.names)
    first, rate = clock.start_frame, float(clock.rate)
    samples = [
        f"            {first + frame}: [{', '.join(map(_number, row))}],"
        for frame, row in enumerate(clip.values)
    ]
    lines = [
        "#usda 1.0", "(", '    defaultPrim = "Face"', f"    endTimeCode = {first + len(clip) - 1}",
        f"    framesPerSecond = {rate!r}", "    metersPerUnit = 1", f"    startTimeCode = {first}",
        f"    timeCodesPerSecond = {rate!r}", '    upAxis = "Y"', ")", "", 'def SkelRoot "Face"', "{",
        '    def SkelAnimation "Speech"', "    {", f"        uniform token[] blendShapes = [{names}]",
        "        float[] blendShapeWeights.timeSamples = {", *samples, "        }",
        *_usd_joint(clip.head, first), "    }", "}",
    ]  # fmt: skip
    return _written(path, lines)


def _usd_joint(head: np.ndarray | None, first: int) -> list[str]:
    """The joint Head of a SkelAnimation with its rotations, real part first, from a time code on."""
    if head is None:
        return []
    turns = quaternions(head)[:, [3, 0, 1, 2]]
    samples = [
        f"            {first + frame}: [({', '.join(map(_number, turn))})],"
        for frame, turn in enumerate(turns)
    ]
    return [
        '        uniform token[] joints = ["Head"]', "        quatf[] rotations.timeSamples = {", *samples,
        "        }", "        half3[] scales = [(1, 1, 1)]", "        float3[] translations = [(0, 0, 0)]",
    ]  # fmt: skip


def _unity_curve(
    times: np.ndarray,
    values: np.ndarray,
    attribute: str,
    node: str,
    class_id: int = SKINNED_MESH_RENDERER,
) -> Iterator[str]:
    """A curve of m_FloatCurves; its tangents are the chords, so that Unity's Hermite curves are lines."""
    keys = np.array(list(_kept(times, values)))
    slopes = np.diff(keys[:, 1]) / np.diff(keys[:, 0]) if len(keys) > 1 else np.zeros(0)
    arriving, leaving = np.concatenate([[0.0], slopes]), np.concatenate([slopes, [0.0]])
    yield from ("  - serializedVersion: 2", "    curve:", "      serializedVersion: 2", "      m_Curve:")
    for (time, value), in_slope, out_slope in zip(keys, arriving, leaving, strict=True):
        yield from (
            "      - serializedVersion: 3", f"        time: {_number(time)}",
            f"        value: {_number(value)}",
            f"        inSlope: {_number(in_slope)}", f"        outSlope: {_number(out_slope)}",
            f"        tangentMode: {LINEAR_TANGENTS}", "        weightedMode: 0",
            "        inWeight: 0.33333334", "        outWeight: 0.33333334",
        )  # fmt: skip
    yield from (
        "      m_PreInfinity: 2", "      m_PostInfinity: 2", "      m_RotationOrder: 4",
        f"    attribute: {json.dumps(attribute, ensure_ascii=False)}",
        f"    path: {json.dumps(node, ensure_ascii=False)}", f"    classID: {class_id}",
        "    script: {fileID: 0}", "    flags: 0",
    )  # fmt: skip


def _unity_rotation(times: np.ndarray, turns: np.ndarray, node: str) -> Iterator[str]:
    """The one curve of m_RotationCurves, quaternions (T, 4) at times (T,); tangents are means of chords."""
    slopes = np.gradient(turns, times, axis=0) if len(turns) > 1 else np.zeros_like(turns)
    yield from ("  - curve:", "      serializedVersion: 2", "      m_Curve:")
    weight = _unity_vector(np.full(4, 1 / 3))
    for time, turn, slope in zip(times, turns, slopes, strict=True):
        yield from (
            "      - serializedVersion: 3", f"        time: {_number(time)}",
            f"        value: {_unity_vector(turn)}",
            f"        inSlope: {_unity_vector(slope)}", f"        outSlope: {_unity_vector(slope)}",
            "        tangentMode: 0", "        weightedMode: 0",
            f"        inWeight: {weight}", f"        outWeight: {weight}",
        )  # fmt: skip
    yield from (
        "      m_PreInfinity: 2", "      m_PostInfinity: 2", "      m_RotationOrder: 4",
        f"    path: {json.dumps(node, ensure_ascii=False)}",
    )  # fmt: skip


def _unity_vector(values: np.ndarray) -> str:
    named = (f"{axis}: {_number(value)}" for axis, value in zip("xyzw", values, strict=True))
    return f"{{{', '.join(named)}}}"


def _unity_rotation_binding(node: str) -> Iterator[str]:
    yield from (
        "    - serializedVersion: 2", f"      path: {zlib.crc32(node.encode())}",
        f"      attribute: {ROTATION_BINDING}", "      script: {fileID: 0}",
        f"      typeID: {TRANSFORM}", "      customType: 0",
        "      isPPtrCurve: 0", "      isIntCurve: 0", "      isSerializeReferenceCurve: 0",
    )  # fmt: skip


def _unity_binding(name: str, node: str) -> Iterator[str]:
    """What Unity looks the curve's target up by: CRC-32 of its path and attribute."""
    yield from (
        "    - serializedVersion: 2", f"      path: {zlib.crc32(node.encode())}",
        f"      attribute: {zlib.crc32(f'blendShape.{name}'.encode())}", "      script: {fileID: 0}",
        f"      typeID: {SKINNED_MESH_RENDERER}", f"      customType: {BLEND_SHAPE_BINDING}",
        "      isPPtrCurve: 0", "      isIntCurve: 0", "      isSerializeReferenceCurve: 0",
    )  # fmt: skip


def _kept(times: np.ndarray, values: np.ndarray) -> Iterator[tuple[float, float]]:
    """Times and values of a curve (T,) without those whose neighbors have the same value."""
    same = np.zeros(len(values), bool)
    same[1:-1] = (values[1:-1] == values[:-2]) & (values[1:-1] == values[2:])
    yield from zip(times[~same], values[~same], strict=True)


def _number(value: float) -> str:
    """The shortest text of a single-precision number."""
    short = np.format_float_positional(np.float32(value), unique=True, trim="-")
    return "0" if math.isclose(value, 0.0, abs_tol=1e-9) else short


def _written(path: str | Path, lines: list[str]) -> Path:
    path = Path(path)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return path
