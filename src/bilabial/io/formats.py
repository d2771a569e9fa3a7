"""File formats of a FaceClip by name: one table for command, batch and documentation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.io.curve_files import to_audio2face, to_beat, to_frame_table, to_parquet
from bilabial.io.engine_files import to_godot, to_unity, to_usd
from bilabial.io.files import replacing
from bilabial.io.frame_clock import FrameClock
from bilabial.io.names import columns_by_name
from bilabial.io.visemes import to_rhubarb_json, to_rhubarb_table, to_viseme_json, to_viseme_table
from bilabial.io.vrma import to_vrma
from bilabial.rig import RigProfile
from bilabial.rig_shapes import LIVE_LINK_EYES, eye_rotations


@dataclass(frozen=True)
class WriteOptions:
    """What formats want beside the clip.

    head: a GLB whose face the GLB format animates. rig: whose shapes and names are written, None = those of
    the format. start: timecode HH:MM:SS:FF of the first frame. node: path of the face in Unity and Godot.
    title: the animation's name, None = that of the file. head_node: path of the head in Unity and Godot.
    """

    head: Path | None = None
    rig: RigProfile | None = None
    start: str | None = None
    node: str = "Face"
    title: str | None = None
    head_node: str = "Head"


@dataclass(frozen=True)
class Format:
    """A kind of file.

    suffix: of its files. title: for users. write: makes a file of a clip in the rig's names at a path; its
    last argument is the clip before. rig: the profile it is written in where the user names none. readers:
    what opens it. loses: what of a clip is not in it. head: where the head's rotation is, "" = nowhere.
    """

    suffix: str
    title: str
    write: Callable[[FaceClip, Path, WriteOptions, FaceClip], object]
    rig: str | None = None
    readers: str = ""
    loses: str = ""
    head: str = ""


def _csv(clip: FaceClip, path: Path, options: WriteOptions, arkit: FaceClip) -> None:
    named = columns_by_name(clip.names)
    if "jawOpen" not in named:
        raise UserError("format_names", name="csv", names=clip.names)
    plain = FaceClip(list(named), clip.values[:, list(named.values())], clip.fps, head=clip.head)
    clock = FrameClock.of(clip.fps, options.start)
    plain.to_csv(path, clock.start_seconds, eye_rotations(arkit, LIVE_LINK_EYES))


def _npz(clip: FaceClip, path: Path, options: WriteOptions, arkit: FaceClip) -> None:
    clip.to_npz(path)


def _json(clip: FaceClip, path: Path, options: WriteOptions, arkit: FaceClip) -> None:
    from bilabial.io.exporters import to_json

    to_json(clip, path)


def _glb(clip: FaceClip, path: Path, options: WriteOptions, arkit: FaceClip) -> None:
    from bilabial.io.exporters import HEAD, to_glb

    to_glb(clip, path, options.head or HEAD)


def _vrma(clip: FaceClip, path: Path, options: WriteOptions, arkit: FaceClip) -> None:
    profile = options.rig or RigProfile.load("vrm")
    turned = profile.eye_rotations(arkit)
    gaze = None if turned is None else (turned[:, :2] + turned[:, 2:]) / 2
    to_vrma(clip, path, gaze)


def _unity(clip: FaceClip, path: Path, options: WriteOptions, arkit: FaceClip) -> None:
    to_unity(clip, path, options.node, options.title or "speech", options.head_node)


def _godot(clip: FaceClip, path: Path, options: WriteOptions, arkit: FaceClip) -> None:
    to_godot(clip, path, options.node, options.title or "speech", options.head_node)


def _of_visemes(write: Callable[..., object], default: str) -> Callable[..., object]:
    """A writer of visemes with the resting and the closed one of the rig."""

    def written(clip: FaceClip, path: Path, options: WriteOptions, arkit: FaceClip) -> None:
        profile = options.rig or RigProfile.load(default)
        if profile.rest is None:
            raise UserError("format_visemes", name=profile.name)
        write(clip, path, profile.rest, profile.closed)

    return written


FORMATS = {
    "csv": Format(
        ".csv", "Live Link Face CSV", _csv, None,
        "Unreal Live Link Face importers, pandas", "the rate, except in timecodes",
        "HeadYaw, HeadPitch, HeadRoll, radians",
    ),
    "json": Format(
        ".json", "JSON of LAM: names and frames of weights", _json, None, "any JSON reader",
        "start timecode, turned eyes", "`rotation` of frames, degrees",
    ),
    "npz": Format(
        ".npz", "numpy archive of a FaceClip", _npz, None, "numpy", "start timecode, turned eyes",
        "`head`, degrees",
    ),
    "glb": Format(
        ".glb", "GLB of a head with the animation", _glb, None,
        "Blender, three.js, Unity (glTFast), Godot, Unreal", "start timecode, turned eyes",
        "rotation of the head bone",
    ),
    "a2f": Format(
        ".a2f.json", "Audio2Face JSON", lambda clip, path, *_: to_audio2face(clip, path), "audio2face",
        "Omniverse Audio2Face importers", "start timecode, turned eyes",
    ),
    "beat": Format(
        ".beat.json", "BEAT JSON", lambda clip, path, *_: to_beat(clip, path), None,
        "readers of BEAT and LAM", "start timecode, turned eyes; the rate, except in times",
    ),
    "maya": Format(
        ".maya.csv", "CSV with frame, timecode, seconds and a column a curve",
        lambda clip, path, options, _: to_frame_table(clip, path, options.start), None,
        "Maya and MotionBuilder scripts, spreadsheets", "turned eyes",
        "headYaw, headPitch, headRoll, degrees",
    ),
    "parquet": Format(
        ".parquet", "Parquet table",
        lambda clip, path, options, _: to_parquet(clip, path, options.start), None,
        "pandas, polars, DuckDB, datasets", "turned eyes", "headYaw, headPitch, headRoll, degrees",
    ),
    "vrma": Format(
        ".vrma", "VRM Animation", _vrma, "vrm",
        "UniVRM, three-vrm, VRM viewers", "start timecode; what the rig has no expressions for",
        "the bone `head`",
    ),
    "unity": Format(
        ".anim", "Unity AnimationClip", _unity, None, "Unity", "start timecode, turned eyes",
        "rotation of `--head-node`",
    ),
    "godot": Format(
        ".tres", "Godot 4 Animation", _godot, None, "Godot 4", "start timecode, turned eyes",
        "rotation of `--head-node`",
    ),
    "usd": Format(
        ".usda", "USD SkelAnimation", lambda clip, path, options, _: to_usd(clip, path, options.start), None,
        "usdview, Omniverse, Maya, Houdini, Unreal", "turned eyes", "the joint `Head`",
    ),
    "visemes": Format(
        ".visemes.json", "15 visemes: weights of frames, and cues", _of_visemes(to_viseme_json, "oculus"),
        "oculus", "any JSON reader", "all but the mouth; what happens behind the lips",
    ),
    "visemes-tsv": Format(
        ".visemes.tsv", "15 visemes: rows of start, end, viseme, intensity",
        _of_visemes(to_viseme_table, "oculus"), "oculus", "any table reader", "the same; mixtures of visemes",
    ),
    "rhubarb": Format(
        ".rhubarb.json", "Rhubarb JSON, with intensities", _of_visemes(to_rhubarb_json, "rhubarb"), "rhubarb",
        "plug-ins of Rhubarb Lip Sync", "the same; mixtures of shapes",
    ),
    "rhubarb-tsv": Format(
        ".rhubarb.tsv", "Rhubarb TSV", _of_visemes(to_rhubarb_table, "rhubarb"), "rhubarb",
        "plug-ins of Rhubarb Lip Sync", "the same; intensities",
    ),
}  # fmt: skip


def formats_of(text: str) -> list[str]:
    """Names of formats in a text such as "csv,glb". Raises UserError for an unknown one."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in FORMATS:
            raise UserError("format_unknown", accepted=list(FORMATS), got=name)
    return list(dict.fromkeys(names))


