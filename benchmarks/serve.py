"""What `bilabial serve` carries: streams at once, memory over time, and where the delay comes from.

    python benchmarks/serve.py fit                # how many real-time streams fit; CPU of each
    python benchmarks/serve.py cost               # CPU time of a stream and of the start, ONNX beside torch
    python benchmarks/serve.py soak --minutes 30  # speeds, disconnects, malformed messages: memory, frames
    python benchmarks/serve.py latency            # look-ahead, gathering, compute, transport by way out

The server is a process of its own, the clients are here: both share the machine. Streams fit while 95 of 100
frames come within half a second of the sound that they need.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bilabial.animator import Animator
from bilabial.io.audio import encode_wav, load_audio
from bilabial.runtime.animator import OnnxAnimator
from bilabial.runtime.choice import RUNTIMES, open_for_streams
from bilabial.serve.faces import Faces
from bilabial.serve.protocol import unpack_frames

EXAMPLE = Path(__file__).parents[1] / "src" / "bilabial" / "examples" / "english_woman.flac"
RATE = 16000
CHUNK_SECONDS = 0.04
ALLOWED_SECONDS = 0.5  # after the sound that a frame needs, for 95 of 100 frames
PAUSE_SHARE = 0.5


@dataclass
class Server:
    """A running `bilabial serve`."""

    address: str
    process: psutil.Process

    @property
    def cpu_seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    @property
    def megabytes(self) -> float:
        return self.process.memory_info().rss / 2**20


@dataclass
class Result:
    """What a client got. late: seconds after the sound that each frame needs."""

    numbers: list[int] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    num_frames: int | None = None  # that the server counted, None = it did not end
    delay_seconds: float = 0.0


@contextmanager
def serving(*options: str) -> Iterator[Server]:
    """A server as users start it, ready."""
    command = [sys.executable, "-m", "bilabial.cli", "serve", "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = re.search(r"ws://(\S+)/v1", process.stderr.readline())[1]
        urllib.request.urlopen(f"http://{address}/health", timeout=120).close()
        yield Server(address, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


async def listen(client: ClientConnection, result: Result, begin: list[float]) -> None:
    """Read until the server ends the stream."""
    async for message in client:
        now = time.monotonic()
        if isinstance(message, bytes):
            frames = unpack_frames(message)
            needed = begin[0] + frames.samples / RATE + result.delay_seconds
            result.late += (now - needed).tolist()
            result.numbers += frames.numbers.tolist()
            result.samples += frames.samples.tolist()
        elif (content := json.loads(message))["type"] == "ended":
            result.num_frames = content["num_frames"]


async def stream(server: Server, sound: bytes, speed: float = 1.0, seed: int | None = None) -> Result:
    """Speak sound at a speed. seed: with malformed messages among it, and sometimes gone in the middle."""
    result, begin, rng = Result(), [0.0], random.Random(seed)
    gone = seed is not None and rng.random() < 0.3
    size, nonsense = (
        2 * round(CHUNK_SECONDS * RATE),
        ("{", "[]", '{"type": "sing"}', "\0", '{"type": "start"}'),
    )
    with suppress(ConnectionClosed):
        async with connect(f"ws://{server.address}/v1/stream", open_timeout=60, max_queue=None) as client:
            await client.send(json.dumps({"type": "start", "sampling_rate": RATE, "motion": ["blink"]}))
            result.delay_seconds = json.loads(await client.recv())["delay_seconds"]
            begin[0] = time.monotonic()
            listener = asyncio.create_task(listen(client, result, begin))
            for number, start in enumerate(range(0, len(sound), size)):
                due = begin[0] + (number + 1) * CHUNK_SECONDS / speed  # when it was spoken
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await client.send(sound[start : start + size])
                if seed is not None and rng.random() < 0.02:
                    await client.send(rng.choice(nonsense))
                if gone and start > len(sound) * 0.4:
                    listener.cancel()
                    client.transport.abort()
                    return result
            await client.send(json.dumps({"type": "end"}))
            await listener
    return result


def fit(options: argparse.Namespace) -> None:
    """More and more streams at once, until they no longer fit."""
    sound = speech(options.seconds)
    with serving("--max-streams", "256", "--step", str(options.step), "--runtime", options.runtime) as server:
        print(f"{'streams':>7} {'late p50':>9} {'p95':>7} {'max':>7} {'CPU a stream':>13} {'server MB':>10}")
        for count in options.counts:
            before, began = server.cpu_seconds, time.monotonic()

            async def all_streams(count: int = count) -> list[Result]:
                return await asyncio.gather(*[stream(server, shifted(sound, n)) for n in range(count)])

            result = asyncio.run(all_streams())
            used = (server.cpu_seconds - before) / (time.monotonic() - began) / count
            late = np.concatenate([one.late for one in result])
            p50, p95 = np.percentile(late, (50, 95))
            whole = all(one.num_frames == len(one.numbers) for one in result)
            fits = p95 <= ALLOWED_SECONDS and whole
            print(
                f"{count:7} {p50:8.3f}s {p95:6.3f}s {late.max():6.3f}s {used:12.1%} {server.megabytes:9.0f}"
                f"   {'fits' if fits else 'does not fit'}{'' if whole else ', frames are missing'}"
            )
            if not fits:
                break


def cost(options: argparse.Namespace) -> None:
    """CPU time of a stream by how much sound is computed together; the server takes more when it is busy."""
    animators = {runtime: open_for_streams(runtime=runtime, on_message=print) for runtime in RUNTIMES}
    samples = np.frombuffer(speech(options.seconds), "<i2").astype(np.float32) / 32767
    for animator in animators.values():
        Faces(animator).warm_up()
    print(
        "| computed together | " + " | ".join(f"{name}: CPU of a core | streams" for name in animators) + " |"
    )
    for step in (0.04, 0.1, 0.2, 0.5, 1.0):
        used = [cpu_share(animator, samples, step) for animator in animators.values()]
        print(
            f"| {step:g} s | " + " | ".join(f"{share:.1%} | {2 / share:.0f}" for share in used) + " |",
            flush=True,
        )
    for runtime in RUNTIMES:
        with serving("--runtime", runtime) as server:
            print(
                f"{runtime}: {server.cpu_seconds:.1f} s of CPU until ready, {server.megabytes:.0f} MB",
                flush=True,
            )


def cpu_share(animator: Animator | OnnxAnimator, samples: np.ndarray, step: float) -> float:
    """CPU seconds per second of sound, the least of three runs: others use this machine too."""
    size, used = round(step * RATE), []
    for _ in range(3):
        stream, begin = animator.stream(), time.process_time()
        for start in range(0, len(samples), size):
            stream.feed(samples[start : start + size])
        used.append((time.process_time() - begin) * RATE / len(samples))
    return min(used)


def soak(options: argparse.Namespace) -> None:
    """Streams of mixed speeds that come and go, for minutes: memory, and whether any is off by a frame."""
    end, counts = time.monotonic() + 60 * options.minutes, {"whole": 0, "left": 0, "wrong": 0, "seconds": 0.0}

    async def visitor(number: int, server: Server) -> None:
        rng = random.Random(number)
        while time.monotonic() < end:
            sound = shifted(speech(rng.uniform(2, 20)), rng.randrange(100))
            result = await stream(server, sound, rng.choice([0.5, 1, 1, 1, 2, 10]), rng.randrange(2**32))
            expected = np.arange(len(result.numbers))
            right = result.numbers == expected.tolist() and result.samples == (expected * RATE // 30).tolist()
            complete = result.num_frames == len(expected) == -(-len(sound) // 2 * 30 // RATE)
            kind = "wrong" if not right else "whole" if complete else "left"
            kind = "wrong" if result.num_frames is not None and not complete else kind
            counts[kind] += 1
            counts["seconds"] += len(sound) / 2 / RATE

    async def watch(server: Server) -> None:
        begin, before = time.monotonic(), server.cpu_seconds
        while time.monotonic() < end:
            passed = time.monotonic() - begin
            used = (server.cpu_seconds - before) / max(passed, 1e-3)
            print(
                f"{passed:6.0f} s {server.megabytes:7.0f} MB  CPU {used:5.1%} of a core  {counts}", flush=True
            )
            await asyncio.sleep(options.every)

    async def everything(server: Server) -> None:
        await asyncio.gather(watch(server), *[visitor(number, server) for number in range(options.streams)])

    with serving("--runtime", options.runtime) as server:
        asyncio.run(everything(server))
        with urllib.request.urlopen(f"http://{server.address}/health", timeout=60) as answer:
            left = json.load(answer)["streams"]
        print(
            f"{counts['whole']} streams whole, {counts['left']} left early, {counts['wrong']} off by a frame"
        )
        print(f"{left} streams open at the end, {server.megabytes:.0f} MB")
        print(f"CPU per stream in real time: {server.cpu_seconds / counts['seconds']:.1%} of a core")
        if counts["wrong"]:
            raise RuntimeError("frames are wrong")


def latency(options: argparse.Namespace) -> None:
    """Where the delay comes from, for each way out."""
    sound, step = speech(options.seconds), options.step
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as screen:
        screen.bind(("127.0.0.1", 0))
        screen.setblocking(False)
        port = screen.getsockname()[1]
        to_screen = ("--live-link", f"127.0.0.1:{port}")
        with serving("--step", str(step), "--runtime", options.runtime, *to_screen) as server:
            file_seconds, round_trip = time_of_file(server, sound), time_of_health(server)
            result, shown = asyncio.run(stream_and_watch(server, sound, screen))
    compute = compute_seconds(sound, step, options.runtime)
    total = np.array(result.late) + result.delay_seconds
    udp = np.array([when - result.samples[0] / RATE for when in shown])
    names = ("look-ahead", "gathering", "compute", "transport", "p50", "p95")
    print(f"{'way':<10} {'{:>10} {:>10} {:>9} {:>10} {:>8} {:>8}'.format(*names)}")
    share = file_seconds - round_trip
    row = f"{'file':<10} {'whole':>10} {'whole':>10} {share * 1e3:7.0f}ms {round_trip * 1e3:8.1f}ms"
    print(f"{row} {file_seconds * 1e3:6.0f}ms {'':>8}   for {len(sound) / 2 / RATE:.0f} s of sound")
    for name, late in (("WebSocket", total), ("UDP", udp)):
        p50, p95 = np.percentile(late, (50, 95)) * 1e3
        row = f"{name:<10} {result.delay_seconds * 1e3:8.0f}ms {'<=' + str(round(step * 1e3)):>8}ms"
        print(f"{row} {compute * 1e3:7.1f}ms {round_trip / 2 * 1e3:8.1f}ms {p50:6.0f}ms {p95:6.0f}ms")


async def stream_and_watch(server: Server, sound: bytes, screen: socket.socket) -> tuple[Result, list[float]]:
    """A stream in real time, and by how much the faces on UDP lag behind its frames' times, in seconds."""
    loop, packets, result = asyncio.get_running_loop(), [], Result()

    async def watch() -> None:
        while True:
            packet = await loop.sock_recv(screen, 4096)
            packets.append((time.monotonic(), packet))

    watcher = asyncio.create_task(watch())
    frames, begin = [], [0.0]
    async with connect(f"ws://{server.address}/v1/stream", open_timeout=60, max_queue=None) as client:
        await client.send(json.dumps({"type": "start", "sampling_rate": RATE}))
        result.delay_seconds = json.loads(await client.recv())["delay_seconds"]
        begin[0] = time.monotonic()

        async def read() -> None:
            async for message in client:
                if isinstance(message, bytes):
                    part = unpack_frames(message)
                    now = time.monotonic() - begin[0]
                    result.late += (now - part.samples / RATE - result.delay_seconds).tolist()
                    result.samples += part.samples.tolist()
                    frames.extend(zip(part.samples.tolist(), part.values, strict=True))

        reader = asyncio.create_task(read())
        size = 2 * round(CHUNK_SECONDS * RATE)
        for number, start in enumerate(range(0, len(sound), size)):
            await asyncio.sleep(max(0.0, begin[0] + (number + 1) * CHUNK_SECONDS - time.monotonic()))
            await client.send(sound[start : start + size])
        await client.send(json.dumps({"type": "end"}))
        await reader
    await asyncio.sleep(1.0)
    watcher.cancel()
    seen = {packet[-244:-36]: when for when, packet in reversed(packets)}  # 52 floats; the first of its kind
    times = [(seen.get(values.astype(">f4").tobytes()), sample / RATE) for sample, values in frames]
    return result, [when - begin[0] - time_ for when, time_ in times if when is not None]


