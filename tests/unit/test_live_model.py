import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from bilabial.app import live_model


@pytest.fixture
def client(tmp_path, monkeypatch):
    """The files' address, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    live_model.folder().mkdir(parents=True)
    app = Starlette(routes=[Route(live_model.ROUTE, live_model.serve)])
    return TestClient(app, base_url=f"http://page/{live_model.live_props('')['model']}")


def test_no_file_is_served_before_all_are_there(client):
    step, settings = live_model.FILES
    (live_model.folder() / step).write_bytes(b"graph")
    assert client.get(step).status_code == 204
    (live_model.folder() / settings).write_text("{}")
    assert [client.get(name).content for name in live_model.FILES] == [b"graph", b"{}"]


def test_nothing_else_is_served(client):
    for name in ("other.json", "bilabial.json"):
        (live_model.folder() / name).write_text("{}")
    assert client.get("bilabial.json").status_code == 200
    for address in ("other.json", "..%2Fbilabial.json", "/live-model/another/bilabial.json"):
        assert client.get(address).status_code == 404, address


def test_files_that_cannot_be_made_are_a_warning(tmp_path, monkeypatch, caplog):
    """Live mode then runs on the server."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    live_model.make()
    (warning,) = [record for record in caplog.records if record.name == live_model.LOGGER.name]
    assert warning.levelname == "WARNING" and str(tmp_path) in warning.getMessage()
