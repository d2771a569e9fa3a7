"""Takes as Live Link Face writes them: curves, a movie with a timecode track, or a sound recorder's WAV."""

import json
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from datasets import load_dataset
from support.errors import refused
from support.scripts import run
from transformers import HfArgumentParser

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.audio import encode_wav
from bilabial.io.timecodes import to_timecode
from bilabial.training.data.corpora import read_takes
from bilabial.training.prepare.pipeline import PrepareArguments

pytestmark = pytest.mark.slow

NOON = 12 * 3600.0


def csv(path: Path, start: float = NOON, seconds: float = 12.0, fps: float = 30.0) -> Path:
    """A recording from a time of day on: lips that seal twice a second under a moving jaw."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = np.arange(round(seconds * fps)) / fps
    jaw = 0.2 + 0.15 * np.cos(times * 2 * np.pi * 2)
    values = np.zeros((len(times), 52), np.float32)
    values[:, ARKIT_BLENDSHAPES.index("jawOpen")] = jaw
    values[:, ARKIT_BLENDSHAPES.index("mouthClose")] = np.where(jaw < 0.1, jaw, 0.02)
    FaceClip(ARKIT_BLENDSHAPES, values, fps).to_csv(path)
    lines = path.read_text().splitlines()
    for number, time in enumerate(times, start=1):
        lines[number] = to_timecode(start + time) + lines[number][lines[number].index(",") :]
    path.write_text("\n".join(lines))
    return path


def wav(path: Path, start: float | None = None, seconds: float = 12.0) -> Path:
    """A WAV, as a broadcast WAV when its time of day is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if start is None:
        path.write_bytes(encode_wav(np.zeros(round(seconds * 16000), np.float32)))
        return path
    with av.open(str(path), "w", options={"write_bext": "1"}) as container:
        container.metadata["time_reference"] = str(round(start * 16000))
        sound = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        samples = np.zeros((1, round(seconds * 16000)), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def mov(path: Path, timecode: str | None = None, seconds: float = 12.0, fps: int = 30) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        if timecode:
            container.metadata["timecode"] = timecode
        video = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        image = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for _ in range(round(seconds * fps)):
            image.pts = None
            container.mux(video.encode(image))
        container.mux(video.encode(None))
        samples = np.zeros((1, round(seconds * 16000)), np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def test_a_take_with_its_movie(tmp_path):
    """The calibrated curves are taken, the face at rest and the log are none; the movie began earlier."""
    folder = tmp_path / "anna" / "20261123_MySlate_1"
    for kind in ("_cal", "_raw"):
        csv(folder / f"MySlate_1_iPhone{kind}.csv")
    csv(folder / "MySlate_1_iPhone_neutral.csv", seconds=0.1)
    (folder / "frame_log.csv").write_text("V,0,1,2\n")
    mov(folder / "MySlate_1_iPhone.mov", "11:59:59:27")
    (take,) = read_takes("livelink", tmp_path)
    assert take.curves.name == "MySlate_1_iPhone_cal.csv" and take.audio.suffix == ".mov"
    assert take.id == "livelink/anna/20261123_MySlate_1/MySlate_1_iPhone_cal_00"
    assert (take.speaker, take.style, take.mouth_close) == ("anna", "anna", "arkit")
    assert take.curves_late_seconds == take.start_seconds == pytest.approx(0.1, abs=1e-3)
    assert take.duration_seconds == pytest.approx(11.9, abs=0.1)


def test_the_apps_own_movie_may_count_at_60_hz(tmp_path):
    """Frame 20 is a third of a second in it, of another camera's movie at 30 fps two thirds."""
    for number, name in enumerate(("slate_1.mov", "camera.mov")):
        csv(tmp_path / name[:3] / f"slate_{number + 1}.csv", start=NOON + 3600 * number + 10.4)
        mov(tmp_path / name[:3] / name, f"{12 + number}:00:10:20")
    other, own = read_takes("livelink", tmp_path)
    assert own.curves_late_seconds == pytest.approx(0.4 - 20 / 60, abs=1e-3)
    assert other.curves_late_seconds == pytest.approx(0.4 - 20 / 30, abs=1e-3) and other.start_seconds == 0.0


def test_a_timecode_track_of_60_hz_in_a_movie_of_30_fps(tmp_path):
    """FFmpeg writes none: the same number of frames, 648,645, is said to be counted at 60 Hz, 3 h 10.75 s."""
    csv(tmp_path / "a.csv", start=3 * 3600 + 11)
    path = mov(tmp_path / "camera.mov", "06:00:21:15")
    content = bytearray(path.read_bytes())
    place = content.index(b"tmcd", content.index(b"stsd", content.index(b"TimeCodeHandler"))) + 4
    *_, scale, length, count = struct.unpack_from(">QIIIIB", content, place)
    assert scale / length == count == 30
    struct.pack_into(">IB", content, place + 20, length // 2, 60)
    path.write_bytes(content)
    (take,) = read_takes("livelink", tmp_path)
    assert take.curves_late_seconds == pytest.approx(0.25, abs=1e-3)


def test_a_sound_recorders_wav_goes_by_its_time_reference(tmp_path):
    """One long WAV beside the takes, and a shorter one of another hour; sounds go before movies."""
    folder = tmp_path / "takes"
    for number in (0, 1):
        csv(folder / f"t{number}" / f"slate_{number}_iPhone.csv", start=NOON + 20 * number)
    mov(folder / "mixer" / "witness.mov", "12:00:00:00", seconds=60.0, fps=10)
    wav(folder / "mixer" / "scene.wav", NOON - 5, seconds=50.0)
    wav(folder / "mixer" / "other.wav", NOON + 3600)
    first, second = read_takes("livelink", folder)
    assert {first.audio.name, second.audio.name} == {"scene.wav"}
    assert (first.curves_late_seconds, second.curves_late_seconds) == pytest.approx((5.0, 25.0))
    assert second.duration_seconds == pytest.approx(12.0, abs=0.1)


def test_past_midnight(tmp_path):
    csv(tmp_path / "a.csv", start=86399.0)
    wav(tmp_path / "b.wav", start=2.0)
    (take,) = read_takes("livelink", tmp_path)
    assert take.curves_late_seconds == pytest.approx(-3.0) and take.start_seconds == 0.0
    assert take.duration_seconds == pytest.approx(9.0, abs=0.1)


def test_without_timecode_the_name_tells(tmp_path):
    """Also where the movie's clock is another one: then both begin together."""
    csv(tmp_path / "a_iPhone_cal.csv")
    csv(tmp_path / "b_iPhone.csv")
    wav(tmp_path / "a_iPhone.wav", seconds=11.0)
    mov(tmp_path / "b_iPhone.mov", "03:00:00:00")
    first, second = read_takes("livelink", tmp_path)
    assert (first.audio.name, second.audio.name) == ("a_iPhone.wav", "b_iPhone.mov")
    assert first.curves_late_seconds == second.curves_late_seconds == 0.0
    assert first.duration_seconds == pytest.approx(11.0)


def test_curves_without_a_sound_are_named(tmp_path):
    csv(tmp_path / "a_iPhone.csv")
    wav(tmp_path / "other.wav")
    wav(tmp_path / "later.wav", NOON + 11)
    with refused("livelink_sound", count=2, name="a_iPhone"):
        read_takes("livelink", tmp_path)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "Timecode,BlendShapeCount\n"])
def test_other_tables_are_named(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    wav(tmp_path / "a.wav")
    with refused("csv_columns", path=tmp_path / "a.csv") as error:
        read_takes("livelink", tmp_path)
    missing = error.value.parameters["missing"]
    assert missing.startswith("eyeBlinkLeft, ") and "47" in missing


def test_a_real_recording(clips, tmp_path):
    (tmp_path / "rom.csv").write_bytes((clips / "livelink" / "rom_30fps.csv").read_bytes())
    wav(tmp_path / "sound.wav", 13 * 3600 + 13 * 60, seconds=30.0)
    (take,) = read_takes("livelink", tmp_path)
    assert take.curves_late_seconds == take.start_seconds == pytest.approx(4 + 31.652 / 60, abs=1e-4)
    assert take.duration_seconds == pytest.approx(20.0, abs=0.1) and take.mouth_close == "arkit"


def test_takes_become_rows(tmp_path):
    """The jaw of a row moves when it moved: the sound began half a second before the curves."""
    csv(tmp_path / "phone" / "anna" / "t1" / "s_1_iPhone_cal.csv", start=NOON + 0.5)
    wav(tmp_path / "phone" / "anna" / "t1" / "boom.wav", NOON, seconds=14.0)
    options = ["--reader", "livelink", "--source", tmp_path / "phone", "--output", tmp_path / "out"]
    done = run("prepare.py", *options, "--num_proc", 1, "--validation_share", 0, "--min_score", 0)
    assert "mouthClose of 1 takes is arkit's" in done.stdout
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["mouth_close"] == {"arkit": 1}
    (row,) = load_dataset(str(tmp_path / "out"), split="train")
    assert (row["speaker"], row["source"]) == ("anna", "own recording with Live Link Face")
    assert (
        row["id"] == "livelink/anna/t1/s_1_iPhone_cal_00" and all(row["valid"]) and all(row["channel_mask"])
    )
    jaw = np.array(row["coefficients"])[:, ARKIT_BLENDSHAPES.index("jawOpen")]
    times = np.arange(len(jaw)) / 50
    assert jaw == pytest.approx(0.2 + 0.15 * np.cos(times * 2 * np.pi * 2), abs=0.02)
    sealed = np.cos(times * 2 * np.pi * 2) < -0.8
    assert np.array(row["lip_gap"])[sealed].max() < 0.01 < np.array(row["lip_gap"]).max()


def test_another_convention_is_taken_by_word(tmp_path, capsys):
    csv(tmp_path / "a.csv")
    wav(tmp_path / "a.wav")
    (take,) = read_takes("livelink", tmp_path, "mediapipe")
    assert take.mouth_close == "mediapipe"
    given = ["--source", str(tmp_path), "--output", "x", "--mouth_close", "apple"]
    with pytest.raises(SystemExit):
        HfArgumentParser(PrepareArguments).parse_args_into_dataclasses(given)
    assert "invalid choice: 'apple'" in capsys.readouterr().err
