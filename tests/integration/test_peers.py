"""The benchmark of peers: what of it needs no peer installed."""

import dataclasses
import sys

import numpy as np
import pytest
from support.paths import ROOT

from benchmarks.peers import compare, packages, report
from benchmarks.peers.peer_energy import OPEN_JAW, jaw_open
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io.head_landmarks import head_landmarks
from bilabial.training.evaluation.clip_figures import Clip
from bilabial.training.evaluation.tables import write_card

pytestmark = pytest.mark.slow

JAW = ARKIT_BLENDSHAPES.index("jawOpen")
FPS = 25.0
PHONES = [("B", 0.5, 0.6), ("AA", 1.2, 1.4)]
ENERGY = compare.Peer("energy envelope", lambda: [sys.executable, "-m", "benchmarks.peers.peer_energy"])


@pytest.fixture
def case() -> compare.Case:
    """Two seconds of a tone that stops for a /b/, over a jaw that closes with it."""
    opening = np.ones(50, np.float32)
    opening[12:16] = 0.0
    labels = np.zeros((50, 52), np.float32)
    labels[:, JAW] = 0.3 * opening
    envelope = np.interp(np.arange(32000) / 16000, np.arange(50) / FPS, opening)
    waveform = (0.3 * envelope * np.sin(np.arange(32000) * 0.1)).astype(np.float32)
    clip = Clip("set/one", FPS, labels, 0.1 * opening, np.ones(50, bool), np.ones(52, bool), PHONES)
    return compare.Case("set", clip, waveform)


def test_loudness_opens_the_jaw():
    waveform = np.concatenate([np.zeros(8000), 0.3 * np.sin(np.arange(8000) * 0.1), np.zeros(8000)])
    jaw = jaw_open(waveform, 16000)
    assert jaw.shape == (150,)
    assert jaw[:40].max() < 0.01 and jaw[110:].max() < 0.01
    assert jaw[60:90].min() > 0.9 * OPEN_JAW and jaw.max() <= OPEN_JAW + 1e-6


def test_visemes_are_summed_and_clipped():
    mapping = {"aa": [("jawOpen", 0.6), ("mouthFunnel", 0.5)], "O": [("jawOpen", 0.8)]}
    values = compare.to_arkit(["aa", "O", "sil"], np.array([[0.5, 0.25, 1.0], [1.0, 1.0, 0.0]]), mapping)
    assert values.shape == (2, 52)
    np.testing.assert_allclose(values[:, JAW], [0.5, 1.0])
    np.testing.assert_allclose(values[:, ARKIT_BLENDSHAPES.index("mouthFunnel")], [0.25, 0.5])
    assert np.count_nonzero(values[0]) == 2  # silence is the face at rest


def test_coefficients_pass_without_a_mapping():
    values = compare.to_arkit(["jawOpen"], np.array([[0.1], [0.2]]), {})
    np.testing.assert_allclose(values[:, JAW], [0.1, 0.2])


def test_only_arkit_names_may_be_mapped_to():
    with pytest.raises(ValueError):
        compare.to_arkit(["aa"], np.ones((1, 1)), {"aa": [("mouthOpen", 1.0)]})


def test_r_at_the_best_lag_forgives_latency():
    times = np.arange(100) / FPS
    gap, late = np.sin(4 * times), np.sin(4 * (times - 0.12))
    assert compare.correlation_at(late, gap, FPS, 0) < 0.95
    assert compare.correlation_at(late, gap, FPS, 120) > 0.999


def test_a_failing_install_is_one_sentence_and_the_others_stay(case, tiny_model, tmp_path):
    def fails() -> list[str]:
        missing = (str(tmp_path / "no_such_package"),)  # a path, so that nothing is asked of the network
        return [str(packages.install_python(missing, tmp_path / "venv")), "never.py"]

    absent = compare.Peer("Absent", lambda: [str(tmp_path / "no_such_program"), "script"])
    broken = compare.Peer("Broken", lambda: [sys.executable, str(tmp_path / "no_such_script.py")])
    rows = [compare.Peer("Failing", fails), absent, broken, ENERGY]
    runs, notes = compare.measure_all(rows, [case], dict)
    assert list(runs) == ["energy envelope"]
    assert [note.split(" is missing: ")[0] for note in notes] == ["Failing", "Absent", "Broken"]
    assert all("\n" not in note and note.endswith(".") for note in notes), notes
    assert "no_such_package" in notes[0] and "no_such_program" in notes[1] and "no_such_script" in notes[2]
    assert not (tmp_path / "venv" / packages.PINS).exists()  # tried again next time


