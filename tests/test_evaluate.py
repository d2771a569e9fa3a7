import dataclasses
import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from evaluate import (
    CAPTIONS,
    WEIGHTS,
    Clip,
    EvaluateArguments,
    at_rest_in_silence,
    clip_metrics,
    main,
    pool,
    read_clip,
    table,
    tables,
)
from test_align import row

from bilabial.checkpoint import load_checkpoint, weights_sha256
from bilabial.data import SCHEMA
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.lips_bilabial import lip_distance


@pytest.fixture(scope="module")
def model():
    return load_checkpoint()[0]


def result(r0: float, bilabial: list[float], control: list[float]) -> dict:
    return {
        "r0": r0,
        "closure_counts": (4, 3, 2, 1),
        "speech_counts": (2, 1),
        "phone_minima": (bilabial, control),
    }


def test_a_mouth_that_hangs_open_in_silence_counts_in_r0_alone(model):
    """r0 of a face that closes there falls, r0_speech does not; without phones both count all frames."""
    labels = np.zeros((100, 52), np.float32)
    labels[:, ARKIT_BLENDSHAPES.index("jawOpen")] = 0.2 + 0.1 * np.sin(np.arange(100))
    closed = labels.copy()
    closed[:40] = 0.0
    gap = labels.max(axis=1) / 3
    clip = Clip("a", 50.0, labels, gap, np.ones(100, bool), np.ones(52, bool), [("AA", 0.8, 2.0)])
    scores = clip_metrics(clip, closed, model)
    assert scores["r0"] < 0.9 and scores["r0_speech"] > 0.99
    unnamed = clip_metrics(dataclasses.replace(clip, phones=[]), closed, model)
    assert unnamed["r0_speech"] == unnamed["r0"]
    silent = clip_metrics(dataclasses.replace(clip, phones=[("SIL", 0.0, 2.0)]), closed, model)
    assert silent["r0_speech"] == 0


def test_pooling_is_over_clips_and_phones():
    first = {"model": {"a": result(0.9, [0.0], [1.0]), "b": result(0.7, [0.0, 0.0], [0.0])}}
    second = {"model": {"a": result(0.1, [0.5], [1.0])}}  # the same name in another data set
    together = pool([first, second])["model"]
    assert together["r0"] == 0.7 and together["num_clips"] == 3
    assert (together["cloC"], together["num_bilabials"]) == (0.75, 4)
    assert (together["ctl"], together["num_controls"]) == (pytest.approx(1 / 3), 3)
    assert (together["num_sealed_frames"], together["closure_recall"]) == (12, 0.75)


def test_notes_go_before_the_row(model, speech):
    given = row(model, speech) | {"phones": [{"name": "P", "start": 0.5, "end": 0.6}]}
    assert read_clip(given, {}).phones == [("P", 0.5, 0.6)]
    noted = read_clip(given, {"a": {"phones": [["B", 1.0, 1.1]]}})
    assert noted.phones == [("B", 1.0, 1.1)]


def test_lips_that_rest_in_silence_are_the_captured_ones_in_speech(model, speech):
    given = row(model, speech) | {"phones": [{"name": "AA", "start": 1.0, "end": 1.4}]}
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
    text = table({"x": {"num_clips": 3, "r0": 0.5}, "y": {"r0": np.nan, "other": 12.4}})
    assert text.splitlines()[0] == "| | r0 | num_clips | other |"
    assert text.splitlines()[2:] == ["| x | 0.500 | 3 |  |", "| y | n/a |  | 12 |"]


def test_everything_is_in_json_and_card(model, speech, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "data").mkdir(parents=True)
        rows = pyarrow.Table.from_pylist([row(model, speech, name=name)], schema=SCHEMA)
        pyarrow.parquet.write_table(rows, tmp_path / name / "data" / "validation-00000-of-00001.parquet")
    card = tmp_path / "card.md"
    card.write_text("<!-- metrics -->\n<!-- /metrics -->\n")
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    main(EvaluateArguments(folders, tmp_path / "metrics.json", changes=True, card=card))
    scores = json.loads((tmp_path / "metrics.json").read_text())
    assert set(scores) == {WEIGHTS, "a", "b", *CAPTIONS}
    assert scores[WEIGHTS] == {"sha256": weights_sha256(), "split": "validation"}
    assert scores["together"]["model"]["num_clips"] == 2 and scores["together"]["model"]["r0"] > 0.9
    assert scores["changed sound"]["clean"]["r0 a"] == pytest.approx(scores["a"]["model"]["r0"], abs=0.01)
    assert scores["changed sound"]["white noise, 10 dB"]["cost together"] > 0
    assert tables(scores) in card.read_text() and CAPTIONS["without speech"] in card.read_text()
    assert WEIGHTS not in card.read_text()


@pytest.mark.parametrize("name", ["together", WEIGHTS])
def test_a_data_set_may_not_be_called_like_a_table(tmp_path, name):
    with pytest.raises(SystemExit, match=f"two tables would be called '{name}'"):
        main(EvaluateArguments([str(tmp_path / name)], tmp_path / "metrics.json"))
