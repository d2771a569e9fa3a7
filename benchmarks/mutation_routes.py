"""Mutated files by the routes that users have: through train/prepare.py, and through the page's end points.

Both run as processes of their own. `prepare` gets the files as one collection: each must become a row or be
dropped with a reason. Of the running app each must get a result or a refusal in one sentence.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

ROOT = Path(__file__).resolve().parents[1]
VIDEO_FORMATS = [
    ("mp4", "libx264", "aac"), ("mov", "libx264", "aac"), ("matroska", "libx264", "libopus"),
    ("webm", "libvpx", "libopus"), ("avi", "mpeg4", "mp2"), ("mpegts", "libx264", "aac"),
]  # fmt: skip
SUFFIXES = {"matroska": "mkv", "mpegts": "ts", "adts": "aac", "aiff": "aif"}
ANSWER_SECONDS = 200.0  # until an answer of the app on a busy machine
MAX_SENTENCE = 500  # characters
NO_SENTENCE = re.compile(r"Traceback|(?<!User)Error:|/tmp/|^$")
Mutant = tuple[str, str, bytes]  # container, damage, content


def encode_video(video: Path, container_name: str, codecs: tuple[str, str], seconds: float) -> bytes:
    """The first seconds of a video with sound, in a container."""
    buffer = BytesIO()
    with av.open(str(video)) as source, av.open(buffer, "w", format=container_name) as container:
        shown = source.streams.video[0]
        picture = container.add_stream(codecs[0], rate=Fraction(shown.average_rate), options={"crf": "23"})
        picture.width, picture.height, picture.pix_fmt = shown.width, shown.height, "yuv420p"
        sound = container.add_stream(codecs[1], rate=48000, layout="mono")
        resampler = av.AudioResampler(format=sound.format, layout="mono", rate=48000)
        for frame in source.decode(shown, source.streams.audio[0]):
            if frame.time >= seconds:
                continue
            if isinstance(frame, av.VideoFrame):
                frame.pict_type = av.video.frame.PictureType.NONE
                container.mux(picture.encode(frame))
            else:
                for part in resampler.resample(frame):
                    container.mux(sound.encode(part))
        for part in [*resampler.resample(None), None]:
            container.mux(sound.encode(part))
        container.mux(picture.encode(None))
    return buffer.getvalue()


def save(folder: Path, mutants: Iterator[Mutant]) -> dict[Path, Mutant]:
    """Write files with the suffixes of their containers."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for number, mutant in enumerate(mutants):
        kind, change, content = mutant
        path = folder / f"{number:04d}_{kind}_{change}.{SUFFIXES.get(kind, kind)}"
        path.write_bytes(content)
        paths[path] = mutant
    return paths


def through_prepare(
    mutants: Iterator[Mutant], sound: bytes | None = None, num_proc: int = 2
) -> Iterator[tuple[str, str, bytes, str, str]]:
    """Yield container, damage, content, what became of it ("face", "refused", "failed") and why.

    sound: a WAV file that goes beside each file, of curves.
    """
    with tempfile.TemporaryDirectory() as place:
        source, output = Path(place) / "source", Path(place) / "rows"
        paths = save(source / "videos", mutants)
        for path in paths if sound else ():
            path.with_suffix(".wav").write_bytes(sound)
        (source / "metadata.csv").write_text(
            "file,emotion,style,source,license\n"
            + "".join(f"{path.name},neutral,someone,a test,CC0\n" for path in paths)
        )
        command = [sys.executable, ROOT / "train" / "prepare.py", "--reader", "videos", "--source", source]
        command += ["--output", output, "--min_score", "0", "--validation_share", "0"]
        done = subprocess.run(
            [*map(str, command), "--num_proc", str(num_proc)], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"prepare.py ended with {done.returncode}: {done.stderr[-2000:]}")
        dropped = json.loads((output / "summary.json").read_text())["dropped"]
        # a take is named folder/file_00, without the file's suffix where no other file has its name
        reasons = {key.removeprefix("videos/").removesuffix("_00"): reason for key, reason in dropped.items()}
        if unknown := reasons.keys() - {name for path in paths for name in (path.name, path.stem)}:
            raise RuntimeError(f"no file has the names that prepare.py dropped: {', '.join(sorted(unknown))}")
        for path, mutant in paths.items():
            reason = reasons.get(path.name, reasons.get(path.stem))
            reason = reason and reason.replace(str(source), "source")
            yield *mutant, "face" if reason is None else kind_of_refusal(reason), reason or ""


def through_page(
    mutants: Iterator[Mutant], address: str, sound: Path | None = None
) -> Iterator[tuple[str, str, bytes, str, str]]:
    """The same, of the end point /animate of a running app. sound: speech whose references the files are."""
    client = Client(address, verbose=False, httpx_kwargs={"timeout": ANSWER_SECONDS})
    with tempfile.TemporaryDirectory() as place:
        for path, mutant in save(Path(place), mutants).items():
            try:
                files = {"audio": path} if sound is None else {"audio": sound, "reference": path}
                files = {name: handle_file(file) for name, file in files.items()}
                summary, _ = client.predict(**files, formats=["csv"], api_name="/animate")
                kind, text = ("face", "") if summary["frames"] > 0 else ("failed", f"{summary}")
            except AppError as error:
                text = str(error)
                kind = kind_of_refusal(text)
            except Exception as error:  # any other is what is looked for, and printed
                kind, text = "failed", f"{type(error).__name__}: {error}"
            yield *mutant, kind, text


def kind_of_refusal(text: str) -> str:
    """ "refused" where it is one sentence for a user, else "failed"."""
    return "failed" if len(text) > MAX_SENTENCE or NO_SENTENCE.search(text.strip()) else "refused"
