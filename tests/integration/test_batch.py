"""Many lines: each is made once, whatever happens meanwhile, and the report tells what is delivered."""

import html
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import wave
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from support.command import assert_told
from support.errors import message_of
from support.paths import EXAMPLE, ROOT

from bilabial import FaceClip
from bilabial.cli import main
from bilabial.delivery.batch import Job, Settings, jobs_of, make_line
from bilabial.delivery.lines import read_lines
from bilabial.delivery.report import write_report
from bilabial.io.audio import read_recording
from bilabial.options import AnimateOptions

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
NUM_LINES, NUM_KILLS = 12, 2


def write_wav(path: Path, waveform: np.ndarray) -> Path:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes((np.clip(waveform, -1, 1) * 32767).astype("<i2").tobytes())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())
    return path


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    return read_recording(EXAMPLE).waveform


@pytest.fixture
def dialogue(tmp_path, voice) -> Path:
    """Lines of one second, some in a folder of their own."""
    for k in range(NUM_LINES):
        name = f"act {k % 2}/line {k}.wav" if k % 3 else f"line {k}.wav"
        write_wav(tmp_path / "dialogue" / name, voice[k * 8000 :][:16000])
    return tmp_path / "dialogue"


@pytest.fixture
def one_thread():
    """As in workers: sums of several threads differ in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def jobs(folder: Path, output: Path, formats: tuple[str, ...] = ("npz",), **options) -> list[Job]:
    lines = read_lines(folder, None, AnimateOptions(**options), lambda note: None)
    return jobs_of(lines, Settings(output, formats))


def make(folder: Path, output: Path, **options) -> list[str]:
    """Make what is not done, here; returns names of what was made."""
    todo = [job for job in jobs(folder, output, **options) if not job.is_done]
    for job in todo:
        make_line(job)
    return [job.line.name for job in todo]


def delivered(output: Path) -> dict[str, bytes]:
    """Contents of all files, but for what the batch remembers."""
    files = (path for path in output.rglob("*") if path.is_file())
    return {
        str(path.relative_to(output)): path.read_bytes() for path in files if ".bilabial" not in path.parts
    }


@pytest.mark.slow
def test_killed_at_random_it_ends_in_the_same_bytes(tmp_path, dialogue, one_thread):
    expected = tmp_path / "expected"
    write_report(expected, made_jobs(dialogue, expected), {})
    output, chance = tmp_path / "out", random.Random(0)
    command = [sys.executable, "-m", "bilabial", "batch", str(dialogue), "-o", str(output), "-f", "npz"]
    for kill in range(NUM_KILLS):
        process = subprocess.Popen([*command, "--workers", "1"], env=ENVIRONMENT, stderr=subprocess.PIPE)
        wanted = (kill + 1) * NUM_LINES // (NUM_KILLS + 2)
        end = time.monotonic() + 600
        while len(list(output.rglob(".bilabial/**/*.json"))) < wanted and time.monotonic() < end:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
    before = {
        name: os.stat(output / name).st_mtime_ns for name in delivered(output) if ".partial" not in name
    }  # a killed run may leave a file half-written, the next one removes it
    assert 0 < len(before) < NUM_LINES
    done = subprocess.run([*command, "--workers", "1"], env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "" and "0 failed" in done.stderr, done.stderr
    assert delivered(output) == delivered(expected)
    kept = sum(os.stat(output / name).st_mtime_ns == time for name, time in before.items())
    assert kept >= len(before) - 1  # all but the one whose record was not written


def made_jobs(folder: Path, output: Path) -> list[Job]:
    make(folder, output)
    return jobs(folder, output)


def test_what_changed_is_made_again_alone(tmp_path, dialogue, voice):
    output = tmp_path / "out"
    names = make(dialogue, output)
    assert len(names) == NUM_LINES and make(dialogue, output) == []
    write_wav(dialogue / "line 0.wav", voice[-16000:])
    assert make(dialogue, output) == ["line 0"]
    (output / "act 1" / "line 1.npz").unlink()
    assert make(dialogue, output) == ["act 1/line 1"]
    assert sorted(make(dialogue, output, emotion="sad")) == sorted(names)
    style = FaceClip.from_npz(output / "line 0.npz").to_npz(tmp_path / "style.npz")
    job = jobs(dialogue, output, style=str(style))[0]
    FaceClip.from_npz(output / "line 3.npz").to_npz(style)
    assert jobs(dialogue, output, style=str(style))[0].key != job.key


def test_the_report_names_what_is_wrong(tmp_path, voice):
    folder, output = tmp_path / "dialogue", tmp_path / "out"
    pause = np.concatenate([voice[:32000], np.zeros(16000, np.float32)])
    sounds = {
        "good": voice[:48000], "open mouth": pause, "clipped": voice[:48000] * 20,
        "silent": 0 * voice[:16000], "wrong duration": voice[:32000], "cut off": voice[:32000],
    }  # fmt: skip
    for name, sound in sounds.items():
        write_wav(folder / f"{name}.wav", sound)
    (folder / "text.wav").write_text("no sound at all")
    make(folder, output)
    edit(output / "open mouth.npz", lambda clip: opened(clip, 80))
    edit(output / "wrong duration.npz", lambda clip: clip.slice(0, 1.5))
    (output / "cut off.npz").write_bytes((output / "cut off.npz").read_bytes()[:500])
    assert make(folder, output) == ["text"]  # what an artist changed is kept, what failed is tried again
    summary = write_report(output, jobs(folder, output), {})
    content = json.loads((output / "report.json").read_text())
    found = {line["name"]: [finding["kind"] for finding in line["findings"]] for line in content["lines"]}
    assert found["good"] == [] and found["clipped"] == ["clipped"] and found["silent"] == ["silent"]
    assert found["open mouth"] == ["open_in_silence"] and found["wrong duration"] == ["duration"]
    assert found["text"] == ["failed"] and found["cut off"] == ["unreadable"]
    assert list(found)[-1] == "good" and content["lines"][-1]["score"] == 100
    assert summary == content["summary"] and summary["failed"] == 1 and summary["below_50"] == 6
    page = (output / "report.html").read_text()
    for text in (
        "open mouth in silence for",
        "wrong duration: 45 frames",
        "not audio or video",
        "clipped sound",
    ):
        assert text in page
    assert "open mouth.npz was changed after it was made" in page and page.count("<svg") == 6
    links = Links()
    links.feed(page)
    assert len(links.found) == 7 + 6 and all((output / link).exists() for link in links.found)


class Links(HTMLParser):
    """Where links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list) -> None:
        from urllib.parse import unquote

        self.found += [unquote(value) for name, value in attributes if name == "href"]


