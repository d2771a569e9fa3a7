"""Measure the audio-video offset of each clip of a data set, and write it into the rows.

The offset is the shift at which a model's lip distance correlates best with the captured gap. It is relative
to the model's training clips: a first model should come from a corpus that is in sync (GRID is within 10 ms),
and models are comparable only on the same offsets. A clip with a weak peak takes its source's median; in
between the two are mixed. Training and evaluation then shift the captured face by `av_offset_ms`; negative
means that the lips are early. Rows of pseudo-labels keep 0. The script is idempotent.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
from tqdm import tqdm

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.synchrony import MAX_LAG_SECONDS, lag_peak
from bilabial.training.data.schema import load_rows, update_rows, waveform_of

logger = logging.getLogger(__name__)

# On 62 pieces of 10 s from recordings in sync, peaks of r 0.6-0.8 scattered by 14 ms; of 11 clips of unseen
# people with a known offset the only wrong one (by 0.3 s) had r 0.35.
NO_TRUST_R, FULL_TRUST_R = 0.4, 0.7
FULL_TRUST_SECONDS = 2.0  # shorter clips correlate by chance
LARGEST_LAG_SHARE = 1 / 3  # of a clip: beyond it the overlap is too short for a significant peak


@dataclass
class AlignArguments:
    dataset: list[Path] = field(metadata={"help": "Folders of data sets made by prepare.py."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded default."}
    )


@dataclass(frozen=True)
class Peak:
    """Correlation peak of one clip. offset_ms: delay of its lips. trust: 0 to 1."""

    id: str
    source: str
    offset_ms: float
    trust: float


def measure(row: dict, model: BilabialModel, max_lag_seconds: float = MAX_LAG_SECONDS) -> Peak:
    """The peak of one row, over its longest stretch with a face.

    The search is limited to max_lag_seconds and to a third of the stretch.
    """
    distance = predict_distance(waveform_of(row), float(row["fps"]), model)
    return find_peak(row, distance, max_lag_seconds)


def predict_distance(waveform: np.ndarray, fps: float, model: BilabialModel) -> np.ndarray:
    """The lip distance (T,) that a model predicts for a leveled waveform (S,) at 16 kHz."""
    predicted = model.animate(waveform, SAMPLING_RATE, fps=fps)
    return lip_distance(predicted, model.config.blendshapes, model.config.lip_distance_weights).cpu().numpy()


def find_peak(row: dict, distance: np.ndarray, max_lag_seconds: float = MAX_LAG_SECONDS) -> Peak:
    """`measure` with the lip distance (T,) predicted for the row."""
    fps = float(row["fps"])
    stretch = longest_stretch(np.asarray(row["valid"], bool)[: len(distance)])
    gap = np.asarray(row["lip_gap"], np.float32)[stretch]
    lag_ms, r = 0.0, 0.0
    if len(gap) > 2:
        reach = min(max_lag_seconds, LARGEST_LAG_SHARE * len(gap) / fps)
        lag_ms, r = lag_peak(distance[stretch], gap, fps, reach)
    trust = (r - NO_TRUST_R) / (FULL_TRUST_R - NO_TRUST_R) * min(1.0, len(gap) / fps / FULL_TRUST_SECONDS)
    return Peak(row["id"], row["source"], -lag_ms, float(np.clip(trust, 0.0, 1.0)))


def longest_stretch(valid: np.ndarray) -> slice:
    """The longest run of True in (T,) bool; empty without any."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], valid, [False]]).astype(int)))
    starts, ends = edges[::2], edges[1::2]
    longest = int(np.argmax(ends - starts)) if len(starts) else 0
    return slice(int(starts[longest]), int(ends[longest])) if len(starts) else slice(0, 0)


def offsets_of_peaks(peaks: Iterable[Peak]) -> dict[str, float]:
    """The offset of each clip in ms, weak ones shrunk to the median of their source's trusted ones.

    A source without a trusted clip gets 0.
    """
    peaks = list(peaks)
    medians = {source: source_median(peaks, source) for source in {peak.source for peak in peaks}}
    return {
        peak.id: round(medians[peak.source] + peak.trust * (peak.offset_ms - medians[peak.source]), 1)
        for peak in peaks
    }


def source_median(peaks: list[Peak], source: str) -> float:
    trusted = [peak.offset_ms for peak in peaks if peak.source == source and peak.trust > 0]
    return float(np.median(trusted)) if trusted else 0.0


def report(peaks: list[Peak], offsets: dict[str, float]) -> str:
    """A Markdown table: per source the median, the quartiles, and the number of measured clips."""
    lines = ["| source | median (ms) | quartiles (ms) | clips | trusted |", "|---|---|---|---|---|"]
    for source in sorted({peak.source for peak in peaks}):
        own = [peak for peak in peaks if peak.source == source]
        low, middle, high = np.percentile([offsets[peak.id] for peak in own], [25, 50, 75])
        trusted = sum(peak.trust > 0 for peak in own)
        lines.append(f"| {source} | {middle:.0f} | {low:.0f} to {high:.0f} | {len(own)} | {trusted} |")
    return "\n".join(lines)


def histogram(peaks: list[Peak], offsets: dict[str, float]) -> go.Figure:
    """Histogram of offsets by source."""
    figure = go.Figure()
    for source in sorted({peak.source for peak in peaks}):
        own = [offsets[peak.id] for peak in peaks if peak.source == source]
        figure.add_histogram(x=own, name=source, xbins={"start": -305, "end": 305, "size": 10})
    return figure.update_layout(
        xaxis={"title": "lips late by (ms); negative: early"}, yaxis={"title": "clips"}, barmode="stack"
    )


def align_data_sets(args: AlignArguments) -> None:
    model, _ = load_checkpoint(args.model)
    data = {folder: load_rows(folder) for folder in args.dataset}
    for folder, splits in data.items():
        rows = (row for split in splits.values() for row in split if row["face"] == "captured")
        total = sum(list(split["face"]).count("captured") for split in splits.values())
        peaks = [measure(row, model) for row in tqdm(rows, total=total, unit="clip")]
        offsets = offsets_of_peaks(peaks)
        update_rows(folder, "av_offset_ms", offsets)
        histogram(peaks, offsets).write_html(folder / "av_offset.html", include_plotlyjs="cdn", div_id="av")
        logger.info(f"### {folder.name}\n\n{report(peaks, offsets)}\n")
