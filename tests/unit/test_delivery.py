"""What a line measures, what is found wrong with it, and which lines a table names."""

import re

import numpy as np
import pytest
from support.errors import message_of, refused
from support.paths import EXAMPLE

from bilabial import Animator, FaceClip
from bilabial.delivery.findings import findings_of, score_of
from bilabial.delivery.lines import COLUMNS, SOUND_SUFFIXES, read_lines
from bilabial.delivery.measures import LineMeasures, measure_line, measure_sound
from bilabial.io.audio import read_recording
from bilabial.options import AnimateOptions

OPTIONS = AnimateOptions(emotion="sad", intensity=0.5)


@pytest.fixture(scope="module")
def recording() -> np.ndarray:
    """Three seconds of speech and one of silence, at 16 kHz as recorded."""
    return np.concatenate([read_recording(EXAMPLE).waveform[: 3 * 16000], np.zeros(16000, np.float32)])


@pytest.fixture(scope="module")
def clip(recording) -> FaceClip:
    return Animator.from_pretrained()((16000, recording), emotion="happy")


def measured(clip: FaceClip, waveform: np.ndarray) -> LineMeasures:
    return measure_line(clip, waveform, measure_sound(waveform))


def kinds(clip: FaceClip, waveform: np.ndarray) -> list[str]:
    return [finding.kind for finding in findings_of(measured(clip, waveform))]


def changed(clip: FaceClip, frames: slice, **values: float) -> FaceClip:
    """The clip with these coefficients in these frames."""
    curves = clip.values.copy()
    for name, value in values.items():
        curves[frames, clip.names.index(name)] = value
    return FaceClip(clip.names, curves, clip.fps)


def test_good_speech_has_no_finding(clip, recording):
    line = measured(clip, recording)
    assert findings_of(line) == [] and score_of([]) == 100
    assert line.expected_frames == len(clip) == 120 and line.face.seconds == line.sound.seconds == 4
    assert 2.5 < line.speech_seconds < 3.5 and line.speech_closures >= 2
    assert max(map(len, (line.face.sketch_mm, line.sound.sketch_db))) <= 120


def test_planted_faults_are_found_alone(clip, recording):
    rng = np.random.default_rng(0)
    noise = np.tile([0.06, -0.06], 60)[: len(clip)] * rng.uniform(0.5, 1, len(clip))
    jaw = np.clip(clip["jawOpen"] + noise, 0, 1)
    trembling = clip.values.copy()
    trembling[:, clip.names.index("jawOpen")] = jaw
    faults = {
        "open_in_silence": changed(clip, slice(105, 120), jawOpen=0.4, mouthClose=0),
        "duration": clip.slice(0, 3.8),
        "still_lips": FaceClip(clip.names, np.repeat(clip.values[-1:], len(clip), axis=0), 30.0),
        "held": FaceClip(clip.names, np.repeat(clip.values[::30], 30, axis=0), 30.0),
        "frozen": changed(clip, slice(None), mouthPucker=0.3),
        "clipped_coefficients": changed(clip, slice(0, 40), browInnerUp=1.0),
        "trembling": FaceClip(clip.names, trembling, 30.0),
    }
    for kind, face in faults.items():
        found = kinds(face, recording)
        assert found[0] == kind or kind in ("still_lips", "held"), (kind, found)
        assert kind in found
    assert kinds(faults["duration"], recording) == ["duration"]
    assert kinds(faults["frozen"], recording) == ["frozen"]


def test_planted_faults_of_the_sound_are_found_alone(clip, recording):
    assert kinds(clip, np.clip(recording * 8, -1, 1)) == ["clipped"]
    assert kinds(clip, recording * 0.002) == ["soft"]
    silence = np.zeros_like(recording)
    assert set(kinds(clip, silence)) == {"silent", "open_in_silence"}
    at_rest = FaceClip(clip.names, np.zeros_like(clip.values), 30.0)
    assert kinds(at_rest, silence) == ["silent"]
    line = measure_line(clip, recording, measure_sound(recording, lost_seconds=0.3, missing_seconds=0.7))
    found = {finding.kind: finding.text for finding in findings_of(line)}
    assert found == {
        "lost": "lost packets: 0.30 s of silence",
        "cut": "a cut file: it ends 0.7 s before its declared end",
    }


