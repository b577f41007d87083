"""A sink that reads its configuration again while it runs: the Slack sink between a real Kafka and the stage's Slack."""
import json
import re
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import Kafka, read_committed
from sink_process import TOPICS, Events, Sink, exchange, new_prefix
from stage import Slack

SENT = re.compile(r"This is (\S+)\.")


class World:
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, slack: Slack):
        self.dir = directory / "etc"
        self.dir.mkdir()
        self.prefix = new_prefix(kafka, [*TOPICS, "scaling"])
        self.kafka, self.slack = kafka, slack
        self.events = Events(kafka, self.prefix)
        self.sink = Sink(binaries, self.dir, kafka, self.prefix, "slack")
        self.sink.log = directory / "sink.log"

    def channel(self, hook: str) -> dict:
        secret = self.dir.parent / f"{hook}.url"
        if not secret.exists():
            secret.write_text(self.slack.new_hook(hook))
        return {"webhook_url": {"file": str(secret)}}

    def configure(self, *hooks: str, topics: tuple[str, ...] = ("nodes",)) -> None:
        self.sink.configure({hook: self.channel(hook) for hook in hooks},
                            [{"team": "first", "topics": list(topics), "channels": [hook]} for hook in hooks])

    def write(self, name: str, document: object) -> Path:
        """A file of channels.d/ or subscriptions.d/; JSON is YAML too."""
        path = self.dir / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return path

    def told(self, hook: str) -> list[str]:
        return [SENT.search(message.text()).group(1) for message in self.slack.of(hook) if SENT.search(message.text())]

    def wait_told(self, hook: str, count: int, seconds: float = 40) -> list[str]:
        self.slack.messages.wait(f"{count} on {hook}", lambda _: len(self.slack.of(hook)) >= count, seconds)
        return self.told(hook)

    def wait_logged(self, words: str, count: int = 1) -> list[str]:
        def lines() -> list[str]:
            return [line for line in self.sink.log.read_text().splitlines() if words in line]
        self.sink.wait(f"{count} × {words}", lambda: len(lines()) >= count, 20)
        return lines()

    def of_itself(self) -> list[dict]:
        """What the sink says of its configuration."""
        return [json.loads(record.value) | {"type": dict(record.headers)["ce_type"].decode(), "phase": dict(record.headers)["ce_phase"].decode()}
                for record in read_committed(self.kafka.bootstrap, self.prefix + "kubernetes")]


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, slack)
    yield made
    made.sink.kill()
    print(made.sink.log.read_text() if made.sink.log.exists() else "no log")


def test_a_team_subscribes_while_it_runs(world: World) -> None:
    world.configure("ops")
    world.sink.start()
    world.sink.wait_ready()
    hash_before = world.sink.metric("klaxon_config_hash")
    world.events.put("a")
    world.wait_told("ops", 1)
    world.write("channels.d/payments.yaml", {"payments": {"slack": world.channel("payments")}})
    world.write("subscriptions.d/payments.yaml", {"team": "payments", "subscriptions": [
        {"topics": ["nodes", "scaling"], "match": {"event": "node.ready"}, "channels": ["payments"]}]})
    world.wait_logged("the channel is new")
    assert world.sink.metric("klaxon_config_hash") != hash_before
    world.events.put("b")
    assert world.wait_told("ops", 2) == ["a", "b"]
    assert world.wait_told("payments", 1) == ["b"]  # what came before is no business of theirs
    world.events.put("c", topic="scaling")  # a topic that nobody read before
    assert world.wait_told("payments", 2) == ["b", "c"]
    assert {r["team"] for r in world.sink.receipts() if r["channel"] == "payments"} == {"payments"}
    world.sink.wait_settled(3)
    assert world.sink.stop() == 0
    assert len(world.told("ops")) == 2


def test_a_bad_file_changes_nothing_and_is_told(world: World) -> None:
    world.configure("ops", topics=("nodes", "kubernetes"))
    world.sink.start()
    world.sink.wait_ready()
    path = world.write("subscriptions.d/x.yaml", {"team": "x", "subscriptions": [{"topics": ["nodse"], "channels": ["opps"]}]})
    world.wait_logged("going on with the one before")
    assert world.sink.metric("klaxon_config_reload_failed") == 1
    assert "configuration: refused since" in world.sink.text("readyz")
    log = world.sink.log.read_text()
    assert 'x.yaml:1:' in log and 'did you mean \\"nodes\\"' in log and 'did you mean \\"ops\\"' in log  # all mistakes
    world.events.put("a")
    world.wait_told("ops", 2)  # the event about the configuration, too
    assert world.told("ops") == ["a"]
    [message] = [m.text() for m in world.slack.of("ops") if "configuration" in m.text()]
    assert "klaxon-sink-slack" in message and "2 mistakes" in message
    path.unlink()
    world.sink.wait("accepted", lambda: world.sink.metric("klaxon_config_reload_failed") == 0)
    world.wait_told("ops", 3)
    said = world.of_itself()
    assert [(one["type"], one["phase"]) for one in said] == [("io.klaxon.config.rejected", "open"), ("io.klaxon.config.accepted", "resolved")]
    assert said[0]["mistakesTotal"] == 2 and len(said[0]["mistakes"]) == 2
    assert "refused" not in world.sink.text("readyz")
    assert world.sink.stop() == 0


