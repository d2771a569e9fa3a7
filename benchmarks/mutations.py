"""Damaged media through Animator and audio loading: only documented errors, no hang, no silent errors.

python -m benchmarks.mutations [--what media] [--through animator] [--count 1000] [--seed 0] [--keep FOLDER]

Sound in the common containers is damaged at random: bytes flipped, stretches zeroed, removed, doubled or
exchanged for noise, numbers in headers overwritten, the end cut off. A file may give a face, or a UserError
within LIMIT_SECONDS of CPU time; any other error, and a face of another length than its sound, is a failure.
`--what curves` does the same with files of recorded curves (curve_mutations.py).
`--through prepare` and `--through page` send the files through train/prepare.py and the app's API
(mutation_routes.py); `--video` is a talking face whose first second is damaged for prepare.
"""

import argparse
import multiprocessing
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path

import av
import numpy as np

from benchmarks.curve_mutations import SECONDS as CURVES_SECONDS
from benchmarks.curve_mutations import curve_mutants, read_curves
from benchmarks.load import start_app
from benchmarks.mutation_routes import VIDEO_FORMATS, encode_video, through_page, through_prepare
from bilabial.io.audio import encode_wav, load_audio

ROOT = Path(__file__).resolve().parents[1]

EXAMPLE = ROOT / "src" / "bilabial" / "examples" / "english_woman.flac"
SECONDS, MAX_SECONDS = 2.0, 60.0  # of the whole sound, and that are accepted
VIDEO_SECONDS = 1.0  # of a face
LIMIT_SECONDS, ANSWER_SECONDS = 10.0, 200.0  # of CPU time a file may take; until an answer on a busy machine
FORMATS = [
    ("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame"), ("mp4", "aac"), ("adts", "aac"),
    ("ogg", "libopus"), ("webm", "libopus"), ("matroska", "pcm_s16le"), ("mpegts", "aac"), ("avi", "mp2"),
    ("mov", "pcm_s16le"), ("aiff", "pcm_s16be"),
]  # fmt: skip
NUMBERS = [
    number.to_bytes(4, order) for number in (0, 1, 2**31 - 1, 2**31, 2**32 - 1) for order in ("big", "little")
]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a file. kind: "face", "refused", "failed" or "hung". text: why. seconds: CPU time."""

    kind: str
    text: str
    seconds: float


def encode(speech: np.ndarray, container_name: str, codec: str) -> bytes:
    """Speech (S,) at 16 kHz in a container, at 48 kHz."""
    buffer = BytesIO()
    with av.open(buffer, "w", format=container_name) as container:
        stream = container.add_stream(codec, rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(speech[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), 0
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=48000)
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            container.mux(stream.encode(part))
    return buffer.getvalue()


def flip(content: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(len(content), size=rng.integers(1, 30)):
        content[place] ^= 1 << rng.integers(8)


def flip_head(content: bytearray, rng: np.random.Generator) -> None:
    for place in rng.integers(min(len(content), 600), size=rng.integers(1, 6)):
        content[place] = rng.integers(256)


def overwrite(content: bytearray, rng: np.random.Generator) -> None:
    """Numbers that are too large, zero or negative, most in the head or the tail, where indices lie."""
    for _ in range(rng.integers(1, 4)):
        near = int(rng.integers(1, min(len(content), 800)))
        place = near if rng.random() < 0.5 else len(content) - near
        content[place : place + 4] = NUMBERS[rng.integers(len(NUMBERS))]


def cut(content: bytearray, rng: np.random.Generator) -> None:
    del content[rng.integers(len(content)) :]


def remove(content: bytearray, rng: np.random.Generator) -> None:
    first = rng.integers(len(content))
    del content[first : first + rng.integers(1, len(content) // 3)]


def blank(content: bytearray, rng: np.random.Generator) -> None:
    first, count = rng.integers(len(content)), rng.integers(1, len(content) // 3)
    content[first : first + count] = bytes(len(content[first : first + count]))


def repeat(content: bytearray, rng: np.random.Generator) -> None:
    first = rng.integers(len(content))
    content[first:first] = content[first : first + rng.integers(1, len(content) // 3)]


def noise(content: bytearray, rng: np.random.Generator) -> None:
    first, count = rng.integers(len(content)), rng.integers(1, 2000)
    content[first : first + count] = rng.bytes(len(content[first : first + count]))


DAMAGES: list[Callable[[bytearray, np.random.Generator], None]] = [
    flip, flip_head, overwrite, cut, remove, blank, repeat, noise,
]  # fmt: skip


def mutants(count: int, seed: int, video: Path | None = None) -> Iterator[tuple[str, str, bytes]]:
    """Yield container, damage and content of damaged files: each damage on each container in turn.

    video: damaged in place of speech alone.
    """
    rng, speech = np.random.default_rng(seed), load_audio(EXAMPLE)[: round(SECONDS * 16000)]
    if video:
        whole = [(name, encode_video(video, name, codecs, VIDEO_SECONDS)) for name, *codecs in VIDEO_FORMATS]
    else:
        whole = [(name, encode(speech, name, codec)) for name, codec in FORMATS]
    for number in range(count):
        name, content = whole[number % len(whole)]
        damage = DAMAGES[(number + number // len(whole)) % len(DAMAGES)]
        damaged = bytearray(content)
        damage(damaged, rng)
        yield name, damage.__name__, bytes(damaged)


def read(content: bytes, animator: Callable) -> Outcome:
    """Read a file as sound, and animate it."""
    start = time.process_time()
    kind, text = "face", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sound = load_audio(content, MAX_SECONDS)
            values = animator(content, motion=(), max_seconds=MAX_SECONDS).values
        text = wrong_result(sound, values)
        kind = "failed" if text else "face"
    except ValueError as error:
        text = str(error)
        kind = "refused" if type(error).__name__ == "UserError" else "failed"
    except Exception as error:  # any other error is a finding
        kind, text = "failed", f"{type(error).__name__}: {error}"
    seconds = time.process_time() - start
    return Outcome(kind if seconds < LIMIT_SECONDS else "hung", text, seconds)


def wrong_result(sound: np.ndarray, values: np.ndarray) -> str:
    """Errors of sound (S,) and its face (T, C), empty if correct."""
    if not 0 < len(sound) <= MAX_SECONDS * 16000 or not np.isfinite(sound).all():
        return f"sound of {len(sound)} samples"
    if len(values) != -(-len(sound) * 30 // 16000) or not np.isfinite(values).all():
        return f"a face of {values.shape} for {len(sound)} samples"
    return ""


def serve(pipe: Connection) -> None:
    """A process that reads what it is sent."""
    import torch

    from bilabial import Animator

    av.logging.set_level(None)
    torch.set_num_threads(1)
    animator = Animator.from_pretrained()
    pipe.send("ready")
    while (content := pipe.recv()) is not None:
        pipe.send(read(content, animator))


class Reader:
    """A process that reads files, replaced when a file kills or stops it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self._pipe.recv()

    def read(self, content: bytes) -> Outcome:
        """The outcome of a file; "hung" and "failed" where the process does not answer."""
        self._pipe.send(content)
        try:
            if self._pipe.poll(ANSWER_SECONDS):
                return self._pipe.recv()
            outcome = Outcome("hung", f"no answer after {ANSWER_SECONDS:.0f} s", ANSWER_SECONDS)
        except EOFError:
            outcome = Outcome("failed", "the process died", 0.0)
        self._process.kill()
        self._process.join()
        self.__init__()
        return outcome

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join()


