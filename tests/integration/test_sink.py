"""The runtime of the sinks, by the Slack sink between a real Kafka and the stage's Slack."""
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Kafka
from sink_process import Events, Sink, new_prefix, values
from stage import Slack

SENT = re.compile(r"This is (\S+)\.")


class World:
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, slack: Slack):
        self.prefix = new_prefix(kafka)
        self.events = Events(kafka, self.prefix)
        self.slack = slack
        self.sink = Sink(binaries, directory, kafka, self.prefix, "slack")
        self.second = Sink(binaries, directory, kafka, self.prefix, "slack", "second")
        self._directory = directory

    def configure(self, *hooks: str, **process: object) -> None:
        """A channel for each hook, and a subscription for each: everything of `nodes`."""
        channels = {}
        for hook in hooks:
            secret = self._directory / f"{hook}.url"
            secret.write_text(self.slack.new_hook(hook))
            channels[hook] = {"webhook_url": {"file": str(secret)}}
        subscriptions = [{"team": f"team-{hook}", "topics": ["nodes"], "channels": [hook]} for hook in hooks]
        for sink in (self.sink, self.second):
            sink.configure(channels, subscriptions, **process)

    def configure_two(self, topics: str) -> None:
        """The same for a second member; both hear soon that the group shares out anew."""
        text = self.sink.config.read_text().replace('["nodes"]', f"[{topics}]")
        text = text.replace('"session.timeout.ms"', '"heartbeat.interval.ms": "300", "session.timeout.ms"')
        self.sink.config.write_text(text)
        self.second.config.write_text(text.replace(self.sink.url.removeprefix("http://"), self.second.url.removeprefix("http://")))

    def told(self, hook: str) -> list[str]:
        """The ids of the events, in the order in which they came."""
        return [SENT.search(message.text()).group(1) for message in self.slack.of(hook)]

    def wait_told(self, hook: str, count: int, seconds: float = 40) -> list[str]:
        self.slack.messages.wait(f"{count} on {hook}", lambda _: len(self.slack.of(hook)) >= count, seconds)
        return self.told(hook)


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, slack)
    yield made
    for sink in (made.sink, made.second):
        sink.kill()
        print(sink.log.read_text() if sink.log.exists() else "no log")


def test_told_once_with_a_receipt_and_resumed(world: World) -> None:
    world.configure("ops", "dev")
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("ops", 2) == ["a", "b"]
    assert world.wait_told("dev", 2) == ["a", "b"]
    world.sink.wait_settled(2)
    kafka, *channels = world.sink.text("readyz").splitlines()[:3]
    assert kafka == "kafka: reading"
    assert [line.split(";")[0] for line in channels] == ["channel ops: 0 waiting, well", "channel dev: 0 waiting, well"]
    assert world.sink.metric("klaxon_sink_verdicts_total", channel="ops", verdict="delivered") == 2
    assert world.sink.metric("klaxon_sink_delivery_seconds_count", channel="ops") == 2
    assert world.sink.stop() == 0
    world.events.put("c")
    world.sink.start()
    assert world.wait_told("ops", 3) == ["a", "b", "c"]
    world.sink.wait_settled(1)
    assert world.sink.stop() == 0
    receipts = world.sink.receipts()
    assert Counter((r["channel"], r["event"], r["reason"], r["attempts"]) for r in receipts) == Counter(
        (channel, event, "delivered", 1) for channel in ("ops", "dev") for event in ("a", "b", "c"))
    assert {r["team"] for r in receipts if r["channel"] == "dev"} == {"team-dev"}
    assert world.sink.dead_letters() == []


