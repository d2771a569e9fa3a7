import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from datasets import Dataset, concatenate_datasets

from bilabial.articulation import articulate
from bilabial.clip import FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.hub.configuration_bilabial import BilabialConfig
from bilabial.io.audio import encode_wav
from bilabial.io.capture import UNSEEN_BLENDSHAPES, Capture
from bilabial.io.phones import articulation
from bilabial.training.data.augmentation import Augmentation, Changes, augment
from bilabial.training.data.corpora import Take
from bilabial.training.data.emotions import express
from bilabial.training.data.schema import (
    FEATURES,
    SCHEMA,
    BrokenRow,
    dataset_card,
    load_rows,
    read_row,
    row_of_take,
    update_rows,
    waveform_of,
)
from bilabial.training.data.windows import TrainingWindows, collate, upper_face_rests

SOUND = ("input_values", "attention_mask", "voices", "changes")
SILENT = Augmentation(silence_share=1.0, digital_share=1.0)


def row(
    name: str, speech: np.ndarray, fps: float = 25.0, style: str = "default", emotion: str = "neutral"
) -> dict:
    """A row whose jaw is a ramp in time, so that a label tells its time; the last half second has no face."""
    frames = int(np.ceil(len(speech) / 16000 * fps))
    values = np.zeros((frames, 52), np.float32)
    values[:, ARKIT_BLENDSHAPES.index("jawOpen")] = np.arange(frames) / fps / 10
    valid = np.arange(frames) < frames - fps / 2
    gap = np.where(np.arange(frames) < 40, 0.0, 0.1).astype(np.float32)
    capture = Capture(FaceClip(ARKIT_BLENDSHAPES, values, fps), gap, valid)
    return row_of_take(Take(f"test/{name}", None, emotion, style, "someone"), speech, capture)


@pytest.fixture
def rows(speech) -> Dataset:
    given = [row("a", speech), row("b", speech, style="lively", emotion="happy")]
    return Dataset(pyarrow.Table.from_pylist(given, schema=SCHEMA))


@pytest.fixture
def config() -> BilabialConfig:
    return BilabialConfig(styles=["default", "lively"])


def test_rows_survive_parquet(rows, speech, tmp_path):
    (tmp_path / "data").mkdir()
    table = pyarrow.Table.from_pylist([row("a", speech)], schema=SCHEMA)
    pyarrow.parquet.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet")
    read = load_rows(tmp_path, "train")
    assert np.abs(waveform_of(read[0]) - speech).max() < 1e-3
    unseen = [name for name, ok in zip(ARKIT_BLENDSHAPES, read[0]["channel_mask"], strict=True) if not ok]
    assert set(unseen) == set(UNSEEN_BLENDSHAPES)
    assert "| own recording | unknown | 1 |" in dataset_card(tmp_path, 25)


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"lip_gap": [float("nan")]}, "has coefficients or lip gaps that are not finite numbers"),
        ({"lip_gap": [None]}, "has coefficients or lip gaps that are not finite numbers"),
        ({"lip_gap": []}, "has coefficients, valid and lip_gap of no or unequal lengths"),
        ({"lip_gap": [], "valid": [], "coefficients": []}, "of no or unequal lengths"),
        ({"audio": {"bytes": encode_wav(np.zeros(0, np.float32)), "path": "a.wav"}}, "holds no sound"),
        ({"audio": {"bytes": None, "path": "a.wav"}}, "has sound that cannot be decoded"),
    ],
)
def test_a_broken_row_is_named(changed, said):
    given = row("a", np.zeros(640, np.float32), fps=25.0)  # one frame
    read_row(Dataset(pyarrow.Table.from_pylist([given], schema=SCHEMA)).with_format("arrow"), 0)
    broken = Dataset(pyarrow.Table.from_pylist([given | changed], schema=SCHEMA)).with_format("arrow")
    with pytest.raises(BrokenRow, match=f"^row 'test/a' .*{said}"):
        read_row(broken, 0)


def test_a_foreign_data_set_is_refused(tmp_path):
    Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(ValueError, match="lacks audio, av_offset_ms, channel_mask"):
        load_rows(tmp_path, "train")


def test_older_data_sets_have_intensity_one(rows, config, tmp_path):
    """They are read as newer ones are, also beside one."""
    new = [{**one, "intensity": 0.5} for one in rows]
    for name, table in {
        "old": rows.data.table.drop(["intensity"]),
        "new": pyarrow.Table.from_pylist(new, schema=SCHEMA),
    }.items():
        (tmp_path / name / "data").mkdir(parents=True)
        pyarrow.parquet.write_table(table, tmp_path / name / "data" / "train-00000-of-00001.parquet")
    old = load_rows(tmp_path / "old")["train"]
    assert old.features == FEATURES and load_rows(tmp_path / "old", "train").features == FEATURES
    both = concatenate_datasets([old, load_rows(tmp_path / "new", "train")])
    windows = TrainingWindows(both, config, 50, None)
    assert [windows[number]["emotion"].max() for number in range(4)] == [0.0, 1.0, 0.0, 0.5]


