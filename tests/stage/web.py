"""A small HTTP/1.1 server on loopback, a thread a connection, that lets its owner misbehave byte by byte."""

from __future__ import annotations

import contextlib
import io
import json
import select
import socket
import ssl
import struct
import sys
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from cluster.process import free_port

BODY_BYTES_MAX = 32 << 20


class BadRequest(Exception):
    """The request itself cannot be read: answered with 400 and this text."""


class Exchange(BaseHTTPRequestHandler):
    """One connection, and the request on it that is being answered."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "Server"

    def route(self) -> None:
        parts = urlsplit(self.path)
        self.route_path = parts.path
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            self.body = self._read_body()
            self.server.app(self)
        except BadRequest as problem:
            self.close_connection = True
            self.send(400, f"{problem}\n")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = route

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._read_chunks()
        try:
            length = int(self.headers.get("Content-Length", "0"))
        except ValueError:
            raise BadRequest("Content-Length is not a number") from None
        if length > BODY_BYTES_MAX:
            raise BadRequest(f"a body of {length} bytes is too large")
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("the client ended inside its body")
        return body

    def _read_chunks(self) -> bytes:
        body = b""
        while True:
            line = self.rfile.readline()
            if not line:
                raise ConnectionResetError("the client ended inside its body")
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise BadRequest("a chunk's size is not a number") from None
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                return body

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError as problem:
            raise BadRequest(f"the body is not JSON: {problem}") from None

    def send(self, status: int, body: str | bytes | dict | list = b"", content_type: str = "text/plain; charset=utf-8",
             headers: dict[str, str] | None = None) -> None:
        """A whole answer. An object is sent as JSON."""
        if isinstance(body, dict | list):
            body, content_type = json.dumps(body, ensure_ascii=False) + "\n", "application/json"
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def reset(self) -> None:
        """RST instead of an answer."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._let_go()

    def close(self) -> None:
        """FIN instead of an answer, or in the middle of one."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
        self._let_go()

    def _let_go(self) -> None:
        for file in (self.rfile, self.wfile, self.connection):
            with contextlib.suppress(OSError):
                file.close()
        self.rfile, self.wfile = io.BytesIO(), io.BytesIO()  # the base class touches them once more

    def hang(self) -> None:
        """No answer: the socket stays open until the client gives up or the server stops."""
        self.close_connection = True
        while not self.server.stopping.is_set() and not self.client_left(0.2):
            pass

    def client_left(self, wait: float = 0) -> bool:
        """Whether the client has closed, or sent what nobody asked for."""
        try:
            return bool(select.select([self.connection], [], [], wait)[0])
        except (OSError, ValueError):
            return True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base's name)
        pass


class Server(ThreadingHTTPServer):
    """Serves `app(exchange)` for each request until stop()."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, app: Callable[[Exchange], None], tls: ssl.SSLContext | None = None, port: int = 0):
        super().__init__(("127.0.0.1", port or free_port()), Exchange)
        self.app = app
        self.tls = tls
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        return self.server_address[1]

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True, name=f"serve-{self.port}")
        self._thread.start()

    def stop(self) -> None:
        """Ends every connection too."""
        self.stopping.set()
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
        self.server_close()
        self.drop_connections()

    def drop_connections(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls is not None:  # the handshake waits for the connection's own thread
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error; a mistake of the stage's own is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class StandIn:
    """What answers on a server of its own, `_server`, between start() and stop(), or inside `with`."""

    _server: Server

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """Connections are cut, and new ones refused."""
        self._server.stop()

    @property
    def url(self) -> str:
        return self._server.url
