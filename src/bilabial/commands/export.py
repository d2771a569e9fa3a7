"""`bilabial export`: the model for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bilabial.commands import parameters
from bilabial.errors import UserError

app = typer.Typer(help="Write the model for other runtimes.", no_args_is_help=True)


@app.command("onnx")
def onnx(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Output folder.")],
    model: parameters.Model = None,
    precision: Annotated[
        str, typer.Option(metavar="NAMES", help="Precisions of the stored weights, separated by commas.")
    ] = "fp32,fp16,int8",
) -> None:
    """Write offline.onnx and step.onnx, smaller ones with weights of 16 and 8 bits, and bilabial.json."""
    try:
        from bilabial.runtime.export import export_onnx
    except ImportError as error:
        raise UserError("onnx_packages", error=error) from error
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    for path in export_onnx(model, folder, precision.split(",")):
        typer.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
