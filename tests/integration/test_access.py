"""The collector as an account of a real API server with RBAC: tokens that are replaced, and plugins that print them."""
import json
import os
import stat
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import ApiServer, Kafka, read_committed
from cluster.client import StatusError
from cluster.kube import write_kubeconfig
from cluster.objects import involved, new_event
from cluster.process import wait_until
from conftest import Collector

SOON = 30.0
PLUGIN = """#!{python}
import datetime, json, os, pathlib, sys, time
here = pathlib.Path(__file__).parent
with (here / "runs").open("a") as runs:
    runs.write("x")
while (here / "slow").exists():
    time.sleep(0.05)
if (here / "broken").exists():
    print("no such tenant; tried eyJhbGciOiJSUzI1NiJ9.secret", file=sys.stderr)
    sys.exit(3)
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["spec"]["cluster"]["server"] == os.environ["SERVER"] and info["spec"]["interactive"] is False
ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=float((here / "seconds").read_text()))
print(json.dumps({{"kind": "ExecCredential", "apiVersion": info["apiVersion"],
                  "status": {{"token": (here / "token").read_text(), "expirationTimestamp": ends.isoformat()}}}}))
"""


class Account:
    """A service account that may list and watch Events and Nodes, and nothing else."""

    def __init__(self, api: ApiServer, name: str):
        self.api, self.name = api, name
        self._post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        self._post(f"{rbac}/clusterroles", {"metadata": {"name": name}, "rules": [
            {"apiGroups": [""], "resources": ["events", "nodes"], "verbs": ["list", "watch"]}]})
        self._post(f"{rbac}/clusterrolebindings", {
            "metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}]})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.api.client.request("POST", path, body)

    def token(self, bound_to: str) -> str:
        """Of the TokenRequest API; it is good for as long as the Secret exists that it is bound to."""
        secret = self._post("/api/v1/namespaces/default/secrets", {"metadata": {"name": f"{self.name}-{bound_to}"}})
        reference = {"kind": "Secret", "apiVersion": "v1", "name": secret["metadata"]["name"], "uid": secret["metadata"]["uid"]}
        answer = self._post(f"/api/v1/namespaces/default/serviceaccounts/{self.name}/token",
                            {"spec": {"expirationSeconds": 3600, "boundObjectRef": reference}})
        return answer["status"]["token"]

    def may_lead(self) -> None:
        rbac, name = "/apis/rbac.authorization.k8s.io/v1/namespaces/default", f"{self.name}-lead"
        self._post(f"{rbac}/roles", {"metadata": {"name": name}, "rules": [
            {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "patch"]}]})
        self._post(f"{rbac}/rolebindings", {
            "metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": self.name, "namespace": "default"}]})

    def revoke(self, bound_to: str, token: str) -> None:
        """Returns when the API server does not accept the token any more: it remembers answers for some seconds."""
        self.api.client.request("DELETE", f"/api/v1/namespaces/default/secrets/{self.name}-{bound_to}")
        client = self.api.new_client(token)

        def refused() -> bool:
            try:
                client.list("/api/v1/nodes", limit=1)
            except StatusError as error:
                return error.code == 401
            return False
        wait_until("the token is refused", refused, SOON)


class World:
    """The collector asks the API server every two seconds, so that a credential matters soon."""

    def __init__(self, collector: Collector, kafka: Kafka, api: ApiServer, account: Account):
        self.collector, self.kafka, self.api, self.account = collector, kafka, api, account
        self.expected: list[str] = []

    def configure(self, access: str) -> None:
        text = self.collector.config.read_text()
        old = f"kubeconfig: {self.api.kubeconfig},"
        assert old in text
        self.collector.config.write_text(text.replace(old, f"{access}, dead_after: 2s, canary: false,"))

    def configure_more(self, of_cluster: str) -> None:
        text = self.collector.config.read_text()
        assert " canary: false," in text
        self.collector.config.write_text(text.replace(" canary: false,", f" canary: false, {of_cluster}"))

    def log(self) -> str:
        return self.collector.log.read_text()

    def wait_log(self, text: str) -> None:
        wait_until(f"{text!r} in the log", lambda: text in self.log(), SOON)

    def event(self) -> None:
        """One more Event, and all so far are on the topic, each once, with no gap."""
        name = f"{self.account.name}-{len(self.expected)}"
        self.api.client.create_event(new_event(involved("Pod", name, "default"), "Created", "m", "test", "Create"))
        self.expected.append(name)
        wait_until(f"{name} is on the topic", lambda: self.seen()[name] > 0, SOON)
        seen = self.seen()
        assert [seen[one] for one in self.expected] == [1] * len(self.expected)

    def seen(self) -> Counter:
        records = read_committed(self.kafka.bootstrap, self.collector.topic("kubernetes"))
        assert "io.klaxon.watch.gap" not in {r.header("ce_type") for r in records}
        return Counter(json.loads(r.value)["object"]["name"] for r in records)

    def wait_watching(self) -> None:
        def there() -> bool:
            states = read_committed(self.kafka.bootstrap, self.collector.topic("state"))
            keys = {r.key for r in states}
            return all(f"{self.collector.name}/{source}".encode() in keys for source in ("events", "nodes"))
        wait_until("both watches have begun", there, SOON)


