"""What the README says works."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from support.paths import EXAMPLE, ROOT

README = (ROOT / "README.md").read_text()


def test_the_python_of_the_readme_runs(tmp_path):
    """One snippet after another; the line with a video of a person only where there is one."""
    snippets = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    snippets = [snippet for snippet in snippets if "Animator" in snippet]
    assert len(snippets) == 3
    (tmp_path / "speech.wav").write_bytes(EXAMPLE.read_bytes())
    videos = sorted(
        (Path(os.environ.get("BILABIAL_TEST_DATA", "-")) / "validation" / "natural").glob("*.mp4")
    )
    for video in videos[:1]:
        shutil.copy(video, tmp_path / "person.mp4")
    for snippet in snippets:
        lines = [line for line in snippet.splitlines() if videos or "person.mp4" not in line]
        command = [sys.executable, "-c", "\n".join(lines)]
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "face.csv").is_file()


def test_the_space_card_is_complete():
    head = README.split("---")[1]
    for line in ("sdk: gradio", "app_file: app.py", "license: apache-2.0", "title: Bilabial"):
        assert line in head
    version = re.search(r"sdk_version: (\S+)", head)[1]
    assert f"gradio[mcp]>={version.rsplit('.', 1)[0]}" in (ROOT / "requirements.txt").read_text()


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
