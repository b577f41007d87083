"""Keys and certificates for loopback servers, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


def _openssl(*args: str | Path) -> None:
    done = subprocess.run(["openssl", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {args[0]} failed: {done.stderr}")


class Authority:
    """A CA in a directory; each pair it issues is <name>.crt and <name>.key beside ca.crt."""

    def __init__(self, directory: Path):
        self.dir = directory
        self.dir.mkdir(parents=True, exist_ok=True)
        self.crt = self.dir / "ca.crt"
        self._key = self.dir / "ca.key"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                 "-subj", "/CN=klaxon-tests", "-keyout", self._key, "-out", self.crt)

    def issue(self, name: str, subject: str, usage: str, alt_names: str = "") -> tuple[Path, Path]:
        """usage is serverAuth or clientAuth; alt_names as openssl writes them, `DNS:localhost,IP:127.0.0.1`."""
        crt, key, request, extensions = (self.dir / f"{name}{end}" for end in (".crt", ".key", ".csr", ".ext"))
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                 "-keyout", key, "-out", request)
        extensions.write_text(f"extendedKeyUsage={usage}\n" + (f"subjectAltName={alt_names}\n" if alt_names else ""))
        _openssl("x509", "-req", "-in", request, "-CA", self.crt, "-CAkey", self._key, "-CAcreateserial", "-days", "30",
                 "-extfile", extensions, "-out", crt)
        return crt, key

    def rsa_pair(self, name: str) -> tuple[Path, Path]:
        """A bare key pair (public, private), as service account tokens are signed with."""
        private, public = self.dir / f"{name}.key", self.dir / f"{name}.pub"
        _openssl("genrsa", "-out", private, "2048")
        _openssl("rsa", "-in", private, "-pubout", "-out", public)
        return public, private
