"""Face videos, or recorded curves with sound -> a Hugging Face data set.

Sound, captured coefficients, labels, and a summary of what was dropped.

    python train/prepare.py --reader grid --source path/to/grid --output data/grid
    python train/prepare.py --reader videos --source my_recordings --output data/me --num_proc 4
    python train/prepare.py --reader livelink --source path/to/takes --output data/phone

Every finished take is kept in OUTPUT/.takes: a run that was killed goes on where it stopped, and a run with
other options captures again. OUTPUT/data holds the Parquet files that `datasets.load_dataset(OUTPUT)` reads.
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import numpy as np
import pyarrow
import pyarrow.parquet
from tqdm import tqdm
from transformers import HfArgumentParser

from bilabial.audio import decode_audio, has_sound
from bilabial.capture import Capture, capture_video, find_landmarker
from bilabial.conventions import CONVENTIONS
from bilabial.corpora import READERS, Take, read_takes
from bilabial.data import ROWS_PER_GROUP, SCHEMA, dataset_card, row_of_take
from bilabial.hub.loudness_bilabial import SAMPLING_RATE
from bilabial.recordings import read_capture


@dataclass
class PrepareArguments:
    source: Path = field(metadata={"help": "Folder with the videos or curves."})
    output: Path = field(metadata={"help": "Folder of the data set; made when missing."})
    reader: str = field(
        default="videos", metadata={"help": "How the folder is laid out.", "choices": list(READERS)}
    )
    mouth_close: str = field(
        default="auto",
        metadata={"help": "What mouthClose means in recorded curves.", "choices": ["auto", *CONVENTIONS]},
    )
    fps: float = field(
        default=50.0, metadata={"help": "Frames per second of the labels; 50 is the model's own rate."}
    )
    interpolation: Literal["coefficients", "frames"] = field(
        default="coefficients",
        metadata={"help": "What is interpolated to that rate: numbers, or images (the patent)."},
    )
    split_by: Literal["clip", "speaker"] = field(
        default="clip", metadata={"help": "What is held out for validation."}
    )
    validation_share: float = field(default=0.1, metadata={"help": "Share of clips or speakers held out."})
    min_valid_share: float = field(
        default=0.5, metadata={"help": "Drop a take that shows a face in fewer frames."}
    )
    max_seconds: float = field(default=3600.0, metadata={"help": "Drop a take that lasts longer."})
    landmarker: Path | None = field(
        default=None, metadata={"help": "The face_landmarker.task file, else looked for."}
    )
    num_proc: int = field(default=2, metadata={"help": "Takes captured at the same time."})
    limit: int | None = field(default=None, metadata={"help": "Only the first takes, to try things out."})

    def __post_init__(self) -> None:
        if not 0.0 <= self.validation_share < 1.0:
            raise ValueError(f"validation_share must be from 0 to below 1, got {self.validation_share}")
        if self.num_proc < 1:
            raise ValueError(f"num_proc must be at least 1, got {self.num_proc}")


def prepare_take(take: Take, args: PrepareArguments) -> dict:
    """One take -> one row of FEATURES. Raises ValueError with the reason why a take is of no use."""
    sound = take.video if take.video and (take.audio is None or has_sound(take.video)) else take.audio
    waveform, start_seconds = decode_audio(sound, args.max_seconds)
    if take.curves:
        waveform, capture = _piece_of_curves(take, waveform, args.fps)
    else:
        capture = capture_video(
            take.video,
            args.fps,
            start_seconds=start_seconds,
            duration_seconds=len(waveform) / SAMPLING_RATE,
            interpolation=args.interpolation,
            landmarker=args.landmarker,
        )
    if capture.valid.mean() < args.min_valid_share:
        raise ValueError(f"a face in only {capture.valid.mean():.0%} of the frames")
    return row_of_take(take, waveform, capture)


def _piece_of_curves(take: Take, waveform: np.ndarray, fps: float) -> tuple[np.ndarray, Capture]:
    """The stretch of sound and face that a take asks for, of equal length."""
    first = round(take.start_seconds * SAMPLING_RATE)
    seconds = take.duration_seconds or len(waveform) / SAMPLING_RATE - take.start_seconds
    piece = waveform[first : first + round(seconds * SAMPLING_RATE)]
    start_seconds, seconds = take.start_seconds - take.curves_late_seconds, len(piece) / SAMPLING_RATE
    return piece, read_capture(take.curves, fps, take.mouth_close, start_seconds, seconds)


def take_paths(take: Take, args: PrepareArguments) -> tuple[Path, Path]:
    """Where the row of a take, or the reason it was dropped, is kept: a name for take, file and options."""
    stats = [path.stat() for path in take.files]
    options = [
        args.fps,
        args.interpolation,
        args.min_valid_share,
        args.max_seconds,
        *(number for stat in stats for number in (stat.st_size, stat.st_mtime_ns)),
    ]
    labels = {name: value for name, value in asdict(take).items() if name != "split"}
    key = hashlib.sha256(json.dumps([labels, options], default=str).encode()).hexdigest()[:20]
    return args.output / ".takes" / f"{key}.parquet", args.output / ".takes" / f"{key}.dropped"


def keep_take(take: Take, args: PrepareArguments) -> None:
    """Do one take and keep its outcome; files appear whole or not at all."""
    row_path, dropped_path = take_paths(take, args)
    partial = row_path.with_suffix(".partial")
    try:
        row = prepare_take(take, args)
    except ValueError as reason:
        partial.write_text(str(reason))
        partial.replace(dropped_path)
        return
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row], schema=SCHEMA), partial)
    partial.replace(row_path)


def log_to(path: Path) -> None:
    """Send what libraries print on stderr to a file: MediaPipe's four lines a video hide the progress."""
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)


