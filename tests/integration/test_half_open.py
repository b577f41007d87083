"""Connections that die without a word: the real collector, a wire that misbehaves, the real API server and a real Kafka.

Each test ends with every Event exactly once, with one list of the Events (the first one) and without a gap.
"""
import json
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from cluster import ApiServer, Kafka, read_committed
from cluster.objects import involved, new_event
from cluster.process import wait_until
from conftest import Collector
from stage import Wire

EVERY = 1.0
SLACK = 1.5  # of a busy machine
SILENT = "the watch is dead: its canary has not come back"


class World:
    def __init__(self, collector: Collector, wire: Wire, kafka: Kafka, api: ApiServer):
        self.collector, self.wire, self.kafka, self.client = collector, wire, kafka, api.new_client()
        self.made: list[tuple[str, str]] = []

    def event(self) -> None:
        made = self.client.create_event(new_event(involved("Pod", f"p-{uuid.uuid4().hex[:8]}", "default"), "Created", "m", "test", "Create"))
        self.made.append((made["metadata"]["uid"], made["metadata"]["resourceVersion"]))

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.collector.log.read_text().splitlines()]

    def said(self, text: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if text in line["message"]]

    def metric(self, name: str, source: str = "") -> float:
        text = requests.get(f"{self.collector.url}/metrics", timeout=5).text
        found = re.search(rf'^{name}{{cluster="[^"]*"{f",source=.{source}." if source else ""}}} (\S+)$', text, re.M)
        return float(found[1]) if found else 0.0

    def ready(self) -> requests.Response:
        return requests.get(f"{self.collector.url}/readyz", timeout=5)

    def wait_seen(self) -> None:
        """A canary has come back on the stream of now."""
        before = self.metric("klaxon_canary_round_trip_seconds_count")
        wait_until("a canary", lambda: self.metric("klaxon_canary_round_trip_seconds_count") > before)

    def wait_found(self, since: float) -> float:
        wait_until("the death is found", lambda: bool(self.said(SILENT)), 3 * EVERY + 10)
        return time.monotonic() - since

    def seen(self) -> Counter:
        events = (json.loads(r.value).get("event") for r in read_committed(self.kafka.bootstrap, self.collector.topic("kubernetes")))
        return Counter((e["uid"], e["resourceVersion"]) for e in events if e)

    def check(self) -> None:
        self.event()
        wait_until("all Events", lambda: not set(self.made) - set(self.seen()), 30)
        seen = self.seen()
        assert {pair: seen[pair] for pair in self.made if seen[pair] != 1} == {}
        types = Counter(r.header("ce_type") for r in read_committed(self.kafka.bootstrap, self.collector.topic("kubernetes")))
        assert types["io.klaxon.watch.gap"] == 0
        assert not [r for r in read_committed(self.kafka.bootstrap, self.collector.topic("kubernetes")) if b"KlaxonCanary" in r.value]
        assert self.metric("klaxon_watch_lists_total", "events") == 1
        wait_until("ready again", lambda: self.ready().status_code == 200)


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, api: ApiServer, request: pytest.FixtureRequest) -> Iterator[World]:
    name = f"half-open-{uuid.uuid4().hex[:8]}"
    with Wire(int(api.url.rsplit(":", 1)[1])) as wire:
        kubeconfig = api.write_kubeconfig(tmp_path / "kubeconfig", server=f"https://127.0.0.1:{wire.port}")
        collector = Collector(binaries, tmp_path, kafka, kubeconfig, name, f"canary: {{ every: {EVERY:g}s }},", "events: {}")
        collector.topics(kafka)
        collector.start()
        made = World(collector, wire, kafka, api)
        try:
            wait_until("it runs", lambda: "listening" in collector.log.read_text())
            made.wait_seen()
            made.event()
            yield made
            assert collector.stop() == 0
        finally:
            collector.kill()
            print(collector.log.read_text())