def test_a_config_map_is_exchanged(world: World) -> None:
    world.configure("ops", "dev")
    folder = world.dir / "subscriptions.d"

    def write(version: str, channel: str) -> None:
        exchange(folder, version, "team.yaml", json.dumps({"team": "t", "subscriptions": [{"topics": ["scaling"], "channels": [channel]}]}))
    write("..1", "ops")
    world.sink.start()
    world.sink.wait_ready()
    world.events.put("a", topic="scaling")
    assert world.wait_told("ops", 1) == ["a"]
    write("..2", "dev")
    world.wait_logged("the configuration was read again")
    world.events.put("b", topic="scaling")
    assert world.wait_told("dev", 1) == ["b"]
    assert world.told("ops") == ["a"]
    assert world.sink.stop() == 0


def test_a_channel_that_is_removed_takes_no_delivery_with_it(world: World) -> None:
    world.configure("ops")
    world.write("channels.d/gone.yaml", {"gone": {"slack": world.channel("gone")}})
    subscription = world.write("subscriptions.d/gone.yaml", [{"team": "g", "topics": ["nodes"], "channels": ["gone"]}])
    world.slack.fault(hook="gone", status=503, times=0)
    world.sink.start()
    world.events.put("a", "b", "c")
    assert world.wait_told("ops", 3) == ["a", "b", "c"]
    world.sink.wait("they wait", lambda: world.sink.metric("klaxon_sink_queue_deliveries", channel="gone") == 3)
    subscription.unlink()
    world.wait_logged("the channel is not configured any more")
    world.events.put("d")
    assert world.wait_told("ops", 4) == ["a", "b", "c", "d"]
    world.sink.wait_settled(4)
    letters = [json.loads(record.value) for record in world.sink.dead_letters()]
    assert [(one["channel"], one["code"]) for one in letters] == [("gone", "channel_removed")] * 3
    assert "channel gone" not in world.sink.text("readyz")
    assert world.sink.stop() == 0  # all settled: nothing is told again
    world.sink.start()
    world.events.put("e")
    assert world.wait_told("ops", 5) == ["a", "b", "c", "d", "e"]


def test_a_channel_that_is_repaired_keeps_what_waits(world: World) -> None:
    world.configure("ops")
    path = world.write("channels.d/moved.yaml", {"moved": {"slack": world.channel("old")}})
    world.write("subscriptions.d/moved.yaml", [{"team": "m", "topics": ["nodes"], "channels": ["moved"]}])
    world.slack.fault(hook="old", error="no_service", times=0)
    world.sink.start()
    world.events.put("a", "b")
    assert world.wait_told("ops", 2) == ["a", "b"]
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="moved") == 1)
    path.write_text(json.dumps({"moved": {"slack": world.channel("new")}}))
    assert world.wait_told("new", 2) == ["a", "b"]
    world.events.put("c")
    assert world.wait_told("new", 3) == ["a", "b", "c"]
    world.sink.wait_settled(3)
    assert world.told("ops") == ["a", "b", "c"] and world.told("old") == []
    assert world.sink.dead_letters() == []
    assert world.sink.stop() == 0


def test_reload_after_reload_loses_nothing_and_tells_nothing_twice(world: World) -> None:
    world.configure("ops", "dev")
    world.sink.start()
    world.sink.wait_ready()
    ids = [f"e{i}" for i in range(16)]
    for number, one in enumerate(ids):
        world.events.put(one)
        if number % 2 == 0:  # dev's subscription and channel change under way, ops' do not
            world.write("subscriptions.d/dev.yaml", [{"team": f"t{number}", "topics": ["nodes"], "channels": ["dev"]}])
            world.write("channels.d/extra.yaml", {f"x{number}": {"slack": world.channel(f"x{number}")}})
            world.sink.signal(signal.SIGHUP)
    world.wait_logged("the configuration was read again", 5)
    for hook in ("ops", "dev"):
        assert world.wait_told(hook, len(ids)) == ids
    world.sink.wait_settled(len(ids))
    assert world.sink.stop() == 0
    assert Counter((r["channel"], r["event"]) for r in world.sink.receipts()) == Counter((hook, one) for hook in ("ops", "dev") for one in ids)


def test_what_takes_a_restart_is_said_and_a_hangup_reads_again(world: World) -> None:
    world.configure("ops")
    world.sink.start()
    world.sink.wait_ready()
    world.sink.signal(signal.SIGHUP)
    world.wait_logged("the configuration is the one that is in use")
    world.sink.configure({"ops": world.channel("ops")}, [{"team": "first", "topics": ["nodes"], "channels": ["ops"]}], listen="127.0.0.1:0")
    world.wait_logged("this takes effect when the process is started again")
    world.sink.config.write_text(world.sink.config.read_text().replace('"ops"]', '"ops"], "match": {"severity": "info"}'))
    world.wait_logged("the configuration was read again", 2)
    world.events.put("a")
    world.events.put("b", severity="info")
    assert world.wait_told("ops", 1) == ["b"]
    assert world.sink.stop() == 0