def split_of(take: Take, args: PrepareArguments) -> str:
    """The split a take asks for, else a stable draw by its id or speaker: more data never moves a take."""
    if take.split:
        return take.split
    key = take.speaker if args.split_by == "speaker" else take.recording or take.id
    draw = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") / 2**32
    return "validation" if draw < args.validation_share else "train"


def write_splits(takes: list[Take], args: PrepareArguments) -> dict[str, int]:
    """Join the kept rows to OUTPUT/data/SPLIT-00000-of-00001.parquet; returns the rows of each split."""
    rows: dict[str, list[Path]] = {}
    for take in takes:
        path, _ = take_paths(take, args)
        if path.is_file():
            rows.setdefault(split_of(take, args), []).append(path)
    partial = args.output / "data.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for split, paths in rows.items():
        with pyarrow.parquet.ParquetWriter(partial / f"{split}-00000-of-00001.parquet", SCHEMA) as writer:
            for start in range(0, len(paths), ROWS_PER_GROUP):
                tables = [pyarrow.parquet.read_table(path) for path in paths[start : start + ROWS_PER_GROUP]]
                writer.write_table(pyarrow.concat_tables(tables).combine_chunks())
    shutil.rmtree(args.output / "data", ignore_errors=True)
    partial.rename(args.output / "data")
    return {split: len(paths) for split, paths in rows.items()}


def main(args: PrepareArguments) -> None:
    try:
        takes = read_takes(args.reader, args.source, args.mouth_close)[: args.limit]
        if any(take.video for take in takes):
            find_landmarker(args.landmarker)  # says what to do before hours of work, not after
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from error
    (args.output / ".takes").mkdir(parents=True, exist_ok=True)
    todo = [take for take in takes if not any(path.is_file() for path in take_paths(take, args))]
    conventions = Counter(take.mouth_close for take in takes if take.mouth_close)
    print(f"{len(takes)} takes, {len(takes) - len(todo)} done before")
    for convention, count in conventions.items():
        print(f"  mouthClose of {count} takes is {convention}'s")
    # spawn: MediaPipe's threads do not survive a fork
    spawn, log = multiprocessing.get_context("spawn"), args.output / "prepare.log"
    with ProcessPoolExecutor(args.num_proc, spawn, initializer=log_to, initargs=(log,)) as pool:
        jobs = [pool.submit(keep_take, take, args) for take in todo]
        try:
            for job in tqdm(as_completed(jobs), total=len(jobs), unit="take"):
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    reasons = {}
    for take in takes:
        _, dropped = take_paths(take, args)
        if dropped.is_file():
            reasons[take.id] = dropped.read_text()
    if len(reasons) == len(takes):
        raise SystemExit(
            f"every take was dropped, the first because {next(iter(reasons.values()))}; nothing was written"
        )
    num_rows = write_splits(takes, args)
    summary = {"takes": len(takes), "rows": num_rows, "mouth_close": conventions, "dropped": reasons}
    (args.output / "summary.json").write_text(json.dumps(summary, indent=2, ensure_ascii=False))
    (args.output / "README.md").write_text(dataset_card(args.output, args.fps))
    print(f"{sum(num_rows.values())} rows in {args.output}: {num_rows}; {len(reasons)} dropped")
    for reason, count in Counter(reasons.values()).most_common():
        print(f"  dropped {count}: {reason}")


if __name__ == "__main__":
    main(HfArgumentParser(PrepareArguments).parse_args_into_dataclasses()[0])
