"""etcd through its HTTP gateway: compaction at will, and the truth that a watch is measured against."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import requests


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Change:
    """One revision of one key. For a Kubernetes object the revision is its resourceVersion."""

    revision: int
    key: str
    deleted: bool


class Etcd:
    def __init__(self, url: str):
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def _post(self, path: str, body: dict, timeout: float = 10) -> dict:
        response = self._session.post(f"{self.url}{path}", json=body, timeout=timeout)
        response.raise_for_status()
        return response.json()

    def healthy(self) -> bool:
        try:
            return self._session.get(f"{self.url}/health", timeout=2).json().get("health") == "true"
        except (requests.RequestException, ValueError):
            return False

    def revision(self) -> int:
        return int(self._post("/v3/kv/range", {"key": _b64("/"), "count_only": True})["header"]["revision"])

    def compact(self, revision: int) -> None:
        self._post("/v3/kv/compaction", {"revision": str(revision), "physical": True})

    def history(self, prefix: str, after: int = 0) -> list[Change]:
        """Every change under the prefix with a revision above `after`, as far as etcd still has it.

        A marker of our own is written first: when the watch brings it, everything before it has come too.
        """
        marker = int(self._post("/v3/kv/put", {"key": _b64("/klaxon-tests/marker"), "value": ""})["header"]["revision"])
        everything = {"key": base64.b64encode(b"\0").decode(), "range_end": base64.b64encode(b"\0").decode()}
        request = {"create_request": everything | {"start_revision": str(after + 1)}}
        changes: list[Change] = []
        with self._session.post(f"{self.url}/v3/watch", json=request, stream=True, timeout=10) as response:
            for line in response.iter_lines(chunk_size=None):
                result = json.loads(line)["result"]
                if result.get("canceled"):
                    raise RuntimeError(f"etcd refuses the history: {result}")
                changes += [_change(event) for event in result.get("events", ())]
                if changes and changes[-1].revision >= marker:
                    return [change for change in changes if change.key.startswith(prefix) and change.revision < marker]
        raise RuntimeError("etcd ended the watch before the marker")


def _change(event: dict) -> Change:
    kv = event["kv"]
    return Change(int(kv["mod_revision"]), base64.b64decode(kv["key"]).decode(), event.get("type") == "DELETE")
