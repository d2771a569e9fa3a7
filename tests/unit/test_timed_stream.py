"""Frames of a connection: their samples, chunks and numbers, through flushes and interrupts."""

import numpy as np
import pytest

from bilabial.animator import Animator
from bilabial.hub.feature_extraction_bilabial import BilabialFeatureExtractor
from bilabial.serve.inbox import Sound
from bilabial.serve.protocol import Frames, Kind
from bilabial.serve.sound import PcmReader
from bilabial.serve.timed_stream import TimedStream

pytestmark = pytest.mark.filterwarnings("ignore::bilabial.errors.UntrainedEmotionWarning")


@pytest.fixture
def animator(tiny_model) -> Animator:
    return Animator(tiny_model, BilabialFeatureExtractor())


def opened(animator: Animator, sampling_rate: int = 16000, fps: float = 30.0) -> TimedStream:
    stream = animator.stream(fps=fps, motion=(), seed=0)
    return TimedStream(stream, PcmReader(sampling_rate, "s16le"))


def sound(seconds: float, sampling_rate: int = 16000, seed: int = 0) -> bytes:
    noise = np.random.default_rng(seed).normal(0, 3000, round(seconds * sampling_rate))
    return noise.astype("<i2").tobytes()


def spoken(stream: TimedStream, content: bytes, size: int) -> list[Frames]:
    return [stream.feed([Sound(content[start : start + size])]) for start in range(0, len(content), size)]


def joined(parts: list[Frames], name: str) -> np.ndarray:
    return np.concatenate([getattr(part, name) for part in parts])


@pytest.mark.parametrize(("sampling_rate", "fps"), [(16000, 30), (24000, 60), (44100, 29.97), (8000, 25)])
@pytest.mark.parametrize("size", [1009, 4801])
def test_every_frame_knows_its_sample_and_chunk(animator, sampling_rate, fps, size):
    stream, content = opened(animator, sampling_rate, fps), sound(1.3, sampling_rate)
    parts = [*spoken(stream, content, size), stream.finish()]
    samples, count = joined(parts, "samples"), -(-1.3 * fps // 1)
    assert len(samples) == count == stream.num_sent
    times = np.arange(len(samples)) / fps * sampling_rate
    assert np.all((samples <= times + 1e-5) & (times < samples + 1))  # the sample that is played then
    np.testing.assert_array_equal(joined(parts, "chunks"), (samples * 2 + 1) // size)
    np.testing.assert_array_equal(joined(parts, "numbers"), np.arange(count))
    assert stream.num_chunks == -(-len(content) // size)


def test_parts_of_a_chunk_are_one_chunk(animator):
    content = sound(1.0)
    whole, parts = opened(animator), opened(animator)
    expected = [whole.feed([Sound(content[:20000])]), whole.feed([Sound(content[20000:])]), whole.finish()]
    sounds = [Sound(content[:9001], False), Sound(content[9001:20000]), Sound(content[20000:])]
    given = [parts.feed(sounds), parts.finish()]
    for name in ("samples", "chunks", "numbers"):
        np.testing.assert_array_equal(joined(given, name), joined(expected, name))
    np.testing.assert_allclose(joined(given, "values"), joined(expected, "values"), atol=1e-5)
    assert whole.num_chunks == parts.num_chunks == 2


@pytest.mark.parametrize("sampling_rate", [16000, 44100])
def test_a_flush_sends_all_and_the_rest_goes_on(animator, sampling_rate):
    content, cut = sound(2.0, sampling_rate), 2 * round(0.777 * sampling_rate)
    plain = opened(animator, sampling_rate)
    expected = [*spoken(plain, content, 3200), plain.finish()]
    stream = opened(animator, sampling_rate)
    before = [*spoken(stream, content[:cut], 3200), stream.flush()]
    assert len(joined(before, "samples")) == 24  # ceil(.777 * 30)
    assert len(stream.flush()) == 0
    parts = [*before, *spoken(stream, content[cut:], 3200), stream.finish()]
    np.testing.assert_array_equal(joined(parts, "samples"), joined(expected, "samples"))
    np.testing.assert_array_equal(joined(parts, "numbers"), np.arange(60))
    values, wanted = joined(parts, "values"), joined(expected, "values")
    np.testing.assert_allclose(values[24:], wanted[24:], atol=1e-4)  # nothing is forgotten by a flush


def test_an_interrupt_returns_to_rest_within_200_ms(animator):
    stream = opened(animator)
    parts = spoken(stream, sound(1.5), 3200)
    samples, values = joined(parts, "samples"), joined(parts, "values")
    played = 12000  # of 24000 that were sent
    start, frames = stream.interrupt(played)
    assert start == samples[samples <= played][-1]
    assert frames.kind is Kind.REST and len(frames) == 6
    assert frames.samples[-1] - start <= 0.2 * 16000
    np.testing.assert_allclose(frames.values[-1], stream.rest(), atol=1e-6)
    first, rest = values[samples <= played][-1], frames.values[-1]
    distances = np.abs(frames.values - rest).max(axis=1)
    assert np.all(np.diff(distances) < 0)  # on its way without a jump
    assert np.abs(frames.values[0] - first).max() < 0.15 * np.abs(first - rest).max() + 1e-6


def test_new_sound_after_an_interrupt_begins_anew(animator):
    stream = opened(animator)
    spoken(stream, sound(0.7), 3200)
    stream.skip([Sound(b"\0" * 3200), Sound(b"\0" * 3200)])  # 200 ms that nobody hears
    stream.interrupt(4000)
    chunks, sent = stream.num_chunks, stream.num_sent
    parts = [*spoken(stream, sound(1.0, seed=1), 3200), stream.finish()]
    fresh = opened(animator)
    fresh_parts = [*spoken(fresh, sound(1.0, seed=1), 3200), fresh.finish()]
    base = round(0.9 * 16000)
    np.testing.assert_array_equal(joined(parts, "samples"), joined(fresh_parts, "samples") + base)
    np.testing.assert_array_equal(joined(parts, "chunks"), joined(fresh_parts, "chunks") + chunks)
    np.testing.assert_array_equal(joined(parts, "numbers"), joined(fresh_parts, "numbers") + sent)


@pytest.mark.parametrize("fps", [1, 4, 240])
def test_odd_rates_return_in_time_too(animator, fps):
    stream = opened(animator, 8000, fps)
    spoken(stream, sound(1.2, 8000), 1600)
    start, frames = stream.interrupt()
    assert len(frames) == max(1, fps // 5)
    assert 0 < frames.samples[-1] - start <= 1600
    start, frames = stream.interrupt(0)  # again, from a face that rests
    np.testing.assert_allclose(frames.values, np.tile(stream.rest(), (len(frames), 1)), atol=1)


def test_no_sound_has_no_frames(animator):
    stream = opened(animator)
    assert len(stream.flush()) == len(stream.feed([Sound(b"")])) == 0
    assert len(stream.interrupt()[1]) == 6
    assert len(stream.finish()) == 0


def test_a_change_of_emotion_begins_where_it_says(animator):
    same, other = opened(animator), opened(animator)
    content = sound(2.0)
    for stream in (same, other):
        spoken(stream, content[:32000], 3200)
    sample = other.set_emotion("happy", 1.0)
    parts = [[*spoken(stream, content[32000:], 3200), stream.finish()] for stream in (same, other)]
    calm, happy = (joined(part, "values") for part in parts)
    changed = joined(parts[0], "samples")[np.abs(calm - happy).max(axis=1) > 1e-6]
    assert sample <= changed[0] <= sample + 2 * 534
