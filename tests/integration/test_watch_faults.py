"""Every way in which a watch can fail, one at a time: the real collector between the stage's API server and a real Kafka.

Each test ends with `world.check()`: every version of every Event that the server had is on the topic exactly once, with so many gaps.
"""
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from cluster import Kafka, Record, read_committed
from cluster.objects import involved, new_event, node as make_node
from cluster.process import wait_until
from conftest import Collector
from event_schema import assert_as_described
from stage import Keys, Kube, Proxy, Scenario

GAP = "io.klaxon.watch.gap"
SOON = 15.0


class World:
    """A stage of its own, and a collector that watches it."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, name: str, kube: Kube):
        self.binaries, self.dir, self.kafka, self.name, self.kube = binaries, directory, kafka, name, kube
        self.versions: list[tuple[str, str]] = []  # what must be on the topic
        self.collector: Collector | None = None

    def begin(self, settings: str = "", kubeconfig: Path | None = None, watching: bool = True, canary: str = "false") -> Collector:
        """Starts the collector, and waits until it watches. Without a canary, whose Event would be one more, unless one is asked for."""
        path = kubeconfig or self.kube.write_kubeconfig(self.dir / "kubeconfig")
        self.collector = Collector(self.binaries, self.dir, self.kafka, path, self.name, f"{settings} canary: {canary},")
        self.collector.topics(self.kafka)
        self.collector.start()
        if watching:
            self.kube.wait_watching("events", "nodes")
        return self.collector

    def restart(self) -> None:
        """kill -9, and the next start."""
        self.collector.kill()
        self.collector.start()

    def event(self, name: str, message: str = "m", **more: Any) -> dict[str, Any]:
        made = self.kube.put(pod_event(name, message) | more)
        self.versions.append((made["metadata"]["uid"], made["metadata"]["resourceVersion"]))
        return made

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.collector.log.read_text().splitlines()]

    def wait_log(self, text: str, timeout: float = SOON) -> dict[str, Any]:
        """The first line of the log that has this text."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [line for line in self.log() if text in line["message"]]
            return bool(found)
        wait_until(f"{text!r} in the log", there, timeout)
        return found[0]

    def records(self, topic: str = "kubernetes") -> list[Record]:
        return read_committed(self.kafka.bootstrap, self.collector.topic(topic))

    def gaps(self, source: str = "events") -> list[dict[str, Any]]:
        values = [json.loads(r.value) for r in self.records() if r.header("ce_type") == GAP]
        return [gap for gap in values if gap["object"]["name"] == source]

    def seen(self) -> Counter:
        events = [json.loads(r.value)["event"] for r in self.records() if r.header("ce_type") != GAP]
        return Counter((event["uid"], event["resourceVersion"]) for event in events)

    def resynced(self) -> list[str]:
        """The names of the objects that a list brought, without the one that check() makes."""
        values = [json.loads(r.value) for r in self.records() if r.header("ce_resync") == "true"]
        return [value["object"]["name"] for value in values if value["object"]["name"] != "zz-last"]

    def check(self, gaps: int = 0, timeout: float = SOON) -> list[dict[str, Any]]:
        """A last Event has arrived, and so everything before it: each version once, and nothing else."""
        last = self.event("zz-last", str(time.time()))["metadata"]  # the last one of a list, too
        wait_until("the last Event on the topic", lambda: (last["uid"], last["resourceVersion"]) in self.seen(), timeout)
        seen = self.seen()
        assert {pair: n for pair, n in seen.items() if n != 1} == {}, "twice"
        assert set(self.versions) - set(seen) == set(), "lost"
        found = self.gaps()
        assert len(found) == gaps, found
        return found

    def ready(self) -> int:
        return requests.get(f"{self.collector.url}/readyz", timeout=5).status_code


