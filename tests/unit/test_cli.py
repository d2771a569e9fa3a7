"""The command: files, standard streams, sentences and exit codes."""

import io
import json
import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from support.command import assert_told, run
from support.errors import message_of
from support.paths import EXAMPLE, ROOT

from bilabial import ARKIT_BLENDSHAPES, EMOTIONS, FaceClip
from bilabial.errors import quote
from bilabial.io.formats import FORMATS
from bilabial.motion import MOTIONS
from bilabial.options import emotion_of, fps_of, motion_of, style_of

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src")}


def tone(seconds: float = 0.5) -> bytes:
    """A WAV file with a tone that comes and goes."""
    times = np.arange(int(16000 * seconds)) / 16000
    sound = 0.2 * np.sin(2 * np.pi * 150 * times) * np.sin(2 * np.pi * 3 * times)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


@pytest.fixture
def sound(tmp_path) -> Path:
    path = tmp_path / "speech.wav"
    path.write_bytes(tone())
    return path


def face(num_frames: int = 20, fps: float = 30.0) -> FaceClip:
    values = np.random.default_rng(0).random((num_frames, 52)).astype(np.float32)
    return FaceClip(ARKIT_BLENDSHAPES, values, fps)


def test_a_command_without_model_imports_nothing_heavy(tmp_path):
    """That is what makes it start in under a second."""
    source = face().to_npz(tmp_path / "face.npz")
    code = (
        "import sys; from bilabial.cli import main\n"
        f"assert main(['convert', {str(source)!r}, {str(tmp_path / 'face.csv')!r}]) == 0\n"
        "assert main(['info']) == 0\n"
        "heavy = {'torch', 'transformers', 'plotly', 'mediapipe', 'gradio', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "styles: default" in done.stdout and "Live Link" in done.stdout


def test_python_m_and_version():
    done = subprocess.run(
        [sys.executable, "-m", "bilabial", "--version"], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert done.returncode == 0 and done.stdout.startswith("bilabial ")


def test_animate_is_what_the_animator_makes(tmp_path, capsys):
    from bilabial import Animator

    arguments = ["--emotion", "happy:0.5,sad:0.2", "--motion", "blink:0.5", "--fps", "29.97", "--json"]
    assert run("animate", EXAMPLE, "-o", tmp_path / "out/", "-f", "npz,csv", "--seed", 7, *arguments) == 0
    (summary,) = json.loads(capsys.readouterr().out)
    clip = FaceClip.from_npz(tmp_path / "out" / f"{EXAMPLE.stem}.npz")
    wished = {"emotion": {"happy": 0.5, "sad": 0.2}, "motion": {"blink": 0.5}, "seed": 7}
    expected = Animator.from_pretrained()(EXAMPLE, fps=30000 / 1001, **wished)
    assert np.array_equal(clip.values, expected.values) and clip.fps == 30000 / 1001
    assert summary["frames"] == len(clip) and summary["input"] == str(EXAMPLE)
    assert [Path(path).name for path in summary["outputs"]] == [f"{EXAMPLE.stem}.npz", f"{EXAMPLE.stem}.csv"]
    assert FaceClip.from_csv(summary["outputs"][1]).fps == pytest.approx(30000 / 1001)


def test_standard_streams(tmp_path, sound):
    """A WAV on stdin, a CSV on stdout and nothing else there."""
    command = [sys.executable, "-m", "bilabial", "animate", "-", "-o", "-", "--format", "csv"]
    done = subprocess.run(command, input=sound.read_bytes(), capture_output=True, env=ENVIRONMENT)
    assert done.returncode == 0 and done.stderr == b""
    assert run("animate", sound, "-o", tmp_path / "face.csv") == 0
    assert done.stdout == (tmp_path / "face.csv").read_bytes()


def test_convert_keeps_the_curves(tmp_path, capsys):
    source = face().to_npz(tmp_path / "a.npz")
    assert run("convert", source, tmp_path / "b.csv") == 0
    assert run("convert", tmp_path / "b.csv", tmp_path / "c.json", "--fps", 60, "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 40
    assert run("convert", tmp_path / "c.json", tmp_path / "d.npz") == 0
    assert np.allclose(FaceClip.from_npz(tmp_path / "d.npz").values[::2], face().values, atol=1e-5)


def test_convert_reads_other_meanings_of_mouth_close(tmp_path):
    """Audio2Face's mouthClose lowers the jaw, too: lips sealed by it stay sealed, over a lowered jaw."""
    values = np.zeros((4, 52), np.float32)
    values[:, ARKIT_BLENDSHAPES.index("mouthClose")] = 0.4
    source = FaceClip(ARKIT_BLENDSHAPES, values, 30.0).to_npz(tmp_path / "a.npz")
    assert run("convert", source, tmp_path / "b.npz", "--mouth-close", "audio2face") == 0
    clip = FaceClip.from_npz(tmp_path / "b.npz")
    assert np.allclose(clip["jawOpen"], 0.4) and clip.lip_distance_mm().max() < 0.1


def test_wrong_input_is_a_message_and_exit_code_2(tmp_path, sound, capsys):
    out = tmp_path / "out"
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "text.wav").write_text("no sound")
    csv, none = ("-o", out / "a.csv"), tmp_path / "none"
    wrong = {
        (tmp_path / "gone.wav", *csv): ("file_missing", {"name": "gone.wav"}),
        (tmp_path / "folder.wav", *csv): ("file_missing", {"name": "folder.wav"}),
        (tmp_path / "text.wav", *csv): ("media_unknown", {"name": "text.wav"}),
        (sound, "-o", out / "a.bvh"): ("format_unknown", {"accepted": ", ".join(FORMATS), "got": "'.bvh'"}),
        (sound, *csv, "-f", "bvh"): ("format_unknown", {"accepted": ", ".join(FORMATS), "got": "'bvh'"}),
        (sound, "-o", "-"): ("stdout_one", {}),
        (sound, "-o", "-", "-f", "csv,json"): ("stdout_one", {}),
        (sound, *csv, "--emotion", "glad"): (
            "emotion_name",
            {"accepted": ", ".join(EMOTIONS), "got": "'glad'"},
        ),
        (sound, *csv, "--emotion", "{"): ("emotion_text", {"got": "'{'"}),
        (sound, *csv, "--style", "loud"): ("style_name", {"got": "'loud'"}),
        (sound, *csv, "--style", tmp_path / "gone.csv"): ("file_missing", {"name": tmp_path / "gone.csv"}),
        (sound, *csv, "--fps", "fast"): ("fps_text", {"got": "'fast'"}),
        (sound, *csv, "--fps", "500"): ("fps_range", {"low": 1, "high": 240, "got": "500.0"}),
        (sound, *csv, "--motion", "dance"): (
            "motion_name",
            {"accepted": ", ".join(MOTIONS), "got": "'dance'"},
        ),
        (sound, *csv, "--motion", "blink:x"): ("motion_text", {"got": "'blink:x'"}),
        (sound, *csv, "--model", none): ("model_name", {"got": quote(str(none))}),
        (sound, "-o", out / "a.glb", "--head", sound): ("glb_other", {"path": sound}),
        (sound, none / "speech.wav", "-o", f"{out}/"): ("output_twice", {"name": "speech"}),
        (sound, EXAMPLE, "-o", sound): ("output_not_folder", {"path": sound}),
    }
    for arguments, (code, values) in wrong.items():
        assert run("animate", *arguments) == 2, arguments
        assert_told(capsys, code, **values)
    assert not out.exists() or not list(out.iterdir())
    assert run("convert", sound, out / "a.csv") == 2
    assert_told(capsys, "curves_suffix", path=sound)
    assert run("info", "--model", tmp_path) == 2
    assert_told(capsys, "model_folder", path=tmp_path)
    assert run("animate") == 2 and run("dance") == 2


@pytest.mark.parametrize("command", ["animate", "convert"])
def test_a_target_that_cannot_be_written_leaves_nothing(tmp_path, sound, capsys, command):
    """/proc takes no new files, whoever asks; /dev/full is a full disk."""
    source = sound if command == "animate" else face().to_npz(tmp_path / "face.npz")
    output = [] if command == "convert" else ["-o"]
    assert run(command, source, *output, "/proc/face.csv") == 2
    assert_told(capsys, "output_failed", path="/proc/face.csv")
    assert run(command, source, *output, sound / "new" / "face.csv") == 2
    assert_told(capsys, "folder_failed", path=sound / "new", error="Not a directory")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", [["info"], ["convert", "face.npz", "-", "-f", "csv"]])
def test_a_full_disk_behind_stdout_is_a_sentence(tmp_path, command):
    face().to_npz(tmp_path / "face.npz")
    with open("/dev/full", "wb") as full:
        process = [sys.executable, "-m", "bilabial", *command]
        done = subprocess.run(process, stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, b"bilabial: [Errno 28] No space left on device\n")


def test_a_full_disk_leaves_what_was_there(tmp_path):
    """A limit of the process on the size of files stands for the disk."""
    (tmp_path / "face.csv").write_text("old")
    source = face(2000).to_npz(tmp_path / "face.npz")
    code = (
        "import resource, signal, sys; from bilabial.cli import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"sys.exit(main(['convert', {str(source)!r}, {str(tmp_path / 'face.csv')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    said = message_of("output_failed", path=tmp_path / "face.csv", error="File too large")
    assert done.returncode == 2 and re.search(said, done.stderr)
    assert (tmp_path / "face.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["face.csv", "face.npz"]


def test_texts_of_options():
    assert emotion_of(" happy ") == "happy" and emotion_of("happy:0.7,sad") == {"happy": 0.7, "sad": 1.0}
    assert emotion_of('[[0, "happy"], [1, {"sad": 0.5}]]') == [[0, "happy"], [1, {"sad": 0.5}]]
    assert (
        style_of("") is None and style_of("lively") == "lively" and style_of("lively:0.5") == {"lively": 0.5}
    )
    assert style_of("faces/anna.csv") == Path("faces/anna.csv")
    assert fps_of("24000/1001") == fps_of("23.976") == fps_of("23.98") == 24000 / 1001
    assert (fps_of("24"), fps_of("29.97"), fps_of("12.5")) == (24.0, 30000 / 1001, 12.5)
    assert motion_of("all") is None and motion_of("none") == {} and motion_of("gaze:0.5") == {"gaze": 0.5}


def test_inspect_tells_what_a_file_holds(tmp_path, capsys):
    """The same of a GLB that the clip was written to, but for what the head lacks."""
    values = face(60).values.copy()
    values[:, ARKIT_BLENDSHAPES.index("browInnerUp")] = 1.0
    values[20:30, [ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "mouthLowerDownLeft")]] = 0.0
    clip = FaceClip(ARKIT_BLENDSHAPES, values, 29.97)
    source = clip.to_npz(tmp_path / "face.npz")
    assert run("inspect", source, "--json", "--plot", tmp_path / "face.html") == 0
    told_as_json = json.loads(capsys.readouterr().out)
    assert (told_as_json["num_frames"], told_as_json["clipped"], told_as_json["lacks"]) == (
        60,
        ["browInnerUp"],
        [],
    )
    assert told_as_json["still"] == ["browInnerUp"] and told_as_json["trembling_mm"] > 1
    page = (tmp_path / "face.html").read_text()
    assert "lip distance (mm)" in page and "mouthPucker" in page
    assert run("convert", source, tmp_path / "face.glb") == 0
    assert run("inspect", tmp_path / "face.glb") == 0
    text = capsys.readouterr().out
    assert (
        "frames: 60 at 29.97 fps" in text and "52 of 52, 51 move" in text and "clipped: browInnerUp" in text
    )
    assert f"closures: {told_as_json['num_closures']}, " in text and any(bar in text for bar in "▁▂▃▄▅▆▇█")


def test_inspect_against_the_sound(tmp_path, capsys):
    clip = face(60)
    command = ("inspect", clip.to_npz(tmp_path / "face.npz"), "--sound", EXAMPLE)
    assert run(*command, "--json") == 0
    (finding,) = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["kind"] == "duration"]
    assert run(*command) == 0
    assert "60 frames" in finding["text"] and finding["text"] in capsys.readouterr().out


def test_a_glb_without_animation_is_a_sentence(tmp_path, capsys):
    from bilabial.io.exporters import HEAD

    assert run("inspect", HEAD) == 2
    assert_told(capsys, "glb_still", path=HEAD)
    assert run("inspect", tmp_path / "gone.glb") == 2
    assert_told(capsys, "file_missing", name=tmp_path / "gone.glb")
