"""klaxon replay: the past told again, to the stage's Slack and onto a topic of a real Kafka, marked, in order, at a rate, and never by mistake."""
from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_world import Event, Klaxon
from cluster import Kafka, Record, read_committed
from cluster.history import Past, Truth, rfc3339
from cluster.process import wait_until
from stage import Slack

EVENTS = 4
BEGIN = float(int(time.time()) - 86_400)


class World(Klaxon):
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, slack: Slack, prefix: str):
        super().__init__(binaries, directory, kafka.bootstrap, prefix)
        self.kafka, self.slack = kafka, slack
        self.env |= {"USER": "ada"}
        for hook in ("ops", "sandbox"):
            (directory / hook).write_text(slack.new_hook(hook))
        self.configure("channels:\n"
                       f"  ops: {{ slack: {{ webhook_url: {{ file: {directory / 'ops'} }} }} }}\n"
                       f"  sandbox: {{ slack: {{ webhook_url: {{ file: {directory / 'sandbox'} }} }} }}\n"
                       "subscriptions:\n  - { team: operations, topics: [nodes], channels: [ops] }\n")
        for topic, partitions in (("nodes", 3), ("control", 1)):
            kafka.create_topic(prefix + topic, partitions, {"retention.ms": "-1"})

    def replay(self, *args: str, code: int = 0) -> subprocess.CompletedProcess:
        done = self.run("replay", "-t", "nodes", *args, timeout=120)
        assert done.returncode == code, done.stderr
        return done

    def told(self, hook: str) -> list[str]:
        return [json.dumps(m.payload) for m in self.slack.messages.all() if m.hook == hook]

    def marks(self) -> dict[str, dict]:
        records = read_committed(self.kafka.bootstrap, self.prefix + "control")
        return {r.key.decode(): json.loads(r.value) for r in records}


DO = ["--yes", "--reason", "a rehearsal"]


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack, request: pytest.FixtureRequest) -> Iterator[World]:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]
    made = World(binaries, tmp_path, kafka, slack, f"{name}.")
    made.put(*[Event(BEGIN + i, node=f"aks-{i}", summary=f"number {i}") for i in random.Random(1).sample(range(EVENTS), EVENTS)])
    yield made


def test_nothing_is_told_unless_it_is_said(world: World) -> None:
    dry = world.replay("--to", "channel/sandbox")
    assert dry.stdout.splitlines()[0].split() == ["TOPIC", "PARTITION", "FROM", "TO", "RECORDS", "EVENTS", "FIRST", "LAST"]
    assert "nothing was told. 4 events would go to channel/sandbox; --yes and --reason TEXT do it" in dry.stderr
    world.replay("--to", "channel/sandbox", "--dry-run", *DO)
    assert "--reason TEXT is missing" in world.replay("--to", "channel/sandbox", "--yes", code=2).stderr
    people = world.replay("--to", "channel/ops", *DO, code=1)
    assert "channel/ops is a channel that subscriptions tell people on: --confirm ops says that this is meant" in people.stderr
    own = world.replay("--to", f"topic/{world.prefix}nodes", *DO, code=1)
    assert f"--confirm {world.prefix}nodes" in own.stderr
    assert "did you mean" in world.replay("--to", "channel/sandbx", *DO, code=1).stderr
    assert "there is no topic" in world.replay("--to", "topic/nowhere", *DO, code=1).stderr
    for wrong in ("sandbox", "channel/", ""):
        assert world.run("replay", *(["--to", wrong] if wrong else [])).returncode == 2
    assert world.slack.messages.all() == [] and world.marks() == {}


def test_a_channel_is_told_in_order_and_marked(world: World) -> None:
    done = world.replay("--to", "channel/sandbox", *DO, "--rate", "50", "--id", "drill-1", "--until", rfc3339(int((BEGIN + 3) * 1e6)))
    assert "replay drill-1: 3 of 3 events to channel/sandbox\n" in done.stderr
    texts = world.told("sandbox")
    assert [f"number {i}" in text and "REPLAY: " in text for i, text in enumerate(texts)] == [True] * 3 and world.told("ops") == []
    [(key, mark)] = world.marks().items()
    assert key == "replay/drill-1" and mark["state"] == "done" and (mark["by"], mark["reason"]) == ("ada", "a rehearsal")
    assert (mark["to"], mark["events"], mark["done"], mark["since"]) == ("channel/sandbox", 3, 3, None)
    world.replay("--to", "channel/ops", *DO, "--confirm", "ops", "--rate", "50", "-m", "{name: aks-3}")
    assert len(world.told("ops")) == 1


def test_a_channel_is_told_no_faster_than_it_bears(world: World) -> None:
    world.replay("--to", "channel/sandbox", *DO, "--rate", "50")
    times = [m.at for m in world.slack.messages.all()]
    assert len(times) == EVENTS and all(b - a >= 0.95 for a, b in zip(times, times[1:]))  # a webhook takes one a second


