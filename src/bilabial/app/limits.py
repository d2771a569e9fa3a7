"""Limits of the server: size of requests, and of files fetched by URL. Needs the extra `app`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import gradio as gr
import httpx
from gradio.components import Component
from gradio.context import LocalContext
from gradio.utils import get_space
from gradio_client.utils import is_http_url_like, strip_invalid_filename_characters
from safehttpx import AsyncSecureTransport, async_validate_url
from starlette.requests import Request

from bilabial.app.folders import new_folder
from bilabial.app.i18n import translate
from bilabial.errors import UserError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
MEGABYTE = 2**20
MAX_JSON_BYTES = 2 * MEGABYTE  # of a request without a file
BODY_SECONDS = 600.0  # maximal time for a request to arrive
ADDRESS_SECONDS = 60.0  # maximal time to fetch a file from its URL
MAX_REDIRECTS = 5


def client_of(request: Request) -> str:
    """The client address of a request; on a Space the one in the proxy's header."""
    if get_space() and (addresses := request.headers.get("x-forwarded-for")):
        return addresses.split(",")[0].strip()
    return request.client.host if request.client else ""


class LimitRequests:
    """ASGI middleware: refuses requests that are too large, too slow, or too many.

    max_file_bytes: of an uploaded file; one in base64 is a third larger. refuse: returns the error for a
    request before it is read, or None.
    """

    def __init__(
        self,
        app: Callable[[Message, Receive, Send], Awaitable[None]],
        max_file_bytes: int,
        refuse: Callable[[Request], UserError | None],
    ) -> None:
        self.app, self.max_file_bytes, self.refuse = app, max_file_bytes, refuse

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        languages = headers.get(b"accept-language", b"").decode("latin-1")
        body = _Body(receive, self._max_bytes(scope["path"]))
        try:
            if error := self.refuse(Request(scope)):
                raise error
            body.check(int(headers.get(b"content-length", b"0")))
            await self.app(scope, body.receive, body.watched(send))
        except UserError as error:
            if body.answered:
                raise
            await _answer(send, error, languages)

    def _max_bytes(self, path: str) -> int:
        if path.endswith("/upload"):
            return self.max_file_bytes + MEGABYTE
        return self.max_file_bytes * 4 // 3 + MEGABYTE if "/mcp" in path else MAX_JSON_BYTES


class _Body:
    """The body of a request as it arrives."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive, self._max_bytes, self._num_bytes = receive, max_bytes, 0
        self._end, self._complete, self.answered = time.monotonic() + BODY_SECONDS, False, False

    def check(self, num_bytes: int) -> None:
        """Raise UserError for a body of so many bytes."""
        if num_bytes > self._max_bytes:
            raise UserError("request_large", limit=self._max_bytes // MEGABYTE)

    async def receive(self) -> Message:
        """The next part. Raises UserError when the body gets too large, or is too slow."""
        if self._complete:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._end - time.monotonic())
        except TimeoutError as error:
            raise UserError("request_slow", seconds=round(BODY_SECONDS)) from error
        self._num_bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        self.check(self._num_bytes)
        return message

    def watched(self, send: Send) -> Send:
        """`send`, recording that a response has begun."""

        async def noting(message: Message) -> None:
            self.answered = True
            await send(message)

        return noting


async def _answer(send: Send, error: UserError, languages: str) -> None:
    content = json.dumps({"detail": translate(error, languages)}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    status = 413 if error.code == "request_large" else 408 if error.code == "request_slow" else 503
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def fetch(
    address: str,
    folder: Path,
    max_bytes: int,
    validate: Callable[[str], Awaitable[str]] = async_validate_url,
) -> Path:
    """Download a public file into a new folder in `folder`, without holding it in memory.

    validate: returns the IP address of an allowed host. Raises UserError for files that are too large, too
    slow, or not available.
    """
    try:
        async with asyncio.timeout(ADDRESS_SECONDS):
            for _ in range(MAX_REDIRECTS + 1):
                url = httpx.URL(address)
                transport = AsyncSecureTransport(await validate(url.host))
                client = httpx.AsyncClient(transport=transport, headers={"accept-encoding": "identity"})
                async with client, client.stream("GET", url) as response:
                    if response.has_redirect_location:
                        address = urljoin(address, response.headers["location"])
                        continue
                    response.raise_for_status()
                    name = strip_invalid_filename_characters(Path(url.path).name) or "file"
                    return await _write(response, new_folder(folder) / name, max_bytes)
        raise UserError("address_failed", name=address, error=f"more than {MAX_REDIRECTS} redirects")
    except TimeoutError as error:
        raise UserError("address_slow", name=address, seconds=round(ADDRESS_SECONDS)) from error
    except UserError:
        raise
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        raise UserError("address_failed", name=address, error=error) from error


async def _write(response: httpx.Response, path: Path, max_bytes: int) -> Path:
    num_bytes = 0
    with path.open("wb") as file:
        async for part in response.aiter_raw():
            num_bytes += len(part)
            if num_bytes > max_bytes:
                path.unlink()
                raise UserError("file_large", name=path.name, limit=max_bytes // MEGABYTE)
            file.write(part)
    return path


def limited(component: Component, max_file_bytes: int) -> Component:
    """The component, with files by URL fetched within limits; Gradio itself has none."""
    usual = component.async_move_resource_to_block_cache

    async def move(url_or_file_path: str | Path | None) -> str | None:
        if url_or_file_path is None or not is_http_url_like(str(url_or_file_path)):
            return await usual(url_or_file_path)
        try:
            path = str(await fetch(str(url_or_file_path), Path(component.GRADIO_CACHE), max_file_bytes))
        except UserError as error:
            request = LocalContext.request.get(None)
            languages = request.headers.get("accept-language", "") if request else ""
            raise gr.Error(translate(error, languages), print_exception=False) from error
        component.temp_files.add(path)
        return path

    component.async_move_resource_to_block_cache = move
    return component