def time_of_file(server: Server, sound: bytes) -> float:
    """Seconds that POST /v1/animate takes."""
    wav = encode_wav(np.frombuffer(sound, "<i2") / 32767)
    seconds = []
    for _ in range(3):
        begin = time.monotonic()
        urllib.request.urlopen(f"http://{server.address}/v1/animate?format=npz", wav, timeout=120).read()
        seconds.append(time.monotonic() - begin)
    return min(seconds)


def time_of_health(server: Server) -> float:
    """Median seconds of a request that computes nothing."""
    seconds = []
    for _ in range(50):
        begin = time.monotonic()
        urllib.request.urlopen(f"http://{server.address}/health", timeout=60).read()
        seconds.append(time.monotonic() - begin)
    return float(np.median(seconds))


def compute_seconds(sound: bytes, step: float, runtime: str) -> float:
    """Median seconds that a stream takes for a step of sound."""
    samples, size = np.frombuffer(sound, "<i2").astype(np.float32) / 32767, round(step * RATE)
    stream, seconds = open_for_streams(runtime=runtime).stream(), []
    for start in range(0, len(samples), size):
        begin = time.monotonic()
        stream.feed(samples[start : start + size])
        seconds.append(time.monotonic() - begin)
    return float(np.median(seconds))


def speech(seconds: float) -> bytes:
    """Real speech of that length, repeated."""
    sound = (load_audio(EXAMPLE) * 32767 * PAUSE_SHARE).astype("<i2")
    return np.resize(sound, round(seconds * RATE)).tobytes()


