"""klaxon silence: it writes to and reads from a real Kafka."""
from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from cli_world import Klaxon
from cluster import Kafka


@pytest.fixture
def klaxon(binaries: Path, tmp_path: Path, kafka: Kafka) -> Klaxon:
    made = Klaxon(binaries, tmp_path, kafka.bootstrap, f"t{uuid.uuid4().hex[:8]}.")
    assert made.run("topics", "apply").returncode == 0
    return made


def add(klaxon: Klaxon, *args: str) -> str:
    done = klaxon.run("silence", "add", *args, "-q", USER="ada")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def query(klaxon: Klaxon, *args: str) -> list[dict]:
    return json.loads(klaxon.run("silence", "query", "-o", "json", *args).stdout)["items"]


def test_a_silences_life(klaxon: Klaxon) -> None:
    done = klaxon.run("silence", "add", "cluster=prod-weu", 'name=~"aks-.*"', "--for", "2h", "-m", "planned upgrade", USER="ada")
    assert done.returncode == 0
    assert done.stdout.startswith("silence/")
    assert '{cluster="prod-weu", name=~"aks-.*"} until 20' in done.stdout
    (one,) = query(klaxon)
    assert one["state"] == "active"
    assert (one["silence"]["createdBy"], one["silence"]["comment"]) == ("ada", "planned upgrade")
    assert one["silence"]["matchers"] == [{"name": "cluster", "value": "prod-weu", "isRegex": False, "isEqual": True},
                                          {"name": "name", "value": "aks-.*", "isRegex": True, "isEqual": True}]
    table = klaxon.run("silence", "query").stdout.splitlines()
    assert table[0].split() == ["ID", "STATE", "STARTS", "ENDS", "AUTHOR", "COMMENT", "MATCHERS"]
    assert table[1].split()[:2] == [one["id"], "active"]
    ended = klaxon.run("silence", "expire", one["id"])
    assert (ended.returncode, ended.stdout) == (0, f"silence/{one['id']} expired\n")
    assert query(klaxon) == []
    assert [s["state"] for s in query(klaxon, "--all")] == ["expired"]
    again = klaxon.run("silence", "expire", one["id"])
    assert (again.returncode, again.stdout) == (0, f"silence/{one['id']} has ended already\n")


def test_one_for_later(klaxon: Klaxon) -> None:
    one = add(klaxon, "team=shop", "-m", "m", "--start", "2099-01-01", "--until", "2099-01-02 12:00")
    (found,) = query(klaxon)
    assert (found["id"], found["state"]) == (one, "pending")
    assert found["silence"]["endsAt"].startswith("2099-01-02T12:00:00")
    assert klaxon.run("silence", "expire", one).returncode == 0
    assert query(klaxon) == []


def test_several_are_ended_by_their_ids(klaxon: Klaxon) -> None:
    ids = {add(klaxon, f"cluster=c{i}", "-m", "m") for i in range(3)}
    assert set(klaxon.run("silence", "query", "-q").stdout.split()) == ids
    dry = klaxon.run("silence", "expire", *ids, "--dry-run")
    assert (dry.returncode, {line.partition(" ")[2] for line in dry.stdout.splitlines()}) == (0, {"expired (dry run)"})
    assert len(query(klaxon)) == 3
    done = klaxon.run("silence", "expire", *ids, "nothing", "-q")
    assert (done.returncode, set(done.stdout.split())) == (6, ids)
    assert "there is no silence nothing" in done.stderr and "3 of 4 are ended" in done.stderr
    assert klaxon.run("silence", "expire", "nothing").returncode == 1
    assert query(klaxon) == []


