"""How the page fares when many generate at once.

    python benchmarks/load.py --visitors 20 --seconds 120

Starts the app on a free port of this machine and sends what as many browsers would: each visitor uploads ten
seconds of speech, presses Generate, takes the result, and begins again. Prints a table: requests, failures,
median and 95th percentile of the time from Generate to the result, the size of the result, and the memory of
the app after warming up and at the end. Exits with 1 when a request failed.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import httpx
import numpy as np
from tqdm import tqdm

from bilabial.audio import SAMPLING_RATE, encode_wav, load_audio

EXAMPLE = ROOT / "src" / "bilabial" / "examples" / "english_woman.flac"
CLIP_SECONDS = 10
STARTING_SECONDS = 120
REQUEST_SECONDS = 120


class Visitor:
    """A browser's part of the page's protocol: upload, join the queue, wait for the result."""

    def __init__(self, address: str, config: dict) -> None:
        self.http = httpx.Client(base_url=f"{address}/gradio_api", timeout=REQUEST_SECONDS)
        self.session = uuid.uuid4().hex
        components = {one["id"]: one for one in config["components"]}
        button = next(key for key, one in components.items() if one["props"].get("elem_id") == "generate")
        self.event = next(one for one in config["dependencies"] if [button, "click"] in one["targets"])
        self.wishes = [components[key]["props"].get("value") for key in self.event["inputs"]]
        speech = next(key for key, one in components.items() if one["props"].get("elem_id") == "speech")
        self.place = self.event["inputs"].index(speech)

    def generate(self, sound: bytes) -> tuple[float, int]:
        """Seconds until the result, and its bytes. Raises RuntimeError or httpx.HTTPError."""
        path = self.http.post("/upload", files={"files": ("speech.wav", sound)}).raise_for_status().json()[0]
        data = list(self.wishes)
        data[self.place] = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "speech.wav"}
        start = time.perf_counter()
        asked = {"data": data, "fn_index": self.event["id"], "session_hash": self.session}
        self.http.post("/queue/join", json=asked).raise_for_status()
        with self.http.stream("GET", "/queue/data", params={"session_hash": self.session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    if not message["success"]:
                        raise RuntimeError(str(message["output"]))
                    return time.perf_counter() - start, len(line)
        raise RuntimeError("the queue ended without a result")


def start_app() -> tuple[subprocess.Popen, str]:
    """The app in a process of its own, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    app = subprocess.Popen([sys.executable, ROOT / "app.py"], env=environment, **quiet)
    for _ in range(STARTING_SECONDS):
        try:
            httpx.get(f"http://127.0.0.1:{port}")
            return app, f"http://127.0.0.1:{port}"
        except httpx.HTTPError:
            time.sleep(1)
    app.terminate()
    raise SystemExit(f"the app did not answer within {STARTING_SECONDS} s")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def visit(address: str, config: dict, end: float, done: list, failures: list) -> None:
    """Generate until the end, always from another sound; notes of each request go to `done` or `failures`."""
    visitor = Visitor(address, config)
    while time.monotonic() < end:
        try:
            done.append(visitor.generate(new_sound()))
        except (RuntimeError, httpx.HTTPError) as error:
            failures.append(f"{type(error).__name__}: {error}")


def new_sound() -> bytes:
    """Ten seconds of speech that the app has not heard yet, as a WAV file."""
    speech = np.resize(load_audio(EXAMPLE), CLIP_SECONDS * SAMPLING_RATE)
    return encode_wav(np.roll(speech, np.random.default_rng().integers(len(speech))))


def main(visitors: int, seconds: float) -> int:
    app, address = start_app()
    try:
        config = httpx.get(f"{address}/config").json()
        alone = [Visitor(address, config).generate(new_sound())[0] for _ in range(3)]
        done, failures, begun = [], [], time.monotonic()
        given = (address, config, begun + seconds, done, failures)
        threads = [threading.Thread(target=visit, args=given) for _ in range(visitors)]
        for thread in threads:
            thread.start()
        memory = []
        for _ in tqdm(range(round(seconds)), unit="s"):
            time.sleep(1)
            memory.append(memory_mb(app.pid))
        for thread in threads:
            thread.join()
    finally:
        app.terminate()
        app.wait()
    waits, quarter = np.array([one[0] for one in done]), len(memory) // 4
    rows = {
        "visitors": visitors,
        "requests": len(done),
        "failures": len(failures),
        "alone, s (fastest of 3)": f"{min(alone):.2f}",
        "median, s": f"{np.median(waits):.2f}",
        "95th percentile, s": f"{np.percentile(waits, 95):.2f}",
        "result, kB": f"{np.mean([one[1] for one in done]) / 1000:.0f}",
        "memory, MB (median of the second quarter)": f"{np.median(memory[quarter : 2 * quarter]):.0f}",
        "memory, MB (median of the last quarter)": f"{np.median(memory[-quarter:]):.0f}",
    }
    print("| | |\n|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()), sep="\n")
    print(*sorted(set(failures)), sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=20, help="browsers at the same time")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long they come back")
    args = parser.parse_args()
    raise SystemExit(main(args.visitors, args.seconds))
