import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from bilabial.app.opening import OpeningView

PAGE = "<html><head></head><body><gradio-app></gradio-app></body></html>"


def served(html: str, headers: dict | None = None):
    """The page through the middleware."""
    app = Starlette(routes=[Route("/", lambda request: HTMLResponse(html, headers=headers))])
    return TestClient(OpeningView(app)).get("/")


def test_the_player_is_before_gradios_element():
    answer = served(PAGE)
    assert answer.text.index("bilabialProps") < answer.text.index("</head>")
    assert answer.text.index("bilabial-canvas") < answer.text.index("<gradio-app")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "example.json" in answer.headers["link"]


@pytest.mark.parametrize("html", ["<p>another page</p>", PAGE.replace("gradio-app", "div")])
def test_other_pages_stay_as_they_are(html):
    assert served(html).text == html


def test_other_addresses_stay_as_they_are():
    app = Starlette(routes=[Route("/other", lambda request: HTMLResponse(PAGE))])
    answer = TestClient(OpeningView(app)).get("/other")
    assert answer.text == PAGE and "link" not in answer.headers
