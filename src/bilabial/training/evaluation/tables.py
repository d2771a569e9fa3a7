"""The tables of a metrics.json in Markdown, and the places of a model card and a README that hold them."""

from pathlib import Path

import numpy as np

from bilabial.training.evaluation.shape_metrics import SHAPE_SCORES

# What the card and the README begin with: the shape of the mouth, then its closing
LEADING = (
    "width_r", "width_gain", "width_contrast", "lip_motion_explained", "gap_r", "gap_gain", "J", "AUC",
)  # fmt: skip
CLIP_FIGURES = (  # of every clip; tables show their medians
    *SHAPE_SCORES, "r0", "r0_speech", "lag_ms", "maeD", "chr", "lip_jitter_mm", "jitter",
    "mse", "mae_mouth", "mae_jaw", "mae_brows", "mae_eyes", "mve", "lve", "fdd",
)  # fmt: skip
CLOSURE = ("closure_recall", "false_closure", "false_in_speech", "cloC", "ctl")
COLUMNS = tuple(dict.fromkeys((*LEADING, *CLIP_FIGURES, "lip_change_mm", *CLOSURE)))
WEIGHTS = "weights"  # beside the tables: {"sha256": of model.safetensors, "split": of the rows}
SHAPE = "shape and closure"  # name of the first table, and of its place in a card
METRICS = "metrics"  # the place of all other tables
HIDDEN = ("clips", "intervals")  # entries of a data set that are no rows of its table
LEADING_ROWS = ("film", "capture", "model")
CAPTIONS = {  # of the tables that are no data set; their names are therefore no names for one
    SHAPE: "In brackets 95 % intervals over clips (bootstrap).",
    "together": "All data sets above: medians over all their clips, closure on all their frames and phones.",
    "phone groups": "Balanced accuracy of a linear classifier that tells a group of phones from the others "
    "by the coefficients at their middles. It learnt from the captured coefficients of the other clips. "
    "share: the model's part of what captured coefficients reach.",
    "without speech": "Ten seconds each: lip distance in mm. Like every recording, noise above -65 dB is "
    "first brought to the level of speech.",
    "after speech": "Recordings cut after the last word, with a second of quiet behind: time until the lips "
    "stay below 1 mm, the share that does within 150 ms, the share that never does.",
    "changed sound": "Median r0 on sound that was changed, and the median of what a clip loses by it.",
}


def table(scores: dict[str, dict]) -> str:
    """A Markdown table: one row per entry, the columns that any entry has, those of COLUMNS first."""
    given = dict.fromkeys(column for row in scores.values() for column in row)
    columns = [name for name in COLUMNS if name in given] + [name for name in given if name not in COLUMNS]
    cells = {name: [_cell(row.get(column)) for column in columns] for name, row in scores.items()}
    return _markdown(columns, cells)


def leading_table(scores: dict) -> str:
    """LEADING of every data set whose lips are known: the film, the captured coefficients, the model.

    Empty where there is none.
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
    """The tables of a metrics.json, one under another; numbers of single clips stay in the file."""
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

    Raises ValueError without the marks.
    """
    before, start, rest = card.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- /{name} -->")
    if not start or not end:
        raise ValueError(f"{card} has no place marked <!-- {name} --> ... <!-- /{name} -->")
    card.write_text(before + start + text + "\n" + end + after)


def write_tables(card: Path, written: dict[str, str]) -> None:
    """Write each table into its place in a card; a README has a place for the first alone.

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
        return f"{value:.2f} ({interval[0]:.2f} to {interval[1]:.2f})"
    return f"{value:.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.3f}"