def pod_event(name: str, message: str = "m") -> dict[str, Any]:
    return new_event(involved("Pod", name, "default"), "Created", message, "kubelet", "Create") | {
        "metadata": {"name": f"{name}.1", "namespace": "default"}}


@contextmanager
def world_of(kube: Kube, binaries: Path, directory: Path, kafka: Kafka, request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(binaries, directory, kafka, re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:50].strip("-"), kube)
    with kube:
        try:
            yield made
            if made.collector is not None and made.collector.process is not None:
                assert made.collector.stop() == 0
            if made.collector is not None:
                assert_as_described(kafka, made.collector.prefix)
        finally:
            if made.collector is not None:
                made.collector.kill()
                print(made.collector.log.read_text())
            print(*kube.requests.all()[-30:], sep="\n")


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, request: pytest.FixtureRequest) -> Iterator[World]:
    with world_of(Kube(), binaries, tmp_path, kafka, request) as made:
        yield made


@pytest.fixture
def secure(binaries: Path, tmp_path: Path, kafka: Kafka, keys: Keys, request: pytest.FixtureRequest) -> Iterator[World]:
    """HTTPS, and a token is asked for."""
    with world_of(Kube(keys, token="s3cret-right"), binaries, tmp_path, kafka, request) as made:
        yield made


# lists

def test_a_long_list_comes_in_pages_each_object_once(world: World) -> None:
    for i in range(6000):
        world.event(f"pod-{i:05}", "x" * 200)
    world.begin()
    pages = world.kube.asked("list", "events") + world.kube.asked("continue", "events")
    assert len(pages) == 12 and {page.query["limit"] for page in pages} == {"500"}
    world.check()
    assert {r.header("ce_resync") for r in world.records()} == {"true", None}


@pytest.mark.parametrize("fault", [{"status": 503}, {"cut": "reset"}, {"status": 429, "retry_after": 1}], ids=["503", "reset", "429"])
def test_a_page_that_fails_is_asked_for_again(world: World, fault: dict) -> None:
    for i in range(1200):
        world.event(f"pod-{i:05}")
    world.kube.fault(verb="continue", resource="events", **fault)
    world.begin()
    first, again, last = world.kube.asked("continue", "events")
    assert first.query["continue"] == again.query["continue"] != last.query["continue"]
    assert len(world.kube.asked("list", "events")) == 1
    world.check()


def test_a_list_that_expires_on_the_way_begins_again_and_repeats_nothing(world: World) -> None:
    for i in range(1200):
        world.event(f"pod-{i:05}")
    world.kube.fault(verb="continue", resource="events", status=410)
    world.begin(watching=False)
    world.kube.wait_asked("continue", "events", 1)
    world.event("pod-00001", "changed between the passes")
    world.kube.wait_watching("events")
    assert len(world.kube.asked("list", "events")) == 2
    world.check()


def test_a_list_survives_the_process(world: World) -> None:
    for i in range(1700):
        world.event(f"pod-{i:05}")
    world.begin("dead_after: 10s,", watching=False)
    wait_until("the first page on the topic", lambda: len(world.seen()) >= 500)
    world.collector.stop()
    world.kube.fault(verb="continue", resource="events", cut="hang")
    world.collector.start()
    world.kube.wait_asked("continue", "events", 1)
    world.event("pod-00002", "changed meanwhile")
    world.restart()
    world.kube.wait_watching("events")
    world.check()


def test_a_list_that_drips_or_hangs(world: World) -> None:
    for i in range(20):
        world.event(f"pod-{i:05}")
    world.kube.fault(verb="list", resource="events", cut="hang")
    world.kube.fault(verb="list", resource="events", split=97, delay=0.005)
    world.begin("dead_after: 2s,")
    world.check()
    assert "the API server did not answer in time" in world.wait_log("did not answer")["message"]


