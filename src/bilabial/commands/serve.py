"""`bilabial serve`: faces in real time for other programs, over a WebSocket."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Annotated

import typer

from bilabial.commands import parameters
from bilabial.commands.parameters import print_note
from bilabial.errors import UntrainedEmotionWarning, UserError

PORT = 8765

LiveLink = Annotated[
    list[str] | None,
    typer.Option("--live-link", metavar="HOST[:PORT]", help="Send to Unreal as Live Link Face (port 11111)."),
]
Vmc = Annotated[
    list[str] | None,
    typer.Option(
        "--vmc", metavar="HOST[:PORT]", help=("Send to VRM avatars by VMC over OSC (39539; VSeeFace 39540).")
    ),
]
IFacialMocap = Annotated[
    list[str] | None,
    typer.Option("--ifacialmocap", metavar="HOST[:PORT]", help="Send as the app iFacialMocap (port 49983)."),
]
MoveHead = Annotated[
    bool, typer.Option("--move-head/--still-head", help="Add gentle head motion, where an output has a head.")
]
Token = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", envvar="BILABIAL_TOKEN", help=("Token required from clients; never in a URL.")
    ),
]


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need --token.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 = a free one.")] = PORT,
    token: Token = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="Origin of web pages that may connect, besides this machine's."),
    ] = None,
    max_streams: Annotated[int, typer.Option(min=1, help="Maximal number of concurrent streams.")] = 64,
    step: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help=("Seconds of sound computed together; less means less delay and more CPU time."),
        ),
    ] = 0.1,
    threads: Annotated[
        int | None, typer.Option(min=1, help=("Number of compute threads; left out: all cores."))
    ] = None,
    live_link: LiveLink = None,
    vmc: Vmc = None,
    ifacialmocap: IFacialMocap = None,
    move_head: MoveHead = True,
    model: parameters.Model = None,
    runtime: parameters.Runtime = None,
) -> None:
    """Serve faces over a WebSocket: speech in chunks, frames with exact times (docs/serve.md)."""
    try:
        from bilabial.serve.app import Settings, build_app
        from bilabial.serve.live import open_outputs
        from bilabial.serve.run import build_server, listen
    except ImportError as error:
        raise UserError("serve_extra", error=error) from error
    from bilabial.rig import RigWarning
    from bilabial.runtime.choice import open_for_streams

    for kind in (UntrainedEmotionWarning, RigWarning):  # reported to clients, not to the log
        warnings.simplefilter("ignore", kind)
    outputs = open_outputs(live_link or (), vmc or (), ifacialmocap or ())
    more = {} if threads is None else {"num_threads": threads}
    settings = Settings(
        host,
        token,
        tuple(origin or ()),
        max_streams,
        step,
        outputs=tuple(outputs),
        moves_head=move_head,
        **more,
    )
    app = build_app(partial(open_for_streams, model, runtime, print_note), settings)
    socket = listen(host, port)
    name = f"[{host}]" if ":" in host else host
    typer.echo(f"Listening at ws://{name}:{socket.getsockname()[1]}/v1/stream", err=True)
    build_server(app).run(sockets=[socket])
