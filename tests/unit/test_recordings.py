"""The layouts of BEAT, LAM and Audio2Face as their programs write them, made here."""

import json

import numpy as np
import pytest
from support.curves import beat
from support.errors import refused

from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.exporters import to_json
from bilabial.io.facegood import NAMES
from bilabial.io.recordings import read_capture, read_recording


def audio2face(path, names=ARKIT_BLENDSHAPES, fps=30.0, num_frames=60, **curves):
    weights = np.zeros((num_frames, len(names)))
    for name, values in curves.items():
        weights[:, list(names).index(name)] = values
    document = {
        "exportFps": fps, "trackPath": "/a.wav", "numPoses": len(names), "numFrames": num_frames,
        "facsNames": list(names), "weightMat": weights.tolist(), "joints": [], "rotations": [],
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return path


def test_beat_by_names(tmp_path):
    clip = read_recording(beat(tmp_path / "a.json"))
    assert (len(clip), clip.fps) == (120, 60.0)
    assert "tongueOut" not in clip.names and len(clip.names) == 51
    assert clip["jawOpen"][-1] == 0.5 and clip["jawOpen"][60] == pytest.approx(0.5 * 60 / 119)


def test_lam_is_what_our_json_is(tmp_path):
    values = np.random.default_rng(0).random((40, 52), dtype=np.float32)
    read = read_recording(to_json(FaceClip(ARKIT_BLENDSHAPES, values, 25), tmp_path / "a.json"))
    assert (read.names, read.fps) == (ARKIT_BLENDSHAPES, 25.0)
    assert np.allclose(read.values, values, atol=1e-6)


def test_audio2face_by_names(tmp_path):
    """Tongue shapes beyond ARKit's are left out."""
    names = [*reversed(ARKIT_BLENDSHAPES), "tongueTipUp"]
    clip = read_recording(audio2face(tmp_path / "a.json", names, jawOpen=0.2, mouthClose=0.3, tongueTipUp=1))
    assert (clip.names, clip.fps, len(clip)) == (ARKIT_BLENDSHAPES, 30.0, 60)
    assert clip["jawOpen"].max() == np.float32(0.2) and clip["mouthClose"].min() == np.float32(0.3)
    assert clip.values.sum(axis=1).max() == pytest.approx(0.5)


def test_other_spellings(tmp_path):
    names = ["blendShape1.JawOpen", "mouth_close", "mouthSmile_L"]
    clip = read_recording(audio2face(tmp_path / "a.json", names, mouthSmile_L=0.5))
    assert clip.names == ("jawOpen", "mouthClose", "mouthSmileLeft") and clip["mouthSmileLeft"].min() == 0.5


def test_two_curves_of_one_name_are_refused(tmp_path):
    path = audio2face(tmp_path / "a.json", ["jawOpen", "mouthClose", "raw.jawOpen"])
    with refused("curves_twice", path=path, first="jawOpen", second="raw.jawOpen", name="jawOpen"):
        read_recording(path)


def test_dropped_frames_keep_the_others_in_time(tmp_path):
    path = beat(tmp_path / "a.json")
    document = json.loads(path.read_text())
    del document["frames"][30:33]
    path.write_text(json.dumps(document))
    clip = read_recording(path)
    jaw = clip["jawOpen"]
    assert jaw[-1] == 0.5 and jaw == pytest.approx(np.interp(clip.times, [0, 119 / 60], [0, 0.5]), abs=1e-3)


def test_a_capture_of_a_stretch(tmp_path):
    """Half a second before the recording begins, and half a second after its end: not valid."""
    path = beat(tmp_path / "a.json", jawOpen=0.4, mouthClose=np.repeat([0.4, 0.0], 60))
    capture = read_capture(path, 50.0, "arkit", start_seconds=-0.5, duration_seconds=3.0)
    assert len(capture.clip) == len(capture.lip_gap) == 150 and capture.clip.fps == 50.0
    assert capture.valid.tolist() == [False] * 25 + [True] * 100 + [False] * 25
    assert capture.unseen == ("tongueOut",)
    assert capture.lip_gap[25:74].max() < 1e-6  # sealed over a lowered jaw
    assert capture.lip_gap[76:125] == pytest.approx(0.4 * 0.43)


def test_audio2face_is_converted(tmp_path):
    path = audio2face(tmp_path / "a.json", jawOpen=0.0, mouthClose=0.3)
    capture = read_capture(path, 30.0, "audio2face", 0.0, 2.0)
    assert capture.clip["jawOpen"].max() == pytest.approx(0.3) and capture.lip_gap.max() < 1e-6


def test_facegood_has_a_reader_of_its_own(tmp_path):
    names = sorted(NAMES)
    values = np.zeros((60, len(names)), np.float32)
    values[:, names.index("mouth_stretch_c")] = 0.5
    path = FaceClip(names, values, 30).to_npz(tmp_path / "a.npz")
    capture = read_capture(path, 50.0, "mediapipe", 0.5, 1.0)
    assert capture.clip["jawOpen"].min() == 0.5 and capture.valid.all()


def rewritten(path, **changes):
    """A file of `beat` with times changed by `time` and frames left out where `kept` is false."""
    document = json.loads(path.read_text())
    frames = document["frames"]
    for frame in frames:
        frame["time"] = changes.get("time", float)(frame["time"])
        frame["weights"] = [changes.get("weight", float)(weight) for weight in frame["weights"]]
    document["frames"] = [frame for frame in frames if changes.get("kept", bool)(frame["time"] + 1)]
    path.write_text(json.dumps(document))
    return path


def test_curves_that_begin_late_stay_late(tmp_path):
    path = rewritten(beat(tmp_path / "a.json"), time=lambda time: time + 1.0)
    clip = read_recording(path)
    assert clip.fps == 60.0 and clip.duration_seconds == pytest.approx(3.0)
    assert clip["jawOpen"] == pytest.approx(np.interp(clip.times, [1, 1 + 119 / 60], [0, 0.5]), abs=1e-4)
    capture = read_capture(path, 50.0, "arkit", start_seconds=0.0, duration_seconds=4.0)
    assert capture.valid.tolist() == [False] * 50 + [True] * 100 + [False] * 50
    jaw = np.interp(capture.clip.times, [1, 1 + 119 / 60], [0, 0.5])
    assert capture.clip["jawOpen"][capture.valid] == pytest.approx(jaw[capture.valid], abs=1e-4)


def test_frames_in_a_hole_are_not_valid(tmp_path):
    path = rewritten(beat(tmp_path / "a.json"), kept=lambda time: not 1.5 < time < 2.0)
    capture = read_capture(path, 50.0, "arkit", start_seconds=0.0, duration_seconds=2.0)
    hole = (capture.clip.times > 0.5 + 1 / 60) & (capture.clip.times < 1.0 - 1e-9)
    assert hole.sum() > 20 and (capture.valid == ~hole).all()
    jaw = np.interp(capture.clip.times, [0, 119 / 60], [0, 0.5])
    assert capture.clip["jawOpen"][capture.valid] == pytest.approx(jaw[capture.valid], abs=1e-4)


def test_frames_without_weights_saw_no_face(tmp_path):
    path = beat(tmp_path / "a.json")
    document = json.loads(path.read_text())
    for frame in document["frames"][30:60]:
        frame["weights"] = []
    path.write_text(json.dumps(document))
    capture = read_capture(path, 60.0, "arkit", start_seconds=0.0, duration_seconds=2.0)
    assert np.flatnonzero(~capture.valid).tolist() == list(range(30, 60))


def test_milliseconds_and_percents_are_recognized(tmp_path):
    plain = read_recording(beat(tmp_path / "a.json"))
    for change in ({"time": lambda time: 1000 * time}, {"weight": lambda weight: 100 * weight}):
        other = read_recording(rewritten(beat(tmp_path / "b.json"), **change))
        assert other.fps == plain.fps and np.allclose(other.values, plain.values, atol=1e-4)


def test_numbered_frames_need_a_rate(tmp_path):
    path = rewritten(beat(tmp_path / "a.json"), time=lambda time: round(60 * time))
    with refused("times_step", path=path, step=1):
        read_recording(path)
    document = json.loads(path.read_text())
    for metadata in ({"fps": 60}, {"fps": "60.0"}):
        path.write_text(json.dumps(document | {"metadata": metadata}))
        assert read_recording(path).fps == 60.0
    for frame in document["frames"]:
        del frame["time"]
    path.write_text(json.dumps(document | {"metadata": {"fps": 60}}))
    assert read_recording(path).fps == 60.0


@pytest.mark.parametrize(
    "change, code, values",
    [
        (
            {"time": lambda time: time + 1.7e9},
            "times_start",
            {"first": pytest.approx(1.7e9), "last": pytest.approx(1.7e9)},
        ),
        ({"time": lambda time: -time}, "times_back", {}),
        ({"time": lambda time: 1e6 * time}, "times_step", {"step": pytest.approx(1e6 / 60)}),
        (
            {"time": lambda time: time + 900 * (time > 1)},
            "times_uncovered",
            {"share": pytest.approx(0.002, abs=5e-4), "seconds": pytest.approx(901.98, abs=0.05)},
        ),
        (
            {"weight": lambda weight: 7 * weight},
            "curves_range",
            {"name": "jawOpen", "value": pytest.approx(3.5), "frame": 120},
        ),
        (
            {"weight": lambda weight: 500 * weight},
            "curves_range",
            {"name": "jawOpen", "value": pytest.approx(250), "frame": 120},
        ),
        (
            {"weight": lambda weight: -weight},
            "curves_range",
            {"name": "jawOpen", "value": pytest.approx(-0.5), "frame": 120},
        ),
        ({"weight": lambda weight: float("nan")}, "curves_not_finite", {}),
    ],
)
def test_what_cannot_be_curves_is_refused(tmp_path, change, code, values):
    path = rewritten(beat(tmp_path / "a.json"), **change)
    with refused(code, path=path, **values):
        read_recording(path)


def test_one_wild_number_makes_no_percents(tmp_path):
    jaw = np.full(120, 0.3)
    jaw[17] = 37.0
    with refused("curves_range", name="jawOpen", value=37, frame=18):
        read_recording(beat(tmp_path / "a.json", jawOpen=jaw))


def test_archives_in_other_spellings(tmp_path):
    clip = FaceClip(["JawOpen", "mouth_close"], np.full((3, 2), 0.5), 24)
    assert read_recording(clip.to_npz(tmp_path / "a.npz")).names == ("jawOpen", "mouthClose")


@pytest.mark.parametrize("depth", [10, 10**6])
def test_deep_json_is_a_sentence(tmp_path, depth):
    (tmp_path / "a.json").write_text("[" * depth)
    with refused("json_layout", path=tmp_path / "a.json"):
        read_recording(tmp_path / "a.json")


@pytest.mark.parametrize(
    "content, error",
    [
        ("{}", "KeyError 'names'"),
        ("[1]", "TypeError "),
        ("hello", "JSONDecodeError "),
        ('{"names": ["jawOpen"], "frames": [{"weights": [1, 2], "time": 0}]}', "ValueError "),
    ],
)
def test_other_json_is_refused(tmp_path, content, error):
    (tmp_path / "a.json").write_text(content)
    with refused("json_layout", path=tmp_path / "a.json") as told:
        read_recording(tmp_path / "a.json")
    assert told.value.parameters["error"].startswith(error)


@pytest.mark.parametrize(
    "content, code, values",
    [
        ('{"names": ["jawOpen"], "frames": [{"weights": [1], "time": 0}]}', "curves_few", {}),
        (
            '{"facsNames": ["jawOpen"], "weightMat": [[0], [0]], "exportFps": 30}',
            "curves_lack",
            {"missing": "mouthClose"},
        ),
    ],
)
def test_json_of_too_few_curves_is_refused(tmp_path, content, code, values):
    (tmp_path / "a.json").write_text(content)
    with refused(code, path=tmp_path / "a.json", **values):
        read_recording(tmp_path / "a.json")


def test_other_files_are_refused(tmp_path):
    with refused("curves_suffix", path=tmp_path / "a.bvh", accepted=".csv, .npz, .json"):
        read_recording(tmp_path / "a.bvh")
