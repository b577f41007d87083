"""Applications of a real Argo CD, each with a git repository and a namespace of its own, and Rollouts of a real Argo Rollouts.

Everything but the kubelet is real (kwok makes pods Ready): Argo CD fetches, compares, syncs and heals; Argo Rollouts scales and analyses.
A person acts through argocd-server, as admin, or by the patches that kubectl and its plugin make.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .argo import APPLICATIONS, CONTROLLER, Argo
from .client import MERGE, KubeClient, Object, StatusError
from .controllers import KWOK, MANAGER, Controllers
from .kube import ApiServer
from .process import wait_until

NODE = "aks-nodepool1-12345678-vmss000000"
IMAGE = "registry.example.com/shop/checkout"
AUTOMATED = {"automated": {"prune": True, "selfHeal": True}, "retry": {"limit": 2, "backoff": {"duration": "2s", "factor": 1}}}
ROLLOUT_PATH = "/apis/argoproj.io/v1alpha1/namespaces/{}/rollouts"


class ArgoWorld:
    """The cluster with a node, Argo CD and Argo Rollouts."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None):
        self.dir = directory
        self.api = ApiServer(directory)
        self.controllers = Controllers(self.api)
        self.argo = Argo(self.api, settings)

    def __enter__(self) -> "ArgoWorld":
        self.api.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self.argo.__exit__()
        self.controllers.__exit__()
        self.api.__exit__()

    def start(self) -> None:
        self.controllers.start(MANAGER, KWOK)
        self.api.client.create_node(NODE)
        self.argo.install()
        self.argo.start()
        self._warm_up()

    def _warm_up(self) -> None:
        """Argo CD reads the whole cluster before its first comparison, and on a busy machine that fails once or twice."""
        app = Application(self, "warm-up")
        app.commit(config=config_map("warm"))
        app.create()
        looked = time.monotonic()

        def compares() -> bool:
            nonlocal looked
            if time.monotonic() - looked > 10:
                looked = time.monotonic()
                app.refresh()
            return app.object().get("status", {}).get("sync", {}).get("status") == "OutOfSync"
        wait_until("Argo CD compares", compares, 300, self.argo.children[CONTROLLER])
        app.delete()
        wait_until("it is gone", lambda: not self.api.client.list(APPLICATIONS)["items"], 60)


class Repository:
    """A git repository on this machine, which Argo CD reads by file://."""

    def __init__(self, path: Path):
        self.path = path
        path.mkdir(parents=True)
        self._git("init", "-q", "-b", "main")

    @property
    def url(self) -> str:
        return f"file://{self.path}"

    def _git(self, *args: str) -> str:
        who = ["-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", "-C", self.path, *who, *args], check=True, capture_output=True, text=True, timeout=30).stdout.strip()

    def commit(self, files: dict[str, Any]) -> str:
        """Writes manifests (objects, or text as it is; None removes) and returns the commit's id."""
        for name, content in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                file.unlink()
            else:
                file.write_text(content if isinstance(content, str) else json.dumps(content))
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "change")
        return self._git("rev-parse", "HEAD")


class Application:
    """One Application, of the directory `app` of its repository, in a namespace of its name."""

    def __init__(self, world: ArgoWorld, name: str):
        self.world, self.name, self.client = world, name, world.argo.client()
        self.repository = Repository(world.dir / "git" / name)
        self.client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def commit(self, **manifests: Any) -> str:
        """Manifests by the names of their files; None removes."""
        return self.repository.commit({f"app/{name}.yaml": content for name, content in manifests.items()})

    def create(self, policy: Object | None = None, finalizer: bool = False, **spec: Any) -> None:
        self.client.request("POST", APPLICATIONS, {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": self.name, "labels": {"team": "shop"},
                         "finalizers": ["resources-finalizer.argocd.argoproj.io"] if finalizer else []},
            "spec": {"project": "default", "source": {"repoURL": self.repository.url, "path": "app", "targetRevision": "HEAD"},
                     "destination": {"server": "https://kubernetes.default.svc", "namespace": self.name},
                     "syncPolicy": policy or {}} | spec,
        })

    @property
    def path(self) -> str:
        return f"{APPLICATIONS}/{self.name}"

    def object(self) -> Object:
        return self.client.list(self.path)

    def patch(self, patch: Object, manager: str = "kubectl-edit") -> Object:
        return self.client.request("PATCH", self.path, patch, MERGE, fieldManager=manager)

    def refresh(self) -> None:
        """Git is looked at now, not within three minutes."""
        self.client.request("PATCH", self.path, {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}, MERGE)

    def refresh_until_seen(self, commit: str) -> None:
        """A refresh that is asked for while another one ends is lost, so it is asked for again. What cannot be loaded is never seen."""
        for _ in range(3):
            self.refresh()
            with contextlib.suppress(TimeoutError):
                self.wait("the commit", lambda app: commit in json.dumps(app["status"]), 5)
                return

    def wait(self, what: str, wanted: Callable[[Object], bool], seconds: float = 90) -> None:
        def look() -> bool:
            try:
                return bool(wanted(self.object()))
            except (KeyError, StatusError):
                return False
        wait_until(f"{self.name}: {what}", look, seconds)

    def sync(self, **options: Any) -> None:
        """By admin, as with `argocd app sync`."""
        self.world.argo.server_request("POST", f"/{self.name}/sync", {"name": self.name, **options})

    def roll_back(self, entry: int) -> None:
        self.world.argo.server_request("POST", f"/{self.name}/rollback", {"name": self.name, "id": entry})

    def terminate(self) -> None:
        self.world.argo.server_request("DELETE", f"/{self.name}/operation")

    def delete(self) -> None:
        self.client.request("DELETE", self.path)

    def live(self, kind: str, name: str) -> str:
        """The path of an object of it."""
        group = {"services": "/api/v1", "configmaps": "/api/v1"}.get(kind, "/apis/apps/v1")
        return f"{group}/namespaces/{self.name}/{kind}/{name}"

    def change_by_hand(self, kind: str, name: str, patch: Object) -> None:
        self.client.request("PATCH", self.live(kind, name), patch, MERGE, fieldManager="kubectl-edit")


