"""A synthesizer speaks sentence by sentence into `bilabial serve`; the face is written to a CSV file.

    bilabial serve                                                     # in another terminal
    python examples/synthesizer.py "Hello there. Maybe we should buy a puppy!" -o face.csv

Needs espeak-ng and `pip install websockets`. Any synthesizer that gives PCM takes its place: send each piece
as soon as it is there, `flush` at the end of a sentence so that no frame waits for more sound.
"""

import argparse
import csv
import io
import json
import re
import struct
import subprocess
import wave
from collections.abc import Iterator

from websockets.sync.client import ClientConnection, connect

CHUNK_BYTES = 8192


def synthesize(sentence: str, voice: str) -> tuple[int, bytes]:
    """Sampling rate in Hz and 16-bit mono sound of a sentence."""
    command = ["espeak-ng", "-v", voice, "--stdout", sentence]
    spoken = subprocess.run(command, check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(spoken)) as file:
        return file.getframerate(), file.readframes(len(spoken) // 2)


def receive(socket: ClientConnection, last: str) -> Iterator[tuple[int, list[float]]]:
    """(sample, coefficients) of frames, up to the message of a type."""
    while True:
        message = socket.recv()
        if isinstance(message, str):
            content = json.loads(message)
            if content["type"] == "error":
                raise RuntimeError(content["message"])
            if content["type"] == last:
                return
            continue
        _, _, size, count = struct.unpack_from("<BBHI", message)
        record = struct.Struct(f"<QII{size}f")
        for number in range(count):
            sample, _, _, *values = record.unpack_from(message, 8 + number * record.size)
            yield sample, values


def main(text: str, output: str, address: str, voice: str) -> None:
    """Speak a text, and write its face."""
    sentences = [part for part in re.split(r"(?<=[.!?。！？])\s*", text) if part.strip()]
    rate, sound = synthesize(sentences[0], voice)
    with connect(f"{address}/v1/stream") as socket, open(output, "w", newline="") as file:
        socket.send(json.dumps({"type": "start", "sampling_rate": rate}))
        names, rows = json.loads(socket.recv())["names"], csv.writer(file)
        rows.writerow(["seconds", *names])
        for number in range(len(sentences)):
            for start in range(0, len(sound), CHUNK_BYTES):
                socket.send(sound[start : start + CHUNK_BYTES])
            socket.send(json.dumps({"type": "flush"}))
            if number + 1 < len(sentences):  # the next sentence is made while the server computes this one
                _, sound = synthesize(sentences[number + 1], voice)
            for sample, values in receive(socket, "flushed"):
                rows.writerow([f"{sample / rate:.4f}", *(f"{value:.5f}" for value in values)])
        socket.send(json.dumps({"type": "end"}))
        assert not list(receive(socket, "ended")), "a flush left nothing"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("text")
    parser.add_argument("-o", "--output", default="face.csv")
    parser.add_argument("--address", default="ws://127.0.0.1:8765")
    parser.add_argument("--voice", default="en")
    options = parser.parse_args()
    main(options.text, options.output, options.address, options.voice)
