"""deploy/argocd in a real cluster: the real Argo CD and Argo Rollouts run it from a local git repository, by the commands of its guide.

What a machine without Azure has not, and what is put in its place:
- three clusters: dev, staging and prod are namespaces of one; add-ons are installed once
- Entra ID: people have accounts of Argo CD, with the roles of their groups
- Key Vault, Gateway, scheduler, kubelet: `Surroundings` and kwok do what they would; their CRDs are the real ones
- Azure's managed Prometheus: `Prometheus` answers its protocol, tokens included
- the chart of External Secrets, ServiceMonitors of Azure: left out
- minutes: analyses and pauses are shortened, sync windows moved away from today
"""

from __future__ import annotations

import base64
import crypt
import http.server
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import requests

from . import cache, gitops_tree
from .argo import APPLICATIONS, CONTROLLER, NAMESPACE, REDIS, REPO, ROLLOUTS, SERVER, SETS, Argo
from .argo_world import NODE, Repository
from .client import MERGE, KubeClient, Object, StatusError
from .controllers import KWOK, MANAGER, Controllers
from .kube import ApiServer
from .process import free_port, wait_until

PEOPLE = {"wanda": "web", "rita": "release", "paul": "platform", "vera": "viewer"}
PASSWORD = "a password of the proof"
SECRET_OF_THE_READER = "the reader's secret"
RELEASES = {name: "sha256:" + (digit * 64) for name, digit in (("1.1.0", "a"), ("1.2.0-bad", "b"), ("1.3.0", "c"))}


