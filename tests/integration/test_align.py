import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset
from support.rows import animated_row

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.training.data.schema import SCHEMA, load_rows
from bilabial.training.data.windows import TrainingWindows
from bilabial.training.evaluation.clip_figures import read_clip
from bilabial.training.prepare.align import (
    AlignArguments,
    Peak,
    align_data_sets,
    longest_stretch,
    measure,
    offsets_of_peaks,
)


@pytest.fixture(scope="module")
def model():
    return load_checkpoint()[0]


@pytest.mark.parametrize("late_ms", [-180.0, -35.0, 0.0, 90.0])
def test_a_known_shift_is_found(model, speech, late_ms):
    peak = measure(animated_row(model, speech, late_ms, noise=0.5), model)
    assert peak.offset_ms == pytest.approx(late_ms, abs=10) and peak.trust > 0.5


def test_a_short_clip_is_not_searched_beyond_a_third(model, speech):
    """Half a second off in a clip of 1.4 s, of which less than 0.9 s would overlap, is no measurement."""
    given = animated_row(model, speech, late_ms=500.0, noise=0.3)
    assert measure(given, model, 0.8).offset_ms == pytest.approx(500.0, abs=10)
    valid = np.arange(len(given["valid"])) < 70
    assert measure(given | {"valid": valid}, model, 0.8).trust == 0


def test_noise_is_not_trusted(model, speech):
    given = animated_row(model, speech)
    given["lip_gap"] = np.random.default_rng(1).random(len(given["lip_gap"])).astype(np.float32)
    assert measure(given, model).trust == 0
    assert measure(given | {"valid": np.zeros(len(given["valid"]), bool)}, model).trust == 0


def test_weak_clips_take_the_median_of_their_source():
    peaks = [Peak(str(k), "x", -100.0 - k, 1.0) for k in range(3)]
    peaks += [Peak("weak", "x", 200.0, 0.0), Peak("half", "x", 99.0, 0.5), Peak("other", "y", 50.0, 0.0)]
    offsets = offsets_of_peaks(peaks)
    assert [offsets[str(k)] for k in range(3)] == [-100.0, -101.0, -102.0]
    assert offsets["weak"] == -100.5 and offsets["half"] == -0.8 and offsets["other"] == 0.0


def test_longest_stretch():
    assert longest_stretch(np.array([1, 0, 1, 1, 0], bool)) == slice(2, 4)
    assert longest_stretch(np.zeros(3, bool)) == slice(0, 0)


def test_the_script_writes_offsets_and_repeats_itself(model, speech, tmp_path):
    (tmp_path / "data").mkdir()
    rows = [
        animated_row(model, speech, -100.0),
        animated_row(model, speech, -100.0, "b") | {"face": "pseudo_label"},
    ]
    table = pyarrow.Table.from_pylist(rows, schema=SCHEMA)
    pyarrow.parquet.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet")
    align_data_sets(AlignArguments(dataset=[tmp_path]))
    first = [r["av_offset_ms"] for r in load_rows(tmp_path, "train")]
    page = (tmp_path / "av_offset.html").read_bytes()
    align_data_sets(AlignArguments(dataset=[tmp_path]))
    assert first == [r["av_offset_ms"] for r in load_rows(tmp_path, "train")]
    assert page == (tmp_path / "av_offset.html").read_bytes()
    assert first == [pytest.approx(-100, abs=10), 0.0]


@pytest.mark.parametrize("late_ms", [-100.0, 80.0])
def test_training_and_evaluation_undo_the_offset(model, speech, late_ms):
    straight, shifted = (
        animated_row(model, speech),
        animated_row(model, speech, late_ms) | {"av_offset_ms": late_ms},
    )
    windows = [
        TrainingWindows(Dataset(pyarrow.Table.from_pylist([given], schema=SCHEMA)), model.config, 100, None)[
            0
        ]
        for given in (straight, shifted, shifted | {"av_offset_ms": 0.0})
    ]
    jaw = [window["labels"][10:90, ARKIT_BLENDSHAPES.index("jawOpen")] for window in windows]
    assert np.abs(jaw[1] - jaw[0]).max() < 0.03 < np.abs(jaw[2] - jaw[0]).max()
    assert windows[1]["label_mask"].sum() == 100 + min(0, late_ms / 20)  # before the first frame: unknown
    clips = [read_clip(straight, {}), read_clip(shifted, {}), read_clip(shifted, {"a": {"av_offset_ms": 0}})]
    labels = [clip.labels[20:120, ARKIT_BLENDSHAPES.index("jawOpen")] for clip in clips]
    assert np.abs(labels[1] - labels[0]).max() < 0.03 < np.abs(labels[2] - labels[0]).max()


@pytest.mark.slow
def test_a_real_row_shifted_by_a_known_time(clips, model, tmp_path):
    """Captured lips of a GRID clip, moved by -120 ms: the difference is found within 20 ms."""
    from bilabial.training.prepare.pipeline import PrepareArguments, prepare

    folder = clips / "validation" / "grid"
    prepare(PrepareArguments(source=folder, output=tmp_path, reader="grid", validation_share=0.999, limit=2))
    for given in load_rows(tmp_path, "validation"):
        gap = np.array(given["lip_gap"])
        early = np.concatenate([gap[6:], np.repeat(gap[-1], 6)])
        before, after = measure(given, model), measure(given | {"lip_gap": early}, model)
        assert min(before.trust, after.trust) > 0
        assert after.offset_ms - before.offset_ms == pytest.approx(-120, abs=20)
