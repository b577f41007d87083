"""The source `generic` on a real API server: what is followed is told once, whatever else happens to the objects, the watch, or their CRD."""
import json
import time
import uuid
from contextlib import contextmanager
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cluster import ApiServer, Kafka, StatusError, read_committed
from cluster.client import KubeClient, Object
from cluster.controllers import kubectl
from conftest import Collector
from test_collector import wait_for
from test_rbac import rbac, token_of
from test_sources import Pods, configure, wait_watching

MERGE = "application/merge-patch+json"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ABSENT_SECONDS = 60  # an absent resource is asked for every half minute
CHURN = 20


def told(kafka: Kafka, collector: Collector) -> list[tuple]:
    """(what, Kind/name, [(field, old, new)]) of everything that was told; in order for each object."""
    records = [(r.header("ce_type"), json.loads(r.value)) for r in read_committed(kafka.bootstrap, collector.topic("kubernetes"))]
    return [(kind.removeprefix("io.klaxon.object."), f"{value['object']['kind']}/{value['object']['name']}",
             [(c["field"], c["old"], c["new"]) for c in value.get("changes", [])])
            for kind, value in records if kind.startswith("io.klaxon.object.")]


def wait_told(kafka: Kafka, collector: Collector, n: int) -> list[tuple]:
    wait_for(kafka, collector.topic("kubernetes"), lambda _: len(told(kafka, collector)) >= n)
    return told(kafka, collector)


def metric(collector: Collector, name: str, source: str = "") -> float:
    """Of this source; else the sum."""
    lines = requests.get(f"{collector.url}/metrics", timeout=5).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{") and (not source or f'source="{source}"' in line))


def wait_metric(collector: Collector, name: str, least: float, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while metric(collector, name) < least:
        assert time.monotonic() < deadline, (name, metric(collector, name))
        time.sleep(0.05)


def deployment(name: str, replicas: int) -> Object:
    container = {"name": "app", "image": "web:1", "env": [{"name": "DB_PASSWORD", "value": "c4n4ry"}]}
    return {"metadata": {"name": name, "annotations": {"example.com/token": "c4n4ry"}},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}}}


def test_deployments_and_configmaps_with_just_enough_rights(collector: Collector, kafka: Kafka, api: ApiServer, binaries: Path,
                                                            tmp_path: Path) -> None:
    pods = Pods(api.new_client())
    home, shop = pods.namespace(), pods.namespace()
    deployments, configmaps = f"/apis/apps/v1/namespaces/{shop}/deployments", f"/api/v1/namespaces/{shop}/configmaps"
    sources = (f"generic: [ {{ group: apps, version: v1, resource: deployments, namespaces: {shop}, "
               'fields: [spec.replicas, "spec.template.spec.containers[*].image"] }, '
               f"{{ version: v1, resource: configmaps, name: settings, namespaces: {shop}, label_selector: app=web, "
               "fields: [\"data['a.yaml']\", data.password] } ]")
    keys = [f"generic:deployments.apps@{shop}", f"generic:settings@{shop}"]
    kubeconfig = tmp_path / "account.kubeconfig"
    text = collector.config.read_text().replace(str(api.kubeconfig), str(kubeconfig))
    collector.config.write_text(text.replace("events: {}, nodes: {}", sources))
    manifest = tmp_path / "rbac.yaml"
    manifest.write_text(rbac(binaries, collector, "-o", "yaml", "--namespace", home))
    kubectl(api, "apply", "-f", str(manifest))
    token = token_of(api, home)
    api.write_kubeconfig(kubeconfig, token=token)
    with pytest.raises(StatusError):
        api.new_client(token).list(f"/api/v1/namespaces/{shop}/secrets")

    pods.client.request("POST", deployments, deployment("web", 1))
    configure(collector, sources)
    wait_for(kafka, collector.topic("state"), lambda records: all(
        any(r.key.startswith(f"{collector.name}/{key}".encode()) for r in records) for key in keys))
    assert requests.get(f"{collector.url}/readyz", timeout=5).status_code == 200
    pods.client.request("PATCH", f"{deployments}/web", {"spec": {"replicas": 3}}, MERGE)
    pods.client.request("POST", configmaps, {"metadata": {"name": "other"}, "data": {"a.yaml": "x"}})
    wait_told(kafka, collector, 1)
    pods.client.request("POST", configmaps, {"metadata": {"name": "web", "labels": {"app": "web"}},
                                             "data": {"a.yaml": "x: 1\n", "password": "c4n4ry", "b": "c4n4ry"}})
    wait_told(kafka, collector, 2)

    # What is not followed: nothing, not even a transaction of its own.
    before, seen = metric(collector, "klaxon_transactions_total"), metric(collector, "klaxon_watch_objects_total")
    for i in range(CHURN):
        pods.client.request("PATCH", f"{deployments}/web", {"metadata": {"annotations": {"churn": str(i)}}}, MERGE)
        pods.client.request("PATCH", f"{configmaps}/web", {"data": {"b": str(i), "password": f"c4n4ry{i}"}}, MERGE)
    wait_metric(collector, "klaxon_watch_objects_total", seen + 2 * CHURN)
    assert metric(collector, "klaxon_transactions_total") - before <= 1  # a checkpoint that waited

    collector.kill()
    pods.client.request("PATCH", f"{configmaps}/web", {"data": {"a.yaml": "x: 2\n" + "y" * 1_000_000}}, MERGE)
    collector.start()
    wait_told(kafka, collector, 3)
    pods.client.request("DELETE", f"{configmaps}/web")
    got = wait_told(kafka, collector, 4)
    assert [one for one in got if one[1] == "Deployment/web"] == [("changed", "Deployment/web", [("spec.replicas", 1, 3)])]
    appeared, changed, vanished = [one for one in got if one[1] == "ConfigMap/web"]
    assert (appeared, vanished) == (("appeared", "ConfigMap/web", []), ("vanished", "ConfigMap/web", []))
    (field, old, cut), = changed[2]
    assert (field, old) == ("data['a.yaml']", "x: 1")
    assert cut["truncated"].startswith("x: 2 yyy") and cut["bytes"] > 1_000_000
    records = [r for topic in ("kubernetes", "state") for r in read_committed(kafka.bootstrap, collector.topic(topic))]
    assert not [r for r in records if b"c4n4ry" in (r.value or b"")]
    assert [json.loads(r.value)["truncated"] for r in records if b'"truncated":["data[' in (r.value or b"")] == [["data['a.yaml']"]] * 2
    assert collector.stop() == 0


