import numpy as np
import pytest

from bilabial.clip import FaceClip
from bilabial.corpora import read_takes
from bilabial.facegood import FACEGOOD_BLENDSHAPES


def grid(tmp_path, speakers=("s1",)):
    for speaker in speakers:
        (tmp_path / speaker).mkdir(parents=True)
        for clip in ("bbaf2n", "lrwp9a"):
            (tmp_path / speaker / f"{clip}.mpg").touch()
            (tmp_path / speaker / f"{clip}.align").touch()
    return tmp_path


def videos(tmp_path, table: str):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    (tmp_path / "metadata.csv").write_text(table, encoding="utf-8")
    return tmp_path


def test_grid_folder_of_speakers(tmp_path):
    takes = read_takes("grid", grid(tmp_path, ("s1", "s2")))
    assert [take.id for take in takes] == [
        "grid/s1/bbaf2n", "grid/s1/lrwp9a", "grid/s2/bbaf2n", "grid/s2/lrwp9a"
    ]  # fmt: skip
    assert {take.licence for take in takes} == {"CC BY 4.0"}
    assert takes[0].style == takes[0].speaker == "grid_s1" and takes[0].emotion == "neutral"


def test_grid_folder_of_one_speaker(tmp_path):
    assert [take.speaker for take in read_takes("grid", grid(tmp_path) / "s1")] == ["grid_s1"] * 2


def test_videos_with_metadata(tmp_path):
    folder = videos(tmp_path, "\ufefffile,emotion,style,split,licence\na.mp4, happy ,lively,validation,CC0\n")
    (take,) = read_takes("videos", folder)
    assert (take.emotion, take.style, take.split, take.licence) == ("happy", "lively", "validation", "CC0")


def test_empty_cells_take_the_default(tmp_path):
    (take,) = read_takes("videos", videos(tmp_path, "file,emotion,style,split\na.mp4,,,\n"))
    assert (take.emotion, take.style, take.split, take.speaker) == ("neutral", "default", None, "unknown")


@pytest.mark.parametrize(
    "table, message",
    [
        ("name\na.mp4\n", "needs a column 'file'"),
        ("file,emotion\na.mp4,joyful\n", "line 2: emotion must be one of neutral.*got 'joyful'"),
        ("file,split\na.mp4,dev\n", "line 2: split must be one of train"),
        ("file\na.mp4\nb.mp4\n", "line 3 names 'b.mp4', which is not in"),
        ("file,emotion\n,happy\n", "line 2 has an empty column 'file'"),
        ("file\na.mp4\na.mp4\n", "twice"),
        ("file\n", "holds no takes"),
    ],
)
def test_wrong_metadata_is_named(tmp_path, table, message):
    with pytest.raises(ValueError, match=message):
        read_takes("videos", videos(tmp_path, table))


def test_wrong_folders_and_readers(tmp_path):
    with pytest.raises(ValueError, match="no metadata.csv"):
        read_takes("videos", tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        read_takes("grid", tmp_path / "gone")
    with pytest.raises(ValueError, match="reader must be one of videos, grid"):
        read_takes("imax", tmp_path)


def recording(folder, name="a", seconds=25.0):
    names = sorted({term for terms in FACEGOOD_BLENDSHAPES.values() for term in terms})
    clip = FaceClip(names, np.zeros((round(seconds * 30), len(names)), np.float32), 30)
    clip.to_npz(folder / f"{name}.npz")
    (folder / f"{name}.flac").touch()
    return folder


def test_facegood_recordings_come_in_pieces_for_validation(tmp_path):
    first, second = read_takes("facegood", recording(tmp_path))
    assert (first.id, second.id) == ("facegood/a_00", "facegood/a_01")
    assert (first.start_seconds, first.duration_seconds) == (0.0, 10.0)
    assert (second.start_seconds, second.duration_seconds) == (10.0, 15.0)
    assert first.split == second.split == "validation" and first.licence == "MIT"
    assert first.video is None and first.files == (tmp_path / "a.npz", tmp_path / "a.flac")


def test_curves_without_a_sound_are_refused(tmp_path):
    (recording(tmp_path) / "a.flac").unlink()
    with pytest.raises(ValueError, match="a.npz has no sound beside it; .flac, .wav"):
        read_takes("facegood", tmp_path)
