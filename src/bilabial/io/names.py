"""Spellings of blendshape names: one table for curves, avatars and the page.

Names are matched by letters and digits alone, ignoring case: JawOpen, jaw_open and "Jaw Open" are jawOpen.
Sides may be Left, L or _L, as a suffix or prefix. Text before a separator is a prefix (blendShape1.jawOpen,
head__jawOpen) and ignored, unless it is a blendshape itself: a corrective shape such as jawOpen_mouthClose
matches neither. The page does the same with the same table (player_props).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

DIRECTED = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")  # directions, not sides
SEPARATORS = re.compile("[^a-z0-9]+")


def spellings_of(name: str) -> list[str]:
    """Spellings of a name, in lower case without separators."""
    plain = name.lower()
    for side in ("left", "right"):
        if plain.endswith(side):
            stem = plain.removesuffix(side)
            before = [] if name in DIRECTED else [f"{side}{stem}", f"{side[0]}{stem}"]
            return [plain, f"{stem}{side[0]}", *before]
    return [plain]


SPELLINGS = {spelling: name for name in ARKIT_BLENDSHAPES for spelling in spellings_of(name)}


def arkit_name(name: str) -> str | None:
    """The name of ARKIT_BLENDSHAPES for a spelling, None if unknown."""
    parts = [part for part in SEPARATORS.split(name.lower()) if part]
    for first in range(len(parts)):
        known = SPELLINGS.get("".join(parts[first:]))
        if known:
            return None if arkit_name("_".join(parts[:first])) else known
    return None


def columns_by_name(names: Iterable[str]) -> dict[str, int]:
    """Column of each ARKit name among the spellings of a file, in Apple's order; others are left out.

    Raises UserError naming two columns with the same meaning.
    """
    names, columns = list(names), dict[str, int]()
    for column, name in enumerate(map(arkit_name, names)):
        if name in columns:
            raise UserError("curves_twice", first=names[columns[name]], second=names[column], name=name)
        if name:
            columns[name] = column
    return {name: columns[name] for name in ARKIT_BLENDSHAPES if name in columns}
