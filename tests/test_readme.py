"""What the README says works."""

import re
import subprocess
import sys
from pathlib import Path

from conftest import EXAMPLE, ROOT

README = (ROOT / "README.md").read_text()


def test_the_python_of_the_readme_runs(tmp_path):
    (snippet,) = re.findall(r"```python\n(.*?Animator.*?)```", README, re.DOTALL)
    (tmp_path / "speech.wav").write_bytes(EXAMPLE.read_bytes())
    path = str(ROOT / "src")
    done = subprocess.run(
        [sys.executable, "-c", snippet],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "face.csv").is_file()


def test_the_space_card_is_complete():
    head = README.split("---")[1]
    for line in ("sdk: gradio", "app_file: app.py", "license: apache-2.0", "title: Bilabial"):
        assert line in head
    version = re.search(r"sdk_version: (\S+)", head)[1]
    assert f"gradio>={version.rsplit('.', 1)[0]}" in (ROOT / "requirements.txt").read_text()


def test_files_that_are_named_exist():
    named = re.findall(r"\]\(((?!http)[^)#]+)\)", README) + re.findall(
        r"`((?:train|benchmarks|src|docs)/[\w./]+)`", README
    )
    assert named
    for name in named:
        assert Path(ROOT / name).exists(), name


def test_requirements_agree_with_the_package():
    import tomllib

    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()}
    wanted = {line for line in wanted if line and not line.startswith("--")}
    extras = package["optional-dependencies"]
    own = {*package["dependencies"], *extras["app"], *extras["capture"]} - {"bilabial[capture]"}
    assert wanted == own
