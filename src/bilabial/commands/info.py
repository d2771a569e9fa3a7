"""`bilabial info`: versions, formats, styles and emotions."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import typer

from bilabial.checkpoint import folder_or_id
from bilabial.commands import parameters
from bilabial.commands.parameters import print_json
from bilabial.errors import UserError
from bilabial.io.formats import FORMATS
from bilabial.versions import version_of

PACKAGES = ("bilabial", "torch", "transformers", "numpy", "av", "gradio", "mediapipe", "ray")


def info(model: parameters.Model = None, as_json: parameters.Json = False) -> None:
    """Show versions, formats, and the styles and emotions of a model in a folder."""
    folder = Path(folder_or_id(model))
    summary = {
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in PACKAGES},
        "formats": {name: each.title for name, each in FORMATS.items()},
        "model": {"folder": str(folder), **_model(folder)},
    }
    if as_json:
        print_json(summary)
        return
    for title, entries in summary.items():
        if not isinstance(entries, dict):
            typer.echo(f"{title}: {entries}")
            continue
        typer.echo(f"{title}:")
        for name, value in entries.items():
            text = ", ".join(map(str, value)) if isinstance(value, list) else value
            typer.echo(f"  {name}: {text}")


def _model(folder: Path) -> dict:
    try:
        config = json.loads((folder / "config.json").read_bytes())
        kept = ("styles", "emotions", "trained_emotions")
        return {name: config[name] for name in kept if name in config}
    except (OSError, ValueError) as error:
        raise UserError("model_folder", path=folder) from error
