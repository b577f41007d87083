"""`klaxon rbac`: what it prints is enough for the collector, and nothing more, on an API server with RBAC."""
import subprocess
import uuid
from pathlib import Path

import pytest
import requests

from cli_world import Klaxon
from cluster import ApiServer, Kafka, StatusError
from cluster.controllers import kubectl
from conftest import Collector
from test_collector import wait_for
from test_sources import Pods, configure, log_of, told, wait_watching

ACCOUNT = "klaxon-collector"


def rbac(binaries: Path, collector: Collector, *args: str) -> str:
    done = subprocess.run([binaries / "klaxon", "rbac", "-c", collector.config, *args], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def token_of(api: ApiServer, namespace: str) -> str:
    """Through the TokenRequest API, as kubelet gets one for a Pod."""
    answer = api.client.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}/token", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}})
    return answer["status"]["token"]



def test_what_is_printed_is_enough_and_not_more(collector: Collector, kafka: Kafka, api: ApiServer, binaries: Path, tmp_path: Path) -> None:
    kafka.create_topic(collector.topic("scaling"), 1)
    pods = Pods(api.new_client())
    home, a, b = pods.namespace(), pods.namespace(), pods.namespace()
    sources = f"events: {{ namespaces: [default, {a}] }}, nodes: {{}}, hpa: {{ namespaces: [{a}, {b}] }}, pods: {{ namespaces: {a} }}"
    keys = ["events@default", f"events@{a}", "nodes", f"hpa@{a}", f"hpa@{b}", f"pods@{a}"]
    kubeconfig = tmp_path / "account.kubeconfig"
    text = collector.config.read_text().replace(str(api.kubeconfig), str(kubeconfig))
    collector.config.write_text(text.replace("events: {}, nodes: {}", sources).replace(" sources:", " lease: {}, sources:"))
    manifest = tmp_path / "rbac.yaml"
    manifest.write_text(rbac(binaries, collector, "-o", "yaml", "--namespace", home))
    kubectl(api, "apply", "-f", str(manifest))
    token = token_of(api, home)
    api.write_kubeconfig(kubeconfig, token=token)

    configure(collector, sources)
    wait_watching(kafka, collector, *keys)
    assert requests.get(f"{collector.url}/readyz", timeout=5).status_code == 200
    pods.killed(a, "in-a")
    assert told(kafka, collector, "in-a") == ["in-a"]
    node = f"aks-{uuid.uuid4().hex[:8]}"
    pods.client.create_node(node)
    wait_for(kafka, collector.topic("nodes"), lambda records: any(r.key.endswith(node.encode()) for r in records))

    account = api.new_client(token)
    account.list("/api/v1/nodes")
    account.list(f"/api/v1/namespaces/{a}/pods")
    for beyond in ("/api/v1/pods", f"/api/v1/namespaces/{b}/pods", f"/api/v1/nodes/{node}", "/api/v1/events", f"/api/v1/namespaces/{a}/secrets",
                   "/apis/autoscaling/v2/horizontalpodautoscalers", "/api/v1/namespaces/kube-system/events"):
        with pytest.raises(StatusError) as refused:
            account.list(beyond)
        assert refused.value.code == 403, beyond
    assert collector.stop() == 0


def test_a_right_that_is_missing_is_named(collector: Collector, kafka: Kafka, api: ApiServer, binaries: Path, tmp_path: Path) -> None:
    kafka.create_topic(collector.topic("scaling"), 1)
    pods = Pods(api.new_client())
    home, a = pods.namespace(), pods.namespace()
    kubeconfig = tmp_path / "account.kubeconfig"
    collector.config.write_text(collector.config.read_text().replace(str(api.kubeconfig), str(kubeconfig))
                                .replace("events: {}, nodes: {}", "nodes: {}"))
    manifest = tmp_path / "rbac.yaml"
    manifest.write_text(rbac(binaries, collector, "-o", "yaml", "--namespace", home))
    kubectl(api, "apply", "-f", str(manifest))
    api.write_kubeconfig(kubeconfig, token=token_of(api, home))
    configure(collector, f"nodes: {{}}, pods: {{ namespaces: [{a}] }}")
    wait_watching(kafka, collector, "nodes")
    node = f"aks-{uuid.uuid4().hex[:8]}"
    pods.client.create_node(node)  # the other watch goes on
    wait_for(kafka, collector.topic("nodes"), lambda records: any(r.key.endswith(node.encode()) for r in records))
    said = [line for line in log_of(collector) if line["message"] == "403: not allowed; `klaxon rbac` prints the rights that are needed"]
    assert [(line["source"], line["retry_ms"]) for line in said] == [(f"pods@{a}", 60000)]
    assert said[0]["detail"] == (f'pods is forbidden: User "system:serviceaccount:{home}:{ACCOUNT}" cannot list resource "pods" '
                                 f'in API group "" in the namespace "{a}"')
    ready = requests.get(f"{collector.url}/readyz", timeout=5)
    assert ready.status_code == 503 and f"watch {collector.name}/pods@{a}: not connected\n" in ready.text
    assert collector.stop() == 0


# The command

TWO = "clusters: [ { name: a, sources: { nodes: {} } }, { name: b, sources: { hpa: { namespaces: [kube-system] } } } ]\n"


@pytest.fixture
def klaxon(binaries: Path, tmp_path: Path) -> Klaxon:
    made = Klaxon(binaries, tmp_path, "x:9092", "p.")
    made.configure(TWO)
    return made


def test_rows_of_all_clusters(klaxon: Klaxon) -> None:
    done = klaxon.run("rbac")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["a", "<all>", "<core>", "nodes", "list,", "watch"],
        ["b", "kube-system", "autoscaling", "horizontalpodautoscalers", "list,", "watch"]]
    assert len(klaxon.run("rbac", "--cluster", "b").stdout.splitlines()) == 2


@pytest.mark.parametrize("args, code, said", [
    (["-o", "yaml"], 2, "klaxon rbac: there are several clusters; name one with --cluster:\n  a\n  b\n"),
    (["--cluster", "c"], 2, "klaxon rbac: there is no such cluster; name one with --cluster:\n  a\n  b\n"),
    (["--cluster", "a", "-o", "yaml", "--service-account", 'x"y'], 2, 'klaxon rbac: expected a name of a-z, 0-9, \'-\' and \'.\', found "x"y"\n'),
    (["extra"], 2, "klaxon rbac: takes no operands"),
    (["-c", "/nonexistent"], 1, "klaxon rbac: "),
])
def test_what_it_refuses(klaxon: Klaxon, args: list[str], code: int, said: str) -> None:
    done = klaxon.run("rbac", *args)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said)


def test_a_mistake_of_the_configuration_is_said(klaxon: Klaxon) -> None:
    klaxon.configure("clusters: [ { name: a, sources: { hpa: { namespaces: [A] } } } ]\n")
    done = klaxon.run("rbac")
    assert (done.returncode, done.stdout) == (1, "")
    assert "clusters[0].sources.hpa.namespaces[0]: expected the name of a namespace" in done.stderr
    klaxon.configure("")
    assert "no clusters are configured" in klaxon.run("rbac").stderr
