from pathlib import Path

import av
import numpy as np
import pytest
from datasets import load_dataset
from support.curves import beat
from support.errors import message_of, refused
from support.scripts import run

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.audio import encode_wav, load_audio
from bilabial.io.facegood import FACEGOOD_BLENDSHAPES
from bilabial.training.data.corpora import read_takes
from bilabial.training.data.schema import waveform_of


def grid(tmp_path, speakers=("s1",)):
    for speaker in speakers:
        (tmp_path / speaker).mkdir(parents=True)
        for clip in ("bbaf2n", "lrwp9a"):
            (tmp_path / speaker / f"{clip}.mpg").touch()
            (tmp_path / speaker / f"{clip}.align").touch()
    return tmp_path


def videos(tmp_path, table: str):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / "metadata.csv").write_text(table, encoding="utf-8")
    return tmp_path


def test_grid_folder_of_speakers(tmp_path):
    takes = read_takes("grid", grid(tmp_path, ("s1", "s2")))
    assert [take.id for take in takes] == [
        "grid/s1/bbaf2n", "grid/s1/lrwp9a", "grid/s2/bbaf2n", "grid/s2/lrwp9a"
    ]  # fmt: skip
    assert {take.license for take in takes} == {"CC BY 4.0"}
    assert takes[0].style == takes[0].speaker == "grid_s1" and takes[0].emotion == "neutral"


def test_grid_folder_of_one_speaker(tmp_path):
    assert [take.speaker for take in read_takes("grid", grid(tmp_path) / "s1")] == ["grid_s1"] * 2


def test_videos_with_metadata(tmp_path):
    table = "\ufefffile,emotion,intensity,style,split,license\na.mp4, happy , 0.7,lively,validation,CC0\n"
    (take,) = read_takes("videos", videos(tmp_path, table))
    assert (take.emotion, take.style, take.split, take.license) == ("happy", "lively", "validation", "CC0")
    assert take.intensity == 0.7


def test_empty_cells_take_the_default(tmp_path):
    (take,) = read_takes("videos", videos(tmp_path, "file,emotion,intensity,style,split\na.mp4,,,,\n"))
    assert (take.emotion, take.style, take.split, take.speaker) == ("neutral", "default", None, "unknown")
    assert take.intensity == 1.0


@pytest.mark.parametrize(
    "table, code, values",
    [
        ("name\na.mp4\n", "manifest_columns", {"columns": "name"}),
        ("file,emotion\na.mp4,joyful\n", "corpus_cell", {"line": 2, "column": "emotion", "got": "'joyful'"}),
        ("file,intensity\na.mp4,strong\n", "corpus_intensity", {"line": 2, "got": "'strong'"}),
        ("file,intensity\na.mp4,1.6\n", "corpus_intensity", {"line": 2, "limit": 1.5, "got": "'1.6'"}),
        ("file,split\na.mp4,dev\n", "corpus_cell", {"line": 2, "column": "split", "got": "'dev'"}),
        ("file\na.mp4\nb.mp4\n", "corpus_file", {"line": 3, "name": "b.mp4"}),
        ("file,emotion\n,happy\n", "manifest_file", {"line": 2}),
        ("\n\nfile,emotion\n\na.mp4,\n,,\na.mp4,joyful\n", "corpus_cell", {"line": 7}),
        ("file;emotion\na.mp4;joyful\n", "corpus_cell", {"line": 2}),
        ("file\na.mp4\na.mp4\n", "corpus_twice", {"name": "videos/a.mp4"}),
        ("file\n", "corpus_empty", {"reader": "videos"}),
    ],
)
def test_wrong_metadata_is_named(tmp_path, table, code, values):
    with refused(code, **values):
        read_takes("videos", videos(tmp_path, table))


def test_wrong_folders_and_readers(tmp_path):
    with refused("corpus_table", path=tmp_path):
        read_takes("videos", tmp_path)
    with refused("folder_missing", path=tmp_path / "gone"):
        read_takes("grid", tmp_path / "gone")
    with refused("corpus_reader", got="'imax'"):
        read_takes("imax", tmp_path)