def edit(path: Path, change) -> None:
    change(FaceClip.from_npz(path)).to_npz(path)


def opened(clip: FaceClip, start: int) -> FaceClip:
    values = clip.values.copy()
    values[start:, clip.names.index("jawOpen")] = 0.5
    return FaceClip(clip.names, values, clip.fps)


def test_known_times_close_the_lips_and_a_wrong_timing_is_told(tmp_path, voice):
    """The times of a phone decide; those of another recording are a finding."""
    folder, output = tmp_path / "dialogue", tmp_path / "out"
    write_wav(folder / "a.wav", voice[:32000])
    write_wav(folder / "b.wav", voice[:32000])
    (folder / "a.ctm").write_text("a 1 0.9 0.06 m\n")
    (folder / "b.ctm").write_text("b 1 0.5 9.0 word\n")
    manifest = tmp_path / "lines.csv"
    manifest.write_text("file,timing\na.wav,a.ctm\nb.wav,b.ctm\n")

    def made() -> list[Job]:
        lines = read_lines(folder, manifest, AnimateOptions(), lambda note: None)
        return jobs_of(lines, Settings(output, ("npz",)))

    for job in made():
        make_line(job)
    clip = FaceClip.from_npz(output / "a.npz")
    assert clip.lip_distance_mm()[(clip.times > 0.88) & (clip.times < 0.98)].min() < 0.1
    write_report(output, made(), {})
    content = json.loads((output / "report.json").read_text())
    found = {line["name"]: [finding["kind"] for finding in line["findings"]] for line in content["lines"]}
    assert found == {"b": ["failed"], "a": ["warning"]}
    failed, warned = (line["findings"][0]["text"] for line in content["lines"])
    assert re.search(message_of("timing_long", end=9.5, seconds=2.0), failed)
    assert re.search(message_of("timing_short", end=0.96), warned)
    (folder / "a.ctm").write_text("a 1 0.7 0.06 m\n")
    assert [job.line.name for job in made() if not job.is_done and job.line.name == "a"] == ["a"]


