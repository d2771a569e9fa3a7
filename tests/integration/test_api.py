"""The app's end points for programs, over HTTP: gradio_client, and the Model Context Protocol."""

import asyncio
import base64
import json
import re

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from support.documents import snippets
from support.errors import message_of
from support.paths import EXAMPLE

from bilabial import FaceClip
from bilabial.io.exporters import read_glb


@pytest.fixture(scope="module")
def client(address) -> Client:
    return Client(address, verbose=False)


def test_one_end_point_typed_and_documented(client):
    api = client.view_api(return_format="dict", print_info=False)
    assert list(api["named_endpoints"]) == ["/animate"] and not api["unnamed_endpoints"]
    end_point = api["named_endpoints"]["/animate"]
    types = {one["parameter_name"]: one["python_type"]["type"] for one in end_point["parameters"]}
    assert types["emotion"] == "str" and types["intensity"] == "float" and "whisper" in types["style"]
    assert [one["parameter_name"] for one in end_point["parameters"] if not one["parameter_has_default"]] == [
        "audio"
    ]
    assert [one["label"] for one in end_point["returns"]] == ["Summary", "Files"]


@pytest.mark.slow
def test_the_files_of_every_format(client):
    formats = ["csv", "npz", "json", "glb", "html"]
    summary, files = client.predict(audio=handle_file(EXAMPLE), fps=25, formats=formats, api_name="/animate")
    csv, npz, json_file, glb, html = files
    clip = FaceClip.from_npz(npz)
    assert (summary["frames"], summary["fps"]) == (len(clip), clip.fps) == (len(clip), 25)
    assert (
        0
        < summary["closed_seconds"]
        < summary["duration_seconds"]
        == pytest.approx(clip.duration_seconds, abs=1e-3)
    )
    assert np.allclose(FaceClip.from_csv(csv).values, clip.values, atol=1e-6)
    with open(json_file) as file:
        assert json.load(file)["metadata"]["frame_count"] == len(clip)
    assert len(read_glb(glb)[0]["animations"]) == 1
    with open(html) as file:
        assert "<audio" in file.read()


def test_the_snippet_of_the_readme_runs(client, tmp_path, monkeypatch):
    (tmp_path / "speech.wav").write_bytes(EXAMPLE.read_bytes())
    monkeypatch.chdir(tmp_path)
    [snippet] = snippets("README.md", "python", "gradio_client")
    names: dict = {}
    exec(snippet.replace("http://127.0.0.1:7860", client.src), names)
    assert names["summary"]["frames"] > 0 and len(names["files"]) == 2


def test_every_knob(client, tmp_path):
    asked = {
        "emotion": "sad",
        "intensity": 1.5,
        "style": "articulate",
        "amount": 0.5,
        "motion": [],
        "seed": "3",
    }
    _, (npz,) = client.predict(audio=handle_file(EXAMPLE), **asked, formats=["npz"], api_name="/animate")
    clip = FaceClip.from_npz(npz)
    assert clip["mouthFrownLeft"].mean() > 0.3 and clip["eyeBlinkLeft"].max() < 0.8
    reference = handle_file(clip.to_npz(tmp_path / "person.npz"))
    _, (other,) = client.predict(
        audio=handle_file(EXAMPLE), reference=reference, motion=[], formats=["npz"], api_name="/animate"
    )
    assert FaceClip.from_npz(other)["mouthFrownLeft"].mean() > 0.2


def test_mixtures_and_schedules_are_json(client):
    for emotion in ('{"happy": 0.7, "surprised": 0.3}', '[[0, "happy"], [3, {"sad": 1.0}]]'):
        _, (npz,) = client.predict(
            audio=handle_file(EXAMPLE), emotion=emotion, formats=["npz"], api_name="/animate"
        )
        smile = FaceClip.from_npz(npz)["mouthSmileLeft"]
        assert smile[:60].mean() > 0.25 and (smile[120:].mean() > 0.25) == (emotion[0] == "{")


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"emotion": "glad"}, message_of("emotion_name", got="'glad'")),
        ({"emotion": "[1"}, message_of("emotion_text", got="'[1'")),
        ({"seed": "today"}, message_of("seed_text", got="'today'")),
        ({"intensity": 3.0}, "3.0 .* 1.5"),  # as gradio says it
    ],
)
def test_wrong_wishes_are_sentences(client, wrong, sentence):
    with pytest.raises(AppError, match=sentence):
        client.predict(audio=handle_file(EXAMPLE), **wrong, api_name="/animate")


def test_agents_have_one_tool(address):
    sound = "data:audio/flac;base64," + base64.b64encode(EXAMPLE.read_bytes()).decode()
    given = {"audio": sound, "emotion": "happy", "formats": ["csv"]}

    async def visit() -> None:
        async with (
            streamablehttp_client(f"{address}/gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            (tool,) = (await session.list_tools()).tools
            assert tool.name == "animate" and tool.description.startswith("Animate speech")
            assert all("description" in one for one in tool.inputSchema["properties"].values())
            done = await session.call_tool("animate", given)
            assert not done.isError and "bilabial_iPhone.csv" in done.content[0].text
            refused = await session.call_tool("animate", given | {"emotion": "glad"})
            assert refused.isError
            assert re.search(message_of("emotion_name", got="'glad'"), refused.content[0].text)

    asyncio.run(visit())
