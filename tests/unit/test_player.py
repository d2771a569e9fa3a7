import base64
import hashlib
import json
import os
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from support.paths import EXAMPLE

from bilabial import ARKIT_BLENDSHAPES, Animator, FaceClip
from bilabial.app import npm, player
from bilabial.app.comparison import Comparison
from bilabial.io.audio import load_audio
from bilabial.plots import sealed_stretches


def unpacked(text: str, dtype: str = "<u2") -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)


def test_the_page_receives_the_clip():
    values = np.random.default_rng(0).random((7, 52), np.float32)
    clip = FaceClip(ARKIT_BLENDSHAPES, values, 25)
    waveform = np.zeros(4480, np.float32)
    waveform[1000], waveform[4000] = -0.6, 0.15  # in the fourth and thirteenth 20 ms
    data = player.player_data(clip, waveform)
    assert np.allclose(unpacked(data["frames"]).reshape(7, 52) / 65535, values, atol=1e-5)
    assert np.allclose(unpacked(data["lips"]) / 100, clip.lip_distance_mm(), atol=0.006)
    assert (data["names"], data["fps"], data["captured"]) == (list(ARKIT_BLENDSHAPES), 25, None)
    assert (
        unpacked(data["peaks"], "u1").tolist() == [0] * 3 + [255] + [0] * 8 + [64, 0]
        and data["peaks_hz"] == 50
    )
    assert data["closed"] == sealed_stretches(clip.lip_distance_mm(), 25)
    assert data["head"] is None
    turned = player.player_data(replace(clip, head=np.full((7, 3), -12.345)), waveform)["head"]
    assert unpacked(turned, "<i2").tolist() == [-1234] * 21
    json.dumps(data)  # nothing of numpy is left in it


def test_captured_lips_are_marked_where_nobody_was_seen():
    clip = FaceClip(ARKIT_BLENDSHAPES, np.zeros((3, 52), np.float32), 25)
    seen = Comparison(np.array([1.234, np.nan, 700.0], np.float32), -60.0, 0.8)
    captured = player.player_data(clip, np.zeros(1920, np.float32), seen)["captured"]
    assert unpacked(captured["lips"]).tolist() == [123, player.NO_FACE, 65534]
    assert (captured["r"], captured["offset_ms"]) == (0.8, -60.0)


def test_a_minute_of_speech_is_below_a_megabyte():
    """Real speech, 60 s at 30 frames/s, with captured lips: what goes to the page, as JSON."""
    speech = np.concatenate([load_audio(path) for path in sorted(EXAMPLE.parent.glob("*.flac"))])
    minute = np.tile(speech, 6)[: 60 * 16000]
    assert len(minute) == 60 * 16000
    clip = Animator.from_pretrained()((16000, minute), fps=30)
    seen = Comparison(clip.lip_distance_mm(), 0.0, 1.0)
    assert len(json.dumps(player.player_data(clip, minute, seen))) < 1_000_000


@pytest.mark.parametrize("package", npm.PACKAGES, ids=lambda package: package.name)
def test_the_sums_are_those_of_the_installed_files(package):
    if not package.folder():
        pytest.skip(f"{package.name} is not installed (make test does, with npm)")
    for path, integrity in zip(package.files(), package.modules.values(), strict=True):
        digest = hashlib.sha384(path.read_bytes()).digest()
        assert integrity == f"sha384-{base64.b64encode(digest).decode()}", path


def test_packages_come_from_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(npm, "NPM_FOLDER", tmp_path)
    cdn = f"https://cdn.jsdelivr.net/npm/three@{npm.DECODERS.version}"
    assert player.player_props("/file=")["decoders"]["base"] == cdn
    (tmp_path / "three").mkdir()
    package = tmp_path / "three" / "package.json"
    package.write_text('{"version": "0.1.0"}')
    assert npm.DECODERS.folder() is None and player.served_files() == [
        player.BUNDLE,
        player.WORKER,
        player.MICROPHONE,
        *player.HEADS.values(),
    ]
    package.write_text(json.dumps({"version": npm.DECODERS.version}))
    assert player.player_props("/file=")["decoders"]["base"] == f"/file={package.parent}"
    assert player.player_props(None)["decoders"]["base"] == cdn  # the page to send
    assert len(player.served_files()) == 3 + len(player.HEADS) + len(npm.DECODERS.modules)


def test_the_bundle_is_what_the_scripts_give(tmp_path):
    """`make bundle` writes it: the same bytes everywhere, with the versions of package.json."""
    esbuild = npm.NPM_FOLDER / ".bin" / "esbuild"
    folder, packages = player.STATIC.parent, json.loads((player.STATIC.parent / "package.json").read_text())
    versions = packages["dependencies"] | packages["devDependencies"]
    for name in ("esbuild", "three"):
        package = npm.NPM_FOLDER / name / "package.json"
        installed = json.loads(package.read_text())["version"] if package.is_file() else "not"
        if installed != versions[name]:
            pytest.skip(
                f"{name} {versions[name]} is wanted (make test installs it, with npm), is: {installed}"
            )
    environment = os.environ | {"NODE_PATH": str(npm.NPM_FOLDER)}
    built = {
        "build-page": player.BUNDLE,
        "build-worker": player.WORKER,
        "build-microphone": player.MICROPHONE,
    }
    for script, file in built.items():
        command = (
            packages["scripts"][script].replace(f"static/{file.name}", str(tmp_path / file.name)).split()
        )
        subprocess.run(
            [esbuild, *command[1:], "--log-level=warning"], cwd=folder, env=environment, check=True
        )
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), "run `make bundle`"
