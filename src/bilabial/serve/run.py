"""Listening: uvicorn with the limits of the protocol."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import uvicorn

from bilabial.errors import UserError
from bilabial.serve.protocol import MAX_MESSAGE_BYTES

MAX_CONNECTIONS = 512  # of all kinds; more are answered with 503
PING_SECONDS = 20.0  # between WebSocket pings, and for their answer: a client that vanished is noticed
SHUTDOWN_SECONDS = 5


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 = a free one. Raises UserError where nothing can listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise UserError("serve_port", host=host, port=port, error=error) from error


def build_server(app: Callable, log_level: str = "warning") -> uvicorn.Server:
    """A server for an ASGI app; `run(sockets=[listen(...)])` serves it."""
    config = uvicorn.Config(
        app, ws="websockets-sansio", ws_max_size=MAX_MESSAGE_BYTES, ws_per_message_deflate=False,
        ws_ping_interval=PING_SECONDS, ws_ping_timeout=PING_SECONDS, limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS, server_header=False, log_level=log_level,
    )  # fmt: skip
    return uvicorn.Server(config)


class BackgroundServer:
    """A server in a thread, as a context. port: where it listens."""

    def __init__(self, app: Callable, host: str = "127.0.0.1", port: int = 0):
        self._socket = listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._server = build_server(app)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    def __enter__(self) -> BackgroundServer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join(SHUTDOWN_SECONDS + 5)
        self._socket.close()
