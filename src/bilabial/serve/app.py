"""The server: /v1/stream for live sound, /v1/animate for files, /v1/faces for viewers, /health."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, Response
from starlette.middleware.cors import CORSMiddleware

from bilabial.errors import UserError
from bilabial.io.formats import formats_of
from bilabial.options import AnimateOptions, is_style_file
from bilabial.serve.connection import CLOSE_CODES, Connection
from bilabial.serve.faces import Faces
from bilabial.serve.guard import Guard, is_loopback, is_token
from bilabial.serve.outputs.face import Output
from bilabial.serve.outputs.watch import WatchOutput
from bilabial.serve.playout import Playout, Sender
from bilabial.serve.scheduler import Scheduler

if TYPE_CHECKING:
    from bilabial.animator import Animator
    from bilabial.runtime.animator import OnnxAnimator

MAX_FILE_BYTES = 64 * 2**20
MAX_FILES = 4  # at once, waiting ones too
FILE_SECONDS = 120.0  # for a file to arrive
LOOPBACK_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
ANIMATE_OPTIONS = tuple(field.name for field in fields(AnimateOptions))
MEDIA_TYPES = {"json": "application/json", "csv": "text/csv", "glb": "model/gltf-binary"}


@dataclass(frozen=True)
class Settings:
    """host: the server's address. token: None = none required, allowed on loopback only.

    origins: of allowed pages, besides this machine's. max_streams: concurrent ones. step_seconds: minimal
    duration of sound computed together; less means less delay and more CPU time. num_threads: compute
    threads. outputs: show the face of the latest client. moves_head: gentle head motion, where an output has
    a head.
    """

    host: str = "127.0.0.1"
    token: str | None = None
    origins: tuple[str, ...] = ()
    max_streams: int = 64
    step_seconds: float = 0.1
    num_threads: int = field(default_factory=lambda: os.cpu_count() or 1)
    outputs: tuple[Output, ...] = ()
    moves_head: bool = True


class Server:
    """State shared by requests. num_streams: open ones."""

    def __init__(self, load: Callable[[], Animator | OnnxAnimator], settings: Settings):
        self._load, self._settings = load, settings
        self.num_streams = self._num_files = 0
        self._watch = WatchOutput()

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Load the model before the first client; stop the threads after the last."""
        self._scheduler = Scheduler(self._settings.num_threads)
        self._files = ThreadPoolExecutor(1, "files", initializer=_lower_priority)
        loop = asyncio.get_running_loop()
        self._faces = Faces(await loop.run_in_executor(None, self._load))
        await self._scheduler.run(0.0, self._faces.warm_up)
        outputs = self._settings.outputs
        sender = Sender((*outputs, self._watch), self._settings.moves_head)
        self._playout = Playout(sender, sets_position=bool(outputs))
        showing = asyncio.create_task(self._playout.run())
        try:
            yield
        finally:
            showing.cancel()
            self._scheduler.close()
            self._files.shutdown(cancel_futures=True)

    async def stream(self, socket: WebSocket) -> None:
        """One client of /v1/stream."""
        if socket.scope["query_string"]:
            return await _reject(socket, UserError("serve_query"))
        if self.num_streams >= self._settings.max_streams:
            return await _reject(socket, UserError("serve_full", limit=self._settings.max_streams))
        token = None if socket.scope["token_checked"] else self._settings.token
        right = partial(is_token, token)
        step = self._settings.step_seconds
        self.num_streams += 1
        try:
            await Connection(socket, self._scheduler, self._faces, right, step, self._playout).run()
        finally:
            self.num_streams -= 1
        return None

    async def watch(self, socket: WebSocket) -> None:
        """One page that watches at /v1/faces."""
        await _watch(self._watch, socket)

    def health(self) -> dict:
        """The answer of /health."""
        return {
            "status": "ok", "version": version("bilabial"), "streams": self.num_streams,
            "max_streams": self._settings.max_streams,
        }  # fmt: skip

    async def animate(self, request: Request) -> Response:
        """The face of the file in a body, in the requested format."""
        options, name = _options(dict(request.query_params))
        if self._num_files >= MAX_FILES:
            raise UserError("serve_busy", limit=MAX_FILES)
        self._num_files += 1
        try:
            content = await asyncio.wait_for(_body(request), FILE_SECONDS)
            job = partial(self._faces.animate, content, options, name)
            file = await asyncio.get_running_loop().run_in_executor(self._files, job)
        except TimeoutError as error:
            raise UserError("request_slow", seconds=round(FILE_SECONDS)) from error
        finally:
            self._num_files -= 1
        return Response(file, media_type=MEDIA_TYPES.get(name, "application/octet-stream"))


