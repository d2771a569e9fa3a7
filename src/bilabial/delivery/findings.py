"""Findings about a line, and its score.

The limits were set on the model's output for clean speech, which has no findings, and on degraded versions of
it (tests/unit/test_delivery.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from bilabial.delivery.measures import LineMeasures

MIN_SPEECH_SECONDS = 1.0  # shorter lines may have no opening
MIN_CLOSURE_SECONDS = 3.0  # shorter lines may have no p, b or m


@dataclass(frozen=True)
class Limit:
    """Limits of a measure: where it becomes a finding, and where the line is useless.

    kind: the finding's name. value: of the measures. text: the finding in words, of `value` and `line`.
    applies: to which lines; left out: all.
    """

    kind: str
    value: Callable[[LineMeasures], float]
    good: float
    useless: float
    text: str
    applies: Callable[[LineMeasures], bool] = field(default=lambda line: True)

    def severity(self, line: LineMeasures) -> float:
        """0 (no finding) to 1 (useless)."""
        if not self.applies(line):
            return 0.0
        return float(np.clip((self.value(line) - self.good) / (self.useless - self.good), 0.0, 1.0))


LIMITS = (
    Limit(
        "duration",
        lambda line: abs(line.face.num_frames - line.expected_frames),
        1.0, 3.0,
        "wrong duration: {line.face.num_frames} frames ({line.face.seconds:.2f} s), the sound has "
        "{line.expected_frames} ({line.sound.seconds:.2f} s)",
    ),
    Limit(
        "silent", lambda line: line.sound.is_silent, 0.0, 1.0,
        "silent sound: its level is {line.sound.level_db:.0f} dB",
    ),
    Limit(
        "open_in_silence", lambda line: line.open_silence_seconds, 0.1, 0.5,
        "open mouth in silence for {value:.2f} s",
    ),
    Limit(
        "still_lips", lambda line: line.speech_range_mm, 3.0, 1.0,
        "lips that hardly move: by {value:.1f} mm in {line.speech_seconds:.1f} s of speech",
        lambda line: line.speech_seconds >= MIN_SPEECH_SECONDS and not line.sound.is_silent,
    ),
    Limit(
        "no_closures", lambda line: line.speech_closures / line.speech_seconds, 0.2, -0.2,
        "few closures: {line.speech_closures} in {line.speech_seconds:.1f} s of speech",
        lambda line: line.speech_seconds >= MIN_CLOSURE_SECONDS and not line.sound.is_silent,
    ),
    Limit(
        "held", lambda line: line.held_seconds, 0.2, 1.0,
        "lips that stand still for {value:.2f} s of speech",
    ),
    Limit(
        "frozen", lambda line: len(line.frozen), 0.0, 4.0, "frozen coefficients: {frozen}",
        lambda line: line.speech_seconds >= MIN_SPEECH_SECONDS and not line.sound.is_silent,
    ),
    Limit(
        "clipped_coefficients", lambda line: len(line.face.clipped), 0.0, 8.0,
        "clipped coefficients: {clipped}",
    ),
    Limit(
        "trembling", lambda line: line.face.trembling_mm, 0.2, 1.0,
        "trembling lips: {value:.2f} mm to and fro",
    ),
    Limit(
        "soft", lambda line: line.sound.level_db, -50.0, -65.0, "soft sound: its level is {value:.0f} dB",
        lambda line: not line.sound.is_silent,
    ),
    Limit(
        "clipped", lambda line: line.sound.clipped_share, 0.003, 0.02,
        "clipped sound: {value:.1%} of the samples at full scale",
    ),
    Limit("lost", lambda line: line.sound.lost_seconds, 0.0, 1.0, "lost packets: {value:.2f} s of silence"),
    Limit(
        "cut", lambda line: line.sound.missing_seconds, 0.0, 1.0,
        "a cut file: it ends {value:.1f} s before its declared end",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """kind: of LIMITS. severity: above 0 up to 1, a useless line. text: in words."""

    kind: str
    severity: float
    text: str


def findings_of(line: LineMeasures) -> list[Finding]:
    """Findings of a line, the worst first."""
    found = [_finding(limit, line) for limit in LIMITS if limit.severity(line) > 0]
    return sorted(found, key=lambda finding: -finding.severity)


def score_of(findings: list[Finding]) -> float:
    """0 to 100: one useless measure makes a line useless, as in prepared data."""
    return round(100.0 * float(np.prod([1.0 - finding.severity for finding in findings])), 1)


def _finding(limit: Limit, line: LineMeasures) -> Finding:
    names = {"frozen": ", ".join(line.frozen), "clipped": ", ".join(line.face.clipped)}
    text = limit.text.format(value=limit.value(line), line=line, **names)
    return Finding(limit.kind, round(limit.severity(line), 3), text)
