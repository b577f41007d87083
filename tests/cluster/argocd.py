"""Argo CD's Application as a custom resource of a real API server, and the writes of its controller."""

from __future__ import annotations

import time
from contextlib import contextmanager
from collections.abc import Iterator

from .client import KubeClient, Object
from .objects import now

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
CRD = "applications.argoproj.io"
APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
MERGE = "application/merge-patch+json"
CRD_SECONDS = 30


def definition() -> Object:
    """As Argo CD's: namespaced, without a status subresource."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": CRD},
        "spec": {"group": "argoproj.io", "scope": "Namespaced", "versions": [version],
                 "names": {"plural": "applications", "singular": "application", "kind": "Application", "listKind": "ApplicationList"}},
    }


@contextmanager
def installed(client: KubeClient) -> Iterator[None]:
    """The Application CRD and the namespace argocd; the CRD, and every Application with it, goes at the end."""
    names = [n["metadata"]["name"] for n in client.list("/api/v1/namespaces")["items"]]
    if "argocd" not in names:
        client.request("POST", "/api/v1/namespaces", {"metadata": {"name": "argocd"}})
    client.request("POST", CRDS, definition())
    try:
        deadline = time.monotonic() + CRD_SECONDS
        while client.session.get(client.url + APPLICATIONS, timeout=5).status_code != 200:
            assert time.monotonic() < deadline, "the API server does not serve the CRD"
            time.sleep(0.05)
        yield
    finally:
        client.request("DELETE", f"{CRDS}/{CRD}")


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
