"""Media files made by PyAV."""

import io
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CLICKS = (0.5, 1.2, 1.7)  # onsets of bursts in `bursts`, in seconds


def write_wav(path: Path, waveform: np.ndarray, rate: int) -> Path:
    """16 bits, mono, at any rate."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(waveform, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def write_video(
    path: Path,
    times: list[float],
    images: list[np.ndarray],
    seconds_of_sound: float = 0.0,
    fast_start: bool = False,
) -> Path:
    """A video whose frames are shown at the given times (s), with a tone when asked for.

    fast_start: the index of an MP4 file comes first, so that a part of the file can be read.
    """
    options = {"movflags": "+faststart"} if fast_start and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        video = container.add_stream("libx264", rate=1000, options={"crf": "16", "bf": "0"})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=16000, layout="mono") if seconds_of_sound else None
        for time, image in zip(times, images, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), video.codec_context.time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound:
            tone = 0.1 * np.sin(np.arange(int(16000 * seconds_of_sound)) * 0.1).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return path


def bursts(rate: int, seconds: float = 2.0) -> np.ndarray:
    times = np.arange(int(rate * seconds)) / rate
    sound = np.zeros(len(times))
    for onset in CLICKS:
        burst = (times >= onset) & (times < onset + 0.1)
        sound[burst] = 0.5 * np.sin(2 * np.pi * 800 * (times[burst] - onset))
    return sound.astype(np.float32)


def media(
    container_name: str,
    codec: str,
    rate: int,
    layout: str = "mono",
    sound: np.ndarray | None = None,
    **options,
) -> bytes:
    """A file of (S,) or (channels, S) sound, whose first sample is at time 0."""
    sound = bursts(rate) if sound is None else sound
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    sound = np.ascontiguousarray(np.broadcast_to(np.atleast_2d(sound), (channels, sound.shape[-1])))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container_name, options=options) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout, options={"strict": "experimental"})
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        resampler = av.AudioResampler(format=stream.format, layout=layout, rate=rate)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))
    return buffer.getvalue()


def remux(content: bytes, container_name: str, keep=lambda time: True, moved=lambda time: 0.0, **options):
    """The packets of a file whose time (s) is to be kept, some moved by some seconds."""
    buffer = io.BytesIO()
    with (
        av.open(io.BytesIO(content)) as source,
        av.open(buffer, "w", container_name, options=options) as file,
    ):
        stream = file.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.pts is not None and keep(time := float(packet.pts * packet.time_base)):
                packet.stream = stream
                packet.pts += round(moved(time) / packet.time_base)
                packet.dts = packet.pts
                file.mux(packet)
    return buffer.getvalue()
