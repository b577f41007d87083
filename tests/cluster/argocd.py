"""Argo CD's Application and Argo Rollouts' Rollout as custom resources of a real API server, and the writes of their controllers."""

from __future__ import annotations

import time
from contextlib import contextmanager
from collections.abc import Iterator

from .client import KubeClient, Object
from .objects import now

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPLICATION, ROLLOUT = "Application", "Rollout"
ARGO = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
APPLICATIONS = f"{ARGO}/applications"
ROLLOUTS = f"{ARGO}/rollouts"
MERGE = "application/merge-patch+json"
CRD_SECONDS = 30


def definition(kind: str = APPLICATION) -> Object:
    """As Argo's: namespaced; Application without a status subresource, Rollout with one."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    if kind == ROLLOUT:
        version |= {"subresources": {"status": {}}}
    one = kind.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{one}s.argoproj.io"},
        "spec": {"group": "argoproj.io", "scope": "Namespaced", "versions": [version],
                 "names": {"plural": f"{one}s", "singular": one, "kind": kind, "listKind": f"{kind}List"}},
    }


def install(client: KubeClient, kind: str = APPLICATION) -> None:
    """The CRD and the namespace argocd; returns when it is served."""
    names = [n["metadata"]["name"] for n in client.list("/api/v1/namespaces")["items"]]
    if "argocd" not in names:
        client.request("POST", "/api/v1/namespaces", {"metadata": {"name": "argocd"}})
    client.request("POST", CRDS, definition(kind))
    deadline = time.monotonic() + CRD_SECONDS
    while client.session.get(f"{client.url}{ARGO}/{kind.lower()}s", timeout=5).status_code != 200:
        assert time.monotonic() < deadline, "the API server does not serve the CRD"
        time.sleep(0.05)


@contextmanager
def installed(client: KubeClient) -> Iterator[None]:
    """Application; the CRD, and every Application with it, goes at the end."""
    install(client)
    try:
        yield
    finally:
        client.request("DELETE", f"{CRDS}/applications.argoproj.io")


class Application:
    """One Application, Synced and Healthy at `revision`, and what Argo CD writes of it (facts: the order of writes)."""

    def __init__(self, client: KubeClient, name: str, revision: str):
        self.client, self.name, self.revision = client, name, revision
        self.source = {"repoURL": "https://git.example.com/shop/config.git", "path": "apps/checkout"}
        self.history = [{"id": 0, "revision": revision, "deployedAt": now(), "source": self.source, "initiatedBy": {"automated": True}}]
        client.request("POST", APPLICATIONS, {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": "argocd"},
            "spec": {"project": "shop", "source": self.source, "destination": {"namespace": "shop"}, "syncPolicy": {"automated": {}}},
            "status": {"sync": {"status": "Synced", "revision": revision, "comparedTo": {"source": self.source}},
                       "health": {"status": "Healthy", "lastTransitionTime": now()}, "history": self.history},
        })

    def patch(self, patch: Object) -> Object:
        return self.client.request("PATCH", f"{APPLICATIONS}/{self.name}", patch, MERGE)

    def sync(self, revision: str, by: Object) -> None:
        """An operation from its request to the refresh after it; it deploys."""
        operation = {"initiatedBy": by, "sync": {"revision": revision}}
        self.patch({"operation": operation, "status": {"operationState": None, "sync": {"status": "OutOfSync", "revision": revision}}})
        self.patch({"status": {"operationState": {"phase": "Running", "startedAt": now(), "operation": operation}}})
        self.history = [*self.history, {"id": len(self.history), "revision": revision, "deployedAt": now(), "source": self.source, "initiatedBy": by}]
        self.patch({"status": {"history": self.history}})
        done = {"phase": "Succeeded", "finishedAt": now(), "message": "successfully synced (all tasks run)", "syncResult": {"revision": revision}}
        self.patch({"operation": None, "status": {"operationState": done}})
        self.patch({"status": {"sync": {"status": "Synced"}, "reconciledAt": now()}})

    def set_sync(self, status: str, resources: list[Object]) -> None:
        self.patch({"status": {"sync": {"status": status}, "resources": resources}})

    def refresh(self) -> None:
        """What an idle Application looks like every two minutes."""
        self.patch({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}})
        self.patch({"metadata": {"annotations": {"argocd.argoproj.io/refresh": None}}, "status": {"reconciledAt": now(micro=True)}})


class Rollout:
    """A canary of one step, Healthy at first, and what Argo Rollouts writes of it."""

    def __init__(self, client: KubeClient, name: str):
        self.client, self.name, self.revision, self.generation = client, name, 1, 1
        steps = [{"setWeight": 25}, {"pause": {}}]
        client.request("POST", ROLLOUTS, {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": name, "namespace": "argocd", "annotations": {"rollout.argoproj.io/revision": "1"}},
            "spec": {"replicas": 4, "strategy": {"canary": {"steps": steps}}}})
        self.report(phase="Healthy", stableRS="hash1", currentPodHash="hash1", currentStepIndex=2)

    def report(self, **status: object) -> None:
        self.client.request("PATCH", f"{ROLLOUTS}/{self.name}/status", 
                            {"status": status | {"observedGeneration": str(self.generation)}}, MERGE)

    def deploy(self) -> None:
        """Another version: its step, its pause, its promotion."""
        self.revision += 1
        changed = self.client.request("PATCH", f"{ROLLOUTS}/{self.name}", {
            "metadata": {"annotations": {"rollout.argoproj.io/revision": str(self.revision)}},
            "spec": {"template": {"metadata": {"labels": {"version": str(self.revision)}}}}}, MERGE)
        self.generation = changed["metadata"]["generation"]
        self.report(phase="Progressing", currentPodHash=f"hash{self.revision}", currentStepIndex=0)
        pause = [{"reason": "CanaryPauseStep", "startTime": now()}]
        self.report(phase="Paused", message="CanaryPauseStep", currentStepIndex=1, controllerPause=True, pauseConditions=pause)
        self.report(phase="Progressing", message=None, controllerPause=None, pauseConditions=None, currentStepIndex=2)
        self.report(phase="Healthy", stableRS=f"hash{self.revision}")
