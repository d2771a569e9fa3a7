"""`bilabial rig`: included profiles, and profiles of avatars."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bilabial.commands import parameters
from bilabial.commands.parameters import print_json
from bilabial.errors import UserError

app = typer.Typer(name="rig", help="Rig profiles: how a face differs from ARKit.", no_args_is_help=True)
Avatar = Annotated[Path, typer.Argument(metavar="AVATAR", help="A GLB or VRM with morph targets.")]
Profile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="JSON", help="Output file; left out: AVATAR.json."),
]


@app.command("fit")
def fit(avatar: Avatar, output: Profile = None, as_json: parameters.Json = False) -> None:
    """Measure an avatar's lips and write a rig profile of it."""
    from bilabial.rig_fit import fit_rig

    path = avatar.with_suffix(".json") if output is None else output
    if path.is_dir():
        raise UserError("output_is_folder", path=path)
    fitted = fit_rig(avatar)
    fitted.profile.save(path)
    summary = {"output": str(path)} | fitted.to_dict()
    if as_json:
        print_json(summary)
        return
    typer.echo(f"{path}: {summary['shapes']} shapes of a rig like '{summary['base']}'")
    if summary["missing"]:
        typer.echo(f"missing: {', '.join(summary['missing'])}")
        typer.echo(f"replaced by others: {', '.join(summary['replaced']) or 'none'}")
    typer.echo(f"lips part by {summary['opens_mm']:.1f} mm at {summary['opener']} 1")
    typer.echo(_mouth_close_text(summary))
    if summary["scaled"]:
        typer.echo("lengths are scaled: its eyes are not as far apart as an adult's in meters")


@app.command("list")
def show_rigs(as_json: parameters.Json = False) -> None:
    """List the shipped profiles."""
    from bilabial.rig import RigProfile, shipped_rigs

    titles = {name: RigProfile.load(name).title for name in shipped_rigs()}
    if as_json:
        print_json(titles)
        return
    for name, title in titles.items():
        typer.echo(f"{name:18s}{title}")


def _mouth_close_text(summary: dict) -> str:
    if summary["sealed_mm"] is None:
        return "it has no mouthClose: lips are closed by what opens them"
    if summary["seals"]:
        return f"mouthClose seals them there; it is {summary['mouth_close']}'s"
    return f"mouthClose leaves them {summary['sealed_mm']:.1f} mm apart there; the jaw does the rest"