def test_they_move_in_alertmanagers_form(klaxon: Klaxon, binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    one = add(klaxon, "cluster=prod", 'name!~"aks-.*"', "-m", "planned \x1b[2J")
    ended = add(klaxon, "cluster=dev", "-m", "m")
    assert klaxon.run("silence", "expire", ended).returncode == 0
    done = klaxon.run("silence", "export")
    (exported,) = json.loads(done.stdout)
    assert (exported["id"], exported["status"], exported["createdBy"]) == (one, {"state": "active"}, "ada")
    assert exported["matchers"][1] == {"name": "name", "value": "aks-.*", "isRegex": True, "isEqual": False}
    assert {"startsAt", "endsAt", "comment"} < exported.keys()
    assert {s["id"] for s in json.loads(klaxon.run("silence", "export", "--all").stdout)} == {one, ended}
    (tmp_path / "elsewhere").mkdir()
    other = Klaxon(binaries, tmp_path / "elsewhere", kafka.bootstrap, f"t{uuid.uuid4().hex[:8]}.")
    assert other.run("topics", "apply").returncode == 0
    file = tmp_path / "silences.json"
    file.write_text(klaxon.run("silence", "export", "--all").stdout)
    dry = other.run("silence", "import", file, "--dry-run")
    assert (dry.returncode, dry.stdout) == (0, f"silence/{one} imported (dry run)\n")
    assert query(other) == []
    for _ in range(2):  # the second time replaces it
        done = other.run("silence", "import", file)
        assert (done.returncode, done.stdout) == (0, f"silence/{one} imported\n")
        assert done.stderr == "klaxon silence import: 1 have ended, and are passed over\n"
    assert query(other) == query(klaxon)
    new = other.run("silence", "import", file, "--new-ids", "-q").stdout.strip()
    assert new != one and {s["id"] for s in query(other)} == {one, new}


def test_what_amtool_prints_is_taken(klaxon: Klaxon, tmp_path: Path) -> None:
    """A list that Alertmanager 0.27 answered: UUIDs, offsets, members that klaxon does not know."""
    silence = {"id": "0f6d6a3b-5c1e-4a3f-9f0e-2f7f1f6d8c11", "status": {"state": "active"}, "updatedAt": "2026-03-11T07:00:00.000Z",
               "comment": "disk swap", "createdBy": "ada", "endsAt": "2099-03-11T10:00:00+01:00", "startsAt": "2026-03-11T07:00:00.000Z",
               "annotations": {}, "matchers": [{"isEqual": True, "isRegex": False, "name": "cluster", "value": "prod"}]}
    file = tmp_path / "silences.json"
    file.write_text(json.dumps([silence], indent=2))
    assert klaxon.run("silence", "import", file).returncode == 0
    (one,) = query(klaxon)
    assert (one["id"], one["silence"]["endsAt"][:19]) == (silence["id"], "2099-03-11T09:00:00")


@pytest.mark.parametrize("text, said", [
    ("nonsense", "silences.json: "),
    ('{"a": 1}', "silences.json: it is no list of silences"),
    ('[{"id": "x"}]', "silence 1: silence x: startsAt and endsAt are not both times\n"),
    ('[{"id": "../x", "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z"}]', 'silence 1: silence "../x": the id is not one\n'),
    ('[{"id": "x", "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "a", "comment": "",'
     ' "matchers": [{"name": "cluster", "value": "c"}]}]', "silence 1: a silence needs a comment"),
    ('[{"id": "x", "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "a", "comment": "c",'
     ' "matchers": [{"name": "cluster", "value": ".*", "isRegex": true}]}]', "these matchers hold for every event"),
])
def test_all_are_imported_or_none(klaxon: Klaxon, tmp_path: Path, text: str, said: str) -> None:
    good = ('{"id": "good", "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "a", "comment": "c",'
            ' "matchers": [{"name": "cluster", "value": "c"}]}')
    (tmp_path / "silences.json").write_text(f"{text[:-1]}, {good}]" if text.startswith("[") else text)
    done = klaxon.run("silence", "import", "silences.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert query(klaxon, "--all") == []


def test_a_dry_run_needs_no_kafka(binaries: Path, tmp_path: Path) -> None:
    klaxon = Klaxon(binaries, tmp_path, "127.0.0.1:1", "klaxon.")
    done = klaxon.run("silence", "add", "kind=Node", "-m", "m", "--dry-run", USER="ada")
    assert (done.returncode, done.stderr) == (0, "")
    assert " added (dry run): " in done.stdout


@pytest.mark.parametrize("args, said", [
    (["-m", "m"], "matcher"),
    (["cluster=x"], "why? Give -m TEXT"),
    (["cluster", "-m", "m"], "cluster"),
    (['name=~"("', "-m", "m"], "name"),
    (['name=~".*"', "-m", "m"], "every event"),
    (["cluster=x", "-m", "m", "--for", "soon"], '--for: "soon" is not a duration'),
    (["cluster=x", "-m", "m", "--until", "yesterday"], "a silence ends after it starts"),
    (["cluster=x", "-m", "m", "--start", "noon"], '--start: "noon" is not a time'),
    (["cluster=x", "-m", "m", "--for", "1h", "--until", "2099-01-01"], "--until and --for exclude each other"),
])
def test_what_is_wrong_is_said(klaxon: Klaxon, args: list[str], said: str) -> None:
    done = klaxon.run("silence", "add", *args, USER="ada")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert query(klaxon, "--all") == []


@pytest.mark.parametrize("matcher, said", [
    ("severity=warn", 'no event of klaxon has the severity "warn"'),
    ("phase!=resolvd", 'no event of klaxon has the phase "resolvd", did you mean "resolved"?'),
    ("topic=node", 'no event of klaxon has the topic "node", did you mean "nodes"?'),
    ("type=io.klaxon.node.redy", 'no event of klaxon has the type "node.redy", did you mean "node.ready"?'),
    ("type=node.ready", ""),
    ("severity=", ""),
    ('severity=~"warn.*"', ""),
    ("owner=anybody", ""),
])
def test_what_hides_nothing_is_said(binaries: Path, tmp_path: Path, matcher: str, said: str) -> None:
    klaxon = Klaxon(binaries, tmp_path, "127.0.0.1:1", "klaxon.")
    done = klaxon.run("silence", "add", "cluster=x", matcher, "-m", "m", "--dry-run", "-q", USER="ada")
    assert done.returncode == 0
    assert done.stderr == (f"klaxon silence add: {said}\n" if said else "")


def test_whoever_wants_it_is_named(binaries: Path, tmp_path: Path) -> None:
    done = Klaxon(binaries, tmp_path, "127.0.0.1:1", "klaxon.").run("silence", "add", "cluster=x", "-m", "m", "--dry-run", USER="")
    assert (done.returncode, done.stdout) == (2, "")
    assert "who wants it? Give --author NAME: there is no $USER" in done.stderr


def test_a_topic_that_is_missing(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    klaxon = Klaxon(binaries, tmp_path, kafka.bootstrap, f"t{uuid.uuid4().hex[:8]}.")
    for args in (["query"], ["add", "cluster=x", "-m", "m"], ["expire", "x"]):
        done = klaxon.run("silence", *args, USER="ada")
        assert done.returncode == 1
        assert f"does not have {klaxon.prefix}control: run `klaxon topics apply`" in done.stderr
