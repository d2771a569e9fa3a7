"""Sound keeps its time: gaps, joints, formats, channels, and what a file declares of its length."""

import io
import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from support.errors import message_of, refused
from support.media import CLICKS, bursts, media, remux

from bilabial.io.audio import SoundWarning, decode_audio, load_audio, read_recording
from bilabial.io.media import media_seconds


def onsets(sound: np.ndarray) -> list[float]:
    """When bursts begin, in seconds."""
    loud = np.flatnonzero(np.abs(sound) > 0.15) / 16000
    return [float(loud[0]), *(float(time) for time in loud[1:][np.diff(loud) > 0.05])]


FORMATS = [
    ("wav", "pcm_s16le", 44100), ("wav", "pcm_f32le", 96000), ("w64", "pcm_s16le", 8000),
    ("mp3", "libmp3lame", 44100), ("mp3", "libmp3lame", 16000), ("adts", "aac", 44100), ("ac3", "ac3", 48000),
    ("mp4", "aac", 44100), ("ipod", "aac", 48000), ("mov", "pcm_s16le", 22050), ("mp4", "libopus", 48000),
    ("mp4", "libmp3lame", 44100), ("ogg", "libopus", 48000), ("webm", "libopus", 48000),
    ("ogg", "flac", 44100), ("ogg", "vorbis", 44100), ("webm", "vorbis", 48000),
    ("flac", "flac", 44100), ("flac", "flac", 16000),
    ("matroska", "aac", 44100), ("matroska", "pcm_s16le", 44100), ("mpegts", "aac", 48000),
    ("mpegts", "mp2", 44100), ("mpeg", "mp2", 44100), ("flv", "aac", 44100), ("avi", "libmp3lame", 44100),
    ("aiff", "pcm_s16be", 44100), ("caf", "alac", 44100), ("3gp", "aac", 16000),
]  # fmt: skip


def plainly_decoded(content: bytes) -> np.ndarray:
    """What FFmpeg decodes, laid end to end: no ordinary file has gaps."""
    with av.open(io.BytesIO(content)) as container:
        frames = []
        resampler = av.AudioResampler(format="fltp", rate=16000)
        for frame in container.decode(container.streams.audio[0]):
            frame.pts = None
            frames += resampler.resample(frame)
        frames += resampler.resample(None)
        return np.concatenate([frame.to_ndarray().mean(axis=0) for frame in frames])


@pytest.mark.parametrize("container_name, codec, rate", FORMATS)
def test_ordinary_files_have_no_gaps(container_name, codec, rate):
    """Priming, edit lists and rounded timestamps are none: length and onsets are as FFmpeg decodes them."""
    layout = "stereo" if codec == "vorbis" else "mono"
    content = media(container_name, codec, rate, layout)
    recording, plain = read_recording(content, 10.0), plainly_decoded(content)
    assert recording.gaps == () and recording.missing_seconds == 0.0
    assert np.array_equal(recording.waveform, plain)
    primed = codec in ("aac", "ac3", "mp2", "libmp3lame", "alac") and container_name != "mp4"
    if not primed:  # containers that note what the encoder put before the sound
        assert onsets(recording.waveform) == pytest.approx(CLICKS, abs=0.002)
        assert len(recording.waveform) / 16000 == pytest.approx(2.0, abs=0.025)


@pytest.mark.parametrize("lost", [(0.8, 1.0), (0.78, 0.8), (0.1, 0.3)])
@pytest.mark.parametrize(
    "container_name, codec, rate, options",
    [
        ("mp4", "aac", 44100, {}), ("mp4", "libopus", 48000, {}), ("webm", "libopus", 48000, {}),
        ("mp4", "aac", 44100, {"movflags": "frag_keyframe+empty_moov", "frag_duration": "200000"}),
        ("ogg", "libopus", 48000, {"page_duration": "20000"}), ("mpegts", "aac", 48000, {}),
        ("flv", "aac", 44100, {}), ("matroska", "aac", 48000, {}),
    ],
)  # fmt: skip
def test_lost_packets_leave_silence(container_name, codec, rate, options, lost):
    whole = media(container_name, codec, rate)
    before = read_recording(remux(whole, container_name, **options), 10.0)
    torn = remux(whole, container_name, lambda time: not lost[0] <= time < lost[1], **options)
    recording = read_recording(torn, 10.0)
    assert len(recording.gaps) == 1
    gap = recording.gaps[0]
    assert gap.start_seconds == pytest.approx(lost[0], abs=0.045)  # a packet, and priming
    assert gap.seconds == pytest.approx(lost[1] - lost[0], abs=0.03)
    first, last = (round(at * 16000) for at in (gap.start_seconds, gap.start_seconds + gap.seconds))
    assert not recording.waveform[first:last].any()
    assert onsets(recording.waveform) == pytest.approx(onsets(before.waveform), abs=0.001)
    assert recording.missing_seconds == 0.0