def test_a_page_too_large_to_hold_is_asked_for_in_parts(world: World) -> None:
    for i in range(36):
        world.event(f"pod-{i:05}", "x" * 2_000_000)
    world.begin()
    assert world.wait_log("larger than allowed")
    assert [int(one.query["limit"]) for one in world.kube.asked("list", "events")] == [500, 62, 7]
    world.check()


# the stream's ends

def test_clean_ends_resume_where_they_were(world: World) -> None:
    world.begin()
    for i in range(5):
        made = world.event(f"pod-{i}")
        world.kube.stream("end", "events")
        world.kube.wait_asked("watch", "events", 2 + i)
        assert world.kube.asked("watch", "events")[-1].query["resourceVersion"] == made["metadata"]["resourceVersion"]
    world.check()
    assert len(world.kube.asked("list", "events")) == 1
    assert not [line for line in world.log() if line["level"] != "info" and "source" in line]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_connection_that_breaks_is_made_again(world: World, how: str) -> None:
    world.begin()
    world.event("before")
    world.kube.stream(how, "events")
    world.event("meanwhile")
    world.kube.wait_asked("watch", "events", 2)
    world.check()
    world.wait_log("connected again")
    assert world.ready() == 200


def test_a_bookmark_is_where_the_next_start_resumes(world: World) -> None:
    world.kube.put(make_node("aks-1"))
    world.begin()
    world.event("before")
    world.kube.store.tick(4000)
    world.kube.stream("bookmark", "nodes")
    world.kube.stream("end", "nodes")
    marked = world.kube.wait_asked("watch", "nodes", 2)[-1].query["resourceVersion"]
    assert int(marked) > 5000
    assert world.collector.stop() == 0
    world.kube.compact(int(marked), "nodes")
    world.collector.start()
    assert world.kube.wait_asked("watch", "nodes", 3)[-1].query["resourceVersion"] == marked
    world.check()
    assert not world.gaps("nodes")


def test_a_quiet_watch_does_not_fall_behind_a_compaction(world: World) -> None:
    world.kube.store.tick(1000)
    world.begin("dead_after: 8s,")
    world.kube.store.tick(1000)  # nobody's Events, but time goes on
    world.kube.wait_asked("list", "events", 2)  # the collector notes the server's version
    world.kube.store.tick(10)
    world.kube.compact(3000)
    world.kube.wait_asked("watch", "events", 2)
    assert int(world.kube.asked("watch", "events")[1].query["resourceVersion"]) >= 3000
    world.check()


def test_a_quiet_watch_without_bookmarks_does_not_either(world: World) -> None:
    """Of nodes, of a server without a watch cache."""
    world.kube.bookmark_every = None
    world.kube.store.tick(1000)
    world.begin("dead_after: 8s,")
    world.kube.store.tick(1000)
    world.kube.wait_asked("list", "nodes", 2)
    world.kube.store.tick(10)
    world.kube.compact(3000)
    assert int(world.kube.wait_asked("watch", "nodes", 2)[1].query["resourceVersion"]) >= 3000
    world.check()
    assert not world.gaps("nodes")


def test_a_silent_watch_is_not_taken_for_a_quiet_one(world: World) -> None:
    world.begin("dead_after: 5s,")
    world.kube.stream("silent", "events")
    world.event("unheard")
    world.kube.wait_asked("list", "events", 2)
    world.check()
    assert world.wait_log("the watch went silent")


def test_half_open_is_found_by_the_deadline(world: World) -> None:
    world.begin("dead_after: 2s,")
    world.event("before")
    world.kube.stream("silent", "events")
    world.event("unheard")
    world.kube.fault(verb="watch", resource="events", cut="hang")  # nor does the next one say a word
    started = time.monotonic()
    world.check()
    assert time.monotonic() - started < 10
    assert world.wait_log("the watch went silent")["level"] == "warn"


