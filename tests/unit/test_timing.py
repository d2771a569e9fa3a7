"""Faces that follow known phones: closures at their times, nowhere else, and timings that do not fit."""

import json
import re
import shutil
import warnings
import wave
from collections import namedtuple

import numpy as np
import pytest
from support.command import assert_told, run
from support.errors import message_of, refused, values_of

from bilabial import Animator, FaceClip
from bilabial.commands.parameters import TIMING_SUFFIXES
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, SEALED_MM
from bilabial.io.phones import seals_lips
from bilabial.io.timings import Timing
from bilabial.timing import TimingWarning, follow_timing

SENTENCE = "My mother bought a big blue umbrella, but Peter may keep the maps by the open piano."
OTHER = "The sun is so hot today that all the children in the street are eating ice cream."
OPEN = {"jawOpen": 0.25, "mouthFunnel": 0.05}


def still(seconds: float = 2.0, fps: float = 30.0, **pose: float) -> FaceClip:
    values = np.zeros((round(seconds * fps), 52))
    for name, value in (pose or OPEN).items():
        values[:, ARKIT_BLENDSHAPES.index(name)] = value
    return FaceClip(ARKIT_BLENDSHAPES, values, fps)


def follow(clip: FaceClip, phones, exact: bool = True) -> FaceClip:
    return follow_timing(clip, Timing(tuple(phones), exact), clip.duration_seconds, np.ones(len(clip), bool))


@pytest.mark.parametrize("fps", [24000 / 1001, 25, 30, 60, 12])
def test_every_closure_is_complete(fps):
    """However short it is and wherever frames lie."""
    phones = [("a", 0.0, 0.31), ("p", 0.31, 0.35), ("a", 0.35, 0.9), ("m", 0.9, 0.97), ("a", 0.97, 1.9)]
    shown = follow(still(fps=fps), phones)
    distance, times = shown.lip_distance_mm(), shown.times
    for start, end in ((0.31, 0.35), (0.9, 0.97)):
        near = (times > start - 1.1 / fps) & (times < end + 1.1 / fps)
        assert distance[near].min() < 0.05
    assert distance[(times > 0.5) & (times < 0.75)].min() > 9  # as the sound has it
    assert np.abs(np.diff(distance)).max() * fps < 700  # mm a second: no jump


def test_lips_part_where_no_phone_closes_them():
    closed = still(jawOpen=0.0)
    shown = follow(
        closed, [("s", 0.2, 0.4), ("a", 0.4, 0.8), ("f", 0.9, 1.1), ("", 1.2, 1.6), ("w", 1.7, 1.9)]
    )
    distance, times = shown.lip_distance_mm(), shown.times
    assert distance[(times > 0.5) & (times < 0.7)].min() > 3.5
    assert 2 * SEALED_MM - 0.1 < distance[(times > 0.27) & (times < 0.33)].min() < 3
    assert distance[(times > 1.3) & (times < 1.5)].max() < 0.01  # silence is the sound's
    assert distance[(times > 1.77) & (times < 1.83)].max() < 0.01  # w brings lips together


def test_shapes_of_f_and_th():
    shown = follow(still(jawOpen=0.1), [("a", 0.0, 0.4), ("f", 0.4, 0.6), ("a", 0.6, 1.0), ("θ", 1.0, 1.2)])
    assert shown["mouthRollLower"][15] > 0.25 and shown["mouthRollLower"][3] == 0
    assert shown["tongueOut"][33] > 0.25 and shown["tongueOut"][3] == 0


def test_words_close_where_the_lips_come_nearest():
    values = np.zeros((60, 52))
    values[:, ARKIT_BLENDSHAPES.index("jawOpen")] = 0.3 - 0.25 * np.exp(-(((np.arange(60) - 33) / 2) ** 2))
    shown = follow(
        FaceClip(ARKIT_BLENDSHAPES, values, 30), [("a", 0.8, 1.0), ("m", 1.0, 1.07), ("a", 1.07, 1.9)], False
    )
    assert int(np.argmin(shown.lip_distance_mm())) in (32, 33, 34) and shown.lip_distance_mm().min() < 0.05
    assert np.allclose(shown.values[:20], values[:20])  # nothing parts lips where letters say so


def test_a_timing_that_outlasts_the_sound_is_refused():
    with refused("timing_long", end=2.4, seconds=2.0):
        follow(still(), [("m", 2.3, 2.4)])


def test_a_timing_that_ends_early_is_told():
    with pytest.warns(TimingWarning, match=message_of("timing_short", end=0.3, speech=1.97)):
        follow(still(), [("m", 0.2, 0.3)])


Speech = namedtuple("Speech", "waveform, sampling_rate, phones")


@pytest.fixture(scope="module")
def spoken():
    """Speech of a synthesizer and its exact phones, of two sentences."""
    if not shutil.which("flite"):
        pytest.skip("flite is not installed")
    from bilabial.training.teachers.synthesizers import speak_flite

    jobs = [{"voices": ["slt"], "speed": 1.0, "text": text} for text in (SENTENCE, OTHER)]
    return [Speech(*speak_flite(job)) for job in jobs]