def test_killed_between_the_answer_and_the_commit(world: World) -> None:
    ids = [f"e{i:02}" for i in range(10)]
    world.configure("ops")
    world.events.put(*ids)
    kills = 3
    for kill in range(kills):
        world.sink.start()
        before = len(world.slack.of("ops"))
        world.wait_told("ops", before + 2)
        world.sink.kill()  # a moment after the second message: its receipt and offset are on their way at best
    world.sink.start()
    world.slack.messages.wait("the last one", lambda _: ids[-1] in world.told("ops"), 60)
    told = world.told("ops")
    assert sorted(set(told)) == ids  # nothing is lost
    assert list(dict.fromkeys(told)) == ids  # in order
    repeated = len(told) - len(ids)
    assert 1 <= repeated <= 2 * kills, told  # what was under way, and what the commit of the last second had not seen
    world.sink.wait_settled(1)
    assert world.sink.stop() == 0
    assert {r["event"] for r in world.sink.receipts()} == set(ids)


def test_killed_while_one_channel_is_ahead_of_another(world: World) -> None:
    """Nothing is settled, because a channel does not answer; what the other one was told of incidents is on klaxon.state nevertheless."""
    ids = [f"e{i}" for i in range(4)]
    world.configure("slow", "good", park_after="1h")
    world.slack.fault(hook="slow", delay=60)
    for i, one in enumerate(ids):
        world.events.put(one, incident=f"i{i}", phase="open", incidentseq="1")
    world.sink.start()
    assert world.wait_told("good", 4) == ids
    world.sink.wait("four receipts", lambda: len(world.sink.receipts()) == 4)
    world.sink.kill()
    world.sink.start()
    assert world.wait_told("slow", 4) == ids
    world.sink.wait_settled(4)
    assert world.told("good") == ids
    assert Counter(r["reason"] for r in world.sink.receipts() if r["channel"] == "good") == {"delivered": 4, "repeated": 4}
    assert world.sink.stop() == 0


def test_one_channel_down_delays_no_other(world: World) -> None:
    world.configure("bad", "good")
    world.slack.fault(hook="bad", status=503, times=0)
    world.sink.start()
    world.sink.wait_ready()
    late = []
    ids = [f"e{i}" for i in range(6)]
    for number, one in enumerate(ids):
        put_at = time.time()
        world.events.put(one)
        world.wait_told("good", number + 1)
        late.append(world.slack.of("good")[-1].at - put_at)
    assert max(late[1:]) < 2.5, late  # one second is Slack's rate
    assert world.told("bad") == []
    assert world.sink.metric("klaxon_sink_queue_deliveries", channel="bad") == 6
    assert "channel bad: 6 waiting, failing since" in world.sink.text("readyz")
    world.slack.faults.clear()
    world.sink.signal(signal.SIGHUP)
    assert world.wait_told("bad", 6) == ids
    world.sink.wait_settled(6)
    assert len(world.told("good")) == 6
    [retried] = [r for r in world.sink.receipts() if r["channel"] == "bad" and r["event"] == "e0"]
    assert retried["attempts"] > 1 and retried["reason"] == "delivered"


def test_retry_after_is_kept_to(world: World) -> None:
    world.configure("ops")
    world.slack.fault(hook="ops", retry_after=4)
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("ops", 2) == ["a", "b"]
    first, second, *_ = [attempt.at for attempt in world.slack.attempts.all()]
    assert 4 <= second - first < 7


def test_a_broken_channel_keeps_its_messages_and_says_so(world: World) -> None:
    world.configure("gone", "good")
    world.slack.fault(hook="gone", error="no_service", times=0)
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("good", 2) == ["a", "b"]
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="gone") == 1)
    world.sink.wait("parked", lambda: world.sink.metric("klaxon_sink_parked_total", channel="gone") == 2)
    assert re.search(r"channel gone: \d waiting, broken since .*: no_service; its messages are kept", world.sink.text("readyz"))
    log = world.sink.log.read_text()
    assert log.count("the channel is broken: its messages are kept until somebody repairs it") == 1
    assert "check its address (server, sender, webhook), and that it still exists; docs/channels/slack.md" in log
    assert world.slack.hooks()["gone"] not in log
    assert world.sink.stop() == 0  # and a restart keeps them too
    assert "told again" not in world.sink.log.read_text()
    world.sink.start()
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="gone") == 1)
    world.slack.faults.clear()
    world.sink.signal(signal.SIGHUP)
    assert world.wait_told("gone", 2) == ["a", "b"]
    world.sink.wait_settled(0)
    assert "the channel works again" in world.sink.log.read_text()
    assert world.sink.dead_letters() == []