@pytest.fixture
def world(collector: Collector, kafka: Kafka, api: ApiServer) -> World:
    return World(collector, kafka, api, Account(api, f"klaxon-{uuid.uuid4().hex[:8]}"))


class Plugin:
    """A program that prints `token`, good for `seconds`; it fails while `broken`."""

    def __init__(self, directory: Path, server: str):
        self.dir = directory
        directory.mkdir()
        self.path = directory / "plugin"
        self.path.write_text(PLUGIN.format(python=sys.executable))
        self.path.chmod(self.path.stat().st_mode | stat.S_IXUSR)
        self.user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "exec/plugin", "interactiveMode": "Never",
                              "provideClusterInfo": True, "env": [{"name": "SERVER", "value": server}]}}

    def give(self, token: str, seconds: float) -> None:
        for name, text in (("token", token), ("seconds", str(seconds))):
            (self.dir / f"{name}.new").write_text(text)
            os.replace(self.dir / f"{name}.new", self.dir / name)

    def runs(self) -> int:
        path = self.dir / "runs"
        return len(path.read_text()) if path.exists() else 0

    def broken(self, really: bool) -> None:
        self._mark("broken", really)

    def slow(self, really: bool) -> None:
        """It prints nothing until it is slow no more."""
        self._mark("slow", really)

    def _mark(self, name: str, really: bool) -> None:
        if really:
            (self.dir / name).touch()
        else:
            (self.dir / name).unlink()


@pytest.fixture
def plugin(world: World, api: ApiServer, tmp_path: Path) -> Plugin:
    made = Plugin(tmp_path / "exec", api.url)
    world.configure(f"kubeconfig: {write_kubeconfig(tmp_path / 'kubeconfig', api.url, made.user, str(api.ca))}")
    return made


