"""HPAs and Pods as objects of a real API server, and what their controllers and kubelets write of them."""

from __future__ import annotations

import uuid

from .client import MERGE, KubeClient
from .objects import now


class Workload:
    """An HPA and pods of a namespace of their own, and what their controllers write of them."""

    def __init__(self, client: KubeClient):
        self.client = client
        self.namespace = f"ns-{uuid.uuid4().hex[:8]}"
        client.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.pods = f"/api/v1/namespaces/{self.namespace}/pods"
        self.hpas = f"/apis/autoscaling/v2/namespaces/{self.namespace}/horizontalpodautoscalers"

    def create_hpa(self, name: str) -> None:
        metric = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "5Gi"}}}
        self.client.request("POST", self.hpas, {"metadata": {"name": name}, "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 5,
            "metrics": [metric]}})

    def report_hpa(self, name: str, current: int, desired: int, memory: str, scaled: str | None = None) -> None:
        status = {"currentReplicas": current, "desiredReplicas": desired,
                  "currentMetrics": [{"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": memory}}}],
                  "conditions": [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound", "message": "",
                                  "lastTransitionTime": now()}]}
        self.client.request("PATCH", f"{self.hpas}/{name}/status", {"status": status | ({"lastScaleTime": scaled} if scaled else {})}, MERGE)

    def create_pod(self, name: str) -> None:
        container = {"name": "app", "image": "none", "resources": {"limits": {"memory": "64Mi"}}}
        self.client.request("POST", self.pods, {"metadata": {"name": name}, "spec": {"nodeName": "nowhere", "containers": [container]}})
        self.report_pod(name, 0, {"running": {"startedAt": now()}}, {})

    def report_pod(self, name: str, restarts: int, state: dict, last: dict) -> None:
        container = {"name": "app", "image": "none", "imageID": "", "ready": True, "restartCount": restarts, "state": state, "lastState": last}
        self.client.request("PATCH", f"{self.pods}/{name}/status", {"status": {"phase": "Running", "containerStatuses": [container]}}, MERGE)

    def oom(self, name: str, restarts: int) -> None:
        """In the three shapes that kubelet reports."""
        ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": now(), "containerID": f"containerd://{uuid.uuid4().hex}"}}
        self.report_pod(name, restarts, ended, {})
        self.report_pod(name, restarts, {"waiting": {"reason": "CrashLoopBackOff"}}, ended)
        self.report_pod(name, restarts + 1, {"running": {"startedAt": now()}}, ended)

    def delete(self, path: str, name: str) -> None:
        self.client.request("DELETE", f"{path}/{name}", gracePeriodSeconds=0)