def test_three_missing_bookmarks_are_a_death(world: World) -> None:
    """Where nothing else is written: a watch of nodes, whose bookmarks come every second here."""
    world.kube.bookmark_every = 1
    world.kube.put(make_node("aks-1"))
    world.begin()
    wait_until("bookmarks", lambda: metric(world, "klaxon_transactions_total") >= 1)
    time.sleep(2.5)  # two of them: the period is measured
    started = time.monotonic()
    world.kube.stream("silent", "nodes")
    asked = world.kube.wait_asked("watch", "nodes", 2, timeout=10)
    assert time.monotonic() - started < 6 and len(world.kube.asked("list", "nodes")) == 2  # the first list, and the probe
    assert asked[-1].query["resourceVersion"]
    assert world.wait_log("the watch went silent: three bookmarks are missing")["source"] == "nodes"
    world.check()
    assert not world.gaps("nodes")


@pytest.mark.parametrize("code", [403, 500, 429])
def test_a_canary_that_is_refused_ends_no_watch(world: World, code: int) -> None:
    world.kube.fault(verb="patch", resource="events", status=code, times=0)
    world.begin(canary="{ every: 1s }")
    said = world.wait_log("no canary: the collector may not create and patch" if code == 403 else "the canary cannot be written")
    assert said["level"] == "warn" and said["namespace"] == "default" and said["detail"].startswith(str(code))
    started = time.monotonic()
    wait_until("four periods", lambda: time.monotonic() - started > 4.5)
    answer = requests.get(f"{world.collector.url}/readyz", timeout=5)
    if code == 403:
        assert answer.status_code == 200 and "off: may not be written in namespace default: `klaxon rbac` prints the rule\n" in answer.text
    else:
        assert answer.status_code == 503 and re.search(r"missing for [4-9] s: cannot be written: \d+", answer.text)
    assert len([line for line in world.log() if line["message"] == said["message"]]) == 1
    assert len(world.kube.asked("watch", "events")) == 1
    world.kube.faults.clear()
    world.wait_log("the canary is written again", 30)
    wait_until("ready", lambda: world.ready() == 200)
    world.check()


def test_an_api_server_that_is_away(world: World) -> None:
    world.begin()
    world.event("before")
    world.kube.stop()
    assert "Failed to connect to 127.0.0.1" in world.wait_log("cannot connect to the API server")["detail"]
    assert world.ready() == 503
    world.kube.restart()
    world.check()
    wait_until("ready again", lambda: world.ready() == 200)


# history

def test_expired_in_the_stream_is_one_gap_with_its_bounds(world: World) -> None:
    world.kube.put(make_node("aks-1"))
    world.begin()
    before = world.event("before")
    wait_until("it arrives", lambda: len(world.seen()) == 1)
    world.kube.stream("error", code=410)
    [gap] = world.check(gaps=1)
    assert gap["why"] == "expired" and gap["after"] == before["metadata"]["resourceVersion"]
    assert gap["since"] <= gap["until"]
    assert not world.gaps("nodes") and len(world.kube.asked("list", "nodes")) == 1  # asked again, the server knows
    assert not [r for r in world.records("nodes")]


def test_compacted_while_away_is_one_gap_and_what_is_there_is_news(world: World) -> None:
    world.kube.put(make_node("aks-1"))
    world.kube.put(make_node("aks-2"))
    world.begin()
    world.event("before")
    wait_until("it arrives", lambda: len(world.seen()) == 1)
    world.kube.stop()
    world.event("meanwhile")
    world.event("before", "changed meanwhile")
    world.kube.delete("nodes", "aks-2")
    world.kube.compact()
    world.kube.restart()
    world.check(gaps=1)
    assert sorted(world.resynced()) == ["before", "meanwhile"]
    wait_until("the other watch has listed too", lambda: [r.header("ce_type") for r in world.records("nodes")] == ["io.klaxon.node.removed"])


