"""The browser's side of the page, over HTTP: one visitor for load.py and attacks.py."""

import json
import time
import uuid

import httpx

REQUEST_SECONDS = 300


class Session:
    """The browser's side of the page's protocol: upload, join the queue, wait for the result."""

    def __init__(self, address: str, config: dict, host: str = "127.0.0.1") -> None:
        """host: the visitor's own address."""
        transport = httpx.HTTPTransport(local_address=host)
        api = f"{address}/gradio_api"
        self.http = httpx.Client(base_url=api, timeout=REQUEST_SECONDS, transport=transport)
        self.config = config
        components = {one["id"]: one for one in config["components"]}
        button = next(key for key, one in components.items() if one["props"].get("elem_id") == "generate")
        self.event = next(one for one in config["dependencies"] if [button, "click"] in one["targets"])
        self.defaults = [components[key]["props"].get("value") for key in self.event["inputs"]]
        speech = next(key for key, one in components.items() if one["props"].get("elem_id") == "speech")
        self.place = self.event["inputs"].index(speech)

    def generate(self, sound: bytes) -> tuple[float, int]:
        """Seconds until the result, and its bytes. Raises RuntimeError or httpx.HTTPError."""
        data = list(self.defaults)
        data[self.place] = self.upload("speech.wav", sound)
        start = time.perf_counter()
        message, size = self.call(self.event["id"], data)
        if not message["success"]:
            raise RuntimeError(str(message["output"]))
        return time.perf_counter() - start, size

    def upload(self, name: str, content: bytes) -> dict:
        """A file of the app, as its components take it."""
        path = self.http.post("/upload", files={"files": (name, content)}).raise_for_status().json()[0]
        return {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": name}

    def call(self, event: int, data: list) -> tuple[dict, int]:
        """The last message about a request, and its bytes. Raises RuntimeError or httpx.HTTPError."""
        session = uuid.uuid4().hex
        call = {"data": data, "fn_index": event, "session_hash": session}
        self.http.post("/queue/join", json=call).raise_for_status()
        with self.http.stream("GET", "/queue/data", params={"session_hash": session}) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                if message.get("msg") == "process_completed":
                    return message, len(line)
        raise RuntimeError("the queue ended without a result")
