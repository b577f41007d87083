"""The real Argo CD and Argo Rollouts beside a real cluster: redis, repo-server, application-controller, argocd-server, rollouts-controller."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path

import requests
import yaml

from . import cache
from .client import MERGE, KubeClient, Object, StatusError
from .controllers import kubectl
from .kube import ApiServer
from .process import Child, free_port, wait_until

READY_SECONDS = 120
NAMESPACE = "argocd"
APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
PROJECTS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/appprojects"
PROJECT = {
    "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": "default", "namespace": NAMESPACE},
    "spec": {"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}],
             "clusterResourceWhitelist": [{"group": "*", "kind": "*"}]},
}
REDIS, REPO, CONTROLLER, SERVER, ROLLOUTS = "redis", "argocd-repo-server", "argocd-application-controller", "argocd-server", "rollouts-controller"
SETS = "argocd-applicationset-controller"  # started by its name only


class Argo:
    """Started by `start`, each by its name or all. The cluster itself is the destination `https://kubernetes.default.svc`.

    `settings` are added to argocd-cm. A person works through `server_request`, as the user admin.
    """

    def __init__(self, api: ApiServer, settings: dict[str, str] | None = None):
        self.api, self.settings = api, settings or {}
        self.dir = api.dir / "argo"
        self.dir.mkdir()
        self.ports = {name: free_port() for name in (REDIS, REPO, SERVER)}
        self.server_url = f"http://127.0.0.1:{self.ports[SERVER]}"
        self.children = {name: Child(name, argv, self.dir / f"{name}.log", self._environment(name)) for name, argv in self._commands().items()}
        self._session = requests.Session()
        self._session.trust_env = False

    def _environment(self, name: str) -> dict[str, str]:
        """Redis wants none of it. HOSTNAME is how the controller knows its shard; its kubeconfig says its namespace."""
        binaries = cache.argocd()
        home = self.dir / "home"
        home.mkdir(exist_ok=True)
        for data in ("tls", "ssh", "plugins"):
            (self.dir / data).mkdir(exist_ok=True)
        (self.dir / "ssh" / "ssh_known_hosts").touch()
        return {
            "ARGOCD_BINARY_NAME": name, "HOSTNAME": f"{name}-0", "KUBECONFIG": os.fspath(self._kubeconfig()), "HOME": os.fspath(home),
            "ARGOCD_FAKE_IN_CLUSTER": "true", "ARGOCD_GPG_ENABLED": "false", "ARGOCD_TLS_DATA_PATH": os.fspath(self.dir / "tls"),
            "ARGOCD_SSH_DATA_PATH": os.fspath(self.dir / "ssh"), "TMPDIR": os.fspath(self._temporary()),
            "PATH": f"{binaries}:{self._kustomize()}:{os.environ['PATH']}", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
        }

    def _temporary(self) -> Path:
        """Where the repo-server clones to; it goes with the world."""
        temporary = self.dir / "tmp"
        temporary.mkdir(exist_ok=True)
        return temporary

    def _kustomize(self) -> Path:
        """A folder with the `kustomize` that the repo-server calls: kubectl has the same library."""
        script = self.dir / "bin" / "kustomize"
        if not script.exists():
            script.parent.mkdir()
            kubectl_path = self.api.binaries / "kubectl"
            script.write_text(f'#!/bin/sh\n[ "$1" = version ] && echo v5.7.1 && exit\nshift\nexec {kubectl_path} kustomize "$@"\n')
            script.chmod(0o755)
        return script.parent

    def _kubeconfig(self) -> Path:
        path = self.dir / "kubeconfig"
        if not path.exists():
            config = yaml.safe_load(self.api.kubeconfig.read_text())
            config["contexts"][0]["context"]["namespace"] = NAMESPACE
            path.write_text(yaml.safe_dump(config))
        return path

    def _commands(self) -> dict[str, list[str | Path]]:
        binary, redis = cache.argocd() / "argocd", f"localhost:{self.ports[REDIS]}"
        repo = f"localhost:{self.ports[REPO]}"
        return {
            REDIS: [shutil.which("redis-server") or "redis-server", "--port", str(self.ports[REDIS]), "--bind", "127.0.0.1", "--save", "",
                    "--appendonly", "no", "--dir", self.dir],
            REPO: [binary, "--port", str(self.ports[REPO]), "--address", "127.0.0.1", "--redis", redis, "--metrics-port", str(free_port()),
                   "--metrics-address", "127.0.0.1"],
            CONTROLLER: [binary, "--redis", redis, "--repo-server", repo, "--metrics-port", str(free_port()), "--namespace", NAMESPACE,
                         "--repo-error-grace-period-seconds", "0"],
            SERVER: [binary, "--insecure", "--port", str(self.ports[SERVER]), "--address", "127.0.0.1", "--metrics-port", str(free_port()),
                     "--metrics-address", "127.0.0.1", "--redis", redis, "--repo-server", repo, "--namespace", NAMESPACE],
            SETS: [binary, "--argocd-repo-server", repo, "--namespace", NAMESPACE,
                   *(f"{flag}=127.0.0.1:{free_port()}" for flag in ("--metrics-addr", "--probe-addr", "--webhook-addr"))],
            ROLLOUTS: [cache.rollouts() / "rollouts-controller", "--kubeconfig", self.api.kubeconfig, "--leader-elect=false",
                       "--metricsport", str(free_port()), "--healthzPort", str(free_port())],
        }

    def __enter__(self) -> "Argo":
        return self

    def __exit__(self, *_: object) -> None:
        for child in reversed(self.children.values()):
            child.kill()

    def install(self) -> None:
        """Namespace, CRDs, settings, and the project `default`, which nobody else makes."""
        client = self.api.client
        client.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        for crds in (cache.argocd() / "crds", cache.rollouts() / "crds"):
            kubectl(self.api, "apply", "--server-side", "-f", str(crds))
        kubectl(self.api, "apply", "-n", NAMESPACE, "-f", str(cache.argocd() / "config"))
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/argocd-cm"
        client.request("PATCH", path, {"data": self.settings}, MERGE)
        wait_until("the CRDs are served", self._serves, READY_SECONDS)
        client.request("POST", PROJECTS, PROJECT)

    def _serves(self) -> bool:
        """Until its storage is ready a new kind answers 404, or 429."""
        try:
            for collection in ("applications", "appprojects", "rollouts", "analysisruns"):
                self.api.client.list(f"/apis/argoproj.io/v1alpha1/{collection}")
        except StatusError:
            return False
        return True

    def start(self, *names: str) -> None:
        for name in names or [name for name in self.children if name != SETS]:
            self.children[name].start()
            if name == SERVER:
                wait_until("argocd-server", self._answers, READY_SECONDS, self.children[SERVER])
                self._login()

    def _answers(self) -> bool:
        try:
            return self._session.get(f"{self.server_url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def _login(self) -> None:
        secret = self.api.client.list(f"/api/v1/namespaces/{NAMESPACE}/secrets/argocd-initial-admin-secret")
        password = base64.b64decode(secret["data"]["password"]).decode()
        answer = self._session.post(f"{self.server_url}/api/v1/session", json={"username": "admin", "password": password}, timeout=15)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def server_request(self, method: str, path: str, body: Object | None = None) -> Object:
        """What the web page and the CLI call, of an Application: `/checkout/sync`, `/checkout/rollback`."""
        answer = self._session.request(method, f"{self.server_url}/api/v1/applications{path}", json=body or {}, timeout=30)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def client(self) -> KubeClient:
        return self.api.new_client()
