"""Threads that compute frames, earliest deadline first.

Streams in real time come before those whose sound is ahead of it, so that a client that sends an hour at once
delays others by the running job at most.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Scheduler:
    """Runs functions in `num_threads` threads. For one event loop; `close` waits for what runs."""

    def __init__(self, num_threads: int):
        self._pool = ThreadPoolExecutor(num_threads, thread_name_prefix="faces")
        self._free = num_threads
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    async def run(self, deadline: float, function: Callable[[], Result]) -> Result:
        """What a function returns. deadline: seconds, on any clock that all callers share."""
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (deadline, next(self._numbers), turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # the turn came with the cancellation
                    self._pass_on()
                raise
        # the thread goes on when its caller is cancelled, and so does its turn
        job = asyncio.wrap_future(self._pool.submit(function))
        job.add_done_callback(self._end)
        return await asyncio.shield(job)

    def close(self) -> None:
        """Let running jobs end."""
        self._pool.shutdown(cancel_futures=True)

    def _end(self, job: asyncio.Future[Result]) -> None:
        if not job.cancelled():
            job.exception()  # its caller may be gone
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