def table(outcomes: list[tuple[str, str, Outcome]]) -> str:
    """A Markdown table: what became of the files of each container."""
    kinds = ("face", "refused", "failed", "hung")
    lines = [
        f"| container | files | {' | '.join(kinds)} | slowest (CPU s) |",
        "|---|---|---|---|---|---|---|",
    ]
    names = list(dict.fromkeys(name for name, _, _ in outcomes))
    for title in (*names, "all"):
        own = [outcome for name, _, outcome in outcomes if title in (name, "all")]
        counts = Counter(outcome.kind for outcome in own)
        numbers = " | ".join(str(counts[kind]) for kind in kinds)
        lines.append(f"| {title} | {len(own)} | {numbers} | {max(one.seconds for one in own):.1f} |")
    return "\n".join(lines)


def media_outcomes(count: int, seed: int) -> Iterator[tuple[str, str, bytes, Outcome]]:
    """Yield container, damage, content and what became of each file."""
    av.logging.set_level(None)
    reader = Reader()
    for name, damage, content in mutants(count, seed):
        yield name, damage, content, reader.read(content)
    reader.close()


def curve_outcomes(count: int, seed: int) -> Iterator[tuple[str, str, bytes, Outcome]]:
    """The same of files of curves, in this process: nothing but Python and numpy reads them."""
    for kind, change, content, rows, must_be_read in curve_mutants(count, seed):
        outcome = Outcome(*read_curves(kind, content, rows, must_be_read))
        hung = outcome.seconds >= LIMIT_SECONDS
        yield kind, change, content, replace(outcome, kind="hung") if hung else outcome


def routed_outcomes(args: argparse.Namespace) -> Iterator[tuple[str, str, bytes, Outcome]]:
    """The same through prepare or the page; curves are the references of an undamaged sound there."""
    curves = args.what == "curves"
    if curves:
        made = curve_mutants(args.count, args.seed)
        files = ((kind, change, content) for kind, change, content, *_ in made)
    else:
        files = mutants(args.count, args.seed, args.video if args.through == "prepare" else None)
    if args.through == "prepare":
        sound = encode_wav(load_audio(EXAMPLE)[: round(CURVES_SECONDS * 16000)])
        routed = through_prepare(files, sound if curves else None)
        yield from ((*mutant, Outcome(kind, text, 0.0)) for *mutant, kind, text in routed)
        return
    app, address = start_app()
    try:
        for *mutant, kind, text in through_page(files, address, EXAMPLE if curves else None):
            yield *mutant, Outcome(kind, text, 0.0)
    finally:
        app.terminate()
        app.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", choices=("media", "curves"), default="media")
    parser.add_argument("--through", choices=("animator", "prepare", "page"), default="animator")
    parser.add_argument("--video", type=Path, help="video of a face, for --through prepare --what media")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that fail or hang")
    args = parser.parse_args()
    if args.through == "animator":
        files = {"media": media_outcomes, "curves": curve_outcomes}[args.what](args.count, args.seed)
    elif args.through == "prepare" and args.what == "media" and not args.video:
        raise SystemExit("--through prepare --what media needs --video: a film of a talking face")
    else:
        files = routed_outcomes(args)
    outcomes = []
    for number, (name, damage, content, outcome) in enumerate(files):
        outcomes.append((name, damage, outcome))
        if outcome.kind in ("failed", "hung"):
            print(f"{number} {name} {damage}: {outcome.kind}, {outcome.text}", flush=True)
            if args.keep:
                args.keep.mkdir(parents=True, exist_ok=True)
                (args.keep / f"{number}_{name}_{damage}").write_bytes(content)
    print(table(outcomes))
    sys.exit(any(outcome.kind in ("failed", "hung") for _, _, outcome in outcomes))


if __name__ == "__main__":
    main()
