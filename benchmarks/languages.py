"""Lip closure at p, b, m and on open vowels in languages without training data.

    python -m benchmarks.languages --kokoro models/kokoro --card model_card.md

Every sentence of languages.json is spoken by two voices of Kokoro (train/pretrain/synthesize.py
--fetch_kokoro), the language's own or else English ones, and by espeak-ng. No face is needed: the
synthesizers give the times of phones, and the lips should meet at each p, b and m.
"""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import HfArgumentParser

from bilabial.checkpoint import load_checkpoint
from bilabial.hub.level_bilabial import SAMPLING_RATE
from bilabial.hub.lips_bilabial import lip_distance
from bilabial.hub.modeling_bilabial import BilabialModel
from bilabial.io.audio import resample
from bilabial.io.phones import ARTICULATION, SILENCES, articulation, is_phone, seals_lips
from bilabial.training.evaluation import metrics
from bilabial.training.evaluation.tables import table, write_card
from bilabial.training.teachers.synthesizers import kokoro_phonemes, speak_espeak, speak_kokoro

ROOT = Path(__file__).resolve().parents[1]

SENTENCES = ROOT / "benchmarks" / "languages.json"
KOKORO_VOICES = {
    "hi": ("hf_alpha", "hm_omega", "hf_beta", "hm_psi"),
    "ja": ("jf_alpha", "jm_kumo", "jf_gongitsune", "jf_nezumi", "jf_tebukuro"),
}
ENGLISH_VOICES = ("af_heart", "am_michael", "bf_emma", "bm_george", "af_bella")
ESPEAK_VARIANTS = ("m3", "f2", "f5", "m7")
FPS = 50.0
Utterance = tuple[str, np.ndarray, list]  # language, waveform at 16 kHz, phones


@dataclass
class LanguageArguments:
    kokoro: Path = field(metadata={"help": "Folder made by train/pretrain/synthesize.py --fetch_kokoro."})
    model: str | None = field(
        default=None, metadata={"help": "Folder or Hub id; left out: the embedded default."}
    )
    card: Path | None = field(default=None, metadata={"help": "Model card whose table is updated."})
    num_proc: int = field(default=2, metadata={"help": "Processes that speak."})


def draw_jobs() -> list[dict]:
    """What is to be spoken, the same every time."""
    jobs = []
    for language, sentences in json.loads(SENTENCES.read_text()).items():
        voices = KOKORO_VOICES.get(language, ENGLISH_VOICES)
        for number, text in enumerate(sentences):
            job = {"language": language, "text": text, "speed": 1.0}
            jobs += [job | {"voices": [voices[(number + step) % len(voices)]]} for step in (0, 2)]
            jobs.append(job | {"voices": [f"{language}+{ESPEAK_VARIANTS[number % len(ESPEAK_VARIANTS)]}"]})
    return jobs


def speak(job: dict, kokoro: Path) -> Utterance:
    if "+" in job["voices"][0]:
        waveform, rate, phones = speak_espeak(job)
    else:
        job = job | {"phonemes": kokoro_phonemes(job["text"], job["language"])}
        waveform, rate, phones = speak_kokoro(job, kokoro)
    return job["language"], resample(waveform, rate, SAMPLING_RATE), phones


def in_arpabet(name: str) -> str:
    """An ARPAbet phone that counts in `metrics.phone_minima` as an IPA phone should: B, V, AA, SIL or T."""
    if name in SILENCES:
        return "SIL"
    if not is_phone(name):
        return "T"
    throughout = articulation([(name, 0.0, 1.0)], np.array([0.1, 0.9])).max(axis=0) > 0
    has = dict(zip(ARTICULATION, throughout, strict=True))
    if seals_lips(name):
        return "B"
    if has["bilabial"] or has["labiodental"]:
        return "V"
    return "AA" if has["vowel"] and has["open"] else "T"


def minima(model: BilabialModel, waveform: np.ndarray, phones: list) -> tuple[list[float], list[float]]:
    """`metrics.phone_minima` of the model's lips, as if every p, b and m of (IPA, start, end) were sealed."""
    faces = model.animate(waveform, SAMPLING_RATE, fps=FPS)
    distance = lip_distance(faces, model.config.blendshapes, model.config.lip_distance_weights).cpu().numpy()
    names = [(in_arpabet(name), start, end) for name, start, end in phones]
    return metrics.phone_minima(distance, np.zeros(len(distance)), FPS, names)


def main(args: LanguageArguments) -> None:
    if not (args.kokoro / "model.onnx").is_file():
        raise SystemExit(f"{args.kokoro} is no folder made by train/pretrain/synthesize.py --fetch_kokoro")
    model, _ = load_checkpoint(args.model)
    jobs, found = draw_jobs(), {}
    with ProcessPoolExecutor(args.num_proc, multiprocessing.get_context("spawn")) as pool:
        spoken = pool.map(partial(speak, kokoro=args.kokoro), jobs)
        for language, waveform, phones in tqdm(spoken, total=len(jobs), unit="utterance"):
            pair = minima(model, waveform, phones)
            for name in (language, "together"):
                for pooled, minimum in zip(found.setdefault(name, ([], [])), pair, strict=True):
                    pooled += minimum
    together = found.pop("together")
    scores = {name: metrics.phone_closure(*pair) for name, pair in (found | {"together": together}).items()}
    text = table(scores)
    print(text)
    if args.card:
        write_card(args.card, "languages", text)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(HfArgumentParser(LanguageArguments).parse_args_into_dataclasses()[0])
