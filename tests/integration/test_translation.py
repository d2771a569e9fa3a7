"""Errors as users and visitors read them: a code and parameters, in English and Chinese."""

import importlib
import json
import pickle
import re
from pathlib import Path

import pytest
from support.errors import message_of, refused
from support.paths import ROOT

from bilabial.app.i18n import CHINESE, TEXTS, translate
from bilabial.errors import SENTENCES, MissingFileError, UserError
from bilabial.hub.expression_bilabial import mixture_weights
from bilabial.io.audio import load_audio

TRAINING = ROOT / "src" / "bilabial" / "training"
HUGE = "+/=. " * 200_000


def names_in(text: str) -> set[str]:
    return set(re.findall(r"(?<!{){(\w+)", text))


def test_an_error_carries_a_code_and_what_its_sentence_names():
    values = {"name": "a: b.wav", "seconds": 300.4, "limit": 120}
    error = UserError("audio_too_long", **values)
    assert str(error) == SENTENCES["audio_too_long"].format(**values) and " 300 " in str(error)
    assert (error.code, error.parameters["limit"]) == ("audio_too_long", 120)
    assert translate(error, "en-US,zh;q=0.5") == str(error)
    assert translate(error, "zh-CN,zh;q=0.9") == CHINESE["audio_too_long"].format(**values)
    assert translate("Animating", "zh") == TEXTS["Animating"] != "Animating"
    assert translate("nobody translated this", "zh") == "nobody translated this"


@pytest.mark.parametrize(
    "given",
    [HUGE, HUGE.encode(), [HUGE] * 1000, {HUGE: HUGE}, 10**100_000, json.loads("[" * 500 + "]" * 500)],
    ids=["text", "bytes", "list", "mapping", "number", "nested"],
)
def test_what_was_given_is_quoted_in_80_characters(given):
    error = UserError("emotion_text", got=given)
    assert len(error.parameters["got"]) <= 80 and error.parameters["got"] in str(error)
    assert len(translate(error, "zh")) < 200
    assert len(translate(ValueError(HUGE), "zh")) == len(translate(ValueError(HUGE), "en")) == 500


def test_hub_code_raises_the_same_class():
    values = {"accepted": "neutral, happy", "got": "'glad'"}
    with refused("emotion_name", **values) as error:
        mixture_weights("glad", ("neutral", "happy"))
    assert re.fullmatch(message_of("emotion_name", **values), str(error.value))


@pytest.mark.parametrize(
    "error",
    [UserError("emotion_name", accepted=["a", "b"], got="c"), MissingFileError("file_missing", name="x")],
)
def test_errors_of_worker_processes_come_back_whole(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)
    assert (again.code, again.parameters) == (error.code, error.parameters)


def test_visitors_see_no_folders_and_programs_do():
    error = UserError("npz_damaged", path=Path("/tmp/gradio/1234/face.npz"))
    assert str(error).startswith("/tmp/gradio/1234/face.npz ")
    assert re.fullmatch(message_of("npz_damaged", path="face.npz"), translate(error, "en"))
    assert translate(error, "zh").startswith("face.npz ")


@pytest.mark.parametrize("content", [b"", b"this is not sound " * 100])
def test_what_the_package_says_is_translated(content, tmp_path):
    (tmp_path / "notes.wav").write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_audio(tmp_path / "notes.wav")
    chinese = translate(error.value, "zh-CN")
    assert chinese.startswith("notes.wav ") and re.search("[一-鿿]", chinese)


def test_a_missing_file_is_also_what_python_calls_so(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        load_audio(tmp_path / "gone.wav")
    assert (error.value.code, str(error.value.parameters["name"])) == ("file_missing", "gone.wav")


def test_every_code_is_in_both_languages_and_names_the_same():
    importlib.import_module("bilabial.training")  # which adds its messages
    assert SENTENCES.keys() == CHINESE.keys()
    for code, english in SENTENCES.items():
        assert names_in(CHINESE[code]) <= names_in(english), code
    for english, chinese in TEXTS.items():
        if english != "limits":  # filled in by app/page.py
            assert names_in(chinese) <= names_in(english)


def test_every_code_that_is_raised_is_in_the_table():
    importlib.import_module("bilabial.training")
    sources = (ROOT / "src").rglob("*.py")
    raised = re.findall(
        r'(?:UserError|MissingFileError)\(\s*"(\w+)"', "\n".join(path.read_text() for path in sources)
    )
    assert len(raised) > 40 and set(raised) <= SENTENCES.keys()


def test_training_refuses_its_users_input_by_code():
    """A plain error there is one that only a programmer can cause."""
    plain = {
        f"{path.relative_to(TRAINING)}: {line.strip()}"
        for path in TRAINING.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.match(
            r"\s*raise (ValueError|RuntimeError|TypeError|KeyError|OSError|FileNotFoundError)\(", line
        )
    }
    assert plain == {'data/schema.py: raise ValueError(f"{folder} has no row {sorted(left)[0]!r}")'}
