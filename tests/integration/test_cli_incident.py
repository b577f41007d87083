"""klaxon incident: what sinks have told of incidents on a real Kafka, and that an acknowledgement ends reminders and escalations."""
from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli_world import Klaxon
from cluster import Kafka, read_committed
from stage import Slack
from test_noise import World

TAKEN = "b25f05a3c1d18798f68c0c1dc06926a1"
LEFT = "b25f0777c1d18798f68c0c1dc06926a1"
OVER = "0cb1f0a3c1d18798f68c0c1dc06926a1"


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, slack)
    yield made
    made.sink.kill()
    print(made.sink.log.read_text() if made.sink.log.exists() else "no log")


@pytest.fixture
def klaxon(world: World, binaries: Path, tmp_path: Path, kafka: Kafka) -> Klaxon:
    made = Klaxon(binaries, tmp_path, kafka.bootstrap, world.prefix)
    made.env["USER"] = "ada"
    return made


def listed(klaxon: Klaxon, *args: str) -> list[dict]:
    done = klaxon.run("incident", "list", "-o", "json", *args)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert (document["apiVersion"], document["kind"]) == ("klaxon.io/v1", "IncidentList")
    return document["items"]


def ids(klaxon: Klaxon, *args: str) -> list[str]:
    done = klaxon.run("incident", "list", "-q", *args)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def acknowledgements(world: World) -> dict[str, dict | None]:
    last = {}
    for record in read_committed(world.kafka.bootstrap, world.prefix + "control"):
        if record.key.startswith(b"ack/"):
            last[record.key.decode()] = json.loads(record.value) if record.value else None
    return last


def wait_states(world: World, *keys: str) -> None:
    world.sink.wait("the states", lambda: set(keys) <= set(world.states()))


def test_an_acknowledgement_ends_reminders_and_the_escalation(world: World, klaxon: Klaxon) -> None:
    """Of two incidents alike, the first is acknowledged. What is due of it would be told before what is due of the other."""
    world.configure({"repeat": "1m", "escalate": {"after": "1m", "channels": ["pager"]}})
    world.sink.start()
    world.sink.wait_ready()
    world.put(TAKEN, 1, "open")
    world.wait_told(1)
    wait_states(world, f"sink/ops/{TAKEN}", f"sink/pager/{TAKEN}")
    done = klaxon.run("incident", "ack", TAKEN[:8], "-m", "on it")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"incident/{TAKEN} acknowledged: This is {TAKEN}.1.\n"
    world.put(LEFT, 1, "open")

    assert world.wait_told(1, "pager", 120) == [f"{LEFT}.1"]
    assert world.wait_told(3, "ops", 60) == [f"{TAKEN}.1", f"{LEFT}.1", f"{LEFT}.1"]
    assert "still open" in world.slack.of("ops")[2].text()
    by_id = {i["id"]: i for i in listed(klaxon)}
    assert (by_id[TAKEN]["acknowledged"]["by"], by_id[TAKEN]["acknowledged"]["comment"]) == ("ada", "on it")
    assert by_id[LEFT]["acknowledged"] is None
    table = klaxon.run("incident", "list", "--filter", f"name={TAKEN}").stdout
    assert "ops, pager (not told)" in table  # nor will it be

    assert klaxon.run("incident", "unack", TAKEN[:8]).returncode == 0
    assert f"{TAKEN}.1" in world.wait_told(2, "pager")
    world.slack.messages.wait("a reminder of it", lambda _: world.told().count(f"{TAKEN}.1") == 2, 40)


def test_what_is_listed(world: World, klaxon: Klaxon) -> None:
    world.configure({"escalate": {"after": "1h", "channels": ["pager"]}})
    for incident in (TAKEN, LEFT, OVER):
        world.put(incident, 1, "open", "critical" if incident == LEFT else "warning")
    world.put(TAKEN, 2)
    world.put(OVER, 2, "resolved")
    world.sink.start()
    world.wait_receipts(10)
    world.sink.wait("the end is kept", lambda: world.states().get(f"sink/ops/{OVER}", {}).get("resolved") is True
                    and world.states().get(f"sink/ops/{TAKEN}", {}).get("told") == 2)
    worst, other = listed(klaxon)
    assert (worst["id"], worst["severity"], other["id"], other["severity"]) == (LEFT, "critical", TAKEN, "warning")
    assert (other["cluster"], other["topic"], other["number"], other["acknowledged"]) == ("prod", "nodes", 2, None)
    assert (other["eventType"], other["summary"]) == ("io.klaxon.node.notready", f"This is {TAKEN}.2.")
    assert other["object"] == {"kind": "Node", "namespace": None, "name": TAKEN}
    ops, pager = other["channels"]
    assert (ops["name"], ops["team"], ops["told"], ops["number"], ops["waits"]) == ("ops", "operations", True, 2, None)
    assert (pager["name"], pager["told"], pager["toldAt"], pager["waits"]) == ("pager", False, None, "escalation")
    head, first, second = klaxon.run("incident", "list").stdout.splitlines()
    assert head.split() == ["ID", "SEVERITY", "CLUSTER", "SINCE", "NUMBER", "ACKNOWLEDGED", "CHANNELS", "SUMMARY"]
    assert first.split()[:3] == [LEFT[:8], "critical", "prod"]
    assert second.split()[0] == TAKEN[:8]
    assert "<none>" in second and "ops, pager (escalation)" in second and second.endswith(f"This is {TAKEN}.2.")
    assert ids(klaxon, "--filter", "severity=critical") == [LEFT]
    assert ids(klaxon, "--filter", "cluster=prod", "--filter", f"name!={LEFT}") == [TAKEN]
    assert ids(klaxon, "--filter", "channel=mail") == []