def test_a_plain_window_is_the_beginning(rows, config, speech):
    window = TrainingWindows(rows, config, 50, None)[0]
    assert window["input_values"].shape == (16000,)
    assert np.allclose(window["input_values"], speech[:16000], atol=1e-3)
    jaw = window["labels"][:, ARKIT_BLENDSHAPES.index("jawOpen")]
    assert np.allclose(jaw, np.arange(50) / 50 / 10, atol=1e-6)  # 25 fps labels at 50 Hz
    assert window["label_mask"].all() and window["attention_mask"].all()


def test_beyond_the_end_is_padding(rows, config, speech):
    seconds = len(speech) / 16000
    window = TrainingWindows(rows, config, int(seconds * 50) + 100, None)[0]
    assert window["attention_mask"].sum() == pytest.approx(len(speech), abs=2)
    assert window["input_values"][len(speech) + 1 :].max() == 0
    assert window["label_mask"].sum() / 50 == pytest.approx(seconds - 0.5, abs=0.1)


def test_labels_follow_the_speed(rows, config):
    """Sound and labels come from the same moments, whatever the tempo."""
    fast = Augmentation(speed_ratio=(1.5, 1.5), silence_share=0.0)
    window = TrainingWindows(rows, config, 50, fast)[0]
    jaw = window["labels"][:, ARKIT_BLENDSHAPES.index("jawOpen")]
    assert np.allclose(np.diff(jaw), 1.5 / 50 / 10, atol=1e-6)


def test_randomness_follows_from_seed_epoch_and_index(rows, config):
    windows = TrainingWindows(rows, config, 50, Augmentation(), seed=1)
    first = windows[0]
    assert all(np.array_equal(value, windows[0][name]) for name, value in first.items())
    later = windows[0 + len(rows)]  # the same row in the next epoch
    assert not np.array_equal(later["input_values"], first["input_values"])


def test_sound_is_changed_where_the_model_runs(rows, config, speech):
    """A window holds the sound as it is, for a teacher to listen to, and what is to be done to it."""
    loud = Augmentation(speed_ratio=(1.0, 1.0), silence_share=0.0, noise_share=1.0, babble_share=1.0)
    windows = TrainingWindows(rows, config, int(len(speech) / 16000 * 50) + 100, loud)
    window = windows[0]
    assert window["input_values"].dtype == np.float32
    assert np.allclose(window["input_values"][: len(speech)], speech, atol=1e-3)
    assert not window["input_values"][window["attention_mask"] == 0].any()
    assert window["changes"].shape == (len(Changes._fields),) and window["changes"].dtype == np.float32
    assert not np.array_equal(window["changes"], windows[len(rows)]["changes"])
    batch = collate([windows[0], windows[1]])
    heard = augment(*(batch[name] for name in SOUND))
    assert not torch.allclose(heard, batch["input_values"], atol=1e-3)
    assert not heard[batch["attention_mask"] == 0].any()
    assert {"changes", "voices"}.isdisjoint(TrainingWindows(rows, config, 50, None)[0])


def test_recorded_music_is_heard_in_some_windows_and_synthetic_music_in_others(rows, config, speech):
    loud = Augmentation(music_share=1.0, silence_share=0.0)
    piece = np.sin(np.arange(40000) / 7).astype(np.float16)
    given = Dataset(pyarrow.Table.from_pylist([row("a", speech)], schema=SCHEMA))
    windows = TrainingWindows(given, config, 50, loud, music=[piece])
    spectra = [
        np.abs(np.fft.rfft(windows[number]["voices"].astype(np.float32))).argmax() for number in range(12)
    ]
    peak = round(16000 / (2 * np.pi * 7))
    assert 2 <= sum(abs(one - peak) <= 2 for one in spectra) <= 10


def test_other_rows_babble(rows, config, speech):
    loud = Augmentation(babble_share=1.0, num_babblers=(1, 1), music_share=0.0, silence_share=0.0)
    other = np.tile(speech[::-1], 2)
    given = [row("a", speech), row("b", speech[::-1].copy())]
    both = Dataset(pyarrow.Table.from_pylist(given, schema=SCHEMA))
    voices = TrainingWindows(both, config, 50, loud)[0]["voices"]
    likeness = np.fft.irfft(np.fft.rfft(other) * np.fft.rfft(voices, len(other)).conj(), len(other))
    start = int(np.argmax(likeness)) % len(speech)
    assert voices.dtype == np.float16
    assert np.allclose(voices, other[start : start + 16000], atol=2e-3)  # from anywhere on
    assert not TrainingWindows(rows.select([0]), config, 50, loud)[0]["voices"].any()
    assert not TrainingWindows(rows, config, 50, Augmentation(babble_share=0.0))[0]["voices"].any()


