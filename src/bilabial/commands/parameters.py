"""Options shared by several commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import EMOTIONS
from bilabial.io.formats import FORMATS, WriteOptions, format_of_path, formats_of, paths_of
from bilabial.io.timing_files import FORMATS as TIMING_SUFFIXES
from bilabial.rig import RigProfile

if TYPE_CHECKING:
    from bilabial.animator import Animator

STREAM = "-"  # standard input or output in place of a file


def _complete_emotion(start: str) -> list[str]:
    return [name for name in EMOTIONS if name.startswith(start)]


def _complete_format(start: str) -> list[str]:
    before, comma, last = start.rpartition(",")
    return [f"{before}{comma}{name}" for name in FORMATS if name.startswith(last)]


Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="OUT", help="File, or a folder (ends with /), or - for stdout."),
]
FormatNames = Annotated[
    str | None,
    typer.Option(
        "--format",
        "-f",
        metavar="NAMES",
        autocompletion=_complete_format,
        help=f"Of {', '.join(FORMATS)}; several with commas. Left out: by the name of OUT.",
    ),
]
Emotion = Annotated[
    str,
    typer.Option(
        metavar="TEXT",
        autocompletion=_complete_emotion,
        help=f"One of {', '.join(EMOTIONS)}; a mixture as happy:0.7,surprised:0.3; or JSON of a schedule.",
    ),
]
Intensity = Annotated[float, typer.Option(help="0 (neutral) to 1.5.")]
Style = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="A style of the model, a mixture of them, or a reference file of a speaker."
    ),
]
Fps = Annotated[str, typer.Option(metavar="RATE", help="Frames per second, 1 to 240: 30, 29.97, 24000/1001.")]
Motion = Annotated[
    str, typer.Option(metavar="TEXT", help="all, none, or stages as blink,gaze:0.5,brows,breath,head.")
]
Seed = Annotated[int | None, typer.Option(help="Seed of the motion; left out: from the sound.")]
Model = Annotated[
    str | None,
    typer.Option(metavar="MODEL", help="A folder, a Hub id, or live: less delay; left out: the default."),
]
Runtime = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="onnx (its files are made once, in a minute) or torch; left out: onnx where they are there.",
    ),
]
Head = Annotated[
    Path | None, typer.Option(metavar="GLB", help="Avatar of the format glb; left out: the included head.")
]
Rig = Annotated[
    str | None,
    typer.Option(metavar="RIG", help="Rig profile: a name of `bilabial rig list`, or a JSON file."),
]
Timing = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Known phones, words or visemes with times: TextGrid, CTM, SRT, VTT or JSON; or the English "
        "words as plain text (.txt). Of several inputs a folder with files of the same names.",
    ),
]
Start = Annotated[
    str | None, typer.Option(metavar="HH:MM:SS:FF", help="Timecode of the first frame; ; for drop-frame.")
]
Node = Annotated[str, typer.Option(metavar="PATH", help="The face's node in Unity and Godot.")]
HeadNode = Annotated[str, typer.Option(metavar="PATH", help="The head's node in Unity and Godot.")]
Json = Annotated[bool, typer.Option("--json", help="Print a summary as JSON on stdout.")]


def targets_of(sources: list[str], output: str, formats: str | None) -> list[dict[str, Path]]:
    """Output paths of each source, by format.

    OUT is a folder where it is one, ends with /, or several files go there. Raises UserError for an unknown
    format, and where two sources would be written to one file.
    """
    names = None if formats is None else formats_of(formats)
    several = len(sources) > 1 or (names is not None and len(names) > 1)
    if not (several or output.endswith("/") or Path(output).is_dir()):
        name = names[0] if names else format_of_path(Path(output))
        return [{name: Path(output)}]
    if Path(output).is_file():
        raise UserError("output_not_folder", path=Path(output))
    names = names or ["csv"]
    stems = ["speech" if source == STREAM else Path(source).stem for source in sources]
    for number, stem in enumerate(stems):
        if stem in stems[:number]:
            first = sources[stems.index(stem)]
            raise UserError("output_twice", first=first, second=sources[number], name=stem)
    return [paths_of(Path(output), stem, names) for stem in stems]


def stdout_format(formats: str | None, num_files: int, as_json: bool) -> str:
    """The one format of standard output. Raises UserError for none, several, and for anything beside it."""
    names = [] if formats is None else formats_of(formats)
    if len(names) != 1 or num_files > 1 or as_json:
        raise UserError("stdout_one")
    return names[0]


def write_options(
    head: Path | None, rig: str | None, start: str | None, node: str, head_node: str
) -> WriteOptions:
    """Options of the formats. Raises UserError for an invalid rig."""
    profile = RigProfile.load(rig) if rig else None
    return WriteOptions(head, profile, start, node, head_node=head_node)


def timing_of(given: Path | None, source: str) -> Path | None:
    """The timing of a source: the file, or in a folder the one with the source's name. Raises UserError."""
    if given is None or not given.is_dir():
        return given
    for suffix in TIMING_SUFFIXES:
        path = given / f"{Path(source).stem}{suffix}"
        if path.is_file():
            return path
    raise UserError("timing_folder", path=given, name=Path(source).stem, accepted=TIMING_SUFFIXES)


def load_animator(model: str | None) -> Animator:
    """The model, without transformers' progress bar."""
    from transformers.utils.logging import disable_progress_bar

    from bilabial.animator import Animator

    disable_progress_bar()
    return Animator.from_pretrained(model)


def print_note(text: str) -> None:
    """One line on stderr."""
    typer.echo(f"bilabial: {text}", err=True)


def print_progress(count: int, total: int) -> None:
    """One line on stderr that is overwritten, on a terminal alone."""
    if total > 1 and sys.stderr.isatty():
        typer.echo(f"\r{count} of {total}", nl=count == total, err=True)


def print_json(summary: object) -> None:
    typer.echo(json.dumps(summary, ensure_ascii=False, indent=1))


def write_bytes(content: bytes) -> None:
    """To standard output."""
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
