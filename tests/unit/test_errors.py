"""How errors tell their code and values, and that the tests' own checks of them can fail."""

import pickle
import re
import string
from pathlib import PurePath

import pytest
from support.errors import message_of, refused, values_of

import bilabial.training.errors  # noqa: F401  adds its messages
from bilabial.errors import SENTENCES, MissingFileError, UserError

GIVEN = MissingFileError("file_missing", name="a.wav")
OTHERS = {
    "another code": UserError("file_empty", name="a.wav"),
    "another value": MissingFileError("file_missing", name="b.wav"),
    "another class": UserError("file_missing", name="a.wav"),
}


@pytest.mark.parametrize("code", SENTENCES)
def test_a_message_names_all_its_values(code):
    fields = {name for _, name, _, _ in string.Formatter().parse(SENTENCES[code]) if name}
    values = {name: 7000 + number for number, name in enumerate(sorted(fields))}
    text = str(UserError(code, **values))
    for pattern in (message_of(code), message_of(code, **values)):
        assert re.fullmatch(pattern, text)
    for name, value in values_of(code, text).items():
        assert str(values[name]) in value, (name, value)


def test_an_error_of_a_file_and_of_another_process_is_the_same():
    error = UserError("curves_few").in_file(PurePath("a.csv"))
    for told in (error, pickle.loads(pickle.dumps(error))):
        with refused("curves_few", path=PurePath("a.csv")):
            raise told
        assert re.fullmatch(message_of("curves_few", path="a.csv"), str(told))


def test_the_error_that_is_expected_is_accepted():
    with refused("file_missing", MissingFileError, name="a.wav") as error:
        raise GIVEN
    assert error.value is GIVEN and re.fullmatch(message_of("file_missing", name="a.wav"), str(GIVEN))


@pytest.mark.parametrize("kind", OTHERS)
def test_another_error_is_not(kind):
    with pytest.raises((AssertionError, UserError)), refused("file_missing", MissingFileError, name="a.wav"):
        raise OTHERS[kind]


def test_no_error_is_not():
    with pytest.raises(pytest.fail.Exception), refused("file_missing"):
        pass
