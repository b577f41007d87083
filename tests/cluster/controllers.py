"""The rest of a cluster beside kube-apiserver: kube-controller-manager, kwok for its nodes and pods, metrics-server."""

from __future__ import annotations

import subprocess
from pathlib import Path

import requests
import yaml

from . import cache
from .client import Object, StatusError
from .kube import ApiServer
from .process import Child, free_port, wait_until

READY_SECONDS = 60
MANAGER, KWOK, METRICS = "kube-controller-manager", "kwok", "metrics-server"
CONTROLLERS = ("deployment-controller,replicaset-controller,horizontal-pod-autoscaler-controller,node-lifecycle-controller,"
               "namespace-controller,serviceaccount-controller,garbage-collector-controller,daemonset-controller")


class Controllers:
    """Started by hand, each by its name: a test starts what it needs.

    kwok plays kubelet: nodes and their pods become ready, and report the memory that the pods' annotation `kwok.x-k8s.io/usage-memory`
    claims. metrics-server scrapes it, and the HPA controller looks every five seconds.
    """

    def __init__(self, api: ApiServer, more: tuple[str, ...] = ()):
        """`more`: controllers of kube-controller-manager beside the usual ones."""
        self.api = api
        binaries, directory = api.binaries, api.dir
        self.metrics_port = free_port()
        kwok_port = free_port()
        admin = api.kubeconfig
        self.children = {
            MANAGER: Child(MANAGER, [
                binaries / MANAGER, f"--kubeconfig={admin}", "--leader-elect=false", f"--root-ca-file={api.ca}",
                f"--service-account-private-key-file={api.pki}/sa.key", "--bind-address=127.0.0.1",
                f"--secure-port={free_port()}", "--horizontal-pod-autoscaler-sync-period=5s",
                "--horizontal-pod-autoscaler-initial-readiness-delay=1s", "--horizontal-pod-autoscaler-cpu-initialization-period=1s",
                "--node-monitor-grace-period=50s", f"--controllers={','.join((CONTROLLERS, *more))}",
            ], directory / f"{MANAGER}.log"),
            KWOK: Child(KWOK, [
                binaries / KWOK, "--kubeconfig", admin, "--manage-all-nodes=true", "--config", cache.kwok_stages() / "kwok.yaml",
                "--server-address", f"127.0.0.1:{kwok_port}", "--node-ip", "127.0.0.1", "--node-port", str(kwok_port),
                "--node-lease-duration-seconds", "40",
            ], directory / f"{KWOK}.log"),
            METRICS: Child(METRICS, [
                binaries / METRICS, "--kubeconfig", admin, "--authentication-kubeconfig", admin, "--authorization-kubeconfig", admin,
                "--bind-address=127.0.0.1", f"--secure-port={self.metrics_port}", f"--cert-dir={directory / 'metrics-pki'}",
                "--kubelet-use-node-status-port", "--kubelet-insecure-tls", "--kubelet-preferred-address-types=InternalIP,Hostname",
                "--metric-resolution=10s", "--kubelet-request-timeout=5s",
            ], directory / f"{METRICS}.log"),
        }

    def __enter__(self) -> "Controllers":
        return self

    def __exit__(self, *_: object) -> None:
        for child in self.children.values():
            child.kill()

    def start(self, *names: str) -> None:
        for name in names or self.children:
            self.children[name].start()

    def kill(self, name: str) -> None:
        self.children[name].kill()

    def wait_for_metrics(self, namespace: str, seconds: float = READY_SECONDS) -> None:
        """Until the metrics API has a sample of a pod of the namespace."""
        def served() -> bool:
            try:
                return bool(self.api.client.list(f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods")["items"])
            except (requests.RequestException, StatusError):  # the aggregated API answers 503 until it is up
                return False
        wait_until("the metrics API", served, seconds, self.children[METRICS])


_PATHS = {
    "Node": "/api/v1/nodes",
    "Service": "/api/v1/namespaces/{}/services",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
}


def create(api: ApiServer, manifest: Path, metrics_port: int, annotations: dict[str, str] | None = None) -> None:
    """Creates the objects of a manifest. The port of metrics-server in it is replaced by the one that is used, and the annotations of
    pod templates by the given ones."""
    for document in yaml.safe_load_all(manifest.read_text()):
        if document["metadata"]["name"] in ("metrics-server", "v1beta1.metrics.k8s.io"):
            document = yaml.safe_load(yaml.safe_dump(document).replace("26460", str(metrics_port)))
        template = document.get("spec", {}).get("template", {})
        if template and annotations:
            template["metadata"]["annotations"] |= annotations
        path = _PATHS[document["kind"]].format(document["metadata"].get("namespace"))
        api.client.request("POST", path, document)


def kubectl(api: ApiServer, *args: str) -> str:
    """The real kubectl, as a person uses it: its name stands in managedFields."""
    done = subprocess.run([api.binaries / "kubectl", f"--kubeconfig={api.kubeconfig}", *args], capture_output=True, text=True,
                          timeout=30, check=True)
    return done.stdout


def pods_of(api: ApiServer, namespace: str, selector: str) -> list[Object]:
    return api.client.list(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)["items"]
