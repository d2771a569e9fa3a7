import tracemalloc
from dataclasses import replace
from zipfile import ZipFile

import numpy as np
import pytest
from support.errors import refused

from bilabial.clip import LIVE_LINK_BLENDSHAPES, LIVE_LINK_ROTATIONS, MAX_NPZ_BYTES, FaceClip
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES, LIP_DISTANCE_WEIGHTS, num_frames
from bilabial.io.mouth_close import convert


def random_clip(frames: int = 45, fps: float = 30.0) -> FaceClip:
    values = np.random.default_rng(0).random((frames, 52), dtype=np.float32)
    return FaceClip(ARKIT_BLENDSHAPES, values, fps)


def test_names_are_arkits():
    assert len(ARKIT_BLENDSHAPES) == len(set(ARKIT_BLENDSHAPES)) == 52
    assert (ARKIT_BLENDSHAPES[0], ARKIT_BLENDSHAPES[-1]) == ("eyeBlinkLeft", "tongueOut")


def test_curves_are_found_by_name():
    clip = random_clip()
    assert np.array_equal(clip["jawOpen"], clip.values[:, ARKIT_BLENDSHAPES.index("jawOpen")])
    with pytest.raises(KeyError, match="'jawopen'"):
        clip["jawopen"]
    assert clip.select(["mouthClose", "jawOpen"]).names == ("mouthClose", "jawOpen")


def test_time_base():
    clip = random_clip(45, 30.0)
    assert clip.duration_seconds == 1.5
    assert clip.times[:2].tolist() == pytest.approx([0.0, 1 / 30])
    assert num_frames(3.0, 30) == 90
    assert num_frames(2.995, 30) == 90
    assert num_frames(1 / 3, 30) == 10


@pytest.mark.parametrize("fps", [0, -1, 1000, float("nan"), "30", True])
def test_fps_outside_the_range_is_refused(fps):
    with refused("fps_range", low=1, high=240, got=repr(fps)):
        random_clip(fps=fps)


@pytest.mark.parametrize(
    "given, code, values",
    [
        (np.zeros((3, 51)), "clip_shape", {"count": 52, "got": "(3, 51)"}),
        (np.zeros((0, 52)), "clip_shape", {"count": 52, "got": "(0, 52)"}),
        (np.full((3, 52), np.nan), "clip_range", {}),
        (np.full((3, 52), 1.5), "clip_range", {}),
    ],
)
def test_wrong_values_are_refused(given, code, values):
    with refused(code, **values):
        FaceClip(ARKIT_BLENDSHAPES, given, 30)


def test_a_clip_cannot_be_changed():
    values = np.zeros((3, 52), np.float32)
    clip = FaceClip(ARKIT_BLENDSHAPES, values, 30)
    values[:] = 1.0
    assert clip.values.max() == 0.0
    with pytest.raises(ValueError):
        clip.values[0, 0] = 1.0


def test_resample_interpolates_linearly():
    clip = FaceClip(["jawOpen"], np.array([[0.0], [0.4], [0.0]]), 10)
    assert clip.resample(20)["jawOpen"].tolist() == pytest.approx([0.0, 0.2, 0.4, 0.2, 0.0, 0.0])
    assert np.array_equal(clip.resample(10).values, clip.values)
    assert len(random_clip(90, 30).resample(29.97)) == 90


def test_the_head_goes_with_the_frames():
    clip = replace(random_clip(30, 30), head=np.linspace(0, 29, 30)[:, None] * [1, -1, 0.5])
    assert clip.resample(60).head[:, 0].tolist() == pytest.approx([*np.arange(59) / 2, 29.0])
    assert clip.slice(0.5, 1.0).head[0].tolist() == [15, -15, 7.5]
    assert np.array_equal(clip.select(["jawOpen"]).head, clip.head)
    assert random_clip(30, 30).resample(60).head is None
    with pytest.raises(ValueError):
        clip.head[0] = 1


@pytest.mark.parametrize(
    "head, code, values",
    [
        (np.zeros((4, 3)), "clip_head", {"count": 5, "got": "(4, 3)"}),
        ("turned", "clip_head", {"count": 5, "got": "'str'"}),
        (np.full((5, 3), np.nan), "clip_head_range", {"limit": 180}),
        (np.full((5, 3), 181.0), "clip_head_range", {"limit": 180}),
    ],
)
def test_wrong_heads_are_refused(head, code, values):
    with refused(code, **values):
        replace(random_clip(5, 30), head=head)


def test_slice():
    clip = random_clip(30, 30)
    assert np.array_equal(clip.slice(0.5, 1.0).values, clip.values[15:])
    with pytest.raises(ValueError, match=r"2\.0 .* 3\.0 .* 1\.000"):
        clip.slice(2.0, 3.0)