def test_an_event_that_no_sink_keeps_is_in_its_topic(world: World, klaxon: Klaxon) -> None:
    world.configure()
    world.put(TAKEN, 1, "open")
    world.put(TAKEN, 2)
    world.sink.start()
    world.wait_receipts(2)
    world.sink.wait("the state", lambda: world.states().get(f"sink/ops/{TAKEN}", {}).get("told") == 2)
    assert "event" not in world.states()[f"sink/ops/{TAKEN}"]
    [one] = listed(klaxon, "--filter", "pool=system")
    assert (one["summary"], one["cluster"], one["number"]) == (f"This is {TAKEN}.2.", "prod", 2)
    done = klaxon.run("incident", "ack", "--filter", f"name={TAKEN}", "-q")
    assert (done.returncode, done.stdout) == (0, f"{TAKEN}\n")


def test_acknowledging(world: World, klaxon: Klaxon) -> None:
    world.configure({"repeat": "1h"})
    for incident in (TAKEN, LEFT, OVER):
        world.put(incident, 1, "open")
    world.put(OVER, 2, "resolved")
    world.sink.start()
    world.wait_receipts(4)
    world.sink.wait("the states", lambda: world.states().get(f"sink/ops/{OVER}", {}).get("resolved") is True
                    and {f"sink/ops/{TAKEN}", f"sink/ops/{LEFT}"} <= set(world.states()))

    dry = klaxon.run("incident", "ack", TAKEN, "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, f"incident/{TAKEN} acknowledged (dry run): This is {TAKEN}.1.\n")
    assert acknowledgements(world) == {}

    done = klaxon.run("incident", "ack", "b25f0", TAKEN[:8], OVER[:8], "nothing", TAKEN, "-m", "on\x1b[2J it")
    assert (done.returncode, done.stdout) == (6, f"incident/{TAKEN} acknowledged: This is {TAKEN}.1.\n")
    assert done.stderr.splitlines() == ["klaxon incident ack: b25f0 begins several ids: give more of it",
                                        f"klaxon incident ack: {OVER[:8]} is over",
                                        "klaxon incident ack: nothing is no open incident: `klaxon incident list` shows them",
                                        "klaxon incident ack: 1 is done, the others are not"]
    ack = acknowledgements(world)[f"ack/{TAKEN}"]
    assert (ack["by"], ack["comment"], set(ack)) == ("ada", "on\x1b[2J it", {"by", "at", "comment"})
    assert ids(klaxon, "--unacknowledged") == [LEFT]
    assert set(ids(klaxon)) == {TAKEN, LEFT}

    again = klaxon.run("incident", "ack", TAKEN[:8], "--author", "bob")
    assert (again.returncode, again.stdout) == (0, f"incident/{TAKEN} is acknowledged already, by ada: This is {TAKEN}.1.\n")
    assert acknowledgements(world)[f"ack/{TAKEN}"]["by"] == "ada"
    assert klaxon.run("incident", "ack", "--filter", "cluster=prod", "-q").stdout.split() == [LEFT]
    nothing = klaxon.run("incident", "ack", "--filter", "cluster=prod")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (0, "", "klaxon incident ack: nothing to do\n")

    back = klaxon.run("incident", "unack", TAKEN[:6], LEFT[:6], "-q")
    assert (back.returncode, set(back.stdout.split())) == (0, {TAKEN, LEFT})
    assert acknowledgements(world) == {f"ack/{TAKEN}": None, f"ack/{LEFT}": None}
    assert klaxon.run("incident", "unack", TAKEN[:8]).stdout.startswith(f"incident/{TAKEN} is not acknowledged")
    assert klaxon.run("incident", "unack", "nothing").returncode == 1


def test_the_command_line(world: World, klaxon: Klaxon) -> None:
    """Needs no Kafka to be refused."""
    klaxon.configure("")
    for args, why in ((["ack"], "which? Give ids or --filter"), (["unack"], "which? Give ids or --filter"),
                      (["ack", "b25f05a3", "--filter", "a=b"], "ids and --filter exclude each other"),
                      (["ack", "--filter", "cluster"], "--filter"), (["list", "--filter", "="], "--filter"), (["list", "b25f05a3"], "b25f05a3"),
                      (["ack", "b25f05a3", "-m", "x" * 2000], "--author and --comment")):
        done = klaxon.run("incident", *args)
        assert (done.returncode, done.stdout) == (2, ""), args
        assert why in done.stderr
    nobody = klaxon.run("incident", "ack", "b25f05a3", USER="")
    assert (nobody.returncode, "who takes it?" in nobody.stderr) == (2, True)
