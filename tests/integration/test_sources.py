"""What is selected of a source, on a real API server: by namespaces, by selectors, and when the selection changes."""
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import ApiServer, Kafka, read_committed
from cluster.client import KubeClient, Object
from cluster.objects import now
from conftest import Collector
from test_collector import state_of, wait_for


class Pods:
    """Pods whose container is OOM-killed at a word."""

    def __init__(self, client: KubeClient):
        self.client = client
        self.namespaces: list[str] = []

    def namespace(self) -> str:
        name = f"n-{uuid.uuid4().hex[:8]}"
        self.client.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        self.namespaces.append(name)
        return name

    def create(self, namespace: str, name: str, **labels: str) -> None:
        self.client.request("POST", f"/api/v1/namespaces/{namespace}/pods", {
            "metadata": {"name": name, "labels": labels},
            "spec": {"nodeName": "aks-1", "containers": [{"name": "app", "image": "app", "resources": {"limits": {"memory": "64Mi"}}}]}})

    def kill(self, namespace: str, name: str, restarts: int = 1) -> None:
        moment, instance = now(), f"containerd://{name}-{restarts}"
        ended = {"exitCode": 137, "reason": "OOMKilled", "startedAt": moment, "finishedAt": moment, "containerID": instance}
        status = {"name": "app", "ready": True, "restartCount": restarts, "image": "app", "imageID": "app", "containerID": f"{instance}-next",
                  "state": {"running": {"startedAt": moment}}, "lastState": {"terminated": ended}}
        self.client.request("PATCH", f"/api/v1/namespaces/{namespace}/pods/{name}/status",
                            {"status": {"phase": "Running", "containerStatuses": [status]}}, "application/merge-patch+json")

    def killed(self, namespace: str, name: str, **labels: str) -> None:
        self.create(namespace, name, **labels)
        self.kill(namespace, name)


@pytest.fixture
def pods(api: ApiServer) -> Iterator[Pods]:
    yield Pods(api.new_client())


def configure(collector: Collector, sources: str) -> None:
    """Other sources than before; the collector is started with them."""
    lines = collector.config.read_text().split("sources: {")
    collector.config.write_text(f"{lines[0]}sources: {{ {sources} }} }}\n")
    collector.log.write_bytes(b"")
    collector.start()


def wait_watching(kafka: Kafka, collector: Collector, *keys: str) -> None:
    """Until each of the watches has written where it is, and none of its lists is under way."""
    def settled(records) -> bool:
        last = {r.key.decode(): r.value for r in records}
        return all(last.get(f"{collector.name}/{key}") and not last.get(f"{collector.name}/{key}/list") for key in keys)
    wait_for(kafka, collector.topic("state"), settled)


def watches(kafka: Kafka, collector: Collector, source: str) -> set[str]:
    """The keys of the watches that the state knows."""
    last = {r.key.decode(): r.value for r in read_committed(kafka.bootstrap, collector.topic("state"))}
    return {key.split("/")[1] for key, value in last.items() if value and key.split("/")[1].split("@")[0].split("~")[0] == source}


def told(kafka: Kafka, collector: Collector, *wanted: str) -> list[str]:
    """The pods that were told of as OOM-killed, when the last of those wanted is there."""
    def names(records) -> list[str]:
        return [json.loads(r.value)["object"]["name"] for r in records if r.header("ce_type") == "io.klaxon.pod.oomkilled"]
    return names(wait_for(kafka, collector.topic("scaling"), lambda records: set(wanted) <= set(names(records))))


def log_of(collector: Collector) -> list[Object]:
    return [json.loads(line) for line in collector.log.read_text().splitlines()]