def test_poison_is_a_dead_letter_and_the_rest_goes_on(world: World) -> None:
    world.configure("ops")
    world.events.put_raw(b"\xff\x00 not an event", {})
    world.events.put("bad-time", time="yesterday")
    world.events.put_raw(b"{not json", {"ce_specversion": "1.0", "ce_id": "7", "ce_source": "/x", "ce_type": "t", "ce_severity": "info"})
    world.events.put_raw(None, {})
    world.events.put("good")
    world.sink.start()
    assert world.wait_told("ops", 1) == ["good"]
    world.sink.wait_settled(5)
    letters = world.sink.dead_letters()
    assert [r.header("__connect.errors.offset") for r in letters] == ["0", "1", "2", "3"]
    assert {r.header("__connect.errors.topic") for r in letters} == {world.prefix + "nodes"}
    assert {r.key for r in letters} == {b"slack"}
    data = values(letters)
    assert {d["reason"] for d in data} == {"not_cloudevent"}
    assert data[0]["original"]["valueBase64"] == "/wAgbm90IGFuIGV2ZW50"
    assert "specversion is missing" in data[0]["answer"]
    assert data[1]["original"]["headers"]["ce_time"] == "yesterday" and "not RFC 3339" in data[1]["answer"]
    assert data[2]["original"]["valueText"] == "{not json"
    assert data[3]["original"]["value"] is None
    assert world.sink.stop() == 0
    world.events.put("next")
    world.sink.start()
    assert world.wait_told("ops", 2) == ["good", "next"]
    assert len(world.sink.dead_letters()) == 4


def test_an_unknown_outcome_is_told_again_and_said(world: World) -> None:
    world.configure("ops")
    world.slack.fault(hook="ops", cut="close", at="answer")
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("ops", 3) == ["a", "a", "b"]
    world.sink.wait_settled(2)
    [receipt] = [r for r in world.sink.receipts() if r["event"] == "a"]
    assert (receipt["reason"], receipt["attempts"], receipt["ambiguous"]) == ("delivered", 2, 1)


def test_refused_and_given_up_are_dead_letters(world: World) -> None:
    world.configure("ops", give_up_after="2s")
    world.slack.fault(hook="ops", error="invalid_payload", times=2)  # the second one is the try as plain text
    world.events.put("refused")
    world.sink.start()
    world.sink.wait("refused", lambda: len(world.sink.dead_letters()) == 1)
    world.slack.fault(hook="ops", status=503, times=0)
    world.events.put("late")
    world.sink.wait("given up", lambda: len(world.sink.dead_letters()) == 2)
    world.slack.faults.clear()
    world.events.put("good")
    assert world.wait_told("ops", 1) == ["good"]
    world.sink.wait_settled(3)
    refused, late = values(world.sink.dead_letters())
    assert (refused["reason"], refused["code"], refused["channel"], refused["team"]) == ("reject_message", "invalid_payload", "ops", "team-ops")
    assert refused["subscription"] == "sink.yaml:1" and "invalid_payload" in refused["answer"]
    assert (late["reason"], late["verdict"], late["code"]) == ("gave_up", "retry_backoff", "http_503")
    assert late["original"]["headers"]["ce_id"] == "late" and late["original"]["value"]["summary"] == "This is late."
    assert (late["original"]["partition"], late["original"]["offset"]) == (0, 1)
    assert world.sink.metric("klaxon_sink_dead_letters_total", channel="ops") == 2


