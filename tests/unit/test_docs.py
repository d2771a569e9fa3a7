"""Links between the documents lead somewhere, and the map of the tree is true."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("js/*.md"), *ROOT.glob("examples/*.md")]
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(document):
    text = document.read_text()
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text()), target


def test_a_missing_heading_is_noticed():
    assert anchors("# One `two`\n\n## 3. Four, (5)\n") == {"one-two", "3-four-5"}


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_map_names_every_folder():
    """Two levels of the tree, and two below src/bilabial; each with what it is for."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("no checkout of git")
    text = (ROOT / "CONTRIBUTING.md").read_text()
    listed = re.search(r"<!-- map -->\n```text\n(.*?)```", text, re.DOTALL)[1]
    lines = [line.split(maxsplit=1) for line in listed.splitlines()]
    assert all(len(line) == 2 for line in lines)
    command = ["git", "-C", str(ROOT), "ls-files"]
    files = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [name for name, _ in lines] == folders(files)


def test_folders_of_files():
    found = folders(["a/b/c/d.py", "e.py", "src/bilabial/io/x/y/z.py"])
    assert found == ["a/", "a/b/", "src/", "src/bilabial/", "src/bilabial/io/", "src/bilabial/io/x/"]


def folders(files: list[str]) -> list[str]:
    """Folders of these files, to the depth of the map."""
    found = set()
    for file in files:
        parts = Path(file).parts[:-1]
        depth = 4 if parts[:2] == ("src", "bilabial") else 2
        found |= {"/".join(parts[: k + 1]) + "/" for k in range(min(len(parts), depth))}
    return sorted(found)
