"""`bilabial animate`: speech to files of curves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bilabial.clip import FaceClip
from bilabial.commands import parameters
from bilabial.commands.parameters import (
    STREAM,
    load_animator,
    print_json,
    print_progress,
    stdout_format,
    targets_of,
    timing_of,
    write_bytes,
    write_options,
)
from bilabial.errors import UserError
from bilabial.io.files import make_folder
from bilabial.io.formats import encode_clip, write_clip
from bilabial.options import AnimateOptions

Inputs = Annotated[
    list[str], typer.Argument(metavar="IN...", help="Sound or video files; - reads one from stdin.")
]


def animate(
    inputs: Inputs,
    output: parameters.Output,
    format_names: parameters.FormatNames = None,
    emotion: parameters.Emotion = "neutral",
    intensity: parameters.Intensity = 1.0,
    style: parameters.Style = None,
    fps: parameters.Fps = "30",
    motion: parameters.Motion = "all",
    seed: parameters.Seed = None,
    model: parameters.Model = None,
    head: parameters.Head = None,
    rig: parameters.Rig = None,
    timing: parameters.Timing = None,
    start: parameters.Start = None,
    node: parameters.Node = "Face",
    head_node: parameters.HeadNode = "Head",
    as_json: parameters.Json = False,
) -> None:
    """Animate speech: write the 52 coefficients of every frame."""
    options = AnimateOptions(emotion, intensity, style, fps, motion, seed)
    arguments, written = options.arguments(), write_options(head, rig, start, node, head_node)
    piped = stdout_format(format_names, len(inputs), as_json) if output == STREAM else None
    if timing is not None and len(inputs) > 1 and not timing.is_dir():
        raise UserError("timing_one", path=timing)
    targets = [{}] if piped else targets_of(inputs, output, format_names)
    animator, summaries = load_animator(model), []
    for source, paths in zip(inputs, targets, strict=True):
        clip = animator(_sound(source), **arguments, timing=timing_of(timing, source))
        if piped:
            write_bytes(encode_clip(clip, piped, written))
        for name, path in paths.items():
            make_folder(path.parent)
            write_clip(clip, path, name, written)
        summaries.append(_summary(source, paths, clip))
        print_progress(len(summaries), len(inputs))
    if as_json:
        print_json(summaries)


def _sound(source: str) -> Path | bytes:
    return sys.stdin.buffer.read() if source == STREAM else Path(source)


def _summary(source: str, paths: dict[str, Path], clip: FaceClip) -> dict:
    return {
        "input": source,
        "outputs": [str(path) for path in paths.values()],
        "frames": len(clip),
        "fps": clip.fps,
        "seconds": round(clip.duration_seconds, 3),
    }
