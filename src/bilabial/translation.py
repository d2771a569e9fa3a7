"""The page's Chinese: its texts, and the package's sentences with what was filled into them.

It translates no text that a table does not have: that stays English.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

VIEWER = Path(__file__).parent / "viewer"
TEXTS: dict[str, str] = json.loads((VIEWER / "chinese.json").read_text(encoding="utf-8"))


def translate(sentence: str, languages: str) -> str:
    """The sentence in the first of the languages (an Accept-Language header): Chinese, or as it is."""
    if not languages.lower().startswith("zh"):
        return sentence
    for pattern, chinese in _sentences():
        if found := pattern.fullmatch(sentence):
            return chinese.format(**found.groupdict())
    return sentence


@cache
def _sentences() -> list[tuple[re.Pattern, str]]:
    """Sentences with {names} for what is filled in, as patterns, and their translations."""
    table = json.loads((VIEWER / "sentences.json").read_text(encoding="utf-8"))
    return [
        (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(english)), re.DOTALL), chinese)
        for english, chinese in table.items()
    ]
