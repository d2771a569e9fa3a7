"""Code in the documents."""

import re

from support.paths import ROOT


def snippets(document: str, language: str, word: str) -> list[str]:
    """The fenced blocks of a document in a language that contain a word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(), re.DOTALL)
    return [block for block in blocks if word in block]
