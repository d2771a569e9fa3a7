import json
import re

import pytest

from bilabial.audio import load_audio
from bilabial.translation import TEXTS, VIEWER, translate

SENTENCES = json.loads((VIEWER / "sentences.json").read_text(encoding="utf-8"))


def test_sentences_keep_what_was_filled_in():
    english = "a: b.wav lasts 300 s or more; at most 120 s are accepted"
    assert translate(english, "zh-CN,zh;q=0.9") == "a: b.wav 长达 300 秒或更久；最多接受 120 秒"
    assert translate(english, "en-US,zh;q=0.5") == english
    assert translate("nobody translated this", "zh") == "nobody translated this"


@pytest.mark.parametrize("content", [b"", b"this is not sound " * 100])
def test_what_the_package_says_is_translated(content, tmp_path):
    (tmp_path / "notes.wav").write_bytes(content)
    with pytest.raises(ValueError) as error:
        load_audio(tmp_path / "notes.wav")
    chinese = translate(str(error.value), "zh-CN")
    assert chinese.startswith("notes.wav ") and re.search("[一-鿿]", chinese)


@pytest.mark.parametrize("english, chinese", [*SENTENCES.items(), *TEXTS.items()])
def test_both_languages_name_the_same_things(english, chinese):
    if english != "introduction":
        assert set(re.findall(r"{(\w+)}", chinese)) <= set(re.findall(r"{(\w+)}", english))
