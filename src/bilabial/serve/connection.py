"""One client of /v1/stream: separate tasks read, compute and send, so that no other client is delayed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from bilabial.errors import UserError
from bilabial.serve.inbox import Inbox, Sound
from bilabial.serve.protocol import (
    MAX_MESSAGE_BYTES,
    MAX_TEXT_BYTES,
    PROTOCOL,
    Frames,
    message_text,
    pack_frames,
    read_message,
)
from bilabial.serve.scheduler import Scheduler
from bilabial.serve.sound import SAMPLE_BYTES
from bilabial.serve.timed_stream import TimedStream

if TYPE_CHECKING:
    from bilabial.serve.faces import Faces
    from bilabial.serve.playout import Playout

START_SECONDS = 10.0  # for the first message
SEND_SECONDS = 10.0  # for a client to receive what is sent
IDLE_SECONDS = 600.0  # without a message; `ping` is one
CLOSE_SECONDS = 1.0
MESSAGES_PER_SECOND = 500  # and twice as many at once; then the socket is read at this rate
JOB_SECONDS = 1.0  # of sound that are computed together, at most
MAX_MISTAKES = 100  # of one connection
MAX_REASON_BYTES = 120  # of a close frame's 123

# Close codes by error code (RFC 6455 leaves 4000-4999 to applications).
CLOSE_CODES = {
    "serve_token": 4401, "serve_slow_start": 4408, "serve_idle": 4408, "serve_not_reading": 4408,
    "serve_full": 4429, "serve_internal": 1011,
}  # fmt: skip
CLOSE_MISTAKE = 4400
CLOSE_ENDED = 1000
Computed = TypeVar("Computed")


class Connection:
    """A WebSocket from its first message to its close.

    faces: opens a TimedStream, and names untrained emotions. token_is_right: of the first message.
    step_seconds: of sound that are waited for. playout: takes the frames too, None = nothing does.
    """

    def __init__(
        self,
        socket: WebSocket,
        scheduler: Scheduler,
        faces: Faces,
        token_is_right: Callable[[object], bool],
        step_seconds: float,
        playout: Playout | None = None,
    ):
        self._socket, self._scheduler, self._faces = socket, scheduler, faces
        self._token_is_right, self._step_seconds, self._playout = token_is_right, step_seconds, playout
        self._inbox = Inbox()
        self._deadline = 0.0
        self._last_sample: int | None = None
        self._num_mistakes = 0
        self._allowance, self._counted = 2.0 * MESSAGES_PER_SECOND, 0.0

    async def run(self) -> None:
        """Serve the client until it disconnects, ends, or violates the protocol."""
        await self._socket.accept()
        try:
            await self._start(await self._first())
            await self._serve()
            await self._close(CLOSE_ENDED, "ended")
        except WebSocketDisconnect:
            pass
        except UserError as error:
            await self._fail(error)
        except Exception:
            await self._fail(UserError("serve_internal"))
            raise
        finally:
            if self._playout:
                self._playout.leave(self)

    async def _first(self) -> dict:
        try:
            message = await asyncio.wait_for(self._socket.receive(), START_SECONDS)
        except TimeoutError as error:
            raise UserError("serve_slow_start", seconds=round(START_SECONDS)) from error
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        text = message.get("text")
        start = read_message(text) if text is not None else None
        if start is None or start["type"] != "start":
            raise UserError("serve_first")
        if not self._token_is_right(start.get("token")):
            raise UserError("serve_token")
        return start

    async def _start(self, start: dict) -> None:
        self._rate = start["sampling_rate"]
        self._sample_bytes = SAMPLE_BYTES[start.get("encoding", "s16le")]
        self._open = await self._compute(0.0, partial(self._faces.open, start))
        self._stream, rig = self._open.stream, self._open.rig
        if self._playout:
            shown = self._open.arkit(self._open.rest[None])[0]
            self._playout.join(self, self._open.arkit.names, self._stream.fps, shown)
        limits = {
            "message_bytes": MAX_MESSAGE_BYTES, "text_bytes": MAX_TEXT_BYTES,
            "messages_per_second": MESSAGES_PER_SECOND, "idle_seconds": IDLE_SECONDS,
        }  # fmt: skip
        await self._send_message(
            "started", protocol=PROTOCOL, names=list(rig.names), fps=self._stream.fps,
            delay_seconds=self._stream.delay_seconds,
            rest=[round(value, 5) for value in rig(self._open.rest[None])[0].tolist()], limits=limits,
        )  # fmt: skip
        await self._warn(start.get("emotion", "neutral"), start.get("intensity", 1.0))

    async def _serve(self) -> None:
        """Read and work until one of the two is done."""
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._work())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
                raise result

    async def _read(self) -> None:
        while True:
            try:
                message = await asyncio.wait_for(self._socket.receive(), IDLE_SECONDS)
            except TimeoutError as error:
                raise UserError("serve_idle", seconds=round(IDLE_SECONDS)) from error
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1006))
            await self._keep_pace()
            if message.get("bytes") is not None:
                await self._inbox.put(Sound(message["bytes"]))
                continue
            try:
                await self._take_message(read_message(message["text"]))
            except UserError as error:
                await self._mistake(error)

    async def _take_message(self, message: dict) -> None:
        if message["type"] == "start":
            raise UserError("serve_again")
        if message["type"] == "ping":
            await self._send_message("pong", **({"id": message["id"]} if "id" in message else {}))
        elif message["type"] == "interrupt":
            self._inbox.interrupt(message)
        else:
            await self._inbox.put(message)

    async def _keep_pace(self) -> None:
        """Throttle clients that send too fast."""
        now = asyncio.get_running_loop().time()
        gained = (now - self._counted) * MESSAGES_PER_SECOND
        self._allowance = min(2.0 * MESSAGES_PER_SECOND, self._allowance + gained) - 1.0
        self._counted = now
        if self._allowance < 0:
            await asyncio.sleep(-self._allowance / MESSAGES_PER_SECOND)

    async def _work(self) -> None:
        """Process sound and messages in their order, until `end`."""
        bytes_per_second = self._rate * self._sample_bytes
        least = max(1, round(self._step_seconds * bytes_per_second))
        most = max(self._sample_bytes, round(JOB_SECONDS * bytes_per_second))
        while True:
            item = await self._inbox.take(least, most)
            if isinstance(item, list):
                seconds = sum(len(sound.content) for sound in item) / bytes_per_second
                await self._send(await self._compute(seconds, partial(self._stream.feed, item)))
            elif await self._handle_message(item):
                return

    async def _handle_message(self, message: dict) -> bool:
        """Handle a message; returns whether it was the last."""
        if message["type"] == "set_emotion":
            await self._set_emotion(message)
        elif message["type"] == "flush":
            await self._send(await self._compute(0.0, self._stream.flush))
            await self._send_message("flushed", sample=self._stream.num_samples)
        elif message["type"] == "interrupt":
            await self._interrupt(message)
        elif message["type"] == "end":
            await self._send(await self._compute(0.0, self._stream.finish))
            counts = {
                "num_samples": self._stream.num_samples, "num_chunks": self._stream.num_chunks,
                "num_frames": self._stream.num_sent,
            }  # fmt: skip
            await self._send_message("ended", **counts)
            return True
        return False

    async def _set_emotion(self, message: dict) -> None:
        emotion, intensity = message["emotion"], message.get("intensity", 1.0)
        try:
            sample = await self._compute(0.0, partial(self._stream.set_emotion, emotion, intensity))
        except UserError as error:
            return await self._mistake(error)
        await self._send_message("emotion_set", sample=int(sample))
        return await self._warn(emotion, intensity)

    async def _interrupt(self, message: dict) -> None:
        played = self._playout.position(self) if self._playout else None
        sample = message.get("sample", self._last_sample if played is None else played)
        start, frames = await self._compute(
            0.0, partial(_interrupted, self._stream, message["dropped"], sample)
        )
        if self._playout:
            self._playout.interrupt(self)
        counts = {"next_sample": self._stream.num_samples, "num_frames": len(frames)}
        await self._send_message("interrupted", sample=start, **counts)
        await self._send(frames)

    async def _compute(self, seconds: float, function: Callable[[], Computed]) -> Computed:
        """What a function returns, in a thread. seconds: of sound that it computes."""
        self._deadline = max(asyncio.get_running_loop().time(), self._deadline) + seconds
        return await self._scheduler.run(self._deadline, function)

    async def _send(self, frames: Frames) -> None:
        if not len(frames):
            return
        self._last_sample = int(frames.samples[-1])
        if self._playout and self._playout.shows(self):
            self._playout.add(self, replace(frames, values=self._open.arkit(frames.values)), self._rate)
        mapped = replace(frames, values=self._open.rig(frames.values))
        await self._put(self._socket.send_bytes(pack_frames(mapped)))

    async def _send_message(self, kind: str, **fields: object) -> None:
        await self._put(self._socket.send_text(message_text(kind, **fields)))

    async def _warn(self, emotion: str | dict, intensity: float) -> None:
        warning = self._faces.warning(emotion, intensity)
        if warning:
            await self._send_message("warning", code=warning.code, message=str(warning))

    async def _mistake(self, error: UserError) -> None:
        """Report a message that cannot be handled; the stream continues. Raises UserError after too many."""
        self._num_mistakes += 1
        if self._num_mistakes > MAX_MISTAKES:
            raise UserError("serve_mistakes", limit=MAX_MISTAKES) from error
        await self._send_message("error", code=error.code, message=str(error), fatal=False)

    async def _put(self, sending: Awaitable[None]) -> None:
        try:
            await asyncio.wait_for(sending, SEND_SECONDS)
        except TimeoutError as error:
            raise UserError("serve_not_reading", seconds=round(SEND_SECONDS)) from error

    async def _fail(self, error: UserError) -> None:
        """Send the error, and close with its code."""
        try:
            text = message_text("error", code=error.code, message=str(error), fatal=True)
            await asyncio.wait_for(self._socket.send_text(text), CLOSE_SECONDS)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return  # the client is not receiving
        await self._close(CLOSE_CODES.get(error.code, CLOSE_MISTAKE), f"{error.code}: {error}")

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is not WebSocketState.CONNECTED:
            return
        reason = reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore")
        try:
            await asyncio.wait_for(self._socket.close(code, reason), CLOSE_SECONDS)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return  # gone already


def _interrupted(stream: TimedStream, dropped: list[Sound], sample: int | None) -> tuple[int, Frames]:
    stream.skip(dropped)
    return stream.interrupt(sample)
