"""A broker with topics for each run, and a collector between it and an API server."""

from __future__ import annotations

import os
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, TopicPartition

from cluster import Kafka
from cluster.kube import write_kubeconfig
from cluster.process import Child, wait_until

PARTITIONS = 4


class Topics:
    """The topics of one run, by a prefix of their own."""

    def __init__(self, kafka: Kafka, prefix: str):
        self.kafka, self.prefix = kafka, prefix
        for name in ("kubernetes", "nodes", "scaling"):  # retention goes by the records' time, and the frames are old
            kafka.create_topic(f"{prefix}.{name}", PARTITIONS, {"retention.ms": "-1"})
        kafka.create_topic(f"{prefix}.state", 1, {"cleanup.policy": "compact"})
        self.events = f"{prefix}.kubernetes"
        # One client for all questions: making one costs more CPU than a hundred answers.
        self._client = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "bench", "isolation.level": "read_committed",
                                 "log_level": 0})

    def close(self) -> None:
        self._client.close()

    def delete(self) -> None:
        admin = self.kafka.admin()  # held: its futures fail when the client goes
        for future in admin.delete_topics([f"{self.prefix}.{name}" for name in ("kubernetes", "nodes", "scaling", "state")]).values():
            future.result(timeout=20)

    def committed(self) -> int:
        """How far a read_committed reader gets, all partitions together: records and a marker of each transaction."""
        return sum(self._client.get_watermark_offsets(TopicPartition(self.events, p), timeout=10)[1] for p in range(PARTITIONS))

    def wait_committed(self, count: int, child: Child, every: float = 0.025, timeout: float = 120) -> float:
        """The instant of the last commit: when the end was first seen where it stays, at or past `count`. Asks seldom: an answer
        costs the broker something."""
        seen, at, deadline = -1, 0.0, time.monotonic() + timeout
        while time.monotonic() < deadline:
            assert child.alive(), f"the collector ended:\n{child.log_tail()}"
            end, now = self.committed(), time.monotonic()
            if end != seen:
                seen, at = end, now
            elif seen >= count and now - at > 0.5:
                return at
            time.sleep(every)
        raise TimeoutError(f"{seen} of {count} records after {timeout:.0f} s")

    def wait_watching(self, child: Child) -> None:
        """The collector has committed where its watch begins: what comes now is live."""
        state = TopicPartition(f"{self.prefix}.state", 0)

        def committed() -> bool:
            try:
                return self._client.get_watermark_offsets(state, timeout=10)[1] > 0
            except KafkaException:  # the topic is so new that not every broker thread knows it
                return False

        wait_until("the first commit", committed, 60, child)

    def transactions(self) -> int:
        """Each writes one record of state, where the watch resumes, and the broker a marker behind it."""
        return self._client.get_watermark_offsets(TopicPartition(f"{self.prefix}.state", 0), timeout=10)[1] // 2

    def disk_mb(self) -> float:
        logs = (self.kafka.nodes[0].dir / "data").glob(f"{self.events}-*/*.log")
        return sum(log.stat().st_size for log in logs) / 1e6


def binary(name: str) -> Path:
    return Path(os.environ["KLAXON_BIN"]) / name


def collector(directory: Path, kafka: Kafka, prefix: str, kubeconfig: Path, settings: str = "") -> Child:
    """A collector of Events only. Its transactional id comes from its cluster's name, so each run has a name of its own."""
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "klaxon.yaml"
    config.write_text(f'kafka: {{ bootstrap.servers: "{kafka.bootstrap}"{settings} }}\ntopics: {{ prefix: {prefix}. }}\n'
                      f"clusters:\n  - {{ name: {prefix}, kubeconfig: {kubeconfig}, canary: false, heartbeat: 1h, sources: {{ events: {{}} }} }}\n")
    return Child("klaxon-collector", [binary("klaxon-collector"), "--config", config], directory / "log")


def kubeconfig_of(url: str, path: Path) -> Path:
    return write_kubeconfig(path, url, {})