def test_speech_without_closures_is_found(clip, recording):
    open_lips = FaceClip(clip.names, np.clip(clip.values, 0, 1), 30.0)
    open_lips = changed(open_lips, slice(0, 95), mouthClose=0.0)
    curves = open_lips.values.copy()
    curves[:95, clip.names.index("jawOpen")] += 0.1
    found = kinds(
        FaceClip(clip.names, curves, 30.0), np.concatenate([recording[:48000], recording[:48000]])[:64000]
    )
    assert "no_closures" in found


def test_a_clip_without_some_lip_coefficients_is_measured(clip, recording):
    few = clip.select(["jawOpen", "mouthClose"])
    assert measured(few, recording).speech_closures > 0


def write_sounds(folder, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def lines_of(tmp_path, manifest=None) -> list:
    notes = []
    lines = read_lines(tmp_path, manifest, OPTIONS, notes.append)
    assert not notes
    return lines


def test_lines_of_a_folder(tmp_path):
    write_sounds(tmp_path, "b.wav", "act 1/a.FLAC", "act 1/notes.txt", "act 1/._a.FLAC")
    lines = lines_of(tmp_path)
    assert [(line.name, line.sound.name) for line in lines] == [("act 1/a", "a.FLAC"), ("b", "b.wav")]
    assert all(line.options == OPTIONS for line in lines)
    write_sounds(tmp_path, "B.mp3")
    with refused("output_twice", first=tmp_path / "B.mp3", second=tmp_path / "b.wav", name="b"):
        lines_of(tmp_path)


def test_lines_of_a_manifest(tmp_path):
    """As spreadsheets save it; a row that cannot be read fails alone."""
    manifest = tmp_path / "lines.csv"
    rows = [
        "File;emotion;intensity;style;text;output;timing",
        "act 1\\a.wav;happy:0.5,sad:0.5;1,2;;Hello;;act 1\\a.TextGrid",
        "b.wav;;;lively;;scene/b2",
        "c.wav;{;;;;",
        ";happy;;;;",
        "../d.wav;;;;;",
        "e.wav;;loud;;;",
    ]
    manifest.write_text("\n".join(rows), encoding="utf-8-sig")
    first, second, *failed = lines_of(tmp_path, manifest)
    assert (first.name, first.sound, first.text) == ("act 1/a", tmp_path / "act 1/a.wav", "Hello")
    assert (first.timing, second.timing) == (tmp_path / "act 1/a.TextGrid", None)
    assert first.options == AnimateOptions(emotion="happy:0.5,sad:0.5", intensity=1.2)
    assert (second.name, second.options.emotion, second.options.style) == ("scene/b2", "sad", "lively")
    assert [line.name for line in failed] == ["row 4", "row 5", "row 6", "row 7"]
    reasons = (
        message_of("emotion_text", got="'{'"),
        message_of("manifest_file", path=manifest, line=5),
        message_of("manifest_outside", path=manifest, line=6, name="../d"),
        message_of("intensity_range", limit=1.5, got="'loud'"),
    )
    for line, reason in zip(failed, reasons, strict=True):
        assert re.fullmatch(reason, line.failure)


def test_wrong_manifests_are_refused(tmp_path):
    manifest, notes, columns = tmp_path / "lines.csv", [], ", ".join(COLUMNS)
    for content, code, values in (
        (
            "name,emotion\na.wav,happy",
            "manifest_columns",
            {"path": manifest, "accepted": columns, "columns": "name, emotion"},
        ),
        ("file,emotion\n", "manifest_empty", {"path": manifest}),
        ("file\na.wav\nA.mp3", "output_twice", {"first": tmp_path / "a.wav", "second": tmp_path / "A.mp3"}),
    ):
        manifest.write_text(content)
        with refused(code, **values):
            read_lines(tmp_path, manifest, OPTIONS, notes.append)
    manifest.write_text("file,emotoin\na.wav,happy")
    read_lines(tmp_path, manifest, OPTIONS, notes.append)
    (note,) = notes
    assert note.code == "manifest_unused"
    assert note.parameters == {"path": manifest, "columns": "emotoin", "accepted": columns}
    with refused("batch_empty", path=tmp_path, accepted=", ".join(SOUND_SUFFIXES)):
        read_lines(tmp_path, None, OPTIONS, notes.append)
    with refused("folder_missing", path=manifest):
        read_lines(manifest, None, OPTIONS, notes.append)
