"""A teacher fitted on a synthetic capture whose face follows its phones by a known rule."""

import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from support.errors import refused
from support.paths import EXAMPLE

from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.io.audio import encode_wav, load_audio
from bilabial.io.capture import UNSEEN_BLENDSHAPES
from bilabial.io.phones import ARTICULATION, articulation
from bilabial.training.data.schema import (
    FEATURES,
    SCHEMA,
    coefficients_of,
    encode_sound,
    load_rows,
    waveform_of,
)
from bilabial.training.data.speech_corpora import READERS
from bilabial.training.data.windows import TrainingWindows
from bilabial.training.teachers import pseudo_label
from bilabial.training.teachers.pseudo_label import (
    FPS,
    Coarticulation,
    PseudoLabelArguments,
    Teacher,
    face_of,
    fit_filter,
    fit_network,
    labial_share,
)

SECONDS = 2.0
JAW, CLOSE, PUCKER = (ARKIT_BLENDSHAPES.index(name) for name in ("jawOpen", "mouthClose", "mouthPucker"))
WORDS = [["m", "ɑ"], ["s", "i"], ["b", "u"], ["ʃ", "ɑ"], ["p", "i"], ["t", "u"]]


def rule(phones: list, num_frames: int, fps: float) -> np.ndarray:
    """Open vowels open the jaw, bilabials close the lips in their middle, rounding purses them: (T, 52)."""
    features = articulation(phones, np.arange(num_frames) / fps)
    smooth = np.apply_along_axis(np.convolve, 0, features, np.full(5, 0.2), "same")
    vowel, open_, bilabial, rounded = (
        smooth[:, ARTICULATION.index(name)] for name in ("vowel", "open", "bilabial", "rounded")
    )
    face = np.zeros((num_frames, 52), np.float32)
    face[:, JAW] = 0.15 + 0.1 * vowel + 0.4 * open_
    closed = features[:, ARTICULATION.index("bilabial")] * (bilabial > 0.5) > 0
    face[:, CLOSE] = np.where(closed, face[:, JAW], 0.15 * bilabial)
    face[:, PUCKER] = 0.6 * rounded
    return face


def spoken(rng: np.random.Generator) -> list[tuple[str, float, float]]:
    names = [name for word in rng.permutation(len(WORDS)) for name in WORDS[word]][:10]
    edges = np.linspace(0.2, SECONDS - 0.2, len(names) + 1)
    return [(name, edges[k], edges[k + 1]) for k, name in enumerate(names)]


def captured_row(number: int, fps: float = 25.0) -> dict:
    """A capture that is 80 ms late, and rubbish where it saw no face."""
    rng = np.random.default_rng(number)
    phones, num_frames = spoken(rng), int(SECONDS * fps)
    face = np.roll(rule(phones, num_frames, fps), 2, axis=0)
    face[number % 40 :][:3] = 1.0
    valid = ~(face == 1.0).all(axis=1)
    return {
        "id": f"test/{number}",
        "audio": encode_sound(rng.standard_normal(int(SECONDS * 16000)).astype(np.float32) * 0.1, "x"),
        "coefficients": list(face),
        "channel_mask": [name not in UNSEEN_BLENDSHAPES for name in ARKIT_BLENDSHAPES],
        "valid": valid,
        "lip_gap": face[:, JAW] - face[:, CLOSE],
        "fps": fps,
        "face": "captured",
        "av_offset_ms": 80.0,
        "phones": [{"name": name, "start": start, "end": end} for name, start, end in phones],
        "intensity": 1.0,
        **{"emotion": "neutral", "style": "x", "speaker": "x", "source": "x", "license": "x"},
    }


