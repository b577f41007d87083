"""Many clusters, long lists, many nodes: what a collector then takes of memory and CPU."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from cluster import Kafka
from cluster.process import Child, free_port, wait_until

from .list_server import ListServer, node
from .machine import Span, Usage, cpu_seconds, memory_mb
from .world import Topics, binary, kubeconfig_of

SETTLE_SECONDS = 5
ROUNDS = 5  # of heartbeats of all nodes


class Collector:
    """Of so many clusters that are all the same API server."""

    def __init__(self, directory: Path, kafka: Kafka, name: str, server: ListServer, sources: str, clusters: int = 1):
        directory.mkdir(parents=True, exist_ok=True)
        kubeconfig = kubeconfig_of(server.url, directory / "kubeconfig")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.topics = Topics(kafka, name)
        config = directory / "klaxon.yaml"
        config.write_text(
            f'kafka: {{ bootstrap.servers: "{kafka.bootstrap}" }}\ntopics: {{ prefix: {name}. }}\n'
            f'collector: {{ listen: "{self.url.removeprefix("http://")}" }}\nclusters:\n'
            + "".join(f"  - {{ name: {name}-{n}, kubeconfig: {kubeconfig}, canary: false, sources: {{ {sources} }} }}\n" for n in range(clusters)))
        self.child = Child("klaxon-collector", [binary("klaxon-collector"), "--config", config], directory / "log")

    @property
    def pid(self) -> int:
        return self.child.pid

    def metric(self, name: str) -> float:
        text = requests.get(f"{self.url}/metrics", timeout=10).text
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))

    def ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False

    def wait_watching(self, server: ListServer, watches: int, timeout: float = 300) -> None:
        wait_until(f"{watches} watches", lambda: server.watching() == watches and self.ready(), timeout, self.child)


@contextmanager
def running(*args: object, **kwargs: object) -> Iterator[Collector]:
    made = Collector(*args, **kwargs)  # type: ignore[arg-type]
    made.child.start()
    try:
        yield made
    finally:
        made.child.kill()
        made.topics.close()
        made.topics.delete()


def others(usage: Usage) -> str:
    return f"others used {usage.others:.0%}" + ("" if usage.quiet else ": BUSY MACHINE")


def clusters(kafka: Kafka, directory: Path, count: int, seconds: float) -> None:
    print("clusters: four watches each, and nothing happens but bookmarks and heartbeats", flush=True)
    for n in (1, count):
        with ListServer() as server, running(directory / f"clusters-{n}", kafka, f"clusters-{n}", server,
                                             "events: {}, nodes: {}, pods: {}, hpa: {}", n) as collector:
            collector.wait_watching(server, 4 * n)
            time.sleep(SETTLE_SECONDS)
            span = Span({"collector": collector.pid})
            time.sleep(seconds)
            usage = span.end()
            threads = len(list(Path(f"/proc/{collector.pid}/task").iterdir()))
            print(f"  {n} clusters: {memory_mb(collector.pid, 'VmRSS'):.1f} MB, {usage.seconds['collector'] * 60 / seconds:.2f} CPU-seconds a minute, "
                  f"{threads} threads; {others(usage)}", flush=True)


def relist(kafka: Kafka, directory: Path, count: int) -> None:
    print("relist: after a 410, in pages of 500; Events of 1 KB are all news, pods of 4 KB are looked at and remembered by name", flush=True)
    for kind in ("events", "pods"):
        for n in (count // 10, count):
            name = f"relist-{kind}-{n}"
            with ListServer() as server, running(directory / name, kafka, name, server, f"{kind}: {{}}") as collector:
                collector.wait_watching(server, 1)
                before = memory_mb(collector.pid, "VmHWM")
                span, began = Span({"collector": collector.pid}), time.monotonic()
                server.become(**{kind: n})
                collector.wait_watching(server, 1)
                if kind == "events":
                    collector.topics.wait_committed(n, collector.child, timeout=300)
                seconds, usage = time.monotonic() - began, span.end()
                assert collector.metric("klaxon_watch_objects_total") == n
                print(f"  {n:,} {kind}: peak {memory_mb(collector.pid, 'VmHWM'):.1f} MB ({before:.1f} before), {seconds:.1f} s, "
                      f"{usage.seconds['collector'] * 1e6 / n:.0f} us of CPU each; {others(usage)}", flush=True)


def nodes(kafka: Kafka, directory: Path, count: int) -> None:
    print("nodes: all known to node_repair; a heartbeat of each, and a start from klaxon.state", flush=True)
    for n in (10, count):
        name = f"nodes-{n}"
        with ListServer(nodes=n) as server, running(directory / name, kafka, name, server, "nodes: {}") as collector:
            collector.wait_watching(server, 1)
            wait_until("their state", lambda: collector.metric("klaxon_transactions_total") > 0)
            known = memory_mb(collector.pid, "VmRSS")
            rounds = ROUNDS * max(1, 10_000 // n)
            frames = b"".join(b'{"type":"MODIFIED","object":%s}\n' % node(i % n, server.version + 1 + i).encode() for i in range(rounds * n))
            cpu, span = cpu_seconds(collector.pid), Span({})
            server.push("nodes", frames, server.version + rounds * n)
            wait_until("the heartbeats", lambda: collector.metric("klaxon_watch_objects_total") == n + rounds * n, 120, collector.child)
            each = (cpu_seconds(collector.pid) - cpu) / (rounds * n)
            usage = span.end(beside=cpu_seconds(collector.pid) - cpu)
            time.sleep(SETTLE_SECONDS)
            collector.child.stop()
            began = time.monotonic()
            collector.child.start()
            wait_until("it watches again", lambda: server.watching() == 1 and collector.ready(), 60, collector.child)
            print(f"  {n:,} nodes: {known:.1f} MB, {each * 1e6:.0f} us of CPU a heartbeat of 2.5 KB; started again after {time.monotonic() - began:.1f} s, "
                  f"{memory_mb(collector.pid, 'VmRSS'):.1f} MB; {others(usage)}", flush=True)
