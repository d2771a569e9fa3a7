"""A Hub on this machine: what huggingface_hub 2 asks of the real one, over HTTP, with everything in memory.

Repositories of all kinds, public and private, with commits, tags, large files in one piece or in parts, and
files at every revision. It is as strict as the real one: a commit may only name large files whose bytes have
arrived and have the promised SHA-256; writing, and reading what is private, needs the token.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import re
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN, READ_TOKEN = "secret", "read-only"
KINDS = ("models", "datasets", "spaces")
LARGE = (".safetensors", ".parquet", ".glb", ".png", ".flac")  # as in the Hub's own .gitattributes
PART_BYTES = 4_000_000  # of large files; those that are longer come in parts


@dataclass(frozen=True)
class File:
    """Content of a path; large: kept outside git."""

    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @property
    def blob(self) -> str:
        """The id that git gives what it keeps: the file, or of a large file the pointer to it."""
        kept = f"version 1\noid sha256:{self.sha256}\n".encode() if self.large else self.content
        return hashlib.sha1(b"blob %d\0" % len(kept) + kept).hexdigest()

    def entry(self, path: str) -> dict:
        pointer = {"lfs": {"oid": self.sha256, "size": len(self.content), "pointerSize": 130}}
        entry = {"type": "file", "path": path, "size": len(self.content), "oid": self.blob}
        return entry | (pointer if self.large else {})


@dataclass(frozen=True)
class Commit:
    oid: str
    message: str
    files: dict[str, File]


@dataclass
class Repository:
    """commits: oldest first, the first one is empty, as on the Hub. tags: name -> oid."""

    private: bool = False
    commits: list[Commit] = field(default_factory=lambda: [Commit("0" * 39 + "1", "initial commit", {})])
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        return {path: file.content for path, file in self.commits[-1].files.items()}

    def at(self, revision: str) -> Commit | None:
        oid = {"main": self.commits[-1].oid, **self.tags}.get(revision, revision)
        return next((commit for commit in self.commits if commit.oid == oid), None)

    def commit(self, message: str, files: dict[str, File]) -> Commit:
        what = json.dumps([message, len(self.commits), {path: file.sha256 for path, file in files.items()}])
        self.commits.append(Commit(hashlib.sha1(what.encode()).hexdigest(), message, files))
        return self.commits[-1]


class LocalHub(http.server.ThreadingHTTPServer):
    """The server. requests: (method, path) of all that came. cut: called with (method, path) before a request
    is read; where it says True the connection is dropped in the middle of the body."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        # large files are fetched from another host, to which clients must not carry their token
        self.storage_url = f"http://localhost:{self.server_port}"
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.stored: dict[str, bytes] = {}  # large files by SHA-256, and "SHA-256/part"
        self.requests: list[tuple[str, str]] = []
        self.cut = lambda method, path: False
        self.lock = threading.Lock()

    def handle_error(self, request, address) -> None:
        """A client that went away is not worth a traceback."""

    def __enter__(self) -> LocalHub:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.shutdown()
        self.server_close()

    def repository(self, name: str, kind: str = "model") -> Repository:
        return self.repositories[(f"{kind}s", name)]