def recording(folder, name="a", seconds=25.0):
    names = sorted({term for terms in FACEGOOD_BLENDSHAPES.values() for term in terms})
    clip = FaceClip(names, np.zeros((round(seconds * 30), len(names)), np.float32), 30)
    clip.to_npz(folder / f"{name}.npz")
    (folder / f"{name}.flac").touch()
    return folder


def test_facegood_recordings_come_in_pieces_for_validation(tmp_path):
    first, second = read_takes("facegood", recording(tmp_path))
    assert (first.id, second.id) == ("facegood/a_00", "facegood/a_01")
    assert (first.start_seconds, first.duration_seconds) == (0.0, 10.0)
    assert (second.start_seconds, second.duration_seconds) == (10.0, 15.0)
    assert first.split == second.split == "validation" and first.license == "MIT"
    assert first.video is None and first.files == (tmp_path / "a.npz", tmp_path / "a.flac")


def test_curves_without_a_sound_are_refused(tmp_path):
    (recording(tmp_path) / "a.flac").unlink()
    with refused("curves_sound", path=tmp_path / "a.npz"):
        read_takes("facegood", tmp_path)


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_mead_front_views_with_emotions(tmp_path):
    folder = touched(
        tmp_path,
        "M030/video/front/angry/level_1/001.mp4",
        "M030/video/front/neutral/level_1/001.mp4",
        "M030/video/left_30/angry/level_1/001.mp4",
        "W009/video/front/fear/level_3/012.mp4",
        "W009/audio/fear/level_3/012.m4a",
    )
    angry, neutral, fearful = read_takes("mead", folder)
    assert [angry.id, fearful.id] == ["mead/M030/angry/level_1/001", "mead/W009/fear/level_3/012"]
    assert [take.emotion for take in (angry, neutral, fearful)] == ["angry", "neutral", "fearful"]
    assert [take.intensity for take in (angry, fearful)] == [0.5, 1.5]
    assert (fearful.speaker, fearful.audio) == ("mead_W009", folder / "W009/audio/fear/level_3/012.m4a")
    assert angry.audio is None and "non-commercial" in angry.license


def test_ravdess_speech_with_face_and_sound(tmp_path):
    names = ["01-01-08-02-01-01-12.mp4", "02-01-08-02-01-01-12.mp4", "01-02-03-01-01-01-12.mp4"]
    folder = touched(tmp_path, *(f"Actor_12/{name}" for name in names), "Actor_12/03-01-08-02-01-01-12.wav")
    (take,) = read_takes("ravdess", folder)
    assert take.intensity == 1.5
    assert (take.id, take.emotion, take.speaker, take.license) == (
        "ravdess/01-01-08-02-01-01-12", "surprised", "ravdess_12", "CC BY-NC-SA 4.0"
    )  # fmt: skip


def test_crema_d_flash_videos_and_wavs(tmp_path):
    folder = touched(
        tmp_path,
        "VideoFlash/1001_DFA_ANG_XX.flv",
        "VideoFlash/1002_IEO_HAP_LO.flv",
        "AudioWAV/1001_DFA_ANG_XX.wav",
    )
    first, second = read_takes("crema-d", folder)
    assert (first.id, first.emotion, first.speaker) == ("crema-d/1001_DFA_ANG_XX", "angry", "crema-d_1001")
    assert first.audio == folder / "AudioWAV/1001_DFA_ANG_XX.wav" and second.audio is None
    assert second.emotion == "happy" and first.license == "ODbL 1.0"
    assert (first.intensity, second.intensity) == (1.0, 0.5)


