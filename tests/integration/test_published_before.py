"""A model that was published with earlier code: published.zip in tests/support, with random weights."""

import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from support.paths import ROOT

from bilabial import Animator

RATE = 16000
LOAD = """
import sys
import numpy as np
from transformers import AutoModel
folder = sys.argv[1]
model = AutoModel.from_pretrained(folder, trust_remote_code=True)
waveform = np.load(folder + "/waveform.npy")
faces = {
    name: model.animate(waveform, sampling_rate=16000, emotion=name, fps=30) for name in ("neutral", "happy")
}
np.savez(folder + "/got.npz", **faces)
"""


@pytest.fixture
def published(tmp_path):
    with zipfile.ZipFile(ROOT / "tests" / "support" / "published.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path


def test_it_loads_with_its_own_code(published, waveform):
    np.save(published / "waveform.npy", waveform)
    environment = os.environ | {"HF_MODULES_CACHE": str(published / "modules"), "HF_HUB_OFFLINE": "1"}
    subprocess.run([sys.executable, "-c", LOAD, str(published)], check=True, env=environment, cwd=published)
    expected, got = np.load(published / "expected.npz"), np.load(published / "got.npz")
    for emotion in expected.files:
        np.testing.assert_allclose(got[emotion], expected[emotion], atol=1e-5)


def test_it_loads_with_todays_code(published, waveform):
    animator, expected = Animator.from_pretrained(published), np.load(published / "expected.npz")
    for emotion in expected.files:
        got = animator.model.animate(waveform, sampling_rate=RATE, emotion=emotion, fps=30)
        np.testing.assert_allclose(got, expected[emotion], atol=1e-5)


@pytest.fixture
def waveform() -> np.ndarray:
    """The second of sound from which the expected frames were made."""
    times = np.arange(RATE) / RATE
    voice = 0.3 * np.sin(2 * np.pi * 150 * times) * (1 + np.sin(2 * np.pi * 3 * times)) / 2
    return (voice + 0.1 * np.sin(2 * np.pi * 1200 * times) * (times > 0.4)).astype(np.float32)