def test_a_full_queue_pauses_reading(world: World) -> None:
    ids = [f"e{i:03}" for i in range(40)]
    world.configure("ops", queue=4)
    world.slack.fault(hook="ops", status=503, times=0)
    world.events.put(*ids)
    world.sink.start()
    world.sink.wait("a pause", lambda: world.sink.metric("klaxon_sink_paused") == 1)
    assert world.sink.metric("klaxon_sink_queue_deliveries", channel="ops") == 4
    assert world.sink.metric("klaxon_sink_records_total") == 4
    assert "reading pauses until there is room" in world.sink.text("readyz")
    world.slack.faults.clear()
    world.sink.signal(signal.SIGHUP)
    assert world.wait_told("ops", 9) == ids[:9]
    assert world.sink.metric("klaxon_sink_records_total") <= 9 + 4
    assert world.sink.stop() == 0


def test_a_second_member_shares_and_takes_over(world: World, kafka: Kafka) -> None:
    kafka.create_topic(world.prefix + "scaling", 1)
    world.configure("ops")
    world.configure_two('"nodes", "scaling"')
    world.sink.start()
    world.sink.wait_ready()
    world.events.put("n0", "n1", "n2", topic="nodes")
    world.events.put("s0", "s1", "s2", topic="scaling")
    world.wait_told("ops", 1)
    world.second.start()  # takes one of the two partitions, in the middle of the work
    world.second.wait_ready()
    world.slack.messages.wait("all", lambda _: len(set(world.told("ops"))) == 6, 40)
    world.sink.kill()
    world.events.put("n3", topic="nodes")
    world.events.put("s3", topic="scaling")
    world.slack.messages.wait("all", lambda _: len(set(world.told("ops"))) == 8, 60)
    told = world.told("ops")
    assert len(told) <= 8 + 4, told  # one under way at the rebalance, and what the last commit had not seen at the kill
    assert [one for one in dict.fromkeys(told) if one[0] == "n"] == ["n0", "n1", "n2", "n3"]
    assert world.second.stop() == 0


def test_a_rebalance_waits_for_what_is_under_way(world: World, kafka: Kafka) -> None:
    """The send that is under way when another member joins ends, is committed, and is not told again by whoever is given its partition."""
    kafka.create_topic(world.prefix + "scaling", 1)
    world.configure("ops")
    world.configure_two('"nodes", "scaling"')
    world.sink.start()
    world.sink.wait_ready()
    for round_ in range(3):
        ids = [f"{topic[0]}{round_}" for topic in ("nodes", "scaling")]
        world.slack.fault(hook="ops", delay=2)
        world.events.put(ids[0], topic="nodes")
        world.events.put(ids[1], topic="scaling")
        world.sink.wait("a send", lambda: world.sink.metric("klaxon_sink_in_flight", channel="ops") == 1)
        world.second.start()
        world.second.wait_ready()
        world.slack.messages.wait("both", lambda _, wanted=(round_ + 1) * 2: len(set(world.told("ops"))) == wanted, 40)
        assert world.second.stop() == 0
        world.sink.wait_ready()
    told = world.told("ops")
    assert sorted(told) == sorted(set(told)), told
    assert world.sink.stop() == 0
    assert Counter(r["event"] for r in world.sink.receipts()) == Counter(told)
    assert "told again" not in world.sink.log.read_text()


def test_a_rebalance_does_not_wait_for_a_hung_send(world: World) -> None:
    world.configure("ops")
    world.configure_two('"nodes"')
    world.sink.start()
    world.sink.wait_ready()
    world.slack.fault(hook="ops", delay=60)
    world.events.put("a")
    world.sink.wait("a send", lambda: world.sink.metric("klaxon_sink_in_flight", channel="ops") == 1)
    world.second.start()
    world.second.wait_ready(20)  # half of the session's 6 s, and the joining; the send is given up after 30 s
    world.sink.kill()
    assert world.wait_told("ops", 1) == ["a"]
    world.second.wait_settled(0)
    assert world.second.stop() == 0


