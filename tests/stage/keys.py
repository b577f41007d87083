"""The stage's own certificates: one CA and a pair for its servers, made once a directory."""

from __future__ import annotations

import ssl
from pathlib import Path

from cluster.pki import Authority


class Keys:
    """`ca` is what a client must trust; `server_context()` is what a server of the stage shows."""

    def __init__(self, directory: Path):
        authority = Authority(directory)
        self.ca = authority.crt
        self._pair = authority.issue("server", "/CN=klaxon-stage", "serverAuth", "DNS:localhost,IP:127.0.0.1")

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._pair)
        return context
