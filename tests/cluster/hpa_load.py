"""Workloads that hold memory as a load says, scaled by the real HPA controller.

Everything but kubelet and the load is real. A pod claims a base and its share of the load; what kubelet does when a claim passes the memory
limit (it kills the container, and starts it again with nothing but its base) is done here, and counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from .client import MERGE, Object, StatusError
from .controllers import kubectl
from .hpa_world import HPA, MANIFEST, NAMESPACE, USAGE, HpaWorld, exit_container

GI = 1 << 30
BASE = 0.5 * GI
DOWN_SECONDS = 8  # of a container that was killed, before it takes its share again
TICK_SECONDS = 1.0
NEWS = 0.005  # a claim that changes by less is not worth a request
BEHAVIOR = {"scaleDown": {"stabilizationWindowSeconds": 30, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}]}}


@dataclass
class Load:
    """`share`: the bytes of all pods together after so many seconds. `leak`: what a pod takes a second, whatever the load."""
    share: Callable[[float], float]
    leak: float = 0
    limit: float = 14 * GI


@dataclass
class Loaded:
    """A Deployment and its HPA: the managed one of `kube-system`, or one like it in another namespace."""
    world: HpaWorld
    namespace: str
    load: Load
    kills: int = 0
    began: float = 0
    claims: dict[str, float] = field(default_factory=dict)
    carries: dict[str, float] = field(default_factory=dict)  # of each pod: since when its container carries its share
    ending: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.client = self.world.api.client.clone()
        self.path = f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers"
        self.thread: threading.Thread | None = None
        self.idle()

    def create(self, low: int, high: int) -> None:
        if self.namespace != NAMESPACE:
            self.client.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
            for document in yaml.safe_load_all(MANIFEST.read_text()):
                if document["kind"] in ("Deployment", "HorizontalPodAutoscaler"):
                    self._create(document)
        self.client.request("PATCH", f"{self.path}/{HPA}", {"spec": {"minReplicas": low, "maxReplicas": high, "behavior": BEHAVIOR}}, MERGE)

    def _create(self, document: Object) -> None:
        document["metadata"]["namespace"] = self.namespace
        if document["kind"] == "Deployment":
            document["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = str(int(self.load.limit))
        deployments = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
        self.client.request("POST", self.path if document["kind"] == "HorizontalPodAutoscaler" else deployments, document)

    def hpa(self) -> Object:
        return self.client.list(f"{self.path}/{HPA}")

    def hpa_file(self, directory: Path) -> Path:
        """As kubectl prints it."""
        path = directory / f"{self.namespace}.json"
        path.write_text(kubectl(self.world.api, "get", "hpa", HPA, "-n", self.namespace, "-o", "json"))
        return path

    def idle(self) -> None:
        """From now on as at the beginning of the load, whose end is not awaited."""
        self.playing = False
        self.carries.clear()

    def play(self) -> None:
        self.began, self.kills, self.playing = time.time(), 0, True
        self.carries.clear()

    def start(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.ending.set()
        if self.thread:
            self.thread.join()

    def _run(self) -> None:
        while not self.ending.is_set():
            began = time.monotonic()
            try:
                self._tick(time.time())
            except StatusError as error:  # a pod that has just been deleted
                if error.code not in (404, 409):
                    raise
            self.ending.wait(max(0.05, TICK_SECONDS - (time.monotonic() - began)))

    def _tick(self, now: float) -> None:
        pods = self.client.list(f"/api/v1/namespaces/{self.namespace}/pods", labelSelector="rsName=ama-metrics")["items"]
        names = [pod["metadata"]["name"] for pod in pods
                 if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") == "Running"]
        for name in names:
            self.carries.setdefault(name, now)
        carrying = [name for name in names if self.carries[name] <= now]
        share = self.load.share(now - self.began if self.playing else 0) / max(1, len(carrying))
        for name in names:
            leak = self.load.leak * (now - self.carries[name]) if self.playing else 0
            held = BASE + (share + leak if name in carrying else 0)
            if held >= self.load.limit:
                self.kills += 1
                self.carries[name] = now + DOWN_SECONDS
                held = BASE
                exit_container(self.client, self.namespace, name, 137, "OOMKilled")
            self._claim(name, held)

    def _claim(self, name: str, held: float) -> None:
        if abs(held - self.claims.get(name, 0)) >= NEWS * held:
            self.client.request("PATCH", f"/api/v1/namespaces/{self.namespace}/pods/{name}",
                                {"metadata": {"annotations": {USAGE: str(int(held))}}}, MERGE)
            self.claims[name] = held
