"""The command `bilabial`, in this process."""

import re

from bilabial.cli import main
from support.errors import message_of


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def told(capsys) -> str:
    """What the command said on stderr: one line."""
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("bilabial: ") and err.count("\n") == 1 and "Traceback" not in err
    return err


def assert_told(capsys, code: str, /, **values: object) -> None:
    """The command said on stderr the message of this code, with these values, and nothing else."""
    text = told(capsys)
    assert re.fullmatch(f"bilabial: {message_of(code, **values)}\n", text), text
