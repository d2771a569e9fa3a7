"""Face videos, or recorded curves with sound -> a Hugging Face data set, and a report of its quality.

Every finished take is kept in OUTPUT/.takes: a killed run continues, and a run with other options captures
again. OUTPUT/data holds the Parquet files that `datasets.load_dataset(OUTPUT)` reads, OUTPUT/report.html and
summary.json the quality of each take and why some were dropped. See docs/cluster.md for many machines.
"""

import json
import logging
import shutil
from collections import Counter
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

import pyarrow.parquet
from tqdm import tqdm

from bilabial.checkpoint import load_checkpoint
from bilabial.errors import UserError
from bilabial.executors import check_executor, run
from bilabial.io.capture import find_landmarker
from bilabial.io.files import write_atomically
from bilabial.io.mouth_close import CONVENTIONS
from bilabial.training.data.corpora import READERS, Take, read_takes
from bilabial.training.data.schema import data_files, dataset_card
from bilabial.training.prepare.filtering import Decision, filter_takes
from bilabial.training.prepare.report import write_report
from bilabial.training.prepare.shards import check_output, write_shards
from bilabial.training.prepare.take_job import (
    NO_MODEL,
    Job,
    Outcome,
    TakeOptions,
    job_of_take,
    keep_take,
    read_outcome,
)

logger = logging.getLogger(__name__)

MIN_FREE_BYTES = 100_000_000  # free space below which the run stops
MAX_REASONS = 20  # printed; all are in the report


