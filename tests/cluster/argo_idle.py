"""Applications that nothing happens to: Argo CD compares each with git every two to three minutes, and writes when it did."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import requests

from .argo import APPLICATIONS
from .argo_world import ArgoWorld, Repository, config_map
from .client import Object

NAMESPACE = "idle"
WRITERS = 4


def _name(i: int) -> str:
    return f"idle-{i:04}"


def _application(name: str, url: str) -> Object:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name},
            "spec": {"project": "default", "source": {"repoURL": url, "path": name, "targetRevision": "HEAD"},
                     "destination": {"server": "https://kubernetes.default.svc", "namespace": NAMESPACE}}}


def create(world: ArgoWorld, n: int, seconds: float) -> int:
    """n Applications, each of one ConfigMap that is there already; returns how many are Synced after so many seconds at most."""
    repository = Repository(world.dir / "git" / NAMESPACE)
    repository.commit({f"{_name(i)}/config.yaml": config_map(_name(i), size="small") for i in range(n)})
    world.api.client.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})

    def make(share: range) -> None:
        client = world.api.new_client()
        for i in share:
            tracking = {"argocd.argoproj.io/tracking-id": f"{_name(i)}:/ConfigMap:{NAMESPACE}/{_name(i)}"}
            client.request("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", config_map(_name(i), tracking, size="small"))
            client.request("POST", APPLICATIONS, _application(_name(i), repository.url))

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(make, [range(k, n, WRITERS) for k in range(WRITERS)]))
    return _wait_synced(world, n, time.monotonic() + seconds)


def _wait_synced(world: ArgoWorld, n: int, deadline: float) -> int:
    while True:
        apps = world.api.client.list(APPLICATIONS, timeout=60)["items"]
        idle = [app for app in apps if app["metadata"]["name"].startswith("idle-")]
        synced = sum(app.get("status", {}).get("sync", {}).get("status") == "Synced" for app in idle)
        if synced == n or time.monotonic() > deadline:
            return synced
        time.sleep(2)


class Frames(threading.Thread):
    """Counts what the API server tells of Applications, as a watch of its own."""

    def __init__(self, world: ArgoWorld):
        super().__init__(daemon=True)
        self.client, self.n = world.api.new_client(), 0
        self.version = self.client.list(APPLICATIONS, limit=1)["metadata"]["resourceVersion"]

    def run(self) -> None:
        url, query = self.client.url + APPLICATIONS, {"watch": "1", "resourceVersion": self.version, "timeoutSeconds": "7200"}
        with contextlib.suppress(requests.RequestException):  # the server goes before the thread does
            with self.client.session.get(url, params=query, stream=True, timeout=7200) as answer:
                for _ in answer.iter_lines(chunk_size=65536):
                    self.n += 1