class Answer(Exception):
    """Ends a request early."""

    def __init__(self, status: int, value: object, code: str | None = None):
        self.status, self.value, self.code = status, value, code


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LocalHub

    ROUTES = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("POST", r"/api/repos/create", "create"),
        ("GET", r"/api/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)", "info"),
        ("GET", r"/api/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/revision/(?P<revision>[^/]+)", "info"),
        ("GET", r"/api/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/refs", "refs"),
        ("GET", r"/api/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)(/(?P<path>.+))?", "tree"),
        ("POST", r"/api/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/paths-info/(?P<revision>[^/]+)", "paths_info"),
        ("POST", r"/api/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/preupload/(?P<revision>[^/]+)", "preupload"),
        ("POST", r"/api/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", r"/api/(?P<kind>\w+)/(?P<name>[^/]+/[^/]+)/tag/(?P<revision>[^/]+)", "tag"),
        ("POST", r"/(?P<url>.+)\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/store/(?P<key>.+)", "store"),
        ("POST", r"/join/(?P<oid>\w+)", "join"),
        ("POST", r"/verify", "verify"),
        ("GET", r"/store/(?P<key>\w+)", "fetch"),
        ("GET", r"/(?P<url>.+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", "resolve"),
    )

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.requests.append((self.command, path))
        if self.server.cut(self.command, path):
            self.rfile.read(min(1000, int(self.headers.get("Content-Length", 0))))
            self.close_connection = True
            return self.connection.close()
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        method = "GET" if self.command == "HEAD" else self.command
        for of_route, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == of_route:
                given = {key: unquote(value or "") for key, value in match.groupdict().items()}
                try:
                    with self.server.lock:
                        return getattr(self, name)(**given)
                except Answer as answer:
                    code = {"X_Error_Code": answer.code} if answer.code else {}
                    return self.answer_json(answer.value, answer.status, **code)
        return self.answer_json({"error": f"no such address: {path}"}, 404)

    do_HEAD = do_POST = do_PUT = do_GET

    # --- answers

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value: object, status: int = 200, **headers: str) -> None:
        self.answer(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    # --- who may do what

    def find(self, kind: str, name: str, write: bool = False) -> Repository:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in ("", TOKEN, READ_TOKEN):
            raise Answer(401, {"error": "Invalid credentials in Authorization header"})
        repository = self.server.repositories.get((kind, name))
        if repository is None or (repository.private and not token):
            status = 404 if token else 401  # the Hub does not tell strangers which of the two it is
            raise Answer(status, {"error": "Repository not found"}, "RepoNotFound")
        if write and token != TOKEN:
            raise Answer(403, {"error": "you must use a write token to upload to a repository"})
        return repository

    def at(self, kind: str, name: str, revision: str) -> Commit:
        found = self.find(kind, name).at(revision or "main")
        if found is None:
            raise Answer(404, {"error": f"Invalid rev id: {revision}"}, "RevisionNotFound")
        return found

    def repository_of_url(self, url: str) -> tuple[str, str]:
        first, _, rest = url.partition("/")
        return (first, rest) if first in KINDS else ("models", url)

    # --- writing

    def whoami(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, READ_TOKEN):
            raise Answer(401, {"error": "Invalid username or password."})
        self.answer_json({"type": "user", "name": "me", "orgs": [], "auth": {"type": "access_token"}})

    def validate_yaml(self) -> None:
        asked = json.loads(self.body)
        head = re.match(r"---\n(.*?)\n---\n", asked["content"], re.DOTALL)
        data = yaml.safe_load(head[1]) if head else {}
        errors = []
        if asked["repoType"] == "space" and data.get("sdk") not in ("gradio", "docker", "static"):
            errors.append({"message": '"sdk" must be one of [gradio, docker, static]'})
        for model in data.get("model-index", []):
            if "name" not in model or not all("metrics" in result for result in model["results"]):
                errors.append({"message": '"model-index" needs "name" and "metrics"'})
        if not isinstance(data.get("license", "apache-2.0"), (str, list)):
            errors.append({"message": '"license" must be a string or an array'})
        self.answer_json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def create(self) -> None:
        asked = json.loads(self.body)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (TOKEN, READ_TOKEN):
            raise Answer(401, {"error": "Invalid username or password."})
        if token != TOKEN or asked["organization"] != "me":
            raise Answer(403, {"error": f"no rights to create a repository under {asked['organization']}"})
        kind, name = f"{asked.get('type', 'model')}s", f"{asked['organization']}/{asked['name']}"
        url = f"{self.server.url}/{name}" if kind == "models" else f"{self.server.url}/{kind}/{name}"
        if (kind, name) in self.server.repositories:
            raise Answer(409, {"error": "You already created this repo", "url": url})
        self.server.repositories[(kind, name)] = Repository(asked.get("visibility") == "private")
        self.answer_json({"url": url, "name": name, "id": name})

    def preupload(self, kind: str, name: str, revision: str) -> None:
        held = self.find(kind, name, write=True).at(revision).files
        files = []
        for asked in json.loads(self.body)["files"]:
            large = asked["path"].endswith(LARGE)
            old = held.get(asked["path"])
            oid = None if old is None else old.sha256 if large else old.blob
            mode = "lfs" if large else "regular"
            files.append({"path": asked["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.answer_json({"files": files})

    def batch(self, url: str) -> None:
        self.find(*self.repository_of_url(url), write=True)
        objects = []
        for asked in json.loads(self.body)["objects"]:
            oid, size, here = asked["oid"], asked["size"], self.server.url
            entry = {"oid": oid, "size": size}
            if oid not in self.server.stored:
                upload = {"href": f"{here}/store/{oid}"}
                if size > PART_BYTES:
                    parts = range(1, -(-size // PART_BYTES) + 1)
                    header = {f"{part:05d}": f"{here}/store/{oid}/{part}" for part in parts}
                    header["chunk_size"] = str(PART_BYTES)
                    upload = {"href": f"{here}/join/{oid}", "header": header}
                entry["actions"] = {"upload": upload, "verify": {"href": f"{here}/verify"}}
            objects.append(entry)
        self.answer_json({"transfer": "basic", "objects": objects})

    def store(self, key: str) -> None:
        if "/" not in key and hashlib.sha256(self.body).hexdigest() != key:
            raise Answer(400, {"error": "these are other bytes"})
        self.server.stored[key] = self.body
        self.answer(200, ETag=f'"{hashlib.md5(self.body).hexdigest()}"')

    def join(self, oid: str) -> None:
        keys = [f"{oid}/{part['partNumber']}" for part in json.loads(self.body)["parts"]]
        content = b"".join(self.server.stored.pop(key) for key in keys)
        if hashlib.sha256(content).hexdigest() != oid:
            raise Answer(400, {"error": "these are other bytes"})
        self.server.stored[oid] = content
        self.answer_json({})

    def verify(self) -> None:
        asked = json.loads(self.body)
        if len(self.server.stored.get(asked["oid"], b"")) != asked["size"]:
            raise Answer(404, {"error": "not stored"})
        self.answer_json({})

    def commit(self, kind: str, name: str, revision: str) -> None:
        repository = self.find(kind, name, write=True)
        files, message = dict(repository.at(revision).files), ""
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = File(base64.b64decode(value["content"]), large=False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.server.stored:
                    raise Answer(400, {"error": f"large file {value['path']} was not uploaded"})
                files[value["path"]] = File(self.server.stored[value["oid"]], large=True)
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        made = repository.commit(message, files)
        url = f"{self.server.url}/{name}/commit/{made.oid}"
        self.answer_json({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})

    def tag(self, kind: str, name: str, revision: str) -> None:
        repository, tag = self.find(kind, name, write=True), json.loads(self.body)["tag"]
        if tag in repository.tags:
            raise Answer(409, {"error": f"Tag reference exists already: {tag}"})
        repository.tags[tag] = self.at(kind, name, revision).oid
        self.answer_json({})

    # --- reading

    def info(self, kind: str, name: str, revision: str = "") -> None:
        repository, commit = self.find(kind, name), self.at(kind, name, revision)
        siblings = [{"rfilename": path} for path in commit.files]
        info = {"id": name, "sha": commit.oid, "private": repository.private, "tags": []}
        info |= {"siblings": siblings, "downloads": 0, "likes": 0}
        self.answer_json(info | ({"modelId": name} if kind == "models" else {}))

    def refs(self, kind: str, name: str) -> None:
        repository = self.find(kind, name)
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.commits[-1].oid}
        tags = [
            {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": oid}
            for tag, oid in repository.tags.items()
        ]
        self.answer_json({"branches": [main], "converts": [], "tags": tags})

    def tree(self, kind: str, name: str, revision: str, path: str) -> None:
        files = self.at(kind, name, revision).files
        below = {one: file for one, file in files.items() if one.startswith(f"{path}/" if path else "")}
        if path and not below:
            raise Answer(404, {"error": f"{path} does not exist"}, "EntryNotFound")
        asked = parse_qs(urlsplit(self.path).query)
        recursive = asked.get("recursive", ["false"])[0].lower() in ("true", "1")
        start = len(path) + 1 if path else 0
        entries = {}
        for one, file in sorted(below.items()):
            parts = one[start:].split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                folder = one[:start] + "/".join(parts[:depth])
                entries[folder] = self.folder(folder)
            if recursive or len(parts) == 1:
                entries[one] = file.entry(one)
        self.answer_json(list(entries.values()))

    def folder(self, path: str) -> dict:
        return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}

    def paths_info(self, kind: str, name: str, revision: str) -> None:
        files, found = self.at(kind, name, revision).files, []
        for path in parse_qs(self.body.decode()).get("paths", []):
            if path in files:
                found.append(files[path].entry(path))
            elif any(one.startswith(f"{path}/") for one in files):
                found.append(self.folder(path))
        self.answer_json(found)

    def resolve(self, url: str, revision: str, path: str) -> None:
        commit = self.at(*self.repository_of_url(url), revision)
        file = commit.files.get(path)
        if file is None:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit.oid)
        if file.large:
            linked = {"X_Linked_Size": str(len(file.content)), "X_Linked_ETag": f'"{file.sha256}"'}
            place = f"{self.server.storage_url}/store/{file.sha256}"
            return self.answer(302, X_Repo_Commit=commit.oid, Location=place, **linked)
        self.answer_bytes(file.content, ETag=f'"{file.blob}"', X_Repo_Commit=commit.oid)

    def fetch(self, key: str) -> None:
        if self.headers.get("Authorization"):
            raise Answer(400, {"error": "a token was carried to the storage"})
        self.answer_bytes(self.server.stored[key], ETag=f'"{key}"')

    def answer_bytes(self, content: bytes, **headers: str) -> None:
        """The content, or the range of it that is asked for."""
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers |= {"Accept_Ranges": "bytes", "Content_Type": "application/octet-stream"}
        if not wanted:
            return self.answer(200, content, **headers)
        first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
        part = content[first : last + 1]
        place = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        self.answer(206, part, Content_Range=place, **headers)
