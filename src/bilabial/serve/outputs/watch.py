"""Faces as JSON over WebSocket, for web pages: {"seconds": 1.2, "head": [0, 0, 0], "blendshapes": {...}}."""

from __future__ import annotations

import asyncio
import json
from collections import deque

from starlette.websockets import WebSocket, WebSocketDisconnect

from bilabial.serve.outputs.face import Face

MAX_WAITING = 4  # faces for a page that reads slowly; then it loses the oldest
MAX_WATCHERS = 32


class WatchOutput:
    """Sends each face to all pages that watch. `send` may be called from any thread."""

    def __init__(self) -> None:
        self._watchers: dict[WebSocket, tuple[deque[str], asyncio.Event]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def send(self, face: Face) -> None:
        """Send a face to whoever watches now."""
        if self._loop is None or not self._watchers:
            return
        curves = {name: round(value, 4) for name, value in face.arkit().items()}
        head = [round(degrees, 3) for degrees in face.head]
        text = json.dumps({"seconds": round(face.seconds, 4), "head": head, "blendshapes": curves})
        self._loop.call_soon_threadsafe(self._publish, text)

    def close(self) -> None:
        """Nothing is held."""

    async def serve(self, socket: WebSocket) -> None:
        """Send faces to one page until it leaves."""
        self._loop = asyncio.get_running_loop()
        await socket.accept()
        if len(self._watchers) >= MAX_WATCHERS:
            return await socket.close(4429, f"serve_full: {MAX_WATCHERS} pages watch, the most that can")
        waiting, arrived = self._watchers[socket] = (deque(maxlen=MAX_WAITING), asyncio.Event())
        sender = asyncio.create_task(_send_all(socket, waiting, arrived))
        try:
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass  # what a page says changes nothing
        finally:
            del self._watchers[socket]
            sender.cancel()
        return None

    def _publish(self, text: str) -> None:
        for waiting, arrived in self._watchers.values():
            waiting.append(text)
            arrived.set()


async def _send_all(socket: WebSocket, waiting: deque[str], arrived: asyncio.Event) -> None:
    try:
        while True:
            await arrived.wait()
            arrived.clear()
            while waiting:
                await socket.send_text(waiting.popleft())
    except (WebSocketDisconnect, RuntimeError):
        return  # the reader notices too
