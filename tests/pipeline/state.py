"""pipeline.json: what the process that holds the pipeline says of itself, for `./dev up`, `status`, `logs` and `down`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class State:
    """Written whole by the holder, read by the others. `state` is starting, running or failed; it holds the stage's secrets."""

    def __init__(self, path: Path):
        self.path = path

    def write(self, **fields: Any) -> None:
        fields = {**self.read(), **fields}
        part = self.path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(fields, indent=1))
        part.replace(self.path)

    def read(self) -> dict[str, Any]:
        try:
            return json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}

    def holder(self) -> int | None:
        """The pid of the process that holds the pipeline, when it lives: a pid alone may be somebody else's by now."""
        pid = self.read().get("pid")
        try:
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return None
        return pid if os.fsencode(self.path) in argv else None