@pytest.mark.parametrize("deaf", [True, False], ids=["stops", "acks-only"])
def test_a_connection_that_forwards_nothing_is_found_in_three_periods(world: World, deaf: bool) -> None:
    world.wait_seen()
    began = time.monotonic()
    world.wire.stall(deaf=deaf)
    world.event()
    assert world.wait_found(began) < 3 * EVERY + SLACK
    world.check()
    assert world.metric("klaxon_canary_misses_total") == 1 and len(world.said("connected again")) == 1


def test_an_api_server_out_of_reach_is_found_and_said(world: World) -> None:
    world.wait_seen()
    began = time.monotonic()
    world.wire.stall(new=True)
    assert world.wait_found(began) < 3 * EVERY + SLACK
    world.event()
    assert world.ready().status_code == 503
    world.wire.heal()
    world.check()


@pytest.mark.parametrize("break_it", [Wire.half_close, Wire.reset, lambda wire: wire.cut(100)], ids=["half-closed", "reset", "cut"])
def test_a_connection_that_ends_badly_resumes_at_once(world: World, break_it: Callable[[Wire], None]) -> None:
    world.event()
    break_it(world.wire)
    world.event()
    world.check()
    assert world.said(SILENT) == []


def test_what_comes_late_comes(world: World) -> None:
    before = world.metric("klaxon_canary_round_trip_seconds_sum")
    world.wire.delay = EVERY / 2
    for _ in range(3):
        world.event()
        world.wait_seen()
    assert world.metric("klaxon_canary_round_trip_seconds_sum") - before > EVERY / 2
    world.check()
    assert world.said(SILENT) == []


def test_an_api_server_that_stands_still(world: World, api: ApiServer) -> None:
    world.wait_seen()
    began = time.monotonic()
    api.pause()
    try:
        assert world.wait_found(began) < 3 * EVERY + SLACK
        assert world.ready().status_code == 503
    finally:
        api.resume()
    world.check()


def test_a_collector_that_stood_still_blames_nobody(world: World) -> None:
    world.wait_seen()
    world.collector.process.send_signal(19)  # SIGSTOP
    time.sleep(5 * EVERY)  # the time that is lost is the point
    world.event()
    world.collector.process.send_signal(18)
    world.check()
    assert world.said(SILENT) == []


def canaries(world: World) -> dict[str, int]:
    """Name → version, of all collectors that were ever here."""
    items = world.client.list("/api/v1/namespaces/default/events", fieldSelector="reason=KlaxonCanary")["items"]
    return {one["metadata"]["name"]: int(one["metadata"]["resourceVersion"]) for one in items}


def test_the_place_moves_on_a_quiet_cluster(world: World, kafka: Kafka, api: ApiServer) -> None:
    """The watch resumes where the last canary was: what is compacted before that is no gap."""
    world.check()
    world.wait_seen()
    assert world.collector.stop() == 0  # what waits for company goes with the last commit
    last = max(canaries(world).values())
    for _ in range(3):
        world.event()
    api.compact(last)
    world.collector.start()
    wait_until("it runs", lambda: world.collector.log.read_text().count("listening") == 2)
    wait_until("all Events", lambda: not set(world.made) - set(world.seen()), 30)
    world.wait_seen()
    assert world.metric("klaxon_watch_lists_total", "events") == 0


def test_one_event_whatever_restarts(world: World) -> None:
    before = canaries(world)
    world.collector.kill()
    world.collector.start()
    wait_until("it runs", lambda: world.collector.log.read_text().count("listening") == 2)
    world.wait_seen()
    after = canaries(world)
    assert set(after) == set(before) and sum(after[name] != before[name] for name in after) == 1
    for name in after:  # their hour is over
        world.client.request("DELETE", f"/api/v1/namespaces/default/events/{name}")
    world.wait_seen()
    assert len(canaries(world)) == 1
    assert re.search(r"^canary [\w-]+: seen .* ago, after \d+ ms$", world.ready().text, re.M)