def test_lines_that_are_gone_are_told(tmp_path, dialogue):
    make(dialogue, tmp_path / "out")
    (dialogue / "line 0.wav").unlink()
    summary = write_report(tmp_path / "out", jobs(dialogue, tmp_path / "out"), {})
    assert summary["left_over"] == ["line 0"] and summary["lines"] == NUM_LINES - 1


def test_the_command_with_a_manifest(tmp_path, voice, capsys):
    """A line that fails costs itself alone; --strict makes it an exit code."""
    folder, manifest = tmp_path / "dialogue", tmp_path / "lines.csv"
    write_wav(folder / "a.wav", voice[:48000])
    manifest.write_text("file,emotion,text\na.wav,happy,Hello & goodbye\ngone.wav,,\na2.wav,glad,\n")
    write_wav(folder / "a2.wav", voice[:16000])
    output = tmp_path / "out"
    command = ["batch", str(folder), "-o", str(output), "-f", "csv,json", "--manifest", str(manifest)]
    assert main([*command, "--workers", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert (summary["made"], summary["failed"], summary["lines"]) == (1, 2, 3)
    assert "1 made, 0 kept, 2 failed, 2 score below 50" in err and err.count("\n") == 1
    page = html.unescape((output / "report.html").read_text())
    assert re.search(message_of("file_missing", name="gone.wav"), page)
    assert re.search(message_of("emotion_name", got="'glad'"), page) and "Hello & good" in page
    assert {path.name for path in output.iterdir()} == {
        "a.csv",
        "a.json",
        "report.html",
        "report.json",
        ".bilabial",
    }
    kept = "file,emotion,text\na.wav,happy,Hello & goodbye\n"
    manifest.write_text(kept)
    assert main([*command, "--strict"]) == 0 and "0 made, 1 kept, 0 failed" in capsys.readouterr().err
    manifest.write_text(f"{kept}gone.wav,,\n")
    assert main([*command, "--strict"]) == 1
    manifest.write_text("file,emotion\ngone.wav,\n")
    assert main(command) == 1


def test_wrong_input_of_a_batch_is_a_sentence(tmp_path, voice, capsys):
    write_wav(tmp_path / "in" / "a.wav", voice[:8000])
    (tmp_path / "file").write_text("")
    both = (tmp_path / "in", "-o", tmp_path / "out")
    wrong = {
        (tmp_path / "gone", "-o", tmp_path / "out"): ("folder_missing", {"path": tmp_path / "gone"}),
        (tmp_path / "in", "-o", tmp_path / "file"): ("folder_failed", {"path": tmp_path / "file"}),
        (tmp_path / "in", "-o", "/proc/out"): ("folder_failed", {"path": "/proc/out"}),
        (*both, "-f", "bvh"): ("format_unknown", {"got": "'bvh'"}),
        (*both, "--fps", "0"): ("fps_range", {"got": "0.0"}),
        (*both, "--intensity", "2"): ("intensity_range", {"limit": 1.5, "got": "2.0"}),
        (*both, "--emotion", "["): ("emotion_text", {"got": "'['"}),
        (*both, "--model", tmp_path / "in"): ("model_files", {"path": tmp_path / "in"}),
        (*both, "--manifest", tmp_path / "gone.csv"): ("file_missing", {"name": tmp_path / "gone.csv"}),
    }
    for arguments, (code, values) in wrong.items():
        assert main(["batch", *map(str, arguments)]) == 2, arguments
        assert_told(capsys, code, **values)
