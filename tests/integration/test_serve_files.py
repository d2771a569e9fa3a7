"""Files over HTTP: `POST /v1/animate`."""

import json

import pytest
from support.serving import WAV, get

pytestmark = pytest.mark.filterwarnings("ignore::bilabial.errors.UntrainedEmotionWarning")


def test_files_are_animated(server_port):
    status, content = get(server_port, "/v1/animate?fps=25&motion=none&emotion=happy:0.5", {}, WAV)
    answer = json.loads(content)
    assert status == 200
    assert len(answer["frames"]) == 25
    status, content = get(server_port, "/v1/animate?format=csv", {}, WAV)
    assert status == 200 and content.startswith(b"Timecode,BlendShapeCount,EyeBlinkLeft")


@pytest.mark.parametrize(
    ("query", "content", "status", "code"),
    [
        ("", b"no sound", 422, "media_unknown"),
        ("", b"", 422, "file_empty"),
        ("?color=red", WAV, 422, "serve_parameter"),
        ("?intensity=much", WAV, 422, "serve_parameter_value"),
        ("?emotion=merry", WAV, 422, "emotion_name"),
        ("?format=avi", WAV, 422, "format_unknown"),
        ("?style=/etc/passwd", WAV, 422, "serve_style"),
    ],
)
def test_files_and_parameters_that_are_refused(server_port, query, content, status, code):
    given, answer = get(server_port, f"/v1/animate{query}", {}, content)
    assert (given, json.loads(answer)["error"]) == (status, code)
