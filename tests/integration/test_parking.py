"""Parking on klaxon.retry: a channel that fails, or is too slow, holds up nobody, loses nothing and keeps its order, whatever dies meanwhile."""
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Kafka, Record, read_committed
from sink_process import Events, new_prefix, values
from stage import Slack
from test_sink import World

WITHOUT = ["kubernetes", "nodes", "deliveries", "dlq"]


class Parked(World):
    def retry(self) -> list[Record]:
        return read_committed(self.sink.kafka.bootstrap, self.sink.topic("retry"))

    def circuit(self, channel: str) -> dict:
        """The last that klaxon.control has."""
        found = [json.loads(r.value) for r in read_committed(self.sink.kafka.bootstrap, self.sink.topic("control")) if r.key == f"circuit/{channel}".encode()]
        return found[-1] if found else {}

    def wait_parked(self, channel: str, count: int, seconds: float = 30) -> None:
        self.sink.wait(f"{count} parked", lambda: self.sink.metric("klaxon_sink_parked_total", channel=channel) >= count, seconds)

    def wait_closed(self, channel: str, seconds: float = 30) -> None:
        self.sink.wait("closed", lambda: self.circuit(channel).get("state") == "closed", seconds)

    def repair(self, *processes: object) -> None:
        self.slack.faults.clear()
        for process in processes or (self.sink,):
            process.signal(signal.SIGHUP)


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> Iterator[Parked]:
    made = Parked(binaries, tmp_path, kafka, slack)
    yield made
    for sink in (made.sink, made.second):
        sink.kill()
        print(sink.log.read_text() if sink.log.exists() else "no log")


def test_a_broken_channel_is_parked_and_drained_in_order(world: Parked) -> None:
    ids = [f"e{i:02}" for i in range(8)]
    world.configure("gone", "good")
    world.slack.fault(hook="gone", error="no_service", times=0)
    world.events.put(*ids[:3])
    world.sink.start()
    assert world.wait_told("good", 3) == ids[:3]
    world.wait_parked("gone", 3)
    world.events.put(*ids[3:])
    assert world.wait_told("good", 8) == ids
    world.wait_parked("gone", 8)
    world.sink.wait("settled", lambda: world.sink.metric("klaxon_sink_unsettled_records") == 0)
    assert "its deliveries are parked on klaxon.retry since" in world.sink.text("readyz")
    log = world.sink.log.read_text()
    assert log.count("deliveries of a channel are parked on klaxon.retry until it takes them again") == 1
    records = world.retry()
    assert [r.header("ce_id") for r in records] == ids and {r.key for r in records} == {b"gone"}
    assert json.loads(records[0].value)["summary"] == "This is e00."
    first = records[0]
    assert (first.header("klaxon-sink"), first.header("klaxon-team"), first.header("klaxon-reason")) == ("slack", "team-gone", "news")
    assert first.header("klaxon-original-topic") == world.prefix + "nodes" and first.header("klaxon-severity") == "warning"
    assert [r.header("klaxon-original-offset") for r in records] == [str(i) for i in range(8)]
    assert world.circuit("gone")["state"] == "open" and world.circuit("gone")["reason"] == "no_service"
    world.repair()
    assert world.wait_told("gone", 8) == ids
    world.wait_closed("gone")
    assert world.circuit("gone")["drainedTo"] == {"partition": 0, "offset": 7}
    world.sink.wait("direct", lambda: world.sink.metric("klaxon_sink_parking", channel="gone") == 0)
    world.events.put("after")
    assert world.wait_told("gone", 9)[-1] == "after"
    assert len(world.retry()) == 8  # told directly
    assert world.sink.stop() == 0
    receipts = [r for r in world.sink.receipts() if r["channel"] == "gone"]
    assert [r["event"] for r in receipts] == ids + ["after"] and {r["reason"] for r in receipts} == {"delivered"}
    assert receipts[0]["attempts"] >= 1 and (receipts[0]["topic"], receipts[0]["offset"]) == (world.prefix + "nodes", 0)
    assert world.told("good") == ids + ["after"] and world.sink.dead_letters() == []