class Rollout:
    """One Rollout, changed as a person does it."""

    def __init__(self, client: KubeClient, namespace: str, name: str):
        self.client, self.name = client, name
        self.collection = ROLLOUT_PATH.format(namespace)
        self.path = f"{self.collection}/{name}"

    def object(self) -> Object:
        return self.client.list(self.path)

    def create(self, rollout: Object) -> None:
        self.client.request("POST", self.collection, rollout)

    def wait(self, what: str, wanted: Callable[[Object], bool], seconds: float = 90) -> None:
        def look() -> bool:
            try:
                return bool(wanted(self.object()))
            except (KeyError, StatusError):
                return False
        wait_until(f"{self.name}: {what}", look, seconds)

    def wait_phase(self, phase: str, message: str = "") -> None:
        """With what the controller has seen of the spec."""
        self.wait(f"{phase} {message}", lambda o: o["status"]["phase"] == phase and message in o["status"].get("message", "")
                  and o["status"]["observedGeneration"] == str(o["metadata"]["generation"]))

    def set(self, patch: Object) -> None:
        self.client.request("PATCH", self.path, patch, MERGE, fieldManager="kubectl-argo-rollouts")

    def set_image(self, tag: str) -> None:
        containers = [container(tag)]
        self.set({"spec": {"template": {"spec": {"containers": containers}}}})

    def _status(self, status: Object) -> None:
        self.client.request("PATCH", f"{self.path}/status", {"status": status}, MERGE, fieldManager="kubectl-argo-rollouts")

    def promote(self) -> None:
        self._status({"pauseConditions": None})

    def promote_inconclusive(self) -> None:
        """The plugin's patch when the analysis of the step is inconclusive: without the next step it would be analysed again."""
        self._status({"pauseConditions": None, "controllerPause": False, "currentStepIndex": self.object()["status"]["currentStepIndex"] + 1})

    def abort(self) -> None:
        self._status({"abort": True})

    def retry(self) -> None:
        self._status({"abort": False})

    def delete(self) -> None:
        self.client.request("DELETE", self.path)


def container(tag: str) -> Object:
    return {"name": "checkout", "image": f"{IMAGE}:{tag}"}


def _template(app: str, tag: str, runs: bool) -> Object:
    """Its pods run on the one node; without it they stay Pending."""
    spec = {"containers": [container(tag)]} | ({"nodeName": NODE} if runs else {})
    return {"metadata": {"labels": {"app": app}}, "spec": spec}


def deployment(name: str = "checkout", tag: str = "1", replicas: int = 1, runs: bool = True, **spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": _template(name, tag, runs)} | spec}


def service(name: str = "checkout", app: str = "checkout") -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": app}, "ports": [{"port": 80}]}}


def config_map(name: str, annotations: dict[str, str] | None = None, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": annotations or {}}, "data": data}


def hook(name: str) -> Object:
    """A Job before the sync. Nobody runs Jobs here: it never ends."""
    template = {"spec": {"containers": [container("1")], "restartPolicy": "Never"}}
    return {"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "annotations": {"argocd.argoproj.io/hook": "PreSync"}}, "spec": {"template": template}}


def rollout(name: str, strategy: Object, tag: str = "1", replicas: int = 4, **spec: Any) -> Object:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": name, "labels": {"team": "shop"}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "strategy": strategy,
                     "template": _template(name, tag, True)} | spec}


def analysis(name: str, metrics: list[Object]) -> Object:
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name}, "spec": {"metrics": metrics}}


def web_metric(url: str, **spec: Any) -> Object:
    """A number that a web server answers with."""
    return {"name": "error-rate", "provider": {"web": {"url": url, "jsonPath": "{$.value}", "timeoutSeconds": 5}}} | spec
