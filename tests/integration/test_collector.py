"""klaxon-collector between a real API server and a real Kafka, read by an independent read_committed reader."""
import json
import re
import subprocess
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
import requests

from cluster import ApiServer, Kafka, read_committed
from cluster.objects import involved, new_event
from conftest import Collector

NODE_EVENTS = ["io.klaxon.node.notready", "io.klaxon.node.repair.started", "io.klaxon.node.repair.ended",
               "io.klaxon.node.repair.completed"]


def wait_for(kafka: Kafka, topic: str, wanted, seconds: float = 30):
    """Reads the topic until wanted(records) is true; returns the records."""
    deadline = time.monotonic() + seconds
    while True:
        records = read_committed(kafka.bootstrap, topic)
        if wanted(records):
            return records
        assert time.monotonic() < deadline, [(r.key, r.header("ce_type")) for r in records]


def state_of(records, key: str) -> dict | None:
    values = [r.value for r in records if r.key == key.encode()]
    return json.loads(values[-1]) if values and values[-1] else None


def wait_until_watching(kafka: Kafka, collector: Collector) -> None:
    keys = [f"{collector.name}/events", f"{collector.name}/nodes"]
    wait_for(kafka, collector.topic("state"), lambda records: all(state_of(records, k) for k in keys))


def repair_event(node: str, reason: str):
    return new_event(involved("Node", node), reason, "a text that nobody parses", "aks-auto-repair", "NodeAutoRepair")


def test_a_repair_is_one_incident(collector: Collector, kafka: Kafka, api: ApiServer) -> None:
    node = f"aks-{uuid.uuid4().hex[:8]}"
    client = api.new_client()
    client.create_node(node)
    collector.start()
    wait_until_watching(kafka, collector)
    assert requests.get(f"{collector.url}/readyz", timeout=5).status_code == 200
    client.set_ready(node, "Unknown")
    wait_for(kafka, collector.topic("nodes"), lambda records: len(records) == 1)
    client.create_event(repair_event(node, "NodeRebootStart"))
    client.create_event(repair_event(node, "NodeRebootEnd"))
    wait_for(kafka, collector.topic("nodes"), lambda records: len(records) == 3)
    collector.kill()  # in the middle of the episode
    collector.start()
    client.set_ready(node, "True")
    records = wait_for(kafka, collector.topic("nodes"), lambda records: len(records) == 4)

    assert [r.header("ce_type") for r in records] == NODE_EVENTS
    assert [r.header("ce_phase") for r in records] == ["open", "update", "update", "resolved"]
    assert [r.header("ce_incidentseq") for r in records] == ["1", "2", "3", "4"]
    assert len({r.header("ce_incident") for r in records}) == 1
    assert len({r.header("ce_id") for r in records}) == 4
    assert {r.key for r in records} == {f"{collector.name}/{node}".encode()}
    metrics = requests.get(f"{collector.url}/metrics", timeout=5).text
    assert f'klaxon_watch_connected{{cluster="{collector.name}",source="nodes"}} 1' in metrics
    assert re.search(r"^klaxon_commit_seconds_count\{[^}]*\} [1-9]", metrics, re.M)
    assert collector.stop() == 0


def test_every_event_once_across_kills(collector: Collector, kafka: Kafka, api: ApiServer) -> None:
    client = api.new_client()
    collector.start()
    wait_until_watching(kafka, collector)
    accepted = []
    for _ in range(5):
        made = client.create_events([new_event(involved("Pod", f"p-{uuid.uuid4().hex[:8]}", "default"), "Created", "x" * 300, "test", "Create")
                                     for _ in range(200)])
        accepted += [(e["metadata"]["uid"], e["metadata"]["resourceVersion"]) for e in made]
        collector.kill()
        collector.start()

    def seen(records):
        pairs = Counter()
        for record in records:
            event = json.loads(record.value)["event"]
            pairs[event["uid"], event["resourceVersion"]] += 1
        return pairs

    records = wait_for(kafka, collector.topic("kubernetes"), lambda rs: not set(accepted) - set(seen(rs)))
    pairs = seen(records)
    assert len(accepted) == 1000
    assert [pairs[pair] for pair in accepted] == [1] * 1000
    assert collector.stop() == 0


def test_an_event_that_anybody_may_write_stops_nothing(collector: Collector, kafka: Kafka, api: ApiServer) -> None:
    client = api.new_client()
    event = new_event(involved("Pod", "evil", "default"), "Created", "a\u0000b <script>", "test", "Create")
    client.create_event(event)
    collector.start()
    wait_until_watching(kafka, collector)
    client.create_event(event | {"metadata": {"name": "evil-2", "namespace": "default"}})
    client.create_event(new_event(involved("Pod", "good", "default"), "Created", "behind it", "test", "Create"))

    def texts(records):
        return [json.loads(r.value)["summary"] for r in records if json.loads(r.value)["object"]["name"] in ("evil", "good")]

    records = wait_for(kafka, collector.topic("kubernetes"), lambda records: "behind it" in texts(records))
    assert sorted(texts(records)) == ["a\ufffdb <script>", "a\ufffdb <script>", "behind it"]


