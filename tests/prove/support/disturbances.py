"""What goes wrong in the proof: each of these once in a while, at a random instant."""
import random
import time
from collections.abc import Callable
from pathlib import Path

from cluster import ApiServer, Kafka
from cluster.kube import APISERVER, ETCD
from cluster.process import Child

from .truth import Truth


class Collectors:
    """Two of one cluster, each started again whenever it has ended, as Kubernetes would."""

    def __init__(self, binary: Path, directory: Path, config: str, number: int):
        self.all = []
        for i in range(1, number + 1):
            home = directory / f"collector-{i}"
            home.mkdir()
            (home / "klaxon.yaml").write_text(config)
            self.all.append(Child(home.name, [binary, "--config", home / "klaxon.yaml"], home / "log"))
        self.own_ends = 0
        for one in self.all:
            one.start()

    def look(self) -> None:
        for one in self.all:
            if not one.alive():
                self.own_ends += 1
                one.start()

    def kill(self) -> None:
        for one in self.all:
            one.kill()


class Disturbances:
    def __init__(self, collectors: Collectors, kafka: Kafka, api: ApiServer, truth: Truth, rng: random.Random, broker: str):
        self.collectors, self.kafka, self.api, self.truth, self.rng = collectors, kafka, api, truth, rng
        self.mix: list[tuple[Callable[[], str], float]] = [
            (self.collector_killed, 8), (self.collector_paused, 4), (self.collector_stopped, 2),
            (self.broker_paused, 2), (self.api_server_killed, 1), (self.api_server_stopped, 1), (self.api_server_paused, 1),
            (self.etcd_killed, 1), (self.compacted_in_an_outage, 1)]
        if broker == "kill":
            self.mix += [(self.broker_killed, 3), (self.broker_stopped, 1)]
        self.queue: list[Callable[[], str]] = []

    def next(self) -> str:
        """In a random order, each as often as its weight says."""
        self.collectors.look()
        if not self.queue:
            self.queue = [what for what, weight in self.mix for _ in range(weight)]
            self.rng.shuffle(self.queue)
        return self.queue.pop()()

    def _collector(self) -> Child:
        return self.rng.choice(self.collectors.all)

    def _broker(self) -> int:
        return self.rng.randrange(len(self.kafka.nodes)) + 1

    def collector_killed(self) -> str:
        one = self._collector()
        one.kill()
        one.start()
        return f"{one.name} killed"

    def collector_paused(self) -> str:
        one, seconds = self._collector(), self.rng.uniform(0.5, 6)
        one.pause()
        time.sleep(seconds)
        one.resume()
        return f"{one.name} frozen for {seconds:.1f} s"

    def collector_stopped(self) -> str:
        one = self._collector()
        one.stop()
        one.start()
        return f"{one.name} stopped and started"

    def broker_paused(self) -> str:
        node, seconds = self._broker(), self.rng.uniform(1, 5)
        self.kafka.pause(node)
        time.sleep(seconds)
        self.kafka.resume(node)
        return f"broker {node} frozen for {seconds:.1f} s"

    def broker_killed(self) -> str:
        node = self._broker()
        self.kafka.kill(node)
        time.sleep(self.rng.uniform(0, 4))
        self.kafka.start(node)
        self.kafka.wait_ready(node)
        return f"broker {node} killed"

    def broker_stopped(self) -> str:
        node = self._broker()
        self.kafka.restart(node)
        self.kafka.wait_ready(node)
        return f"broker {node} stopped and started"

    def api_server_killed(self) -> str:
        self.api.kill(APISERVER)
        time.sleep(self.rng.uniform(0, 2))
        self.api.start()
        return "API server killed"

    def api_server_stopped(self) -> str:
        self.api.restart(APISERVER)
        return "API server stopped and started"

    def api_server_paused(self) -> str:
        seconds = self.rng.uniform(1, 5)
        self.api.pause(APISERVER)
        time.sleep(seconds)
        self.api.resume(APISERVER)
        return f"API server frozen for {seconds:.1f} s"

    def etcd_killed(self) -> str:
        self.api.kill(ETCD)
        time.sleep(self.rng.uniform(0, 1))
        self.api.start()
        return "etcd killed"

    def compacted_in_an_outage(self) -> str:
        self.collectors.kill()
        time.sleep(self.rng.uniform(0.5, 2))
        self.truth.collect()
        revision = self.api.compact(self.truth.upto)
        self.truth.compactions.append(revision)
        self.collectors.look()
        self.collectors.own_ends -= len(self.collectors.all)
        return f"etcd compacted to {revision} while no collector was there"
