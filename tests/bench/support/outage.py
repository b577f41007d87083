"""One channel of a sink is down while the others are told at a steady rate."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from cluster import Kafka
from cluster.process import free_port, wait_until

from .delivery import Answer, World, event
from .machine import Span, Usage, memory_mb

FAULTS: dict[str, str | None] = {"503": "503 Service Unavailable", "410": "410 Gone", "hang": "hang", "refused": None}
GOOD = ("good-1", "good-2")
DOWN = "down"
WARM_SECONDS = 5
AFTER_SECONDS = 300  # the longest wait for an attempt is a minute, of a channel that is gone five


class Stream(threading.Thread):
    """Events at a rate, until it is told to end. `begun`: when each was handed to the producer."""

    def __init__(self, world: World, rate: int):
        super().__init__(daemon=True)
        self.world, self.rate = world, rate
        self.begun: dict[str, float] = {}
        self._ended = threading.Event()

    def run(self) -> None:
        start, number = time.monotonic(), 0
        while not self._ended.wait(max(0.0, start + number / self.rate - time.monotonic())):
            key, value, headers = event(number)
            self.begun[str(number)] = time.monotonic()
            self.world.producer.produce(f"{self.world.prefix}.nodes", value, key, headers=headers)
            self.world.producer.poll(0)
            number += 1

    def end(self) -> None:
        self._ended.set()
        self.join()
        assert self.world.producer.flush(60) == 0


class Destination:
    """The server of the channel that goes down: always on one port, as whatever it is now."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: Answer | None = None
        self.told: list[tuple[str, float]] = []  # id, when: of the servers before this one that answered 200

    def be(self, status: str | None) -> None:
        """None: nobody listens."""
        self.close()
        self._status = status
        self._server = Answer(status, self.port) if status is not None else None

    def close(self) -> None:
        if self._server is not None:
            last = self._server.end()
            self.told += [(id_, at) for _, id_, at, _ in last if self._status == "200 OK"]
            self._server = None

    def all_told(self) -> list[tuple[str, float]]:
        if self._server is None or self._status != "200 OK":
            return self.told
        return self.told + [(id_, at) for _, id_, at, _ in self._server.taken()]


@dataclass
class Waits:
    """From event to request, of a stretch of time."""
    p50: float
    p99: float
    most: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.1f}, p99 {self.p99:.1f}, most {self.most:.1f} ms"


@dataclass
class Found:
    usage: Usage
    meanwhile: Waits
    memory: list[float] = field(default_factory=list)
    peak_mb: float = 0

    def tell(self, name: str) -> None:
        memory = self.memory
        print(f"  {name}: the others {self.meanwhile}; memory {memory[0]:.1f} MB at its start, {memory[len(memory) // 2]:.1f} in the middle, "
              f"{memory[-1]:.1f} at its end, peak {self.peak_mb:.1f}; others used {self.usage.others:.0%}", flush=True)


