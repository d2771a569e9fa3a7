"""A client in Python: speech from a file, in real time, into `bilabial serve`; prints when frames come.

    bilabial serve                                   # in another terminal
    python examples/client.py speech.wav             # pip install websockets

A server with a token wants it in the environment variable BILABIAL_TOKEN.
"""

import argparse
import asyncio
import json
import os
import struct
import time
import wave

from websockets.asyncio.client import ClientConnection, connect

CHUNK_SECONDS = 0.04


def frames_of(message: bytes) -> list[tuple[int, int, tuple[float, ...]]]:
    """(sample, chunk, coefficients) of every frame in a binary message (docs/serve.md)."""
    _, _, size, count = struct.unpack_from("<BBHI", message)
    record = struct.Struct(f"<QII{size}f")
    records = (record.unpack_from(message, 8 + number * record.size) for number in range(count))
    return [(sample, chunk, values) for sample, chunk, _, *values in records]


async def speak(socket: ClientConnection, sound: bytes, chunk_bytes: int) -> None:
    """Send sound as a microphone would, then say that it ends."""
    begin = time.monotonic()
    for number, start in enumerate(range(0, len(sound), chunk_bytes)):
        await asyncio.sleep(max(0.0, begin + number * CHUNK_SECONDS - time.monotonic()))
        await socket.send(sound[start : start + chunk_bytes])
    await socket.send(json.dumps({"type": "end"}))


async def main(path: str, address: str, emotion: str) -> None:
    """Speak a WAV file of 16-bit mono into a server."""
    with wave.open(path) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2), "a 16-bit mono WAV file is accepted"
        rate, sound = file.getframerate(), file.readframes(file.getnframes())
    token = os.environ.get("BILABIAL_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else None
    async with connect(f"{address}/v1/stream", additional_headers=headers) as socket:
        await socket.send(json.dumps({"type": "start", "sampling_rate": rate, "emotion": emotion}))
        speaking, begin, names = None, 0.0, []
        async for message in socket:
            if isinstance(message, bytes):
                for sample, chunk, values in frames_of(message):
                    late = time.monotonic() - begin - sample / rate
                    jaw = values[names.index("jawOpen")]
                    print(f"{sample / rate:7.3f} s  chunk {chunk:4}  jawOpen {jaw:.3f}  {late:+.3f} s")
                continue
            content = json.loads(message)
            if content["type"] == "started":
                names, begin = content["names"], time.monotonic()
                speaking = asyncio.create_task(speak(socket, sound, 2 * round(CHUNK_SECONDS * rate)))
            elif content["type"] in ("ended", "error"):
                print(message)
        if speaking:
            speaking.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path")
    parser.add_argument("--address", default="ws://127.0.0.1:8765")
    parser.add_argument("--emotion", default="neutral")
    options = parser.parse_args()
    asyncio.run(main(options.path, options.address, options.emotion))
