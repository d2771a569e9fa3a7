"""Decides which takes stay in the data set, and why others are dropped."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bilabial.training.data.duplicates import find_duplicates
from bilabial.training.data.quality import Quality, complaints, score_of
from bilabial.training.prepare.take_job import Job, Outcome


@dataclass(frozen=True)
class Decision:
    """The result of filtering a take. id: the take's. score: 0 to 100. quality: None where there is no row to
    measure.

    remarks: what is wrong, the worst first. reason: why it was dropped, None for a take that stays. kind: of
    the worst: "copy", "no row", or the name of a measure.
    """

    id: str
    score: float
    quality: Quality | None
    remarks: list[str]
    reason: str | None
    kind: str | None

    def to_dict(self) -> dict:
        """For summary.json."""
        return asdict(self)


def filter_takes(jobs: Sequence[Job], outcomes: Sequence[Outcome], min_score: float) -> list[Decision]:
    """The result for each job. Of two copies, the worse one scores 0."""
    scores = [score_of(outcome.quality) if outcome.quality else 0.0 for outcome in outcomes]
    best_first = sorted(
        (place for place, outcome in enumerate(outcomes) if outcome.fingerprint),
        key=lambda place: (-scores[place], jobs[place].take.id),
    )
    copies = {}
    for place, copy in find_duplicates([outcomes[place].fingerprint for place in best_first]).items():
        first = jobs[best_first[copy.first]].take.id
        copies[best_first[place]] = f"a copy of {first} by its {copy.kind} (r {copy.r:.2f})"
    return [
        _decision(job.take.id, outcome, scores[place], copies.get(place), min_score)
        for place, (job, outcome) in enumerate(zip(jobs, outcomes, strict=True))
    ]


def _decision(name: str, outcome: Outcome, score: float, copy: str | None, min_score: float) -> Decision:
    if outcome.quality is None:
        return Decision(name, 0.0, None, [], outcome.reason, "no row")
    spoken = complaints(outcome.quality)
    remarks = [copy] * bool(copy) + list(spoken.values())
    score = 0.0 if copy else round(score, 1)
    reason = f"score {score:.0f}: {', '.join(remarks)}" if score < min_score else None
    kind = "copy" if copy else next(iter(spoken), None)
    return Decision(name, score, outcome.quality, remarks, reason, kind)
