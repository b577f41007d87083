"""Events on the topics of a run, a sink that delivers them, and the server it delivers to."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from cluster import Kafka
from cluster.process import Child

from .world import PARTITIONS, binary

TOPICS = ("nodes", "state", "control", "deliveries", "retry", "dlq")


class Answer:
    """The server, for as long as the context lasts. `status` "hang": it never answers. `port` 0: any."""

    def __init__(self, status: str = "200 OK", port: int = 0):
        self._process = subprocess.Popen([binary("bench-answer"), status, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> "Answer":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> list[tuple[str, str, float, int]]:
        """As taken(): all of it, since nothing is answered any more."""
        text, _ = self._process.communicate(timeout=30)
        return _rows(text)

    def count(self) -> int:
        with urlopen(f"{self.url}/count") as response:
            return int(response.read())

    def taken(self) -> list[tuple[str, str, float, int]]:
        """Channel, id, seconds of the monotonic clock, bytes."""
        with urlopen(f"{self.url}/taken") as response:
            return _rows(response.read().decode())


def _rows(text: str) -> list[tuple[str, str, float, int]]:
    return [(path, id_, int(ns) / 1e9, int(size)) for path, id_, ns, size in map(str.split, text.splitlines())]


def event(number: int) -> tuple[str, bytes, list[tuple[str, str]]]:
    """Key, value, headers, as the collector writes an Event of 1 KB about a node."""
    node = f"aks-{number % 200}"
    headers = {"ce_specversion": "1.0", "ce_id": str(number), "ce_source": "/clusters/prod-weu/nodes", "ce_type": "io.klaxon.node.ready",
               "ce_subject": f"Node/{node}", "ce_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "ce_cluster": "prod-weu",
               "ce_severity": "warning", "content-type": "application/json"}
    data = {"summary": f"Node {node} is ready again after 4 min", "object": {"kind": "Node", "name": node, "uid": "5b7c6b0e-0d8f-4c9b"},
            "reason": "KubeletReady", "labels": {"agentpool": "system", "note": "x" * 600}}
    return f"prod-weu/{node}", json.dumps(data).encode(), list(headers.items())


class World:
    """Topics of one run, and a sink on them."""

    def __init__(self, kafka: Kafka, directory: Path, prefix: str):
        self.kafka, self.prefix, self.directory = kafka, prefix, directory / prefix
        self.directory.mkdir(parents=True)
        for name in TOPICS:
            compacted = {"cleanup.policy": "compact"} if name in ("state", "control") else {}
            kafka.create_topic(f"{prefix}.{name}", 1 if name == "control" else PARTITIONS, compacted)
        self.producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 0, "partitioner": "murmur2_random", "log_level": 0})

    def put(self, numbers: range) -> None:
        for number in numbers:
            key, value, headers = event(number)
            while True:
                try:
                    self.producer.produce(f"{self.prefix}.nodes", value, key, headers=headers)
                    break
                except BufferError:
                    self.producer.poll(0.1)
        assert self.producer.flush(60) == 0

    def sink(self, kind: str, channels: dict[str, dict], reset: str = "earliest", **process: object) -> Child:
        config = self.directory / "klaxon.yaml"
        config.write_text(json.dumps({
            "kafka": {"bootstrap.servers": self.kafka.bootstrap, "auto.offset.reset": reset},
            "topics": {"prefix": f"{self.prefix}."},
            "sinks": {kind: process},
            "channels": {name: {kind: settings} for name, settings in channels.items()},
            "subscriptions": [{"team": "t", "topics": ["nodes"], "channels": list(channels), "history": True}],
            "log": {"level": "warn"},
        }))
        return Child(f"klaxon-sink-{kind}", [binary(f"klaxon-sink-{kind}"), "--config", config], self.directory / "log")

    def settled(self, kind: str) -> int:
        """Records whose offsets the sink's group has committed."""
        client = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": f"klaxon-sink-{kind}-{self.prefix}", "log_level": 0})
        try:
            places = client.committed([TopicPartition(f"{self.prefix}.nodes", p) for p in range(PARTITIONS)], timeout=10)
            return sum(max(place.offset, 0) for place in places)
        except KafkaException:  # the group has no coordinator yet
            return 0
        finally:
            client.close()

    def close(self) -> None:
        admin = self.kafka.admin()
        for future in admin.delete_topics([f"{self.prefix}.{name}" for name in TOPICS]).values():
            future.result(timeout=20)


def webhooks(answer: Answer, count: int) -> dict[str, dict]:
    return {f"c{i}": {"url": f"{answer.url}/c{i}", "concurrency": 16 if count == 1 else 4} for i in range(count)}