@pytest.fixture(scope="module")
def captured(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("captured")
    (folder / "data").mkdir()
    for split, numbers in {"train": range(40), "validation": range(50, 52)}.items():
        table = pyarrow.Table.from_pylist([captured_row(number) for number in numbers], schema=SCHEMA)
        pyarrow.parquet.write_table(table, folder / "data" / f"{split}-00000-of-00001.parquet")
    return folder


@pytest.fixture
def voices(tmp_path) -> Path:
    """Two utterances as synthesize.py leaves them."""
    folder = tmp_path / "voices" / "speech"
    folder.mkdir(parents=True)
    for number in (0, 1):
        rng = np.random.default_rng(100 + number)
        sound = rng.standard_normal(int(SECONDS * 16000)).astype(np.float32) * 0.1
        job = {"id": f"flite_{number:05d}", "engine": "flite", "voices": ["slt"], "phones": spoken(rng)}
        (folder / f"{job['id']}.wav").write_bytes(encode_wav(sound))
        (folder / f"{job['id']}.json").write_text(json.dumps(job))
    return folder.parent


def follows_the_rule(teacher: Coarticulation) -> None:
    phones = spoken(np.random.default_rng(7))
    silence = np.zeros(int(SECONDS * 16000), np.float32)
    drawn, expected = face_of(Teacher(teacher), phones, silence, 100), rule(phones, 100, FPS)
    assert drawn.shape == (100, 52) and drawn.dtype == np.float32 and 0 <= drawn.min() <= drawn.max() <= 1
    with torch.no_grad():
        spoken_face = teacher(torch.from_numpy(articulation(phones, np.arange(100) / FPS))[None])[0].numpy()
    for channel in (JAW, CLOSE, PUCKER):  # before p, b and m are sealed
        r = np.corrcoef(spoken_face[:, channel], expected[:, channel])[0, 1]
        assert r > 0.85, ARKIT_BLENDSHAPES[channel]
    other = labial_share(phones, np.arange(100) / FPS) == 0
    assert np.corrcoef(drawn[other, JAW], expected[other, JAW])[0, 1] > 0.85
    gap = drawn[:, JAW] - drawn[:, CLOSE]
    middle = {name: round((start + end) / 2 * FPS) for name, start, end in phones}
    lips = max(gap[middle[name]] for name in middle if name in "mbp")
    vowel = np.mean([gap[middle[name]] for name in middle if name == "ɑ"])
    assert lips < 0.01 and vowel > 0.4


def test_lips_are_sealed_in_the_middle_of_p_b_and_m():
    times = np.arange(0.0, 1.0, 0.01)
    share = labial_share([("ɑ", 0.0, 0.3), ("P", 0.3, 0.4), ("f", 0.4, 0.5), ("w", 0.5, 0.6)], times)
    assert share.dtype == np.float32 and share.min() == 0.0
    assert share[32:39] == pytest.approx(1.0) and share[:29].max() == pytest.approx(0.0, abs=1e-6)
    assert share[43:].max() == 0.0
    assert share[30] == pytest.approx(0.5) and share[40] == pytest.approx(0.5)
    assert not labial_share([("f", 0.0, 0.5), ("SIL", 0.5, 1.0)], times).any()


def test_a_pseudo_labeled_face_is_sealed_in_p_however_it_is_drawn():
    drawn = Coarticulation().eval()
    with torch.no_grad():
        for weights in drawn.filter.parameters():
            weights.zero_()
        drawn.filter.bias[JAW] = 0.3
    face = face_of(Teacher(drawn), [("ɑ", 0.0, 0.5), ("p", 0.5, 0.7), ("ɑ", 0.7, 1.0)], np.zeros(16000), 50)
    gap = face[:, JAW] - face[:, CLOSE]
    assert gap[10] == gap[45] == pytest.approx(0.3) and gap[30] == 0.0


def test_an_earlier_model_draws_half_of_the_mouth(tiny_model):
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, 16000).astype(np.float32)
    tiny_model.config.seal_distance = 0.0
    alone, phones = Teacher(Coarticulation().eval()), [("ɑ", 0.0, 1.0)]
    own, earlier = face_of(alone, phones, sound, 51), tiny_model.animate(sound, 16000, fps=FPS).numpy()
    earlier = earlier[[*range(50), 49]]  # it has no frame beyond the sound
    both = face_of(alone._replace(model=tiny_model), phones, sound, 51)
    mouth = pseudo_label.MOUTH.numpy()
    apart = (
        np.min([pseudo_label._distance(face) for face in (own, earlier, both)], axis=0) > 0.1
    )  # nothing to seal
    rest = ~mouth & (np.arange(52) != ARKIT_BLENDSHAPES.index("tongueOut"))  # closed lips hold the tongue in
    assert apart.sum() > 10 and np.array_equal(both[:, rest], own[:, rest])
    assert np.allclose(both[apart][:, mouth], (own + earlier)[apart][:, mouth] / 2, atol=1e-6)


def test_an_earlier_model_is_one_that_can_be_loaded(captured, voices, tmp_path):
    (tmp_path / "empty").mkdir()
    arguments = {"captured": [captured], "output": tmp_path / "pseudo", "voices": voices, "steps": 2}
    with refused("model_files", path=tmp_path / "empty"):
        pseudo_label.pseudo_label(PseudoLabelArguments(**arguments, model=str(tmp_path / "empty")))
    assert not arguments["output"].exists()
    pseudo_label.pseudo_label(PseudoLabelArguments(**arguments, model="default"))
    assert len(load_rows(arguments["output"], "train")) == 2
    assert pseudo_label.load_earlier("default").config.seal_distance == 0.0