def test_an_outage_past_compaction_is_one_gap(collector: Collector, kafka: Kafka, api: ApiServer) -> None:
    client = api.new_client()
    collector.start()
    wait_until_watching(kafka, collector)
    collector.kill()
    missed = client.create_event(new_event(involved("Pod", "missed", "default"), "Created", "during the outage", "test", "Create"))
    for _ in range(3):
        client.create_event(new_event(involved("Pod", "filler", "default"), "Created", "to move the revision on", "test", "Create"))
    api.compact()
    collector.start()

    def has_both(records):
        types = Counter(r.header("ce_type") for r in records)
        names = [json.loads(r.value)["object"]["name"] for r in records]
        return types["io.klaxon.watch.gap"] and "missed" in names

    records = wait_for(kafka, collector.topic("kubernetes"), has_both)
    gaps = [json.loads(r.value) for r in records if r.header("ce_type") == "io.klaxon.watch.gap"]
    assert len([g for g in gaps if g["object"]["name"] == "events"]) == 1
    assert gaps[0]["why"] == "expired" and int(gaps[0]["after"]) < int(missed["metadata"]["resourceVersion"])
    again = [r for r in records if json.loads(r.value)["object"]["name"] == "missed"]
    assert len(again) == 1 and again[0].header("ce_resync") == "true"
    assert collector.stop() == 0


def test_it_waits_for_kafka_and_stops_in_time(binaries: Path, tmp_path: Path, api: ApiServer) -> None:
    class Nowhere:
        bootstrap = "127.0.0.1:1"

    collector = Collector(binaries, tmp_path, Nowhere(), api.kubeconfig, "nowhere")  # type: ignore[arg-type]
    collector.start()
    try:
        deadline = time.monotonic() + 20
        while "Kafka at 127.0.0.1:1 does not answer" not in collector.log.read_text():
            assert time.monotonic() < deadline and collector.process.poll() is None, collector.log.read_text()
        answer = requests.get(f"{collector.url}/readyz", timeout=5)
        assert answer.status_code == 503 and "watch nowhere/events: waits for Kafka" in answer.text
        assert requests.get(f"{collector.url}/elsewhere", timeout=5).status_code == 404
        assert collector.stop() == 0
    finally:
        collector.kill()


def run_collector(binaries: Path, config: Path) -> subprocess.CompletedProcess:
    return subprocess.run([binaries / "klaxon-collector", "--config", config], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("text, message", [
    ("kafka: {}\n", 'klaxon.yaml:1:8: kafka: "bootstrap.servers" is missing'),
    ("kafka: { bootstrap.servers: x, bootsrap: y }\nclusters: []\n", 'kafka.bootsrap: librdkafka has no property "bootsrap"'),
    ("kafka: { bootstrap.servers: x, group.id: y }\nclusters: []\n", "group.id cannot be set: each sink has its own"),
    ("kafka: { bootstrap.servers: x }\nclustres: []\n", 'klaxon.yaml:2:1: unknown key "clustres", did you mean "clusters"?'),
    ("kafka: { bootstrap.servers: x }\n", "no clusters are configured"),
    ("kafka: { bootstrap.servers: x }\ncollector: { transactions: maybe }\nclusters: []\n",
     'klaxon.yaml:2:28: collector.transactions: expected auto, on or off, found "maybe"'),
    ("kafka: { bootstrap.servers: x, transactions: off }\nclusters: []\n", "transactions cannot be set: it stands under `collector:`"),
    ("kafka: { bootstrap.servers: x }\nclusters:\n  - { name: a, sources: { evnts: {} } }\n",
     'klaxon.yaml:3:27: clusters[0].sources: there is no source "evnts", did you mean "events"?'),
    ("kafka: { bootstrap.servers: x }\nclusters:\n  - { name: a, dead_after: 1s, sources: { events: {} } }\n",
     "klaxon.yaml:3:28: clusters[0].dead_after: 1s is not between 2s and 1h"),
    ("kafka: { bootstrap.servers: x }\nclusters:\n  - { name: A b, sources: { events: {} } }\n", 'found "A b"'),
    ("kafka: { bootstrap.servers: x }\nclusters:\n  - { name: a, kubeconfig: /nonexistent, sources: { events: {} } }\n",
     "cluster a: kubeconfig: cannot read /nonexistent: No such file or directory"),
    ("kafka: { bootstrap.servers: x }\nclusters:\n  - { name: a, in_cluster: true, sources: { events: {} } }\n",
     "cluster a: in_cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set, so this is not a pod"),
    ("kafka: { bootstrap.servers: x }\nclusters:\n  - { name: a, in_cluster: true, context: b, sources: { events: {} } }\n",
     "klaxon.yaml:3:28: clusters[0].in_cluster: beside a kubeconfig or context: keep one of them"),
])
def test_a_mistake_in_the_configuration_is_said(binaries: Path, tmp_path: Path, text: str, message: str) -> None:
    config = tmp_path / "klaxon.yaml"
    config.write_text(text)
    result = run_collector(binaries, config)
    assert result.returncode == 1
    assert message in result.stderr.replace('\\"', '"'), result.stderr


def test_an_expired_certificate_is_said_with_its_date(binaries: Path, tmp_path: Path) -> None:
    key, cert = tmp_path / "client.key", tmp_path / "client.crt"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                    "-subj", "/CN=x"], check=True, capture_output=True)
    subprocess.run(["openssl", "x509", "-in", cert, "-signkey", key, "-days", "-1", "-out", cert], check=True, capture_output=True)
    (tmp_path / "kubeconfig").write_text(
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {client-certificate: client.crt, client-key: client.key}}]\n")
    config = tmp_path / "klaxon.yaml"
    config.write_text(f"kafka: {{ bootstrap.servers: x }}\nclusters:\n  - {{ name: a, kubeconfig: {tmp_path}/kubeconfig, sources: {{ nodes: {{}} }} }}\n")
    result = run_collector(binaries, config)
    assert result.returncode == 1
    assert "the client certificate expired on " in result.stderr
