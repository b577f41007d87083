"""What has arrived, in order, and waiting for more of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Journal(Generic[Entry]):
    """An append-only list that several threads write and read. An entry's number is its place: the first is 0."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._more = threading.Condition()

    def append(self, entry: Entry) -> int:
        with self._more:
            self._entries.append(entry)
            self._more.notify_all()
            return len(self._entries) - 1

    def __len__(self) -> int:
        with self._more:
            return len(self._entries)

    def all(self) -> list[Entry]:
        with self._more:
            return list(self._entries)

    def since(self, number: int, wait: float = 0) -> list[Entry]:
        """The entries from this number on; when there is none yet, the first ones that come within `wait` seconds."""
        with self._more:
            self._more.wait_for(lambda: len(self._entries) > number, wait)
            return self._entries[number:]

    def wait(self, what: str, enough: Callable[[list[Entry]], bool], timeout: float = 10) -> list[Entry]:
        """All entries, once `enough` of them are there. Fails at the deadline with what there is."""
        deadline = time.monotonic() + timeout
        with self._more:
            while not enough(self._entries):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{what}: not within {timeout:g} s; there is {self._entries}")
                self._more.wait(left)
            return list(self._entries)

    def wait_count(self, what: str, count: int, timeout: float = 10) -> list[Entry]:
        return self.wait(f"{count} {what}", lambda entries: len(entries) >= count, timeout)

    def clear(self) -> None:
        with self._more:
            self._entries.clear()