def build_watch_app(watch: WatchOutput, host: str, token: str | None) -> FastAPI:
    """An app that has /v1/faces alone, for `bilabial live --web`. Raises UserError as `build_app`."""
    _check_open(host, token)
    app = FastAPI(title="Bilabial", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, host=host, token=token, origins=())

    @app.websocket("/v1/faces")
    async def faces(socket: WebSocket) -> None:
        await _watch(watch, socket)

    return app


def build_app(load: Callable[[], Animator | OnnxAnimator], settings: Settings) -> FastAPI:
    """The ASGI app. load: gives the model.

    Raises UserError for a server that others can reach, without a token.
    """
    _check_open(settings.host, settings.token)
    server = Server(load, settings)
    app = FastAPI(title="Bilabial", lifespan=server.lifespan, docs_url=None, redoc_url=None)
    app.state.server = server
    app.add_middleware(
        CORSMiddleware, allow_origins=list(settings.origins), allow_origin_regex=LOOPBACK_ORIGINS,
        allow_methods=["GET", "POST"], allow_headers=["authorization", "content-type"],
    )  # fmt: skip
    app.add_middleware(Guard, host=settings.host, token=settings.token, origins=settings.origins)

    @app.get("/health")
    async def health() -> dict:
        return server.health()

    @app.post("/v1/animate")
    async def animate(request: Request) -> Response:
        return await server.animate(request)

    @app.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        await server.stream(socket)

    @app.websocket("/v1/faces")
    async def watch(socket: WebSocket) -> None:
        await server.watch(socket)

    @app.exception_handler(ValueError)
    async def refuse(request: Request, error: ValueError) -> JSONResponse:
        code = error.code if isinstance(error, UserError) else "value"
        status = {"request_large": 413, "request_slow": 408, "serve_busy": 503}.get(code, 422)
        return JSONResponse({"error": code, "detail": str(error)}, status)

    return app


def _options(given: dict[str, str]) -> tuple[dict, str]:
    """Keyword arguments of an Animator and the name of a format, of the parameters in an address.

    Raises UserError for others, and for a style in a file: the server's files are private.
    """
    name = formats_of(given.pop("format", "json"))[0]
    unknown = sorted(set(given) - set(ANIMATE_OPTIONS))
    if unknown:
        raise UserError("serve_parameter", accepted=[*ANIMATE_OPTIONS, "format"], got=unknown[0])
    numbers = {"intensity": float, "seed": int}
    try:
        typed = {key: numbers.get(key, str)(value) for key, value in given.items()}
    except ValueError as error:
        raise UserError("serve_parameter_value", error=error) from error
    if is_style_file(given.get("style", "")):
        raise UserError("serve_style", got=given["style"])
    return AnimateOptions(**typed).arguments(), name


async def _body(request: Request) -> bytes:
    """The file in a body. Raises UserError for one that is too large, before it is held."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > MAX_FILE_BYTES:
            raise UserError("request_large", limit=MAX_FILE_BYTES // 2**20)
    return bytes(content)


def _check_open(host: str, token: str | None) -> None:
    if token is None and not is_loopback(host):
        raise UserError("serve_open", host=host)


async def _watch(watch: WatchOutput, socket: WebSocket) -> None:
    if not socket.scope["token_checked"]:
        return await _reject(socket, UserError("serve_token"))
    return await watch.serve(socket)


async def _reject(socket: WebSocket, error: UserError) -> None:
    await socket.accept()
    await socket.close(CLOSE_CODES.get(error.code, 4400), f"{error.code}: {error}"[:120])


def _lower_priority() -> None:
    """Lower a thread's priority below those of streams, where supported."""
    if sys.platform == "linux":  # where a thread has a priority of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
