"""Errors and messages by their codes, not by their wording."""

import re
import string
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bilabial.errors import SENTENCES, UserError


@contextmanager
def refused(code: str, **values: object) -> Iterator[None]:
    """Expect a UserError of this code whose parameters include these values, as it tells them."""
    with pytest.raises(UserError) as error:
        yield
    assert error.value.code == code, str(error.value)
    told = {name: error.value.parameters.get(name) for name in values}
    assert told == values


def message_of(code: str, **values: object) -> str:
    """A regular expression of the English message of a code; parameters that are not given match anything.

    For the text of a command, of a warning or of an error in another process:
    `assert re.search(message_of("file_missing", name="gone.wav"), text)`.
    """
    unknown = values.keys() - {name for _, name, _, _ in string.Formatter().parse(SENTENCES[code])}
    assert not unknown, f"the message of {code} has no {unknown}"
    pattern = ""
    for literal, name, form, _ in string.Formatter().parse(SENTENCES[code]):
        pattern += re.escape(literal)
        if name is not None:
            pattern += re.escape(format(values[name], form or "")) if name in values else ".*"
    return pattern