def test_the_filter_alone_recovers_the_rule(captured):
    teacher = Coarticulation().eval()
    fit_filter(teacher, list(load_rows(captured, "train")))
    assert not any(weights.requires_grad for weights in teacher.filter.parameters())
    follows_the_rule(teacher)


def test_the_network_keeps_to_the_rule(captured):
    rows = list(load_rows(captured, "train"))
    teacher = Coarticulation()
    fit_filter(teacher, rows)
    before = pseudo_label.measure(Teacher(teacher.eval()), rows)
    fit_network(teacher, rows, PseudoLabelArguments(captured=[], output=Path(), steps=60))
    after = pseudo_label.measure(Teacher(teacher), rows)
    follows_the_rule(teacher)
    assert not teacher.training and after["num_clips"] == before["num_clips"] == len(rows)
    assert before["lip_corr"] > 0.9 and after["lip_corr"] > 0.9


def test_other_speech_gets_pseudo_label_rows(captured, voices, tmp_path):
    output = tmp_path / "pseudo"
    pseudo_label.pseudo_label(PseudoLabelArguments([captured], output=output, voices=voices, steps=5))
    rows = load_rows(output)
    assert set(rows) == {"train"} and rows["train"].features == FEATURES
    assert rows["train"]["style"] == ["x"] * 2  # the face is that of the one style captured
    assert rows["train"]["face"] == ["pseudo_label"] * 2 and set(rows["train"]["fps"]) == {FPS} == {50.0}
    first = rows["train"][0]
    job = json.loads((voices / "speech" / "flite_00000.json").read_text())
    assert [phone["name"] for phone in first["phones"]] == [name for name, _, _ in job["phones"]]
    assert [phone["start"] for phone in first["phones"]] == pytest.approx(
        [start for _, start, _ in job["phones"]]
    )
    assert len(coefficients_of(first)) == len(first["valid"]) == len(first["lip_gap"]) == 101
    assert (
        waveform_of(first).shape == (32000,) and first["license"] == "BSD-like" and first["speaker"] == "slt"
    )
    assert np.corrcoef(coefficients_of(first)[:, JAW], rule(job["phones"], 101, FPS)[:, JAW])[0, 1] > 0.8
    assert json.loads((output / "teacher.json").read_text())["num_clips"] == 2
    assert "flite voices" in (output / "README.md").read_text()
    window = TrainingWindows(rows["train"], BilabialConfig(), 50, None, pseudo_label_weight=0.25)[0]
    assert set(window["label_mask"]) == {0.25}


def test_what_a_listener_hears_is_most_of_the_face(captured, voices, tmp_path, whisper):
    arguments = {"captured": [captured], "voices": voices, "steps": 5}
    pseudo_label.pseudo_label(PseudoLabelArguments(**arguments, output=tmp_path / "phones"))
    pseudo_label.pseudo_label(
        PseudoLabelArguments(**arguments, output=tmp_path / "both", whisper_teacher=str(whisper))
    )
    alone, both = (coefficients_of(load_rows(tmp_path / name, "train")[0]) for name in ("phones", "both"))
    assert len(both) == len(alone) == 101 and 0 <= both.min() <= both.max() <= 1
    # the sound is noise, which says nothing of the face: that share is nearly the mean face
    share = 1.0 - pseudo_label.WHISPER_SHARE
    assert both[:, PUCKER].std() == pytest.approx(share * alone[:, PUCKER].std(), rel=0.2)


def test_recordings_are_heard_first_and_what_says_nothing_is_left_out(captured, tmp_path):
    pytest.importorskip("hama")
    folder = tmp_path / "spoken"
    (folder / "anna").mkdir(parents=True)
    (folder / "metadata.csv").write_text("source,license\nSomebody's prompts,CC0\n")
    (folder / "anna" / "nothing.wav").write_bytes(encode_wav(np.zeros(32000, np.float32)))
    arguments = PseudoLabelArguments(
        captured=[captured], output=tmp_path / "pseudo", recordings=folder, steps=2
    )
    with refused("speech_no_phones", path=folder):
        pseudo_label.pseudo_label(arguments)
    speech = load_audio(EXAMPLE)
    (folder / "anna" / "words.wav").write_bytes(encode_wav(speech))
    pseudo_label.pseudo_label(arguments)
    (row,) = load_rows(arguments.output, "train")
    assert (row["id"], row["speaker"], row["source"]) == (
        "spoken/anna/words",
        "spoken/anna",
        "Somebody's prompts",
    )
    names = {phone["name"] for phone in row["phones"]}
    assert {"P", "B", "M"} & names and len(row["phones"]) > 2 * len(speech) / 16000
    assert np.asarray(row["lip_gap"]).std() > 0.01