def test_a_gap_is_told_once_whatever_happens_to_its_list(world: World) -> None:
    for i in range(1200):
        world.event(f"pod-{i:05}")
    world.begin("dead_after: 10s,")
    wait_until("they arrive", lambda: len(world.seen()) == 1200)
    world.kube.fault(verb="list", resource="events", cut="hang")
    world.kube.stream("error", "events", code=410)
    wait_until("the gap is told", lambda: len(world.gaps()) == 1)
    for i in range(700):
        world.event(f"new-{i:05}")
    world.restart()
    world.kube.fault(verb="continue", resource="events", status=410)
    world.check(gaps=1)


def test_versions_that_go_back_are_found(world: World) -> None:
    world.event("kept")
    world.begin()
    world.event("also-kept")
    world.kube.store.tick(10000)
    world.event("late")
    wait_until("they arrive", lambda: len(world.seen()) == 3)
    world.kube.go_back(2000)
    names = ("kept", "also-kept", "late")
    world.versions += [(o["metadata"]["uid"], o["metadata"]["resourceVersion"])
                       for _, o in world.kube.store.list(world.kube.resource("events"))]
    [gap] = world.check(gaps=1)
    assert gap["why"] == "ahead" and int(gap["after"]) > 11000
    assert Counter(world.resynced()) == Counter(names) + Counter(["kept"])  # it was in the first list too


def test_versions_that_went_back_while_nobody_looked(world: World) -> None:
    world.begin()
    world.kube.store.tick(10000)
    world.event("before")
    wait_until("it arrives", lambda: len(world.seen()) == 1)
    world.collector.stop()
    world.kube.delete("events", "before.1")
    world.kube.go_back(2000)
    world.collector.start()
    world.kube.wait_asked("watch", "events", 2)
    [gap] = world.check(gaps=1)
    assert gap["why"] == "ahead"


# refusals

def test_retry_after_is_kept_to(world: World) -> None:
    world.begin()
    world.kube.fault(verb="watch", resource="events", status=429, retry_after=3)
    world.kube.stream("end", "events")
    world.event("meanwhile")
    refused, next_one = world.kube.wait_asked("watch", "events", 3)[1:]
    assert (refused.code, next_one.code) == (429, 200) and 3.0 <= next_one.at - refused.at < 4.5
    assert world.wait_log("429: the API server is overloaded")["retry_ms"] == 3000
    world.check()


@pytest.mark.parametrize("code", [500, 503, 504])
def test_an_error_of_the_server_is_tried_again(world: World, code: int) -> None:
    world.begin()
    world.event("before")
    world.kube.fault(verb="watch", resource="events", status=code)
    world.kube.fault(verb="list", resource="events", status=code)
    world.kube.stream("end", "events")
    world.event("meanwhile")
    assert 0 < world.wait_log("5xx: the API server has an internal error")["retry_ms"] <= 1000
    world.check()
    world.wait_log("connected again")


@pytest.mark.parametrize("code, words, wait_ms", [
    (403, "403: not allowed; `klaxon rbac` prints the rights that are needed", 60000),
    (404, "404: the API server does not have this resource", 30000),
])
def test_a_refusal_is_said_and_not_pressed(world: World, code: int, words: str, wait_ms: int) -> None:
    world.kube.fault(verb="list", resource="nodes", status=code, times=0)
    world.event("before")
    world.begin(watching=False)
    said = world.wait_log(words)
    assert said["retry_ms"] == wait_ms and said["detail"]  # the server's own words
    world.check()  # the other watch goes on
    assert world.ready() == 503 and len(world.kube.asked("list", "nodes")) == 1