def format_of_path(path: Path) -> str:
    """The format of a file name, the longest suffix first. Raises UserError for an unknown one."""
    by_length = sorted(FORMATS, key=lambda name: -len(FORMATS[name].suffix))
    for name in by_length:
        if path.name.lower().endswith(FORMATS[name].suffix):
            return name
    raise UserError("format_unknown", accepted=list(FORMATS), got=path.suffix or path.name)


def write_clip(
    clip: FaceClip, path: str | Path, name: str | None = None, options: WriteOptions | None = None
) -> Path:
    """Write a clip in a format, None = by the path's suffix; atomically. Returns the path.

    Raises UserError for an unknown format and for a target that cannot be written.
    """
    path, options = Path(path), options or WriteOptions()
    name = format_of_path(path) if name is None else name
    kind, options = FORMATS[name], replace(options, title=options.title or path.name.split(".")[0])
    rig = options.rig or (RigProfile.load(kind.rig) if kind.rig else None)
    shown = clip if rig is None else rig.apply(clip)
    with replacing(path) as partial:
        kind.write(shown, partial, options, clip)
    return path


def encode_clip(clip: FaceClip, name: str, options: WriteOptions | None = None) -> bytes:
    """The bytes of the file that `write_clip` makes."""
    with tempfile.TemporaryDirectory() as folder:
        return write_clip(clip, Path(folder, f"face{FORMATS[name].suffix}"), name, options).read_bytes()


def read_clip(path: str | Path) -> FaceClip:
    """The curves of a CSV, JSON, NPZ or animated GLB as frames, the first at 0 of the file's own clock.

    Raises UserError naming the file and what is wrong.
    """
    path = Path(path)
    if path.suffix.lower() in (".glb", ".vrm"):
        from bilabial.io.glb_curves import read_glb_curves

        track = read_glb_curves(path)
    else:
        from bilabial.io.recordings import read_track

        track = read_track(path)
    return FaceClip(track.names, track.frames(), track.fps, head=track.head_frames())


def paths_of(folder: Path, stem: str, names: Sequence[str]) -> dict[str, Path]:
    """Paths of a clip's files in a folder, by format."""
    return {name: folder / f"{stem}{FORMATS[name].suffix}" for name in names}
