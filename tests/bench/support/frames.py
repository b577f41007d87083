"""The load: Event frames of 1 KB, and just enough of an API server to send them as fast as the socket takes them."""

from __future__ import annotations

import re
import socket
import threading
import time

from cluster.process import free_port

FRAME = ('{"type":"ADDED","object":{"kind":"Event","apiVersion":"v1","metadata":{"name":"pod-%(pod)d.%(n)016x",'
         '"namespace":"default","uid":"9e41b1de-0000-4000-8000-%(n)012d","resourceVersion":"%(rv)d",'
         '"creationTimestamp":"2026-03-11T07:52:18Z"},"involvedObject":{"kind":"Pod","namespace":"default","name":"pod-%(pod)d",'
         '"uid":"5f1c2d3e-1111-4111-8111-%(pod)012d","apiVersion":"v1","resourceVersion":"%(pod)d","fieldPath":"spec.containers{app}"},'
         '"reason":"Pulled","message":"%(text)s","source":{"component":"kubelet","host":"aks-nodepool1-12345678-vmss000003"},'
         '"firstTimestamp":"2026-03-11T07:52:18Z","lastTimestamp":"2026-03-11T07:52:18Z","count":1,"type":"Normal","eventTime":null,'
         '"reportingComponent":"kubelet","reportingInstance":"aks-nodepool1-12345678-vmss000003"}}\n')
TEXT = r'Container image \"registry.example.com/team/app:1.27.3\" already present on machine. ' * 3
FIRST_VERSION = 1000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"


def frames(count: int) -> bytes:
    return b"".join((FRAME % {"n": n, "rv": FIRST_VERSION + n, "pod": n % 500, "text": TEXT}).encode() for n in range(count))


class FrameServer(threading.Thread):
    """Answers a list with no items and a watch with the prepared bytes, by one sendall. `began`: when the first frame was sent."""

    def __init__(self, data: bytes, count: int):
        super().__init__(daemon=True)
        self.data, self.count = data, count
        self.began = 0.0
        self.listener = socket.create_server(("127.0.0.1", free_port()), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self) -> "FrameServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        request = b""
        with connection:
            while b"\r\n\r\n" not in request:
                request += connection.recv(65536)
            try:
                if b"watch=1" in request:
                    self._watch(connection, int(re.search(rb"resourceVersion=(\d+)", request)[1]))
                else:
                    self._list(connection, probe=re.search(rb"limit=1\D", request) is not None)
            except OSError:
                pass  # the collector ended the connection

    def _list(self, connection: socket.socket, probe: bool) -> None:
        """The whole list is from before the first frame; a probe (of a collector that resumes) asks for the newest version."""
        version = FIRST_VERSION + self.count if probe else FIRST_VERSION - 1
        connection.sendall(HEAD + b'{"kind":"EventList","metadata":{"resourceVersion":"%d"},"items":[]}' % version)

    def _watch(self, connection: socket.socket, after: int) -> None:
        begin = 0
        if after >= FIRST_VERSION + self.count - 1:
            begin = len(self.data)
        elif after >= FIRST_VERSION:
            begin = self.data.rindex(b"\n", 0, self.data.index(b'"resourceVersion":"%d"' % (after + 1))) + 1
        self.began = self.began or time.monotonic()
        connection.sendall(HEAD)
        connection.sendall(memoryview(self.data)[begin:])
        connection.recv(1)  # open until the collector goes
