"""The managed Prometheus of AKS in a real cluster: its Deployment, DaemonSet and HPA, driven by what its pods claim to use.

Everything but the kubelet is real: the HPA controller scales, kubectl patches, the metrics API goes away and comes back. There are no
containers, so what kubelet would report of one (`exit_container`) is written into the Pod's status as kubelet writes it.
"""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from .client import MERGE, KubeClient, Object
from .controllers import METRICS, Controllers, create, kubectl, pods_of
from .kube import ApiServer
from .objects import now
from .process import wait_until

NAMESPACE, HPA, CONTAINER, NODE = "kube-system", "ama-metrics-hpa", "prometheus-collector", "aks-nodepool1-12345678-vmss000000"
HPA_PATH = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers/{HPA}"
MANIFEST = Path(__file__).parent / "kubernetes" / "hpa-loop.yaml"
USAGE = "kwok.x-k8s.io/usage-memory"


class HpaWorld:
    """An API server and its controllers, with the add-on running."""

    def __init__(self, directory: Path):
        self.api = ApiServer(directory)
        self.controllers = Controllers(self.api)

    def __enter__(self) -> "HpaWorld":
        self.api.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self.controllers.__exit__()
        self.api.__exit__()

    def start(self, memory: str = "3Gi", replicas: int = 2) -> None:
        """Two replicas that claim `memory`; returns when the HPA has seen their metrics and keeps them."""
        self.controllers.start()
        create(self.api, MANIFEST, self.controllers.metrics_port, {USAGE: memory})
        self.controllers.wait_for_metrics(NAMESPACE, 90)
        self.wait("the HPA reads its metrics", lambda hpa: condition(hpa, "ScalingActive") == ("True", "ValidMetricFound"))
        self.wait(f"{replicas} replicas", lambda hpa: hpa["status"]["desiredReplicas"] == replicas)

    def hpa(self) -> Object:
        return self.api.client.list(HPA_PATH)

    def wait(self, what: str, wanted, seconds: float = 90) -> Object:
        """Until wanted(the HPA) is true; returns it."""
        found: list[Object] = []

        def look() -> bool:
            found[:] = [self.hpa()]
            return wanted(found[0])
        wait_until(what, look, seconds)
        return found[0]

    def wait_replicas(self, replicas: int, seconds: float = 120) -> None:
        """Until the HPA wants so many, and they are there."""
        self.wait(f"{replicas} replicas", lambda hpa: hpa["status"]["desiredReplicas"] == replicas
                  and hpa["status"].get("currentReplicas") == replicas, seconds)

    def claim(self, memory: str) -> None:
        """All pods claim it, and those that will be made."""
        for pod in self.pods():
            self.claim_one(pod["metadata"]["name"], memory)

    def claim_one(self, name: str, memory: str) -> None:
        self.api.client.request("PATCH", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}", {"metadata": {"annotations": {USAGE: memory}}}, MERGE)

    def pods(self, selector: str = "rsName=ama-metrics") -> list[Object]:
        """Those that are not being deleted."""
        return [pod for pod in pods_of(self.api, NAMESPACE, selector) if "deletionTimestamp" not in pod["metadata"]]

    def set_bounds(self, low: int, high: int) -> None:
        """By hand, with kubectl."""
        kubectl(self.api, "patch", "hpa", HPA, "-n", NAMESPACE, "--type", "merge", "--patch",
                f'{{"spec":{{"minReplicas":{low},"maxReplicas":{high}}}}}')

    def reconcile_bounds(self, low: int, high: int) -> None:
        """As the add-on's reconciliation does it, under a name of its own."""
        patch = {"spec": {"minReplicas": low, "maxReplicas": high}}
        self.api.client.request("PATCH", HPA_PATH, patch, MERGE, fieldManager="addon-adapter")

    def blind(self) -> None:
        self.controllers.kill(METRICS)

    def see(self) -> None:
        self.controllers.start(METRICS)

    def remove_hpa(self) -> None:
        self.api.client.request("DELETE", HPA_PATH)

    def exit_container(self, name: str, code: int, reason: str, loop_seconds: float = 0) -> str:
        return exit_container(self.api.client, NAMESPACE, name, code, reason, loop_seconds)


def exit_container(client: KubeClient, namespace: str, name: str, code: int, reason: str, loop_seconds: float = 0) -> str:
    """A container of the pod ends and is started again, after CrashLoopBackOff if that takes a while. Returns finishedAt."""
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    finished = now()
    status = client.list(path)["status"]["containerStatuses"][0]

    def report(container: Object) -> None:
        client.request("PATCH", f"{path}/status", {"status": {"containerStatuses": [container]}}, MERGE)
    ended = {"exitCode": code, "reason": reason, "startedAt": status["state"]["running"]["startedAt"], "finishedAt": finished,
             "containerID": f"containerd://{uuid.uuid4().hex}{uuid.uuid4().hex}"}
    report(status | {"ready": False, "state": {"terminated": ended}})
    if loop_seconds:
        waiting = {"reason": "CrashLoopBackOff", "message": f"back-off 10s restarting failed container={CONTAINER}"}
        report(status | {"ready": False, "state": {"waiting": waiting}, "lastState": {"terminated": ended}})
        time.sleep(loop_seconds)  # it is the length of the back-off that is played
    report(status | {"restartCount": status["restartCount"] + 1, "state": {"running": {"startedAt": now()}}, "lastState": {"terminated": ended}})
    return finished


def condition(hpa: Object, kind: str) -> tuple[str, str] | None:
    """(status, reason) of one of its conditions."""
    for one in hpa["status"].get("conditions") or ():
        if one["type"] == kind:
            return one["status"], one["reason"]
    return None
