"""`bilabial inspect`: content and defects of a file of curves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bilabial.clip import FaceClip
from bilabial.commands import parameters
from bilabial.commands.parameters import print_json
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, SEALED_MM

Source = Annotated[Path, typer.Argument(metavar="FILE", help="A file of curves: CSV, JSON, NPZ or GLB.")]
Sound = Annotated[Path | None, typer.Option(metavar="FILE", help="Its sound, to check the lips against.")]
Plot = Annotated[
    Path | None, typer.Option(metavar="HTML", help="Write a page with the lip distance and all curves.")
]


def inspect(source: Source, sound: Sound = None, plot: Plot = None, as_json: parameters.Json = False) -> None:
    """Show the content of a file of curves: rate, names, closures, trembling, clipped and still channels."""
    from bilabial.delivery.findings import findings_of, score_of
    from bilabial.delivery.measures import measure_face, measure_line, measure_sound
    from bilabial.io.formats import read_clip

    clip = read_clip(source)
    lacks = [name for name in ARKIT_BLENDSHAPES if name not in clip.names]
    summary: dict[str, Any] = {"file": str(source), "lacks": lacks}
    summary |= asdict(measure_face(clip))
    if sound is not None:
        from bilabial.io.audio import read_recording

        recording = read_recording(sound)
        lost = sum(gap.seconds for gap in recording.gaps)
        measured = measure_sound(recording.waveform, lost, recording.missing_seconds)
        findings = findings_of(measure_line(clip, recording.waveform, measured))
        summary |= {"sound": str(sound), "score": score_of(findings)}
        summary["findings"] = [asdict(finding) for finding in findings]
    if plot is not None:
        _write_plot(clip, plot, source.name)
    if as_json:
        print_json(summary)
    else:
        typer.echo("\n".join(_summary_lines(clip, summary)))


def _summary_lines(clip: FaceClip, summary: dict) -> list[str]:
    from bilabial.delivery.plot import sparkline

    def names(listed: list[str]) -> str:
        return ", ".join(listed) or "none"

    lines = [
        f"{summary['file']}",
        f"frames: {len(clip)} at {clip.fps:.6g} fps, {clip.duration_seconds:.3f} s",
        f"coefficients: {len(clip.names)} of {len(ARKIT_BLENDSHAPES)}, "
        f"{len(clip.names) - len(summary['still'])} move",
        f"lacks: {names(summary['lacks'])}",
        f"do not move: {names(summary['still'])}",
        f"clipped: {names(summary['clipped'])}",
        f"closures: {summary['num_closures']}, lips nearer than {SEALED_MM:.2f} mm",
        f"lip distance: {summary['opening_mm']:.1f} mm in its 95th percentile",
        f"trembling: {summary['trembling_mm']:.2f} mm from frame to frame",
        sparkline(summary["sketch_mm"], max(summary["sketch_mm"]) or 1.0),
    ]
    if "score" in summary:
        lines.append(f"score: {summary['score']:.0f} of 100 against {summary['sound']}")
        lines += [f"  {finding['text']}" for finding in summary["findings"]]
    return lines


def _write_plot(clip: FaceClip, path: Path, title: str) -> None:
    """Lip distance in mm above, all curves that move below: one page that needs no network."""
    import numpy as np
    from plotly.subplots import make_subplots

    from bilabial.delivery.measures import STILL_RANGE, lip_distance_mm
    from bilabial.io.files import replacing

    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.3, 0.7], vertical_spacing=0.05)
    figure.add_scatter(x=clip.times, y=lip_distance_mm(clip), name="lip distance (mm)", row=1, col=1)
    figure.add_hline(y=SEALED_MM, line_dash="dot", row=1, col=1)
    for name in sorted(clip.names, key=lambda name: -np.ptp(clip[name])):
        if np.ptp(clip[name]) >= STILL_RANGE:
            figure.add_scatter(x=clip.times, y=clip[name], name=name, row=2, col=1)
    figure.update_layout(title=title, height=800)
    figure.update_xaxes(title="seconds", row=2, col=1)
    with replacing(path) as partial:
        figure.write_html(partial, include_plotlyjs=True)
