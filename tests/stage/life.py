"""Ordinary life of a cluster: pods come, run, fail and go, so that a feed has something to show."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

from cluster.objects import involved, legacy_event, new_event, now

from .kube import Kube

APPS = {"shop": ("checkout", "cart"), "payments": ("ledger",), "kube-system": ("ama-metrics", "coredns")}
LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Life:
    """About one Event in `every` seconds until stop(); the same seed tells the same stories."""

    def __init__(self, kube: Kube, every: float = 3.0, seed: int = 1):
        self.kube, self.every = kube, float(every)
        self._random = random.Random(seed)
        self._stopping = threading.Event()

    def start(self) -> "Life":
        threading.Thread(target=self._run, daemon=True, name="life").start()
        return self

    def stop(self) -> None:
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for event in self._story():
                self.kube.put(event)
                if self._stopping.wait(self.every * self._random.uniform(0.3, 1.7)):
                    return

    def _story(self) -> Iterator[dict[str, Any]]:
        """What one pod goes through, each Event made when it happens."""
        namespace = self._random.choice(list(APPS))
        app = self._random.choice(APPS[namespace])
        template = "".join(self._random.choices(LETTERS, k=9))
        pod = f"{app}-{template}-{''.join(self._random.choices(LETTERS, k=5))}"
        about = involved("Pod", pod, namespace)
        node = f"aks-nodepool1-12345678-vmss00000{self._random.randrange(3)}"
        replicas = involved("ReplicaSet", f"{app}-{template}", namespace, api_version="apps/v1")
        yield legacy_event(replicas, "SuccessfulCreate", f"Created pod: {pod}", "replicaset-controller")
        yield new_event(about, "Scheduled", f"Successfully assigned {namespace}/{pod} to {node}", "default-scheduler", "Binding")
        yield legacy_event(about, "Pulled", f'Container image "registry.example.com/{app}:1.4.2" already present on machine', "kubelet",
                           host=node)
        yield legacy_event(about, "Started", f"Started container {app}", "kubelet", host=node)
        end = self._random.random()
        if end < 0.2:
            yield legacy_event(about, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", "kubelet", "Warning",
                               host=node)
        elif end < 0.4:  # one Event that is patched: its count grows
            first = legacy_event(about, "BackOff", f"Back-off restarting failed container {app} in pod {pod}", "kubelet", "Warning",
                                 host=node)
            for count in (1, 2, 4):
                yield first | {"count": count, "lastTimestamp": now()}
