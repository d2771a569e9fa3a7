"""Output: the tables as Markdown, and the lips of every system as an HTML page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bilabial.training.evaluation.metrics import BILABIALS

CAPTURED, PREDICTED, SHADE = "#8a8a8a", "#c4606a", "rgba(196, 96, 106, 0.18)"
ROW_PIXELS = 120
COLUMNS = {  # key: format
    "width_r": ".2f", "width_gain": ".2f", "width_contrast": ".1f", "lip_motion_explained": ".2f",
    "gap_r": ".2f", "gap_gain": ".2f", "youden_j": ".2f", "closure_auc": ".2f",
    "outer_r": ".2f", "outer_gain": ".2f", "lip_corr": ".2f", "lag_ms": ".0f", "r_best": ".2f",
    "bilabial_closure": ".2f", "vowel_false_closure": ".2f", "mouth_mae_centered": ".3f",
    "channel_corr": ".2f", "real_time_factor": ".4f", "peak_mb": ".0f",
    "num_clips": "d", "num_without_lips": "d", "num_bilabials": "d", "num_controls": "d",
}  # fmt: skip
TITLES = {  # of columns whose title is not their key
    "real_time_factor": "real-time factor", "peak_mb": "peak MB", "num_clips": "clips",
    "num_without_lips": "without lips", "num_bilabials": "bilabials", "num_controls": "controls",
}  # fmt: skip
CAPTION = """\
The shape of the mouth is that of each rig's coefficients on Bilabial's head against the landmarks of the \
film, in the clips whose lips are known: r and gain (ratio of standard deviations) of its width, of the \
gap between the lips and of their outer edges; width_contrast is the width at rounded minus spread phones \
in 1/100 of the outer-eye distance, pooled; lip_motion_explained the share of the motion of 40 points. \
These, lip_corr (at zero lag), lag_ms (positive: late), mouth_mae_centered and channel_corr are medians \
over clips. r_best is r after each clip's best shift within 300 ms, so latency costs nothing there. \
bilabial_closure, vowel_false_closure, youden_j and closure_auc are pooled over phones. Rigs differ: r, lag \
and closure see lip opening alone, mouth_mae_centered and channel_corr single coefficients, and these \
favor what was trained on the same capture. OpenFaceFX (phone times) is told what is said, with the very \
times at which closure is measured; all others only hear it. The visemes of OpenFaceFX, pylipsync and \
HeadAudio become coefficients by one table, OpenFaceFX' preset "arkit". Real-time factor and peak memory \
are those of each process, on one thread."""


def table(rows: dict[str, dict]) -> str:
    """A Markdown table with the columns of COLUMNS that any row has."""
    columns = {key: how for key, how in COLUMNS.items() if any(key in row for row in rows.values())}
    titles = [TITLES.get(key, key) for key in columns]
    lines = [f"| | {' | '.join(titles)} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(f"| {name} | {' | '.join(cell(row.get(key), how) for key, how in columns.items())} |")
    return "\n".join(lines)


def cell(value: float | None, how: str) -> str:
    """A number as the table prints it; nothing for None, no "-0.00"."""
    if value is None:
        return ""
    if how == "d":
        return str(int(value))
    text = f"{value:{how}}" if np.isfinite(value) else "n/a"
    return text.lstrip("-") if not text.strip("-0.") else text


def page(scores: dict[str, dict[str, dict]], notes: list[str]) -> str:
    """All tables as Markdown, the caption and the missing peers below."""
    tables = [f"### {name}\n\n{table(rows)}" for name, rows in scores.items()]
    return "\n\n".join([*tables, CAPTION, *notes])


def lips_figure(
    title: str,
    fps: float,
    gap: np.ndarray,
    distances: dict[str, np.ndarray],
    phones: Sequence[tuple[str, float, float]],
) -> go.Figure:
    """One row per system: its lip distance (T,) over the captured gap (T,), /p b m/ shaded.

    Each curve is divided by its own 90th percentile, as the closure metrics do, because rigs differ in range.
    """
    figure = make_subplots(
        rows=len(distances), shared_xaxes=True, subplot_titles=list(distances), vertical_spacing=0.035
    )
    times = np.arange(len(gap)) / fps
    for row, distance in enumerate(distances.values(), start=1):
        for name, curve, color in (("captured", gap, CAPTURED), ("predicted", distance, PREDICTED)):
            scaled = curve / max(np.percentile(curve, 90), 1e-6)
            line = {"color": color, "width": 2}
            figure.add_scatter(x=times, y=scaled, name=name, line=line, showlegend=row == 1, row=row, col=1)
        for name, start, end in phones:
            if name in BILABIALS:
                shade = {"fillcolor": SHADE, "line_width": 0, "layer": "below"}
                figure.add_vrect(start, end, **shade, row=row, col=1)
    figure.update_yaxes(range=[-0.1, 1.8])
    figure.update_xaxes(title="time (s)", row=len(distances), col=1)
    legend = {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.0, "yanchor": "bottom"}
    height = ROW_PIXELS * len(distances) + 130
    figure.update_layout(title=title, height=height, legend=legend, template="plotly_white")
    return figure


def write_figures(path: Path, figures: Sequence[go.Figure]) -> None:
    """All figures on one page, plotly inside it once."""
    parts = [figure.to_html(full_html=False, include_plotlyjs=not i) for i, figure in enumerate(figures)]
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Bilabial and its peers</title>'
    path.write_text(f"{head}<body>{''.join(parts)}</body></html>")