class GitopsWorld:
    """`start` brings it to where the guide's installation ends: everything is in the cluster, and production waits for its first sync."""

    def __init__(self, directory: Path):
        self.dir = directory
        self.api = ApiServer(directory)
        self.controllers = Controllers(self.api, ("disruption-controller", "statefulset-controller"))
        self.argo = Argo(self.api)
        self.client = self.api.new_client()
        self.prometheus = Prometheus(self.api.new_client())
        self.surroundings = Surroundings(self.api.new_client())
        self.repository = Repository(directory / "git")
        self.tree = gitops_tree.copy(self.repository.path)
        self.people = {name: Person(self.argo.server_url) for name in PEOPLE}

    def __enter__(self) -> "GitopsWorld":
        self.api.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self.surroundings.stop()
        self.prometheus.stop()
        self.argo.__exit__()
        self.controllers.__exit__()
        self.api.__exit__()

    def start(self, begin: Callable[[], None] = lambda: None) -> None:
        """begin: called before the tree is handed to Argo CD."""
        self._localize()
        self.repository.commit({})
        self.controllers.start(MANAGER, KWOK)
        self.client.create_node(NODE)
        self.argo.install()
        for crds in ("gateway-crds.yaml", "external-secrets-crds.yaml"):
            self.kubectl("apply", "--server-side", "-f", str(cache.gitops_manifests() / crds))
        self.surroundings.start()
        self.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(self.tree / "platform/argocd"))
        self._give_passwords()
        for name in (REDIS, REPO, CONTROLLER, ROLLOUTS, SETS, SERVER):
            self.argo.children[name].start()
        begin()
        self.kubectl("apply", "-k", str(self.tree / "bootstrap"))
        wait_until("argocd-server", self._answers, 120, self.argo.children[SERVER])
        for name, person in self.people.items():
            person.sign_in(name)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.argo.server_url}/healthz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    # The tree in git

    def _localize(self) -> None:
        """The module's comment says what and why. What is not found is a mistake here: the tree has changed."""
        self.rewrite("", {"https://github.com/example/gitops.git": self.repository.url})
        self.rewrite("environments", {r"re:aks-\w+": "in-cluster"})
        self.rewrite("projects", {r"re:aks-\w+": "in-cluster"})
        self.rewrite("bootstrap", {'"aks-*"': "in-cluster"})
        self.rewrite("platform/argocd/kustomization.yaml", {"  - clusters.yaml\n": "", "  - monitors.yaml\n": ""})
        self.rewrite("cluster/kustomization.yaml", {"  - external-secrets.yaml\n": ""})
        self.rewrite("cluster/addons.yaml", {"environments/*.yaml": "environments/prod.yaml", "deploy/argocd/addons/*": "deploy/argocd/addons/rollouts"})
        self.rewrite("platform/argocd/settings.yaml", {"\ndata:\n": "\ndata:\n" + "".join(f"  accounts.{name}: login\n" for name in PEOPLE)})
        policies = "".join(f"g, {name}, role:{role}\n" for name, role in PEOPLE.items())
        self.rewrite("platform/argocd/policies/platform.csv", {"# The platform team.": f"{policies}# The platform team."})
        self.rewrite("cluster/apps.yaml", {"{ duration: 10s, factor: 2, maxDuration: 2m }": "{ duration: 2s, factor: 1 }"})
        self.rewrite("apps/flask", {
            "https://amw-example.westeurope.prometheus.monitor.azure.com": self.prometheus.url,
            r"re:https://login\.microsoftonline\.com/\S+": f"{self.prometheus.url}/token",
            "interval: 30s": "interval: 2s", "duration: 2m": "duration: 5s", "DelaySeconds: 30": "DelaySeconds: 5"})
        self.move_windows_away()

    def rewrite(self, under: str, changes: dict[str, str]) -> None:
        """In all files below a folder of the tree; `re:` is a pattern. Each must be found somewhere."""
        place = self.tree / under
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.suffix in (".yaml", ".csv") and "upstream" not in path.name]
        for old, new in changes.items():
            found = 0
            for file in files:
                text = file.read_text()
                changed, n = re.subn(old[3:], new, text) if old.startswith("re:") else (text.replace(old, new), text.count(old))
                file.write_text(changed)
                found += n
            assert found, f"deploy/argocd/{under}: there is no {old!r} any more"

    def move_windows_away(self) -> None:
        """Two days off: the longest window has 64 hours."""
        then = datetime.now(UTC) + timedelta(days=2)
        weekday = then.isoweekday() % 7
        self.rewrite("projects/staging.yaml", {r're:schedule: ".*"': f'schedule: "0 {then.hour} * * {weekday}"'})
        self.rewrite("projects/prod.yaml", {r're:schedule: ".*"': f'schedule: "0 {then.hour} * * {weekday}"'})

    def commit(self) -> str:
        return self.repository.commit({})

    def release(self, version: str, environment: str) -> str:
        """What a build does: it writes the digest of what it has pushed."""
        self.rewrite(f"apps/flask/overlays/{environment}/kustomization.yaml", {r"re:digest: \S+": f"digest: {RELEASES[version]}"})
        return self.commit()

    def promote(self, before: str, after: str) -> str:
        subprocess.run([self.tree / "promote", "flask", before, after], check=True, capture_output=True, timeout=20)
        return self.commit()

    def revert(self) -> str:
        """The last commit, undone by another one."""
        self.repository._git("revert", "--no-edit", "HEAD")
        return self.repository._git("rev-parse", "HEAD")

    # The cluster

    def kubectl(self, *arguments: str) -> str:
        done = subprocess.run([self.api.binaries / "kubectl", f"--kubeconfig={self.api.kubeconfig}", *arguments], capture_output=True, text=True,
                              timeout=180, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    def argocd(self, *arguments: str, stdin: str | None = None) -> str:
        """The CLI, where a person has a kubeconfig: `argocd admin …`."""
        env = self.argo.children[SERVER].env | {"ARGOCD_BINARY_NAME": "argocd"}
        done = subprocess.run([cache.argocd() / "argocd", *arguments], env=env, input=stdin, capture_output=True, text=True, timeout=180, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"argocd {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout

    def _give_passwords(self) -> None:
        """What Entra ID is for. Go's bcrypt takes what crypt makes."""
        hashed = base64.b64encode(crypt.crypt(PASSWORD, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 4)).encode()).decode()
        now = base64.b64encode(datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()).decode()
        data = {f"accounts.{name}.{key}": value for name in PEOPLE for key, value in (("password", hashed), ("passwordMtime", now))}
        self.client.request("PATCH", f"/api/v1/namespaces/{NAMESPACE}/secrets/argocd-secret", {"data": data}, MERGE)

    def get(self, path: str, **params: Any) -> Object:
        """A busy machine lets the API server think for longer than a client waits."""
        for _ in range(4):
            try:
                return self.client.request("GET", path, timeout=30, **params)
            except requests.Timeout:
                continue
        return self.client.request("GET", path, timeout=60, **params)

    def app(self, name: str) -> Object:
        return self.get(f"{APPLICATIONS}/{name}")

    def wait_app(self, name: str, what: str, wanted: Callable[[Object], bool], seconds: float = 120) -> None:
        def look() -> bool:
            try:
                return bool(wanted(self.app(name)))
            except (KeyError, StatusError):
                return False
        wait_until(f"{name}: {what}", look, seconds)

    def refresh(self, *names: str) -> None:
        for name in names:
            self.client.request("PATCH", f"{APPLICATIONS}/{name}", {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}}, MERGE, timeout=60)

    def wait_compared(self, name: str, commit: str) -> None:
        """A refresh that is asked for while another one ends is lost, so it is asked for again."""
        asked = 0.0

        def look() -> bool:
            nonlocal asked
            if time.monotonic() - asked > 10:
                asked = time.monotonic()
                self.refresh(name)
            return self.app(name).get("status", {}).get("sync", {}).get("revision") == commit
        wait_until(f"{name} is compared with {commit[:7]}", look, 120)

    def rollout(self, environment: str) -> Object:
        return self.get(f"/apis/argoproj.io/v1alpha1/namespaces/flask-{environment}/rollouts/flask")

    def wait_rollout(self, environment: str, phase: str, version: str | None = None, seconds: float = 180) -> None:
        """With what the controller has seen of the spec; `version` is the one that is wanted."""
        def look() -> bool:
            try:
                one = self.rollout(environment)
                status = one["status"]
            except (KeyError, StatusError):
                return False
            image = one["spec"]["template"]["spec"]["containers"][0]["image"]
            return (status.get("phase") == phase and status.get("observedGeneration") == str(one["metadata"]["generation"])
                    and (version is None or RELEASES[version] in image))
        wait_until(f"the Rollout of {environment} is {phase} with {version or 'what it has'}", look, seconds)

    def running(self, environment: str) -> set[str]:
        """The images of the pods that are ready."""
        pods = self.get(f"/api/v1/namespaces/flask-{environment}/pods")["items"]
        return {pod["spec"]["containers"][0]["image"].partition("@")[2] for pod in pods if pod["status"].get("phase") == "Running"
                and not pod["metadata"].get("deletionTimestamp")}