@pytest.mark.parametrize(
    "reader, name, kind, got, known",
    [
        ("mead", "M030/video/front/bored/level_1/001.mp4", "emotion", "bored", "neutral"),
        ("mead", "M030/video/front/angry/level_4/001.mp4", "intensity", "level_4", "level_1, level_2"),
        ("ravdess", "Actor_12/01-01-09-01-01-01-12.mp4", "emotion", "09", "01, 02"),
        ("ravdess", "Actor_12/01-01-08-03-01-01-12.mp4", "intensity", "03", "01, 02"),
        ("crema-d", "VideoFlash/1001_DFA_JOY_XX.flv", "emotion", "JOY", "NEU"),
        ("crema-d", "VideoFlash/1001_DFA_ANG_ME.flv", "intensity", "ME", "LO"),
    ],
)
def test_unknown_labels_are_named(tmp_path, reader, name, kind, got, known):
    values = {"corpus": reader.upper(), "kind": kind, "got": repr(got), "path": tmp_path / name}
    with refused("label_unknown", **values) as error:
        read_takes(reader, touched(tmp_path, name))
    assert error.value.parameters["accepted"].startswith(known)


@pytest.mark.parametrize(
    "reader, name, example",
    [
        ("ravdess", "Actor_12/happy.mp4", "01-01-05-02-01-01-12.mp4"),
        ("crema-d", "VideoFlash/a.flv", "1001_DFA_ANG_XX.flv"),
    ],
)
def test_other_names_are_named(tmp_path, reader, name, example):
    with refused("corpus_name", path=tmp_path / name, example=example):
        read_takes(reader, touched(tmp_path, name))


def beat_take(folder: Path, name: str, seconds: float = 1.0) -> None:
    beat(folder / f"{name}.json", jawOpen=0.3, mouthClose=0.3, seconds=5.0)
    (folder / f"{name}.wav").write_bytes(encode_wav(np.zeros(round(seconds * 16000), np.float32)))


def test_beat_emotions_by_speech(tmp_path):
    """Speeches 1-64 are neutral, 65 begins happiness, 118 ends disgust; conversations are neutral."""
    expected = {
        "1_wayne_0_1_8": "neutral", "1_wayne_0_57_64": "neutral", "1_wayne_0_65_65": "happy",
        "2_scott_0_73_80": "angry", "2_scott_0_81_86": "sad", "2_scott_0_87_94": "contempt",
        "12_zhao_2_95_102": "surprised", "12_zhao_2_103_110": "fearful", "12_zhao_2_111_118": "disgusted",
        "2_scott_1_9_12": "neutral",
    }  # fmt: skip
    for name in expected:
        (tmp_path / name.split("_")[0]).mkdir(exist_ok=True)
        beat_take(tmp_path / name.split("_")[0], name)
    takes = {take.recording.removeprefix("beat/"): take for take in read_takes("beat", tmp_path)}
    assert {name: take.emotion for name, take in takes.items()} == expected
    assert takes["12_zhao_2_95_102"].speaker == "beat_12_zhao"
    assert {take.mouth_close for take in takes.values()} == {"arkit"}
    assert {take.license for take in takes.values()} == {"non-commercial use only"}


def test_minutes_of_beat_come_in_pieces_of_one_recording(tmp_path):
    beat_take(tmp_path, "1_wayne_0_1_8", seconds=25.0)
    first, second = read_takes("beat", tmp_path)
    assert (first.id, second.id) == ("beat/1_wayne_0_1_8_00", "beat/1_wayne_0_1_8_01")
    assert (second.start_seconds, second.duration_seconds) == (10.0, pytest.approx(15.0))
    assert first.recording == second.recording == "beat/1_wayne_0_1_8"


@pytest.mark.parametrize(
    "name, code",
    [
        ("1_wayne_0_64_65", "beat_emotions"),
        ("1_wayne_0_119_119", "label_unknown"),
        ("wayne", "corpus_name"),
    ],
)
def test_other_beat_files_are_named(tmp_path, name, code):
    beat_take(tmp_path, name)
    with refused(code, path=tmp_path / f"{name}.json"):
        read_takes("beat", tmp_path)


def test_own_curves_beside_a_sound(tmp_path):
    folder = videos(tmp_path, "file,emotion,license\na.mp4,,\ntalk.json,happy,CC0\n")
    beat_take(folder / "videos", "talk")
    video, take = read_takes("videos", folder, mouth_close="audio2face")
    assert video.video and video.mouth_close is None
    assert (take.id, take.emotion, take.license) == ("videos/talk.json_00", "happy", "CC0")
    assert take.curves.name == "talk.json" and take.audio.name == "talk.wav" and take.video is None
    assert take.mouth_close == "audio2face"


