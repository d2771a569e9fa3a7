"""Compare a fine-tuned model with the one it started from: a table, and the lips of held-out clips.

Each model uses the style of the clip's person if it has one, else its default style. Forgetting is measured
on the styles and emotions that the first model was trained on and the data do not retrain: both models
animate the same speech there.
"""

import html
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from datasets import Dataset
from plotly.subplots import make_subplots
from tqdm import tqdm

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.blendshapes_bilabial import MM_PER_LIP_UNIT, OUTER_EYE_PER_LIP_UNIT
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.training.data.schema import load_rows, waveform_of
from bilabial.training.evaluation.clip_figures import Clip, clip_metrics, read_clip, summarize
from bilabial.training.evaluation.tables import table

logger = logging.getLogger(__name__)

SHOWN_CLIPS = 6  # in the plot, evenly drawn from all
NUM_RETENTION_CLIPS = 12  # clips for the measurement of forgetting
COLORS = {"captured": "#3b2a2a", "before": "#8a8fa8", "after": "#c4606a"}


@dataclass
class CompareArguments:
    after: str = field(metadata={"help": "Folder or Hub id of the fine-tuned model."})
    dataset: str = field(metadata={"help": "Data set with held-out clips of the person."})
    output: Path = field(metadata={"help": "The HTML file to write."})
    before: str = field(default="default", metadata={"help": "The model that it started from."})
    split: str = field(default="validation", metadata={"help": "The split with the held-out clips."})
    others: str | None = field(
        default=None,
        metadata={"help": "Data set of other people's speech, to measure forgetting there as well."},
    )


def animate(model: BilabialModel, row: dict, **condition: Any) -> np.ndarray:
    """Coefficients (T, 52) of a row's speech at the row's rate, in its style unless another is asked for."""
    style = row["style"] if row["style"] in model.config.styles else None
    condition = {"style": style} | condition
    return model.animate(waveform_of(row), SAMPLING_RATE, fps=float(row["fps"]), **condition).cpu().numpy()


def distance_mm(model: BilabialModel, values: np.ndarray) -> np.ndarray:
    """Lip distance (T,) in mm of coefficients (T, 52), as this model measures it."""
    config = model.config
    distance = lip_distance(torch.from_numpy(values), config.blendshapes, config.lip_distance_weights)
    return distance.numpy() * MM_PER_LIP_UNIT


def compare_clips(models: dict[str, BilabialModel], rows: Iterable[dict]) -> dict[str, dict]:
    """A row for each model and for the capture itself (the ceiling): medians over the held-out clips."""
    results: dict[str, list[dict]] = {name: [] for name in ("captured", *models)}
    for row in tqdm(rows, unit="clip"):
        clip = read_clip(row, {})
        faces = {"captured": clip.labels} | {name: animate(model, row) for name, model in models.items()}
        for name, face in faces.items():
            results[name].append(clip_metrics(clip, face, models["after"]))
    return {name: summarize(of_clips) for name, of_clips in results.items()}


def retained_conditions(before: BilabialModel, retrained: set[str]) -> dict[str, dict]:
    """Styles and emotions of the first model that the new data do not retrain, by their name in the table."""
    config = before.config
    styles = [name for name in config.styles if name not in retrained]
    conditions = {f"style {name}": {"style": name} for name in styles}
    emotions = [name for name in config.trained_emotions if name != config.emotions[0]] if styles else []
    return conditions | {f"{name}, {styles[0]}": {"style": styles[0], "emotion": name} for name in emotions}


def compare_retained(models: dict[str, BilabialModel], rows: Dataset, retrained: set[str]) -> dict[str, dict]:
    """Distance between the outputs of both models, for each condition that should not change.

    lip_mm: mean difference of the lip distance, lip_mm_95: its 95th percentile, coefficient: mean difference
    over the channels that the first model moves, r: correlation of the two lip distances.
    """
    some = rows.select(np.unique(np.linspace(0, len(rows) - 1, NUM_RETENTION_CLIPS).round().astype(int)))
    table_rows = {}
    for name, condition in tqdm(retained_conditions(models["before"], retrained).items(), unit="condition"):
        faces = {
            key: np.concatenate([animate(model, row, **condition) for row in some])
            for key, model in models.items()
        }
        before, after = (distance_mm(models[key], faces[key]) for key in ("before", "after"))
        moving = faces["before"].std(axis=0) > 0
        table_rows[name] = {
            "lip_mm": float(np.abs(after - before).mean()),
            "lip_mm_95": float(np.percentile(np.abs(after - before), 95)),
            "coefficient": float(np.abs(faces["after"] - faces["before"])[:, moving].mean()),
            "r": float(np.corrcoef(after, before)[0, 1]),
        }
    return table_rows


