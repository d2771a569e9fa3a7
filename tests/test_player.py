import base64
import hashlib

import numpy as np
import pytest

from bilabial import ARKIT_BLENDSHAPES, FaceClip, player


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


def test_the_sums_are_those_of_the_installed_files():
    folder = player.local_three()
    if not folder:
        pytest.skip("three.js is not installed (make test does, with npm)")
    for name, integrity in player.THREE_MODULES.items():
        digest = hashlib.sha384((folder / name).read_bytes()).digest()
        assert integrity == f"sha384-{base64.b64encode(digest).decode()}", name


def test_three_comes_from_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(player, "THREE_FOLDER", tmp_path)
    assert player.player_props("/file=")["three"]["base"] == "https://cdn.jsdelivr.net/npm/three@0.187.0"
    (tmp_path / "package.json").write_text('{"version": "0.186.0"}')
    assert player.local_three() is None and player.served_files() == [player.HEAD]
    (tmp_path / "package.json").write_text('{"version": "0.187.0"}')
    assert player.player_props("/file=")["three"]["base"] == f"/file={tmp_path}"
    assert len(player.served_files()) == 1 + len(player.THREE_MODULES)