def test_silence_is_labelled_with_the_resting_face(rows, config):
    spoken = [one | {"phones": [{"name": "AA", "start": 0.0, "end": 9.0}]} for one in rows]
    rows = Dataset(pyarrow.Table.from_pylist(spoken, schema=SCHEMA))
    window = TrainingWindows(rows, config, 50, SILENT, with_hearing=True)[0]
    assert np.abs(window["input_values"]).max() == 0 and window["input_values"].dtype == np.float32
    assert np.array_equal(window["articulation"], articulation([], np.zeros(50)))
    assert augment(*(torch.from_numpy(window[name])[None] for name in SOUND)).abs().max() == 0
    jaw = window["labels"][:, ARKIT_BLENDSHAPES.index("jawOpen")]
    assert np.ptp(jaw) == 0 and jaw[0] == pytest.approx(np.mean(np.arange(40) / 25 / 10), abs=1e-6)


def test_emotion_and_style(rows, config):
    windows = TrainingWindows(rows, config, 50, None)
    assert windows[0]["emotion"].sum() == 0 and windows[0]["style"] == 0
    assert windows[1]["emotion"][config.emotions.index("happy")] == 1 and windows[1]["style"] == 1
    drawn = TrainingWindows(rows, config, 50, Augmentation())
    styles = set()
    for epoch in range(20):
        styles.add(int(drawn[1 + epoch * len(rows)]["style"]))
    assert styles == {0, 1}  # the default style is the average of all
    own = TrainingWindows(rows, config, 50, Augmentation(), default_share=0.0)
    assert {int(own[1 + epoch * len(rows)]["style"]) for epoch in range(20)} == {1}


EXPRESSED = Augmentation(silence_share=0.0, speed_ratio=(1.0, 1.0))


def test_neutral_windows_get_emotions_that_the_rows_lack(rows, config):
    """Row 0 is neutral: it gets a face of the prior; row 1 is happy: its captured face stays."""
    windows = TrainingWindows(rows, config, 50, EXPRESSED, emotion_share=1.0)
    plain = TrainingWindows(rows, config, 50, EXPRESSED)
    assert "happy" not in windows.prior_emotions and "sad" in windows.prior_emotions
    drawn = set()
    for epoch in range(30):
        first, second = (index + epoch * len(rows) for index in (0, 1))
        window, without = windows[first], plain[first]
        emotion = window["emotion"]
        assert 0 < emotion.sum() <= 1.5 and emotion[0] == emotion[config.emotions.index("happy")] == 0
        assert np.allclose(window["labels"], express(without["labels"], emotion, 50.0), atol=1e-6)
        assert window["labels"].dtype == np.float32
        drawn |= set(np.flatnonzero(emotion))
        assert np.array_equal(windows[second]["labels"], plain[second]["labels"])
    assert len(drawn) == len(windows.prior_emotions)


def test_the_priors_channels_count_where_the_capture_is_blind(rows, config):
    sneer, tongue = (ARKIT_BLENDSHAPES.index(name) for name in ("noseSneerLeft", "tongueOut"))
    window = TrainingWindows(rows, config, 50, EXPRESSED, emotion_share=0.5)[0]
    assert window["channel_mask"][sneer] == 1 and window["channel_mask"][tongue] == 0
    assert TrainingWindows(rows, config, 50, EXPRESSED)[0]["channel_mask"][sneer] == 0


def test_the_default_style_moves_about_no_persons_rest(speech):
    """A person's brows at rest are taken from the default style's labels and left in the person's own."""
    given, brow = (
        [row("a", speech, style="own"), row("b", speech, style="own", emotion="happy")],
        "browInnerUp",
    )
    for one, height in zip(given, (0.3, 0.5), strict=True):
        one["coefficients"] = np.array(one["coefficients"])
        one["coefficients"][:, ARKIT_BLENDSHAPES.index(brow)] = height
        one["coefficients"] = list(one["coefficients"])
    rows = Dataset(pyarrow.Table.from_pylist(given, schema=SCHEMA))
    rests = upper_face_rests(rows)
    assert rests["someone"][ARKIT_BLENDSHAPES.index(brow)] == pytest.approx(0.3)
    assert rests["someone"][ARKIT_BLENDSHAPES.index("jawOpen")] == 0
    windows, seen = TrainingWindows(rows, BilabialConfig(styles=["default", "own"]), 50, EXPRESSED), {}
    for epoch in range(20):
        for index in (0, 1):
            window = windows[index + epoch * len(rows)]
            brows = window["labels"][:, ARKIT_BLENDSHAPES.index(brow)]
            seen[index, int(window["style"])] = float(brows.mean())
    assert seen == pytest.approx({(0, 0): 0.0, (0, 1): 0.3, (1, 0): 0.2, (1, 1): 0.5}, abs=1e-6)


