import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.errors import refused

from bilabial.io.audio import load_audio
from bilabial.io.phones import ARTICULATION, articulation
from bilabial.training.teachers import synthesize, synthesizers
from bilabial.training.teachers.synthesize import SENTENCES, VoicesArguments
from bilabial.training.teachers.synthesizers import (
    ESPEAK_LANGUAGES,
    ESPEAK_VARIANTS,
    FLITE_VOICES,
    join_signs,
)

ENGINES = {"flite": synthesizers.speak_flite, "espeak": synthesizers.speak_espeak}
TEXT = {
    "en": "Bob may pay a penny.", "es": "Mi mamá baila.", "fr": "Les amis aiment ma maman.",
    "it": "La mamma beve.", "pt": "O bebê pula bem.",
}  # fmt: skip


def need(engine: str) -> None:
    program = {"flite": "flite", "espeak": "espeak-ng"}[engine]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (apt-get install {program})")


def job(engine: str, voice: str, language: str = "en", **fields) -> dict:
    fields = {"id": f"{engine}_00000", "text": TEXT[language], "speed": 1.0} | fields
    return {"engine": engine, "voices": [voice], "language": language, **fields}


# ---- signs with times


def test_stress_joins_the_next_phone_and_length_the_one_before():
    signs = [["ˈ", 0.1, 0.2], ["b", 0.2, 0.3], ["i", 0.3, 0.4], ["ː", 0.4, 0.5]]
    assert join_signs(signs, 0.6) == [
        ["sil", 0.0, 0.1], ["b", 0.1, 0.3], ["i", 0.3, 0.5], ["sil", 0.5, 0.6]
    ]  # fmt: skip


@pytest.mark.parametrize(
    "seconds, names", [(0.05, ["m", "a"]), (0.07, ["m", "sil", "a"])], ids=["a word space", "a pause"]
)
def test_short_spaces_vanish_and_long_ones_are_pauses(seconds, names):
    phones = join_signs([["m", 0.0, 0.1], [" ", 0.1, 0.1 + seconds], ["a", 0.1 + seconds, 0.3]], 0.3)
    assert [name for name, _, _ in phones] == names
    assert [start for _, start, _ in phones[1:]] == [end for _, _, end in phones[:-1]]


def test_letters_of_diphthongs_are_split_half_way():
    assert join_signs([["I", 0.0, 0.2]], 0.2) == [["a", 0.0, 0.1], ["ɪ", 0.1, 0.2]]


def test_nothing_said_is_silence():
    assert join_signs([], 0.5) == join_signs([["ˈ", 0.0, 0.5]], 0.5) == [["sil", 0.0, 0.5]]


# ---- what is to be spoken


def test_jobs_follow_from_the_seed_and_cover_the_engines(tmp_path):
    args = VoicesArguments(tmp_path, num_flite=30, num_espeak=60)
    jobs = synthesize.draw_jobs(args)
    assert jobs == synthesize.draw_jobs(args)
    assert jobs[:30] != synthesize.draw_jobs(VoicesArguments(tmp_path, num_flite=30, seed=1))
    assert [one["engine"] for one in jobs] == ["flite"] * 30 + ["espeak"] * 60
    assert len({one["id"] for one in jobs}) == 90 and len({one["text"] for one in jobs}) > 50
    assert {one["voices"][0] for one in jobs[:30]} == set(FLITE_VOICES)
    assert {one["language"] for one in jobs[30:]} == set(ESPEAK_LANGUAGES)
    assert all(synthesize.SPEEDS[0] <= one["speed"] <= synthesize.SPEEDS[1] for one in jobs)
    assert json.loads(json.dumps(jobs)) == jobs


def test_half_of_the_texts_are_words_in_any_order(tmp_path):
    jobs = synthesize.draw_jobs(VoicesArguments(tmp_path, num_flite=200))
    sentences = (SENTENCES / "en.txt").read_text()
    known = set(re.findall(r"[\w'’-]+", sentences.lower()))
    scrambled = [job["text"] for job in jobs if job["text"][:20] not in sentences]
    assert 70 < len(scrambled) < 130
    for text in scrambled:
        words = text.removesuffix(".").split(" ")
        assert 5 <= len(words) == len(set(words)) < 13 and set(words) <= known
    assert len({word for text in scrambled for word in text.split(" ")}) > 300
    mandarin, rng = (SENTENCES / "zh.txt").read_text().splitlines(), np.random.default_rng(0)
    assert {part for _ in range(40) for part in synthesize._draw_text(mandarin, rng).split(" ")} <= set(
        mandarin
    )


def test_sentences():
    lists = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in SENTENCES.glob("*.txt")}
    assert set(lists) == {"zh", *ESPEAK_LANGUAGES}
    for lines in lists.values():
        assert len(lines) >= 10 and len(set(lines)) == len(lines) and all(line.strip() for line in lines)
    english = "".join(lists["en"]).lower()
    assert min(english.count(letter) for letter in "pbmfvw") >= 20


# ---- speaking


