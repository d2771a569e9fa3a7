"""`bilabial convert`: recorded curves of one kind to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bilabial.commands import parameters
from bilabial.commands.parameters import (
    STREAM,
    print_json,
    stdout_format,
    targets_of,
    write_bytes,
    write_options,
)
from bilabial.io.files import make_folder
from bilabial.io.formats import encode_clip, read_clip, write_clip
from bilabial.options import fps_of

Source = Annotated[
    Path, typer.Argument(metavar="A", help="A file of curves: CSV, JSON, NPZ or animated GLB.")
]
Target = Annotated[str, typer.Argument(metavar="B", help="File, or a folder (ends with /), or - for stdout.")]
MouthClose = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Convention of mouthClose in A: arkit, audio2face or mediapipe; left out: not converted.",
    ),
]
Rate = Annotated[str | None, typer.Option(metavar="RATE", help="Resample; left out: the rate of A.")]


def convert(
    source: Source,
    target: Target,
    format_names: parameters.FormatNames = None,
    fps: Rate = None,
    mouth_close: MouthClose = None,
    head: parameters.Head = None,
    rig: parameters.Rig = None,
    start: parameters.Start = None,
    node: parameters.Node = "Face",
    head_node: parameters.HeadNode = "Head",
    as_json: parameters.Json = False,
) -> None:
    """Convert recorded curves to another format, rate or meaning of mouthClose."""
    from bilabial.io.mouth_close import convert as to_our_convention

    piped = stdout_format(format_names, 1, as_json) if target == STREAM else None
    clip = read_clip(source)
    if mouth_close is not None:
        clip = to_our_convention(clip, mouth_close)
    if fps is not None:
        clip = clip.resample(fps_of(fps))
    options = write_options(head, rig, start, node, head_node)
    if piped:
        return write_bytes(encode_clip(clip, piped, options))
    paths = targets_of([str(source)], target, format_names)[0]
    for name, path in paths.items():
        make_folder(path.parent)
        write_clip(clip, path, name, options)
    if as_json:
        written = [str(path) for path in paths.values()]
        print_json({"input": str(source), "outputs": written, "frames": len(clip), "fps": clip.fps})
    return None