def test_what_was_lost_is_told():
    torn = remux(media("mp4", "aac", 44100), "mp4", lambda time: not 0.8 <= time < 1.0)
    notes = []
    load_audio(torn, on_warning=notes.append)
    (note,) = notes
    assert note.code == "sound_gaps"
    assert note.parameters["seconds"] == pytest.approx(0.21, abs=0.005)
    assert note.parameters["start"] == pytest.approx(0.845, abs=0.05)
    with pytest.warns(SoundWarning, match=message_of(note.code, **note.parameters)):
        load_audio(torn)


def test_many_lost_packets_do_not_add_up():
    """Every other packet of a noise: what is left stands where it stood."""
    noise = np.random.default_rng(0).standard_normal(44100 * 8).astype(np.float32) * 0.1
    whole = media("mp4", "flac", 44100, sound=noise)
    numbers = itertools.count()
    recording = read_recording(remux(whole, "mp4", lambda time: next(numbers) % 2 == 0), 10.0)
    assert len(recording.gaps) > 30
    plain = read_recording(whole, 10.0).waveform
    played = np.flatnonzero(recording.waveform[: len(plain)])[-16000:]
    assert np.corrcoef(recording.waveform[played], plain[played])[0, 1] > 0.8


def test_a_clock_that_jumps_there_and_back_is_no_gap():
    """One packet with a wrong time, and timestamps that jitter, as recorders of browsers write them."""
    whole = media("webm", "libopus", 48000)
    rng = np.random.default_rng(0)
    wrong = remux(whole, "webm", moved=lambda time: 0.01 if 0.79 < time < 0.805 else 0.0)
    jitter = remux(whole, "webm", moved=lambda time: rng.uniform(-0.008, 0.008) if time > 0.1 else 0.0)
    for content in (wrong, jitter):
        recording = read_recording(content, 10.0)
        assert recording.gaps == ()
        assert onsets(recording.waveform) == pytest.approx(CLICKS, abs=0.002)


def test_a_packet_too_damaged_to_be_decoded_leaves_silence():
    whole = media("mp4", "aac", 44100)
    with av.open(io.BytesIO(whole)) as container:
        packets = [p for p in container.demux() if p.pts is not None and 0.85 < p.pts * p.time_base < 0.95]
        spans = [(packet.pos, packet.size) for packet in packets]
    damaged = bytearray(whole)
    for start, size in spans:
        damaged[start : start + size] = b"\xff" * size
    recording = read_recording(bytes(damaged), 10.0)
    assert onsets(recording.waveform)[-2:] == pytest.approx(CLICKS[1:], abs=0.003)
    assert sum(gap.seconds for gap in recording.gaps) == pytest.approx(0.1, abs=0.05)


def test_a_hole_of_hours_is_refused():
    content = remux(media("matroska", "aac", 44100), "matroska", moved=lambda time: 7200.0 * (time > 1.0))
    with refused("audio_too_long", seconds=pytest.approx(7204.5, abs=5), limit=60):
        read_recording(content, 60.0)


def test_joined_broadcasts_begin_a_new_clock():
    first, second = media("mpegts", "aac", 48000), media("mpegts", "aac", 48000)
    later = remux(second, "mpegts", moved=lambda time: 5000.0)
    for content in (first + second, first + later):
        recording = read_recording(content, 60.0)
        assert recording.gaps == ()
        assert len(recording.waveform) / 16000 == pytest.approx(4.05, abs=0.05)


MANY_KINDS = [(44100, "stereo"), (16000, "mono"), (48000, "mono")]


