"""The delivery report: every line against its sound, the worst first, as JSON and as one HTML file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from urllib.parse import quote

from bilabial.delivery.batch import Job
from bilabial.delivery.findings import Finding, findings_of, score_of
from bilabial.delivery.measures import LineMeasures, measure_line, measure_sound
from bilabial.delivery.plot import sketch_svg
from bilabial.delivery.records import Record, is_changed, names_of_records, read_record
from bilabial.io.files import replacing
from bilabial.io.formats import read_clip

MIN_SCORE = 50.0  # lines below it should not be delivered, as in prepared data
WARNING_SEVERITY = 0.4  # of what the animator warned of: a timing that does not fit, an untrained emotion
MAX_LISTED = 500  # lines in the HTML, the worst ones; all are in the JSON
READABLE = ("csv", "glb", "json", "npz")  # formats, in ARKit's names
STYLE = """
:root { color-scheme: light dark }
body { margin: 0 auto; padding: 12px; max-width: 1100px; font: 16px/1.45 system-ui, sans-serif }
h1 { font-size: 1.5em }
.tiles { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)) }
.tiles div { border: 1px solid #8884; border-radius: 8px; padding: 8px 12px }
.tiles b { display: block; font-size: 1.5em }
article { display: grid; grid-template-columns: 3em 1fr 260px; gap: 12px; border-top: 1px solid #8884;
  padding: 8px 0; align-items: start; overflow-wrap: anywhere }
@media (max-width: 640px) { article { grid-template-columns: 3em 1fr } svg { grid-column: 2 } }
h1 + .tiles + p { margin: 8px 0 }
article > b { font-size: 1.2em } .bad > b { color: #c4606a } p { margin: 0 }
.faint { opacity: .7 } svg { max-width: 100%; height: auto }
"""


@dataclass(frozen=True)
class LineReport:
    """The delivery of a line. score: 0 (failed or useless) to 100. measures: None where it failed."""

    name: str
    sound: str
    files: list[str]
    text: str
    score: float
    findings: list[Finding]
    notes: list[str]
    measures: LineMeasures | None


def report_of(job: Job, failure: str | None) -> LineReport:
    """A line with its current files: changed ones are measured again."""
    record = read_record(job.settings.output, job.line.name)
    failure = failure or (record.failure if record else "it was not made")
    sound = os.path.relpath(job.line.sound, job.settings.output)
    if record is None or failure:
        findings = [Finding("failed", 1.0, failure or "")]
        return LineReport(job.line.name, sound, [], job.line.text, 0.0, findings, [], None)
    measures, findings, notes = _measured_again(job, record)
    findings = sorted(findings + findings_of(measures), key=lambda finding: -finding.severity)
    files, score = list(record.files), score_of(findings)
    return LineReport(job.line.name, sound, files, job.line.text, score, findings, notes, measures)


def _measured_again(job: Job, record: Record) -> tuple[LineMeasures, list[Finding], list[str]]:
    """Measures of a line, findings, and notes about edited files."""
    measures, notes = LineMeasures.from_dict(record.measures or {}), []
    findings = [Finding("warning", WARNING_SEVERITY, note) for note in record.notes]
    for kind, path in job.paths.items():
        name = str(path.relative_to(job.settings.output))
        if name not in record.files or not is_changed(path, record.files[name]):
            continue
        notes.append(f"{name} was changed after it was made")
        if kind in READABLE and job.settings.write.rig is None:
            try:
                again = _measure_file(path, job.line.sound)
            except ValueError as error:
                findings.append(Finding("unreadable", 1.0, str(error)))
            else:
                measures = min(measures, again, key=lambda one: score_of(findings_of(one)))
    return measures, findings, notes


def _measure_file(path: Path, sound: Path) -> LineMeasures:
    """Of curves in a file against their sound. Raises UserError for what cannot be read."""
    from bilabial.io.audio import read_recording

    clip, recording = read_clip(path), read_recording(sound)
    lost = sum(gap.seconds for gap in recording.gaps)
    measured = measure_sound(recording.waveform, lost, recording.missing_seconds)
    return measure_line(clip, recording.waveform, measured)


def write_report(output: Path, jobs: Sequence[Job], failures: Mapping[str, str]) -> dict:
    """Write OUTPUT/report.json and report.html, the worst line first; returns the summary in them.

    failures: why lines were not made, by name. The report depends on the delivered files alone: the same
    files give the same bytes.
    """
    by_name = {job.line.name: job for job in jobs}
    reports = [_without_sketches(report_of(job, failures.get(name))) for name, job in by_name.items()]
    ranked = sorted(reports, key=lambda report: (report.score, report.name))
    summary = _summary(ranked, sorted(names_of_records(output) - by_name.keys()))
    content = {"summary": summary, "lines": [asdict(report) for report in ranked]}
    with replacing(output / "report.json") as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
    shown = [report_of(by_name[one.name], failures.get(one.name)) for one in ranked[:MAX_LISTED]]
    with replacing(output / "report.html") as partial:
        partial.write_text(_page(shown, summary), encoding="utf-8")
    return summary


def _without_sketches(report: LineReport) -> LineReport:
    """Of many lines they would be most of the memory, and of the JSON."""
    if report.measures is None:
        return report
    face = replace(report.measures.face, sketch_mm=[])
    sound = replace(report.measures.sound, sketch_db=[])
    return replace(report, measures=replace(report.measures, face=face, sound=sound))


def _summary(reports: Sequence[LineReport], left_over: list[str]) -> dict:
    kinds = Counter(finding.kind for report in reports for finding in report.findings)
    return {
        "lines": len(reports),
        "failed": kinds["failed"],
        "below_50": sum(report.score < MIN_SCORE for report in reports),
        "with_findings": sum(bool(report.findings) for report in reports),
        "seconds": round(sum(report.measures.sound.seconds for report in reports if report.measures), 2),
        "findings": dict(sorted(kinds.items())),
        "left_over": left_over,
    }


def _page(reports: Sequence[LineReport], summary: dict) -> str:
    tiles = {
        "lines": summary["lines"],
        "failed": summary["failed"],
        "below 50 of 100": summary["below_50"],
        "with findings": summary["with_findings"],
        "minutes of sound": f"{summary['seconds'] / 60:.1f}",
    }
    shown = "".join(f"<div><b>{value}</b>{name}</div>" for name, value in tiles.items())
    kinds = ", ".join(f"{escape(kind)} {count}" for kind, count in summary["findings"].items())
    more = summary["lines"] - len(reports)
    tail = f"<p class='faint'>and {more} more lines, all in report.json</p>" if more > 0 else ""
    if summary["left_over"]:
        names = escape(", ".join(summary["left_over"][:20]))
        tail += f"<p class='faint'>files of lines that are no longer there: {names}</p>"
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>Delivery report</title><style>{STYLE}</style></head><body><h1>Delivery report</h1>"
        f"<div class='tiles'>{shown}</div><p>{kinds or 'no findings'}</p>"
        f"{''.join(map(_article, reports))}{tail}</body></html>\n"
    )


def _article(report: LineReport) -> str:
    links = " ".join(_link(path, Path(path).suffix[1:]) for path in report.files)
    texts = [finding.text for finding in report.findings]
    plot = sketch_svg(report.measures) if report.measures else ""
    parts = [
        f"<p>{_link(report.sound, report.name)} <span class='faint'>{links}</span></p>",
        f"<p class='faint'>{escape(report.text)}</p>" if report.text else "",
        f"<p class='faint'>{_length(report.measures)}</p>" if report.measures else "",
        *(f"<p>{escape(text)}</p>" for text in texts),
        *(f"<p class='faint'>{escape(note)}</p>" for note in report.notes),
    ]
    mark = " class='bad'" if report.score < MIN_SCORE else ""
    return f"<article{mark}><b>{report.score:.0f}</b><div>{''.join(parts)}</div>{plot}</article>"


def _length(line: LineMeasures) -> str:
    return f"{line.sound.seconds:.1f} s, {line.face.num_closures} closures, {line.sound.level_db:.0f} dB"


def _link(path: str, text: str) -> str:
    return f"<a href='{escape(quote(path))}'>{escape(text)}</a>"
