"""Topics with a difficult past, and what a filter written in a few lines of Python makes of them: what `klaxon export` is held against."""
from __future__ import annotations

import csv
import io
import json
import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from .reader import Record, read_committed

COLUMNS = ("time recorded_time id type source subject cluster namespace kind name node pool app team severity severity_number reason message "
           "correlation_id causation_id topic partition offset schema replay_id phase incident_seq data").split()
KINDS = ["node.ready", "node.notready", "node.repair.started", "node.repair.completed"]
SEVERITIES = ["info", "warning", "critical"]


def rfc3339(us: int, digits: int = 6) -> str:
    fraction = f"{us % 1_000_000:06d}"[:digits]
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(us // 1_000_000)) + f".{fraction}Z"


def micros(text: str) -> int:
    whole, fraction = re.fullmatch(r"([^.]*)(?:\.(\d+))?Z", text).groups()
    return int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) - time.timezone) * 1_000_000 + int(((fraction or "") + "000000")[:6])


class Past:
    """Writes events whose times are in no order, in transactions and without, some of which never come to be."""

    def __init__(self, bootstrap: str, rng: random.Random, begin: float, seconds: float):
        self.bootstrap, self.rng, self.begin, self.seconds = bootstrap, rng, begin, seconds
        self.made = 0
        self._open: list[Producer] = []

    def event(self, late_ms: int = 0, **more: str) -> dict[str, Any]:
        """late_ms: how much earlier its record is dated than it happened."""
        rng = self.rng
        self.made += 1
        us = int((self.begin + rng.random() * self.seconds) * 1e6)
        node = f"aks-{rng.randrange(20)}"
        attributes = {"specversion": "1.0", "id": f"e-{self.made}", "source": "/clusters/prod/nodes", "type": f"io.klaxon.{rng.choice(KINDS)}",
                      "time": rfc3339(us), "subject": f"Node/{node}", "cluster": rng.choice(["prod-weu", "prod-neu", "dev"]),
                      "severity": rng.choice(SEVERITIES)} | more
        data = {"summary": f"number {self.made}, \"quoted\" und schön" + "x" * rng.randrange(200), "object": {"kind": "Node", "name": node},
                "reason": rng.choice(["KubeletNotReady", "NodeRebootStart"]), "labels": {"agentpool": rng.choice(["system", "user"])},
                "number": 12345678901234567890 if self.made % 50 == 0 else 1.5}
        return {"value": json.dumps(data, ensure_ascii=False), "key": f"prod/{node}", "timestamp": us // 1000 - late_ms,
                "headers": [(f"ce_{k}", v) for k, v in attributes.items()] + [("content-type", "application/json")]}

    def producer(self, **more: Any) -> Producer:
        return Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, "log_level": 0, **more})

    def write(self, topic: str, n: int, partitions: Iterable[int], keyed: bool = False, **more: Any) -> None:
        producer, places = self.producer(), list(partitions)
        for _ in range(n):
            producer.produce(topic, partition=self.rng.choice(places), **self.event(late_ms=self.rng.choice([0, 0, 0, 1_700_000]), **more))
            producer.poll(0)
        assert producer.flush(60) == 0

    def write_in_transactions(self, topic: str, name: str, n: int, partitions: Iterable[int], transactions: int) -> int:
        """How many were aborted: about a third. They say so in `fate`, which no reader may ever see."""
        producer, places, aborted = self.producer(**{"transactional.id": name}), list(partitions), 0
        producer.init_transactions(30)
        for _ in range(transactions):
            abort = self.rng.random() < 0.35
            producer.begin_transaction()
            for _ in range(max(1, n // transactions)):
                producer.produce(topic, partition=self.rng.choice(places), **self.event(**({"fate": "aborted"} if abort else {})))
            assert producer.flush(30) == 0
            if abort:
                producer.abort_transaction(30)
                aborted += max(1, n // transactions)
            else:
                producer.commit_transaction(30)
        return aborted

    def open_transaction(self, topic: str, name: str, partition: int, n: int) -> None:
        """It stays open until `close`."""
        producer = self.producer(**{"transactional.id": name, "transaction.timeout.ms": 600_000})
        producer.init_transactions(30)
        producer.begin_transaction()
        for _ in range(n):
            producer.produce(topic, partition=partition, **self.event(fate="open"))
        assert producer.flush(30) == 0
        self._open.append(producer)

    def close(self) -> None:
        for producer in self._open:
            producer.abort_transaction(30)
        self._open.clear()


@dataclass
class Truth:
    """What is on the topics, all of it, by another client."""
    records: list[Record]

    @classmethod
    def read(cls, bootstrap: str, topics: Iterable[str]) -> "Truth":
        return cls(read_committed(bootstrap, list(topics), timeout=120))

    def select(self, since_us: int, until_us: int, wanted: Callable[[dict[str, str], dict[str, Any]], bool] = lambda _, __: True,
               field: str = "event") -> list[Record]:
        """By time, then topic, partition and offset."""
        found = []
        for r in self.records:
            attributes = {k.removeprefix("ce_"): v.decode() for k, v in r.headers.items() if k.startswith("ce_")}
            us = micros(attributes["time"]) if field == "event" else r.timestamp_ms * 1000
            if since_us <= us < until_us and wanted(attributes, json.loads(r.value)):
                found.append((us, r.topic, r.partition, r.offset, r))
        return [r for *_, r in sorted(found, key=lambda f: f[:4])]


def cloudevent(r: Record) -> dict[str, Any]:
    attributes = {k.removeprefix("ce_"): v.decode() for k, v in r.headers.items() if k.startswith("ce_")}
    return attributes | {"datacontenttype": "application/json", "partitionkey": r.key.decode(), "kafkatopic": r.topic,
                         "kafkapartition": r.partition, "kafkaoffset": str(r.offset), "kafkatime": rfc3339(r.timestamp_ms * 1000, 3),
                         "data": json.loads(r.value)}


def row(r: Record) -> dict[str, Any]:
    event, data = cloudevent(r), json.loads(r.value)
    return dict.fromkeys(COLUMNS) | {
        "time": rfc3339(micros(event["time"]), 3), "id": event["id"], "type": event["type"], "source": event["source"],
        "subject": event["subject"], "cluster": event["cluster"], "kind": "Node", "name": data["object"]["name"], "node": data["object"]["name"],
        "pool": data["labels"]["agentpool"], "severity": event["severity"], "severity_number": 9 + 4 * SEVERITIES.index(event["severity"]),
        "reason": data["reason"], "message": data["summary"], "topic": r.topic, "partition": r.partition, "offset": r.offset, "data": data}


def csv_rows(text: str) -> list[dict[str, Any]]:
    """As rows again: numbers, the data, and nothing where there is nothing."""
    found = []
    for one in csv.DictReader(io.StringIO(text, newline="")):
        typed: dict[str, Any] = {k: v if v != "" else None for k, v in one.items()}
        typed["data"] = json.loads(one["data"])
        for number in ("severity_number", "partition", "offset", "incident_seq"):
            typed[number] = int(one[number]) if one[number] else None
        found.append(typed)
    return found
