"""Noise control between a real Kafka and the stage's Slack and mail server: what is told, and that everything else has a receipt."""
import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer

from cluster import Kafka, read_committed
from sink_process import Sink, new_prefix
from stage import Slack, Smtp

CHANNELS = ("ops", "pager")


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class World:
    """Channels `ops` and `pager` of Slack, and incidents to tell them of."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, slack: Slack):
        self.prefix = new_prefix(kafka)
        self.kafka = kafka
        self.slack = slack
        self.sink = Sink(binaries, directory, kafka, self.prefix, "slack")
        self.second = Sink(binaries, directory, kafka, self.prefix, "slack", "second")
        self.channels = {}
        for name in CHANNELS:
            secret = directory / f"{name}.url"
            secret.write_text(slack.new_hook(name))
            self.channels[name] = {"webhook_url": {"file": str(secret)}}
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 5, "log_level": 0})

    def configure(self, subscription: dict | None = None, throttle: dict | None = None, channels: dict | None = None) -> None:
        chosen = channels or self.channels
        subscriptions = [{"team": "operations", "topics": ["nodes"], "channels": ["ops"]} | (subscription or {})]
        for sink in (self.sink, self.second):
            sink.configure(chosen, subscriptions, throttle=throttle)

    def put(self, incident: str, number: int, phase: str = "update", severity: str = "warning", flush: bool = True) -> str:
        event_id = f"{incident}.{number}"
        headers = {"ce_specversion": "1.0", "ce_id": event_id, "ce_source": "/clusters/prod/nodes", "ce_type": "io.klaxon.node.notready",
                   "ce_subject": f"Node/{incident}", "ce_cluster": "prod", "ce_severity": "info" if phase == "resolved" else severity,
                   "ce_time": stamp(datetime.now(UTC)), "ce_incident": incident, "ce_incidentseq": str(number), "ce_phase": phase,
                   "content-type": "application/json"}
        data = {"summary": f"This is {event_id}.", "object": {"kind": "Node", "name": incident}, "reason": "NotReady", "labels": {"pool": "system"},
                "incident": {"severity": severity, "opened": stamp(datetime.now(UTC))}}
        self._producer.produce(self.prefix + "nodes", json.dumps(data), incident, headers=list(headers.items()))
        if flush:
            assert self._producer.flush(30) == 0
        else:
            self._producer.poll(0)
        return event_id

    def control(self, key: str, value: dict | None) -> None:
        self._producer.produce(self.prefix + "control", None if value is None else json.dumps(value), key)
        assert self._producer.flush(20) == 0

    def silence(self, name: str, matcher: dict, starts: datetime, ends: datetime) -> None:
        self.control(f"silence/{name}", {"matchers": [matcher], "startsAt": stamp(starts), "endsAt": stamp(ends), "createdBy": "ada",
                                         "comment": "a test"})

    def flush(self) -> None:
        assert self._producer.flush(60) == 0

    def told(self, hook: str = "ops") -> list[str]:
        return [message.text().partition("This is ")[2].partition(".\n")[0].rstrip(".") for message in self.slack.of(hook)]

    def wait_told(self, count: int, hook: str = "ops", seconds: float = 40) -> list[str]:
        self.slack.messages.wait(f"{count} on {hook}", lambda _: len(self.slack.of(hook)) >= count, seconds)
        return self.told(hook)

    def receipts(self) -> list[dict]:
        return self.sink.receipts()

    def wait_receipts(self, count: int, seconds: float = 40) -> dict[tuple[str, str], str]:
        """(event, channel) → reason, of the last receipt."""
        self.sink.wait(f"{count} receipts", lambda: len(self.receipts()) >= count, seconds)
        return {(r["event"], r["channel"]): r["reason"] for r in self.receipts()}

    def states(self) -> dict[str, dict]:
        """What klaxon.state says in the end."""
        last: dict[str, dict] = {}
        for record in read_committed(self.kafka.bootstrap, self.prefix + "state"):
            last[record.key.decode()] = json.loads(record.value) if record.value else {}
        return last


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, slack)
    yield made
    for sink in (made.sink, made.second):
        sink.kill()
        print(sink.log.read_text() if sink.log.exists() else "no log")


def test_silenced_until_the_silence_is_ended(world: World) -> None:
    now = datetime.now(UTC)
    world.configure()
    world.silence("over", {"name": "name", "value": "i2"}, now - timedelta(hours=2), now - timedelta(hours=1))
    world.silence("holds", {"name": "name", "value": "i1|i3", "isRegex": True, "isEqual": True}, now - timedelta(hours=1), now + timedelta(hours=1))
    world.put("i1", 1, "open")
    world.put("i2", 1, "open")
    world.put("i3", 1, "open")
    world.put("i3", 2, "resolved")
    world.sink.start()
    assert world.wait_told(1) == ["i2.1"]
    assert world.wait_receipts(4) == {("i1.1", "ops"): "silenced", ("i2.1", "ops"): "delivered", ("i3.1", "ops"): "silenced",
                                      ("i3.2", "ops"): "not_told"}
    [silenced] = [r for r in world.receipts() if r["event"] == "i1.1"]
    assert (silenced["verdict"], silenced["answer"], silenced["attempts"]) == ("suppressed", "silence holds", 0)
    assert "silences: 1 in force" in world.sink.text("readyz")
    world.silence("holds", {"name": "name", "value": "i1|i3", "isRegex": True, "isEqual": True}, now - timedelta(hours=1), datetime.now(UTC))
    assert world.wait_told(2) == ["i2.1", "i1.1"]  # it is still open; i3 is not
    world.put("i1", 2, "resolved")
    assert world.wait_told(3) == ["i2.1", "i1.1", "i1.2"]


def test_quiet_hours_end_with_what_is_still_open(world: World) -> None:
    now = datetime.now(UTC)
    end = (now + timedelta(seconds=75)).replace(second=0, microsecond=0)  # between 15 and 75 seconds from now
    world.configure({"quiet": {"times": [f"{now - timedelta(hours=1):%H:%M}-{end:%H:%M}"], "critical": "pass"}})
    world.put("i1", 1, "open")
    world.put("i1", 2)
    world.put("i2", 1, "open")
    world.put("i2", 2, "resolved")
    world.put("i3", 1, "open", "critical")
    world.sink.start()
    assert world.wait_told(1) == ["i3.1"]
    assert world.wait_receipts(5) == {("i1.1", "ops"): "quiet_hours", ("i1.2", "ops"): "quiet_hours", ("i2.1", "ops"): "quiet_hours",
                                      ("i2.2", "ops"): "not_told", ("i3.1", "ops"): "delivered"}
    world.sink.kill()  # it is on klaxon.state
    world.sink.start()
    assert world.wait_told(2, seconds=120) == ["i3.1", "i1.2"]
    assert time.time() >= end.timestamp()


def test_a_restart_in_the_middle_of_an_incident(world: World, tmp_path: Path) -> None:
    channel = world.slack.new_channel("incidents")
    token = tmp_path / "token"
    token.write_text(world.slack.new_bot())
    world.configure(channels={"ops": {"token": {"file": str(token)}, "channel": channel, "base_url": world.slack.api_url, "updates": "edit"}})
    world.put("i1", 1, "open")
    world.put("i1", 2)
    world.sink.start()
    world.wait_receipts(2)
    world.sink.wait("the state", lambda: world.states().get("sink/ops/i1", {}).get("told") == 2)
    handle = world.states()["sink/ops/i1"]["handle"]
    assert handle
    world.sink.kill()
    world.sink.start()
    world.put("i1", 2)  # the collector tells it again
    world.put("i1", 1, "open")
    world.put("i1", 3, "resolved")
    world.sink.wait("the end is told", lambda: ("i1.3", "delivered") in {(r["event"], r["reason"]) for r in world.receipts()})
    told = Counter((r["event"], r["reason"]) for r in world.receipts())
    assert [told[(event, "delivered")] for event in ("i1.1", "i1.2", "i1.3")] == [1, 1, 1]  # also what the kill left uncommitted
    assert told[("i1.2", "repeated")] >= 1
    assert told[("i1.1", "superseded")] >= 1
    [post] = world.slack.channel("incidents").posts  # one message, edited
    assert "resolved" in json.dumps(post.payload).lower()
    assert world.states()["sink/ops/i1"]["handle"] == handle
    assert world.states()["sink/ops/i1"]["told"] == 3


def test_a_rebalance_in_the_middle_of_an_incident(world: World) -> None:
    world.configure()
    world.put("i1", 1, "open")
    world.sink.start()
    world.wait_told(1)
    world.sink.wait_settled(1)
    world.second.start()
    world.second.wait_ready()
    assert world.sink.stop() == 0
    world.put("i1", 1, "open")
    world.put("i1", 2)
    assert world.wait_told(2) == ["i1.1", "i1.2"]
    world.wait_receipts(3)
    assert Counter(r["reason"] for r in world.receipts() if r["event"] == "i1.1") == {"delivered": 1, "repeated": 1}


def test_nobody_acknowledges_and_it_escalates(world: World) -> None:
    world.configure({"escalate": {"after": "10s", "channels": ["pager"]}})
    world.put("i1", 1, "open")
    world.put("i2", 1, "open")
    world.control("ack/i2", {"by": "ada"})
    world.sink.start()
    assert world.wait_told(2) == ["i1.1", "i2.1"]
    assert world.wait_receipts(4) == {("i1.1", "ops"): "delivered", ("i1.1", "pager"): "escalation_pending", ("i2.1", "ops"): "delivered",
                                      ("i2.1", "pager"): "escalation_pending"}
    [told] = world.wait_told(1, "pager")
    assert told == "i1.1"
    assert "escalated" in world.slack.of("pager")[0].text()
    world.put("i1", 2, "resolved")
    world.put("i2", 2, "resolved")
    assert world.wait_told(2, "pager") == ["i1.1", "i1.2"]
    assert world.wait_receipts(9)[("i2.2", "pager")] == "not_told"
    [escalated] = [r for r in world.receipts() if r.get("notice") == "escalation"]
    assert (escalated["event"], escalated["channel"], escalated["reason"]) == ("i1.1", "pager", "delivered")


def test_a_flood_is_a_few_messages_and_loses_nothing(world: World) -> None:
    incidents, rounds, messages = 500, 20, 20
    world.configure(throttle={"messages": messages, "per": "1m", "burst": 10})
    world.sink.start()
    world.sink.wait_ready()
    expected = set()
    for number in range(1, rounds + 1):
        for i in range(incidents):
            phase = "open" if number == 1 else "resolved" if number == rounds and i % 2 else "update"
            severity = "critical" if i % 50 == 7 else "warning"
            expected.add(world.put(f"i{i}", number, phase, severity, flush=False))
    world.flush()
    assert len(expected) == 10_000
    world.sink.wait("everything has a receipt", lambda: world.sink.metric("klaxon_sink_records_total") >= 10_000
                    and world.sink.metric("klaxon_sink_queue_deliveries") == 0 and world.sink.metric("klaxon_sink_held_deliveries") == 0
                    and world.sink.metric("klaxon_sink_ledger_records") == 0, 110)
    arrivals = sorted(message.at for message in world.slack.of("ops"))
    for first in arrivals:
        assert sum(1 for at in arrivals if first <= at < first + 59) <= messages, arrivals
    receipts = world.receipts()
    assert {r["event"] for r in receipts if r["channel"] == "ops"} == expected
    digests = {r["digest"]: r for r in receipts if r.get("notice") == "digest"}
    held = Counter(r["digest"] for r in receipts if r["reason"] == "digested")
    assert held == {name: receipt["digested"] for name, receipt in digests.items()}
    assert all(receipt["reason"] == "delivered" for receipt in digests.values())
    alone = sum(1 for r in receipts if r["reason"] == "delivered" and "notice" not in r)
    suppressed = sum(1 for r in receipts if r["reason"] in ("superseded", "repeated"))
    assert alone + held.total() + suppressed == 10_000
    assert len(arrivals) == alone + len(digests)
    assert any("Critical" in message.text() for message in world.slack.of("ops"))
    print(f"{len(expected)} events of {incidents} incidents: {len(arrivals)} messages, {alone} alone, {len(digests)} digests of {held.total()}, "
          f"{suppressed} superseded, {max(arrivals) - min(arrivals):.0f} s")


def test_a_digest_is_a_mail(world: World, binaries: Path, tmp_path: Path, smtp: Smtp) -> None:
    secret = tmp_path / "smtp-password"
    secret.write_text("stage-password")
    sink = Sink(binaries, tmp_path, world.kafka, world.prefix, "email", "mail")
    sink.configure({"ops-mail": {"to": ["ops@example.com"], "from": "klaxon@example.com", "smtp": f"smtp://127.0.0.1:{smtp.port}", "user": "klaxon",
                                 "password": {"file": str(secret)}, "ca_file": str(smtp.ca)}},
                   [{"team": "operations", "topics": ["nodes"], "channels": ["ops-mail"]}], throttle={"messages": 12, "per": "1m", "burst": 1})
    for i in range(5):
        world.put(f"i{i}", 1, "open")
    try:
        sink.start()
        mails = smtp.mails.wait_count("mails", 2, 60)
        assert "Digest: 4 events of 4 incidents" in str(mails[1])
        sink.wait("receipts", lambda: len(sink.receipts()) == 6)
        assert Counter(r["reason"] for r in sink.receipts()) == {"delivered": 2, "digested": 4}
    finally:
        sink.kill()
        print(sink.log.read_text())