def check_speech(waveform: np.ndarray, rate: int, phones: list) -> None:
    """Real sound with phones in order inside it, louder in vowels than in silence and closed lips."""
    seconds = len(waveform) / rate
    assert waveform.dtype == np.float32 and 0.5 < seconds < 10 and np.abs(waveform).max() > 0.02
    edges = [time for _, start, end in phones for time in (start, end)]
    assert edges == sorted(edges) and edges[0] == 0.0 and edges[-1] == pytest.approx(seconds, abs=0.02)
    times = np.arange(0.0, seconds - 0.01, 0.01)
    level = np.array([np.std(waveform[int(t * rate) : int((t + 0.01) * rate)]) for t in times])
    features = articulation(phones, times + 0.005)
    vowel, silence, bilabial = (
        level[features[:, ARTICULATION.index(name)] == 1] for name in ("vowel", "silence", "bilabial")
    )
    assert vowel.mean() > 1.3 * bilabial.mean()
    assert len(silence) == 0 or vowel.mean() > 3 * silence.mean()


@pytest.mark.parametrize("voice", FLITE_VOICES)
def test_flite_speaks_with_phones(voice):
    need("flite")
    waveform, rate, phones = synthesizers.speak_flite(job("flite", voice))
    check_speech(waveform, rate, phones)
    assert [name for name, _, _ in phones if name in ("B", "M", "P")] == ["B", "B", "M", "P", "P"]


@pytest.mark.parametrize(
    "language, voice", [(key, voice) for key, names in ESPEAK_LANGUAGES.items() for voice in names]
)
def test_espeak_speaks_every_language_with_phones(language, voice):
    need("espeak")
    synthesizers.speak_espeak(job("espeak", "it" if language != "it" else "es", "it"))
    waveform, rate, phones = synthesizers.speak_espeak(job("espeak", voice, language))
    check_speech(waveform, rate, phones)
    if language == "en":
        bilabials = [name for name, _, _ in phones if name in "bmp"]
        assert bilabials == ["b", "b", "m", "p", "p"]


def test_espeak_refuses_a_voice_that_it_lacks():
    need("espeak")
    with refused("espeak_voice", got="'en-gb'"):
        synthesizers.speak_espeak(job("espeak", "en-gb"))


def test_espeak_has_every_variant():
    need("espeak")
    spoken = [synthesizers.speak_espeak(job("espeak", f"en-us+{name}"))[0] for name in ESPEAK_VARIANTS]
    assert len({waveform.tobytes() for waveform in spoken}) == len(ESPEAK_VARIANTS)


@pytest.mark.parametrize("engine, voice", [("flite", "slt"), ("espeak", "en-us")])
def test_speed_shortens(engine, voice):
    need(engine)
    slow, fast = (ENGINES[engine](job(engine, voice, speed=speed)) for speed in synthesize.SPEEDS)
    assert len(slow[0]) > 1.3 * len(fast[0])


def test_kokoro_speaks_with_phones():
    folder = Path(os.environ.get("BILABIAL_TEST_KOKORO", "models/kokoro"))
    if not (folder / "model.onnx").is_file():
        pytest.skip("BILABIAL_TEST_KOKORO names no folder of train/pretrain/synthesize.py --fetch_kokoro")
    need("espeak")
    pytest.importorskip("onnxruntime")
    phonemes = synthesizers.kokoro_phonemes(TEXT["en"], "en-us")
    check_speech(*synthesizers.speak_kokoro(job("kokoro", "af_heart", phonemes=phonemes), folder))


def test_what_is_spoken_is_not_spoken_again(tmp_path):
    """A run that was stopped leaves the plan and finished utterances; the next one only speaks the others."""
    need("flite")
    synthesize.synthesize(VoicesArguments(tmp_path, num_flite=3, num_proc=1))
    (tmp_path / "speech" / "flite_00001.json").unlink()
    (tmp_path / "speech" / "flite_00001.wav").write_bytes(b"half")
    kept = tmp_path / "speech" / "flite_00000.wav"
    before = kept.stat().st_mtime_ns
    synthesize.synthesize(VoicesArguments(tmp_path, num_flite=3, num_proc=1, seed=1))  # the plan stays
    assert kept.stat().st_mtime_ns == before and not list(tmp_path.rglob(".*.partial*"))
    spoken = [json.loads(path.read_text()) for path in sorted((tmp_path / "speech").glob("*.json"))]
    plan = [json.loads(line) for line in (tmp_path / "jobs.jsonl").read_text().splitlines()]
    assert [{key: one[key] for key in plan[0]} for one in spoken] == plan
    sound = load_audio(tmp_path / "speech" / "flite_00001.wav")
    assert len(sound) / 16000 == pytest.approx(spoken[1]["phones"][-1][2], abs=0.05)


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_espeaks_stops_begin_with_their_closure(speed):
    """Nearly all of p before its burst is silent, and nothing before it is."""
    need("espeak")
    spoken = job("espeak", "en-us", text="A penny apple appears on top of a cup of apple.", speed=speed)
    waveform, rate, phones = synthesizers.speak_espeak(spoken)
    loud = [
        [np.abs(waveform[round((start + a) * rate) : round((start + b) * rate)]).max() for a, b in edges]
        for name, start, _ in phones[2:]
        if name == "p"
        for edges in [((-0.03, -0.01), (0.004, 0.026))]
    ]
    before, closed = np.median(loud, axis=0)
    assert len(loud) >= 5 and closed < 0.003 < 0.01 < before


def test_kokoro_needs_its_folder(tmp_path):
    with refused("option_needs", option="--num_kokoro", missing="--kokoro"):
        synthesize.synthesize(VoicesArguments(output=tmp_path, num_kokoro=1))