@pytest.fixture(scope="module")
def animator():
    return Animator.from_pretrained()


def phones_of(speech, shift: float = 0.0) -> list:
    rows = [(name, max(start + shift, 0.0), max(end + shift, 0.0)) for name, start, end in speech.phones]
    return [row for row in rows if row[2] > row[1]]


def test_speech_follows_its_phones(spoken, animator):
    speech = spoken[0]
    audio = (speech.sampling_rate, speech.waveform)
    with warnings.catch_warnings():
        warnings.simplefilter("error", TimingWarning)
        shown, plain = animator(audio, timing=phones_of(speech), seed=1), animator(audio, seed=1)
    distance = shown.lip_distance_mm()
    closures = [(start, end) for name, start, end in speech.phones if seals_lips(name)]
    assert len(closures) >= 12
    for start, end in closures:
        near = (shown.times > start - 0.034) & (shown.times < end + 0.034)
        assert distance[near].min() < 0.1
    assert np.corrcoef(distance, plain.lip_distance_mm())[0, 1] > 0.75  # the sound decides the rest
    brows = ARKIT_BLENDSHAPES.index("browInnerUp")
    assert np.allclose(shown.values[:, brows], plain.values[:, brows])


@pytest.mark.parametrize("shift", [0.3, -0.25])
def test_shifted_timings_are_told_and_not_followed(spoken, animator, shift):
    speech = spoken[0]
    audio, shifted = (speech.sampling_rate, speech.waveform), phones_of(speech, shift)
    shifted = [row for row in shifted if row[2] < len(speech.waveform) / speech.sampling_rate]
    with pytest.warns(TimingWarning, match=message_of("timing_shifted")) as warned:
        shown = animator(audio, timing=shifted, motion=())
    late = float(values_of("timing_shifted", str(warned[0].message))["late"])
    assert late / shift > 0 and abs(late) < 1
    assert np.allclose(shown.values, animator(audio, motion=()).values)


def test_timings_of_other_words_are_told(spoken, animator):
    speech, other = spoken
    stretch = 0.98 * len(speech.waveform) / speech.sampling_rate / other.phones[-1][2]
    phones = [(name, start * stretch, end * stretch) for name, start, end in other.phones]
    with pytest.warns(TimingWarning, match=f"{message_of('timing_unfit')}|{message_of('timing_shifted')}"):
        animator((speech.sampling_rate, speech.waveform), timing=phones, motion=())


def test_the_command_takes_timings(spoken, tmp_path, capsys):
    speech = spoken[0]
    for name in ("one", "two"):
        write_wav(tmp_path / f"{name}.wav", speech)
    (tmp_path / "one.json").write_text(json.dumps(phones_of(speech)))
    assert (
        run("animate", tmp_path / "one.wav", "-o", tmp_path / "one.npz", "--timing", tmp_path / "one.json")
        == 0
    )
    shown = FaceClip.from_npz(tmp_path / "one.npz").lip_distance_mm()
    assert (shown < 0.1).sum() > 12
    both = (tmp_path / "one.wav", tmp_path / "two.wav")
    assert run("animate", *both, "-o", tmp_path / "out/", "--timing", tmp_path / "one.json") == 2
    assert_told(capsys, "timing_one", path=tmp_path / "one.json")
    assert run("animate", *both, "-o", tmp_path / "out/", "--timing", tmp_path) == 2
    assert_told(capsys, "timing_folder", path=tmp_path, name="two", accepted=", ".join(TIMING_SUFFIXES))


def write_wav(path, speech) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(speech.sampling_rate)
        file.writeframes((speech.waveform * 32767).astype("<i2").tobytes())


def test_a_batch_takes_a_column_of_timings(spoken, tmp_path):
    from bilabial.delivery.batch import Settings, jobs_of, make_line
    from bilabial.delivery.lines import read_lines
    from bilabial.delivery.records import read_record
    from bilabial.options import AnimateOptions

    speech = spoken[0]
    for name in ("one", "two"):
        write_wav(tmp_path / f"{name}.wav", speech)
    (tmp_path / "known.json").write_text(json.dumps(phones_of(speech)))
    table = tmp_path / "lines.csv"
    table.write_text("file,timing\none.wav,known.json\ntwo.wav,\nthree.wav,none.json\n")
    lines = read_lines(tmp_path, table, AnimateOptions(), lambda note: None)
    known, plain, wrong = jobs_of(lines, Settings(tmp_path / "out", ("npz",)))
    assert known.key != plain.key
    assert re.fullmatch(message_of("file_missing", name=tmp_path / "three.wav"), wrong.failure)
    for job in (known, plain):
        make_line(job)
        assert read_record(tmp_path / "out", job.line.name).failure is None
    closed = [(FaceClip.from_npz(job.paths["npz"]).lip_distance_mm() < 0.1).sum() for job in (known, plain)]
    assert closed[0] > 12 and closed[0] != closed[1]
    (tmp_path / "known.json").write_text(json.dumps(phones_of(speech)[:-2]))
    changed = jobs_of(lines, Settings(tmp_path / "out", ("npz",)))
    assert not changed[0].is_done and changed[1].is_done