def test_a_failing_channel_is_parked_with_what_was_tried(world: Parked) -> None:
    world.configure("bad", "good", park_after="1s")
    world.slack.fault(hook="bad", status=503, times=0)
    world.sink.start()
    world.sink.wait_ready()
    world.events.put("a", "b")
    world.wait_parked("bad", 2)
    first, second = world.retry()
    assert (first.header("klaxon-verdict"), first.header("klaxon-code")) == ("retry_backoff", "http_503")
    assert int(first.header("klaxon-attempts")) >= 1
    assert re.match(r"20..-..-..T", first.header("klaxon-first-attempt")) and first.header("klaxon-parked-since") > first.header("klaxon-first-attempt")
    assert second.header("klaxon-attempts") is None and second.header("ce_id") == "b"
    world.repair()
    assert world.wait_told("bad", 2) == ["a", "b"]
    world.wait_closed("bad")
    assert world.sink.stop() == 0
    [a, b] = [r for r in world.sink.receipts() if r["channel"] == "bad"]
    assert a["attempts"] > int(first.header("klaxon-attempts")) and a["firstAttempt"] == first.header("klaxon-first-attempt")
    assert world.told("good") == ["a", "b"]


def test_killed_while_parked(world: Parked) -> None:
    """What is parked outlives the process, and the next one tells it before anything newer."""
    ids = [f"e{i:02}" for i in range(6)]
    world.configure("gone", "good")
    world.slack.fault(hook="gone", error="no_service", times=0)
    world.events.put(*ids)
    world.sink.start()
    world.wait_parked("gone", 6)
    assert world.wait_told("good", 6) == ids
    world.sink.wait("committed", lambda: world.sink.committed("nodes") == 6)
    world.sink.kill()
    world.events.put("new")
    world.sink.start()
    assert world.wait_told("good", 7)[-1] == "new"
    world.wait_parked("gone", 1)  # behind the others
    world.repair()
    assert world.wait_told("gone", 7) == ids + ["new"]
    world.wait_closed("gone")
    assert world.sink.stop() == 0
    assert len(world.told("good")) == 7 and len(world.told("gone")) == 7


def test_killed_while_it_is_drained(world: Parked) -> None:
    ids = [f"e{i:02}" for i in range(12)]
    world.configure("gone", "good")
    world.slack.fault(hook="gone", error="no_service", times=0)
    world.events.put(*ids)
    world.sink.start()
    world.wait_parked("gone", 12)
    world.repair()
    world.wait_told("gone", 4)
    world.sink.kill()
    world.sink.start()
    world.slack.messages.wait("all", lambda _: ids[-1] in world.told("gone"), 60)
    told = world.told("gone")
    assert list(dict.fromkeys(told)) == ids, told
    assert len(told) <= 12 + 3, told  # what was under way, and what the last second had not written down
    world.wait_closed("gone")
    assert world.sink.stop() == 0


def test_channels_of_one_partition_do_not_wait_for_each_other(world: Parked) -> None:
    ids = [f"e{i:02}" for i in range(10)]
    world.configure("dead", "sick", "good", queue=8)  # two of each in memory
    for hook in ("dead", "sick"):
        world.slack.fault(hook=hook, error="no_service", times=0)
    world.events.put(*ids)
    world.sink.start()
    world.wait_parked("dead", 10)
    world.wait_parked("sick", 10)
    assert world.wait_told("good", 10) == ids
    world.slack.faults.clear()
    world.slack.fault(hook="dead", error="no_service", times=0)
    world.sink.signal(signal.SIGHUP)
    assert world.wait_told("sick", 10, 60) == ids
    world.wait_closed("sick")
    assert world.told("dead") == [] and world.circuit("dead")["state"] == "open"
    assert world.sink.metric("klaxon_sink_parked_in_hand") <= 2
    world.repair()
    assert world.wait_told("dead", 10, 60) == ids
    world.wait_closed("dead")
    assert len(world.told("sick")) == 10
    assert world.sink.stop() == 0


def test_a_slow_channel_is_parked_and_holds_up_nobody(world: Parked) -> None:
    ids = [f"e{i:02}" for i in range(30)]
    world.configure("slow", "good", queue=4)
    world.slack.fault(hook="slow", delay=3, times=0)
    world.sink.start()
    world.sink.wait_ready()
    world.events.put(*ids)
    assert world.wait_told("good", 30, 60) == ids  # one a second
    assert len(world.told("slow")) < 30
    assert world.sink.metric("klaxon_sink_parked_total", channel="slow") > 0
    world.slack.faults.clear()
    assert world.wait_told("slow", 30, 90) == ids
    assert world.sink.stop() == 0
    assert len(world.told("slow")) == 30 and len(world.told("good")) == 30


