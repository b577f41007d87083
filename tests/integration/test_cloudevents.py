"""Records of klaxon by CloudEvents' own SDKs: what PyPI's and npm's read of a real topic is what was written, and klaxon reads what they write."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path

import pytest
from cloudevents.core.bindings import kafka as binding
from cloudevents.core.formats.json import JSONFormat

from cli_world import Klaxon
from cluster import Kafka, Record, read_committed
from cluster.cache import node, readers_modules
from conftest import ROOT

PREFIX = "cloudevents."
SAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "schema/samples").glob("*.json"))}
TOPICS = sorted({PREFIX + sample["topic"].removeprefix("klaxon.") for sample in SAMPLES.values()})
READERS = ROOT / "tests/integration/readers"


@pytest.fixture(scope="session")
def topics(binaries: Path, kafka: Kafka) -> list[str]:
    """Every sample on its topic, written by klaxon's encoder and producer."""
    for topic in TOPICS:
        kafka.create_topic(topic, 2)
    done = subprocess.run([binaries / "tests/samples", kafka.bootstrap, PREFIX], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return TOPICS


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def expected(sample: dict) -> dict:
    """All attributes and extensions of a sample, by their names."""
    headers = sample["headers"]
    return {name.removeprefix("ce_"): value for name, value in headers.items() if name.startswith("ce_")} | {
        "datacontenttype": headers["content-type"], "partitionkey": sample["key"], "data": sample["value"]}


def assert_same(found: dict, sample: dict, milliseconds: bool = False) -> None:
    wanted = expected(sample)
    times = instant(found.pop("time")), instant(wanted.pop("time"))
    if milliseconds:
        times = tuple(time.replace(microsecond=time.microsecond // 1000 * 1000) for time in times)
    assert times[0] == times[1]
    assert found == wanted


def by_kind(ids: dict[str, dict]) -> dict[str, dict]:
    """kind → what was read, by the id of its sample."""
    assert len(ids) == len(SAMPLES)
    return {kind: ids[sample["headers"]["ce_id"]] for kind, sample in SAMPLES.items()}


def message(record: Record) -> binding.KafkaMessage:
    return binding.KafkaMessage(headers=record.headers, key=record.key, value=record.value)


def test_the_sdk_of_python_reads_every_kind(kafka: Kafka, topics: list[str]) -> None:
    read = {}
    for record in read_committed(kafka.bootstrap, topics, heartbeats=True):
        event = binding.from_kafka(message(record), JSONFormat())
        attributes = dict(event.get_attributes())
        read[event.get_id()] = attributes | {"time": attributes["time"].isoformat(), "data": event.get_data(), "topic": record.topic}
    for kind, found in by_kind(read).items():
        assert found.pop("topic") == PREFIX + SAMPLES[kind]["topic"].removeprefix("klaxon.")
        assert_same(found, SAMPLES[kind])


def test_the_sdk_of_node_reads_every_kind(kafka: Kafka, topics: list[str]) -> None:
    """kafkajs reads the topics; npm's SDK keeps milliseconds of a time."""
    done = subprocess.run([node(), READERS / "read_topics.cjs", kafka.bootstrap, str(len(SAMPLES)), *topics],
                          env={"NODE_PATH": str(readers_modules()), "KAFKAJS_NO_PARTITIONER_WARNING": "1"},
                          capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    for kind, line in by_kind({line["event"]["id"]: line for line in lines}).items():
        assert line["topic"] == PREFIX + SAMPLES[kind]["topic"].removeprefix("klaxon.")
        assert line["key"] == SAMPLES[kind]["key"]
        assert_same(line["event"], SAMPLES[kind], milliseconds=True)


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_klaxon_reads_what_the_sdk_writes(binaries: Path, kafka: Kafka, tmp_path: Path, topics: list[str], mode: str) -> None:
    klaxon = Klaxon(binaries, tmp_path, kafka.bootstrap, f"sdk-{mode}.")
    kafka.create_topic(f"sdk-{mode}.nodes")
    nodes = {kind: sample for kind, sample in SAMPLES.items() if sample["topic"] == "klaxon.nodes"}
    write = binding.to_binary if mode == "binary" else binding.to_structured
    for record in read_committed(kafka.bootstrap, PREFIX + "nodes"):
        written = write(binding.from_kafka(message(record), JSONFormat()), JSONFormat())
        klaxon.put_raw("nodes", written.value, list(written.headers.items()), record.timestamp_ms / 1000)
    done = klaxon.run("tail", "--topic", "nodes", "--no-follow", "--since", "2026-03-01T00:00:00Z", "-o", "json")
    assert done.returncode == 0, done.stderr
    shown = {line["type"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert set(shown) == {sample["headers"]["ce_type"] for sample in nodes.values()}
    for sample in nodes.values():
        headers, line = sample["headers"], shown[sample["headers"]["ce_type"]]
        assert (line["id"], line["source"], line["subject"], line["cluster"], line["severity"]) == tuple(
            headers[f"ce_{name}"] for name in ("id", "source", "subject", "cluster", "severity"))
        assert (line["incident"], line["phase"]) == (headers.get("ce_incident"), headers.get("ce_phase"))
        assert line["seq"] == (int(headers["ce_incidentseq"]) if "ce_incidentseq" in headers else None)
        assert instant(line["time"]) == instant(headers["ce_time"])
        assert line["data"] == sample["value"]