def test_namespaces_are_watched_one_by_one(collector: Collector, kafka: Kafka, pods: Pods) -> None:
    kafka.create_topic(collector.topic("scaling"), 1)
    a, b, c = pods.namespace(), pods.namespace(), pods.namespace()
    pods.killed(a, "before")
    configure(collector, f"pods: {{ namespaces: [{a}, {b}] }}")
    wait_watching(kafka, collector, f"pods@{a}", f"pods@{b}")
    pods.killed(c, "elsewhere")
    pods.killed(a, "in-a")
    pods.killed(b, "in-b")
    assert sorted(told(kafka, collector, "in-a", "in-b")) == ["in-a", "in-b"]

    # The whole cluster: what is known is not told again, what is new in the selection is history, and what follows is news.
    assert collector.stop() == 0
    pods.killed(b, "meanwhile")
    configure(collector, "pods: {}")
    wait_watching(kafka, collector, "pods")
    pods.killed(c, "in-c")
    assert sorted(told(kafka, collector, "in-c", "meanwhile")) == ["in-a", "in-b", "in-c", "meanwhile"]
    assert watches(kafka, collector, "pods") == {"pods"}

    # One namespace: all of it was seen, so nothing is listed.
    assert collector.stop() == 0
    configure(collector, f"pods: {{ namespaces: [{c}] }}")
    wait_watching(kafka, collector, f"pods@{c}")
    pods.kill(c, "in-c", restarts=2)
    pods.killed(a, "not-any-more")
    pods.killed(c, "last")
    assert sorted(told(kafka, collector, "last")) == ["in-a", "in-b", "in-c", "in-c", "last", "meanwhile"]
    assert watches(kafka, collector, "pods") == {f"pods@{c}"}
    assert [line["message"] for line in log_of(collector) if "begins" in line["message"] or "resumes" in line["message"]] == ["watch resumes"]
    assert collector.stop() == 0


def test_selectors_are_the_servers(collector: Collector, kafka: Kafka, pods: Pods) -> None:
    kafka.create_topic(collector.topic("scaling"), 1)
    a, b = pods.namespace(), pods.namespace()
    pods.killed(a, "old", tier="backend")
    configure(collector, f'pods: {{ label_selector: "tier in (backend, edge)", field_selector: "spec.nodeName=aks-1", exclude_namespaces: [{b}] }}')
    wait_for(kafka, collector.topic("state"), lambda records: any(r.key.startswith(f"{collector.name}/pods~".encode()) for r in records))
    pods.killed(b, "excluded", tier="backend")
    pods.killed(a, "frontend", tier="frontend")
    pods.killed(a, "backend", tier="backend")
    assert told(kafka, collector, "backend") == ["backend"]
    first = watches(kafka, collector, "pods")

    # Killed by kill -9 in the middle of the first start with another selection, again and again: the same as if never.
    assert collector.stop() == 0
    for _ in range(3):
        configure(collector, f'pods: {{ label_selector: "tier in (backend, frontend)", exclude_namespaces: [{b}] }}')
        collector.kill()
    configure(collector, f'pods: {{ label_selector: "tier in (backend, frontend)", exclude_namespaces: [{b}] }}')
    wait_for(kafka, collector.topic("state"), lambda records: not first & watches(kafka, collector, "pods"))
    pods.kill(a, "frontend", restarts=2)
    assert told(kafka, collector, "frontend") == ["backend", "frontend"]
    assert collector.stop() == 0


def test_what_leaves_the_selection_is_over(collector: Collector, kafka: Kafka, pods: Pods) -> None:
    """Or an incident would stay open for ever."""
    kafka.create_topic(collector.topic("scaling"), 1)
    a, b = pods.namespace(), pods.namespace()
    configure(collector, f"pods: {{ namespaces: [{a}, {b}] }}")
    wait_watching(kafka, collector, f"pods@{a}", f"pods@{b}")
    pods.killed(a, "left")
    pods.killed(b, "kept")
    told(kafka, collector, "left", "kept")
    assert collector.stop() == 0
    configure(collector, f"pods: {{ namespaces: [{b}] }}")
    records = wait_for(kafka, collector.topic("scaling"), lambda records: any(r.header("ce_phase") == "resolved" for r in records))
    assert [json.loads(r.value)["object"]["name"] for r in records if r.header("ce_phase") == "resolved"] == ["left"]
    assert state_of(read_committed(kafka.bootstrap, collector.topic("state")), f"{collector.name}/pods@{a}") is None
    assert collector.stop() == 0
