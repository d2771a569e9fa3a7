"""Chinese translation: texts of the page by their English, messages of UserError by code.

Missing texts stay English.
"""

from __future__ import annotations

import json
from pathlib import Path

from bilabial.errors import SENTENCES, UserError

FOLDER = Path(__file__).parent
TEXTS: dict[str, str] = json.loads((FOLDER / "chinese.json").read_text(encoding="utf-8"))
CHINESE: dict[str, str] = json.loads((FOLDER / "sentences.json").read_text(encoding="utf-8"))
MAX_SENTENCE = 500  # characters of an error without a code


def translate(said: str | Exception, languages: str) -> str:
    """A text of the page or an error message in English or Chinese.

    languages: an Accept-Language header; its first one counts. Errors other than UserError stay English.
    """
    chinese = languages[:2].lower() == "zh"
    if isinstance(said, UserError):
        return said.sentence(CHINESE if chinese else SENTENCES)
    text = str(said)
    return TEXTS.get(text, text)[:MAX_SENTENCE] if chinese else text[:MAX_SENTENCE]