def test_a_channel_that_is_not_alone_any_more_holds_up_nobody(world: Parked) -> None:
    ids = [f"e{i:02}" for i in range(14)]
    world.configure("slow", queue=4)
    world.slack.fault(hook="slow", delay=4, times=0)
    world.sink.start()
    world.sink.wait_ready()
    world.configure("slow", "good", queue=4)
    world.sink.wait("read again", lambda: "the configuration was read again" in world.sink.log.read_text())
    world.events.put(*ids)
    assert world.wait_told("good", 14, 30) == ids  # one a second
    assert world.sink.metric("klaxon_sink_parked_total", channel="slow") > 0
    world.slack.faults.clear()
    assert world.wait_told("slow", 14, 60) == ids
    assert world.sink.stop() == 0


def test_two_replicas_keep_the_order(world: Parked, kafka: Kafka) -> None:
    """Each has a partition of events; whoever owns that of klaxon.retry tells what both have parked."""
    kafka.create_topic(world.prefix + "scaling", 1)
    world.configure("ops", "good")
    text = world.sink.config.read_text().replace('["nodes"]', '["nodes", "scaling"]')
    world.sink.config.write_text(text)
    world.second.config.write_text(text.replace(world.sink.url.removeprefix("http://"), world.second.url.removeprefix("http://")))
    world.slack.fault(hook="ops", error="no_service", times=0)
    world.sink.start()
    world.second.start()
    world.sink.wait_ready()
    world.second.wait_ready()
    world.events.put("n0", "n1", "n2", topic="nodes")
    world.events.put("s0", "s1", "s2", topic="scaling")
    world.wait_told("good", 6)
    parked = lambda: sum(p.metric("klaxon_sink_parked_total", channel="ops") for p in (world.sink, world.second))
    world.sink.wait("parked", lambda: parked() == 6)
    world.sink.kill()  # and with it its partitions, for session.timeout.ms
    world.events.put("n3", topic="nodes")
    world.events.put("s3", topic="scaling")
    world.slack.messages.wait("good", lambda _: {"n3", "s3"} <= set(world.told("good")), 40)
    world.repair(world.second)
    world.slack.messages.wait("all", lambda _: len(set(world.told("ops"))) == 8, 60)
    told = world.told("ops")
    for letter in "ns":
        assert [one for one in dict.fromkeys(told) if one[0] == letter] == [f"{letter}{i}" for i in range(4)], told
    assert len(told) <= 8 + 2, told
    world.wait_closed("ops")
    world.sink.start()  # a rebalance with everything well: told directly, and once
    world.sink.wait_ready()
    world.events.put("n4", topic="nodes")
    world.events.put("s4", topic="scaling")
    world.slack.messages.wait("all", lambda _: {"n4", "s4"} <= set(world.told("ops")), 60)
    assert len(world.told("ops")) == len(told) + 2
    assert world.sink.stop() == 0 and world.second.stop() == 0


def test_an_orderly_stop_repeats_nothing(world: Parked) -> None:
    """What a slow channel has not been told is parked, so the others' place is kept."""
    ids = [f"e{i}" for i in range(6)]
    world.configure("bad", "good")
    world.slack.fault(hook="bad", status=503, times=0)
    world.sink.start()
    world.sink.wait_ready()
    world.events.put(*ids)
    assert world.wait_told("good", 6) == ids
    assert world.sink.metric("klaxon_sink_parked_total") == 0  # park_after is 30 s
    assert world.sink.stop() == 0
    assert "told again" not in world.sink.log.read_text()
    assert [r.header("ce_id") for r in world.retry()] == ids
    world.slack.faults.clear()
    world.sink.start()
    assert world.wait_told("bad", 6) == ids
    world.wait_closed("bad")
    world.events.put("more")
    assert world.wait_told("good", 7) == ids + ["more"]
    assert world.wait_told("bad", 7) == ids + ["more"]
    assert world.sink.stop() == 0


def test_give_up_after_counts_across_parking(world: Parked) -> None:
    world.configure("gone", "good", give_up_after="8s")
    world.sink.start()
    world.sink.wait_ready()
    world.slack.fault(hook="gone", error="no_service", times=0)
    world.events.put("a", "b")
    world.wait_parked("gone", 2)
    world.sink.kill()
    world.sink.start()
    world.sink.wait("given up", lambda: len(world.sink.dead_letters()) == 2, 40)
    letters = world.sink.dead_letters()
    data = values(letters)
    assert [d["event"] for d in data] == ["a", "b"] and {d["reason"] for d in data} == {"gave_up"}
    assert {(d["channel"], d["team"], d["verdict"], d["code"]) for d in data} == {("gone", "team-gone", "destination_broken", "no_service")}
    assert data[0]["original"]["topic"] == world.prefix + "nodes" and data[0]["original"]["headers"]["ce_id"] == "a"
    assert not [name for name in data[0]["original"]["headers"] if name.startswith("klaxon-")]
    assert letters[0].header("__connect.errors.topic") == letters[0].header("klaxon-original-topic") == world.prefix + "nodes"
    assert (letters[0].header("klaxon-channel"), letters[0].header("klaxon-code")) == ("gone", "no_service")
    world.wait_closed("gone")
    assert world.sink.stop() == 0