def test_a_large_event_is_trimmed_and_told(world: World) -> None:
    """Of a message of 2 MB in control characters, which are six bytes each in JSON, and ten thousand labels, nothing stops a watch."""
    world.begin()
    labels = {"metadata": {"name": "large.1", "namespace": "default", "labels": {f"l{i}": "x" for i in range(10_000)}}}
    world.event("large", "\x01" * 2_000_000, reason="R" * 100_000, **labels)
    world.event("x" * 100_000, "m")
    world.event("after")
    world.check()
    values = [json.loads(r.value) for r in world.records()]
    assert [(value["truncated"], len(value["summary"])) for value in values if "truncated" in value and value["reason"][0] == "R"] == [
        (["summary", "reason"], 16384)]
    assert [value["truncated"] for value in values if value["object"]["name"].startswith("xxx")] == [
        ["object.name", "object.uid"]]  # made of the name, here


def test_a_page_of_large_events_is_told_whole(world: World) -> None:
    """What is needed for one of them is not kept for the next: 500 together are more than there is room for."""
    for i in range(500):
        world.event(f"large-{i}", "password=x " + "m" * 16_000)
    world.begin()
    world.check()
    lengths = {len(value["summary"]) for value in map(json.loads, (r.value for r in world.records())) if value["object"]["name"] != "zz-last"}
    assert lengths == {len("password=*** ") + 16_000}


def test_an_internal_error_of_the_stream_keeps_the_place(world: World) -> None:
    world.begin()
    world.event("before")
    world.kube.stream("error", "events", code=500)
    world.event("meanwhile")
    world.check()


def test_a_token_that_is_rotated_is_read_again(world: World) -> None:
    world.kube.token = "first"
    token = world.dir / "token"
    token.write_text("first\n")
    world.begin(kubeconfig=world.kube.write_kubeconfig(world.dir / "kubeconfig", user={"tokenFile": str(token)}))
    world.event("before")
    world.kube.token = "second"
    token.write_text("second\n")
    world.kube.stream("end")
    world.check()
    assert 401 not in [one.code for one in world.kube.asked("watch")]


def test_a_wrong_token_is_said_without_showing_it(world: World) -> None:
    world.kube.token = "s3cret-right"
    world.begin(kubeconfig=world.kube.write_kubeconfig(world.dir / "kubeconfig", token="s3cret-wrong"), watching=False)
    said = world.wait_log("401: the API server does not accept the credentials")
    assert (said["server"], said["kubeconfig"]) == (world.kube.url, str(world.dir / "kubeconfig"))
    world.kube.token = "s3cret-wrong"
    world.kube.wait_watching("events", "nodes")
    world.check()
    assert "s3cret" not in world.collector.log.read_text()


# frames

def test_a_frame_cut_anywhere_is_seen_once(world: World) -> None:
    world.begin()
    for size in (1, 400):
        world.kube.stream("cut", "events", size=size)
        world.event(f"cut-at-{size}")
        world.kube.wait_asked("watch", "events", 2 if size == 1 else 3)
    world.check()


def test_frames_byte_by_byte(world: World) -> None:
    world.kube.fault(verb="watch", resource="events", split=1)
    world.begin()
    for i in range(50):
        world.event(f"pod-{i}", "ä€💥" * 20)
    world.check()


def test_a_slow_drip(world: World) -> None:
    world.kube.fault(verb="watch", resource="events", split=40, delay=0.01)
    world.begin()
    world.event("slow", "x" * 2000)
    world.check()


def test_objects_of_two_megabytes(world: World) -> None:
    world.event("listed", "a" * 2_000_000)
    world.begin()
    world.event("watched", "b" * 2_000_000)
    world.event("behind")
    world.check()
    sizes = {json.loads(r.value)["object"]["name"]: len(json.loads(r.value)["summary"]) for r in world.records()}
    assert sizes["listed"] == sizes["watched"] == 16384 and sizes["behind"] == 1


@pytest.mark.parametrize("mark, shown", [(rb"\u0000", "a\ufffdb"), (b"\xff\xfe", "a\ufffd\ufffdb"), (b"\xed\xa0\x80", "a\ufffd\ufffd\ufffdb")],
                         ids=["nul", "bytes", "surrogate"])
