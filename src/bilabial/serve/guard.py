"""Access control: local host names and origins, and the token."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from bilabial.errors import UserError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
OPEN_PATHS = ("/health",)  # without a token


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_token(expected: str | None, given: object) -> bool:
    """Whether a token is the expected one; None expects none."""
    if expected is None:
        return True
    texts = (given if isinstance(given, str) else "", expected)
    return secrets.compare_digest(*(text.encode("utf-8", "replace") for text in texts))


class Guard:
    """ASGI middleware: refuses foreign origins, foreign names of a loopback server, and wrong tokens.

    Browsers send the origin of the page that asks. Pages of this machine may ask, and those of `origins`. A
    server on loopback answers to loopback names only, so no page reaches it under a name of its own (DNS
    rebinding). A WebSocket without an Authorization header may send the token in its first message.
    """

    def __init__(
        self,
        app: Callable[[Message, Receive, Send], Awaitable[None]],
        host: str,
        token: str | None,
        origins: Iterable[str],
    ) -> None:
        self.app, self.token, self.origins = app, token, {origin.rstrip("/") for origin in origins}
        self.loopback = is_loopback(host)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        headers = {name.lower(): value.decode("utf-8", "replace") for name, value in scope["headers"]}
        try:
            self._check_names(headers)
            scope["token_checked"] = self._check_token(scope, headers)
        except UserError as error:
            return await _refuse(scope, receive, send, 401 if error.code == "serve_token" else 403, error)
        return await self.app(scope, receive, send)

    def _check_names(self, headers: dict[bytes, str]) -> None:
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if self.loopback and _hostname(f"//{host}") not in LOOPBACK_NAMES:
            raise UserError("serve_host", got=host)
        if origin is None or origin in self.origins:
            return
        if _hostname(origin) not in LOOPBACK_NAMES:
            raise UserError("serve_origin", got=origin)

    def _check_token(self, scope: Message, headers: dict[bytes, str]) -> bool:
        """Whether a header had the right token. Raises UserError for a wrong one, or one that is missing."""
        scheme, _, given = headers.get(b"authorization", "").partition(" ")
        has_one = scheme.lower() == "bearer" and bool(given)
        may_lack = scope["type"] == "websocket" or scope["path"] in OPEN_PATHS or scope["method"] == "OPTIONS"
        if self.token is None or (not has_one and may_lack):
            return self.token is None
        if not has_one or not is_token(self.token, given.strip()):
            raise UserError("serve_token")
        return True


def _hostname(address: str) -> str:
    """The host of an address, without its port; empty where there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


async def _refuse(scope: Message, receive: Receive, send: Send, status: int, error: UserError) -> None:
    """Answer with the message; a WebSocket is refused before it is accepted."""
    content = json.dumps({"error": error.code, "detail": str(error)}).encode()
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": f"{kind}.start", "status": status, "headers": headers})
    await send({"type": f"{kind}.body", "body": content})
