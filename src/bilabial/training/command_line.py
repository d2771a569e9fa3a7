"""Shared by all scripts of train/: parse the command line, call one function, print its log."""

import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

from transformers import HfArgumentParser

from bilabial.training.old_names import current_arguments

Arguments = TypeVar("Arguments")


def run(arguments: type[Arguments], function: Callable[[Arguments], object], prefix: str = "") -> None:
    """Call `function` with the command line as a dataclass. prefix: put before error messages."""
    with exit_with_errors(prefix):
        argv = current_arguments(sys.argv[1:])
        function(HfArgumentParser(arguments).parse_args_into_dataclasses(argv)[0])


@contextmanager
def exit_with_errors(prefix: str = "") -> Iterator[None]:
    """Print the package's log, and exit with the message of an error that a user can fix."""
    log_to_stdout()
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except (ValueError, OSError) as error:
            raise SystemExit(f"{prefix}{error}") from error


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """The package's own warnings in one line, others as Python shows them."""
    own = category.__module__.startswith("bilabial.")
    text = f"warning: {message}\n" if own else warnings.formatwarning(message, category, filename, lineno)
    sys.stderr.write(text)


def log_to_stdout() -> None:
    """Print what the package logs at level INFO."""
    logger = logging.getLogger("bilabial")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