def test_it_stops_in_time_with_a_send_under_way(world: World) -> None:
    world.configure("ops")
    world.slack.fault(hook="ops", delay=60)
    world.events.put("a")
    world.sink.start()
    world.sink.wait("a send", lambda: world.sink.metric("klaxon_sink_in_flight", channel="ops") == 1)
    began = time.monotonic()
    assert world.sink.stop() == 0
    assert 2.9 < time.monotonic() - began < 5.5
    world.sink.start()
    assert world.wait_told("ops", 1) == ["a"]  # what had no answer was not settled


def test_kafka_gone_and_back(binaries: Path, tmp_path: Path, slack: Slack) -> None:
    with Kafka(tmp_path / "kafka") as own:
        world = World(binaries, tmp_path, own, slack)
        ids = [f"e{i}" for i in range(8)]
        world.configure("ops")
        world.events.put(*ids)
        world.sink.start()
        try:
            world.wait_told("ops", 2)
            own.kill()
            told = world.wait_told("ops", 4)  # what was read goes out; its receipts wait
            assert told == ids[:4]
            world.sink.wait("said", lambda: "trouble with Kafka, trying again" in world.sink.log.read_text())
            world.sink.wait("not ready", lambda: ": Kafka at" in world.sink.text("readyz").splitlines()[0])
            assert world.sink.metric("klaxon_sink_ledger_records") >= 2
            began = time.monotonic()
            assert world.sink.stop(10) == 0
            assert time.monotonic() - began < 5.5
            own.start()
            world.sink.start()
            slack.messages.wait("all", lambda _: len(set(world.told("ops"))) == 8, 60)
            assert list(dict.fromkeys(world.told("ops"))) == ids
            world.sink.wait_settled(1)
            assert {r["event"] for r in world.sink.receipts()} == set(ids)
            assert world.sink.stop() == 0
        finally:
            world.sink.kill()
            print(world.sink.log.read_text())


def test_missing_topics_are_said_and_waited_for(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> None:
    world = World(binaries, tmp_path, kafka, slack)
    world.configure("ops")
    fresh = new_prefix(kafka, ["deliveries"])  # neither nodes nor dlq
    world.sink.config.write_text(world.sink.config.read_text().replace(world.prefix, fresh))
    events = Events(kafka, fresh)
    world.sink.start()
    try:
        world.sink.wait("said", lambda: f"the topic {fresh}nodes does not exist" in world.sink.log.read_text())
        kafka.create_topic(fresh + "nodes")
        events.put_raw(b"poison", {})
        events.put("a")
        assert world.wait_told("ops", 1, 60) == ["a"]
        world.sink.wait("said", lambda: f"the topic {fresh}dlq does not exist" in world.sink.text("readyz"), 60)
        kafka.create_topic(fresh + "dlq")
        world.sink.wait_settled(2, 60)
        assert world.sink.stop() == 0
    finally:
        world.sink.kill()
        print(world.sink.log.read_text())


def test_whoever_heard_the_beginning_hears_the_end(world: World) -> None:
    world.configure("ops")
    document = json.loads(world.sink.config.read_text())
    document["subscriptions"][0]["match"] = {"event": "node.notready"}
    world.sink.config.write_text(json.dumps(document))
    world.sink.start()
    world.events.put("a", type="io.klaxon.node.notready", incident="i1", phase="open", incidentseq="1")
    world.events.put("b", type="io.klaxon.node.ready", incident="i1", phase="resolved", incidentseq="2")
    world.events.put("c", type="io.klaxon.node.ready", incident="i2", phase="resolved", incidentseq="2")  # of which nobody heard
    world.events.put("d", type="io.klaxon.node.ready")
    world.events.put("e", type="io.klaxon.node.notready", incident="i3", phase="open", incidentseq="1")
    assert world.wait_told("ops", 3) == ["a", "b", "e"]
    world.sink.wait_settled(5)
    assert world.sink.stop() == 0
