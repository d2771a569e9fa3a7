"""User errors: a code, its parameters, and an English message.

Values given by users are quoted in at most 80 characters. Needs only Python.
"""

import math
import reprlib
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from pathlib import PurePath
from typing import Any

MAX_QUOTED = 80  # characters of a user's value
MAX_LISTED = 1000  # characters of names that the package lists

# English message of each code. bilabial.errors adds those of the rest of the package.
SENTENCES = {
    "address_failed": "{name} could not be fetched ({error})",
    "emotion_kind": "emotion must be a name, a mixture {{name: share}} or a schedule, got {got}",
    "emotion_name": "emotion must be one of {accepted}, got {got}",
    "emotion_share": "share of '{name}' must be at least 0 and finite, got {got}",
    "ffmpeg_missing": "reading sound from a file needs the program ffmpeg; a waveform does not",
    "ffmpeg_sound": "{name} holds no sound that ffmpeg can decode",
    "file_missing": "{name} is not a file",
    "fps_range": "fps must be a number from {low:g} to {high:g}, got {got}",
    "intensity_range": "intensity must be a number from 0 to {limit}, got {got}",
    "reference_shape": "a reference is at least 20 frames of {count} coefficients, got shape {got}",
    "reference_still": "the reference does not speak: its lips move by {moved:.1f} mm (standard deviation), "
    "in speech by 2 to 6; some seconds of a face that speaks are needed",
    "sampling_rate_missing": "a waveform needs its sampling_rate in Hz, got {got}",
    "schedule_entry": "a schedule is a list of (seconds, emotion), got the entry {got}",
    "schedule_kind": "a schedule is a list of (seconds, emotion), at least one, got {got}",
    "schedule_long": "a schedule has at most {limit} entries, got {count}",
    "schedule_order": "the times of a schedule must rise, got {got}",
    "schedule_times": "the times of a schedule must be numbers of seconds, got {got}",
    "style_amount": "amount of '{name}' must be 0 to {limit}, got {got}",
    "style_kind": "style must be a name, a mixture {{name: amount}} or a vector, got {got}",
    "style_name": "style must be one of {accepted}, got {got}",
}


class UserError(ValueError):
    """Invalid input from a user. str() is the English message.

    code: a key of SENTENCES. parameters: the values in its message. `got`, the given value, is quoted with
    repr(); names in a list or tuple are joined by commas; numbers and paths stay; everything else becomes a
    string. Quotes and strings are cut at 80 characters.
    """

    def __init__(self, code: str, **parameters: object) -> None:
        self.code = code
        self.parameters = {name: _parameter_value(name, value) for name, value in parameters.items()}
        super().__init__(_sentence(SENTENCES[code], self.parameters))

    def __reduce__(self) -> tuple:
        """Pickling, for errors of worker processes."""
        return _rebuild, (type(self), self.code, self.parameters)

    def sentence(self, sentences: Mapping[str, str] = SENTENCES) -> str:
        """The message from a table by code, for visitors of the page: paths without folders."""
        shown = {
            name: cut(value.name) if isinstance(value, PurePath) else value
            for name, value in self.parameters.items()
        }
        return _sentence(sentences[self.code], shown)

    def in_file(self, path: str | PurePath) -> "UserError":
        """The same error with the file's path."""
        return _rebuild(type(self), self.code, self.parameters | {"path": PurePath(path)})


class MissingFileError(UserError, FileNotFoundError):
    """A file given by a user does not exist."""


class _Quote(reprlib.Repr):
    """repr() with bounded output."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = MAX_QUOTED

    def repr_int(self, number: int, level: int) -> str:
        """Python does not print integers of more than 4300 digits."""
        return repr(number) if abs(number) < 10**MAX_QUOTED else f"a number of {number.bit_length()} bits"


def as_number(value: Any) -> float:
    """One real number of Python, numpy or torch as a float; NaN for anything else and for overflows."""
    if isinstance(value, (str, bytes)) or not (
        isinstance(value, (Real, Decimal)) or getattr(value, "ndim", None) == 0
    ):
        return math.nan
    try:
        return float(value)
    except (ArithmeticError, TypeError, ValueError, RuntimeError):  # torch raises RuntimeError
        return math.nan


def quote(value: object) -> str:
    """repr() of a value, in at most 80 characters."""
    return cut(_Quote().repr(value))


def cut(text: str) -> str:
    """The text, or its first 79 characters and an ellipsis."""
    return text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 1] + "…"


def _parameter_value(name: str, value: object) -> object:
    if name == "got":
        return quote(value)
    if isinstance(value, (float, PurePath)) or type(value) is int:
        return value
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))[:MAX_LISTED]
    return cut(str(value))


def _sentence(template: str, parameters: Mapping[str, object]) -> str:
    """A message, with the file's path in front unless it already names the file."""
    where = "" if "path" not in parameters or "{path}" in template else f"{parameters['path']}: "
    return where + template.format(**parameters)


def _rebuild(kind: type[UserError], code: str, parameters: dict) -> UserError:
    error = kind(code, **parameters)
    error.parameters = parameters  # already quoted
    error.args = (_sentence(SENTENCES[code], parameters),)
    return error