@pytest.mark.parametrize(
    "container_name, codec, kinds",
    [
        ("mp3", "libmp3lame", MANY_KINDS), ("adts", "aac", MANY_KINDS), ("ogg", "flac", MANY_KINDS),
        ("ogg", "libopus", [(48000, "stereo"), (48000, "stereo"), (48000, "mono")]),
        ("ogg", "vorbis", [(44100, "stereo"), (48000, "stereo"), (16000, "stereo")]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", [1, -1])
def test_the_format_may_change_on_the_way(container_name, codec, kinds, order):
    """Rates and channels, up and down."""
    content = b"".join(media(container_name, codec, rate, layout) for rate, layout in kinds[::order])
    recording = read_recording(content, 60.0)
    assert len(recording.waveform) / 16000 == pytest.approx(6.0, abs=0.35)  # encoders pad
    assert len(onsets(recording.waveform)) == 9
    assert recording.gaps == ()


# ---- channels


@pytest.mark.parametrize("layout, inverted", [("stereo", (1,)), ("5.1", (1, 3, 5))])
def test_inverted_channels_do_not_cancel(speech, layout, inverted):
    channels = np.repeat(0.5 * speech[None, :48000], 2 if layout == "stereo" else 6, axis=0)
    channels[list(inverted)] *= -1
    content = media("flac", "flac", 16000, layout, sound=channels)
    for source in (content, (16000, channels.T)):
        played = load_audio(source, normalize=False)
        assert np.corrcoef(played, speech[:48000])[0, 1] > 0.999
        assert np.std(played) == pytest.approx(0.5 * np.std(speech[:48000]), rel=0.01)


def test_a_part_that_cancels_is_enough(speech):
    channels = np.repeat(0.5 * speech[None, :48000], 2, axis=0)
    channels[1, 24000:] *= -1
    for source in (media("flac", "flac", 16000, "stereo", sound=channels), (16000, channels.T)):
        assert np.corrcoef(load_audio(source, normalize=False), speech[:48000])[0, 1] > 0.999


def test_noise_that_the_mix_takes_away_stays_away(speech):
    """A balanced line: the mean of its channels is the clean one."""
    hum = 0.02 * np.sin(np.arange(48000) * 0.05)
    channels = np.stack([speech[:48000] + hum, speech[:48000] - hum]).astype(np.float32)
    for source in (media("wav", "pcm_f32le", 16000, "stereo", sound=channels), (16000, channels.T)):
        assert np.allclose(load_audio(source, normalize=False), speech[:48000], atol=1e-3)


# ---- what a file declares of its length


def test_a_guessed_length_refuses_nothing():
    """Without a Xing header FFmpeg takes the first bit rate of an MP3 file for that of all."""
    parts = []
    for bit_rate, seconds in ((32_000, 5), (256_000, 20)):
        with av.open(buffer := io.BytesIO(), "w", "mp3", options={"write_xing": "0"}) as container:
            stream = container.add_stream("libmp3lame", rate=44100, layout="mono", bit_rate=bit_rate)
            frame = av.AudioFrame.from_ndarray(bursts(44100, seconds)[None], format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux([*stream.encode(frame), *stream.encode(None)])
        parts.append(buffer.getvalue())
    content = b"".join(parts)
    with av.open(io.BytesIO(content)) as container:
        assert container.duration / av.time_base > 60.0
    recording = read_recording(content, 30.0)
    assert len(recording.waveform) / 16000 == pytest.approx(25.0, abs=0.2)
    assert recording.missing_seconds == 0.0
    assert media_seconds(content) == pytest.approx(25.0, abs=0.2)
    with refused("audio_too_long", limit=20):
        read_recording(content, 20.0)


@pytest.mark.parametrize("container_name, codec", [("mp4", "aac"), ("wav", "pcm_s16le"), ("flac", "flac")])
def test_a_file_that_ends_early_is_told(tmp_path, container_name, codec):
    noise = np.random.default_rng(0).standard_normal(88200).astype(np.float32) * 0.1
    content = media(container_name, codec, 44100, sound=noise)
    path = tmp_path / f"cut.{container_name}"
    path.write_bytes(content)
    if container_name == "mp4":  # the index first, as for the web
        content = faststart(content, path)
    path.write_bytes(content[: len(content) // 2])
    recording = read_recording(path, 10.0)
    assert len(recording.waveform) / 16000 + recording.missing_seconds == pytest.approx(2.0, abs=0.05)
    assert 0.5 < recording.missing_seconds < 1.5
    said = message_of("sound_cut", name=path.name, seconds=recording.missing_seconds)
    with pytest.warns(SoundWarning, match=said):
        load_audio(path)


def faststart(content: bytes, path: Path) -> bytes:
    path.write_bytes(content)
    other = path.with_stem("index_first")
    with av.open(str(path)) as source, av.open(str(other), "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            if packet.pts is not None:
                packet.stream = stream
                file.mux(packet)
    return other.read_bytes()


def test_a_wave_file_written_to_a_pipe_declares_nothing():
    content = bytearray(media("wav", "pcm_s16le", 16000))
    size = content.index(b"data") + 4
    for declared in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0):
        content[size : size + 4] = declared.to_bytes(4, "little")
        recording = read_recording(bytes(content), 10.0)
        assert recording.missing_seconds == 0.0
        assert len(recording.waveform) == pytest.approx(32000, abs=20)


@pytest.mark.parametrize(
    "container_name, codec", [("wav", "pcm_s16le"), ("matroska", "aac"), ("flac", "flac"), ("mp4", "aac")]
)
def test_titles_in_other_encodings_do_not_matter(container_name, codec):
    content = media(container_name, codec, 44100)
    assert b"Lavf" in content
    recording = read_recording(content.replace(b"Lavf", b"J\xf6\xff\xe9"), 10.0)  # the name of the encoder
    assert np.array_equal(recording.waveform, read_recording(content, 10.0).waveform)


def test_an_unknown_codec_is_a_sentence():
    content = media("matroska", "aac", 44100).replace(b"A_AAC", b"A_XYZ")
    with refused("audio_damaged", error="unknown codec"):
        read_recording(content, 10.0)


def test_decode_audio_gives_sound_and_start():
    sound, start = decode_audio(media("wav", "pcm_s16le", 16000))
    assert sound.shape == (32000,) and start == 0.0
