"""The face and the audio stream of a take that belong together, among those that do not."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.errors import refused
from support.paths import ROOT

from bilabial.checkpoint import load_checkpoint
from bilabial.io.audio import decode_audio, load_audio
from bilabial.io.video import decode_frames
from bilabial.training.data.corpora import Take
from bilabial.training.data.quality import complaints, score_of
from bilabial.training.prepare.active_speaker import agreement, read_streams
from bilabial.training.prepare.align import predict_distance
from bilabial.training.prepare.take_job import TakeOptions, prepare_take

pytestmark = pytest.mark.slow

SPEAKER, OTHER = "lbax4n", "brbk7n"  # clips of two people
EXAMPLES = ROOT / "src" / "bilabial" / "examples"


@pytest.fixture(scope="module")
def model():
    return load_checkpoint()[0]


@pytest.fixture(scope="module")
def people(clips) -> dict[str, tuple[list[np.ndarray], np.ndarray]]:
    """Pictures at 25 fps and sound of two people, by clip."""
    paths = {name: clips / "validation" / "grid" / f"{name}.mp4" for name in (SPEAKER, OTHER)}
    return {
        name: ([image for _, image in decode_frames(path)], decode_audio(path)[0])
        for name, path in paths.items()
    }


def write_film(path: Path, images: list[np.ndarray], sounds: list[np.ndarray]) -> Path:
    """A video at 25 fps with an audio stream for each sound (S,) at 16 kHz."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"crf": "16", "bf": "0"})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuv420p"
        streams = [container.add_stream("aac", rate=16000, layout="mono") for _ in sounds]
        for image in images:
            container.mux(
                video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24"))
            )
        container.mux(video.encode(None))
        for stream, sound in zip(streams, sounds, strict=True):
            frame = av.AudioFrame.from_ndarray(sound[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def chords(seconds: float) -> np.ndarray:
    times = np.arange(int(16000 * seconds)) / 16000
    notes = [[220, 277, 330], [196, 247, 294], [175, 220, 262]]
    parts = [0.1 * sum(np.sin(2 * np.pi * note * times) for note in chord) for chord in notes]
    return np.choose((times * 2).astype(int) % 3, parts).astype(np.float32)


def prepared(path: Path, **options: object) -> tuple[dict, object]:
    row, outcome = prepare_take(Take("x", path), TakeOptions(**options))
    return row, outcome.quality


def lips_of(path: Path) -> np.ndarray:
    return np.array(prepared(path)[0]["lip_gap"])


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    count = min(len(first), len(second))
    return np.corrcoef(first[:count], second[:count])[0, 1]


def test_lips_agree_with_their_own_sound_alone(model, speech):
    other = load_audio(EXAMPLES / "mandarin.flac")[: len(speech)]
    own, strange = (predict_distance(sound, 50.0, model) for sound in (speech, other))
    rng = np.random.default_rng(0)
    gap = own + 0.5 * own.std() * rng.standard_normal(len(own))
    valid = np.ones(len(gap), bool)
    assert agreement(own, gap, valid, 50.0) > 0.8
    assert agreement(strange, gap, valid, 50.0) < 0.4
    late = np.concatenate([np.repeat(gap[:1], 6), gap[:-6]])  # 120 ms
    assert agreement(own, late, valid, 50.0) > 0.8
    holes = np.arange(len(gap)) % 40 < 20
    spoilt = np.where(holes, gap, 10.0)
    assert agreement(own, gap, holes, 50.0) > 0.7 > agreement(own, spoilt, valid, 50.0)
    assert agreement(own, gap, ~valid, 50.0) == 0.0


def test_the_audio_stream_that_fits_the_lips_is_taken_and_named(people, tmp_path):
    images, sound = people[SPEAKER]
    path = write_film(tmp_path / "two.mp4", images, [chords(3.0), sound])
    _, quality = prepared(path)
    assert (quality.audio_stream, quality.num_audio_streams) == (1, 2)
    assert quality.notes == ["audio stream 1 of 2, counted from 0"] and score_of(quality) == 100.0
    _, music = prepared(path, audio_stream=0)
    assert music.audio_stream == 0 and score_of(music) < 50.0
    assert next(iter(complaints(music))) == "agreement_ratio"


def test_a_stream_that_is_not_there_is_said(people, tmp_path):
    images, sound = people[SPEAKER]
    path = write_film(tmp_path / "one.mp4", images[:5], [sound])
    with refused("audio_stream", name="one.mp4", count=1, last=0, got="3"):
        read_streams(path, 10.0, 3)
    with refused("option_least", option="--audio_stream", low=0, got="-1"):
        TakeOptions(audio_stream=-1)


def test_the_face_that_speaks_is_taken_although_another_is_larger(people, tmp_path):
    images, sound = people[SPEAKER]
    larger = [image.repeat(2, axis=0).repeat(2, axis=1) for image in people[OTHER][0]]
    both = [
        np.concatenate([np.pad(image, ((288, 0), (0, 0), (0, 0))), other], axis=1)
        for image, other in zip(images, larger, strict=True)
    ]
    path = write_film(tmp_path / "both.mp4", both, [sound])
    row, quality = prepared(path)
    assert quality.num_faces == 2 and "one of 2 faces" in quality.notes
    alone = lips_of(write_film(tmp_path / "alone.mp4", images, [sound]))
    assert correlation(np.array(row["lip_gap"]), alone) > 0.9
    assert score_of(quality) >= 90.0


def test_a_face_that_does_not_speak_loses_its_score(people, tmp_path):
    _, sound = people[SPEAKER]
    _, quality = prepared(write_film(tmp_path / "wrong.mp4", people[OTHER][0], [sound]))
    assert quality.notes == [] and score_of(quality) < 50.0
    assert "agreement_ratio" in complaints(quality)
    _, unknown = prepared(tmp_path / "wrong.mp4", model="none")
    assert unknown.agreement is None and unknown.offset_trust is None


def test_a_video_upside_down_is_turned_and_said(people, tmp_path):
    images, sound = people[SPEAKER]
    turned = [np.rot90(image, 2) for image in images]
    _, quality = prepared(write_film(tmp_path / "turned.mp4", turned, [sound]))
    assert quality.notes == ["pictures turned by 180 degrees"] and score_of(quality) == 100.0


def test_an_offset_that_cannot_be_told_is_not_perfect(people, tmp_path):
    images, sound = people[SPEAKER]
    short = write_film(tmp_path / "short.mp4", images[20:35], [sound[12800:22400]])
    _, quality = prepared(short)
    assert quality.av_offset_ms is None and "offset_trust" in complaints(quality)
    assert score_of(quality) < 100.0
