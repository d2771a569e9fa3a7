"""Markdown tables of metrics.json, and their places in a model card and README."""

from pathlib import Path

import numpy as np

from bilabial.errors import UserError
from bilabial.training.evaluation.shape_metrics import SHAPE_SCORES

# Rows of the headline, of the first data set: what a reader sees first, in plain words
HEADLINE_FIGURES = {
    "gap_r": "Mouth opening: correlation with the film",
    "width_r": "Mouth width: correlation with the film",
    "width_gain": "Mouth width: size of its movement, film = 1",
    "youden_j": "Lips closed at p, b, m, more often than at open vowels",
    "lip_corr": "Lip distance: correlation with the captured gap",
    "closure_recall": "Closed lips that are closed in the prediction",
}
MAX_HEADLINE_ROWS = 4  # with the capture beside the model these are 8 figures
# Columns of the table "shape and closure": the shape of the mouth, then its closing
LEADING = (
    "width_r", "width_gain", "width_contrast", "lip_motion_explained", "gap_r", "gap_gain",
    "youden_j", "closure_auc",
)  # fmt: skip
CLIP_FIGURES = (  # of every clip; tables show their medians
    *SHAPE_SCORES, "lip_corr", "lip_corr_speech", "lag_ms", "mouth_mae_centered", "channel_corr",
    "lip_jitter_mm", "jitter",
    "mse", "mae_mouth", "mae_jaw", "mae_brows", "mae_eyes", "mve", "lve", "fdd",
)  # fmt: skip
CLOSURE = ("closure_recall", "false_closure", "false_in_speech", "bilabial_closure", "vowel_false_closure")
COLUMNS = tuple(dict.fromkeys((*LEADING, *CLIP_FIGURES, "lip_change_mm", *CLOSURE)))
WEIGHTS = "weights"  # beside the tables: {"sha256": of model.safetensors, "split": of the rows}
HEADLINE = "headline"  # place of the first table, in a card and in a README
SHAPE = "shape and closure"  # name of the second table, and of its place in a card
METRICS = "metrics"  # the place of all other tables
HIDDEN = ("clips", "intervals")  # entries of a data set that are not rows of its table
LEADING_ROWS = ("film", "capture", "model")
CAPTIONS = {  # of tables that are not data sets; a data set cannot have these names
    SHAPE: "In brackets 95 % intervals over clips (bootstrap).",
    "together": "All data sets above: medians over all their clips, closure on all their frames and phones.",
    "phone groups": "Balanced accuracy of a linear classifier that tells a group of phones from the others "
    "by the coefficients at their middles, trained on the captured coefficients of the other clips. "
    "share: the model's accuracy over that of captured coefficients.",
    "without speech": "Ten seconds each: lip distance in mm. Like every recording, sounds above -65 dB are "
    "first scaled to speech level.",
    "after speech": "Recordings cut after the last word, followed by a second of quiet: time until the lips "
    "stay below 1 mm, the share of recordings within 150 ms, the share that never gets there.",
    "changed sound": "Median lip_corr on degraded sound, and the median loss of a clip.",
}


def table(scores: dict[str, dict]) -> str:
    """A Markdown table: one row per entry, the columns that any entry has, those of COLUMNS first."""
    given = dict.fromkeys(column for row in scores.values() for column in row)
    columns = [name for name in COLUMNS if name in given] + [name for name in given if name not in COLUMNS]
    cells = {name: [_cell(row.get(column)) for column in columns] for name, row in scores.items()}
    return _markdown(columns, cells)


def headline(scores: dict) -> str:
    """At most four figures of the first data set, the model's beside the capture's; empty without any."""
    name = next((name for name, entries in scores.items() if "clips" in entries), None)
    if name is None:
        return ""
    model, capture = scores[name]["model"], scores[name]["capture"]
    ranges = scores[name].get("intervals", {}).get("model", {})
    figures = [figure for figure in HEADLINE_FIGURES if figure in model][:MAX_HEADLINE_ROWS]
    columns = f"{name}, {model['num_clips']} clips", "this model", "captured face, the limit"
    lines = [f"| {' | '.join(columns)} |", "|---|---|---|"]
    for figure in figures:
        value = f"**{model[figure]:.2f}**" + _interval(ranges.get(figure))
        lines.append(f"| {HEADLINE_FIGURES[figure]} | {value} | {capture[figure]:.2f} |")
    return "\n".join(lines)


def _interval(interval: tuple[float, float] | None) -> str:
    return f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""


def leading_table(scores: dict) -> str:
    """LEADING of every data set whose lips are known: the film, the captured coefficients, the model.

    Empty without any.
    """
    cells = {}
    for name, entries in scores.items():
        if "film" not in entries:
            continue
        for row in LEADING_ROWS:
            ranges = entries.get("intervals", {}).get(row, {})
            of_row = entries[row]
            cells[f"{name}: {row}"] = [_cell(of_row.get(f), ranges.get(f)) for f in LEADING]
    return f"### {SHAPE}\n\n{CAPTIONS[SHAPE]}\n\n{_markdown(LEADING, cells)}" if cells else ""


def tables(scores: dict) -> str:
    """The tables of a metrics.json, one below another, without those of single clips."""
    parts = []
    for name, entries in scores.items():
        if name == WEIGHTS:
            continue
        rows = {row: values for row, values in entries.items() if row not in (*HIDDEN, "film")}
        caption = [CAPTIONS[name]] if name in CAPTIONS else []
        parts += [f"### {name}", *caption, table(rows)]
    return "\n\n".join(parts)


def write_card(card: Path, name: str, text: str) -> None:
    """Replace what stands between <!-- NAME --> and <!-- /NAME --> in a card.

    Raises UserError without the marks.
    """
    before, start, rest = card.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not start or not end:
        raise UserError("card_mark", path=card, name=name)
    card.write_text(before + start + text + "\n" + end + after)


def write_tables(card: Path, written: dict[str, str]) -> None:
    """Write each table into its place in a card; a README has a place for the headline alone.

    Raises ValueError when the card has no place for any of them.
    """
    text = card.read_text()
    places = {name: table for name, table in written.items() if f"<!-- {name} -->" in text}
    for name, of_place in (places or written).items():
        write_card(card, name, of_place)


def _markdown(columns: tuple[str, ...] | list[str], cells: dict[str, list[str]]) -> str:
    lines = [f"| | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(of_row)} |" for name, of_row in cells.items())])


def _cell(value: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None or not np.isfinite(value):
        return "" if value is None else "n/a"
    if interval:
        return f"{value:.2f}{_interval(interval)}"
    return f"{value:.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.3f}"
