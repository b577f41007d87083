"""What the tests of Kafka's faults share: a stage that makes Events without pause, a collector, and the account at the end: every version of every Event is on the topic exactly once."""
from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from cluster import Kafka, Record, read_committed
from cluster.objects import involved, new_event
from cluster.process import wait_until
from conftest import Collector
from stage import Kube

SOON = 30.0


class KafkaWorld:
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, name: str, transactions: str = "auto"):
        self.kafka, self.dir = kafka, directory
        self.name = re.sub(r"[^a-z0-9]+", "-", name.lower())[:50].strip("-")
        self.kube = Kube()
        self.versions: list[tuple[str, str]] = []
        self._made = 0
        self._lock = threading.Lock()
        self._generator: threading.Thread | None = None
        self._resting = threading.Event()
        kubeconfig = self.kube.write_kubeconfig(directory / "kubeconfig")
        self.collector = Collector(binaries, directory, kafka, kubeconfig, self.name, sources="events: {}", transactions=transactions)
        self.transactional_id = f"klaxon-collector-{self.name}@{self.collector.prefix.removesuffix('.')}"

    def __enter__(self) -> "KafkaWorld":
        self.kube.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()
        self.collector.kill()
        self.kube.stop()
        print(self.collector.log.read_text() if self.collector.log.exists() else "no log")

    def begin(self) -> None:
        self.collector.topics(self.kafka)
        self.collector.start()
        self.kube.wait_watching("events")

    # events

    def event(self, message: str = "m") -> dict[str, Any]:
        with self._lock:
            self._made += 1
            made = self.kube.put(new_event(involved("Pod", f"p-{self._made}", "default"), "Created", message, "kubelet", "Create"))
            self.versions.append((made["metadata"]["uid"], made["metadata"]["resourceVersion"]))
        return made

    def rain(self, rate: float = 300) -> None:
        """Events without pause, until rest()."""
        def fall() -> None:
            while not self._resting.wait(1 / rate):
                self.event("x" * 200)
        self._resting.clear()
        self._generator = threading.Thread(target=fall, daemon=True)
        self._generator.start()

    def rest(self) -> None:
        self._resting.set()
        if self._generator is not None:
            self._generator.join()
            self._generator = None

    # what is on the topic

    def records(self, isolation: str = "read_committed") -> list[Record]:
        return read_committed(self.kafka.bootstrap, self.collector.topic("kubernetes"), isolation=isolation)

    def seen(self) -> Counter:
        events = [json.loads(r.value).get("event") for r in self.records()]
        return Counter((event["uid"], event["resourceVersion"]) for event in events if event)

    def wait_all(self, timeout: float = 60) -> None:
        """Until every Event so far is on its topic."""
        wanted = set(self.versions)

        def there() -> bool:
            with suppress(TimeoutError, LookupError):
                return not wanted - set(self.seen())
            return False
        wait_until(f"{len(wanted)} Events on the topic", there, timeout)

    def check(self, timeout: float = 60) -> None:
        """Nothing is lost, nothing came twice."""
        self.rest()
        self.event("the last one")
        self.wait_all(timeout)
        repeated = {pair: n for pair, n in self.seen().items() if n > 1}
        assert repeated == {}, f"{len(repeated)} came again"

    # what the collector says

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.collector.log.read_text().splitlines()]

    def wait_log(self, text: str, timeout: float = SOON, level: str = "") -> dict[str, Any]:
        """The first line (of this level) that has this text in one of its fields."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [line for line in self.log()
                        if any(text in str(value) for value in line.values()) and line["level"].startswith(level)]
            return bool(found)
        try:
            wait_until(f"{text!r} in the log", there, timeout)
        except TimeoutError as error:
            raise AssertionError(f"{error}; it says:\n{self.collector.log.read_text()[-3000:]}") from None
        return found[0]

    def ready(self) -> tuple[int, str]:
        answer = requests.get(f"{self.collector.url}/readyz", timeout=5)
        return answer.status_code, answer.text

    def wait_ready(self, status: int = 200, text: str = "", timeout: float = SOON) -> None:
        def answered() -> bool:
            with suppress(requests.ConnectionError):
                code, body = self.ready()
                return code == status and text in body
            return False
        wait_until(f"/readyz: {status} {text}", answered, timeout)

    def metric(self, name: str) -> float:
        text = requests.get(f"{self.collector.url}/metrics", timeout=5).text
        found = re.search(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.M)
        assert found, f"there is no {name}"
        return float(found.group(1))

    def wait_anew(self, why: str) -> None:
        """Until the run of the cluster ended with this reason; the next one begins where the last commit was."""
        self.wait_log(why, level="error")
        assert self.metric("klaxon_cluster_failures_total") >= 1