@contextmanager
def widgets(client: KubeClient, group: str) -> Iterator[str]:
    """A CRD of this group; its objects go with it. Yields the path of its objects in `default`."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    path = f"/apis/{group}/v1/namespaces/default/widgets"
    client.request("POST", CRDS, {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced",
                 "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
                 "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"}}})
    try:
        deadline = time.monotonic() + ABSENT_SECONDS
        while client.session.get(client.url + path, timeout=5).status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield path
    finally:
        client.request("DELETE", f"{CRDS}/widgets.{group}")


def standing(collector: Collector, key: str, words: str, seconds: float = ABSENT_SECONDS) -> int:
    """The status of /readyz, once it says this of the watch."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            got = requests.get(f"{collector.url}/readyz", timeout=5)
            if f"watch {collector.name}/{key}: {words}\n" in got.text:
                return got.status_code
        except requests.ConnectionError:
            pass
        assert time.monotonic() < deadline, words
        time.sleep(0.05)


def test_a_crd_comes_and_goes_and_comes_back(collector: Collector, kafka: Kafka, api: ApiServer) -> None:
    client, group = api.new_client(), f"g{uuid.uuid4().hex[:8]}.example.com"
    key, absent = f"generic:widgets.{group}", "absent, looked for again every 30 s"
    configure(collector, f"nodes: {{}}, generic: [ {{ group: {group}, version: v1, resource: widgets, fields: [spec.size] }} ]")
    wait_watching(kafka, collector, "nodes")
    assert standing(collector, key, absent) == 200
    assert metric(collector, "klaxon_watch_absent", key) == 1

    def widget(path: str, name: str, size: int) -> None:
        client.request("POST", path, {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}})

    with widgets(client, group) as path:
        widget(path, "known", 1)
        assert standing(collector, key, "connected") == 200
        wait_watching(kafka, collector, key)
        widget(path, "new", 2)
        client.request("PATCH", f"{path}/known", {"spec": {"size": 5}}, MERGE)
        assert sorted(wait_told(kafka, collector, 2)) == [("appeared", "Widget/new", []), ("changed", "Widget/known", [("spec.size", 1, 5)])]
    assert standing(collector, key, absent) == 200
    with widgets(client, group) as path:
        widget(path, "known", 9)
        assert standing(collector, key, "connected") == 200
        client.request("PATCH", f"{path}/known", {"spec": {"size": 10}}, MERGE)
        got = wait_told(kafka, collector, 6)
    assert [one for one in got if one[1] == "Widget/new"] == [("appeared", "Widget/new", []), ("vanished", "Widget/new", [])]
    assert [(one[0], one[2]) for one in got if one[1] == "Widget/known"] == [
        ("changed", [("spec.size", 1, 5)]), ("vanished", []), ("appeared", []), ("changed", [("spec.size", 9, 10)])]
    assert collector.stop() == 0
