"""Publishing over HTTP: a server on this machine speaks the part of the Hub's protocol that one commit needs.

It takes files within the commit itself ("regular" uploads); large-file storage is not spoken here.
"""

import base64
import hashlib
import http.server
import json
import os
import re
import subprocess
import sys
import threading

import numpy as np
import publish
import pytest
from conftest import EXAMPLE, ROOT
from safetensors.torch import load_file

from bilabial import Animator
from bilabial.checkpoint import EMBEDDED_MODEL, load_checkpoint


class Hub(http.server.BaseHTTPRequestHandler):
    """Repositories in memory: {id: {path: content}}; every request needs the token "secret" to write."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value: object, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        repositories = self.server.repositories
        if self.path == "/api/validate-yaml":
            return self.answer_json({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != "Bearer secret":
            return self.answer_json({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.server.private[name] = asked.get("visibility") == "private"
            if name in repositories:
                return self.answer_json({"error": "exists", "url": f"{self.server.url}/{name}"}, 409)
            repositories[name] = {}
            return self.answer_json({"url": f"{self.server.url}/{name}", "name": name, "id": name})
        name = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None}
                for file in json.loads(body)["files"]
            ]
            return self.answer_json({"files": files})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    repositories[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            commit = {"commitOid": "1" * 40, "commitUrl": f"{self.server.url}/{name}/commit/{'1' * 40}"}
            return self.answer_json({**commit, "hookOutput": "", "success": True})
        return self.answer_json({"error": self.path}, 404)

    def do_GET(self) -> None:
        found = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", self.path.split("?")[0])
        files = self.server.repositories
        if found and found[2] in files.get(found[1], {}):
            content = files[found[1]][found[2]]
            tag = f'"{hashlib.sha256(content).hexdigest()}"'
            return self.answer(200, content, ETag=tag, X_Repo_Commit="1" * 40, Accept_Ranges="bytes")
        if found:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit="1" * 40)
        info = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/[^/]+)?", self.path.split("?")[0])
        if info and info[1] in files:
            siblings = [{"rfilename": path} for path in files[info[1]]]
            return self.answer_json(
                {"id": info[1], "modelId": info[1], "sha": "1" * 40, "siblings": siblings}
            )
        if "/tree/" in self.path and files:
            repository = next(iter(files.values()))
            tree = [
                {"type": "file", "path": p, "size": len(c), "oid": "0" * 40} for p, c in repository.items()
            ]
            return self.answer_json(tree)
        return self.answer_json({"error": self.path}, 404)

    do_HEAD = do_GET


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.repositories, server.private = {}, {}
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def run_publish(hub, home, *options: str, token: str = "secret") -> subprocess.CompletedProcess:
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_TOKEN": token}
    command = [sys.executable, str(ROOT / "train" / "publish.py"), "--repo_id", "me/bilabial", *options]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)


def test_published_and_used_by_a_stranger(hub, tmp_path):
    done = run_publish(hub, tmp_path, "--private")
    assert done.returncode == 0, done.stderr
    assert hub.private == {"me/bilabial": True}
    files = hub.repositories["me/bilabial"]
    assert files["README.md"] == (ROOT / "model_card.md").read_bytes()
    (tmp_path / "w.safetensors").write_bytes(files["model.safetensors"])
    sent, own = load_file(tmp_path / "w.safetensors"), load_file(EMBEDDED_MODEL / "model.safetensors")
    assert sent.keys() == own.keys() and all(sent[name].equal(own[name]) for name in own)
    # a clean interpreter without this package fetches code and weights by the repository's name
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "stranger"),
        "PATH": "",
        "HOME": str(tmp_path),
    }
    there = subprocess.run(
        [sys.executable, "-I", "-c", publish.TRY_OUT, "me/bilabial"],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert there.returncode == 0, there.stderr[-3000:]
    coefficients = json.loads(there.stdout.strip().splitlines()[-1])["coefficients"]
    model, _ = load_checkpoint()
    waveform = np.random.default_rng(0).standard_normal(16000).astype(np.float32) * 0.1
    assert np.allclose(coefficients, model.animate(waveform, 16000, fps=30).numpy(), atol=1e-6)


def test_the_animator_loads_by_the_repositorys_name(hub, tmp_path):
    assert run_publish(hub, tmp_path).returncode == 0
    code = (
        "from bilabial import Animator as A; print(A.from_pretrained('me/bilabial')('s.flac').values.sum())"
    )
    (tmp_path / "s.flac").write_bytes(EXAMPLE.read_bytes())
    environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "user"), "PYTHONPATH": str(ROOT / "src")}
    there = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert there.returncode == 0, there.stderr[-3000:]
    assert float(there.stdout) == pytest.approx(
        float(Animator.from_pretrained()(EXAMPLE).values.sum()), rel=1e-4
    )


def test_publishing_again_is_fine(hub, tmp_path):
    assert run_publish(hub, tmp_path).returncode == 0
    assert run_publish(hub, tmp_path).returncode == 0


def test_a_refused_token_is_a_sentence(hub, tmp_path):
    done = run_publish(hub, tmp_path, token="wrong")
    assert done.returncode == 1 and "publish: " in done.stderr and "Traceback" not in done.stderr
    assert hub.repositories == {}


def test_no_server_is_a_sentence(hub, tmp_path):
    hub.server_close()
    hub.shutdown()
    done = run_publish(hub, tmp_path)
    assert done.returncode == 1 and "publish: " in done.stderr and "Traceback" not in done.stderr
