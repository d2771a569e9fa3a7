"""Animate many lines in worker processes; unchanged lines are not recomputed."""

from __future__ import annotations

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING

from bilabial.delivery.lines import Line
from bilabial.delivery.measures import measure_line, measure_sound
from bilabial.delivery.records import Record, path_of_record, read_record, stamp, write_record
from bilabial.errors import MissingFileError, UserError
from bilabial.io.files import make_folder
from bilabial.io.formats import WriteOptions, paths_of, write_clip
from bilabial.versions import version_of

if TYPE_CHECKING:
    from bilabial.animator import Animator

LINES_PER_WORKER = 5000  # lines after which a process is replaced; loading the model takes seconds
MIN_FREE_BYTES = 100_000_000  # free space below which the batch stops
LOG = "batch.log"  # of what libraries print in workers
HASHING_THREADS = 4


@dataclass(frozen=True)
class Settings:
    """Options shared by all lines. model: a folder or Hub id, None = the embedded one."""

    output: Path
    formats: tuple[str, ...]
    model: str | None = None
    write: WriteOptions = field(default_factory=WriteOptions)


@dataclass(frozen=True)
class Job:
    """A line to process. key: hash of its sound, settings and weights, or None and the reason in `why`."""

    line: Line
    settings: Settings
    key: str | None
    failure: str | None = None

    @property
    def paths(self) -> dict[str, Path]:
        """Its files by format."""
        return paths_of(self.settings.output, self.line.name, self.settings.formats)

    @property
    def is_done(self) -> bool:
        """Whether its files exist, with the same key."""
        record = read_record(self.settings.output, self.line.name)
        made = record is not None and record.key == self.key and record.failure is None
        return made and all(path.is_file() for path in self.paths.values())


def jobs_of(lines: Sequence[Line], settings: Settings) -> list[Job]:
    """A job for each line; sounds are hashed."""
    common = _common_key(settings)
    with ThreadPool(HASHING_THREADS) as threads:
        return threads.map(partial(_job_of, settings=settings, common=common), lines)


def run_jobs(
    jobs: Sequence[Job], executor: str, num_proc: int, on_progress: Callable[[int, int], None]
) -> dict[str, str]:
    """Process the remaining lines; returns reasons of failures by name.

    on_progress: called with the numbers of finished and of all lines. Raises UserError where the disk is
    nearly full; finished lines are kept.
    """
    failures = {job.line.name: job.failure for job in jobs if job.failure}
    todo = [job for job in jobs if not job.failure and not job.is_done]
    if not todo:
        return failures
    from bilabial.checkpoint import load_checkpoint
    from bilabial.executors import run

    if todo[0].settings.model is not None:
        load_checkpoint(todo[0].settings.model)  # fails before hours of work, not after
    output = todo[0].settings.output
    _check_disk(output)
    log = make_folder(path_of_record(output, "").parent) / LOG
    results = run(make_line, todo, executor, num_proc, log.resolve(), LINES_PER_WORKER)
    for count, (job, failure) in enumerate(results, start=1):
        if failure:
            failures[job.line.name] = failure
        on_progress(count, len(todo))
        _check_disk(output)
    return failures


def make_line(job: Job) -> None:
    """Write the files of a line and its record; errors of the line are stored in the record."""
    try:
        record = _made(job)
    except (ValueError, OSError) as error:
        record = Record(job.key or "", {}, None, [], str(error))
    write_record(job.settings.output, job.line.name, record)


def _made(job: Job) -> Record:
    from bilabial.hub.level_bilabial import SAMPLING_RATE
    from bilabial.io.audio import read_recording

    recording = read_recording(job.line.sound)
    lost = sum(gap.seconds for gap in recording.gaps)
    sound = measure_sound(recording.waveform, lost, recording.missing_seconds)
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        given = (SAMPLING_RATE, recording.waveform)
        timing = job.line.timing or job.line.transcript
        clip = _animator(job.settings.model)(given, **job.line.options.arguments(), timing=timing)
    for name, path in job.paths.items():
        make_folder(path.parent)
        write_clip(clip, path, name, job.settings.write)
    measures = asdict(measure_line(clip, recording.waveform, sound))
    files = {str(path.relative_to(job.settings.output)): stamp(path) for path in job.paths.values()}
    return Record(job.key or "", files, measures, list(_own_notes(notes)))


def _own_notes(notes: Sequence[warnings.WarningMessage]) -> Iterator[str]:
    """Messages of the package's own warnings, except those that the report finds itself."""
    for note in notes:
        if note.category.__module__.startswith("bilabial.") and note.category.__name__ != "SoundWarning":
            yield str(note.message)


@cache
def _animator(model: str | None) -> Animator:
    from bilabial.animator import Animator

    return Animator.from_pretrained(model)


def _common_key(settings: Settings) -> dict[str, object]:
    """Inputs of every key."""
    from bilabial.checkpoint import folder_or_id, weights_sha256

    common: dict[str, object] = {"version": version_of("bilabial"), "weights": weights_sha256(settings.model)}
    config = Path(folder_or_id(settings.model), "config.json")
    common["config"] = _sha256(config) if config.is_file() else settings.model
    common["write"] = repr(replace(settings.write, head=None))
    if settings.write.head is not None:
        common["head"] = _sha256(settings.write.head)
    return common


def _job_of(line: Line, settings: Settings, common: dict[str, object]) -> Job:
    if line.failure:
        return Job(line, settings, None, line.failure)
    try:
        files = [_sha256(path) for path in (line.sound, *line.options.files(), *filter(None, [line.timing]))]
    except (ValueError, OSError) as error:
        return Job(line, settings, None, str(error))
    parts = {**common, "files": files, "options": asdict(line.options)}
    if line.transcript is not None:
        parts["words"] = line.transcript.words
    return Job(line, settings, hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest())


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise MissingFileError("file_missing", name=path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_disk(folder: Path) -> None:
    if shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        raise UserError("disk_full", path=folder, limit=MIN_FREE_BYTES // 10**6)
