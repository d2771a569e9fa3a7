"""The report of a prepared data set: one self-contained HTML file for desktop and phone."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from bilabial.io.files import write_atomically
from bilabial.training.data.quality import LIMITS, Limit, Quality
from bilabial.training.prepare.filtering import Decision

KEPT_COLOR, DROPPED_COLOR, FOREGROUND_COLOR = "#3f7fb5", "#c4606a", "#808080"
GRID = "rgba(127, 127, 127, 0.25)"
MAX_TAKES, MAX_OPEN = 500, 10  # numbers of takes listed, and listed unfolded
STYLE = """
:root { color-scheme: light dark }
body { margin: 0 auto; padding: 12px; max-width: 1100px; font: 16px/1.45 system-ui, sans-serif }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin: 1.6em 0 .4em }
.plots { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)) }
.plots > div { min-width: 0 }
.tiles { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)) }
.tiles div { border: 1px solid #8884; border-radius: 8px; padding: 8px 12px }
.tiles b { display: block; font-size: 1.5em }
details { border: 1px solid #8884; border-radius: 8px; padding: 6px 12px; margin: 6px 0 }
summary { cursor: pointer; overflow-wrap: anywhere }
.score { display: inline-block; min-width: 2.2em; font-weight: bold }
dl { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 2px 12px; margin: 8px 0 }
dd { margin: 0; overflow-wrap: anywhere }
.faint { opacity: .7 } .kept { color: #3f7fb5 } .dropped { color: #c4606a }
"""


@dataclass(frozen=True)
class Plot:
    """A histogram of one measure over the takes. measure: the name of an attribute of Quality."""

    measure: str
    title: str
    scale: float = 1.0  # from the measure's unit to the plot's


PLOTS = (
    Plot("face_share", "frames with a face (%)", 100.0),
    Plot("eye_distance", "size of the face: between the eyes (pixels)"),
    Plot("jitter", "jitter (% of the eye distance)", 100.0),
    Plot("brightest", "exposure: lightest parts of the face (%)", 100.0),
    Plot("darkest", "exposure: darkest parts of the face (%)", 100.0),
    Plot("moving_share", "coefficients that move (%)", 100.0),
    Plot("av_offset_ms", "lips late by (ms); negative: early"),
    Plot("agreement", "how well the lips follow the sound (r)"),
    Plot("level_db", "level of the speech (dB)"),
    Plot("clipped_share", "clipped: samples at full scale (%)", 100.0),
    Plot("lost_share", "lost sound: silence in the place of lost packets (%)", 100.0),
    Plot("missing_share", "cut files: missing at the end (%)", 100.0),
    Plot("opening", "opening of the lips (% of the eye distance)", 100.0),
    Plot("sealed_share", "frames with closed lips (%)", 100.0),
    Plot("closures_per_second", "closures of the lips per second"),
    Plot("seconds", "length (s)"),
)
OTHER_KINDS = {
    "copy": "copies",
    "no row": "nothing to capture",
    "av_error_ms": "lips and sound apart",
    "agreement_ratio": "lips that do not follow the sound",
    "offset_trust": "lips and sound whose offset cannot be told",
    "picture_share": "pictures that end early",
}


def write_report(path: Path, title: str, decisions: Sequence[Decision], min_score: float) -> None:
    """Write the page; summary.json has everything that its tables leave out."""
    measured = [decision for decision in decisions if decision.quality]
    dropped = sorted(
        (decision for decision in decisions if decision.reason), key=lambda decision: decision.score
    )
    kept = sorted(
        (decision for decision in decisions if not decision.reason), key=lambda decision: decision.score
    )
    parts = [
        f"<h1>{escape(title)}</h1>",
        _tiles(decisions, min_score),
        "<h2>Dropped, and why</h2>",
        _kinds(dropped),
        _takes(dropped),
        "<h2>Kept, the worst first</h2>",
        _takes(kept),
    ]
    if measured:
        score = _histogram(Plot("score", "score"), measured, lambda decision: decision.score, None)
        parts += [
            "<h2>Measures of all takes</h2><p><b class='kept'>Kept</b> and <b class='dropped'>dropped</b> "
            "takes. A take's score begins to fall at the dotted line and is 0 at the solid one.</p>",
            _plots([score, *(_measure_histogram(plot, measured) for plot in PLOTS)]),
            "<h2>Coefficients that do not move</h2>",
            f"<div>{_html(_dead_channels(measured))}</div>",
        ]
    write_atomically(path, _page(title, "\n".join(parts)))


def _page(title: str, body: str) -> str:
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style><script>{get_plotlyjs()}</script></head>"
        f"<body>{body}</body></html>"
    )


def _tiles(decisions: Sequence[Decision], min_score: float) -> str:
    qualities = [decision.quality for decision in decisions if decision.quality and not decision.reason]
    num_dropped = sum(decision.reason is not None for decision in decisions)
    numbers = {
        "takes": len(decisions),
        "kept": len(decisions) - num_dropped,
        "dropped": num_dropped,
        "minutes kept": f"{sum(quality.seconds for quality in qualities) / 60:.1f}",
        "score needed, of 100": f"{min_score:g}",
    }
    tiles = (f"<div><b>{number}</b>{name}</div>" for name, number in numbers.items())
    return f"<div class='tiles'>{''.join(tiles)}</div>"


def _kinds(dropped: Sequence[Decision]) -> str:
    """Numbers of dropped takes by reason."""
    titles = OTHER_KINDS | {plot.measure: plot.title.split(" (")[0] for plot in PLOTS}
    counts = Counter(titles[decision.kind] for decision in dropped)
    entries = (f"<dt>{escape(kind)}</dt><dd>{count}</dd>" for kind, count in counts.most_common())
    return f"<dl>{''.join(entries)}</dl>"


def _takes(decisions: Sequence[Decision]) -> str:
    """A list of takes with foldable measures; a long list is folded."""
    takes = [_take(decision) for decision in decisions[:MAX_TAKES]]
    more = "".join(takes[MAX_OPEN:])
    if len(decisions) > MAX_TAKES:
        more += f"<p class='faint'>and {len(decisions) - MAX_TAKES} more, all in summary.json</p>"
    folded = f"<details><summary>{len(decisions) - MAX_OPEN} more</summary>{more}</details>" if more else ""
    return "".join(takes[:MAX_OPEN]) + folded


def _take(decision: Decision) -> str:
    text = decision.reason if decision.quality is None else ", ".join(decision.remarks)
    head = f"<span class='score'>{decision.score:.0f}</span> {escape(decision.id)}"
    if text:
        head += f"<br><span class='faint'>{escape(text)}</span>"
    measures = _measures(decision.quality) if decision.quality else ""
    return f"<details><summary>{head}</summary>{measures}</details>"


def _measures(quality: Quality) -> str:
    values = {plot.title: _text(getattr(quality, plot.measure), plot.scale) for plot in PLOTS}
    values["chosen"] = "; ".join(quality.notes) or "nothing to choose"
    values["sound lost"] = (
        ", ".join(f"{seconds:.2f} s at {start:.2f} s" for start, seconds in quality.gaps) or "none"
    )
    values["coefficients that do not move"] = ", ".join(quality.dead_channels) or "none"
    entries = (f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in values.items())
    return f"<dl>{''.join(entries)}</dl>"


def _text(value: float | None, scale: float) -> str:
    return "not measured" if value is None else f"{value * scale:.3g}"


def _measure_histogram(plot: Plot, decisions: Sequence[Decision]) -> go.Figure:
    return _histogram(
        plot, decisions, lambda decision: getattr(decision.quality, plot.measure), LIMITS.get(plot.measure)
    )


def _histogram(
    plot: Plot,
    decisions: Sequence[Decision],
    value_of: Callable[[Decision], float | None],
    limit: Limit | None,
) -> go.Figure:
    """Histogram of kept and dropped takes."""
    figure = go.Figure()
    measured = [(value_of(decision), decision.reason is None) for decision in decisions]
    for name, kept, color in (("kept", True, KEPT_COLOR), ("dropped", False, DROPPED_COLOR)):
        values = [value * plot.scale for value, stays in measured if value is not None and stays is kept]
        figure.add_histogram(x=values, name=name, marker_color=color, bingroup=1, nbinsx=30)
    not_measured = sum(value is None for value, _ in measured)
    title = f"{plot.title}<br>{not_measured} not measured" if not_measured else plot.title
    if limit:
        figure.add_vline(limit.good * plot.scale, line={"dash": "dot", "color": FOREGROUND_COLOR, "width": 1})
        figure.add_vline(limit.useless * plot.scale, line={"color": FOREGROUND_COLOR, "width": 1})
    return _styled(figure, title)


def _dead_channels(decisions: Sequence[Decision]) -> go.Figure:
    """Numbers of takes in which each coefficient never moves."""
    counts = Counter(name for decision in decisions for name in decision.quality.dead_channels)
    names = [name for name, _ in counts.most_common()][::-1]
    figure = go.Figure()
    shares = [100 * counts[name] / len(decisions) for name in names]
    figure.add_bar(x=shares, y=names, orientation="h", marker_color=KEPT_COLOR)
    figure.update_yaxes(automargin=True, tickmode="linear")
    return _styled(figure, "takes in which it does not move (%)", height=80 + 18 * len(names))


def _styled(figure: go.Figure, title: str, height: int = 230) -> go.Figure:
    return figure.update_layout(
        title={"text": title, "font_size": 13, "x": 0.5},
        height=height,
        barmode="stack",
        showlegend=False,
        margin={"l": 40, "r": 10, "t": 50, "b": 30},
        paper_bgcolor="rgba(0, 0, 0, 0)",  # readable on light and on dark pages
        plot_bgcolor="rgba(127, 127, 127, 0.08)",
        font_color=FOREGROUND_COLOR,
        xaxis_gridcolor=GRID,
        yaxis_gridcolor=GRID,
        dragmode=False,  # touch scrolls the page
    )


def _plots(figures: Sequence[go.Figure]) -> str:
    return f"<div class='plots'>{''.join(f'<div>{_html(figure)}</div>' for figure in figures)}</div>"


def _html(figure: go.Figure) -> str:
    options = {"displayModeBar": False, "responsive": True}
    return figure.to_html(full_html=False, include_plotlyjs=False, config=options)
