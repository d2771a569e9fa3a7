from pathlib import Path

import av
import numpy as np
import pytest
from support.errors import message_of, refused
from support.media import write_video
from support.paths import EXAMPLE

from bilabial.errors import MissingFileError
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.hub.level_bilabial import SPEECH_LEVEL_DB, normalize_level, speech_level_db
from bilabial.io.audio import SoundWarning, decode_wav, encode_m4a, encode_wav, load_audio, resample


def tone(seconds: float = 1.0, rate: int = 16000, hz: float = 220.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def encode(path: Path, codec: str, waveform: np.ndarray, rate: int, layout: str = "mono") -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frames = np.repeat(waveform[None], 2 if layout == "stereo" else 1, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(frames), format="fltp", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))
    return path


@pytest.mark.parametrize(
    "name, codec, rate, layout",
    [
        ("a.wav", "pcm_s16le", 16000, "mono"), ("a.wav", "pcm_f32le", 48000, "stereo"),
        ("a.mp3", "libmp3lame", 44100, "stereo"), ("a.m4a", "aac", 48000, "mono"),
        ("a.ogg", "libopus", 24000, "mono"), ("a.opus", "libopus", 48000, "stereo"),
        ("a.flac", "flac", 22050, "mono"), ("a.webm", "libopus", 48000, "mono"),
        ("a.mp4", "aac", 44100, "stereo"), ("a.mov", "pcm_s16le", 8000, "mono"),
    ],
)  # fmt: skip
def test_every_format_rate_and_channel_count(tmp_path, name, codec, rate, layout):
    path = encode(tmp_path / name, codec, tone(1.0, rate), rate, layout)
    waveform = load_audio(path, normalize=False)
    assert waveform.dtype == np.float32
    assert len(waveform) == pytest.approx(16000, abs=1600)  # lossy codecs pad
    middle = waveform[4000:12000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(8000)))
    assert np.argmax(spectrum) * 2 == pytest.approx(220, abs=2)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.1)
    assert np.allclose(load_audio(path.read_bytes(), normalize=False), waveform)


INTEGERS = [np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32]


@pytest.mark.parametrize("dtype", [*INTEGERS, np.float16, np.float32, np.float64])
def test_arrays_of_any_kind(dtype):
    wave = tone(0.5, 44100)
    if np.issubdtype(dtype, np.unsignedinteger):
        array = ((wave.astype(np.float64) + 1) / 2 * np.iinfo(dtype).max).round().astype(dtype)
    elif np.issubdtype(dtype, np.integer):
        array = (wave * np.iinfo(dtype).max).astype(dtype)
    else:
        array = wave.astype(dtype)
    mono = load_audio((44100, array), normalize=False)
    stereo = load_audio((44100, np.stack([array, array], axis=1)), normalize=False)
    assert len(mono) == pytest.approx(8000, abs=20)
    assert np.allclose(mono, stereo, atol=1e-4)
    assert np.abs(mono[1000:7000]).max() == pytest.approx(0.3, rel=0.05)


def test_lists_and_int64_hold_16_bits():
    sixteen = (tone(0.5) * 32767).astype(np.int16)
    expected = load_audio((16000, sixteen), normalize=False)
    for samples in (sixteen.astype(np.int64), sixteen.tolist(), sixteen[:, None].tolist()):
        assert np.allclose(load_audio((16000, samples), normalize=False), expected, atol=1e-6)
    loud = BilabialFeatureExtractor()(sixteen.tolist(), sampling_rate=16000)["input_values"][0]
    assert np.allclose(loud, load_audio((16000, sixteen)), atol=1e-5)


def test_24_bits_in_32_are_followed(speech):
    """They belong in the upper bits; in the lower ones they are 48 dB softer."""
    wide = (speech.clip(-1, 1) * (2**23 - 1)).astype(np.int32)
    assert np.corrcoef(load_audio((16000, wide)), speech)[0, 1] > 0.9999
    assert speech_level_db(load_audio((16000, wide))) == pytest.approx(SPEECH_LEVEL_DB, abs=0.01)


