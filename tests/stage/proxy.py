"""An HTTP proxy that takes CONNECT and nothing else, and remembers where to."""

from __future__ import annotations

import contextlib
import socket
import threading

from .journal import Journal
from .web import Exchange, Server, StandIn


class Proxy(StandIn):
    """`url` is what a kubeconfig's proxy-url names. `refuse`: the status that answers CONNECT instead of a tunnel."""

    def __init__(self, refuse: int | None = None):
        self.refuse = refuse
        self.targets: Journal[str] = Journal()
        self._server = Server(self._serve)

    def _serve(self, exchange: Exchange) -> None:
        if exchange.command != "CONNECT":
            exchange.send(405, "CONNECT only\n")
            return
        self.targets.append(exchange.path)
        if self.refuse is not None:
            exchange.send(self.refuse, "by command\n")
            return
        host, _, port = exchange.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as target:
            target.settimeout(None)
            exchange.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            exchange.close_connection = True
            back = threading.Thread(target=_pump, args=(target, exchange.connection), daemon=True)
            back.start()
            _pump(exchange.connection, target)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Until either side ends; then both know."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
