"""The ntfy sink: its messages by the stage, and the whole program between a real Kafka and the stage's server."""
from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cluster import Kafka
from conftest import ROOT
from sink_process import Events, Sink, new_prefix, values
from stage.ntfy import Ntfy

GOLDEN = sorted((ROOT / "tests/golden/ntfy").glob("*.json"))
SENT = re.compile(r"This is (\S+)\.")


@pytest.fixture
def ntfy() -> Iterator[Ntfy]:
    with Ntfy() as made:
        yield made


def post(ntfy: Ntfy, body: str | bytes, token: str | None = None) -> requests.Response:
    return requests.post(ntfy.url, body if isinstance(body, bytes) else body.encode(), timeout=5,
                         headers={"Authorization": f"Bearer {token or ntfy.token}", "Content-Type": "application/json"})


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_ntfy_takes_every_golden_message(ntfy: Ntfy, path: Path) -> None:
    answer = post(ntfy, path.read_text())
    assert answer.status_code == 200, answer.text
    [message] = ntfy.messages.all()
    assert answer.json()["id"] == message.id and message.topic == "klaxon-ops"


class World:
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, ntfy: Ntfy):
        self.prefix = new_prefix(kafka)
        self.events = Events(kafka, self.prefix)
        self.ntfy = ntfy
        self.sink = Sink(binaries, directory, kafka, self.prefix, "ntfy")
        self.secret = directory / "token"
        self.secret.write_text(ntfy.token + "\n")

    def configure(self, *topics: str, **more: object) -> None:
        """A channel for each topic, and a subscription for each: everything of `nodes`."""
        channels = {topic: {"url": self.ntfy.url, "topic": topic, "token": {"file": str(self.secret)}} | more for topic in topics}
        self.sink.configure(channels, [{"team": f"team-{topic}", "topics": ["nodes"], "channels": [topic]} for topic in topics])

    def wait_told(self, topic: str, count: int) -> list[str]:
        """The ids of the events, in the order in which they came."""
        self.ntfy.messages.wait(f"{count} on {topic}", lambda _: len(self.ntfy.of(topic)) >= count, 40)
        return [SENT.search(message.message).group(1) for message in self.ntfy.of(topic)]

    def assert_nobody_saw_the_token(self) -> None:
        seen = self.sink.log.read_text() + json.dumps(self.sink.receipts()) + str([(r.value, r.headers) for r in self.sink.dead_letters()])
        seen += "".join(self.sink.text(page) for page in ("metrics", "readyz", "healthz"))
        assert self.ntfy.token not in seen


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, ntfy: Ntfy) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, ntfy)
    yield made
    made.sink.kill()
    print(made.sink.log.read_text() if made.sink.log.exists() else "no log")


def test_a_message_is_delivered_and_its_receipt_names_it(world: World) -> None:
    world.configure("ops", tags=["prod"])
    world.events.put("a", severity="critical")
    world.events.put("b", severity="info")
    world.sink.start()
    assert world.wait_told("ops", 2) == ["a", "b"]
    world.sink.wait_settled(2)
    assert [(message.priority, message.tags) for message in world.ntfy.of("ops")] == [(5, ["rotating_light", "prod"]), (3, ["prod"])]
    receipts = {receipt["event"]: receipt for receipt in world.sink.receipts()}
    assert [(receipts[one]["reason"], receipts[one]["code"]) for one in "ab"] == [("delivered", "ok")] * 2
    assert json.loads(receipts["a"]["answer"])["id"] == world.ntfy.of("ops")[0].id
    world.assert_nobody_saw_the_token()


@pytest.mark.parametrize(("fault", "told"), [
    ({"status": 503}, ["a", "b"]),
    ({"code": 42901, "retry_after": 2}, ["a", "b"]),
    ({"code": 42908}, ["a", "b"]),
    ({"cut": "reset"}, ["a", "b"]),
    ({"cut": "close", "at": "answer"}, ["a", "a", "b"]),  # nobody knows: rather twice than not at all
], ids=str)
def test_what_passes_is_tried_again(world: World, fault: dict, told: list[str]) -> None:
    world.configure("ops")
    world.ntfy.fault(**fault)
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("ops", len(told)) == told
    world.sink.wait_settled(2)
    assert world.sink.dead_letters() == []


@pytest.mark.parametrize(("fault", "code"), [({"code": 41303}, "41303"), ({"status": 413}, "http_413"), ({"code": 40024}, "40024")], ids=str)
def test_a_message_that_is_refused_is_a_dead_letter(world: World, fault: dict, code: str) -> None:
    world.configure("ops")
    world.ntfy.fault(**fault)
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("ops", 1) == ["b"]
    world.sink.wait_settled(2)
    [letter] = values(world.sink.dead_letters())
    assert (letter["reason"], letter["code"], letter["channel"]) == ("reject_message", code, "ops")
    world.assert_nobody_saw_the_token()


def test_a_topic_that_is_closed_keeps_its_messages_and_holds_up_no_other(world: World) -> None:
    world.configure("closed", "ops")
    world.ntfy.forbidden.add("closed")
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("ops", 2) == ["a", "b"]
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="closed") == 1)
    assert "docs/channels/ntfy.md" in world.sink.log.read_text()
    world.ntfy.forbidden.clear()
    world.sink.signal(signal.SIGHUP)
    assert world.wait_told("closed", 2) == ["a", "b"]
    assert world.sink.dead_letters() == []


def test_a_token_that_is_revoked_and_rotated(world: World) -> None:
    """The new one counts without a restart, and nothing is lost."""
    world.configure("ops")
    world.secret.write_text("tk_0000000000000000000000000000")
    world.events.put("a")
    world.sink.start()
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="ops") == 1)
    assert "40101" in world.sink.log.read_text()
    world.secret.write_text(world.ntfy.token)
    world.sink.signal(signal.SIGHUP)
    assert world.wait_told("ops", 1) == ["a"]
    world.assert_nobody_saw_the_token()


def test_check_says_what_is_wrong(world: World) -> None:
    world.configure("ops", url="https://ntfy.example.com/ops")
    code, said = world.sink.check()
    assert code == 1 and "the server's URL has a path" in said
    world.configure("ops")
    world.secret.write_text("two words")
    code, said = world.sink.check()
    assert code == 1 and f"the token in file {world.secret}" in said and "two words" not in said


# The stage's own mistakes

@pytest.mark.parametrize(("body", "code"), [
    ("{", 40024), ("[]", 40024), ('{"topic":"a b","message":"x"}', 40009), ('{"topic":"a"}', 41301),
    (json.dumps({"topic": "a", "message": "x" * 4097}), 41301), (json.dumps({"topic": "a", "message": "x" * 8192}), 41303),
    (json.dumps({"topic": "a", "message": "x", "title": "x" * 251}), 40024), ('{"topic":"a","message":"x","priority":6}', 40007),
    ('{"topic":"a","message":"x","tag":"x"}', 40024), ('{"topic":"a","message":"x","click":"javascript:alert(1)"}', 40024),
], ids=lambda value: str(value)[:40])
def test_the_stage_refuses(ntfy: Ntfy, body: str, code: int) -> None:
    assert post(ntfy, body).json()["code"] == code
    assert post(ntfy, '{"topic":"a","message":"x"}', token="tk_other").status_code == 401
    assert ntfy.messages.all() == []
