"""Heartbeats: from a real collector to everybody who reads its topics, and to nobody's channel."""
import json
import subprocess
import uuid
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from cluster import ApiServer, Kafka, Record, read_committed
from cluster.process import wait_until
from conftest import ROOT, Collector
from sink_process import Sink
from stage import Slack

KIND = "io.klaxon.heartbeat"
SCHEMA = json.loads((ROOT / "schema/events/heartbeat.v1.json").read_text())


@pytest.fixture
def beating(binaries: Path, tmp_path: Path, kafka: Kafka, api: ApiServer) -> Iterator[Collector]:
    made = Collector(binaries, tmp_path, kafka, api.kubeconfig, f"beats-{uuid.uuid4().hex[:8]}", "canary: { every: 1s }, heartbeat: 1s,")
    made.topics(kafka)
    made.start()
    yield made
    made.kill()
    print(made.log.read_text())


def heartbeats(kafka: Kafka, collector: Collector, *topics: str) -> list[Record]:
    records = read_committed(kafka.bootstrap, [collector.topic(topic) for topic in topics], heartbeats=True)
    return [record for record in records if record.header("ce_type") == KIND]


def test_every_partition_of_every_topic_has_them(beating: Collector, kafka: Kafka) -> None:
    wait_until("four heartbeats", lambda: len(heartbeats(kafka, beating, "nodes")) >= 16)
    beating.kill()
    beating.start()
    before = len(heartbeats(kafka, beating, "nodes"))
    wait_until("more of the next start", lambda: len(heartbeats(kafka, beating, "nodes")) >= before + 8)
    by_place = defaultdict(list)
    found = heartbeats(kafka, beating, "kubernetes", "nodes")
    for record in found:
        by_place[record.topic, record.partition].append(json.loads(record.value)["seq"])
        jsonschema.validate(json.loads(record.value), SCHEMA)
        assert record.header("ce_cluster") == beating.name and record.key == f"{beating.name}/-/Heartbeat".encode()
    assert len(by_place) == 8
    for seqs in by_place.values():
        restart = seqs.index(1, 1)
        assert seqs[:restart] == sorted(seqs[:restart]) and seqs[restart:] == sorted(seqs[restart:])
    assert len({record.header("ce_id") for record in found}) == len(found)
    assert not heartbeats(kafka, beating, "state")
    last = json.loads(found[-1].value)
    assert last["watches"] == {"connected": 2, "of": 2} and 0 <= last["canary"]["ageMs"] < 5000 and last["canary"]["roundTripMs"] >= 0
    assert beating.stop() == 0


def test_a_sink_knows_how_fresh_it_is_and_tells_no_channel(beating: Collector, binaries: Path, tmp_path: Path, kafka: Kafka,
                                                           slack: Slack) -> None:
    for topic in ("deliveries", "dlq"):
        kafka.create_topic(beating.topic(topic), 1)
    secret = tmp_path / "secret"
    secret.write_text(slack.new_hook("ops"))
    sink = Sink(binaries, tmp_path, kafka, beating.prefix, "slack")
    sink.configure({"ops": {"webhook_url": {"file": str(secret)}}}, [{"team": "all", "topics": ["nodes"], "channels": ["ops"]}])
    sink.start()
    try:
        sink.wait_ready()

        def log(words: str) -> list[dict]:
            return [line for line in map(json.loads, sink.log.read_text().splitlines()) if words in line["message"]]

        sink.wait("heartbeats", lambda: "heartbeats: the stalest is" in sink.text("readyz"))
        sink.wait("freshness", lambda: 0 < sink.metric("klaxon_sink_freshness_seconds", topic="nodes", cluster=beating.name) < 4)
        beating.kill()
        sink.wait("silence", lambda: bool(log("no heartbeats")), 10)
        assert f"topic nodes of {beating.name}: no heartbeat for " in sink.text("readyz")
        assert sink.metric("klaxon_sink_freshness_seconds") > 3
        beating.start()
        sink.wait("the end of it", lambda: bool(log("heartbeats come again")))
        assert [(line["level"], line["topic"], line["cluster"]) for line in log("no heartbeats")] == [("warn", "nodes", beating.name)]
        sink.wait_ready()
        assert slack.messages.all() == [] and sink.receipts() == [] and sink.dead_letters() == []
        assert sink.metric("klaxon_sink_unsettled_records") == 0
        assert sink.stop() == 0
    finally:
        sink.kill()


def test_tail_hides_them(beating: Collector, binaries: Path, kafka: Kafka) -> None:
    wait_until("heartbeats", lambda: len(heartbeats(kafka, beating, "nodes")) >= 4)
    command = [binaries / "klaxon", "tail", "-c", beating.config, "--since", "1h", "--no-follow", "-t", "nodes", "-o", "json"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert KIND not in shown
    shown = subprocess.run([*command, "--heartbeats"], capture_output=True, text=True, timeout=30, check=True).stdout
    assert len([line for line in shown.splitlines() if json.loads(line)["type"] == KIND]) >= 4


def test_they_do_not_pile_up_while_kafka_is_away(beating: Collector, kafka: Kafka) -> None:
    wait_until("heartbeats", lambda: len(heartbeats(kafka, beating, "nodes")) >= 4)
    kafka.pause()
    try:
        subprocess.run(["sleep", "6"], check=True)  # six periods: the time is the point
    finally:
        kafka.resume()
    def gap() -> int:
        seqs = sorted({json.loads(record.value)["seq"] for record in heartbeats(kafka, beating, "nodes")})
        return max((b - a for a, b in zip(seqs, seqs[1:])), default=0)
    wait_until("a hole in the numbers", lambda: gap() >= 3)
