import dataclasses
import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from support.errors import refused
from support.rows import animated_row

from bilabial.checkpoint import load_checkpoint, weights_sha256
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.io.head_landmarks import head_landmarks
from bilabial.training.data.schema import SCHEMA
from bilabial.training.evaluation.clip_figures import Clip, clip_metrics, read_clip
from bilabial.training.evaluation.evaluate import (
    EvaluateArguments,
    at_rest_in_silence,
    evaluate_data_sets,
    measure_clips,
    pool,
    summarize_data,
)
from bilabial.training.evaluation.tables import (
    CAPTIONS,
    HEADLINE,
    METRICS,
    SHAPE,
    WEIGHTS,
    headline,
    leading_table,
    table,
    tables,
    write_tables,
)


@pytest.fixture(scope="module")
def model():
    return load_checkpoint()[0]


def result(lip_corr: float, bilabial: list[float], control: list[float]) -> dict:
    return {
        "lip_corr": lip_corr,
        "closure_counts": (4, 3, 2, 1),
        "speech_counts": (2, 1),
        "phone_minima": (bilabial, control),
    }


def test_a_mouth_that_hangs_open_in_silence_counts_in_r0_alone(model):
    """lip_corr of a face that closes there falls, lip_corr_speech does not.

    Without phones both count all frames.
    """
    labels = np.zeros((100, 52), np.float32)
    labels[:, ARKIT_BLENDSHAPES.index("jawOpen")] = 0.2 + 0.1 * np.sin(np.arange(100))
    closed = labels.copy()
    closed[:40] = 0.0
    gap = labels.max(axis=1) / 3
    clip = Clip("a", 50.0, labels, gap, np.ones(100, bool), np.ones(52, bool), [("AA", 0.8, 2.0)])
    scores = clip_metrics(clip, closed, model)
    assert scores["lip_corr"] < 0.9 and scores["lip_corr_speech"] > 0.99
    unnamed = clip_metrics(dataclasses.replace(clip, phones=[]), closed, model)
    assert unnamed["lip_corr_speech"] == unnamed["lip_corr"]
    silent = clip_metrics(dataclasses.replace(clip, phones=[("SIL", 0.0, 2.0)]), closed, model)
    assert silent["lip_corr_speech"] == 0


def test_pooling_is_over_clips_and_phones():
    first = {"model": {"a": result(0.9, [0.0], [1.0]), "b": result(0.7, [0.0, 0.0], [0.0])}}
    second = {"model": {"a": result(0.1, [0.5], [1.0])}}  # the same name in another data set
    together = pool([first, second])["model"]
    assert together["lip_corr"] == 0.7 and together["num_clips"] == 3
    assert (together["bilabial_closure"], together["num_bilabials"]) == (0.75, 4)
    assert (together["vowel_false_closure"], together["num_controls"]) == (pytest.approx(1 / 3), 3)
    assert (together["num_sealed_frames"], together["closure_recall"]) == (12, 0.75)


def test_notes_go_before_the_row(model, speech):
    given = animated_row(model, speech) | {"phones": [{"name": "P", "start": 0.5, "end": 0.6}]}
    assert read_clip(given, {}).phones == [("P", 0.5, 0.6)]
    noted = read_clip(given, {"a": {"phones": [["B", 1.0, 1.1]]}})
    assert noted.phones == [("B", 1.0, 1.1)]


def test_lips_that_rest_in_silence_are_the_captured_ones_in_speech(model, speech):
    given = animated_row(model, speech) | {"phones": [{"name": "AA", "start": 1.0, "end": 1.4}]}
    clip = read_clip(given, {})
    rested = at_rest_in_silence(clip, model)
    times = np.arange(len(rested)) / clip.fps
    spoken, silent = (times > 0.9) & (times < 1.5), (times < 0.8) | (times > 1.6)
    assert np.array_equal(rested[spoken], clip.labels[spoken])
    weights = model.config.lip_distance_weights
    distance = lip_distance(torch.from_numpy(rested), ARKIT_BLENDSHAPES, weights).numpy()
    assert distance[silent].max() < 1e-6 < distance[spoken].max()
    unknown = read_clip(given | {"phones": []}, {})
    assert np.array_equal(at_rest_in_silence(unknown, model), unknown.labels)


def test_a_table_shows_every_number():
    text = table({"x": {"num_clips": 3, "lip_corr": 0.5}, "y": {"lip_corr": np.nan, "other": 12.4}})
    assert text.splitlines()[0] == "| | lip_corr | num_clips | other |"
    assert text.splitlines()[2:] == ["| x | 0.500 | 3 |  |", "| y | n/a |  | 12 |"]