def test_a_channel_that_is_gone_from_the_configuration(world: Parked) -> None:
    world.configure("gone", "good")
    world.slack.fault(hook="gone", error="no_service", times=0)
    world.events.put("a", "b")
    world.sink.start()
    world.wait_parked("gone", 2)
    assert world.wait_told("good", 2) == ["a", "b"]
    assert world.sink.stop() == 0
    world.configure("good", give_up_after="10s")
    world.sink.start()
    world.sink.wait("said", lambda: "for a channel that is not in the configuration" in world.sink.log.read_text())
    assert "channel gone: not in the configuration, 2 parked" in world.sink.text("readyz")
    world.sink.wait("given up", lambda: len(world.sink.dead_letters()) == 2, 40)
    data = values(world.sink.dead_letters())
    assert [(d["event"], d["channel"], d["reason"], d["code"], d["team"]) for d in data] == [
        (one, "gone", "gave_up", "no_channel", "team-gone") for one in ("a", "b")]
    assert world.sink.stop() == 0


def test_a_record_on_the_topic_that_is_none(world: Parked) -> None:
    world.configure("gone", "good")
    world.slack.fault(hook="gone", error="no_service", times=0)
    world.events.put("a")
    world.sink.start()
    world.wait_parked("gone", 1)
    world.events.put_raw(b"{}", {"klaxon-sink": "slack", "klaxon-channel": "gone"}, topic="retry", key="gone")
    world.events.put_raw(b"{}", {"klaxon-sink": "email", "klaxon-channel": "x"}, topic="retry", key="x")
    world.events.put_raw(b"\xff", {}, topic="retry", key="y")
    world.events.put("b")
    world.wait_parked("gone", 2)
    world.sink.wait("letter", lambda: len(world.sink.dead_letters()) == 1)
    [letter] = values(world.sink.dead_letters())
    assert letter["reason"] == "not_cloudevent" and "lacks the headers of a parked delivery" in letter["answer"]
    world.repair()
    assert world.wait_told("gone", 2) == ["a", "b"]
    world.wait_closed("gone")
    assert world.sink.stop() == 0


@pytest.mark.parametrize("missing", ["retry", "control"])
def test_without_a_topic_reading_pauses_as_before(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack, missing: str) -> None:
    world = Parked(binaries, tmp_path, kafka, slack)
    world.configure("gone", "good", queue=4)
    fresh = new_prefix(kafka, [*WITHOUT, "control" if missing == "retry" else "retry"])
    world.sink.config.write_text(world.sink.config.read_text().replace(world.prefix, fresh))
    world.prefix = world.sink.prefix = fresh
    world.events = Events(kafka, fresh)
    slack.fault(hook="gone", error="no_service", times=0)
    world.events.put(*[f"e{i}" for i in range(9)])
    world.sink.start()
    try:
        world.sink.wait("a pause", lambda: world.sink.metric("klaxon_sink_paused") == 1)
        assert world.sink.metric("klaxon_sink_queue_deliveries", channel="gone") == 4
        assert f"nothing can be parked: the topic {fresh}{missing} does not exist" in world.sink.text("readyz")
        assert "a channel that fails stops reading when its queue is full" in world.sink.log.read_text()
        world.repair(world.sink)
        assert world.wait_told("gone", 9) == [f"e{i}" for i in range(9)]
        slack.fault(hook="gone", error="no_service", times=0)
        kafka.create_topic(fresh + missing)  # it is looked for again: every 30 s, and the group shares a new partition out
        world.events.put("late")
        world.sink.wait("parked", lambda: world.sink.metric("klaxon_sink_parked_total", channel="gone") == 1, 60)
        world.repair(world.sink)
        assert world.wait_told("gone", 10)[-1] == "late"
        assert world.sink.stop() == 0
    finally:
        world.sink.kill()
        print(world.sink.log.read_text())
