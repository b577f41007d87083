"""Faults by command: what is to go wrong, for which of the next requests, how often."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, Generic, TypeVar


@dataclasses.dataclass
class Fault:
    """`times` requests that match are hit; 0 means all until the fault is cleared. A field of None matches everything."""

    times: int = dataclasses.field(default=1, kw_only=True)


Some = TypeVar("Some", bound=Fault)


class Faults(Generic[Some]):
    """The faults that one server waits to commit, oldest first."""

    def __init__(self, kind: type[Some]):
        self._kind = kind
        self._waiting: list[Some] = []
        self._lock = threading.Lock()

    def add(self, **fields: Any) -> Some:
        """Raises TypeError or ValueError for what the kind of fault does not have."""
        fault = self._kind(**fields)
        with self._lock:
            self._waiting.append(dataclasses.replace(fault))
        return fault

    def take(self, **facts: Any) -> Some | None:
        """The oldest fault all of whose named fields are None or equal to these facts; it is used up by one."""
        with self._lock:
            for fault in self._waiting:
                if all(getattr(fault, name) in (None, value) for name, value in facts.items()):
                    if fault.times == 1:
                        self._waiting.remove(fault)
                    elif fault.times > 1:
                        fault.times -= 1
                    return dataclasses.replace(fault)
        return None

    def standing(self, **facts: Any) -> Some | None:
        """As take(), of those that have no end: for what is asked by the way, and should use up nobody's fault."""
        with self._lock:
            for fault in self._waiting:
                if fault.times == 0 and all(getattr(fault, name) in (None, value) for name, value in facts.items()):
                    return dataclasses.replace(fault)
        return None

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> list[dict[str, Any]]:
        """For people: only what was set."""
        with self._lock:
            return [{field.name: getattr(fault, field.name) for field in dataclasses.fields(fault)
                     if getattr(fault, field.name) != field.default or field.name == "times"} for fault in self._waiting]
