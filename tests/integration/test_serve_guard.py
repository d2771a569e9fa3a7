"""Who may use the server: origins of pages, host names, the token, and the address it listens on."""

import json
import re
import urllib.request

import pytest
from support.errors import message_of, refused
from support.serving import START, WAV, get, open_stream, wait_closed
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from bilabial.serve.app import Settings, build_app
from bilabial.serve.run import listen

ORIGINS = {
    None: True, "http://localhost:5173": True, "http://127.0.0.1": True, "https://evil.example": False,
    "null": False, "http://localhost.evil.example": False, "http://[": False, "file://": False,
}  # fmt: skip


@pytest.mark.parametrize(("origin", "accepted"), ORIGINS.items())
def test_foreign_pages_are_refused(server_port, origin, accepted):
    headers = {"Origin": origin} if origin else {}
    assert get(server_port, "/health", headers)[0] == (200 if accepted else 403)
    assert get(server_port, "/v1/animate", headers, WAV)[0] == (200 if accepted else 403)
    try:
        open_stream(server_port, additional_headers=headers).close()
        assert accepted
    except InvalidStatus as error:
        assert not accepted and error.response.status_code == 403
        assert re.search(message_of("serve_origin"), error.response.body.decode())


def test_a_page_under_another_name_is_refused(server_port):
    """DNS rebinding: a name of the attacker that leads to this machine."""
    origin = {"Host": "evil.example:8765", "Origin": "http://evil.example:8765"}
    assert get(server_port, "/health", origin)[0] == 403
    assert get(server_port, "/health", {"Host": "evil.example"})[0] == 403
    assert get(server_port, "/health", {"Host": f"localhost:{server_port}"})[0] == 200


def test_a_page_may_read_answers(server_port):
    request = urllib.request.Request(
        f"http://127.0.0.1:{server_port}/health", headers={"Origin": "http://localhost:1"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.headers["access-control-allow-origin"] == "http://localhost:1"


TOKENS = {"Bearer öpen sesame": 200, "Bearer wrong": 401, "Bearer ": 401, "Basic öpen sesame": 401}


@pytest.mark.parametrize(("given", "status"), TOKENS.items())
def test_files_need_the_token(locked_port, given, status):
    headers = {"Authorization": given.encode("utf-8").decode("latin-1")}
    assert get(locked_port, "/v1/animate", headers, WAV)[0] == status


def test_a_token_goes_into_the_first_message_or_a_header(locked_port):
    assert get(locked_port, "/v1/animate", {}, WAV)[0] == 401
    assert get(locked_port, "/v1/animate?token=%C3%B6pen+sesame", {}, WAV)[0] == 401
    for token in (None, "wrong", ""):
        with open_stream(locked_port) as client:
            client.send(json.dumps(START | ({} if token is None else {"token": token})))
            number, reason = wait_closed(client)
            assert number == 4401 and reason.startswith("serve_token: ")
    with open_stream(locked_port) as client:
        client.send(json.dumps(START | {"token": "öpen sesame"}))
        assert json.loads(client.recv(timeout=60))["type"] == "started"
    with pytest.raises(InvalidStatus):
        open_stream(locked_port, additional_headers={"Authorization": "Bearer wrong"})
    with connect(f"ws://127.0.0.1:{locked_port}/v1/stream?token=x") as client:
        number, reason = wait_closed(client)
        assert number == 4400 and reason.startswith("serve_query: ")
    with connect(f"ws://127.0.0.1:{locked_port}/v1/faces") as client:
        assert wait_closed(client)[0] == 4401


def test_an_origin_can_be_accepted(locked_port):
    assert get(locked_port, "/health", {"Origin": "https://example.org"})[0] == 200
    assert get(locked_port, "/health", {"Origin": "https://example.com"})[0] == 403


def test_it_listens_on_loopback(random_animator):
    assert Settings().host == "127.0.0.1"
    with refused("serve_open", host="0.0.0.0"):
        build_app(lambda: random_animator, Settings(host="0.0.0.0"))
    build_app(lambda: random_animator, Settings(host="0.0.0.0", token="x"))
    with listen("127.0.0.1", 0) as taken, refused("serve_port"):
        listen("127.0.0.1", taken.getsockname()[1])
