"""What known phones add to the sound: closures, false closures and the gap of the lips, with and without.

    python -m benchmarks.timing --dataset data/dev --phones clips.json

--dataset: made by train/prepare.py; --phones: as train/evaluate.py takes it, with phones of forced alignment;
clips without phones are left out.
Rows: the sound alone; with phones; with phones of the next clip, which must be noticed; with words without
times (extra `align`), and those of the next clip. "followed": in how many clips the timing fits. "rises": in
how many lip_corr is higher than with the sound alone, and the median of the differences.
"""

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from transformers import HfArgumentParser

from bilabial.clip import FaceClip
from bilabial.errors import UserError
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.io.alignment import Transcript, align_transcript
from bilabial.io.timings import Timing
from bilabial.motion import Sound
from bilabial.timing import TimingWarning, find_misfit, follow_timing
from bilabial.training.data.schema import load_rows, waveform_of
from bilabial.training.evaluation.clip_figures import Clip, clip_metrics, read_clip, summarize

COLUMNS = (
    "lip_corr", "mean_lip_corr", "bilabial_closure", "vowel_false_closure", "youden_j", "closure_auc",
)  # fmt: skip


@dataclass
class TimingArguments:
    dataset: list[str] = field(metadata={"help": "Folders or Hub ids of data sets made by prepare.py."})
    phones: Path = field(metadata={"help": "JSON with phone times and audio-video offsets."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded one."}
    )
    split: str = field(default="validation", metadata={"help": "The split to measure."})


def timings_of(
    clip: Clip, other: Clip, words: str, others: str
) -> Iterator[tuple[str, Timing | Transcript | None]]:
    """What a clip is animated with, by row of the table. words, others: the transcripts of both."""
    yield "sound alone", None
    yield "phones", Timing(tuple(clip.phones), True)
    stretch = min(1.0, len(clip.valid) / clip.fps / other.phones[-1][2])
    phones = tuple((name, start * stretch, end * stretch) for name, start, end in other.phones)
    yield "phones of another clip", Timing(phones, True)
    yield "words without times", Transcript(words)
    yield "words of another clip", Transcript(others)


def animated(
    face: FaceClip, waveform: np.ndarray, timing: Timing | Transcript | None
) -> tuple[FaceClip, bool]:
    """The face with a timing, and whether it was followed."""
    if isinstance(timing, Transcript):
        try:
            timing = align_transcript(waveform, timing)
        except UserError:
            return face, False
    if timing is None:
        return face, False
    sound = Sound.of(waveform, SAMPLING_RATE, face, 0, do_normalize=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TimingWarning)
        try:
            shown = follow_timing(face, timing, len(waveform) / SAMPLING_RATE, sound.speaking)
        except UserError:
            return face, False
    return shown, find_misfit(face, timing) is None


def main(args: TimingArguments) -> None:
    from bilabial.checkpoint import load_checkpoint

    model, _ = load_checkpoint(args.model)
    notes = json.loads(args.phones.read_text())
    rows = [row for source in args.dataset for row in load_rows(source, args.split)]
    pairs = [(row, clip) for row in rows if (clip := read_clip(row, notes)).phones]
    clips = [clip for _, clip in pairs]
    results: dict[str, list[dict]] = {}
    followed: dict[str, int] = {}
    for number, (row, clip) in enumerate(pairs):
        waveform = waveform_of(row)
        values = model.animate(waveform, SAMPLING_RATE, fps=clip.fps).cpu().numpy()
        face = FaceClip(model.config.blendshapes, values, clip.fps, model.config.lip_distance_weights)
        next_row, next_clip = pairs[(number + 1) % len(pairs)]
        words = [notes[one["id"].rsplit("/", 1)[-1]]["transcript"] for one in (row, next_row)]
        for name, timing in timings_of(clip, next_clip, *words):
            shown, fits = animated(face, waveform, timing)
            results.setdefault(name, []).append(clip_metrics(clip, shown.values, model))
            followed[name] = followed.get(name, 0) + fits
    print(f"| timing | followed | {' | '.join(COLUMNS)} | rises |\n" + "|---" * (len(COLUMNS) + 3) + "|")
    alone = np.array([result["lip_corr"] for result in results["sound alone"]])
    for name, of_row in results.items():
        summary = summarize(of_row)
        correlations = np.array([result["lip_corr"] for result in of_row])
        summary["mean_lip_corr"] = float(correlations.mean())
        rises = f"{np.sum(correlations > alone)} of {len(of_row)}, {np.median(correlations - alone):+.3f}"
        used = f"{followed[name]} of {len(of_row)}"
        used, rises = ("", "") if name == "sound alone" else (used, rises)
        print(f"| {name} | {used} | {' | '.join(f'{summary[key]:.3f}' for key in COLUMNS)} | {rises} |")
    minima = [result["phone_minima"] for result in results["phones"] if "phone_minima" in result]
    print(
        f"{len(clips)} clips; {sum(len(b) for b, _ in minima)} p b m, {sum(len(c) for _, c in minima)} vowels"
    )


if __name__ == "__main__":
    main(HfArgumentParser(TimingArguments).parse_args_into_dataclasses()[0])
