"""A cache of results by key, bounded by bytes and age."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Generic, TypeVar

from cachetools import TTLCache

Value = TypeVar("Value")


class ResultCache(Generic[Value]):
    """Values by key: at most `max_bytes` of them together, each for at most `max_seconds`.

    The least recently used value is dropped first. Thread-safe; a copy, also a pickled one, is empty.
    """

    def __init__(self, max_bytes: int, max_seconds: float) -> None:
        self.max_bytes, self.max_seconds = max_bytes, max_seconds
        self._values: TTLCache = TTLCache(max_bytes, max_seconds, getsizeof=num_bytes)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            self._values.expire()
            return len(self._values)

    def __reduce__(self) -> tuple:
        return type(self), (self.max_bytes, self.max_seconds)

    def get(self, key: Hashable) -> Value | None:
        """The value of a key, None if missing or dropped."""
        with self._lock:
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> Value:
        """Store a value, unless it is larger than the cache. Returns it."""
        with self._lock:
            self._values.pop(key, None)
            if num_bytes(value) <= self.max_bytes:
                self._values[key] = value
        return value

    def of(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made if missing; errors of `make` pass through."""
        found = self.get(key)
        return self.put(key, make()) if found is None else found

    def drop_old(self) -> None:
        """Free expired values; `get` never returns them."""
        with self._lock:
            self._values.expire()

    @property
    def num_bytes(self) -> int:
        """Bytes of all values together."""
        with self._lock:
            return int(self._values.currsize)


def num_bytes(value: object) -> int:
    """Bytes of arrays and tensors in a value, also in containers and dataclasses; 64 for others."""
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    if isinstance(value, (bytes, str)):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(num_bytes, value.values()))
    if isinstance(value, (list, tuple)):
        return sum(map(num_bytes, value))
    if dataclasses.is_dataclass(value):
        return sum(num_bytes(getattr(value, field.name)) for field in dataclasses.fields(value))
    return 64
