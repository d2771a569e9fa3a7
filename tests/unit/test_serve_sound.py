"""Sound of a client: pieces of any size give the samples of the whole."""

import av
import numpy as np
import pytest
from support.errors import refused

from bilabial.io.audio import resample
from bilabial.serve.sound import PcmReader, mulaw_table

NOISE = np.random.default_rng(0).normal(0, 0.1, 30011)


def pieces(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@pytest.mark.parametrize("sampling_rate", [8000, 11025, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("size", [1, 7, 1009, 10**6])
def test_pieces_equal_the_whole(sampling_rate, size):
    sound = (NOISE[:6007] if size == 1 else NOISE) * 32767
    content = sound.astype("<i2").tobytes()
    reader = PcmReader(sampling_rate, "s16le")
    parts = [reader.read(piece) for piece in pieces(content, size)]
    assert len(reader.missing()) <= 40
    parts.append(reader.finish())
    expected = resample((sound.astype("<i2") / 32767).astype(np.float32), sampling_rate)
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-6)
    assert reader.num_samples == len(sound)


def test_encodings_agree():
    content = {
        "s16le": (NOISE * 32767).round().astype("<i2").tobytes(),
        "f32le": NOISE.astype("<f4").tobytes(),
    }
    for encoding, sound in content.items():
        np.testing.assert_allclose(PcmReader(16000, encoding).read(sound), NOISE, atol=2e-5)


def test_mulaw_is_that_of_ffmpeg():
    codes = np.arange(256, dtype=np.uint8)
    codec = av.CodecContext.create("pcm_mulaw", "r")
    codec.sample_rate, codec.layout = 8000, "mono"
    decoded = codec.decode(av.Packet(codes.tobytes()))[0].to_ndarray()[0]
    np.testing.assert_array_equal((mulaw_table() * 32768).astype(int), decoded)


def test_sound_that_is_none():
    for bad in (np.nan, np.inf):
        with refused("audio_not_finite", name="the sound"):
            PcmReader(16000, "f32le").read(np.array([0, bad], "<f4").tobytes())
    huge = PcmReader(16000, "f32le").read(np.array([1e38, -1e38], "<f4").tobytes())
    assert np.abs(huge).max() <= 8


def test_skipped_sound_is_counted():
    reader = PcmReader(16000, "s16le")
    reader.read(b"\0" * 5)
    reader.skip(5)
    assert reader.num_samples == 5