def test_text_that_is_no_text_stops_nothing(world: World, mark: bytes, shown: str) -> None:
    for name in ("listed", "watched"):
        world.kube.mangle(pod_event(name), lambda text: text.replace(b"MARK", mark))
    world.event("listed", "aMARKb")
    world.begin()
    world.event("watched", "aMARKb")
    world.check()
    summaries = {json.loads(r.value)["object"]["name"]: json.loads(r.value)["summary"] for r in world.records()}
    assert summaries["listed"] == summaries["watched"] == shown
    assert len(world.kube.asked("watch", "events")) == 1


def test_garbage_once_is_read_again(world: World) -> None:
    world.begin()
    world.event("before")
    world.kube.stream("raw", "events", data=b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"77\n')
    world.event("behind")
    world.wait_log("a frame of the watch cannot be read")
    world.check()


def test_garbage_that_stays_is_passed_over_with_a_gap(world: World) -> None:
    world.begin()
    left = [b"garbage", b"garbage"]
    world.kube.mangle(pod_event("bad"), lambda text: left.pop() if left else text)
    world.event("bad")
    [gap] = world.check(gaps=1)
    assert gap["why"] == "unreadable"


# the way there

def test_tls_with_a_token_and_an_episode(secure: World) -> None:
    Scenario(secure.kube, "repair", "aks-1").ensure_node("aks-1")
    secure.begin()
    Scenario(secure.kube, "repair", "aks-1", pace=0.05).run()
    wait_until("the episode", lambda: len(secure.records("nodes")) == 4)
    assert [r.header("ce_phase") for r in secure.records("nodes")] == ["open", "update", "update", "resolved"]
    assert secure.collector.stop() == 0


def test_a_certificate_of_another_authority_is_refused(secure: World) -> None:
    other = Keys(secure.dir / "other")
    kubeconfig = secure.kube.write_kubeconfig(secure.dir / "kubeconfig", **{"certificate-authority": str(other.ca)})
    secure.begin(kubeconfig=kubeconfig, watching=False)
    secure.wait_log("the API server's certificate is not accepted: check certificate-authority")
    assert secure.ready() == 503 and len(secure.kube.requests) == 0


def test_through_a_proxy(secure: World) -> None:
    with Proxy() as proxy:
        proxy.refuse = 407
        kubeconfig = secure.kube.write_kubeconfig(secure.dir / "kubeconfig", **{"proxy-url": proxy.url})
        secure.begin(kubeconfig=kubeconfig, watching=False)
        assert "407" in secure.wait_log("cannot connect to the API server")["detail"]
        proxy.refuse = None
        secure.kube.wait_watching("events", "nodes")
        secure.check()
        assert set(proxy.targets.all()) == {f"127.0.0.1:{secure.kube.url.rsplit(':', 1)[1]}"}


# back-pressure

def peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def metric(world: World, name: str) -> float:
    text = requests.get(f"{world.collector.url}/metrics", timeout=5).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + "{"))


def test_a_broker_that_stands_still_holds_the_watch_and_not_the_memory(world: World, kafka: Kafka) -> None:
    world.begin()
    world.event("before")
    wait_until("it arrives", lambda: len(world.seen()) == 1)
    small = peak_megabytes(world.collector.process.pid)
    kafka.pause()
    try:
        for i in range(6000):
            world.event(f"pod-{i:05}", "x" * 12000)
        wait_until("the watches are paused", lambda: metric(world, "klaxon_publisher_pauses_total") >= 1)
        offered, taken = 72, metric(world, "klaxon_events_total")
        wait_until("nothing more is taken", lambda: metric(world, "klaxon_events_total") == taken)
        grown = peak_megabytes(world.collector.process.pid) - small
    finally:
        kafka.resume()
    assert taken < 2000 and grown < 30, f"{grown:.0f} MB for {taken:.0f} Events, of {offered} MB offered"
    world.check(timeout=30)