@dataclass(kw_only=True)
class PrepareArguments(TakeOptions):
    source: Path = field(metadata={"help": "Folder with the videos or curves."})
    output: Path = field(metadata={"help": "Folder of the data set; made when missing."})
    reader: str = field(
        default="videos", metadata={"help": "How the folder is laid out.", "choices": list(READERS)}
    )
    mouth_close: str = field(
        default="auto",
        metadata={"help": "What mouthClose means in recorded curves.", "choices": ["auto", *CONVENTIONS]},
    )
    style: str | None = field(
        default=None,
        metadata={
            "help": "One style for all takes, overriding the source; 'default' for many people with few"
            " clips each."
        },
    )
    split_by: Literal["clip", "speaker"] = field(
        default="clip", metadata={"help": "Unit of the split: what is held out for validation."}
    )
    validation_share: float = field(default=0.1, metadata={"help": "Share of clips or speakers held out."})
    min_score: float = field(
        default=50.0,
        metadata={
            "help": "Drop takes with a lower quality score (0 to 100); 0 keeps all. 50 is one measure "
            "half way from good to useless, or two a third of the way."
        },
    )
    rows_per_shard: int = field(
        default=2000,
        metadata={"help": "Maximal number of rows in a Parquet file; 2,000 takes of 3 s are 200 MB."},
    )
    executor: Literal["processes", "ray"] = field(
        default="processes", metadata={"help": "Run on processes of this machine, or on a Ray cluster."}
    )
    num_proc: int = field(
        default=2, metadata={"help": "Number of takes captured in parallel on this machine."}
    )
    limit: int | None = field(default=None, metadata={"help": "Use only the first takes, for a trial run."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.validation_share < 1.0:
            raise UserError("option_share", option="--validation_share", got=self.validation_share)
        if not 0.0 <= self.min_score <= 100.0:
            raise UserError("option_range", option="--min_score", low=0, high=100, got=self.min_score)
        for name in ("num_proc", "rows_per_shard", "limit"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError("option_least", option=f"--{name}", low=1, got=getattr(self, name))

    @property
    def take_options(self) -> TakeOptions:
        return TakeOptions(**{option.name: getattr(self, option.name) for option in fields(TakeOptions)})


def prepare_takes(jobs: list[Job], args: PrepareArguments) -> dict[str, str]:
    """Process the remaining takes; returns the reasons of takes without an outcome, by id: they are tried
    again in the next run.
    """
    for partial in (args.output / ".takes").glob(".*.partial*"):
        partial.unlink()
    todo = [job for job in jobs if not job.done]
    logger.info(f"{len(jobs)} takes, {len(jobs) - len(todo)} done before")
    for convention, count in conventions_of(jobs).items():
        logger.info(f"  mouthClose of {count} takes is {convention}'s")
    results = run(keep_take, todo, args.executor, args.num_proc, args.output / "prepare.log")
    failures = {}
    for job, failure in tqdm(results, total=len(todo), unit="take"):
        if failure:
            failures[job.take.id] = failure
        if shutil.disk_usage(args.output).free < MIN_FREE_BYTES:
            raise UserError("disk_full", path=args.output, limit=round(MIN_FREE_BYTES / 1e6))
    return failures


def conventions_of(jobs: list[Job]) -> Counter[str]:
    """Numbers of takes by convention of mouthClose."""
    return Counter(job.take.mouth_close for job in jobs if job.take.mouth_close)


def split_of(take: Take, args: PrepareArguments) -> str:
    """The split of a take, else a pseudo-random one by id or speaker, stable when data are added."""
    if take.split:
        return take.split
    key = take.speaker if args.split_by == "speaker" else take.recording or take.id
    draw = int.from_bytes(sha256(key.encode()).digest()[:4], "big") / 2**32
    return "validation" if draw < args.validation_share else "train"


def write_data_set(jobs: list[Job], decisions: list[Decision], args: PrepareArguments) -> None:
    """Write the rows of the takes that stay, summary.json and README.md, and print what was dropped."""
    dropped = {decision.id: decision.reason for decision in decisions if decision.reason}
    if len(dropped) == len(jobs):
        first = [next(iter(dropped.values()))]
        raise UserError("takes_dropped", reason=first, path=args.output / "report.html")
    splits: dict[str, list[Path]] = {}
    for job in jobs:
        if job.take.id not in dropped:
            splits.setdefault(split_of(job.take, args), []).append(job.row)
    log_lost_columns(args.output)
    write_shards(splits, args.output, args.rows_per_shard)
    num_rows = {split: len(rows) for split, rows in splits.items()}
    quality = {decision.id: decision.to_dict() for decision in decisions if decision.quality}
    summary = {"takes": len(jobs), "rows": num_rows, "mouth_close": conventions_of(jobs)}
    summary |= {"dropped": dropped, "quality": quality}
    write_atomically(args.output / "summary.json", json.dumps(summary, indent=1, ensure_ascii=False))
    write_atomically(args.output / "README.md", dataset_card(args.output, args.fps))
    logger.info(f"{sum(num_rows.values())} rows in {args.output}: {num_rows}; {len(dropped)} dropped")
    for reason, count in Counter(dropped.values()).most_common(MAX_REASONS):
        logger.info(f"  dropped {count}: {reason}")


def log_lost_columns(output: Path) -> None:
    """Print which columns written by other scripts will be lost when OUTPUT is rewritten."""
    for column, script in (("av_offset_ms", "align.py"), ("phones", "pretrain/align_phones.py")):
        files = data_files(output)
        if any(any(pyarrow.parquet.read_table(path, columns=[column])[column].to_pylist()) for path in files):
            logger.info(f"the rows had what train/{script} wrote; run it again on the new ones")


def prepare(args: PrepareArguments) -> None:
    takes = read_takes(args.reader, args.source.resolve(), args.mouth_close)[: args.limit]
    if any(take.video for take in takes):
        find_landmarker(args.landmarker)  # fails before hours of work, not after
    if args.model != NO_MODEL:
        load_checkpoint(args.model)
    check_executor(args.executor)
    check_output(args.output)
    kept = args.output.resolve() / ".takes"
    kept.mkdir(parents=True, exist_ok=True)
    if args.style:
        takes = [replace(take, style=args.style) for take in takes]
    jobs = [job_of_take(take, args.take_options, kept) for take in takes]
    failures = prepare_takes(jobs, args)
    outcomes = [read_outcome(job) if job.done else Outcome(failures[job.take.id]) for job in jobs]
    decisions = filter_takes(jobs, outcomes, args.min_score)
    write_report(args.output / "report.html", f"Quality of {args.output.name}", decisions, args.min_score)
    write_data_set(jobs, decisions, args)
