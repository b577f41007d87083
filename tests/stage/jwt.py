"""Signed tokens (JWT, RS256), made and read with openssl."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any


class BadToken(Exception):
    """It is no token, or nobody whom one knows has signed it."""


def _openssl(*args: str | Path, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *map(str, args)], input=data, capture_output=True, check=True, timeout=20).stdout


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class SigningKey:
    """An RSA key in a file, made when it is not there; `jwks()` is what others check its signatures with."""

    def __init__(self, private: Path):
        self.kid, self._private = private.stem, private
        if not private.exists():
            private.parent.mkdir(parents=True, exist_ok=True)
            _openssl("genrsa", "-out", private, "2048")

    def sign(self, claims: dict[str, Any]) -> str:
        header = {"alg": "RS256", "typ": "JWT", "kid": self.kid}
        text = ".".join(_encode(json.dumps(part).encode()) for part in (header, claims))
        return f"{text}.{_encode(_openssl('dgst', '-sha256', '-sign', self._private, data=text.encode()))}"

    def read(self, token: str) -> dict[str, Any]:
        """The claims; times are not looked at. Raises BadToken."""
        text, _, signature = token.rpartition(".")
        mine = self.sign_bytes(text.encode())
        try:
            if _decode(signature) != mine:  # RS256 signs the same the same way
                raise BadToken("the signature is not that of this key")
            return json.loads(_decode(text.split(".")[1]))
        except (ValueError, IndexError) as problem:
            raise BadToken(str(problem)) from None

    def sign_bytes(self, data: bytes) -> bytes:
        return _openssl("dgst", "-sha256", "-sign", self._private, data=data)

    def jwks(self) -> dict[str, Any]:
        modulus = _openssl("rsa", "-in", self._private, "-noout", "-modulus").decode().strip().removeprefix("Modulus=")
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": _encode(bytes.fromhex(modulus)), "e": "AQAB"}]}
