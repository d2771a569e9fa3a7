"""What the embedded model reaches, and that the model card says no more than that."""

import json

import pytest
from conftest import ROOT
from evaluate import evaluate, table, tables
from prepare import PrepareArguments
from prepare import main as prepare

from bilabial.checkpoint import EMBEDDED_MODEL, load_checkpoint
from bilabial.data import load_rows

CARD = (ROOT / "model_card.md").read_text()


@pytest.fixture(scope="module")
def scores(clips, tmp_path_factory) -> dict:
    """Metrics on five speakers of GRID whom the model never heard, captured afresh."""
    output = tmp_path_factory.mktemp("strangers") / "grid"
    folder = clips / "validation" / "grid"
    prepare(PrepareArguments(source=folder, output=output, reader="grid", validation_share=0.999))
    notes = json.loads((clips / "validation" / "clips.json").read_text())
    return evaluate(load_checkpoint()[0], load_rows(output, "validation"), notes)


def test_lips_of_strangers(scores):
    model = scores["model"]
    assert model["num_clips"] == 5
    assert model["r0"] >= 0.80
    assert abs(model["lag_ms"]) <= 40
    assert model["closure_recall"] >= 0.85
    assert model["false_closure"] <= 0.10


def test_the_metrics_can_fail(scores):
    """The same prediction, shifted by half a clip, and a constant face must look bad."""
    assert scores["rolled"]["r0"] < 0.3 and scores["rolled"]["closure_recall"] < 0.5
    assert scores["mean pose"]["r0"] == 0 and scores["mean pose"]["closure_recall"] == 0
    assert scores["capture"]["r0"] > 0.95


def test_the_card_quotes_the_metrics():
    metrics = json.loads((EMBEDDED_MODEL / "metrics.json").read_text())
    assert tables(metrics) in CARD
    for name, rows in json.loads((ROOT / "benchmarks" / "ablation.json").read_text()).items():
        assert f"### {name}\n\n{table(rows)}" in CARD
