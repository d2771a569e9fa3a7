"""What the teacher of pseudo_label.py achieves on unseen people: from phones, and from Whisper's states.

    python -m benchmarks.teachers --captured data/grid_s1 --dataset data/grid data/natural \
        --phones clips.json --whisper_teacher openai/whisper-base --model default

Fits on the captured rows and predicts the faces of others; prints one row per teacher and data set.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from transformers import HfArgumentParser

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.blendshapes_bilabial import interpolate_frames
from bilabial.training.data.schema import load_rows, waveform_of
from bilabial.training.evaluation.clip_figures import clip_metrics, read_clip, summarize
from bilabial.training.evaluation.tables import table
from bilabial.training.teachers.pseudo_label import (
    FPS,
    Coarticulation,
    PseudoLabelArguments,
    Teacher,
    face_of,
    fit_filter,
    fit_network,
    fit_regressor,
    load_earlier,
)
from bilabial.training.teachers.whisper_teacher import WhisperTeacher

SHARES = (0.0, 0.5, 0.75, 1.0)
COLUMNS = ("num_clips", "lip_corr", "lag_ms", "channel_corr", "mouth_mae_centered", "youden_j", "closure_auc")


@dataclass
class TeacherArguments:
    captured: Path = field(metadata={"help": "Data set with captured faces and phone times, to fit on."})
    dataset: list[Path] = field(metadata={"help": "Data sets to draw, split validation."})
    whisper_teacher: str = field(metadata={"help": "Hub id or folder of a Whisper: openai/whisper-base."})
    phones: Path | None = field(default=None, metadata={"help": "JSON with phone times and offsets."})
    model: str | None = field(
        default=None,
        metadata={"help": "Earlier model as a further teacher: 'default', a folder or a Hub id."},
    )
    steps: int = field(default=1500, metadata={"help": "Optimizer steps of the phones' network."})


def draw(teacher: Teacher, row: dict, phones: list, fps: float) -> np.ndarray:
    """The teacher's face for a row's phones and sound, at the row's rate: (T, 52)."""
    num_frames = round(len(row["valid"]) * FPS / fps)
    face = face_of(teacher, phones, waveform_of(row), num_frames)
    return interpolate_frames(np.arange(num_frames) / FPS, face, np.arange(len(row["valid"])) / fps)


def main(args: TeacherArguments) -> None:
    model, _ = load_checkpoint()  # for the geometry of the lips
    notes = json.loads(args.phones.read_text()) if args.phones else {}
    rows = [row for row in load_rows(args.captured, "train") if row["phones"]]
    coarticulation = Coarticulation()
    fit_filter(coarticulation, rows)
    fit_network(coarticulation, rows, PseudoLabelArguments(captured=[], output=Path(), steps=args.steps))
    whisper = fit_regressor(rows, WhisperTeacher(args.whisper_teacher))
    teachers = {f"{share:.0%} Whisper": Teacher(coarticulation, whisper, share) for share in SHARES}
    if args.model:
        teachers["and the model"] = Teacher(coarticulation, whisper, model=load_earlier(args.model))
    lines = {}
    for folder in args.dataset:
        clips = [(row, read_clip(row, notes)) for row in load_rows(folder, "validation")]
        for name, teacher in teachers.items():
            results = [
                clip_metrics(clip, draw(teacher, row, clip.phones, clip.fps), model) for row, clip in clips
            ]
            summary = summarize(results)
            worst = min(result["lip_corr"] for result in results)
            columns = {column: summary[column] for column in COLUMNS if column in summary}
            lines[f"{folder.name}, {name}"] = columns | {"worst lip_corr": worst}
    print(table(lines))


if __name__ == "__main__":
    main(HfArgumentParser(TeacherArguments).parse_args_into_dataclasses()[0])
