import base64
import hashlib

import numpy as np
import pytest

from bilabial import ARKIT_BLENDSHAPES, FaceClip, npm, player


def test_the_frames_are_the_clips():
    values = np.random.default_rng(0).random((7, 52), np.float32)
    data = player.player_data(FaceClip(ARKIT_BLENDSHAPES, values, 25), np.zeros(4480, np.float32))
    frames = np.frombuffer(base64.b64decode(data["frames"]), "<u2").reshape(7, 52) / 65535
    assert np.allclose(frames, values, atol=1e-5)
    assert (data["names"], data["fps"]) == (list(ARKIT_BLENDSHAPES), 25)
    assert base64.b64decode(data["audio"].split(",")[1])[:4] == b"RIFF"


def test_a_minute_of_frames_is_small():
    clip = FaceClip(ARKIT_BLENDSHAPES, np.zeros((1800, 52), np.float32), 30)
    assert len(player.player_data(clip, np.zeros(16, np.float32))["frames"]) < 300_000


@pytest.mark.parametrize("package", npm.PACKAGES, ids=lambda package: package.name)
def test_the_sums_are_those_of_the_installed_files(package):
    if not package.folder():
        pytest.skip(f"{package.name} is not installed (make test does, with npm)")
    for path, integrity in zip(package.files(), package.modules.values(), strict=True):
        digest = hashlib.sha384(path.read_bytes()).digest()
        assert integrity == f"sha384-{base64.b64encode(digest).decode()}", path


def test_packages_come_from_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(npm, "NPM_FOLDER", tmp_path)
    assert player.player_props("/file=")["three"]["base"] == "https://cdn.jsdelivr.net/npm/three@0.187.0"
    (tmp_path / "three").mkdir()
    package = tmp_path / "three" / "package.json"
    package.write_text('{"version": "0.186.0"}')
    assert npm.THREE.folder() is None and player.served_files() == [player.HEAD]
    package.write_text('{"version": "0.187.0"}')
    assert player.player_props("/file=")["three"]["base"] == f"/file={package.parent}"
    assert player.player_props(None)["three"]["base"] == npm.THREE.cdn  # the page to send
    assert len(player.served_files()) == 1 + len(npm.THREE.modules)
