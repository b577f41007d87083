"""klaxon-collector between a real API server and a real Kafka, read by an independent read_committed reader."""
import json
import time
import uuid
from collections import Counter
from pathlib import Path

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
        assert collector.stop() == 0
    finally:
        collector.kill()
