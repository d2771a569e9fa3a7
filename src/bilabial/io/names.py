"""Names of blendshapes as programs spell them: one table for curves, avatars and the page.

A name is matched by its letters and digits alone, whatever their case: JawOpen, jaw_open and "Jaw Open" are
jawOpen. Sides may be Left, L or _L, behind the name or before it. What stands before a separator is a prefix
(blendShape1.jawOpen, head__jawOpen) and does not count, unless it is a blendshape itself: a corrective shape
such as jawOpen_mouthClose is neither of the two. The page does the same with the same table (player_props).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bilabial.errors import UserError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES

DIRECTED = ("jawLeft", "jawRight", "mouthLeft", "mouthRight")  # move to a side, have none: no left mouth
SEPARATORS = re.compile("[^a-z0-9]+")


def spellings_of(name: str) -> list[str]:
    """How a name is written, in small letters without separators."""
    plain = name.lower()
    for side in ("left", "right"):
        if plain.endswith(side):
            stem = plain.removesuffix(side)
            before = [] if name in DIRECTED else [f"{side}{stem}", f"{side[0]}{stem}"]
            return [plain, f"{stem}{side[0]}", *before]
    return [plain]


SPELLINGS = {spelling: name for name in ARKIT_BLENDSHAPES for spelling in spellings_of(name)}


def arkit_name(name: str) -> str | None:
    """The name of ARKIT_BLENDSHAPES that a spelling means, None for what is none of them."""
    parts = [part for part in SEPARATORS.split(name.lower()) if part]
    for first in range(len(parts)):
        known = SPELLINGS.get("".join(parts[first:]))
        if known:
            return None if arkit_name("_".join(parts[:first])) else known
    return None


def columns_by_name(names: Iterable[str]) -> dict[str, int]:
    """Column of each ARKit name among the spellings of a file, in Apple's order; others are left out.

    Raises UserError naming two columns that mean the same.
    """
    names, columns = list(names), {}
    for column, name in enumerate(map(arkit_name, names)):
        if name in columns:
            raise UserError("curves_twice", first=names[columns[name]], second=names[column], name=name)
        if name:
            columns[name] = column
    return {name: columns[name] for name in ARKIT_BLENDSHAPES if name in columns}