def test_lids_and_gaze_are_no_labels_of_the_default_style(speech):
    given = row("a", speech, style="own")
    given["coefficients"] = list(np.full_like(np.array(given["coefficients"]), 0.4))
    rows = Dataset(pyarrow.Table.from_pylist([given], schema=SCHEMA))
    windows, eyes = TrainingWindows(rows, BilabialConfig(styles=["default", "own"]), 50, EXPRESSED), {}
    columns = [n for n, name in enumerate(ARKIT_BLENDSHAPES) if name.startswith(("eyeBlink", "eyeLook"))]
    for epoch in range(20):
        window = windows[epoch * len(rows)]
        eyes[int(window["style"])] = float(window["labels"][:, columns].mean())
    assert eyes == pytest.approx({0: 0.0, 1: 0.4}, abs=1e-6)


def test_collate(rows, config):
    windows = TrainingWindows(rows, config, 50, None)
    batch = collate([windows[0], windows[1]])
    assert batch["input_values"].shape == (2, 16000) and batch["labels"].shape == (2, 50, 52)
    assert batch["style"].dtype == torch.int64


def test_rows_are_updated_in_place(speech, tmp_path):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "train-00000-of-00001.parquet"
    table = pyarrow.Table.from_pylist([row("a", speech), row("b", speech)], schema=SCHEMA)
    pyarrow.parquet.write_table(table, path)
    phones = [{"name": "P", "start": 0.5, "end": 0.75}]
    update_rows(tmp_path, "phones", {"test/b": phones})
    read = load_rows(tmp_path, "train")
    assert [r["phones"] for r in read] == [[], phones] and read.features == FEATURES
    changed = [name for name in table.column_names if name != "phones"]
    assert pyarrow.parquet.read_table(path).select(changed) == table.select(changed)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with pytest.raises(ValueError, match="has no row 'test/c'"):
        update_rows(tmp_path, "phones", {"test/c": phones})


def test_the_articulation_prior_needs_phones_and_no_captured_tongue(speech, config):
    """Labels of rows with phones get the shapes, at the phones' times whatever the window's speed."""
    tongue, spans = ARKIT_BLENDSHAPES.index("tongueOut"), [("DH", n + 0.4, n + 0.6) for n in range(9)]
    spoken = [{"name": name, "start": start, "end": end} for name, start, end in spans]
    captured = row("c", speech) | {"phones": spoken, "channel_mask": [True] * 52}
    given = [row("a", speech) | {"phones": spoken}, row("b", speech), captured]
    rows = Dataset(pyarrow.Table.from_pylist(given, schema=SCHEMA))
    plain = TrainingWindows(rows, config, 50, None)
    shaped = TrainingWindows(rows, config, 50, None, articulation_prior=True)
    expected = articulate(plain[0]["labels"], spans, np.arange(50) / 50)
    assert np.allclose(shaped[0]["labels"], expected, atol=1e-5)
    assert shaped[0]["labels"].dtype == np.float32 and shaped[0]["labels"][25, tongue] > 0.2
    assert [windows[0]["channel_mask"][tongue] for windows in (plain, shaped)] == [0, 1]
    assert shaped[1]["channel_mask"][tongue] == 0
    assert np.array_equal(shaped[1]["labels"], plain[1]["labels"])
    assert not shaped[2]["labels"][:, tongue].any() and shaped[2]["channel_mask"].all()
    fast = Augmentation(speed_ratio=(1.5, 1.5), silence_share=0.0)
    quick, told = (TrainingWindows(rows, config, 50, fast, articulation_prior=on)[0] for on in (True, False))
    seconds = told["labels"][:, ARKIT_BLENDSHAPES.index("jawOpen")] * 10  # the captured jaw tells the time
    assert np.allclose(quick["labels"], articulate(told["labels"], spans, seconds), atol=1e-3)
    assert quick["labels"][:, tongue].max() > 0.2


def test_nobody_who_is_silent_shows_the_tongue(speech, config):
    given = [row("a", speech) | {"phones": [{"name": "TH", "start": 0.0, "end": 9.0}]}]
    rows = Dataset(pyarrow.Table.from_pylist(given, schema=SCHEMA))
    window = TrainingWindows(rows, config, 50, SILENT, articulation_prior=True)[0]
    tongue = ARKIT_BLENDSHAPES.index("tongueOut")
    assert not window["labels"][:, tongue].any() and window["channel_mask"][tongue] == 1
