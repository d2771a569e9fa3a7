"""What emotions, styles and life do on the embedded model, and that the model card says no more than that."""

import json
import shutil

import numpy as np
import pytest
from support.paths import ROOT

from bilabial import Animator
from bilabial.checkpoint import EMBEDDED_MODEL
from bilabial.hub.blendshapes_bilabial import EMOTIONS
from bilabial.training.data.emotions import ACTION_UNITS, PROTOTYPES
from bilabial.training.data.schema import load_rows
from bilabial.training.evaluation.emotion_classifier import SHOWN_UNITS, measure_separability, shown_faces
from bilabial.training.evaluation.expression import CAPTIONS, emotion_in_name, measure, tables
from bilabial.training.evaluation.tables import WEIGHTS
from bilabial.training.prepare.pipeline import PrepareArguments, prepare

pytestmark = pytest.mark.slow

CARD = (ROOT / "model_card.md").read_text()
NUM_OWN = 8  # clips of the training speaker: what the emotion classifier takes for how a face varies


@pytest.fixture(scope="module")
def scores(clips, tmp_path_factory) -> dict:
    """All tables, on strangers captured afresh."""
    folder = tmp_path_factory.mktemp("expression")
    (folder / "s1").mkdir()
    for video in sorted((clips / "grid" / "s1").glob("*.mp4"))[:NUM_OWN]:
        shutil.copy(video, folder / "s1")
    sources = {"grid": clips / "validation" / "grid", "natural": clips / "validation" / "natural"}
    sources["own"] = folder / "s1"
    rows = {}
    for name, source in sources.items():
        given = {"reader": "grid", "validation_share": 0.999, "min_score": 0.0}
        prepare(PrepareArguments(source=source, output=folder / name, **given))
        rows[name] = load_rows(folder / name, "validation")
    notes = json.loads((clips / "validation" / "clips.json").read_text())
    return measure(Animator.from_pretrained(), rows, notes, clips / "emodb")


def test_emotions_are_recognized(scores):
    confusion = scores["recognized emotions"]
    assert confusion["all"]["recognized"] >= 0.8
    assert all(confusion[name][name] >= 0.6 for name in EMOTIONS)


def test_the_lips_are_safe_in_every_emotion_and_style(scores):
    ways = scores["lips in every emotion and style"]
    neutral = ways["neutral"]
    assert set(EMOTIONS) <= set(ways) and "style mumbling" in ways
    for name, way in ways.items():
        bound = 0.04 if name.startswith("style") else 0.03  # other styles move the jaw by other amounts
        assert abs(way["closure_recall"] - neutral["closure_recall"]) <= bound, name
        assert abs(way["false_closure"] - neutral["false_closure"]) <= bound, name
        for column in ("lip_corr_grid", "lip_corr_natural", "lip_corr_own"):
            assert way[column] >= neutral[column] - 0.05, name


def test_intensity_is_monotone(scores):
    for emotion, row in scores["intensity"].items():
        assert row["smallest_step"] >= 0.0, emotion
        assert row["at_0"] < row["at_1"] < row["at_1.5"], emotion


def test_schedules_do_not_jump(scores):
    assert scores["schedules"]["all emotions"]["largest_jump"] <= 0.1


def test_blinks_are_human(scores):
    blinks = scores["blinks"]["one minute each"]
    assert blinks["lowest_rate"] >= 10 and blinks["highest_rate"] <= 20
    assert blinks["shortest_ms"] >= 100 and blinks["longest_ms"] <= 400
    assert blinks["same_phase"] == 0


def test_every_emotion_rests_closed_and_alive(scores):
    for emotion, row in scores["silence"].items():
        assert row["max_mm"] < 1.0, emotion
        assert row["moving_channels"] >= 5, emotion


def test_a_reference_brings_the_amplitude_nearer(scores):
    for name in ("grid", "natural"):
        row = scores["style from a reference"][name]
        assert row["nearer"] >= 0.7 and row["reference_error"] < row["default_error"], name


def test_captured_emotions_are_nearer_than_neutral(scores):
    rows = scores["captured emotions"]
    own, neutral = rows["mean"]["own_emotion"], rows["mean"]["neutral"]
    assert len(rows) == 5 and own < 0.95 * neutral
    assert rows["W036_level_3_happy_007"]["own_emotion"] < 0.8 * rows["W036_level_3_happy_007"]["neutral"]


def test_a_voice_colors_the_face(scores):
    openings = {name: row["opening"] for name, row in scores["vocal effort"].items()}
    assert min(openings["angry"], openings["happy"]) > 1.05
    assert max(openings["sad"], openings["calm"]) < 0.98


def test_the_card_quotes_the_tables():
    written = json.loads((EMBEDDED_MODEL / "expression.json").read_text())
    assert set(written) == {WEIGHTS, *CAPTIONS}
    assert tables(written) in CARD


# ---- the emotion classifier can fail


def test_the_emotion_classifier_sees_nothing_where_there_is_nothing():
    rng = np.random.default_rng(0)
    captured = rng.normal(0.2, 0.02, (10, 52)).clip(0, 1)
    sounds = [rng.normal(0, 0.1, 100) for _ in range(3)]
    _, blind = measure_separability(lambda sound, emotion: np.full((5, 52), 0.2), sounds, captured)
    assert blind == pytest.approx(1 / 9)
    shown = lambda sound, emotion: np.tile(0.2 + PROTOTYPES[EMOTIONS.index(emotion)], (5, 1))  # noqa: E731
    assert measure_separability(shown, sounds, captured)[1] == 1.0
    swapped = lambda sound, emotion: shown(sound, EMOTIONS[EMOTIONS.index(emotion) - 1])  # noqa: E731
    assert measure_separability(swapped, sounds, captured)[1] < 0.2


def test_the_emotion_classifier_knows_published_units_only():
    assert set(SHOWN_UNITS) == set(EMOTIONS)
    assert {unit for units in SHOWN_UNITS.values() for unit in units} <= set(ACTION_UNITS)
    faces, labels = shown_faces(np.zeros((4, 52)), np.random.default_rng(0))
    assert faces.shape == (len(labels), 52) and sorted(set(labels)) == list(range(9))


def test_emotions_in_names():
    assert emotion_in_name("grid/natural/M030_level_3_angry_016") == "angry"
    assert emotion_in_name("grid/natural/0Fi83BHQsMA_00002") is None