def test_curves_that_do_not_tell_ask_for_the_flag(tmp_path):
    beat_take(tmp_path, "1_wayne_0_1_8")
    beat(tmp_path / "1_wayne_0_1_8.json", jawOpen=0.0, seconds=5.0)
    with refused("mouth_close_few", path=tmp_path):
        read_takes("beat", tmp_path)
    assert read_takes("beat", tmp_path, mouth_close="arkit")[0].mouth_close == "arkit"


def test_facegood_needs_no_convention(tmp_path):
    assert {take.mouth_close for take in read_takes("facegood", recording(tmp_path), "arkit")} == {
        "mediapipe"
    }


@pytest.mark.slow
def test_real_clips_in_their_layouts_become_rows(clips, tmp_path):
    """CREMA-D with a video that has lost its sound, whose WAV is used then; rows carry what the name says."""
    source = clips / "grid" / "s1" / "bbaf2n.mp4"
    (tmp_path / "VideoFlash").mkdir()
    (tmp_path / "AudioWAV").mkdir()
    without_sound(source, tmp_path / "VideoFlash" / "1001_IEO_ANG_HI.mp4")
    (tmp_path / "AudioWAV" / "1001_IEO_ANG_HI.wav").write_bytes(encode_wav(load_audio(source)))
    options = ["--reader", "crema-d", "--source", tmp_path, "--output", tmp_path / "out"]
    run("prepare.py", *options, "--num_proc", 1, "--validation_share", 0)
    (row,) = load_dataset(str(tmp_path / "out"), split="train")
    assert (row["emotion"], row["speaker"], row["license"]) == ("angry", "crema-d_1001", "ODbL 1.0")
    assert row["intensity"] == 1.5
    assert len(row["valid"]) == 150 and np.mean(row["valid"]) > 0.9
    assert np.abs(waveform_of(row)).max() > 0.1


def without_sound(source: Path, target: Path) -> None:
    """Copy a video's pictures only."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        pictures = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(read.streams.video[0]):
            if packet.dts is not None:
                packet.stream = pictures
                written.mux(packet)


def test_columns_in_any_spelling(tmp_path):
    table = "File, Emotion ,license,remarks\na.mp4,happy,CC BY-NC 4.0,late\n"
    with pytest.warns(UserWarning, match=message_of("manifest_unused", columns="remarks")):
        (take,) = read_takes("videos", videos(tmp_path, table))
    assert (take.emotion, take.license) == ("happy", "CC BY-NC 4.0")


def test_a_comma_too_many(tmp_path):
    with refused("corpus_cells", line=2):
        read_takes("videos", videos(tmp_path, "file,intensity,style\na.mp4,1,5,ada\n"))


def test_hidden_files_are_no_takes(tmp_path):
    folder = grid(tmp_path)
    (folder / "s1" / "._bbaf2n.mpg").touch()
    assert len(read_takes("grid", folder)) == 2


def test_broken_curves_and_sounds_stop_no_other(tmp_path, speech):
    """Their takes fail by themselves; a sound may have its suffix in capitals."""
    folder = videos(tmp_path, "file\na.csv\nb.csv\nc.csv\n") / "videos"
    face = FaceClip(ARKIT_BLENDSHAPES, np.random.default_rng(0).random((60, 52)) * 0.5, 30)
    for name, suffix in (("a", ".WAV"), ("b", ".wav"), ("c", ".wav")):
        face.to_csv(folder / f"{name}.csv")
        (folder / f"{name}{suffix}").write_bytes(encode_wav(speech[:32000]))
    (folder / "b.csv").write_text("no curves")
    (folder / "c.wav").write_bytes(b"")
    takes = read_takes("videos", tmp_path, "arkit")
    assert [take.curves.stem for take in takes] == ["a", "b", "c"] and takes[0].audio.suffix == ".WAV"
    assert len({take.mouth_close for take in read_takes("videos", tmp_path)}) == 1
