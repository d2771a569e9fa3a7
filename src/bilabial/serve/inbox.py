"""Bounded queue of a client's unprocessed sound and commands, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import cast

MAX_PENDING_BYTES = 2 * 2**20  # of sound: 44 s of 16 bits at 24 kHz; then the socket is not read
MAX_PENDING_ITEMS = 1024
MAX_TAKEN_ITEMS = 256


@dataclass(frozen=True)
class Sound:
    """A chunk of sound, or a part of one. ends_chunk: nothing of the chunk follows."""

    content: bytes
    ends_chunk: bool = True


class Inbox:
    """A queue with one producer and one consumer. num_bytes: of the sound in it."""

    def __init__(self) -> None:
        self._items: deque[Sound | dict] = deque()
        self.num_bytes = self._num_commands = 0
        self._arrived, self._room = asyncio.Event(), asyncio.Event()

    async def put(self, item: Sound | dict) -> None:
        """Add a chunk of sound or a message; waits while there is no room."""
        while self._is_full():
            self._room.clear()
            await self._room.wait()
        self._items.append(item)
        if isinstance(item, Sound):
            self.num_bytes += len(item.content)
        else:
            self._num_commands += 1
        self._arrived.set()

    def interrupt(self, message: dict) -> None:
        """Put a message first; waiting sound is dropped, and only counted."""
        dropped = [item for item in self._items if isinstance(item, Sound)]
        commands = [item for item in self._items if not isinstance(item, Sound)]
        self._items = deque([message | {"dropped": dropped}, *commands])
        self.num_bytes, self._num_commands = 0, len(self._items)
        self._arrived.set()
        self._room.set()

    async def take(self, least_bytes: int, most_bytes: int) -> list[Sound] | dict:
        """The next message, or sound of at most `most_bytes`.

        Waits for `least_bytes` of sound, fewer where a message comes behind it.
        """
        while not (self._num_commands or self.num_bytes >= least_bytes or self._is_full()):
            self._arrived.clear()
            await self._arrived.wait()
        self._room.set()
        if isinstance(self._items[0], Sound):
            return self._take_sound(most_bytes)
        self._num_commands -= 1
        return cast(dict, self._items.popleft())

    def _take_sound(self, most_bytes: int) -> list[Sound]:
        taken: list[Sound] = []
        while self._items and isinstance(self._items[0], Sound) and len(taken) < MAX_TAKEN_ITEMS:
            sound, room = cast(Sound, self._items.popleft()), most_bytes
            if len(sound.content) > room:
                self._items.appendleft(Sound(sound.content[room:], sound.ends_chunk))
                sound = Sound(sound.content[:room], False)
            taken.append(sound)
            self.num_bytes -= len(sound.content)
            most_bytes -= len(sound.content)
            if most_bytes <= 0:
                break
        return taken

    def _is_full(self) -> bool:
        return self.num_bytes > MAX_PENDING_BYTES or len(self._items) > MAX_PENDING_ITEMS
