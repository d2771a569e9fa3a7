"""`bilabial batch`: a folder of dialogue to a folder of faces, with a delivery report."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer

from bilabial.commands import parameters
from bilabial.commands.parameters import print_json, print_note, print_progress, write_options
from bilabial.errors import UserError
from bilabial.io.files import make_folder
from bilabial.io.formats import formats_of
from bilabial.options import AnimateOptions

NOT_DELIVERABLE = 1  # exit code of --strict, and where every line failed

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", help=("Folder of sound files, searched recursively."))
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder; created if missing.")]
Manifest = Annotated[
    Path | None,
    typer.Option(
        metavar="CSV",
        help="Table with the column file, and as you like emotion, intensity, style, text, timing, output.",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Number of processes; left out: one per core.")
]
Executor = Annotated[
    Literal["processes", "ray"], typer.Option(help="Run on processes of this machine, or on a Ray cluster.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 1 if a line failed or scores below 50 of 100.")
]
Again = Annotated[bool, typer.Option("--again", help="Recompute all lines, also unchanged ones.")]


def batch(
    folder: Folder,
    output: Output,
    format_names: parameters.FormatNames = "csv",
    manifest: Manifest = None,
    emotion: parameters.Emotion = "neutral",
    intensity: parameters.Intensity = 1.0,
    style: parameters.Style = None,
    fps: parameters.Fps = "30",
    motion: parameters.Motion = "all",
    seed: parameters.Seed = None,
    model: parameters.Model = None,
    head: parameters.Head = None,
    rig: parameters.Rig = None,
    start: parameters.Start = None,
    node: parameters.Node = "Face",
    head_node: parameters.HeadNode = "Head",
    workers: Workers = None,
    executor: Executor = "processes",
    strict: Strict = False,
    again: Again = False,
    as_json: parameters.Json = False,
) -> None:
    """Animate many lines and write a delivery report.

    A killed batch resumes. Lines with the same sound, settings and model are kept. A failing line does not
    stop the others; if all fail, the exit code is 1.
    """
    from bilabial.delivery.batch import Settings, jobs_of, run_jobs
    from bilabial.delivery.lines import read_lines
    from bilabial.delivery.records import FOLDER, remove_partial_files
    from bilabial.delivery.report import write_report
    from bilabial.executors import check_executor
    from bilabial.io.alignment import can_align

    check_executor(executor)
    options = AnimateOptions(emotion, intensity, style, fps, motion, seed)
    options.arguments()  # raises for unreadable values, before hours of work
    formats, written = tuple(formats_of(format_names or "")), write_options(head, rig, start, node, head_node)
    lines = read_lines(folder.resolve(), manifest, options, _warn)
    if any(line.text and line.timing is None for line in lines) and not can_align():
        _warn(UserError("align_report"))
    output = make_folder(output).resolve()
    remove_partial_files(output)
    if again:
        shutil.rmtree(output / FOLDER, ignore_errors=True)
    jobs = jobs_of(lines, Settings(output, formats, model, written))
    num_reused = sum(job.is_done for job in jobs)
    failures = run_jobs(jobs, executor, workers or _num_cores(), print_progress)
    summary = write_report(output, jobs, failures)
    counts = {"kept": num_reused, "made": len(jobs) - num_reused - summary["failed"]}
    print_note(
        f"{len(jobs)} lines: {counts['made']} made, {counts['kept']} kept, {summary['failed']} failed, "
        f"{summary['below_50']} score below 50; {output / 'report.html'}"
    )
    if as_json:
        print_json(counts | summary)
    if summary["failed"] == len(jobs) or (strict and summary["below_50"]):
        raise typer.Exit(NOT_DELIVERABLE)


def _warn(note: UserError) -> None:
    print_note(f"warning: {note}")


def _num_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
