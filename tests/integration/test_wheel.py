"""The wheel: what it holds, and that it animates a file from another folder."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from support.paths import EXAMPLE, ROOT

from bilabial import FaceClip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # setuptools leaves build/ in the tree, and would pack what an earlier one left
    shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, tree]
    subprocess.run([*map(str, command)], check=True, cwd=folder)
    (path,) = folder.glob("bilabial-*.whl")
    return path


@pytest.mark.slow
def test_it_holds_the_package_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"bilabial"}
    for needed in (
        "pretrained/model.safetensors",
        "viewer/head.glb",
        "app/static/bundle.js",
        "rigs/vrm.json",
    ):
        assert f"bilabial/{needed}" in names
    assert not [name for name in names if "test" in name or name.endswith((".ipynb", ".arrow", ".mp4"))]
    assert wheel.stat().st_size < 40 * 2**20


@pytest.mark.slow
def test_it_animates_a_file_from_another_folder(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = os.environ | {"PYTHONPATH": str(site)}
    where = [sys.executable, "-c", "import bilabial; print(bilabial.__file__)"]
    found = subprocess.run(where, check=True, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert found.stdout.startswith(str(site))
    command = [sys.executable, "-m", "bilabial", "animate", str(EXAMPLE), "-o", "face.csv"]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path)
    clip = FaceClip.from_csv(tmp_path / "face.csv")
    assert len(clip) > 100 and clip["jawOpen"].max() > 0.1
