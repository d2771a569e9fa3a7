"""Load test of the page.

    python -m benchmarks.load --visitors 20 --seconds 120
    python -m benchmarks.load --attack --seconds 60

Starts the app on a free port of this machine and simulates so many browsers: each visitor uploads ten seconds
of speech, presses Generate, downloads the result, and starts again. Prints a table: requests, failures,
median and 95th percentile of the time from Generate to the result, the size of the result, and the memory of
the app after warming up and at the end. Exits with 1 when a request failed.

--attack: attacks (`attacks.py`), one kind after another for so many seconds each, from another address, while
one visitor generates. Exits with 1 when that visitor was refused, or an answer had no message.
"""

import argparse
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import numpy as np
from tqdm import tqdm

from benchmarks import attacks
from benchmarks.page_session import Session
from bilabial.io.audio import SAMPLING_RATE, encode_wav, load_audio

ROOT = Path(__file__).resolve().parents[1]

EXAMPLE = ROOT / "src" / "bilabial" / "examples" / "english_woman.flac"
CLIP_SECONDS = 10
STARTING_SECONDS = 300


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
    raise TimeoutError(f"the app did not answer within {STARTING_SECONDS} s")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def visit(address: str, config: dict, end: float, done: list, failures: list) -> None:
    """Generate until the end, always from another sound; notes of each request go to `done` or `failures`."""
    visitor = Session(address, config)
    while time.monotonic() < end:
        try:
            done.append(visitor.generate(new_sound()))
        except (RuntimeError, httpx.HTTPError) as error:
            failures.append(f"{type(error).__name__}: {error}")


def new_sound() -> bytes:
    """Ten seconds of speech that the app has not cached, as a WAV file."""
    speech = np.resize(load_audio(EXAMPLE), CLIP_SECONDS * SAMPLING_RATE)
    return encode_wav(np.roll(speech, np.random.default_rng().integers(len(speech))))


def main(visitors: int, seconds: float) -> int:
    app, address = start_app()
    try:
        config = httpx.get(f"{address}/config").json()
        alone = [Session(address, config).generate(new_sound())[0] for _ in range(3)]
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


ATTACK_COLUMNS = (
    "attack", "requests", "results", "refused in a sentence", "otherwise", "slowest answer, s",
    "visitor: requests", "median, s", "slowest, s", "memory, MB (largest)",
)  # fmt: skip


def attack(seconds: float) -> int:
    for size in (16, 1000):
        attacks.bomb(size)
    app, address = start_app()
    failed = 0
    print(f"| {' | '.join(ATTACK_COLUMNS)} |", "|---" * len(ATTACK_COLUMNS) + "|", sep="\n", flush=True)
    try:
        config = httpx.get(f"{address}/config").json()
        Session(address, config).generate(new_sound())
        for name in attacks.ATTACKS:
            failed += attack_by(name, address, config, seconds, app.pid)
    finally:
        app.terminate()
        app.wait()
    return 1 if failed else 0


def attack_by(name: str, address: str, config: dict, seconds: float, pid: int) -> int:
    """One kind of attack, as a row of the table; returns the number of failures."""
    done, failures, said, memory = [], [], attacks.Answers(), []
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=visit, args=(address, config, end, done, failures))]
    for number in range(attacks.THREADS[name]):
        attacker = Session(address, config, attacks.HOST)
        threads.append(threading.Thread(target=attacks.ATTACKS[name], args=(attacker, end, said, number)))
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        memory.append(memory_mb(pid))
    waits, otherwise = [one[0] for one in done] or [float("nan")], sum(said.otherwise.values())
    cells = (
        name, len(said.seconds), said.results, sum(said.refused.values()), otherwise,
        f"{max(said.seconds, default=0):.2f}", len(done), f"{np.median(waits):.2f}", f"{max(waits):.2f}",
        round(max(memory)),
    )  # fmt: skip
    print("|", " | ".join(map(str, cells)), "|", flush=True)
    for sentence, count in [*said.otherwise.most_common(8), *said.refused.most_common(8)]:
        print(f"{count:6d} {sentence}", file=sys.stderr)
    print(*sorted(set(failures)), sep="\n", file=sys.stderr, flush=True)
    return len(failures) + otherwise


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=20, help="browsers at the same time")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long they come back")
    parser.add_argument("--attack", action="store_true", help="attacks in place of visitors, each so long")
    args = parser.parse_args()
    raise SystemExit(attack(args.seconds) if args.attack else main(args.visitors, args.seconds))