def shifted(sound: bytes, number: int) -> bytes:
    """The same sound from another place on: streams do not all pause at once."""
    return np.roll(np.frombuffer(sound, "<i2"), number * 4001).tobytes()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("fit")
    one.add_argument("--seconds", type=float, default=20.0, help="of sound of each stream")
    one.add_argument("--step", type=float, default=0.1, help="as of bilabial serve")
    one.add_argument("--counts", type=int, nargs="+", default=[1, 4, 8, 12, 16, 24, 32, 40, 50, 64])
    one.set_defaults(run=fit)
    one = commands.add_parser("cost")
    one.add_argument("--seconds", type=float, default=10.0, help="of sound")
    one.set_defaults(run=cost)
    one = commands.add_parser("soak")
    one.add_argument("--minutes", type=float, default=3.0)
    one.add_argument("--streams", type=int, default=10)
    one.add_argument("--every", type=float, default=15.0, help="seconds between lines")
    one.set_defaults(run=soak)
    one = commands.add_parser("latency")
    one.add_argument("--seconds", type=float, default=10.0)
    one.add_argument("--step", type=float, default=0.1)
    one.set_defaults(run=latency)
    for name in ("fit", "soak", "latency"):
        commands.choices[name].add_argument("--runtime", choices=RUNTIMES, default="onnx")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
