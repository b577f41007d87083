"""A real Kafka as Event Hubs Standard shows itself: everything passes, but there is no coordinator for transactions.

The words are the service's own (camunda-community-hub/zeebe-kafka-exporter issue 390). Brokers behind it must advertise its port.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

FIND_COORDINATOR, TRANSACTION = 10, 1
INVALID_REQUEST = 42
REFUSAL = ("FindCoordinator asked for coordinator with type code 1 which is not supported. "
           "type code 1 is only supported in Premium or Dedicated sku.")


class EventHubs:
    """`port` is where clients connect, `broker` where the real Kafka listens. `refused` counts the refusals."""

    def __init__(self, port: int, broker: int):
        self.broker = broker
        self.refused = 0
        self._listener = socket.create_server(("127.0.0.1", port))
        self._ending = False

    def __enter__(self) -> "EventHubs":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._ending:
            try:
                client, _ = self._listener.accept()
                broker = socket.create_connection(("127.0.0.1", self.broker), timeout=10)
            except OSError:
                continue
            broker.settimeout(None)
            lock = threading.Lock()  # of what is written to the client, frame by frame
            threading.Thread(target=self._answers, args=(client, broker, lock), daemon=True).start()
            threading.Thread(target=self._requests, args=(client, broker, lock), daemon=True).start()

    def _requests(self, client: socket.socket, broker: socket.socket, lock: threading.Lock) -> None:
        for frame in _frames(client):
            refusal = _refusal(frame)
            with contextlib.suppress(OSError):
                if refusal is None:
                    broker.sendall(_framed(frame))
                    continue
                self.refused += 1
                with lock:
                    client.sendall(_framed(refusal))
        _end(client, broker)

    def _answers(self, client: socket.socket, broker: socket.socket, lock: threading.Lock) -> None:
        for frame in _frames(broker):
            with contextlib.suppress(OSError), lock:
                client.sendall(_framed(frame))
        _end(client, broker)


def _framed(payload: bytes) -> bytes:
    return struct.pack(">i", len(payload)) + payload


def _frames(source: socket.socket):
    """Until the connection ends."""
    with contextlib.suppress(OSError), source.makefile("rb") as stream:
        while len(head := stream.read(4)) == 4:
            size = struct.unpack(">i", head)[0]
            payload = stream.read(size)
            if len(payload) < size:
                return
            yield payload


def _end(*ends: socket.socket) -> None:
    for one in ends:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _refusal(request: bytes) -> bytes | None:
    """The answer to FindCoordinator, version 1 or 2, for a transaction; None for everything else."""
    key, version, correlation, client_id = struct.unpack(">hhih", request[:10])
    if key != FIND_COORDINATOR or version not in (1, 2):
        return None
    at = 10 + max(client_id, 0)
    at += 2 + struct.unpack(">h", request[at:at + 2])[0]
    if request[at] != TRANSACTION:
        return None
    words = REFUSAL.encode()
    return struct.pack(">iihh", correlation, 0, INVALID_REQUEST, len(words)) + words + struct.pack(">ihi", -1, 0, -1)
