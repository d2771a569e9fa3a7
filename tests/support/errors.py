"""Errors and messages by their codes, not by their wording."""

import re
import string
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from bilabial.errors import SENTENCES, UserError, cut


@contextmanager
def refused(
    code: str, kind: type[ValueError] = UserError, /, **values: object
) -> Iterator[pytest.ExceptionInfo[UserError]]:
    """Expect a UserError of this code, and of this class, whose parameters include these values, as it tells
    them; `pytest.approx` serves for numbers. Strings may be longer than an error quotes. A model that is
    loaded with its code has a UserError of its own: give ValueError then.
    """
    with pytest.raises(kind) as error:
        yield error
    assert error.value.code == code, str(error.value)
    for name, value in values.items():
        given = error.value.parameters.get(name)
        assert given == value or (isinstance(value, str) and given == cut(value)), name


def message_of(code: str, sentences: Mapping[str, str] = SENTENCES, /, **values: object) -> str:
    """A regular expression of the message of a code, in English; parameters not given match anything.
    A path that the message lacks stands in front of it, as UserError.in_file puts it there.

    For the text of a command, of a warning or of an error in another process:
    `assert re.search(message_of("file_missing", name="gone.wav"), text)`. sentences: another language's.
    """
    parts = list(string.Formatter().parse(sentences[code]))
    unknown = values.keys() - {name for _, name, _, _ in parts} - {"path"}
    assert not unknown, f"the message of {code} has no {unknown}"
    in_front = "path" in values and "{path}" not in sentences[code]
    pattern = re.escape(f"{values['path']}: ") if in_front else ""
    for literal, name, form, _ in parts:
        pattern += re.escape(literal)
        if name is not None:
            pattern += re.escape(format(values[name], form or "")) if name in values else ".*"
    return pattern


def values_of(code: str, text: str) -> dict[str, str]:
    """The values in a text that holds the English message of a code, as they stand there."""
    found = re.search(message_of(code).replace(".*", "(.*)"), text)
    assert found, text
    names = [name for _, name, _, _ in string.Formatter().parse(SENTENCES[code]) if name]
    return dict(zip(names, found.groups(), strict=True))