@pytest.mark.parametrize(
    "samples, message",
    [
        (np.array([0, 40000] * 100), "-32768 to 32767, got 0 to 40000"),
        (np.zeros(100, np.uint64), "got uint64"),
        (np.zeros(100, bool), "got bool"),
        (np.zeros(100, complex), "got complex128"),
        ([0.1, None], "got object"),
        ([2**70], "got object"),
        ([[0.1], [0.1, 0.2]], "uneven"),
    ],
)
def test_other_kinds_are_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        load_audio((16000, samples))


def test_a_video_gives_its_sound(tmp_path):
    images = [np.full((64, 64, 3), k * 10, np.uint8) for k in range(10)]
    path = write_video(tmp_path / "v.mp4", [k / 10 for k in range(10)], images, seconds_of_sound=1.0)
    assert len(load_audio(path)) == pytest.approx(16000, abs=1600)


def test_level_is_normalized_once():
    quiet = load_audio(EXAMPLE) * 0.01
    once = normalize_level(quiet)
    assert speech_level_db(once) == pytest.approx(SPEECH_LEVEL_DB, abs=0.01)
    assert np.allclose(normalize_level(once), once, atol=1e-6)
    padded = np.concatenate([np.zeros(80000, np.float32), quiet])  # pauses do not count
    assert speech_level_db(normalize_level(padded)) == pytest.approx(SPEECH_LEVEL_DB, abs=0.5)


def test_silence_is_left_alone_and_told():
    hiss = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 1e-4
    for sound, level in ((np.zeros(16000, np.float32), -np.inf), (hiss, -80)):
        assert np.array_equal(normalize_level(sound), sound)
        said = message_of("sound_silent", name="the given array", level=level)
        with pytest.warns(SoundWarning, match=said):
            assert np.allclose(load_audio((16000, sound)), sound)


@pytest.mark.parametrize("level_db", [-66.0, -75.0, -85.0])
def test_soft_speech_is_followed(speech, level_db):
    soft = np.round(speech * 10 ** ((level_db - SPEECH_LEVEL_DB) / 20) * 32767).astype(np.int16)
    sound = load_audio((16000, soft))
    assert speech_level_db(sound) == pytest.approx(SPEECH_LEVEL_DB, abs=0.01)
    assert np.corrcoef(sound, speech)[0, 1] > (0.9 if level_db > -80 else 0.6)  # what 16 bits leave of it


def test_wav_round_trip(speech):
    assert np.allclose(decode_wav(encode_wav(speech)), speech, atol=1e-4)
    assert np.allclose(load_audio(encode_wav(speech), normalize=False), speech, atol=1e-4)


def test_aac_is_small_and_not_shifted(speech):
    content = encode_m4a(speech)
    assert len(content) < 6_500 * len(speech) / 16000  # bytes per second
    sound = load_audio(content, normalize=False)
    assert 0 <= len(sound) - len(speech) < 1024  # the last frame is filled up
    for lag in (-16, 0, 16):  # 1 ms
        r = np.corrcoef(np.roll(speech, lag)[100:-100], sound[: len(speech)][100:-100])[0, 1]
        assert r > 0.999 if lag == 0 else r < 0.99
    assert len(load_audio(encode_m4a(speech[:1]), normalize=False)) >= 1
    assert np.abs(load_audio(encode_m4a(3 * speech), normalize=False)).max() < 1.2  # clipped, not wrapped


def test_resampling_keeps_time():
    click = np.zeros(48000, np.float32)
    click[24000] = 1.0
    assert np.argmax(np.abs(resample(click, 48000))) == pytest.approx(8000, abs=1)


# ---- what is refused