def test_everything_is_in_json_and_card(model, speech, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "data").mkdir(parents=True)
        rows = pyarrow.Table.from_pylist([animated_row(model, speech, name=name)], schema=SCHEMA)
        pyarrow.parquet.write_table(rows, tmp_path / name / "data" / "validation-00000-of-00001.parquet")
    card = tmp_path / "card.md"
    card.write_text("<!-- metrics -->\n<!-- /metrics -->\n")
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    evaluate_data_sets(EvaluateArguments(folders, tmp_path / "metrics.json", changes=True, card=[card]))
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert set(scores) == {WEIGHTS, "a", "b", *CAPTIONS} - {SHAPE, "phone groups"}  # no lips, no phones
    assert scores["together"]["model"]["num_without_lips"] == 2
    assert scores[WEIGHTS] == {"sha256": weights_sha256(), "split": "validation"}
    assert scores["together"]["model"]["num_clips"] == 2 and scores["together"]["model"]["lip_corr"] > 0.9
    assert scores["changed sound"]["clean"]["lip_corr a"] == pytest.approx(
        scores["a"]["model"]["lip_corr"], abs=0.01
    )
    assert scores["changed sound"]["white noise, 10 dB"]["cost together"] > 0
    assert tables(scores) in card.read_text() and CAPTIONS["without speech"] in card.read_text()
    assert WEIGHTS not in card.read_text()


def test_the_shape_of_the_mouth_is_measured_against_the_film(model, speech):
    """A model that knows the very lips explains them; rows without lips count for everything else."""
    names = ["UW", "IY", "P", "AA"]
    phones = [{"name": name, "start": k / 5, "end": k / 5 + 0.2} for k, name in enumerate(names)]
    with_lips = animated_row(model, speech, name="with") | {"phones": phones}
    shown = head_landmarks().show_lips(np.array(with_lips["coefficients"]))
    with_lips["lips"] = shown.reshape(len(shown), -1).tolist()
    results = measure_clips(
        model, [with_lips, animated_row(model, speech, name="without") | {"lips": []}], {}
    )
    data = summarize_data(results)
    assert data["model"]["num_clips"] == 2 and data["model"]["num_without_lips"] == 1
    for name in ("width_r", "width_gain", "gap_r", "outer_gain", "lip_motion_explained"):
        assert data["model"][name] == pytest.approx(1.0, abs=0.01)
        assert data["capture"][name] == pytest.approx(1.0, abs=1e-4)
    assert data["rolled"]["width_r"] < 0.7
    assert data["film"]["num_clips"] == 1 and data["film"]["num_rounded"] == 1
    assert data["film"]["width_contrast"] == pytest.approx(data["capture"]["width_contrast"], abs=0.01)
    assert data["film"]["lip_change_mm"] == pytest.approx(data["model"]["lip_change_mm"], rel=0.05)
    assert set(data["intervals"]) == {"film", "capture", "model"}
    low, high = data["intervals"]["model"]["width_gain"]
    low_gap, high_gap = data["intervals"]["model"]["gap_r"]
    assert low <= data["model"]["width_gain"] <= high
    text = leading_table({"a": data, "without speech": {}})
    assert headline({"without speech": {}}) == ""
    first, _, *figures = headline({"a": data, "b": data}).splitlines()
    assert first.startswith("| a, 2 clips") and len(figures) == 4
    assert f"**{data['model']['gap_r']:.2f}** ({low_gap:.2f} to {high_gap:.2f}) | 1.00 |" in figures[0]
    rows = [line.split(" | ")[0] for line in text.splitlines()[6:]]
    assert rows == ["| a: film", "| a: capture", "| a: model"]
    assert "film" not in tables({"a": data}) and "intervals" not in tables({"a": data})


def test_offsets_move_the_lips_of_the_film_too(model, speech):
    given = animated_row(model, speech)
    moved = head_landmarks().show_lips(np.array(given["coefficients"]))
    given["lips"] = moved.reshape(len(moved), -1).tolist()
    clip = read_clip(given, {"a": {"av_offset_ms": 100.0}})
    np.testing.assert_allclose(clip.lips[:-5], moved[5:], atol=1e-5)


def test_each_table_goes_to_the_places_that_a_card_has(tmp_path):
    card, readme, other = (tmp_path / name for name in ("card.md", "readme.md", "other.md"))
    places = [f"<!-- {name} -->\n<!-- /{name} -->\n" for name in (HEADLINE, SHAPE, METRICS)]
    card.write_text("".join(places))
    readme.write_text("<!-- headline -->\nold\n<!-- /headline -->\n")
    other.write_text("nothing")
    for path in (card, readme):
        write_tables(path, {HEADLINE: "first", SHAPE: "second", METRICS: "third"})
    assert all(word in card.read_text() for word in ("first", "second", "third"))
    assert readme.read_text() == "<!-- headline -->\nfirst\n<!-- /headline -->\n"
    with refused("card_mark", path=other, name=SHAPE):
        write_tables(other, {SHAPE: "first"})


@pytest.mark.parametrize("name", ["together", WEIGHTS])
def test_a_data_set_may_not_be_called_like_a_table(tmp_path, name):
    with refused("data_name", name=name):
        evaluate_data_sets(EvaluateArguments([str(tmp_path / name)], tmp_path / "metrics.json"))
