"""One watch under way: frames as the server sends them, and every way in which they can go wrong."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .kube_status import WATCH_EXPIRED, Status, status
from .kube_store import Change, Object, Resource, Store
from .web import Exchange

WRITE_BYTES = 128 << 10
Encode = Callable[[str, Object], bytes]  # key, object → JSON as the server writes it


def encode(obj: Any) -> bytes:
    """As Go's encoder: no spaces, UTF-8, and < > & escaped."""
    text = json.dumps(obj, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()


def frame(kind: str, encoded: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), encoded)


@dataclass
class Command:
    """What a stream is told to do once everything up to the revision at which it was told is sent."""

    what: str  # end, close, reset, silent, bookmark, raw, split, cut
    revision: int
    data: bytes = b""
    size: int = 0
    delay: float = 0


@dataclass
class WatchRequest:
    resource: Resource
    select: Callable[[Object], bool]
    after: int | None  # None: everything that is there comes first
    timeout: float
    bookmarks: bool


class Stream:
    def __init__(self, store: Store, exchange: Exchange, request: WatchRequest, encode_object: Encode, bookmark_every: float | None):
        self.store, self.exchange, self.request = store, exchange, request
        self.commands: deque[Command] = deque()
        self.alive = True  # False as soon as it is told to end or to fall silent
        self.sent_up_to = request.after or 0
        self._encode = encode_object
        self._bookmark_every = bookmark_every
        self._split, self._delay = 0, 0.0
        self._cut_at = 0  # of the next frame: so many bytes, and then the end
        self._over = False
        self._pending: list[bytes] = []
        self._pending_bytes = 0

    # told by others, under store.changed

    def tell(self, command: Command) -> None:
        self.commands.append(command)
        self.alive = self.alive and command.what not in ("end", "close", "reset", "error", "silent")

    # the stream's own thread

    def run(self) -> None:
        self._head()
        ends = time.monotonic() + self.request.timeout
        marks = self._bookmark_times(ends)
        self._begin()
        while not self._over:
            until = self._wait(min([ends, *marks[:1]]))
            self._send_changes(until)
            self._obey()
            now = time.monotonic()
            if not self._over and marks and now >= marks[0]:
                marks.pop(0)
                self._bookmark()
            if not self._over and now >= ends:
                self._end()

    def _head(self) -> None:
        self.exchange.send_response(200)
        self.exchange.send_header("Content-Type", "application/json")
        self.exchange.send_header("Cache-Control", "no-cache, private")
        self.exchange.send_header("Transfer-Encoding", "chunked")
        self.exchange.end_headers()

    def _bookmark_times(self, ends: float) -> list[float]:
        """Every `bookmark_every` seconds, and two seconds before the end."""
        if not self.request.bookmarks or self._bookmark_every is None:
            return []
        times, at = [], time.monotonic() + self._bookmark_every
        while at < ends and len(times) < 100:
            times.append(at)
            at += self._bookmark_every
        return sorted(times + ([ends - 2] if self.request.timeout > 2 else []))

    def _begin(self) -> None:
        """Without a version: what is there, as ADDED. With one that is forgotten: 410, as a frame."""
        if self.request.after is not None:
            if not self.store.may_begin(self.request.resource, self.request.after):
                self._error(status(410, WATCH_EXPIRED))
            return
        with self.store.changed:
            self.sent_up_to = self.store.revision
            listed = self.store.list(self.request.resource)
        self._write(b"".join(frame("ADDED", self._encode(key, obj)) for key, obj in listed if self.request.select(obj)))

    def _wait(self, until: float) -> int:
        """Waits for changes, commands or the time; returns the revision up to which changes are to be sent now."""
        with self.store.changed:
            while True:
                first = self.commands[0].revision if self.commands else self.store.revision
                news = self.store.changes(self.request.resource, self.sent_up_to, first)
                left = until - time.monotonic()
                stopped = self.exchange.server.stopping.is_set()
                if news or self.commands or left <= 0 or stopped:
                    self._over = self._over or stopped
                    return max(first, self.sent_up_to)
                self.sent_up_to = max(first, self.sent_up_to)
                self.store.changed.wait(min(left, 0.25))
                if self.exchange.client_left():
                    self._over = True
                    self.exchange.close_connection = True
                    return self.sent_up_to

    def _send_changes(self, until: int) -> None:
        if until <= self.sent_up_to or self._over:
            return
        with self.store.changed:
            news = self.store.changes(self.request.resource, self.sent_up_to, until)
        self.sent_up_to = until
        for kind, change in filter(None, map(self._seen_by, news)):
            self._frame(frame(kind, self._encode(change.key, _object_of(change))))
        self._flush()

    def _seen_by(self, change: Change) -> tuple[str, Change] | None:
        """What the selection makes of it: entering is ADDED, leaving is DELETED."""
        was = change.before is not None and self.request.select(change.before)
        now = change.after is not None and self.request.select(change.after)
        if now:
            return ("MODIFIED" if was else "ADDED"), change
        return ("DELETED", change) if was else None

    def _obey(self) -> None:
        while self.commands and self.commands[0].revision <= max(self.sent_up_to, self.store.revision) and not self._over:
            command = self.commands.popleft()
            getattr(self, f"_do_{command.what}")(command)

    # writing

    def _frame(self, data: bytes) -> None:
        if self._cut_at and not self._over:
            self._flush()
            self._write(data[:self._cut_at])
            self._close()
        elif not self._over:
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes >= WRITE_BYTES:
                self._flush()

    def _flush(self) -> None:
        """Frames that are ready together come in one write, as from the real server."""
        data, self._pending, self._pending_bytes = b"".join(self._pending), [], 0
        if not self._over:
            self._write(data)

    def _write(self, data: bytes) -> None:
        size = self._split or len(data)
        for at in range(0, len(data), size) if data else ():
            piece = data[at:at + size]
            self.exchange.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if self._delay and self.exchange.server.stopping.wait(self._delay):
                return

    def _error(self, body: Status) -> None:
        self._write(frame("ERROR", encode(body)))
        self._end()

    def _bookmark(self) -> None:
        kind, version = self.request.resource.kind, self.request.resource.group_version
        mark = {"kind": kind, "apiVersion": version, "metadata": {"resourceVersion": str(self.sent_up_to)}}
        self._write(frame("BOOKMARK", encode(mark)))

    def _end(self) -> None:
        """As it should: the last chunk, and the connection may be used again."""
        self._over = True
        self.exchange.wfile.write(b"0\r\n\r\n")

    def _close(self) -> None:
        self._over = True
        self.exchange.close()

    # commands

    def _do_end(self, command: Command) -> None:
        self._end()

    def _do_close(self, command: Command) -> None:
        self._close()

    def _do_reset(self, command: Command) -> None:
        self._over = True
        self.exchange.reset()

    def _do_silent(self, command: Command) -> None:
        self._over = True
        self.exchange.hang()

    def _do_bookmark(self, command: Command) -> None:
        self.sent_up_to = max(self.sent_up_to, command.revision)
        self._bookmark()

    def _do_raw(self, command: Command) -> None:
        self._write(command.data)

    def _do_error(self, command: Command) -> None:
        self._write(command.data)
        self._end()

    def _do_split(self, command: Command) -> None:
        self._split, self._delay = command.size, command.delay

    def _do_cut(self, command: Command) -> None:
        self._cut_at = command.size


def _object_of(change: Change) -> Object:
    """A deleted object is its last state at the revision of its deletion."""
    if change.after is not None:
        return change.after
    last = change.before or {}
    return last | {"metadata": last["metadata"] | {"resourceVersion": str(change.revision)}}
