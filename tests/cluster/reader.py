"""The tests' own view of Kafka, by another client than klaxon's: what a read_committed consumer is given, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition


@dataclass(frozen=True)
class Record:
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: dict[str, bytes | None]
    value: bytes | None

    def header(self, name: str) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode()


def _record(message: Message) -> Record:
    return Record(message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(),
                  dict(message.headers() or []), message.value())


def _partitions(consumer: Consumer, topics: Iterable[str], timeout: float) -> list[TopicPartition]:
    known = consumer.list_topics(timeout=timeout).topics
    missing = [topic for topic in topics if topic not in known]
    if missing:
        raise LookupError(f"no such topic: {', '.join(missing)}")
    return [TopicPartition(topic, partition, 0) for topic in topics for partition in known[topic].partitions]


def read_committed(bootstrap: str, topics: str | Iterable[str], timeout: float = 30.0,
                   isolation: str = "read_committed", heartbeats: bool = False) -> list[Record]:
    """Every record of the topics from the first to the ends of their partitions at this moment, in partition order. Collectors' heartbeats,
    which come with time, are left out unless they are asked for.

    An open transaction holds the end of a read_committed reader back, so what it has written is not waited for.
    """
    topics = [topics] if isinstance(topics, str) else list(topics)
    consumer = Consumer({
        "bootstrap.servers": bootstrap, "group.id": "tests-reader", "isolation.level": isolation,
        "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 20, "log_level": 0,
    })
    records: list[Record] = []
    try:
        wanted = _partitions(consumer, topics, timeout)
        consumer.assign(wanted)
        open_partitions = {(one.topic, one.partition) for one in wanted}
        deadline = time.monotonic() + timeout
        while open_partitions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"partitions without an end within {timeout:g} s: {sorted(open_partitions)}")
            for message in consumer.consume(1000, timeout=0.1):
                error = message.error()
                if error is None:
                    records.append(_record(message))
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_partitions.discard((message.topic(), message.partition()))
                elif not error.retriable() and error.fatal():
                    raise KafkaException(error)
    finally:
        consumer.close()
    records = [record for record in records if heartbeats or record.headers.get("ce_type") != b"io.klaxon.heartbeat"]
    return sorted(records, key=lambda record: (record.topic, record.partition, record.offset))


def wait_for_records(bootstrap: str, topics: str | Iterable[str], count: int, timeout: float = 30.0) -> list[Record]:
    """Reads again until there are at least count records; fails with what there was."""
    deadline = time.monotonic() + timeout
    while True:
        records = read_committed(bootstrap, topics, max(1.0, deadline - time.monotonic()))
        if len(records) >= count:
            return records
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(records)} of {count} records within {timeout:g} s")
