"""Licenses of training data, and which license a model trained on them may have.

`train.py` writes sources.json beside the weights (sources.py). A source that forbids commercial use excludes
licenses that allow it. This is a safeguard, not legal advice.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from bilabial.errors import MissingFileError, UserError
from bilabial.training.data.sources import SOURCES_FILE, Source, parse_sources

NON_COMMERCIAL = re.compile(
    r"\bnc\b|\bno[nt]?\b.*commerc|noncommerc|research|academic|educat|personal|evaluation"
)
# Identifiers that the Hub's metadata take, and other spellings of them, in lower case with hyphens
HUB_LICENSES = {
    "apache-2.0", "bsd", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "gpl-3.0", "mit",
    "odbl", "unknown",
}  # fmt: skip
SPELLINGS = {"cc0": "cc0-1.0", "odbl-1.0": "odbl"}


def forbids_commerce(license: str) -> bool:
    """Whether the name of a license excludes commercial use: CC BY-NC 4.0, "research only", ..."""
    return bool(NON_COMMERCIAL.search(re.sub(r"[\s_-]+", " ", license.lower())))


def hub_license(license: str) -> str:
    """The Hub's identifier of a license name: "CC BY 4.0" -> "cc-by-4.0", else "other"."""
    written = re.sub(r"[\s_-]+", "-", license.lower().strip()).removesuffix("-international")
    identifier = SPELLINGS.get(written, written)
    return identifier if identifier in HUB_LICENSES else "other"


def read_sources(model: Path) -> list[Source]:
    """The sources of the model in a folder.

    Raises FileNotFoundError without a record, ValueError for an invalid one.
    """
    path = model / SOURCES_FILE
    if not path.is_file():
        raise MissingFileError("sources_missing", path=Path(model), name=SOURCES_FILE)
    sources = parse_sources(path)
    if not sources:
        raise UserError("sources_empty", path=path)
    return sources


def sources_table(sources: Iterable[Source]) -> str:
    """A Markdown table of sources, licenses and amounts."""
    lines = [
        f"| {one.source} | {one.license if one.license != 'unknown' else 'not stated'} "
        f"| {one.rows:,} | {one.seconds / 60:.1f} |"
        for one in sources
    ]
    return "\n".join(["| source | license | clips | minutes |", "|---|---|---|---|", *lines])


def check_license(sources: Iterable[Source], license: str, allow_non_commercial: bool) -> list[UserError]:
    """Problems of publishing a model of these sources under a license."""
    bound = [f"{one.source} ({one.license})" for one in sources if forbids_commerce(one.license)]
    if not bound or forbids_commerce(license) or allow_non_commercial:
        return []
    return [UserError("license_commerce", names=bound, license=license)]