def test_effort_opens_the_mouth_and_keeps_its_seals():
    face = rule(spoken(np.random.default_rng(3)), 100, FPS).astype(np.float32)
    soft, loud, usual = (
        pseudo_label.with_vocal_effort(torch.from_numpy(face), gain).numpy() for gain in (0.8, 1.3, 1.0)
    )
    distance = {
        name: pseudo_label._distance(of) for name, of in (("soft", soft), ("usual", face), ("loud", loud))
    }
    assert np.allclose(distance["soft"], 0.8 * distance["usual"], atol=0.02)
    apart = distance["usual"] < 0.6  # beyond it a jaw is wide open
    assert np.allclose(distance["loud"][apart], 1.3 * distance["usual"][apart], atol=0.02)
    assert np.array_equal(usual, face)


def test_a_pseudo_label_row_opens_as_far_as_its_voice_works(captured, voices):
    teacher = Coarticulation().eval()
    fit_filter(teacher, list(load_rows(captured, "train")))
    speech = next(iter(READERS["voices"](voices)))
    soft, loud = (
        pseudo_label.pseudo_label_row(Teacher(teacher), speech, gain, "x")["lip_gap"] for gain in (0.8, 1.3)
    )
    assert 1.3 < np.std(loud) / np.std(soft) < 1.9  # 1.6, and wide open jaws


def test_effort_is_heard_against_the_same_speaker(voices):
    speeches = list(READERS["voices"](voices))
    gains = pseudo_label.gains_of(speeches)
    assert set(gains) == {speech.id for speech in speeches}
    assert all(0.75 <= gain <= 1.4 for gain in gains.values())
    assert set(pseudo_label.gains_of(speeches[:1]).values()) == {1.0}


def test_a_failed_run_leaves_the_earlier_data_alone(captured, voices, tmp_path):
    output = tmp_path / "pseudo"
    pseudo_label.pseudo_label(PseudoLabelArguments([captured], output=output, voices=voices, steps=2))
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    (voices / "speech" / "flite_00001.wav").write_bytes(b"no sound")
    with refused("media_unknown", name="flite_00001.wav"):
        pseudo_label.pseudo_label(PseudoLabelArguments([captured], output=output, voices=voices, steps=3))
    kept = {path: path.read_bytes() for path in before}
    assert kept == before and len(load_rows(output, "train")) == 2


def test_what_is_missing_is_said_in_one_sentence(captured, voices, tmp_path):
    arguments = {"captured": [captured], "output": tmp_path / "pseudo"}
    with refused("speech_missing", options="--voices, --emodb, --labeled, --recordings"):
        pseudo_label.pseudo_label(PseudoLabelArguments(**arguments))
    with refused("speech_terms"):
        pseudo_label.pseudo_label(PseudoLabelArguments(**arguments, labeled=tmp_path))
    pseudo_label.pseudo_label(PseudoLabelArguments(**arguments, voices=voices, steps=2))
    given = {"captured": [tmp_path / "pseudo"], "output": tmp_path / "again", "voices": voices}
    with refused("data_no_phones", path=tmp_path / "pseudo"):
        pseudo_label.pseudo_label(PseudoLabelArguments(**given))


def test_held_out_speakers_are_a_split_of_their_own(captured, tmp_path):
    """A speaker is in one split alone, whatever else is there."""
    names = [f"speaker{number}" for number in range(40)]
    draws = {name: pseudo_label.split_of(name, 0.25) for name in names}
    assert 4 <= sum(split == "validation" for split in draws.values()) <= 16
    assert all(pseudo_label.split_of(name, 0.0) == "train" for name in names)
    given = load_rows(captured)["train"].select(range(2)).to_list()
    rows = [row | {"speaker": name, "id": f"{name}/{k}"} for name in names for k, row in enumerate(given)]
    assert pseudo_label.write_rows(iter(rows), tmp_path / "set", 0.25) == 80
    for split, of_split in load_rows(tmp_path / "set").items():
        assert {draws[name] for name in of_split["speaker"]} == {split}
