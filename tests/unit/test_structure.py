"""The tree keeps its rules: which way imports point, and what a folder may hold."""

import ast
from collections.abc import Iterator
from pathlib import Path

from support.paths import ROOT, TRAIN

PACKAGE = ROOT / "src" / "bilabial"
SCRIPTS = {path.stem for path in TRAIN.rglob("*.py")}


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_inference_imports_no_training_code():
    files = [path for path in PACKAGE.rglob("*.py") if "training" not in path.relative_to(PACKAGE).parts]
    assert len(files) > 30
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in imports_of(path)
        if name.startswith(("bilabial.training", "datasets"))
    }
    assert not found


def test_scripts_are_thin_and_import_no_other_script():
    for path in TRAIN.rglob("*.py"):
        names = {name.split(".")[0] for name in imports_of(path)}
        assert names <= {"sys", "pathlib", "bilabial"}, path
        assert len(path.read_text().splitlines()) <= 40, path


def test_the_path_is_edited_by_scripts_alone():
    """One line in app.py and in each script of train/, for a checkout that is not installed."""
    folders = ("src", "benchmarks", "tools", "tests")
    edited = [
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "path" and ast.unparse(node) == "sys.path"
    ]
    assert not edited


def test_no_test_imports_another():
    for path in (ROOT / "tests").rglob("*.py"):
        imported = {name.split(".")[0] for name in imports_of(path)}
        assert not {name for name in imported if name.startswith("test_") or name == "conftest"}, path


def test_commands_import_nothing_of_the_tests():
    """Which are not on the path of `python -m benchmarks.page`."""
    files = [
        path for folder in ("src", "train", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(files) > 200
    assert not [
        path for path in files if {"support", "tests"} & {name.split(".")[0] for name in imports_of(path)}
    ]


def test_the_hub_folder_is_small_and_imports_only_siblings():
    files = sorted((PACKAGE / "hub").iterdir())
    names = {path.name for path in files if path.name != "__pycache__"}
    assert len(names) <= 9 and all(name.endswith("_bilabial.py") for name in names)
    for path in (PACKAGE / "hub").glob("*.py"):
        assert not {name for name in imports_of(path) if name.startswith("bilabial")}, path


EXITS = ("main", "exit_with_errors")  # the second is the end of all scripts of train/


def test_only_a_main_function_ends_the_program():
    """Everything else raises an error that its caller can treat."""
    paths = [
        path for folder in ("src", "train", "tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")
    ]
    found = {
        f"{path.relative_to(ROOT)}: {function.name}"
        for path in paths
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Raise | ast.Call) and _ends_the_program(node)
    }
    assert {place for place in found if place.split(": ")[1] not in EXITS} == set()


def _ends_the_program(node: ast.Raise | ast.Call) -> bool:
    if isinstance(node, ast.Raise):
        return node.exc is not None and ast.unparse(node.exc).startswith("SystemExit")
    return ast.unparse(node.func) in ("sys.exit", "exit", "quit")