def test_what_is_not_taken_now_is_tried_again_and_what_is_refused_is_said(world: World) -> None:
    world.slack.fault(hook="sandbox", status=503, times=1)
    world.replay("--to", "channel/sandbox", *DO, "--rate", "50")
    assert len(world.told("sandbox")) == EVENTS
    world.slack.fault(hook="sandbox", error="invalid_payload", times=2)
    done = world.replay("--to", "channel/sandbox", *DO, "--rate", "50", code=6)
    assert "reject_message: invalid_payload" in done.stderr and "of which 1 were refused" in done.stderr


def test_a_broken_channel_ends_it_and_it_goes_on_there(world: World, tmp_path: Path) -> None:
    state = tmp_path / "replay.json"
    args = ["--to", "channel/sandbox", *DO, "--rate", "50", "--resume", str(state)]
    running = world.start("replay", "-t", "nodes", *args)
    wait_until("one is done", lambda: state.exists() and json.loads(state.read_text())["done"] == 1, 30)
    running.terminate()
    assert running.wait(20) == 130 and b"the same command goes on from there" in running.stderr.read()
    first = json.loads(state.read_text())
    world.slack.fault(hook="sandbox", error="no_service", status=404, times=1)
    broken = world.replay(*args, code=1)
    assert "destination_broken" in broken.stderr and f"goes on with replay {first['replayId']} after " in broken.stderr
    world.put(Event(BEGIN + 0.5, node="late", summary="came later"))  # not in the range as it was
    world.replay(*args)
    texts = world.told("sandbox")
    assert len(set(texts)) == EVENTS and not any("came later" in t for t in texts)
    assert json.loads(state.read_text())["done"] == EVENTS and len(world.marks()) == 1
    assert world.replay(*args).returncode == 0 and len(world.told("sandbox")) == len(texts)


def fields(r: Record) -> tuple:
    return r.key, r.value, r.timestamp_ms, {k: v for k, v in r.headers.items() if k != "ce_replayid"}


def test_a_topic_has_the_records_as_they_were(world: World, kafka: Kafka) -> None:
    past = Past(kafka.bootstrap, random.Random(3), BEGIN, 600)
    past.write(world.prefix + "nodes", 3000, range(3))
    kafka.create_topic(world.prefix + "sandbox", 1, {"retention.ms": "-1"})
    expected = Truth.read(kafka.bootstrap, [world.prefix + "nodes"]).select(int((BEGIN + 100) * 1e6), int((BEGIN + 500) * 1e6))
    done = world.replay("--to", f"topic/{world.prefix}sandbox", *DO, "--rate", "100000", "--id", "r1", "--since", rfc3339(int((BEGIN + 100) * 1e6)),
                        "--until", rfc3339(int((BEGIN + 500) * 1e6)))
    assert f"replay r1: {len(expected)} of {len(expected)} events" in done.stderr and len(expected) > 1000
    found = read_committed(kafka.bootstrap, world.prefix + "sandbox")
    assert [fields(r) for r in found] == [fields(r) for r in expected]
    assert {r.headers["ce_replayid"] for r in found} == {b"r1"}


def test_a_topic_goes_on_where_it_was_killed(world: World, kafka: Kafka, tmp_path: Path) -> None:
    past = Past(kafka.bootstrap, random.Random(4), BEGIN, 600)
    past.write(world.prefix + "nodes", 2000, range(3))
    sandbox, state = world.prefix + "sandbox", tmp_path / "state.json"
    kafka.create_topic(sandbox, 1, {"retention.ms": "-1"})
    args = ["replay", "-t", "nodes", "--to", f"topic/{sandbox}", *DO, "--resume", str(state), "--until", rfc3339(int((BEGIN + 600) * 1e6))]
    running = world.start(*args, "--rate", "300")
    wait_until("some are done", lambda: state.exists() and json.loads(state.read_text())["done"] > 200, 30)
    running.kill()
    running.wait()
    assert world.run(*args, "--rate", "100000", timeout=60).returncode == 0
    found = [r.headers["ce_id"] for r in read_committed(kafka.bootstrap, sandbox)]
    expected = [r.headers["ce_id"] for r in Truth.read(kafka.bootstrap, [world.prefix + "nodes"]).select(0, int((BEGIN + 600) * 1e6))]
    assert list(dict.fromkeys(found)) == expected and len(found) - len(expected) < 700  # what was under way comes twice


def test_no_offset_of_a_group_moves(world: World, kafka: Kafka) -> None:
    before = sorted(g.group_id for g in kafka.admin().list_consumer_groups().result(20).valid)
    world.replay("--to", "channel/sandbox", *DO, "--rate", "50")
    assert sorted(g.group_id for g in kafka.admin().list_consumer_groups().result(20).valid) == before
