"""What stands on a topic, by an independent client: counted, and kept for the bare producer that writes the same bytes again."""

from __future__ import annotations

import struct
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition


def is_heartbeat(message: Message) -> bool:
    """Of the collector: it comes with time, not with what is measured."""
    return dict(message.headers() or []).get("ce_type") == b"io.klaxon.heartbeat"


def read_all(bootstrap: str, topic: str, partitions: int, timeout: float = 60) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "isolation.level": "read_committed",
                         "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error", "log_level": 0})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
    records, ends, deadline = [], set(), time.monotonic() + timeout
    while len(ends) < partitions:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{topic}: {len(records)} records, and no end within {timeout:.0f} s")
        for message in consumer.consume(5000, 0.5):
            if message.error() is None:
                records += [] if is_heartbeat(message) else [message]
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ends.add(message.partition())
            else:
                raise KafkaException(message.error())
    consumer.close()
    return records


def check_exactly_once(records: list[Message], count: int) -> None:
    """Speed that loses or repeats is worth nothing."""
    ids = {dict(record.headers())["ce_id"] for record in records}
    if len(records) != count or len(ids) != count:
        raise SystemExit(f"not exactly once: {count} events were sent, {len(records)} records and {len(ids)} ids are there")


def bytes_of(records: list[Message]) -> float:
    """MB of keys, values and headers."""
    return sum(len(r.key()) + len(r.value()) + sum(len(n) + len(v) for n, v in r.headers()) for r in records) / 1e6


def keep(records: list[Message], path: Path) -> None:
    """The format is told in tests/bench/ceiling.c. In the order of the log, taken from the partitions in turn."""
    with path.open("wb") as out:
        for r in sorted(records, key=lambda r: (r.offset(), r.partition())):
            out.write(struct.pack("=III", len(r.key()), len(r.value()), len(r.headers())))
            for name, value in r.headers():
                out.write(struct.pack("=II", len(name), len(value)) + name.encode() + value)
            out.write(r.key() + r.value())
