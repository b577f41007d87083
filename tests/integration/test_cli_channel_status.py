"""klaxon channel status: what a real Kafka says of the channels of a real sink."""
from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_world import Klaxon
from cluster import Kafka
from stage import Slack
from test_cli_dlq import World


class Watched(World):
    def status(self, *args: str) -> dict[str, dict]:
        done = self.klaxon.run("channel", "status", "-o", "json", *args)
        assert (done.returncode, done.stderr) == (0, "")
        return {one["name"]: one for one in json.loads(done.stdout)["items"]}

    def text(self, *args: str) -> str:
        done = self.klaxon.run("channel", "status", *args)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> Iterator[Watched]:
    made = Watched(binaries, tmp_path, kafka, slack)
    made.configure("ops", "bad", "idle")
    made.sink.config.write_text(made.sink.config.read_text().replace('"team": "team-idle", "topics": ["nodes"]', '"team": "team-idle", "topics": ["kubernetes"]'))
    yield made
    made.sink.kill()
    print(made.sink.log.read_text() if made.sink.log.exists() else "no log")


def test_nothing_is_known(world: Watched) -> None:
    found = world.status()
    assert sorted(found) == ["bad", "idle", "ops"]
    nothing = {"delivered": 0, "refused": 0, "gaveUp": 0, "suppressed": 0}
    assert found["ops"] == {"name": "ops", "sink": None, "configured": True, "circuit": None, "parked": 0, "parkedSince": None, "receipts": nothing,
                            "lastDelivered": None, "lastRefused": None, "deadLetters": 0, "deadLettersOpen": 0}
    rows = [line.split() for line in world.text().splitlines()]
    assert rows[0] == ["CHANNEL", "KIND", "CIRCUIT", "PARKED", "DELIVERED", "REFUSED", "GAVE-UP", "SUPPRESSED", "DEAD-LETTERS", "LAST-DELIVERED",
                       "LAST-REFUSED"]
    assert rows[1] == ["bad", "<none>", "<none>", "0", "0", "0", "0", "0", "0", "<none>", "<none>"]
    text = world.text("ops")
    assert "circuit         none: nothing of it was ever parked, or it is not known any more\n" in text
    assert "last delivered  none since 20" in text and "; --since looks further back\n" in text


def test_what_is_parked_refused_and_delivered(world: Watched) -> None:
    world.slack.fault(hook="bad", error="no_service", times=0)
    world.slack.fault(hook="ops", error="invalid_payload", times=2)
    world.sink.start()
    world.events.put("a", "b", "c")
    world.wait_parked("bad", 3)
    assert world.wait_told("ops", 2) == ["b", "c"]
    assert world.sink.stop() == 0
    found = world.status()
    bad, ops = found["bad"], found["ops"]
    assert (bad["circuit"]["state"], bad["circuit"]["reason"], bad["parked"], bad["sink"]) == ("open", "no_service", 3, "slack")
    assert bad["parkedSince"] >= bad["circuit"]["since"][:19] and bad["lastDelivered"] is None
    assert ops["receipts"] == {"delivered": 2, "refused": 1, "gaveUp": 0, "suppressed": 0}
    assert (ops["lastRefused"]["reason"], ops["lastRefused"]["code"]) == ("reject_message", "invalid_payload")
    assert (ops["deadLetters"], ops["deadLettersOpen"], ops["parked"]) == (1, 1, 0)
    assert found["idle"]["receipts"]["delivered"] == 0
    text = world.text("bad")
    assert "circuit         open since 20" in text and ": no_service\n" in text and "parked          3, the oldest since 20" in text
    assert ": reject_message: invalid_payload (" in world.text("ops")
    assert [line.split()[:4] for line in world.text().splitlines()][1:] == [
        ["bad", "slack", "open", "3"], ["idle", "<none>", "<none>", "0"], ["ops", "slack", "<none>", "0"]]
    assert world.status("ops", "--since", "2099-01-01")["ops"]["receipts"]["delivered"] == 0
    world.slack.faults.clear()
    world.klaxon.run("dlq", "discard", "--channel", "ops", "-m", "seen", "--yes")
    world.sink.start()
    assert world.wait_told("bad", 3) == ["a", "b", "c"]
    world.wait_closed("bad")
    assert world.sink.stop() == 0
    found = world.status()
    assert (found["bad"]["circuit"]["state"], found["bad"]["parked"], found["bad"]["receipts"]["delivered"]) == ("closed", 0, 3)
    assert (found["ops"]["deadLetters"], found["ops"]["deadLettersOpen"]) == (1, 0)


def test_a_channel_of_which_only_kafka_knows(world: Watched) -> None:
    world.sink.start()
    world.events.put("a")
    assert world.wait_told("ops", 1) == ["a"]
    assert world.sink.stop() == 0
    world.sink.config.write_text(world.sink.config.read_text().replace('"ops"', '"dev"'))
    assert world.status()["ops"]["configured"] is False
    assert world.text("ops").startswith("channel         ops, which is not in this configuration\n")
    done = world.klaxon.run("channel", "status", "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'there is no channel "none" in the configuration or in Kafka' in done.stderr


@pytest.mark.parametrize("args, said", [
    (["a", "b"], 'takes one CHANNEL, found "b" as well'),
    (["--since", "noon"], '--since: "noon" is not a time'),
])
def test_what_is_wrong_is_said(binaries: Path, tmp_path: Path, args: list[str], said: str) -> None:
    done = Klaxon(binaries, tmp_path, "127.0.0.1:1", "klaxon.").run("channel", "status", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_without_topics(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    klaxon = Klaxon(binaries, tmp_path, kafka.bootstrap, f"t{uuid.uuid4().hex[:8]}.")
    done = klaxon.run("channel", "status")
    assert (done.returncode, done.stdout) == (1, "")
    assert "run `klaxon topics apply`" in done.stderr
