"""A TCP proxy that treats connections badly: what firewalls, load balancers and vanished hosts do to them."""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass, field


@dataclass
class _Pipe:
    """One connection: two sockets, and a thread for each direction."""

    client: socket.socket
    server: socket.socket
    stalled: threading.Event = field(default_factory=threading.Event)  # nothing is forwarded, and nobody hears of it
    deaf: bool = False  # stalled: nor is anything read; else it is acknowledged and thrown away
    cut_after: int = -1  # bytes to the client until the connection is cut; -1: not at all


class Wire:
    """Between clients at `port` and a server on loopback, or several: a connection goes to the next one that takes it.

    `stall(new=…)`: connections of now (and, with new, all later ones) accept and acknowledge, and forward nothing; `heal()` lets new ones
    through again, those that are stalled stay so. `half_close()`: the client sees the end, its own side stays open. `reset()`: RST.
    `cut(n)`: the end comes in n bytes. `delay`: seconds that each piece takes to the client.
    """

    def __init__(self, *targets: int):
        self.targets = list(targets)
        self.delay = 0.0
        self._stall_new = self._deaf = False
        self._pipes: list[_Pipe] = []
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> "Wire":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for pipe in self._all():
            pipe.stalled.clear()
            self._close(pipe)

    def accepted(self) -> int:
        return len(self._all())

    def stall(self, new: bool = False, deaf: bool = False) -> None:
        self._stall_new, self._deaf = new, deaf
        for pipe in self._all():
            pipe.deaf = deaf
            pipe.stalled.set()

    def heal(self) -> None:
        self._stall_new = False

    def half_close(self) -> None:
        for pipe in self._all():
            with contextlib.suppress(OSError):
                pipe.client.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        for pipe in self._all():
            pipe.stalled.clear()
            with contextlib.suppress(OSError):
                pipe.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._close(pipe)

    def cut(self, after: int) -> None:
        for pipe in self._all():
            pipe.cut_after = after

    def _all(self) -> list[_Pipe]:
        with self._lock:
            return list(self._pipes)

    @staticmethod
    def _close(pipe: _Pipe) -> None:
        for one in (pipe.client, pipe.server):
            with contextlib.suppress(OSError):
                one.close()

    def _connect(self) -> socket.socket:
        for _ in self.targets:
            self.targets.append(self.targets.pop(0))
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", self.targets[-1]), timeout=10)
        raise OSError("no server takes connections")

    def _accept(self) -> None:
        while not self._ending.is_set():
            client = None
            try:
                client, _ = self._listener.accept()
                server = self._connect()
            except OSError:
                if client is not None:
                    client.close()
                continue
            server.settimeout(None)
            pipe = _Pipe(client, server, deaf=self._deaf)
            if self._stall_new:
                pipe.stalled.set()
            with self._lock:
                self._pipes.append(pipe)
            threading.Thread(target=self._pump, args=(pipe, client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(pipe, server, client, True), daemon=True).start()

    def _pump(self, pipe: _Pipe, source: socket.socket, sink: socket.socket, to_client: bool) -> None:
        late: queue.Queue[tuple[float, bytes]] = queue.Queue()
        if to_client:
            threading.Thread(target=self._drip, args=(pipe, late, sink), daemon=True).start()
        with contextlib.suppress(OSError, ValueError), selectors.DefaultSelector() as ready:
            ready.register(source, selectors.EVENT_READ)
            while not self._ending.is_set():
                if pipe.stalled.is_set() and pipe.deaf:
                    self._ending.wait(0.05)
                    continue
                if not ready.select(0.2):
                    continue
                data = source.recv(65536)
                if pipe.stalled.is_set():
                    if not data:
                        return  # nor does the other side hear of the end
                    continue
                if not data:
                    break
                if to_client:
                    late.put((time.monotonic() + self.delay, data))
                else:
                    sink.sendall(data)
        if not pipe.stalled.is_set():
            late.put((time.monotonic(), b""))
            if not to_client:
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_WR)

    def _drip(self, pipe: _Pipe, late: "queue.Queue[tuple[float, bytes]]", client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not self._ending.is_set():
                due, data = late.get()
                self._ending.wait(max(0.0, due - time.monotonic()))
                if pipe.stalled.is_set():
                    return
                if pipe.cut_after >= 0:
                    data, pipe.cut_after = data[:pipe.cut_after], max(0, pipe.cut_after - len(data))
                client.sendall(data)
                if not data or pipe.cut_after == 0:
                    client.shutdown(socket.SHUT_RDWR)
                    return