def test_npm_is_named_when_it_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(packages.PeerError, match="@somebody/something@1.0.0.* npm "):
        packages.install_node("@somebody/something@1.0.0", tmp_path / "node")


def test_a_row_has_its_metrics_and_its_own_cost(case, tiny_model):
    runs, _ = compare.measure_all([ENERGY], [case], dict)
    run = runs["energy envelope"]
    row = compare.summary([case], run.predictions, run, tiny_model)
    assert row["lip_corr"] > 0.7 and row["r_best"] >= row["lip_corr"] - 0.01
    assert (row["num_clips"], row["num_bilabials"], row["num_controls"]) == (1, 1, 1)
    assert 0 < row["real_time_factor"] < 1
    assert 5 < row["peak_mb"] < 150  # numpy alone, not the torch of this process
    still = compare.references([case], run)["mean pose"]
    assert "lag_ms" not in compare.summary([case], still, None, tiny_model)


def test_every_face_is_shown_on_the_head(case, tiny_model):
    """The captured face is the film here; a face that does not move explains nothing of it."""
    assert compare.film_row([case]) == {}  # its lips are not known
    lips = head_landmarks().show_lips(case.clip.labels)
    filmed = dataclasses.replace(case, clip=dataclasses.replace(case.clip, lips=lips))
    rows = compare.references([filmed], None)
    captured, still = (compare.summary([filmed], rows[name], None, tiny_model) for name in reversed(rows))
    assert captured["gap_r"] == pytest.approx(1.0) and captured["lip_motion_explained"] == pytest.approx(1.0)
    assert still["lip_motion_explained"] == pytest.approx(0.0, abs=1e-6) and still["gap_gain"] < 1e-3
    rows = {"mean pose": still} | compare.film_row([filmed])
    assert report.table(rows).startswith("| | width_r | width_gain | lip_motion_explained | gap_r |")
    assert set(rows["film"]) == {"num_clips", "num_rounded", "num_spread", "lip_change_mm", "lip_jitter_mm"}


def test_references_without_our_own_run(case):
    assert list(compare.references([case], None)) == ["mean pose", "captured (ceiling)"]


def test_the_table_names_every_column_and_leaves_blanks(tmp_path):
    rows = {
        "one": {"lip_corr": 0.5, "lag_ms": -0.2, "real_time_factor": 0.00412, "num_clips": 3},
        "two": {"lip_corr": np.nan},
    }
    text = report.page({"grid": rows}, ["Three is missing: no reason."])
    lines = text.splitlines()
    assert lines[2] == "| | lip_corr | lag_ms | real-time factor | clips |"
    assert lines[4:6] == ["| one | 0.50 | 0 | 0.0041 | 3 |", "| two | n/a |  |  |  |"]
    assert "Rigs differ" in text and lines[-1] == "Three is missing: no reason."
    card = tmp_path / "card.md"
    card.write_text("before\n<!-- peers -->\nold\n<!-- /peers -->\nafter\n")
    write_card(card, "peers", text)
    assert card.read_text() == f"before\n<!-- peers -->\n{text}\n<!-- /peers -->\nafter\n"


def test_the_lips_are_drawn_beside_the_capture(case, tmp_path):
    distances = {"one": case.clip.gap * 2, "two": np.zeros(50)}
    figure = report.lips_figure("clip", FPS, case.clip.gap, distances, PHONES)
    np.testing.assert_allclose(figure.data[0].y, figure.data[1].y)  # each over its own range
    assert len(figure.data) == 4 and len(figure.layout.shapes) == 2  # one /b/ in each row
    report.write_figures(tmp_path / "page.html", [figure])
    assert "Plotly.newPlot" in (tmp_path / "page.html").read_text()


def test_the_shipped_card_has_the_place():
    assert "<!-- peers -->" in (ROOT / "model_card.md").read_text()
