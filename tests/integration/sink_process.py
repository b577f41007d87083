"""A sink's process with topics of its own, and the events it is to deliver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

import requests
from confluent_kafka import Consumer, Producer, TopicPartition

from cluster import Kafka, Record, read_committed
from cluster.process import free_port

TOPICS = ["kubernetes", "nodes", "deliveries", "dlq", "retry", "control", "state"]


def event_headers(event_id: str, **attributes: str) -> dict[str, str]:
    return {"ce_specversion": "1.0", "ce_id": event_id, "ce_source": "/clusters/prod/nodes", "ce_type": "io.klaxon.node.ready",
            "ce_subject": f"Node/{event_id}", "ce_cluster": "prod", "ce_severity": "warning", "content-type": "application/json",
            } | {f"ce_{name}": value for name, value in attributes.items()}


def event_data(event_id: str) -> bytes:
    return json.dumps({"summary": f"This is {event_id}.", "object": {"kind": "Node", "name": event_id}, "reason": "Ready", "labels": {}}).encode()


class Events:
    """Writes events to the topics of one test. The key decides the partition: all events of a key stay in order."""

    def __init__(self, kafka: Kafka, prefix: str):
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 1, "log_level": 0})
        self._prefix = prefix

    def put(self, *ids: str, topic: str = "nodes", key: str = "k", **attributes: str) -> None:
        for one in ids:
            self.put_raw(event_data(one), event_headers(one, **attributes), topic, key)

    def put_raw(self, value: bytes | None, headers: dict[str, str], topic: str = "nodes", key: str = "k") -> None:
        self._producer.produce(self._prefix + topic, value, key, headers=list(headers.items()))
        assert self._producer.flush(20) == 0


class Sink:
    """klaxon-sink-<kind>. `channels`: name → the channel's configuration; `subscriptions` as in klaxon.yaml; both as JSON is YAML too."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, prefix: str, kind: str, name: str = "sink"):
        self.kafka, self.prefix, self.kind = kafka, prefix, kind
        self.config = directory / f"{name}.yaml"
        self.log = directory / f"{name}.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._command = [binaries / f"klaxon-sink-{kind}", "--config", self.config]
        self.process: subprocess.Popen | None = None

    def configure(self, channels: dict[str, dict], subscriptions: list[dict], throttle: dict | None = None, **process: object) -> None:
        """`throttle`: of all channels. A test that asks for none has none, so that it can look at every message."""
        kafka = {
            "bootstrap.servers": self.kafka.bootstrap,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": "6000",  # a member that was killed is forgotten after this time, the least that the broker allows
            "topic.metadata.propagation.max.ms": "2000",  # a topic that is not there is said after this time
        }
        self.config.write_text(json.dumps({
            "kafka": kafka,
            "topics": {"prefix": self.prefix},
            "sinks": {self.kind: {"listen": self.url.removeprefix("http://")} | process},
            "channels": {name: {self.kind: settings, "throttle": throttle or {"messages": 0}} for name, settings in channels.items()},
            "subscriptions": subscriptions,
        }))

    def topic(self, name: str) -> str:
        return self.prefix + name

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stderr=log, stdin=subprocess.DEVNULL)

    def check(self) -> tuple[int, str]:
        """--check: the exit code, and what it says."""
        done = subprocess.run([*self._command, "--check"], capture_output=True, text=True, timeout=20, check=False)
        return done.returncode, done.stdout + done.stderr

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self, timeout: float = 6) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self.process = None
        return code

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def text(self, page: str) -> str:
        return requests.get(f"{self.url}/{page}", timeout=5).text

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series of that name with these labels."""
        total = 0.0
        for line in self.text("metrics").splitlines():
            series, _, value = line.rpartition(" ")
            if (series == name or series.startswith(name + "{")) and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += float(value)
        return total

    def wait(self, what: str, probe: Callable[[], bool], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                if probe():
                    return
            except requests.RequestException:
                pass  # it starts, or is gone: the deadline says so
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s\n{self.log.read_text()}"
            time.sleep(0.02)

    def wait_ready(self, seconds: float = 30) -> None:
        self.wait("ready", lambda: requests.get(f"{self.url}/readyz", timeout=5).status_code == 200, seconds)

    def wait_settled(self, records: int, seconds: float = 30) -> None:
        """Until so many records were read by this process, and nothing of them is left to do."""
        def settled() -> bool:
            # Each is a request of its own. A delivery goes from the queue to the ledger, so the queue is asked first: else it slips through.
            return (self.metric("klaxon_sink_records_total") >= records and self.metric("klaxon_sink_queue_deliveries") == 0
                    and self.metric("klaxon_sink_ledger_records") == 0)
        self.wait(f"{records} records settled", settled, seconds)

    def committed(self, topic: str) -> int:
        """Where the group would go on in the topic's partition; less than 0: nowhere yet."""
        client = Consumer({"bootstrap.servers": self.kafka.bootstrap, "group.id": f"klaxon-sink-{self.kind}-{self.prefix.rstrip('.')}", "log_level": 0})
        try:
            return client.committed([TopicPartition(self.topic(topic), 0)], timeout=10)[0].offset
        finally:
            client.close()

    def receipts(self) -> list[dict]:
        return values(read_committed(self.kafka.bootstrap, self.topic("deliveries")))

    def dead_letters(self) -> list[Record]:
        return read_committed(self.kafka.bootstrap, self.topic("dlq"))


def exchange(folder: Path, version: str, name: str, text: str) -> Path:
    """As the kubelet changes the volume of a ConfigMap or a Secret: the file leads through ..data, which becomes another version."""
    folder.mkdir(exist_ok=True)
    (folder / version).mkdir()
    (folder / version / name).write_text(text)
    (folder / "..data_tmp").symlink_to(version)
    os.rename(folder / "..data_tmp", folder / "..data")
    path = folder / name
    if not path.is_symlink():
        path.symlink_to(f"..data/{name}")
    return path


def values(records: Iterable[Record]) -> list[dict]:
    return [json.loads(record.value) for record in records]


def new_prefix(kafka: Kafka, topics: Iterable[str] = TOPICS) -> str:
    """Topics of one test; a single partition, so that order can be looked at."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    for topic in topics:
        kafka.create_topic(prefix + topic)
    return prefix
