"""The source `applications` and the detector `gitops` on a real API server whose CRD appears later."""
import json
import time
from pathlib import Path

import requests

from cluster import ApiServer, Kafka, read_committed
from cluster.argocd import Application, installed
from conftest import Collector
from event_schema import assert_as_described

OLD, NEW = "1" * 40, "2" * 40
DEPLOYMENT = {"group": "apps", "kind": "Deployment", "namespace": "shop", "name": "checkout"}
ABSENT_SECONDS = 60  # an absent resource is asked for every half minute


def wait_for(kafka: Kafka, topic: str, n: int, seconds: float = 30):
    deadline = time.monotonic() + seconds
    while True:
        records = read_committed(kafka.bootstrap, topic)
        if len(records) >= n:
            return records
        assert time.monotonic() < deadline, [(r.key, r.header("ce_type")) for r in records]


def wait_for_metric(collector: Collector, line: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            text = requests.get(f"{collector.url}/metrics", timeout=5).text
        except requests.ConnectionError:
            text = ""
        if line in text.splitlines():
            return
        assert time.monotonic() < deadline, text
        time.sleep(0.1)


def wait_for_log(collector: Collector, text: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not (collector.log.exists() and text in collector.log.read_text()):
        assert time.monotonic() < deadline, collector.log.read_text()
        time.sleep(0.1)


def test_applications_from_the_crd_on(binaries: Path, tmp_path: Path, kafka: Kafka, api: ApiServer) -> None:
    collector = Collector(binaries, tmp_path, kafka, api.kubeconfig, "gitops", "detectors: { gitops: { drift_after: 1s } },",
                          "events: {}, applications: {}")
    collector.topics(kafka)
    kafka.create_topic(collector.topic("gitops"), 1)
    client = api.new_client()
    try:
        collector.start()
        wait_for_log(collector, "404: the API server does not have this resource")
        wait_for_metric(collector, 'klaxon_watch_connected{cluster="gitops",source="events"} 1', 30)
        ready = requests.get(f"{collector.url}/readyz", timeout=5)
        assert (ready.status_code, "watch gitops/applications: absent, looked for again every 30 s\n" in ready.text) == (200, True), ready.text
        wait_for_metric(collector, 'klaxon_watch_absent{cluster="gitops",source="applications"} 1', 30)
        with installed(client):
            wait_for_metric(collector, 'klaxon_watch_connected{cluster="gitops",source="applications"} 1', ABSENT_SECONDS)
            records = deploy_and_drift(collector, kafka, client)
        records += wait_for(kafka, collector.topic("gitops"), 7)[6:]
        assert collector.stop() == 0
    finally:
        collector.kill()
    check(records)
    assert_as_described(kafka, collector.prefix)


def deploy_and_drift(collector: Collector, kafka: Kafka, client) -> list:
    app = Application(client, "checkout", OLD)
    wait_for(kafka, collector.topic("gitops"), 1)
    app.sync(NEW, {"username": "alice"})
    wait_for(kafka, collector.topic("gitops"), 3)
    for _ in range(20):
        app.refresh()
    collector.kill()  # between two of them
    collector.start()
    app.set_sync("OutOfSync", [{**DEPLOYMENT, "status": "OutOfSync"}])
    wait_for(kafka, collector.topic("gitops"), 4)
    app.set_sync("Synced", [{**DEPLOYMENT, "status": "Synced"}])
    wait_for(kafka, collector.topic("gitops"), 5)
    return wait_for(kafka, collector.topic("gitops"), 6, 90)  # Healthy for a minute


def check(records: list) -> None:
    types = [r.header("ce_type").removeprefix("io.klaxon.app.") for r in records]
    assert types == ["created", "sync.started", "deployed", "drifted", "insync", "settled", "deleted"]
    assert {r.key for r in records} == {b"gitops/argocd/checkout"}
    assert len({r.header("ce_id") for r in records}) == 7
    assert [r.header("ce_phase") for r in records[3:5]] == ["open", "resolved"]
    deployed, drifted = json.loads(records[2].value), json.loads(records[3].value)
    assert deployed["by"] == "alice" and deployed["revision"] == {"from": OLD, "to": NEW}
    assert drifted["reason"] == "Drifted" and drifted["resources"] == [{**DEPLOYMENT, "status": "OutOfSync"}]