def lips_figure(models: dict[str, BilabialModel], rows: Dataset) -> go.Figure:
    """Lip distance in mm of some held-out clips: captured, before and after."""
    some = rows.select(np.unique(np.linspace(0, len(rows) - 1, SHOWN_CLIPS).round().astype(int)))
    clips: list[Clip] = [read_clip(row, {}) for row in some]
    figure = make_subplots(len(clips), 1, subplot_titles=[html.escape(clip.id) for clip in clips])
    for number, (row, clip) in enumerate(zip(some, clips, strict=True), start=1):
        captured = np.where(clip.valid, clip.gap, np.nan) / OUTER_EYE_PER_LIP_UNIT * MM_PER_LIP_UNIT
        curves = {"captured": captured}
        curves |= {name: distance_mm(model, animate(model, row)) for name, model in models.items()}
        for name, curve in curves.items():
            line = {"color": COLORS[name], "width": 2, "dash": "dot" if name == "before" else "solid"}
            times = np.arange(len(curve)) / clip.fps
            figure.add_scatter(
                x=times, y=np.round(curve, 2), name=name, line=line, legendgroup=name,
                showlegend=number == 1, row=number, col=1,
            )  # fmt: skip
    figure.update_yaxes(title="mm", rangemode="tozero").update_xaxes(title="s", row=len(clips))
    return figure.update_layout(
        height=90 + 210 * len(clips),
        margin={"l": 50, "r": 15, "t": 60, "b": 45},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )


def html_table(scores: dict[str, dict]) -> str:
    """The Markdown table of evaluate.py as HTML."""
    header, _, *lines = (line.strip("| \n").split("|") for line in table(scores).splitlines())
    cells = [f"<th>{html.escape(cell.strip())}</th>" for cell in ["", *header]]
    body = ["".join(f"<td>{html.escape(cell.strip())}</td>" for cell in line) for line in lines]
    return f"<table><tr>{''.join(cells)}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>"


STYLE = """body { font: 16px system-ui, sans-serif; max-width: 60em; margin: 1em auto; padding: 0 1em }
div.wide { overflow-x: auto } table { border-collapse: collapse }
td, th { padding: .2em .6em; text-align: right }
tr { border-bottom: 1px solid #ddd } td:first-child { text-align: left; white-space: nowrap }"""


def page(parts: dict[str, str]) -> str:
    """One HTML page of headed parts that fits a phone."""
    body = "\n".join(
        f'<h2>{html.escape(head)}</h2><div class="wide">{part}</div>' for head, part in parts.items()
    )
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"<!doctype html><html><head>{head}<title>Before and after</title><style>{STYLE}</style></head>\
<body><h1>Before and after</h1>{body}</body></html>\n"


def compare(args: CompareArguments) -> None:
    models = {"before": load_checkpoint(args.before)[0], "after": load_checkpoint(args.after)[0]}
    sets = {name: load_rows(name, args.split) for name in (args.dataset, args.others) if name}
    rows = sets[args.dataset]
    person = f"Held-out clips of {args.dataset}, medians"
    parts = {person: compare_clips(models, rows)}
    retrained = set(rows.unique("style"))
    for name, others in sets.items():
        parts[f"What was there before, on the speech of {name}"] = compare_retained(models, others, retrained)
    plot = lips_figure(models, rows).to_html(full_html=False, include_plotlyjs="cdn", div_id="lips")
    shown = {"Distance of the lips": plot} | {head: html_table(scores) for head, scores in parts.items()}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(page(shown))
    logger.info("\n\n".join(f"### {head}\n\n{table(scores)}" for head, scores in parts.items()))
    logger.info(f"\nwrote {args.output}")
