"""What the README and the other documents say works."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import snippets
from support.paths import EXAMPLE, ROOT

README = (ROOT / "README.md").read_text()
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
LAUNCH = ("accelerate", "python")  # what starts a script of ours


def run(command: list[str], folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_the_python_of_the_readme_runs(tmp_path):
    """One snippet after another; the line with a video of a person only where there is one.

    test_publish.py runs the snippet about the Hub, test_api.py the one about a running app.
    """
    found = snippets("README.md", "python", "Animator")
    assert len(found) == len(snippets("README.md", "python", "")) - 2 == 3
    (tmp_path / "speech.wav").write_bytes(EXAMPLE.read_bytes())
    videos = sorted(
        (Path(os.environ.get("BILABIAL_TEST_DATA", "-")) / "validation" / "natural").glob("*.mp4")
    )
    for video in videos[:1]:
        shutil.copy(video, tmp_path / "person.mp4")
    for snippet in found:
        lines = [line for line in snippet.splitlines() if videos or "person.mp4" not in line]
        run([sys.executable, "-c", "\n".join(lines)], tmp_path)
    assert (tmp_path / "face.csv").is_file()


def test_installing_comes_before_python():
    """Two commands stand at the top; the package is installed before anything is imported."""
    first = snippets("README.md", "bash", "")[0]
    assert [line.split("#")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]
    assert README.index("pip install .") < README.index("```python")


def test_the_commands_of_the_readme_run(tmp_path):
    (tmp_path / "dialogue").mkdir()
    for name in ("speech.wav", "dialogue/line.wav"):
        (tmp_path / name).write_bytes(EXAMPLE.read_bytes())
    blocks = snippets("README.md", "bash", "bilabial animate")
    lines = [line for block in blocks for line in block.splitlines()]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "bilabial"
        run([sys.executable, "-m", "bilabial", *arguments], tmp_path)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_scripts_and_options_exist(document):
    """Commands in the documents name scripts that are there, with options that they have."""
    blocks = re.findall(r"```bash\n(.*?)```", document.read_text(), re.DOTALL)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] not in LAUNCH or not any(word.endswith(".py") for word in words):
            continue
        script = next(word for word in words if word.endswith(".py"))
        assert (ROOT / script).is_file(), script
        given = {word[2:] for word in words[words.index(script) :] if word.startswith("--")}
        assert given <= options_of(ROOT / script), f"{script}: {given - options_of(ROOT / script)}"


def options_of(script: Path) -> set[str]:
    """Fields of dataclasses behind train/, and what other scripts give to argparse."""
    package = sorted((ROOT / "src" / "bilabial" / "training").rglob("*.py"))
    text = "\n".join(path.read_text() for path in [script, *package])
    return set(re.findall(r"^    (\w+): ", text, re.MULTILINE)) | set(re.findall(r"\"--(\w+)\"", text))


def test_an_unknown_option_is_noticed():
    known = options_of(ROOT / "train" / "train.py")
    assert "dataset" in known and "datasett" not in known


def test_the_space_card_is_complete():
    head = README.split("---")[1]
    for line in ("sdk: gradio", "app_file: app.py", "license: apache-2.0", "title: Bilabial"):
        assert line in head
    version = re.search(r"sdk_version: (\S+)", head)[1]
    assert f"gradio[mcp]>={version.rsplit('.', 1)[0]}" in (ROOT / "requirements.txt").read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document):
    for name in re.findall(r"`((?:train|benchmarks|src|docs|tools)/[\w./]+)`", document.read_text()):
        assert Path(ROOT / name).exists(), name


def test_requirements_agree_with_the_package():
    import tomllib

    package = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()}
    wanted = {line for line in wanted if line and not line.startswith("--")}
    extras = package["optional-dependencies"]
    own = {*package["dependencies"], *extras["app"], *extras["capture"]} - {"bilabial[capture]"}
    assert wanted == own
