"""`bilabial live`: animates a face in an engine or avatar program from a microphone, a file or a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bilabial.commands import parameters
from bilabial.commands.parameters import print_note
from bilabial.commands.serve import IFacialMocap, LiveLink, MoveHead, Token, Vmc
from bilabial.errors import UserError
from bilabial.options import AnimateOptions, is_style_file


def live(
    mic: Annotated[bool, typer.Option("--mic", help="Use the microphone.")] = False,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="Microphone: a number, or a part of its name.")
    ] = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="Use a sound or video file.")] = None,
    play: Annotated[bool, typer.Option("--play", help="Also play the sound of that file.")] = False,
    server: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Use the face of a running `bilabial serve`.")
    ] = None,
    live_link: LiveLink = None,
    vmc: Vmc = None,
    ifacialmocap: IFacialMocap = None,
    web: Annotated[
        str | None,
        typer.Option(metavar="[HOST:]PORT", help="Serve web pages: JSON over ws://HOST:PORT/v1/faces."),
    ] = None,
    move_head: MoveHead = True,
    token: Token = None,
    emotion: parameters.Emotion = "neutral",
    intensity: parameters.Intensity = 1.0,
    style: parameters.Style = None,
    fps: parameters.Fps = "30",
    motion: parameters.Motion = "all",
    seed: parameters.Seed = None,
    model: parameters.Model = None,
    runtime: parameters.Runtime = None,
) -> None:
    """Animate a face live from a microphone, a file or a server: Unreal, VRM avatars, web pages."""
    if mic + (file is not None) + (server is not None) != 1:
        raise UserError("live_source")
    if not (live_link or vmc or ifacialmocap or web):
        raise UserError("live_output")
    try:
        from bilabial.serve.live import Show
    except ImportError as error:
        raise UserError("serve_extra", error=error) from error
    from bilabial.runtime.choice import open_for_streams

    if runtime is None and is_style_file(style or ""):
        runtime = "torch"  # which alone measures a style
    options = AnimateOptions(emotion, intensity, style, fps, motion, seed)
    with Show(live_link or (), vmc or (), ifacialmocap or (), web, token, move_head) as show:
        if server is not None:
            show.follow(server, token)
        elif file is not None:
            show.play(open_for_streams(model, runtime, print_note), file, options, play)
        else:
            show.listen(open_for_streams(model, runtime, print_note), device, options)
