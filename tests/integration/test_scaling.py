"""HPAs and pods through klaxon-collector: a real API server with what their controllers would write, a real Kafka, an independent reader."""
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import ApiServer, Kafka, read_committed
from cluster.objects import now
from cluster.scaling import Workload
from conftest import Collector
from event_schema import assert_as_described


def wait_for(kafka: Kafka, topic: str, wanted, seconds: float = 30):
    """Reads the topic until wanted(records) is true; returns the records in the order of their writing within each key."""
    deadline = time.monotonic() + seconds
    while True:
        records = read_committed(kafka.bootstrap, topic)
        if wanted(records):
            return records
        assert time.monotonic() < deadline, [(r.key, r.header("ce_type"), json.loads(r.value)["summary"]) for r in records]


def kinds(records) -> list[str]:
    return [record.header("ce_type").removeprefix("io.klaxon.") for record in records]


@pytest.fixture
def scaling(binaries: Path, tmp_path: Path, kafka: Kafka, api: ApiServer, request: pytest.FixtureRequest) -> Iterator[Collector]:
    made = Collector(binaries, tmp_path, kafka, api.kubeconfig, request.node.name.replace("_", "-")[:40], sources="hpa: {}, pods: {}")
    for topic in ("kubernetes", "scaling"):
        kafka.create_topic(made.topic(topic), 4)
    kafka.create_topic(made.topic("state"), 1)
    yield made
    made.kill()
    print(made.log.read_text() if made.log.exists() else "no log")
    assert_as_described(kafka, made.prefix)


def wait_until_watching(kafka: Kafka, collector: Collector) -> None:
    wanted = {f"{collector.name}/{source}".encode() for source in ("hpa", "pods")}
    deadline = time.monotonic() + 30
    while not wanted <= {record.key for record in read_committed(kafka.bootstrap, collector.topic("state"))}:
        assert time.monotonic() < deadline


def test_each_change_once_across_kills(scaling: Collector, kafka: Kafka, api: ApiServer) -> None:
    things = Workload(api.new_client())
    things.create_hpa("web")
    things.report_hpa("web", 2, 2, "3Gi")
    things.create_pod("web-0")
    scaling.start()
    wait_until_watching(kafka, scaling)
    topic = scaling.topic("scaling")
    things.report_hpa("web", 2, 3, "7Gi", now())
    wait_for(kafka, topic, lambda records: kinds(records) == ["hpa.scaled.up"])
    scaling.kill()
    things.report_hpa("web", 3, 3, "6.5Gi", None)
    things.oom("web-0", 0)
    things.report_hpa("web", 3, 5, "9Gi", now())
    scaling.start()
    wait_for(kafka, topic, lambda records: len(records) == 4)
    scaling.kill()
    scaling.start()
    things.delete(things.pods, "web-0")
    things.delete(things.hpas, "web")
    records = wait_for(kafka, topic, lambda records: {"pod.gone", "hpa.removed"} <= set(kinds(records)))

    assert Counter(kinds(records)) == {"hpa.scaled.up": 2, "pod.oomkilled": 1, "pod.crashloop": 1, "pod.gone": 1, "hpa.removed": 1}
    assert len({record.header("ce_id") for record in records}) == len(records)
    pod = [record for record in records if record.key == f"{scaling.name}/{things.namespace}/web-0".encode()]
    assert [record.header("ce_phase") for record in pod] == ["open", "update", "resolved"]
    assert [record.header("ce_incidentseq") for record in pod] == ["1", "2", "3"]
    assert len({record.header("ce_incident") for record in pod}) == 1
    data = json.loads(pod[0].value)
    assert data["container"]["limit"] == "64Mi" and data["node"] == "nowhere"
    steps = [json.loads(record.value)["scaled"] for record in records if record.header("ce_type").endswith("scaled.up")]
    assert [(step["from"], step["to"]) for step in steps] == [(2, 3), (3, 5)]
    assert scaling.stop() == 0
    states = {r.key: r.value for r in read_committed(kafka.bootstrap, scaling.topic("state")) if f"/{things.namespace}/".encode() in r.key}
    assert states and not any(states.values()), "what is gone is forgotten"


def test_what_vanished_in_a_gap_is_told(scaling: Collector, kafka: Kafka, api: ApiServer) -> None:
    here, there = Workload(api.new_client()), Workload(api.new_client())
    for things in (here, there):
        things.create_pod("same-name")
        things.create_hpa("same-name")
    scaling.start()
    wait_until_watching(kafka, scaling)
    topic = scaling.topic("scaling")
    for things in (here, there):
        things.oom("same-name", 0)
    wait_for(kafka, topic, lambda records: kinds(records).count("pod.crashloop") == 2)
    scaling.kill()
    here.delete(here.pods, "same-name")
    here.delete(here.hpas, "same-name")
    api.compact()
    api.restart()  # its watch cache then begins after the collector's resourceVersion
    scaling.start()
    records = wait_for(kafka, topic, lambda records: {"pod.gone", "hpa.removed"} <= set(kinds(records)))
    assert Counter(kinds(records)) == {"pod.oomkilled": 2, "pod.crashloop": 2, "pod.gone": 1, "hpa.removed": 1}
    gone = [record.key.decode() for record in records if record.header("ce_type").endswith(("gone", "removed"))]
    assert gone == [f"{scaling.name}/{here.namespace}/same-name"] * 2
    gaps = read_committed(kafka.bootstrap, scaling.topic("kubernetes"))
    assert sorted(json.loads(record.value)["object"]["name"] for record in gaps) == ["hpa", "pods"]
    assert scaling.stop() == 0
