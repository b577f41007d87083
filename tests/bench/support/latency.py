"""Events created on a real API server at a steady rate, and when a read_committed reader has them.

Generator and reader are processes of their own; both read the machine's one monotonic clock.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import ssl
import statistics
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from cluster import ApiServer, Kafka
from cluster.objects import involved, legacy_event

from .machine import Effort, Span, Usage, memory_mb, tell
from .records import is_heartbeat
from .world import PARTITIONS, Topics, collector

CONNECTIONS = 8
WARM_UP_SECONDS = 2
NAME = "bench-%08d"
TEXT = 'Container image "registry.example.com/team/app:1.27.3" already present on machine. ' * 3


def _body() -> tuple[bytes, bytes]:
    """An Event of 1 KB as it goes over the wire, in two halves: the name stands between them."""
    event = legacy_event(involved("Pod", "app-6d5f7c9b8-x2k4p", "default"), "Pulled", TEXT, "kubelet", host="aks-nodepool1-vmss000003")
    event["metadata"]["name"] = "NAME"
    first, second = json.dumps(event).encode().split(b"NAME")
    return first, second


def generate(host: str, pki: tuple[str, str, str], rate: int, count: int, out: Connection) -> None:
    """Creates Event number n at the instant n / rate, and sends when each answer came. An Event that is late does not move the next."""
    context = ssl.create_default_context(cafile=pki[0])
    context.load_cert_chain(pki[1], pki[2])
    answered = [0.0] * count
    first, second = _body()
    begin = time.monotonic() + 0.5

    def work(lane: int) -> None:
        connection = http.client.HTTPSConnection(host, context=context, timeout=15)
        for n in range(lane, count, CONNECTIONS):
            time.sleep(max(0.0, begin + n / rate - time.monotonic()))
            connection.request("POST", "/api/v1/namespaces/default/events", first + (NAME % n).encode() + second,
                               {"Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            answered[n] = time.monotonic() if response.status == 201 else 0.0

    lanes = [threading.Thread(target=work, args=(lane,)) for lane in range(CONNECTIONS)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    out.send(answered)


def read(bootstrap: str, topic: str, count: int, out: Connection) -> None:
    """Sends what it has read: the value of each record and the instant it was there."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench-latency", "isolation.level": "read_committed",
                         "enable.auto.commit": False, "log_level": 0})
    consumer.assign([TopicPartition(topic, p, 0) for p in range(PARTITIONS)])
    seen: list[tuple[float, bytes]] = []
    out.send("reading")
    silent_since = time.monotonic()
    while len(seen) < count and time.monotonic() - silent_since < 20:
        message = consumer.poll(1)
        if message is not None and message.error() is None and not is_heartbeat(message):
            silent_since = time.monotonic()
            seen.append((silent_since, message.value()))
    consumer.close()
    out.send([(at, json.loads(value)["event"]["name"]) for at, value in seen])


def _start(target, *args) -> tuple[multiprocessing.Process, Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=target, args=(*args, there), daemon=True)
    process.start()
    return process, here


@dataclass(frozen=True)
class Run:
    waits_ms: list[float]
    usage: Usage

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.waits_ms, n=100)[percent - 1]


def run(kafka: Kafka, api: ApiServer, directory: Path, prefix: str, rate: int, count: int) -> Run:
    topics = Topics(kafka, prefix)
    child = collector(directory / prefix, kafka, prefix, api.kubeconfig)
    child.start()
    try:
        topics.wait_watching(child)
        reader, seen = _start(read, kafka.bootstrap, topics.events, count)
        seen.recv()
        generator, answered = _start(generate, api.url.removeprefix("https://"), tuple(map(str, (api.ca, *api.admin))), rate, count)
        span = Span({"collector": child.pid, "broker": kafka.nodes[0].child.pid, "generator": generator.pid, "reader": reader.pid}
                    | {name: one.pid for name, one in api.children.items()})
        answers = answered.recv()
        usage = span.end()
        found = {name: at for at, name in seen.recv()}
        peak_mb = memory_mb(child.pid, "VmHWM")
        transactions = topics.transactions()
    finally:
        child.kill()
        topics.close()
    topics.delete()
    if len(found) != count or 0.0 in answers:
        raise SystemExit(f"{count} Events were asked for, {sum(a > 0 for a in answers)} created, {len(found)} read")
    told = Run([1000 * (found[NAME % n] - answers[n]) for n in range(rate * WARM_UP_SECONDS, count)], usage)
    late_ms = 1000 * (max(answers) - min(answers) - (count - 1) / rate)
    print(f"  {prefix}: p50 {told.percentile(50):.1f} ms, p99 {told.percentile(99):.1f} ms, most {max(told.waits_ms):.1f} ms; "
          f"collector {usage.seconds['collector'] / count * 1e6:.0f} us of CPU an Event, "
          f"{transactions / (max(answers) - min(answers)):.0f} transactions/s, peak {peak_mb:.1f} MB; the last create was {late_ms:+.0f} ms late; others used {usage.others:.0%}", flush=True)
    return told


def measure(kafka: Kafka, directory: Path, rate: int, seconds: int, effort: Effort) -> None:
    print(f"latency: {rate} Events/s on kube-apiserver for {seconds} s; from the create's answer to a read_committed reader", flush=True)

    def one(n: int) -> Run:
        with ApiServer(directory / f"api-{n + 1}") as api:  # a new one, without the Events of the run before
            return run(kafka, api, directory, f"latency-{n + 1}", rate, rate * seconds)

    told = effort.measure(one)
    for percent in (50, 99):
        tell(f"p{percent}", [one.percentile(percent) for one in told], ".1f", "ms")
