"""Names of version 0.1.0 in users' files and command lines, and what they are called now.

They are read with one line of warning and never written. This is the only table of them.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

OPTIONS = {  # of all scripts, on the command line, in presets and in the record of a run
    "licence": "license",
    "labelled": "labeled",
    "taught_weight": "pseudo_label_weight",
    "hearing_weight": "distillation_weight",
    "rehearsal_share": "retention_share",
    "listener": "whisper_teacher",
}
COLUMNS = {"licence": "license"}  # of data sets, of metadata.csv and of sources.json
FACES = {"taught": "pseudo_label"}  # values of the column `face` of data sets
FIGURES = {  # of metrics.json and expression.json, also before a space or _ and a data set's name
    "r0": "lip_corr",
    "maeD": "mouth_mae_centered",
    "chr": "channel_corr",
    "cloC": "bilabial_closure",
    "ctl": "vowel_false_closure",
    "J": "youden_j",
    "AUC": "closure_auc",
    "recognised": "recognized",
}
TABLES = {  # of expression.json
    "recognised emotions": "recognized emotions",
    "effort": "vocal effort",
}
FIGURE = re.compile(rf"({'|'.join(FIGURES)})(?=[ _]|$)")


class OldNameWarning(UserWarning):
    """A file or a command line has names of version 0.1.0."""


def warn_of(names: Mapping[str, str], where: str) -> None:
    """One line about old names, which are the keys of `names`; none without any."""
    if names:
        renamed = ", ".join(f"{old} is now called {new}" for old, new in names.items())
        warnings.warn(f"{where}: {renamed}", OldNameWarning, stacklevel=3)


def current_options(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The arguments of a preset or of a run's record by their present names."""
    warn_of({name: OPTIONS[name] for name in given if name in OPTIONS}, where)
    return {OPTIONS.get(name, name): value for name, value in given.items()}


def current_arguments(argv: Sequence[str]) -> list[str]:
    """A command line, `--name` or `--name=value`, by the present names of its options."""
    found: dict[str, str] = {}

    def current(argument: str) -> str:
        name, equals, value = argument.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not argument.startswith("--") or name not in OPTIONS:
            return argument
        found[name] = OPTIONS[name]
        return f"--{OPTIONS[name]}{equals}{value}"

    arguments = [current(one) for one in argv]
    warn_of(found, "the command line")
    return arguments


def current_columns(names: Sequence[str], where: str) -> list[str]:
    """The columns of a table by their present names."""
    warn_of({name: COLUMNS[name] for name in names if name in COLUMNS}, where)
    return [COLUMNS.get(name, name) for name in names]


def current_entries(entries: Sequence[Mapping[str, Any]], where: str) -> list[dict[str, Any]]:
    """The rows of a table, each by the names of its columns, with their present names."""
    found = dict.fromkeys(name for entry in entries for name in entry)
    current = dict(zip(found, current_columns(list(found), where), strict=True))
    return [{current[name]: value for name, value in entry.items()} for entry in entries]


def current_figures(scores: dict, where: str) -> dict:
    """The content of a metrics.json or expression.json with the present names of its figures.

    Names of data sets, clips and rows are left as they are: their values are dictionaries.
    """
    found: dict[str, str] = {}

    def current(name: str) -> str:
        match = FIGURE.match(name)
        if match is None:
            return name
        found[match[1]] = FIGURES[match[1]]
        return FIGURE.sub(FIGURES[match[1]], name, count=1)

    def renamed(entries: dict) -> dict:
        return {
            key if isinstance(value, dict) else current(key): renamed(value)
            if isinstance(value, dict)
            else value
            for key, value in entries.items()
        }

    tables = {name: TABLES[name] for name in scores if name in TABLES and "clips" not in scores[name]}
    result = {tables.get(name, name): table for name, table in renamed(scores).items()}
    found |= tables
    warn_of(found, where)
    return result