class Forbidden(Exception):
    """Argo CD said 403."""


class Refused(Exception):
    """Argo CD would, but something stands against it: a window, auto-sync."""


class Person:
    """Works with Argo CD as its web page and CLI do."""

    def __init__(self, url: str):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def sign_in(self, name: str) -> None:
        answer = self.session.post(f"{self.url}/api/v1/session", json={"username": name, "password": PASSWORD}, timeout=15)
        answer.raise_for_status()
        self.session.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def _ask(self, method: str, path: str, body: Object | None = None) -> Object:
        answer = self.session.request(method, f"{self.url}/api/v1/applications{path}", json=body or {}, timeout=90)
        if answer.status_code == 403:
            raise Forbidden(answer.text)
        if answer.status_code >= 400:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def sync(self, app: str, **options: Any) -> None:
        self._ask("POST", f"/{app}/sync", {"name": app, **options})

    def roll_back(self, app: str, entry: int) -> None:
        self._ask("POST", f"/{app}/rollback", {"name": app, "id": entry})

    def delete(self, app: str) -> None:
        self._ask("DELETE", f"/{app}")

    def act(self, app: str, action: str) -> None:
        """resume, abort, retry of the Rollout `flask`."""
        self._ask("POST", f"/{app}/resource/actions/v2", {
            "name": app, "namespace": app, "resourceName": "flask", "group": "argoproj.io", "version": "v1alpha1", "kind": "Rollout", "action": action})


