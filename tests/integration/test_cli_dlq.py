"""klaxon dlq: dead letters that a real sink made, between a real Kafka and the stage's Slack, looked at, redriven and discarded."""
from __future__ import annotations

import json
import os
import pty
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_world import Klaxon
from cluster import Kafka, read_committed
from sink_process import values
from stage import Slack, Smtp
from test_email import TO, World as Mailed
from test_parking import Parked


class World(Parked):
    """With the command line, which has the sink's configuration."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, slack: Slack):
        super().__init__(binaries, directory, kafka, slack)
        self.klaxon = Klaxon(binaries, directory, kafka.bootstrap, self.prefix)
        self.klaxon.env |= {"KLAXON_CONFIG": str(self.sink.config), "USER": "ada"}

    def run(self, *args: str, code: int = 0, stderr: str = "") -> str:
        done = self.klaxon.run("dlq", *args, *(["--yes"] if args[0] in ("redrive", "discard") else []))
        assert (done.returncode, done.stderr) == (code, stderr), done.stdout
        return done.stdout

    def letters(self, *args: str) -> list[dict]:
        return json.loads(self.run("list", "--all", "-o", "json", *args))["items"]

    def ids(self, *args: str) -> list[str]:
        return self.run("list", "-q", *args).split()

    def marks(self) -> dict[str, dict]:
        records = read_committed(self.sink.kafka.bootstrap, self.sink.topic("control"))
        return {r.key.decode(): json.loads(r.value) for r in records if r.key.startswith(b"dlq/")}

    def refuse(self, hook: str, *events: str) -> None:
        """Each is refused for good."""
        before = len(self.sink.dead_letters())
        self.slack.fault(hook=hook, error="invalid_payload", times=2 * len(events))  # the second one is the try as plain text
        self.events.put(*events)
        self.sink.wait("refused", lambda: len(self.sink.dead_letters()) == before + len(events))


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, slack)
    made.configure("ops")
    made.sink.start()
    made.sink.wait_ready()
    yield made
    made.sink.kill()
    print(made.sink.log.read_text())


def test_redriven_delivered_and_not_twice(world: World) -> None:
    world.refuse("ops", "a", "b", "c")
    world.events.put("d")
    assert world.wait_told("ops", 1) == ["d"]
    groups = world.run("list").splitlines()
    assert groups[0].split() == ["CHANNEL", "SINK", "REASON", "COUNT", "FIRST", "LAST"]
    assert [row.split()[:4] for row in groups[1:]] == [["ops", "slack", "reject_message", "3"]]
    ids = world.ids()
    assert [one["event"] for one in world.letters()] == ["a", "b", "c"] and [one["id"] for one in world.letters()] == ids
    dry = world.run("redrive", "--channel", "ops", "--dry-run").splitlines()
    assert dry == [f"deadletter/{one} redriven (dry run): io.klaxon.node.ready to ops" for one in ids]
    assert world.retry() == [] and world.marks() == {}
    done = world.run("redrive", "--channel", "ops")
    assert done.splitlines() == [line.replace(" (dry run)", "") for line in dry]
    assert world.wait_told("ops", 4) == ["d", "a", "b", "c"]
    mark = world.marks()[f"dlq/{ids[1]}"]
    assert (mark["state"], mark["by"], mark["letter"]) == ("redriven", "ada", {"partition": 0, "offset": 1})
    assert mark["at"].startswith("20")
    assert world.ids() == [] and world.ids("--handled") == ids
    assert world.run("redrive", "--channel", "ops", stderr="klaxon dlq redrive: nothing to do\n") == ""
    world.run("redrive", "--id", ids[0], code=1, stderr=f"klaxon dlq redrive: deadletter/{ids[0]} was redriven before; --again does it once more\n")
    world.events.put("e")
    assert world.wait_told("ops", 5) == ["d", "a", "b", "c", "e"]
    world.wait_closed("ops")
    assert world.circuit("ops")["drainedTo"] == {"partition": 0, "offset": 2}
    assert world.run("redrive", "--id", ids[0], "--again", "-q").split() == [ids[0]]
    assert world.wait_told("ops", 6)[5] == "a"
    assert world.sink.stop() == 0
    receipts = [(r["event"], r["reason"], r["team"], r["subscription"]) for r in world.sink.receipts() if r["event"] == "b"]
    assert receipts == [("b", one, "team-ops", "sink.yaml:1") for one in ("reject_message", "delivered")]
    assert len(world.retry()) == 4 and len(world.told("ops")) == 6


def test_refused_again_it_is_open_again(world: World) -> None:
    world.refuse("ops", "a")
    [first] = world.letters()
    world.slack.fault(hook="ops", error="invalid_payload", times=2)
    world.run("redrive", first["id"])
    world.sink.wait("refused again", lambda: len(world.sink.dead_letters()) == 2)
    [again] = world.letters()
    assert (again["id"], again["state"]) == (first["id"], "open")  # the same verdict has the same id
    world.run("redrive", first["id"])
    assert world.wait_told("ops", 1) == ["a"]
    assert world.letters() == []
    [handled] = world.letters("--handled")
    assert (handled["state"], handled["handled"]["by"]) == ("redriven", "ada")


def test_a_letter_is_shown(world: World) -> None:
    world.events.put_raw(json.dumps({"summary": "Evil \x1b[2J name", "object": {"kind": "Node", "name": "n"}, "reason": "R", "labels": {}}).encode(),
                         {"ce_specversion": "1.0", "ce_id": "evil", "ce_source": "/clusters/prod/nodes", "ce_type": "io.klaxon.node.ready",
                          "ce_subject": "Node/n", "ce_cluster": "prod", "ce_severity": "critical", "content-type": "application/json"})
    world.slack.messages.wait("told", lambda _: len(world.slack.of("ops")) == 1, 30)
    world.refuse("ops", "a")
    [letter] = world.letters()
    rows = dict(line.split(None, 1) for line in world.run("show", letter["id"]).splitlines()[:12] if " " in line)
    assert rows["channel"] == "ops (slack)" and rows["team"] == "team-ops (sink.yaml:1)" and rows["state"] == "open"
    assert rows["reason"] == "reject_message" and rows["verdict"] == "reject_message (invalid_payload)"
    assert "invalid_payload" in rows["answer"] and rows["attempts"].startswith("1, from 20") and rows["event"] == "a"
    text = world.run("show", letter["id"])
    assert f"read from   {world.prefix}nodes/0@1\n" in text
    original = json.loads(text.splitlines()[-1])
    assert original["value"]["summary"] == "This is a." and original["headers"]["ce_id"] == "a"
    document = json.loads(world.run("show", letter["id"], "-o", "json"))
    assert (document["kind"], document["id"], document["state"]) == ("DeadLetter", letter["id"], "open")
    assert document["data"]["original"] == original
    request = document["request"]
    assert request["bytes"] == len(request["text"].encode())
    assert f"request, as it would be sent now: {request['bytes']} bytes of at most 65536\n{{" in text
    world.run("redrive", letter["id"])
    world.slack.messages.wait("told", lambda _: len(world.slack.of("ops")) == 2, 30)
    assert json.loads(request["text"]) == world.slack.of("ops")[-1].payload
    world.run("show", "nothing", code=1, stderr="klaxon dlq show: there is no dead letter nothing: `klaxon dlq list --all` shows them\n")


def test_a_letter_is_shown_though_the_configuration_has_mistakes(world: World) -> None:
    world.refuse("ops", "a")
    [letter] = world.letters()
    broken = world.sink.config.with_name("broken.yaml")
    broken.write_text(world.sink.config.read_text().replace("webhook_url", "webhok_url"))
    shown = world.klaxon.run("dlq", "show", letter["id"], "-c", broken)
    assert shown.returncode == 0 and 'unknown key "webhok_url"' in shown.stderr
    assert "request     none: the configuration has mistakes\n" in shown.stdout and '"summary":"This is a."' in shown.stdout.replace('": "', '":"')


def test_what_is_no_event_is_shown_and_discarded(world: World) -> None:
    world.events.put_raw(b"\xff\x00 not an \x1b[2J event", {})
    world.sink.wait("letter", lambda: len(world.sink.dead_letters()) == 1)
    world.refuse("ops", "a")
    rows = [row.split()[:4] for row in world.run("list").splitlines()[1:]]
    assert rows == [["<none>", "slack", "not_cloudevent", "1"], ["ops", "slack", "reject_message", "1"]]
    poison, refused = world.ids()
    assert json.loads(world.run("show", poison, "-o", "json"))["request"] == {"error": "it is about a record that is no event, so nobody is to be told"}
    assert "specversion is missing" in world.run("show", poison) and "\x1b" not in world.run("show", poison)
    why = "it is about a record that is no event, so nobody is to be told"
    world.run("redrive", poison, code=1, stderr=f"klaxon dlq redrive: deadletter/{poison} cannot be redriven: {why}\n")
    done = world.klaxon.run("dlq", "redrive", "--since", "1h", "--yes")  # of many, the others are
    assert (done.returncode, done.stdout.split()[0]) == (0, f"deadletter/{refused}") and why in done.stderr
    assert world.wait_told("ops", 1) == ["a"]
    said = world.run("discard", "--id", poison, "--reason-text", "a test of the bridge")
    assert said == f"deadletter/{poison} discarded: not_cloudevent of slack\n"
    assert world.ids() == []
    mark = world.marks()[f"dlq/{poison}"]
    assert (mark["state"], mark["reason"], mark["by"]) == ("discarded", "a test of the bridge", "ada")
    assert " by ada: a test of the bridge\n" in world.run("show", poison)
    world.run("discard", poison, "-m", "m", code=1,
              stderr=f"klaxon dlq discard: deadletter/{poison} was discarded before; --again handles it all the same\n")


def test_filters_and_a_limit(world: World) -> None:
    world.refuse("ops", *[f"e{i}" for i in range(5)])
    ids = world.ids()
    assert world.ids("--channel", "other") == [] and world.ids("--reason", "gave_up") == []
    assert world.ids("--reason", "reject_message", "--channel", "ops", "--since", "1h") == ids
    assert world.ids("--since", "2099-01-01") == []
    done = world.run("redrive", "--channel", "ops", "--max", "2", "-q", stderr="klaxon dlq redrive: 3 more are left: run it again\n")
    assert done.split() == ids[:2]
    assert world.wait_told("ops", 2) == ["e0", "e1"]
    assert world.run("redrive", "--channel", "ops", "-q", ids[2], ids[4]).split() == [ids[2], ids[4]]
    assert world.wait_told("ops", 4) == ["e0", "e1", "e2", "e4"]
    assert world.ids() == [ids[3]]


def test_by_what_the_event_is_about(world: World) -> None:
    world.refuse("ops", "a", "b")
    world.events.put_raw(b"no event", {})
    world.sink.wait("letter", lambda: len(world.sink.dead_letters()) == 3)
    a, b, _ = world.ids()
    assert world.ids("--filter", "name=a", "--filter", 'team=~"team-.*"') == world.ids("--filter", "name=a,channel=ops") == [a]
    assert world.ids("--filter", "type=node.ready,topic=nodes,name!=a") == [b]
    assert world.ids("--filter", "team=other") == []
    rows = world.run("list", "--filter", "name=b").splitlines()[1:]
    assert [row.split()[:4] for row in rows] == [["ops", "slack", "reject_message", "1"]]
    assert world.run("discard", "--filter", "name=a", "-m", "m", "-q").split() == [a]
    assert world.run("redrive", "--filter", "cluster=~.+", "-q").split() == [b]
    assert world.wait_told("ops", 1) == ["b"]


def test_not_faster_than_asked_for(world: World) -> None:
    world.refuse("ops", *[f"e{i}" for i in range(5)])
    began = time.monotonic()
    document = json.loads(world.run("redrive", "--channel", "ops", "--rate", "2", "-o", "json"))
    assert time.monotonic() - began >= 2  # two, two and one
    assert (document["kind"], document["state"], document["dryRun"]) == ("DeadLetterResult", "redriven", False)
    assert (document["due"], document["done"], document["refused"]) == (5, 5, 0)
    assert [(one["event"], one["channel"], one["done"], one["error"]) for one in document["items"]] == [(f"e{i}", "ops", True, None) for i in range(5)]
    assert len(world.wait_told("ops", 5)) == 5


def test_stopped_between_two_portions(world: World) -> None:
    world.refuse("ops", *[f"e{i}" for i in range(4)])
    ids = world.ids()
    running = world.klaxon.start("dlq", "redrive", "--channel", "ops", "--rate", "1", "--yes")
    world.sink.wait("the first", lambda: len(world.marks()) > 0)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=20)
    told = [line.partition(" ")[0].removeprefix("deadletter/") for line in out.decode().splitlines()]
    assert running.returncode == 130 and 0 < len(told) < 4
    assert f"{len(told)} are redriven, {4 - len(told)} are not" in err.decode()
    assert world.ids() == ids[len(told):] and told == ids[:len(told)]
    assert len(world.wait_told("ops", len(told))) == len(told)


def test_partly_done(world: World) -> None:
    world.refuse("ops", "a", "b")
    a, b = world.ids()
    world.run("discard", a, "-m", "m")
    done = world.klaxon.run("dlq", "redrive", a, b, "nothing", "--yes", "-o", "json")
    assert done.returncode == 6
    assert "klaxon dlq redrive: 1 are redriven, 2 are not\n" in done.stderr
    document = json.loads(done.stdout)
    assert (document["done"], document["refused"]) == (1, 2)
    assert {one["id"]: one["error"] and one["error"][:13] for one in document["items"]} == {a: "was discarded", "nothing": "is not there:", b: None}


@pytest.mark.parametrize("answer, code", [("y", 0), ("Yes", 0), ("", 1), ("no", 1), ("ye", 0), ("yesterday", 1)])
def test_on_a_terminal_it_asks(world: World, answer: str, code: int) -> None:
    world.refuse("ops", "a")
    [letter] = world.ids()
    ours, its = pty.openpty()
    try:
        asking = world.klaxon.start("dlq", "discard", letter, "-m", "m", stdin=its, stderr=its)
        os.close(its)
        said = b""
        while b"[y/N] " not in said:
            said += os.read(ours, 4096)
        assert b"klaxon dlq discard: 1 dead letter of ops would be discarded. Go on? [y/N] " in said
        os.write(ours, answer.encode() + b"\n")
        out, _ = asking.communicate(timeout=20)
    finally:
        os.close(ours)
    assert (asking.returncode, len(out.splitlines())) == (code, 1 - code)
    assert world.ids() == ([letter] if code else [])


def test_a_broken_channel_parks_what_is_redriven(world: World) -> None:
    world.refuse("ops", "a")
    [letter] = world.ids()
    world.slack.fault(hook="ops", error="no_service", times=0)
    world.run("redrive", letter)
    world.sink.wait("tried", lambda: "no_service" in world.sink.text("readyz"))
    assert world.sink.stop() == 0
    world.sink.start()
    world.events.put("b")
    world.wait_parked("ops", 1)  # behind it
    world.repair()
    assert world.wait_told("ops", 2) == ["a", "b"]
    assert world.ids() == []


def test_many(world: World) -> None:
    """More than one portion; and in order."""
    names = [f"e{i:04}" for i in range(1200)]
    world.refuse("ops", "seed")
    assert world.sink.stop() == 0
    [record] = world.sink.dead_letters()
    producer = world.klaxon._producer  # pylint: disable=protected-access
    headers = [(name, value) for name, value in record.headers.items() if name != "ce_id"]
    for name in names:
        value = record.value.replace(b'"ce_id":"seed"', f'"ce_id":"{name}"'.encode())
        producer.produce(world.prefix + "dlq", value, record.key, headers=[*headers, ("ce_id", f"letter-{name}")])
    assert producer.flush(30) == 0
    assert len(world.run("redrive", "--channel", "ops", "-q").split()) == len(names) + 1
    assert [r.header("ce_id") for r in world.retry()] == ["seed", *names]
    assert world.ids() == [] and len(world.marks()) == len(names) + 1


def test_a_channel_that_is_not_configured_is_said(world: World) -> None:
    world.refuse("ops", "a")
    [letter] = world.ids()
    text = world.sink.config.read_text()
    world.sink.config.write_text(text.replace('"ops"', '"dev"'))
    assert "request     none: the channel is not in this configuration\n" in world.run("show", letter)
    done = world.klaxon.run("dlq", "redrive", letter, "--dry-run")
    assert done.returncode == 0
    assert "the channel ops is not in this configuration" in done.stderr


def test_a_recipient_that_was_taken_out_is_not_replaced_by_the_others(binaries: Path, tmp_path: Path, kafka: Kafka, smtp: Smtp) -> None:
    mailed = Mailed(binaries, tmp_path, kafka, smtp)
    klaxon = Klaxon(binaries, tmp_path, kafka.bootstrap, mailed.prefix)
    klaxon.env |= {"KLAXON_CONFIG": str(mailed.sink.config), "USER": "ada"}
    mailed.configure(to=TO[:2])
    smtp.fault(stage="rcpt", address=TO[0], reply="550 5.1.1 no such user", times=1)
    mailed.events.put("aks-1")
    mailed.sink.start()
    try:
        mailed.sink.wait_settled(1)
    finally:
        mailed.sink.kill()
    [letter] = klaxon.run("dlq", "list", "-q").stdout.split()
    mailed.configure(to=TO[1:2])
    said = f"klaxon dlq redrive: deadletter/{letter} cannot be redriven: its recipient is none of the channel's any more\n"
    named = klaxon.run("dlq", "redrive", letter, "-y")
    assert (named.returncode, named.stdout, named.stderr) == (1, "", said)
    found = klaxon.run("dlq", "redrive", "--channel", "mail", "-y")
    assert (found.returncode, found.stdout, found.stderr) == (0, "", said + "klaxon dlq redrive: nothing to do\n")
    assert read_committed(kafka.bootstrap, mailed.sink.topic("retry")) == []
    mailed.configure(to=TO[:2])
    assert klaxon.run("dlq", "redrive", letter, "-q", "-y").stdout.split() == [letter]


@pytest.mark.parametrize("args, said", [
    (["redrive"], "which? Give ids, --channel, --reason, --since or --filter"),
    (["discard", "-m", "m"], "which? Give ids, --channel, --reason, --since or --filter"),
    (["discard", "x"], "--reason-text TEXT is missing"),
    (["redrive", "x", "--max", "-1"], "--max is not a number of dead letters"),
    (["redrive", "x", "--rate", "-1"], "--rate is not a number of dead letters a second"),
    (["redrive", "x"], "there is no terminal to ask on: give --yes, or --dry-run"),
    (["discard", "x", "-m", "m"], "there is no terminal to ask on: give --yes, or --dry-run"),
    (["list", "--filter", "cluster"], "--filter: "),
    (["list", "--since", "noon"], '--since: "noon" is not a time'),
    (["list", "x"], 'takes no operands, found "x"'),
    (["show"], "ID is missing"),
    (["lst"], 'did you mean "list"?'),
])
def test_what_is_wrong_is_said(binaries: Path, tmp_path: Path, args: list[str], said: str) -> None:
    done = Klaxon(binaries, tmp_path, "127.0.0.1:1", "klaxon.").run("dlq", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_without_letters_and_without_topics(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    klaxon = Klaxon(binaries, tmp_path, kafka.bootstrap, f"t{uuid.uuid4().hex[:8]}.")
    done = klaxon.run("dlq", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"does not have {klaxon.prefix}control: run `klaxon topics apply`" in done.stderr
    assert klaxon.run("topics", "apply").returncode == 0
    done = klaxon.run("dlq", "list", "-o", "json")
    assert (done.returncode, done.stderr, json.loads(done.stdout)["items"]) == (0, "", [])
    assert len(klaxon.run("dlq", "list").stdout.splitlines()) == 1
    done = klaxon.run("dlq", "redrive", "x", "--yes")
    assert (done.returncode, done.stderr) == (1, "klaxon dlq redrive: deadletter/x is not there: `klaxon dlq list --all` shows them\n")
    assert values(read_committed(kafka.bootstrap, klaxon.prefix + "retry")) == []
