"""Bilabial and its peers on the same clips: one table per data set and one over all clips together.

    python -m benchmarks.peers.compare --dataset data/natural data/grid --phones clips.json \
        --output peers.json --card model_card.md --report peers.html

Each peer is installed with pinned versions into a folder below --cache and runs in a process of its own, on
one thread. A peer that cannot be installed or run is named below the table with the reason, and its row is
missing. The numbers are those of train/evaluate.py, taken by the same functions. Peers that answer with
Oculus' 15 visemes are all carried to ARKit by one published table, the preset "arkit" of OpenFaceFX, read
from its package.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.peers.packages import (
    HEADAUDIO,
    OPENFACEFX,
    PYLIPSYNC,
    PeerError,
    install_node,
    install_python,
    last_error,
)
from benchmarks.peers.report import lips_figure, page, write_figures
from bilabial.checkpoint import load_checkpoint
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, interpolate_frames
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import encode_wav
from bilabial.training.data.schema import load_rows, waveform_of
from bilabial.training.evaluation import metrics
from bilabial.training.evaluation.clip_figures import Clip, clip_metrics, lip_motion, read_clip, summarize
from bilabial.training.evaluation.tables import write_card

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

MAPPING_CODE = "import json; from openfacefx.retarget import PRESETS; print(json.dumps(PRESETS['arkit']))"
OURS = "Bilabial"


@dataclass(frozen=True)
class Case:
    """A clip as evaluation reads it, and the waveform (S,) float32 at 16 kHz of every peer."""

    dataset: str
    clip: Clip
    waveform: np.ndarray

    @property
    def id(self) -> str:
        return f"{self.dataset}/{self.clip.id}"

    @property
    def seconds(self) -> float:
        return len(self.waveform) / 16000


@dataclass(frozen=True)
class Peer:
    """A row of the table: its name, and what installs it and returns its command (PeerError if it cannot)."""

    name: str
    command: Callable[[], list[str]]


@dataclass(frozen=True)
class Run:
    """What one process gave: coefficients (T, 52) and seconds by case id, and its peak memory in MB."""

    predictions: dict[str, np.ndarray]
    seconds: dict[str, float]
    peak_mb: float


def peers(cache: Path, model: str | None) -> list[Peer]:
    """All rows that are measured, ours first."""
    this = sys.executable

    def openfacefx(mode: str) -> list[str]:
        python = install_python(OPENFACEFX, cache / "openfacefx")
        return [str(python), "-m", "benchmarks.peers.peer_openfacefx", mode]

    def pylipsync() -> list[str]:
        return [str(install_python(PYLIPSYNC, cache / "pylipsync")), "-m", "benchmarks.peers.peer_pylipsync"]

    def headaudio() -> list[str]:
        folder = install_node(HEADAUDIO, cache / "headaudio")
        return ["node", str(HERE / "peer_headaudio.mjs"), str(folder)]

    return [
        Peer(OURS, lambda: [this, "-m", "benchmarks.peers.peer_bilabial", *([model] if model else [])]),
        Peer("OpenFaceFX (phone times)", lambda: openfacefx("phones")),
        Peer("OpenFaceFX (audio only)", lambda: openfacefx("energy")),
        Peer("pylipsync (uLipSync)", pylipsync),
        Peer("HeadAudio", headaudio),
        Peer("energy envelope", lambda: [this, "-m", "benchmarks.peers.peer_energy"]),
    ]


def viseme_mapping(cache: Path) -> dict[str, list[tuple[str, float]]]:
    """Oculus' 15 visemes -> ARKit names and weights: the preset of the installed OpenFaceFX.

    Raises PeerError.
    """
    python = install_python(OPENFACEFX, cache / "openfacefx")
    done = subprocess.run([str(python), "-c", MAPPING_CODE], capture_output=True, text=True)
    if done.returncode:
        raise PeerError(f"the table from visemes to ARKit could not be read: {last_error(done.stderr)}.")
    return json.loads(done.stdout)


def to_arkit(names: list[str], values: np.ndarray, mapping: dict) -> np.ndarray:
    """Curves (T, N) of visemes or ARKit coefficients -> (T, 52) in 0..1, summed and clipped.

    A viseme without an entry, such as silence, is the face at rest. A name of the mapping that is not ARKit's
    raises ValueError.
    """
    result = np.zeros((len(values), len(ARKIT_BLENDSHAPES)), np.float32)
    for name, curve in zip(names, np.transpose(values), strict=True):
        targets = [(name, 1.0)] if name in ARKIT_BLENDSHAPES else mapping.get(name, [])
        for target, weight in targets:
            result[:, ARKIT_BLENDSHAPES.index(target)] += weight * curve
    return result.clip(0.0, 1.0)


def write_job(cases: list[Case], folder: Path) -> Path:
    """The clips as 16-bit WAV files of 16 kHz, and the job that names them (see job.py)."""
    clips = []
    for number, case in enumerate(cases):
        path = folder / f"{number}.wav"
        path.write_bytes(encode_wav(case.waveform))
        clips.append({"id": case.id, "wav": str(path), "fps": case.clip.fps, "phones": case.clip.phones})
    job = folder / "job.json"
    job.write_text(json.dumps({"clips": clips}))
    return job


def measure(peer: Peer, job: Path, cases: list[Case], mapping: Callable[[], dict]) -> Run:
    """Run a peer over the job in a process of its own. Raises PeerError with one sentence."""
    command = peer.command()
    result_path = job.with_name("result.json")
    result_path.unlink(missing_ok=True)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    split = 3 if command[1] == "-m" else 2  # before job and result; what follows is the peer's own
    command = [*command[:split], str(job), str(result_path), *command[split:]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads, cwd=ROOT)
    except OSError as error:
        raise PeerError(f"{peer.name} could not run: {command[0]} cannot be started.") from error
    if done.returncode or not result_path.exists():
        raise PeerError(f"{peer.name} could not run: {last_error(done.stderr)}.")
    result = json.loads(result_path.read_text())
    predictions = {}
    for case in cases:
        curves = result["curves"][case.id]
        named = set(curves["names"]) <= set(ARKIT_BLENDSHAPES)
        values = to_arkit(curves["names"], np.array(curves["values"]), {} if named else mapping())
        times = np.arange(len(case.clip.labels)) / case.clip.fps
        predictions[case.id] = interpolate_frames(np.array(curves["times"]), values, times)
    return Run(predictions, result["seconds"], result["peak_mb"])


def measure_all(
    rows: list[Peer], cases: list[Case], mapping: Callable[[], dict]
) -> tuple[dict[str, Run], list[str]]:
    """The runs by name, and one sentence for every peer that is missing."""
    runs, notes = {}, []
    with tempfile.TemporaryDirectory() as folder:
        job = write_job(cases, Path(folder))
        for peer in rows:
            print(f"{peer.name} ...", file=sys.stderr)
            try:
                runs[peer.name] = measure(peer, job, cases, mapping)
            except PeerError as error:
                notes.append(f"{peer.name} is missing: {error}")
    return runs, notes


def references(cases: list[Case], ours: Run | None) -> dict[str, dict[str, np.ndarray]]:
    """Rows that need no process: the null row, a constant face, and the captured coefficients themselves."""
    rows = {"mean pose": {}, "captured (ceiling)": {}}
    for case in cases:
        rows["mean pose"][case.id] = np.tile(case.clip.labels.mean(axis=0), (len(case.clip.labels), 1))
        rows["captured (ceiling)"][case.id] = case.clip.labels
    if ours is None:
        return rows
    rolled = {key: np.roll(value, len(value) // 2, axis=0) for key, value in ours.predictions.items()}
    return {f"{OURS}, rolled by half a clip": rolled, **rows}


def distance_of(predicted: np.ndarray, model: BilabialModel) -> np.ndarray:
    """Lip distance (T,) in lip units of (T, 52)."""
    weights = model.config.lip_distance_weights
    return lip_distance(torch.from_numpy(predicted), ARKIT_BLENDSHAPES, weights).numpy()


def correlation_at(distance: np.ndarray, gap: np.ndarray, fps: float, lag_ms: float) -> float:
    """Pearson r of the curves (T,) where they overlap, after `distance` is moved earlier by `lag_ms`."""
    times = np.arange(len(gap)) / fps
    shifted = times + lag_ms / 1000
    inside = (shifted >= 0) & (shifted <= times[-1])
    return metrics.correlation(np.interp(shifted[inside], times, distance), gap[inside])


def score(case: Case, predicted: np.ndarray, model: BilabialModel) -> dict:
    """The metrics of train/evaluate.py, and r at the best lag (r_best)."""
    result = clip_metrics(case.clip, predicted, model)
    valid = case.clip.valid[: len(predicted)]
    curves = (distance_of(predicted, model)[: len(valid)][valid], case.clip.gap[: len(valid)][valid])
    return result | {"r_best": correlation_at(*curves, case.clip.fps, result["lag_ms"])}


def summary(cases: list[Case], predictions: dict[str, np.ndarray], run: Run | None, model) -> dict:
    """One row of one table: medians and pooled closure, r_best, and the cost where there was a process."""
    results = [score(case, predictions[case.id], model) for case in cases]
    row = summarize(results) | {"r_best": float(np.median([result["r_best"] for result in results]))}
    if run is not None:
        spent = sum(run.seconds[case.id] for case in cases)
        row |= {"real_time_factor": spent / sum(case.seconds for case in cases), "peak_mb": run.peak_mb}
    if row["lip_corr"] == row["r_best"] == 0:
        del row["lag_ms"]  # a face that does not move is neither early nor late
    return row


def film_row(cases: list[Case]) -> dict[str, dict]:
    """The row of the film, which has no coefficients: how its lips move. None where no lips are known."""
    filmed = [lip_motion(case.clip.lips, case.clip) for case in cases if case.clip.lips is not None]
    return {"film": summarize(filmed)} if filmed else {}


def read_cases(datasets: list[str], split: str, notes: dict) -> list[Case]:
    return [
        Case(Path(name).name, read_clip(row, notes), waveform_of(row))
        for name in datasets
        for row in load_rows(name, split)
    ]


def figures_of(groups: dict[str, list[Case]], predictions: dict, model: BilabialModel) -> list:
    """The lips of every system on the first clip of each group."""
    return [
        lips_figure(
            f"{case.dataset}: {case.clip.id.rsplit('/', 1)[-1]}",
            case.clip.fps,
            case.clip.gap,
            {name: distance_of(values[case.id], model) for name, values in predictions.items()},
            case.clip.phones,
        )
        for case, *_ in groups.values()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", required=True, nargs="+", help="data sets made by train/prepare.py")
    parser.add_argument("--split", default="validation", help="the split that is measured")
    parser.add_argument("--phones", type=Path, required=True, help="phone times, see train/evaluate.py")
    parser.add_argument("--model", help="folder or Hub id; left out: the embedded default")
    parser.add_argument("--cache", type=Path, default=Path("build/peers"), help="folder of installed peers")
    parser.add_argument("--output", type=Path, required=True, help="JSON file with every number")
    parser.add_argument("--card", type=Path, help="model card to write the tables into")
    parser.add_argument("--report", type=Path, help="HTML page with the lips of every system on some clips")
    args = parser.parse_args()
    model, _ = load_checkpoint(args.model)
    cases = read_cases(args.dataset, args.split, json.loads(args.phones.read_text()))
    cache = args.cache.resolve()
    runs, notes = measure_all(peers(cache, args.model), cases, lambda: viseme_mapping(cache))
    predictions = {name: run.predictions for name, run in runs.items()}
    predictions |= references(cases, runs.get(OURS))
    groups = {
        name: [c for c in cases if c.dataset == name] for name in dict.fromkeys(c.dataset for c in cases)
    }
    together = {"all clips": cases} if len(groups) > 1 else {}
    scores = {
        group: {name: summary(of, values, runs.get(name), model) for name, values in predictions.items()}
        | film_row(of)
        for group, of in (groups | together).items()
    }
    args.output.write_text(json.dumps(scores | {"notes": notes}, indent=1) + "\n")
    text = page(scores, notes)
    print(text)
    if args.card:
        write_card(args.card, "peers", text)
    if args.report:
        write_figures(args.report, figures_of(groups, predictions, model))


if __name__ == "__main__":
    main()