def test_a_pod_goes_on_when_its_token_is_replaced(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.account.token("first")
    mounted = tmp_path / "serviceaccount"

    def mount(version: str, token: str) -> None:
        """As the kubelet does: the files are links into a folder that is replaced."""
        mounted.mkdir(exist_ok=True)
        (mounted / version).mkdir()
        (mounted / version / "token").write_text(token)
        (mounted / version / "ca.crt").write_text(world.api.ca.read_text())
        (mounted / "..new").symlink_to(version)
        os.replace(mounted / "..new", mounted / "..data")
        for name in ("token", "ca.crt"):
            if not (mounted / name).is_symlink():
                (mounted / name).symlink_to(f"..data/{name}")

    mount("..1", first)
    host, port = world.api.url.removeprefix("https://").split(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setenv("KLAXON_SERVICEACCOUNT", str(mounted))
    world.configure("in_cluster: true")
    world.collector.start()
    world.wait_watching()
    world.event()
    mount("..2", world.account.token("second"))
    world.account.revoke("first", first)
    world.event()
    assert "401: " not in world.log() and first not in world.log()
    assert world.collector.stop() == 0


def test_a_token_file_that_is_refused_is_said_and_read_again(world: World, tmp_path: Path) -> None:
    first, file = world.account.token("first"), tmp_path / "token"
    file.write_text(first)
    world.configure(f"kubeconfig: {world.api.write_kubeconfig(tmp_path / 'kubeconfig', token_file=file)}")
    world.collector.start()
    world.wait_watching()
    world.event()
    world.account.revoke("first", first)
    world.wait_log("401: the API server does not accept the credentials")
    file.unlink()  # what was read stays
    file.write_text(world.account.token("second"))
    world.event()
    assert first not in world.log()


def test_a_certificate_that_is_replaced_is_used(world: World, tmp_path: Path) -> None:
    name = f"rotating-{uuid.uuid4().hex[:8]}"
    certificate, key = world.api.authority.issue(name, f"/O=system:masters/CN={name}", "clientAuth")
    user = {"client-certificate": str(certificate), "client-key": str(key)}
    world.configure(f"kubeconfig: {write_kubeconfig(tmp_path / 'kubeconfig', world.api.url, user, str(world.api.ca))}")
    world.collector.start()
    world.wait_watching()
    world.event()
    world.api.authority.issue(name, f"/CN={name}", "clientAuth")  # in the same files: somebody who may do nothing
    world.wait_log("403: not allowed")
    assert f'User \\"{name}\\" cannot' in world.log()


def test_the_name_in_the_certificate_may_be_another(world: World, tmp_path: Path) -> None:
    path = world.api.write_kubeconfig(tmp_path / "kubeconfig", token=world.account.token("first"))
    config = yaml.safe_load(path.read_text())
    config["clusters"][0]["cluster"]["tls-server-name"] = "elsewhere.example"
    path.write_text(yaml.safe_dump(config))
    world.configure(f"kubeconfig: {path}")
    world.collector.start()
    world.wait_log("the API server's certificate is not accepted")
    assert world.collector.stop() == 0
    config["clusters"][0]["cluster"]["tls-server-name"] = "localhost"  # it is in the certificate, and not in the URL
    path.write_text(yaml.safe_dump(config))
    world.collector.start()
    world.wait_watching()
    world.event()


def test_a_plugin_is_run_when_its_token_expires(world: World, plugin: Plugin) -> None:
    plugin.give(world.account.token("first"), seconds=1)
    world.collector.start()
    world.wait_watching()
    world.event()
    wait_until("it was run three times", lambda: plugin.runs() >= 3, 60)
    world.event()
    assert "warn" not in {json.loads(line)["level"] for line in world.log().splitlines()}


def test_a_401_runs_the_plugin_once_for_all_watches(world: World, plugin: Plugin) -> None:
    first = world.account.token("first")
    plugin.give(first, seconds=3600)
    world.collector.start()
    world.wait_watching()
    world.event()
    assert plugin.runs() == 1
    plugin.give(world.account.token("second"), seconds=3600)
    world.account.revoke("first", first)
    wait_until("it was run again", lambda: plugin.runs() == 2, SOON)
    world.event()
    assert plugin.runs() == 2
    assert "401: " not in world.log() and first not in world.log()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_leader_whose_plugin_is_slow_waits_quietly_and_stands_back(world: World, plugin: Plugin) -> None:
    world.account.may_lead()
    world.configure_more("lease: { duration: 8s, renew_deadline: 6s, retry: 500ms },")
    plugin.give(world.account.token("first"), seconds=1)
    world.collector.start()
    world.wait_watching()
    world.event()
    plugin.slow(True)
    wait_until("the plugin is run again", lambda: plugin.runs() == 2, SOON)
    before = cpu_seconds(world.collector.process.pid)
    world.wait_log("leads no more, standing by")
    assert cpu_seconds(world.collector.process.pid) - before < 2
    plugin.slow(False)
    wait_until("it leads again", lambda: world.log().count("leads: the Lease is held") == 2, SOON)
    world.event()


def test_a_plugin_that_fails_is_said_without_its_secrets(world: World, plugin: Plugin) -> None:
    plugin.give("s3cret-of-nobody", seconds=3600)
    plugin.broken(True)
    world.collector.start()
    world.wait_log("there are no credentials for the API server")
    world.wait_log("ended with exit code 3: no such tenant; tried [hidden]")
    plugin.broken(False)
    world.wait_log("401: the API server does not accept the credentials")
    assert plugin.runs() < 12
    plugin.give(world.account.token("good"), seconds=3600)
    world.wait_watching()
    world.event()
    assert "s3cret" not in world.log() and "eyJ" not in world.log()
