"""A small Kubernetes client for tests. It talks to the real API server and to the stage's alike, so a scenario runs on both."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
import yaml

from . import objects

Object = dict[str, Any]

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"


class StatusError(Exception):
    """The server refused: `code` is the HTTP status, `status` the Status object (or the body when it is none)."""

    def __init__(self, response: requests.Response):
        self.code = response.status_code
        try:
            self.status: Any = response.json()
        except ValueError:
            self.status = {"message": response.text}
        message = self.status.get("message") if isinstance(self.status, dict) else self.status
        super().__init__(f"{response.request.method} {response.url}: {self.code} {message}")

    @property
    def reason(self) -> str | None:
        return self.status.get("reason")


class KubeClient:
    """Keep-alive requests to one API server. Not for several threads: each takes `clone()`."""

    def __init__(self, url: str, ca: str | bool = True, cert: tuple[str, str] | None = None, token: str | None = None):
        self.url = url.rstrip("/")
        self._settings = (self.url, ca, cert, token)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = ca
        self.session.cert = cert
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def from_kubeconfig(cls, path: Path | str) -> "KubeClient":
        """Reads what our own servers write: paths or inline data, one context."""
        config = yaml.safe_load(Path(path).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        token = user.get("token")
        if user.get("tokenFile"):
            token = Path(user["tokenFile"]).read_text().strip()
        certificate = _as_path(user, "client-certificate")
        key = _as_path(user, "client-key")
        return cls(cluster["server"], _as_path(cluster, "certificate-authority") or True,
                   (certificate, key) if certificate and key else None, token)

    def clone(self) -> "KubeClient":
        return KubeClient(*self._settings)

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json",
                timeout: float = 15, **params: Any) -> Object:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type} if body is not None else {}
        response = self.session.request(method, self.url + path, params=params, data=data, headers=headers, timeout=timeout)
        if response.status_code >= 400:
            raise StatusError(response)
        return response.json()

    def list(self, path: str, **params: Any) -> Object:
        return self.request("GET", path, **params)

    def watch(self, path: str, resource_version: str, timeout: float = 15, **params: Any) -> Iterator[Object]:
        """Frames as they come. The timeout is the longest silence; a frame that is cut ends the iteration with an error."""
        query = {"watch": "1", "resourceVersion": resource_version, **params}
        with self.session.get(self.url + path, params=query, stream=True, timeout=timeout) as response:
            if response.status_code >= 400:
                raise StatusError(response)
            for line in response.iter_lines(chunk_size=1):
                yield json.loads(line)

    def create_event(self, event: Object) -> Object:
        return self.request("POST", f"/api/v1/namespaces/{event['metadata']['namespace']}/events", event)

    def patch_event(self, event: Object, patch: Object) -> Object:
        metadata = event["metadata"]
        return self.request("PATCH", f"/api/v1/namespaces/{metadata['namespace']}/events/{metadata['name']}", patch, STRATEGIC)

    def create_events(self, events: Iterable[Object], connections: int = 4) -> list[Object]:
        """Many Events over several keep-alive connections; the answers are in the order of the events."""
        events = list(events)
        if not events:
            return []

        def post(share: list[Object]) -> list[Object]:
            client = self.clone()
            return [client.create_event(event) for event in share]

        shares = [events[i::connections] for i in range(min(connections, len(events)))]
        answers: list[Object] = [{}] * len(events)
        with ThreadPoolExecutor(len(shares)) as pool:
            for i, share in enumerate(pool.map(post, shares)):
                answers[i::connections] = share
        return answers

    def create_node(self, name: str, labels: dict[str, str] | None = None, ready: str = "True") -> Object:
        """The real server drops the status of a POST, so it is patched afterwards."""
        wanted = objects.node(name, labels, ready)
        self.request("POST", "/api/v1/nodes", wanted)
        return self.patch_node_status(name, wanted["status"])

    def patch_node(self, name: str, patch: Object) -> Object:
        return self.request("PATCH", f"/api/v1/nodes/{name}", patch, STRATEGIC)

    def patch_node_status(self, name: str, status: Object) -> Object:
        return self.request("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, STRATEGIC)

    def set_ready(self, name: str, status: str) -> Object:
        return self.patch_node_status(name, {"conditions": [objects.ready_condition(status)]})

    def delete_node(self, name: str) -> Object:
        return self.request("DELETE", f"/api/v1/nodes/{name}")


def _as_path(section: Object, name: str) -> str | None:
    """requests wants files, a kubeconfig may carry the data itself."""
    if section.get(name):
        return section[name]
    data = section.get(f"{name}-data")
    if not data:
        return None
    with tempfile.NamedTemporaryFile(prefix="klaxon-", suffix=".pem", delete=False) as file:
        file.write(base64.b64decode(data))
    return file.name