class Surroundings(threading.Thread):
    """The scheduler (all pods to the one node), the Gateway (accepts every route), and External Secrets (every key is there)."""

    def __init__(self, client: KubeClient):
        super().__init__(daemon=True)
        self.client, self.ending = client, threading.Event()

    def stop(self) -> None:
        self.ending.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        while not self.ending.wait(0.5):
            for act in (self._schedule, self._accept_routes, self._bring_secrets):
                try:
                    act()
                except (StatusError, requests.RequestException):  # changed or gone meanwhile
                    continue

    def _schedule(self) -> None:
        for pod in self.client.list("/api/v1/pods", fieldSelector="spec.nodeName=")["items"]:
            namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            self.client.request("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/binding", {
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}})

    def _accept_routes(self) -> None:
        for gateway in self.client.list("/apis/gateway.networking.k8s.io/v1/gateways")["items"]:
            if not any(one["type"] == "Programmed" and one["status"] == "True" for one in gateway.get("status", {}).get("conditions", ())):
                conditions = [{"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": _now(),
                               "observedGeneration": gateway["metadata"]["generation"]} for kind in ("Accepted", "Programmed")]
                self._status("gateway.networking.k8s.io/v1", "gateways", gateway, {"conditions": conditions})
        for route in self.client.list("/apis/gateway.networking.k8s.io/v1/httproutes")["items"]:
            if route.get("status", {}).get("parents"):
                continue
            conditions = [{"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": _now(),
                           "observedGeneration": route["metadata"]["generation"]} for kind in ("Accepted", "ResolvedRefs")]
            parents = [{"parentRef": parent, "controllerName": "proof.example.com/gateway", "conditions": conditions} for parent in route["spec"]["parentRefs"]]
            self._status("gateway.networking.k8s.io/v1", "httproutes", route, {"parents": parents})

    def _bring_secrets(self) -> None:
        ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Valid", "message": "", "lastTransitionTime": _now()}]}
        for store in self.client.list("/apis/external-secrets.io/v1/clustersecretstores")["items"]:
            if not store.get("status"):
                self.client.request("PATCH", f"/apis/external-secrets.io/v1/clustersecretstores/{store['metadata']['name']}/status", {"status": ready}, MERGE)
        for wanted in self.client.list("/apis/external-secrets.io/v1/externalsecrets")["items"]:
            if wanted.get("status", {}).get("conditions"):
                continue
            namespace, name = wanted["metadata"]["namespace"], wanted["spec"]["target"]["name"]
            if namespace != NAMESPACE:
                data = {one["secretKey"]: base64.b64encode(SECRET_OF_THE_READER.encode()).decode() for one in wanted["spec"]["data"]}
                self.client.request("POST", f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": name}, "data": data})
            self._status("external-secrets.io/v1", "externalsecrets", wanted, ready)

    def _status(self, version: str, plural: str, one: Object, status: Object) -> None:
        path = f"/apis/{version}/namespaces/{one['metadata']['namespace']}/{plural}/{one['metadata']['name']}/status"
        self.client.request("PATCH", path, {"status": status}, MERGE)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Prometheus:
    """A managed Prometheus: a token for the reader's secret, and the error rate of a pod hash. What a release named bad runs has errors."""

    def __init__(self, client: KubeClient):
        self.client = client
        self.asked: list[tuple[str, float]] = []  # hash, the rate that was answered
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        prometheus = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                status, answer = prometheus.answer(self.path, form, self.headers.get("Authorization", ""))
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass
        return Handler

    def answer(self, path: str, form: dict[str, list[str]], authorization: str) -> tuple[int, Object]:
        if path == "/token":
            basic = base64.b64decode(authorization.partition(" ")[2]).decode() if authorization.startswith("Basic ") else ""
            sent = form.get("client_secret", [basic.partition(":")[2]])[0]
            good = requests.utils.unquote(sent.replace("+", " ")) == SECRET_OF_THE_READER
            return (200, {"access_token": "reader", "token_type": "Bearer", "expires_in": 3600}) if good else (401, {"error": "invalid_client"})
        if authorization != "Bearer reader":
            return 401, {"status": "error", "errorType": "unauthorized", "error": "no token"}
        hashes = set(re.findall(r'rollouts_pod_template_hash="(\w+)"', form["query"][0]))
        assert len(hashes) == 1, form
        rate = 0.4 if self._is_bad(*hashes) else 0.0
        self.asked.append((*hashes, rate))
        return 200, {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "value": [time.time(), str(rate)]}]}}

    def _is_bad(self, pod_hash: str) -> bool:
        found = self.client.clone().list("/apis/apps/v1/replicasets", labelSelector=f"rollouts-pod-template-hash={pod_hash}")["items"]
        return any(RELEASES["1.2.0-bad"] in one["spec"]["template"]["spec"]["containers"][0]["image"] for one in found)