def test_lip_distance_in_mm_by_hand():
    clip = FaceClip(ARKIT_BLENDSHAPES, np.zeros((2, 52)), 30)
    assert clip.lip_distance_mm().tolist() == [0.0, 0.0]
    values = np.zeros((1, 52), np.float32)
    values[0, ARKIT_BLENDSHAPES.index("jawOpen")] = 0.5
    assert FaceClip(ARKIT_BLENDSHAPES, values, 30).lip_distance_mm()[0] == pytest.approx(19.0)


def test_the_geometry_of_the_lips_stays_with_a_clip(tmp_path):
    """That of the model which made it, through everything that makes another clip of it."""
    weights = {"jawOpen": 2.0, "mouthClose": -1.5, "mouthPucker": 0.25}
    clip = FaceClip(ARKIT_BLENDSHAPES, random_clip().values, 30, weights)
    by_hand = 38 * (2 * clip["jawOpen"] - 1.5 * clip["mouthClose"] + 0.25 * clip["mouthPucker"]).clip(min=0)
    assert clip.lip_distance_mm() == pytest.approx(by_hand, abs=1e-4)
    weights["jawOpen"] = 9.0  # a copy was kept
    others = (clip.resample(60), clip.slice(0.5, 1.0), clip.select(tuple(weights)), convert(clip, "arkit"))
    for other in (*others, FaceClip.from_npz(clip.to_npz(tmp_path / "a.npz"))):
        assert other.lip_weights == clip.lip_weights == weights | {"jawOpen": 2.0}
    np.savez(tmp_path / "old.npz", names=np.array(["jawOpen"]), values=np.zeros((2, 1)), fps=30.0)
    assert FaceClip.from_npz(tmp_path / "old.npz").lip_weights == LIP_DISTANCE_WEIGHTS["measured"]
    with refused("clip_lip_weights", got="{'jawOpen': nan}"):
        FaceClip(["jawOpen"], np.zeros((2, 1)), 30, {"jawOpen": float("nan")})


@pytest.mark.parametrize("fps", [24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60])
def test_csv_round_trip(tmp_path, fps):
    clip = random_clip(40, fps)
    read = FaceClip.from_csv(clip.to_csv(tmp_path / "clip.csv"))
    assert read.fps == pytest.approx(fps, rel=1e-5)
    assert np.allclose(read.values, clip.values, atol=1e-7)


def test_csv_is_live_links(tmp_path):
    header = random_clip(2).to_csv(tmp_path / "clip.csv").read_text().splitlines()[0].split(",")
    assert len(header) == 63
    assert header[:3] == ["Timecode", "BlendShapeCount", "EyeBlinkLeft"]
    assert header.index("JawRight") + 1 == header.index("JawLeft")
    assert header.index("MouthRight") + 1 == header.index("MouthLeft")
    assert header[54:] == list(LIVE_LINK_ROTATIONS)
    assert sorted(LIVE_LINK_BLENDSHAPES) == sorted(ARKIT_BLENDSHAPES)


def test_a_real_recording_reads(clips, tmp_path):
    recorded = FaceClip.from_csv(clips / "livelink" / "rom_30fps.csv")
    assert (len(recorded), recorded.fps) == (601, 30.0)  # 600 rows, one frame was dropped
    assert recorded.values.max() > 0.5
    again = FaceClip.from_csv(recorded.to_csv(tmp_path / "again.csv"))
    assert np.allclose(again.values, recorded.values, atol=1e-7)
    paths = (clips / "livelink" / "rom_30fps.csv", tmp_path / "again.csv")
    headers = [path.read_text().splitlines()[0] for path in paths]
    assert headers[0] == headers[1]


@pytest.mark.parametrize("text, columns", [("", "none"), ("a,b\n1,2\n", "a, b"), ("hello", "hello")])
def test_csv_that_is_none_is_refused(tmp_path, text, columns):
    path = tmp_path / "clip.csv"
    path.write_text(text)
    with refused("csv_columns", path=path, columns=columns):
        FaceClip.from_csv(path)


def test_csv_with_a_broken_row_is_refused(tmp_path):
    path = random_clip(3).to_csv(tmp_path / "clip.csv")
    path.write_text(path.read_text().replace(",0.", ",x", 1))
    with refused("csv_row", path=path, line=2, column="eyeBlinkLeft"):
        FaceClip.from_csv(path)


def test_npz_round_trip(tmp_path):
    clip = random_clip(7, 29.97)
    read = FaceClip.from_npz(clip.to_npz(tmp_path / "clip.npz"))
    assert (read.names, read.fps) == (clip.names, clip.fps)
    assert np.array_equal(read.values, clip.values)


