"""The command `bilabial`: one module of `commands/` for each subcommand, and error handling.

Nothing here or at the top of `commands/` imports torch: a command that needs no model starts at once.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import typer

from bilabial.commands import animate, batch, convert, export, info, inspect, live, rig, serve
from bilabial.commands.parameters import print_note
from bilabial.versions import version_of

WRONG_INPUT = 2  # exit code, also of wrong options
INTERRUPTED = 130

app = typer.Typer(
    name="bilabial",
    help="Speech to the 52 ARKit blendshape coefficients, with lips that close on p, b and m.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # bugs show a traceback
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("animate")(animate.animate)
app.command("batch")(batch.batch)
app.command("convert")(convert.convert)
app.command("inspect")(inspect.inspect)
app.command("info")(info.info)
app.command("serve")(serve.serve)
app.command("live")(live.live)
app.add_typer(rig.app)
app.add_typer(export.app, name="export")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"bilabial {version_of('bilabial')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Options before the subcommand."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code. arguments: None = those of the process.

    User errors are one sentence on stderr and exit code 2.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = _run(arguments)
            sys.stdout.flush()  # here, where a full disk is still a sentence
            return code
        except (ValueError, OSError) as error:  # UserError is a ValueError
            print_note(" ".join(str(error).split()))
            return WRONG_INPUT
        except KeyboardInterrupt:
            return INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    try:
        app(None if arguments is None else list(arguments), prog_name="bilabial")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _show_warning(message: Warning | str, category: type[Warning], *place: object, **more: object) -> None:
    """Print the package's own warnings without a traceback line; others are for developers."""
    if category.__module__.startswith("bilabial."):
        print_note(f"warning: {message}")


if __name__ == "__main__":
    sys.exit(main())