def test_text_renamed_wav(tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("this is not sound " * 100)
    with refused("media_unknown", name="notes.wav"):
        load_audio(path)


def test_empty_file(tmp_path):
    path = tmp_path / "empty.wav"
    path.touch()
    with refused("file_empty", name="empty.wav"):
        load_audio(path)
    with refused("file_empty", name="0 bytes of media"):
        load_audio(b"")


def test_missing_file(tmp_path):
    with refused("file_missing", MissingFileError, name="gone.wav"):
        load_audio(tmp_path / "gone.wav")


def test_no_samples():
    with refused("audio_empty"):
        load_audio(encode_wav(np.zeros(0, np.float32)))
    with refused("audio_empty", name="the given array"):
        load_audio((16000, np.zeros(0, np.float32)))


def test_nan(tmp_path):
    broken = tone()
    broken[100] = np.nan
    with refused("audio_not_finite", name="the given array"):
        load_audio((16000, broken))
    with refused("audio_not_finite", name="nan.wav"):
        load_audio(encode(tmp_path / "nan.wav", "pcm_f32le", broken, 16000))


def test_three_hours(tmp_path):
    path = tmp_path / "long.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_u8", rate=8000, layout="mono")
        silence = np.full((1, 8000 * 60), 128, np.uint8)
        for _ in range(180):
            frame = av.AudioFrame.from_ndarray(silence, format="u8", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with refused("audio_too_long", name="long.wav", seconds=10800, limit=600):
        load_audio(path)


def test_too_long_array():
    with refused("audio_too_long", name="the given array", seconds=2, limit=1):
        load_audio((16000, tone(2.0)), max_seconds=1.0)


def test_video_without_sound(tmp_path):
    images = [np.zeros((64, 64, 3), np.uint8)] * 5
    path = write_video(tmp_path / "mute.mp4", [k / 10 for k in range(5)], images)
    with refused("audio_missing", name="mute.mp4"):
        load_audio(path)


def test_cut_file(tmp_path):
    path = encode(tmp_path / "a.mp4", "aac", tone(2.0, 44100), 44100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with refused("media_unknown", name="a.mp4"):
        load_audio(path)


@pytest.mark.parametrize(
    "source, message",
    [
        ((0, np.zeros(10)), "1000 to 384000 Hz, got 0"),
        ((16000, np.zeros((10, 2, 2))), r"got \(10, 2, 2\)"),
        ((16000, np.array(["a"])), "got <U1"),
        ((16000, np.zeros((10, 0))), r"got \(10, 0\)"),
        ((np.zeros(10), 16000), "1000 to 384000 Hz, got ndarray"),
        (np.zeros(10), "got ndarray$"),
        (None, "got NoneType$"),
    ],
)
def test_wrong_arrays(source, message):
    with pytest.raises(ValueError, match=message):
        load_audio(source)


def test_damage_is_passed_over(tmp_path):
    """As FFmpeg does: what can be decoded is heard."""
    sound = tone(2.0, 44100)
    whole = encode(tmp_path / "a.mp3", "libmp3lame", sound, 44100).read_bytes()
    (tmp_path / "b.mp3").write_bytes(whole + b"no mp3" * 500)
    (tmp_path / "c.mp3").write_bytes(whole + whole)
    assert len(load_audio(tmp_path / "b.mp3")) == pytest.approx(2 * 16000, rel=0.1)
    assert len(load_audio(tmp_path / "c.mp3")) == pytest.approx(4 * 16000, rel=0.1)
    flac = encode(tmp_path / "d.flac", "flac", sound, 44100)
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size * 2 // 3])
    assert len(load_audio(flac)) > 16000


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    (tmp_path / "12:30 take.wav").write_bytes(encode_wav(np.zeros(160, np.float32)))
    monkeypatch.chdir(tmp_path)
    assert len(load_audio("12:30 take.wav")) == 160


@pytest.mark.parametrize("rate, count", [(8000, 1), (44100, 50), (96000, 20)])
def test_some_samples_are_a_sound(rate, count):
    assert len(load_audio((rate, np.full(count, 0.1, np.float32)))) >= 1