def test_a_small_archive_may_hold_large_arrays(tmp_path):
    """1.5 MB took 1.5 GB. Only what a clip needs is read, and no more than 128 MB of it."""
    clip, large = random_clip(), np.zeros(MAX_NPZ_BYTES + 1, np.uint8)
    given = {"names": np.array(clip.names), "values": clip.values, "fps": np.float64(clip.fps)}
    np.savez_compressed(tmp_path / "more.npz", **given, junk=large)
    np.savez_compressed(tmp_path / "large.npz", **(given | {"values": large.reshape(-1, 1)}))
    del large
    assert (tmp_path / "large.npz").stat().st_size < 2**20
    tracemalloc.start()
    try:
        assert np.array_equal(FaceClip.from_npz(tmp_path / "more.npz").values, clip.values)
        with refused("npz_large", path=tmp_path / "large.npz", limit=MAX_NPZ_BYTES // 2**20):
            FaceClip.from_npz(tmp_path / "large.npz")
        assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "changed",
    [
        {"names": np.array("jawOpen")}, {"names": np.array([["jawOpen"]])}, {"fps": np.array([30, 30])},
        {"fps": np.array("thirty")}, {"values": np.array([["a"]])}, {"values": np.zeros((2, 1), complex)},
        {"names": np.array(["x"] * 20_000)},
    ],
)  # fmt: skip
def test_an_archive_of_other_kinds_is_refused(tmp_path, changed):
    given = {"names": np.array(["jawOpen"]), "values": np.zeros((2, 1)), "fps": np.float64(30)}
    np.savez(tmp_path / "clip.npz", **(given | changed))
    with refused("npz_kinds", path=tmp_path / "clip.npz"):
        FaceClip.from_npz(tmp_path / "clip.npz")


def test_an_archive_that_lies_about_its_shape_is_damaged(tmp_path):
    """The header asks for 8 TB."""
    np.savez(tmp_path / "true.npz", names=np.array(["jawOpen"]), values=np.zeros((8, 1)), fps=30.0)
    with ZipFile(tmp_path / "true.npz") as true, ZipFile(tmp_path / "clip.npz", "w") as lying:
        for name in true.namelist():
            content = true.read(name)
            if name == "values.npy":
                content = content.replace(b"(8, 1), }" + b" " * 12, b"(1000000000000, 1), }")
                assert b"1000000000000" in content
            lying.writestr(name, content)
    with refused("npz_damaged", path=tmp_path / "clip.npz"):
        FaceClip.from_npz(tmp_path / "clip.npz")


def test_npz_keeps_the_head(tmp_path):
    clip = replace(random_clip(5, 30), head=np.arange(15.0).reshape(5, 3))
    assert np.array_equal(FaceClip.from_npz(clip.to_npz(tmp_path / "a.npz")).head, clip.head)
    assert FaceClip.from_npz(random_clip(5, 30).to_npz(tmp_path / "b.npz")).head is None


def test_npz_without_names_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", values=np.zeros(3))
    with refused("npz_lacks", path=tmp_path / "other.npz", missing="fps, names"):
        FaceClip.from_npz(tmp_path / "other.npz")


def test_damaged_archives_are_sentences(tmp_path):
    whole = random_clip().to_npz(tmp_path / "a.npz").read_bytes()
    np.save(tmp_path / "b.npy", np.zeros(3))
    contents = (whole[: len(whole) // 2], b"", b"no archive at all", (tmp_path / "b.npy").read_bytes())
    for content in contents:
        (tmp_path / "b.npz").write_bytes(content)
        with refused("npz_damaged", path=tmp_path / "b.npz"):
            FaceClip.from_npz(tmp_path / "b.npz")


def test_a_table_from_a_spreadsheet(tmp_path):
    """With a byte order mark and other line ends it is read; in another encoding it is a sentence."""
    text = random_clip().to_csv(tmp_path / "a.csv").read_text()
    other_ends = text.replace("\n", "\r\n")
    for content in (b"\xef\xbb\xbf" + other_ends.encode(), other_ends.encode("utf-16")):
        (tmp_path / "b.csv").write_bytes(content)
        assert np.allclose(
            FaceClip.from_csv(tmp_path / "b.csv").values, FaceClip.from_csv(tmp_path / "a.csv").values
        )
    (tmp_path / "c.csv").write_bytes(text.replace("Timecode", "Zeitmaß").encode("latin-1"))
    with refused("csv_encoding", path=tmp_path / "c.csv"):
        FaceClip.from_csv(tmp_path / "c.csv")
