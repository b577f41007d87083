"""klaxon export against a real Kafka: what it writes is what a filter in Python makes of everything that is there."""
from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from cli_world import Event, Klaxon
from cluster import Kafka
from cluster.history import COLUMNS, Past, Truth, cloudevent, csv_rows, rfc3339, row
from cluster.process import wait_until

BEGIN = float(int(time.time()) - 86_400)
SECONDS = 3600.0
EVENTS = 3000


class World(Klaxon):
    """Three topics: transactions and shuffled times on one, one that only has its open transaction's records from some offset on, an empty one."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, prefix: str):
        super().__init__(binaries, directory, kafka.bootstrap, prefix)
        self.kafka = kafka
        self.past = Past(kafka.bootstrap, random.Random(7), BEGIN, SECONDS)
        self.nodes, self.scaling, self.gitops = (prefix + name for name in ("nodes", "scaling", "gitops"))
        for topic, partitions in ((self.nodes, 3), (self.scaling, 2), (self.gitops, 2)):
            kafka.create_topic(topic, partitions, {"retention.ms": "-1"})
        self.past.write(self.nodes, EVENTS // 2, range(3))
        assert self.past.write_in_transactions(self.nodes, f"{prefix}t", EVENTS // 2, range(3), 20) > 0
        self.past.write(self.scaling, 100, [1])
        self.past.open_transaction(self.scaling, f"{prefix}open", 1, 10)
        self.past.write(self.scaling, 5, [1])
        self.truth = Truth.read(kafka.bootstrap, [self.nodes, self.scaling, self.gitops])

    def export(self, *args: str, code: int = 0) -> subprocess.CompletedProcess:
        done = self.run("export", *args, timeout=120)
        assert done.returncode == code, done.stderr
        return done

    def between(self, from_s: float, to_s: float) -> list[str]:
        return ["--since", rfc3339(int((BEGIN + from_s) * 1e6)), "--until", rfc3339(int((BEGIN + to_s) * 1e6))]

    def expect(self, from_s: float, to_s: float, *args, **more) -> list:
        return self.truth.select(int((BEGIN + from_s) * 1e6), int((BEGIN + to_s) * 1e6), *args, **more)


TOPICS = ["-t", "nodes", "-t", "scaling", "-t", "gitops"]


@pytest.fixture(scope="session")
def world(binaries: Path, tmp_path_factory: pytest.TempPathFactory, kafka: Kafka) -> Iterator[World]:
    made = World(binaries, tmp_path_factory.mktemp("export"), kafka, "export.")
    yield made
    made.past.close()


def events(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_range_is_exact_and_in_order(world: World) -> None:
    done = world.export(*TOPICS, *world.between(600, 1800))
    expected = [cloudevent(r) for r in world.expect(600, 1800)]
    assert 500 < len(expected) < EVENTS and events(done.stdout) == expected
    assert "12345678901234567890" in done.stdout  # a number stays what it was
    said = done.stderr.splitlines()
    assert said[0] == f"klaxon export: {rfc3339(int((BEGIN + 600) * 1e6), 3)} to {rfc3339(int((BEGIN + 1800) * 1e6), 3)} (UTC)"
    assert said[1] == (f"klaxon export: {world.scaling}/1: a transaction is open since offset 100: it and what stands behind it (15 offsets) "
                       "is left out")
    assert f"{len(expected)} events in " in said[2] and len(said) == 3
    assert world.export(*TOPICS, *world.between(600, 1800)).stdout == done.stdout


def test_all_of_it_without_what_was_aborted_or_is_open(world: World) -> None:
    found = events(world.export(*TOPICS).stdout)
    assert found == [cloudevent(r) for r in world.expect(0, SECONDS + 1)]
    assert not [e for e in found if "fate" in e] and {e["kafkatopic"] for e in found} == {world.nodes, world.scaling}


def test_by_the_time_of_the_record(world: World) -> None:
    found = events(world.export(*TOPICS, *world.between(600, 900), "--time-field", "ingest").stdout)
    expected = world.expect(600, 900, field="ingest")
    assert found == [cloudevent(r) for r in expected] and expected != world.expect(600, 900)
    # Some records are dated 1,700 s before their events: without a margin they are not looked for.
    less = events(world.export(*TOPICS, *world.between(1800, 1900), "--margin", "0").stdout)
    more = world.expect(1800, 1900)
    assert all(e in [cloudevent(r) for r in more] for e in less)


def test_the_language_of_subscriptions(world: World) -> None:
    match = '{event: "node.repair.*", cluster: "prod-*", severity: [warning, critical], labels: {agentpool: system}, name: "!aks-1*"}'
    found = events(world.export(*TOPICS, "-m", match).stdout)
    expected = world.expect(0, SECONDS + 1, lambda a, d: a["type"].startswith("io.klaxon.node.repair.") and a["cluster"].startswith("prod-")
                            and a["severity"] != "info" and d["labels"]["agentpool"] == "system" and not d["object"]["name"].startswith("aks-1"))
    assert 10 < len(expected) and found == [cloudevent(r) for r in expected]
    one = events(world.export(*TOPICS, "--node", "aks-7", "-s", "critical", "--grep", "NUMBER 1").stdout)
    assert one == [cloudevent(r) for r in world.expect(0, SECONDS + 1, lambda a, d: a["subject"] == "Node/aks-7" and a["severity"] == "critical"
                                                       and "number 1" in d["summary"])]


def test_rows_and_csv_are_the_same(world: World) -> None:
    expected = [row(r) for r in world.expect(0, 300)]
    assert events(world.export(*TOPICS, *world.between(0, 300), "-o", "rows").stdout) == expected
    text = subprocess.run([world.binary, "export", *TOPICS, *world.between(0, 300), "-o", "csv"], env=world.env, cwd=world.dir,
                          capture_output=True, check=True).stdout.decode()
    assert csv_rows(text) == expected and text.split("\r\n")[0] == ",".join(COLUMNS)


def test_raw_is_every_value(world: World) -> None:
    done = world.export(*TOPICS, *world.between(0, 600), "-o", "raw", "--time-field", "ingest")
    assert done.stdout == "".join(r.value.decode() + "\n" for r in world.expect(0, 600, field="ingest"))
    loose = world.export(*TOPICS, *world.between(0, 600), "-o", "raw", "--unordered")
    assert sorted(loose.stdout.splitlines()) == sorted(r.value.decode() for r in world.expect(0, 600))


def test_a_file_is_there_whole_or_not_at_all(world: World, tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.csv", tmp_path / "a.csv.zst"
    packed.write_text("what was here before")
    world.export(*TOPICS, *world.between(0, 900), "-f", str(plain))
    world.export(*TOPICS, *world.between(0, 900), "-f", str(packed))
    unpacked = subprocess.run(["zstd", "-dc", packed], capture_output=True, check=True).stdout
    assert unpacked == plain.read_bytes() and len(csv_rows(unpacked.decode())) == len(world.expect(0, 900))
    first = packed.read_bytes()
    world.export(*TOPICS, *world.between(0, 900), "-f", str(packed), "--memory", "1")
    assert packed.read_bytes() == first and sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "a.csv.zst"]
    nowhere = world.run("export", *TOPICS, "-f", str(tmp_path / "no" / "a.csv"))
    assert nowhere.returncode == 1 and "No such file or directory" in nowhere.stderr
    full = subprocess.run([world.binary, "export", *TOPICS], env=world.env, cwd=world.dir, stdout=open("/dev/full", "wb"),
                          stderr=subprocess.PIPE, check=False)
    assert full.returncode == 1 and b"cannot write to stdout: No space left on device" in full.stderr


def test_counts_before_anything_is_written(world: World, tmp_path: Path) -> None:
    done = world.export(*TOPICS, *world.between(600, 1800), "--dry-run", "-f", str(tmp_path / "a.csv"))
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["TOPIC", "PARTITION", "FROM", "TO", "RECORDS", "EVENTS", "FIRST", "LAST"] and len(rows) == 1 + 7
    expected = world.expect(600, 1800)
    for topic, partition, _, _, _, selected, *_ in rows[1:]:
        assert int(selected) == sum(r.topic == topic and r.partition == int(partition) for r in expected)
    assert f"{len(expected)} events of " in done.stderr and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("when", [["--since", "2000-01-01", "--until", "2000-01-02"], ["--at", "1h:1h"],
                                  ["--since", "4102444800", "--until", "4102444801"], ["--until", "2000-01-01"]])
def test_nothing_is_there(world: World, when: list[str]) -> None:
    done = world.export("-t", "nodes", *when)
    assert done.stdout == "" and "klaxon export: 0 events in " in done.stderr
    assert world.export("-t", "nodes", *when, "-o", "csv").stdout == ",".join(COLUMNS) + "\n"  # subprocess makes it one


def test_a_zone_of_the_person(world: World) -> None:
    world.put(Event(1_774_746_000 + 1, node="summer", topic="gitops"))  # 2026-03-29 03:00:01 in Berlin, 01:00:01 UTC
    ids = [json.loads(line)["id"] for line in world.export("-t", "gitops", "--at", "2026-03-29 03:00:2h", "--tz", "Europe/Berlin").stdout.splitlines()]
    assert ids == ["summer-1774746001"]
    assert world.export("-t", "gitops", "--at", "2026-03-29 03:00:2h").stdout == ""
    assert "2026-03-29T01:00:00.000Z to 2026-03-29T03:00:00.000Z (UTC)" in world.export("-t", "gitops", "--at", "2026-03-29 03:00:2h", "--tz",
                                                                                        "Europe/Berlin").stderr


def test_what_is_no_event_is_told(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    klaxon = Klaxon(binaries, tmp_path, kafka.bootstrap, "foreign.")
    kafka.create_topic("foreign.nodes", 1, {"retention.ms": "-1"})
    klaxon.put_raw("nodes", b"hello", [], BEGIN)
    klaxon.put_raw("nodes", b'{\n "a" : 1 }', Event(BEGIN).headers(), BEGIN + 1)
    klaxon.put_raw("nodes", b"no json \xff", Event(BEGIN).headers(), BEGIN + 2)
    envelope = {"specversion": "1.0", "id": "s", "source": "/s", "type": "t", "time": "2026-01-01T01:00:00+01:00", "count": 3, "data": {"b": [1, 2]}}
    klaxon.put_raw("nodes", json.dumps(envelope).encode(), [("content-type", "application/cloudevents+json")], BEGIN + 3)
    done = klaxon.run("export", "-t", "nodes", "--time-field", "ingest")
    found = events(done.stdout)
    assert [e.get("data") for e in found] == [{"a": 1}, None, {"b": [1, 2]}] and found[1]["data_base64"] == "bm8ganNvbiD/"
    assert found[2] == envelope | {"time": "2026-01-01T00:00:00.000000Z", "partitionkey": "k", "kafkatopic": "foreign.nodes", "kafkapartition": 0,
                                   "kafkaoffset": "3", "kafkatime": rfc3339(int((BEGIN + 3) * 1e6), 3)}
    assert "klaxon export: 1 records of that time are no CloudEvents and are left out; -o raw has them" in done.stderr
    raw = subprocess.run([klaxon.binary, "export", "-t", "nodes", "-o", "raw"], env=klaxon.env, capture_output=True, check=True, cwd=tmp_path).stdout
    assert raw.startswith(b"hello\n{\n") or b"hello\n" in raw


def test_what_retention_has_deleted_is_told(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    klaxon = Klaxon(binaries, tmp_path, kafka.bootstrap, "deleted.")
    kafka.create_topic("deleted.nodes", 1, {"retention.ms": "-1"})
    klaxon.put(*[Event(BEGIN + i) for i in range(20)])
    admin = kafka.admin()  # held: its futures fail when the client goes
    [deleted] = admin.delete_records([TopicPartition("deleted.nodes", 0, 15)]).values()
    assert deleted.result(20).low_watermark == 15
    done = klaxon.run("export", "-t", "nodes", "--since", rfc3339(int(BEGIN * 1e6)))
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 5
    assert "deleted.nodes/0: what was before offset 15 is deleted (retention)" in done.stderr


def test_it_goes_on_where_it_was_killed(world: World, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.ndjson.zst", tmp_path / "broken.ndjson.zst"
    args = [*TOPICS, *world.between(0, SECONDS), "--memory", "1"]
    world.export(*args, "-f", str(whole))
    parts = tmp_path / "broken.ndjson.zst.parts"
    tries = 0
    while True:
        running = world.start("export", *args, "-f", str(broken), "--resume")
        runs = len(list(parts.glob("run-*"))) if parts.exists() else 0
        wait_until("a run more, or the end", lambda: running.poll() is not None or len(list(parts.glob("run-*"))) > runs, 60)
        tries += 1
        if running.poll() is not None:
            break
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert not broken.exists()
    said = running.stderr.read().decode()
    assert running.returncode == 0, said
    assert tries > 1 and "goes on with what" in said
    assert broken.read_bytes() == whole.read_bytes() and not parts.exists()


def test_other_options_do_not_go_on(world: World, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    args = [*TOPICS, *world.between(0, SECONDS), "--memory", "1", "-f", str(file), "--resume"]
    running = world.start("export", *args)
    parts = tmp_path / "a.ndjson.parts"
    wait_until("a run", lambda: running.poll() is not None or (parts / "state.json").exists(), 60)
    running.kill()
    running.wait()
    if (parts / "state.json").exists():
        other = world.run("export", *args, "-s", "critical")
        assert other.returncode == 1 and "is of an export with other options" in other.stderr
    assert world.export(*args).returncode == 0 and file.exists()


@pytest.mark.parametrize(("args", "words"), [
    (["--since", "noon"], '--since: "noon" is not a time'),
    (["--at", "1h"], '--at: "1h" is no range of two times'),
    (["--since", "1h", "--until", "2h"], "--until 2h is before --since 1h"),
    (["--tz", "Europe/Nowhere"], '--tz: there is no time zone "Europe/Nowhere"'),
    (["--tz", "UTC", "--utc"], "--utc and --tz: give one of them"),
    (["-m", "{evnt: x}"], '--match:1:2: unknown key "evnt", did you mean "event"?'),
    (["-m", "{event: node.repar.started}"], 'there is no kind of event "node.repar.started", did you mean "node.repair.started"?'),
    (["-m", "["], "--match:2:1:"),
    (["-s", "fatal"], "--severity wants one of"),
    (["-t", "state"], "holds no events"),
    (["--margin", "x"], '--margin: "x" is not a duration'),
    (["--resume"], "--resume wants --file"),
    (["--memory", "-1"], "--memory wants"),
])
def test_a_wrong_option_is_named(world: World, args: list[str], words: str) -> None:
    done = world.run("export", *args)
    assert done.returncode == 2 and words in done.stderr and done.stdout == ""


def test_without_kafka_or_topic(world: World) -> None:
    missing = world.run("export", "-t", "kubernetes")
    assert missing.returncode == 1 and "does not have export.kubernetes" in missing.stderr
    some = world.export(*world.between(0, 10))
    assert "export.kubernetes, export.metrics: run `klaxon topics apply`; the other topics are shown" in some.stderr


def test_whoever_reads_may_leave(world: World) -> None:
    running = world.start("export", *TOPICS)
    line = running.stdout.readline()
    running.stdout.close()
    assert json.loads(line) and running.wait(60) == 0 and b"rror" not in running.stderr.read()