class Trial:
    """A sink with its channels and the stream of events."""

    def __init__(self, kafka: Kafka, directory: Path, name: str, rate: int):
        self.kafka, self.rate = kafka, rate
        self.world, self.good, self.down = World(kafka, directory, name), Answer(), Destination()
        self.stream = Stream(self.world, rate)
        self.listen = f"127.0.0.1:{free_port()}"
        self.down.be("200 OK")
        channels = {name: {"url": f"{self.good.url}/{name}", "concurrency": 4} for name in GOOD}
        channels[DOWN] = {"url": f"http://127.0.0.1:{self.down.port}/{DOWN}", "concurrency": 4}
        self.sink = self.world.sink("webhook", channels, listen=self.listen)

    def __enter__(self) -> "Trial":
        self.sink.start()
        self.stream.start()
        wait_until("the first deliveries", lambda: self.good.count() > 0 and self.down.all_told() != [], 60, self.sink)
        time.sleep(WARM_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.end()
        self.sink.kill()
        self.down.close()
        self.good.__exit__()
        self.world.close()

    def metric(self, name: str) -> float:
        with urlopen(f"http://{self.listen}/metrics") as response:
            text = response.read().decode()
        return sum(float(value) for value in re.findall(rf'^{name}{{[^}}]*channel="{DOWN}"[^}}]*}} (\S+)$', text, re.M))

    def memory(self) -> float:
        return memory_mb(self.sink.pid, "VmRSS")

    def span(self) -> Span:
        return Span({"broker": self.kafka.nodes[0].child.pid, "sink": self.sink.pid, "server": self.good.pid})

    def watch(self, seconds: float) -> tuple[list[float], Usage]:
        """The memory once a second."""
        span, until, memory = self.span(), time.monotonic() + seconds, [self.memory()]
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 1))
            memory.append(self.memory())
        return memory, span.end()

    def waits(self, since: float, until: float) -> Waits:
        begun = self.stream.begun
        row = sorted((at - begun[id_]) * 1e3 for path, id_, at, _ in self.good.taken() if since <= begun[id_] < until)
        return Waits(row[len(row) // 2], row[len(row) * 99 // 100], row[-1])

    def settle(self) -> None:
        """Every event has been told to every channel."""
        self.stream.end()
        n = len(self.stream.begun)
        wait_until("what is for the good channels", lambda: self.good.count() >= n * len(GOOD), 60, self.sink)
        wait_until("what is for the other", lambda: len({id_ for id_, _ in self.down.all_told()}) >= n, 60, self.sink)

    def check_good(self) -> None:
        told = Counter((path, id_) for path, id_, _, _ in self.good.taken())
        assert len(told) == len(self.stream.begun) * len(GOOD) and set(told.values()) == {1}, f"{len(told)} deliveries of {len(self.stream.begun)} events"


def without(kafka: Kafka, directory: Path, seconds: int, rate: int) -> Found:
    with Trial(kafka, directory, "outage-none", rate) as trial:
        since = time.monotonic()
        memory, usage = trial.watch(seconds)
        until = time.monotonic()
        trial.settle()
        trial.check_good()
        found = Found(usage, trial.waits(since, until), memory, memory_mb(trial.sink.pid, "VmHWM"))
    found.tell("without a fault")
    return found


def out_of_order(told: list[tuple[str, float]]) -> int:
    """Deliveries of a node behind a later one of it."""
    last: dict[int, int] = defaultdict(lambda: -1)
    wrong = 0
    for id_, _ in sorted(told, key=lambda one: one[1]):
        number = int(id_)
        wrong += number < last[number % 200]
        last[number % 200] = max(number, last[number % 200])
    return wrong


def tell_repair(trial: Trial, since: float, repaired: float, direct: float, usage: Usage, peak_mb: float) -> None:
    told = trial.down.all_told()
    parked = int(trial.metric("klaxon_sink_parked_total"))
    late = [at for id_, at in told if at >= repaired and since <= trial.stream.begun[id_] < repaired]
    again = sum(n - 1 for n in Counter(id_ for id_, _ in told).values())
    wrong = out_of_order([one for one in told if one[1] >= repaired])
    seconds = max(late) - min(late)
    print(f"    after it: {parked:,} were parked, {len(late):,} of the outage came; the first after {min(late) - repaired:.1f} s, all within "
          f"{seconds:.1f} s more ({len(late) / seconds:,.0f}/s), told directly again after {direct - repaired:.1f} s; {again} twice, {wrong} out of order\n"
          f"    the others meanwhile: {trial.waits(repaired, direct)}, while they came {trial.waits(min(late), max(late))}; "
          f"memory at most {peak_mb:.1f} MB, {trial.memory():.1f} at last; others used {usage.others:.0%}", flush=True)
    assert wrong == 0, "the order of a node's events is not kept"


def with_fault(kafka: Kafka, directory: Path, fault: str, seconds: int, rate: int) -> Found:
    with Trial(kafka, directory, f"outage-{fault}", rate) as trial:
        since = time.monotonic()
        trial.down.be(FAULTS[fault])
        memory, usage = trial.watch(seconds)
        peak_mb = memory_mb(trial.sink.pid, "VmHWM")
        trial.down.be("200 OK")
        repaired, span = time.monotonic(), trial.span()
        wait_until("it is told directly", lambda: trial.metric("klaxon_sink_parking") == 0, AFTER_SECONDS + seconds, trial.sink)
        direct = time.monotonic()
        after = span.end()
        trial.settle()
        trial.check_good()
        found = Found(usage, trial.waits(since, repaired), memory, peak_mb)
        found.tell(fault)
        tell_repair(trial, since, repaired, direct, after, memory_mb(trial.sink.pid, "VmHWM"))
    return found


def outage(kafka: Kafka, directory: Path, faults: list[str], seconds: int, rate: int) -> None:
    print(f"outage: {rate} events/s to three channels, one of them down for {seconds} s; from the producer's call to the whole request", flush=True)
    good = without(kafka, directory, seconds, rate)
    for fault in faults:
        found = with_fault(kafka, directory, fault, seconds, rate)
        print(f"    p99 of the others, against the run without a fault: {found.meanwhile.p99 / good.meanwhile.p99:.2f}", flush=True)
