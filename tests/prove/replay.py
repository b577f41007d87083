"""History is exact: what klaxon export writes of a difficult past is what a filter in Python makes of all of it, and the same bytes each time.

On a real broker stand a topic with three partitions whose times are in no order, written with and without transactions, a third of which are
aborted, while one is open; a topic that compaction has made holes into; one whose beginning retention has deleted; one with Kafka's own times; and
one that is empty. Ranges, filters and forms are drawn at random, and each export is held against a whole dump by another client, sorted by Python.
Then, in every round: the same again with the sorting done on disk, the same again through kills at random instants (--resume), and an export
while somebody writes, which must be all that was there before, and a prefix of every partition.
"""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from cluster import Kafka, Record, read_committed
from cluster.history import KINDS, SEVERITIES, Past, Truth, cloudevent, csv_rows, rfc3339, row
from support.folder import in_folder

PREFIX = "past."
NAMES = ("nodes", "scaling", "gitops", "kubernetes", "metrics")
SECONDS = 7200.0


@dataclass
class Filter:
    """The same question for klaxon and for Python."""
    args: list[str]
    wanted: Callable[[dict[str, str], dict[str, Any]], bool]


def draw_filter(rng: random.Random) -> Filter:
    kind, severity = rng.choice(KINDS), rng.sample(SEVERITIES, rng.randrange(1, 3))
    pool, cluster = rng.choice(["system", "user"]), rng.choice(["prod", "dev"])
    return rng.choice([
        Filter([], lambda a, d: True),
        Filter(["-m", f"{{event: {kind}}}"], lambda a, d: a["type"] == f"io.klaxon.{kind}"),
        Filter(["-m", f"{{severity: [{', '.join(severity)}], cluster: \"{cluster}*\"}}"],
               lambda a, d: a["severity"] in severity and a["cluster"].startswith(cluster)),
        Filter(["-m", f"{{labels: {{agentpool: {pool}}}, reason: \"~^Node.*Start$\"}}"],
               lambda a, d: d["labels"]["agentpool"] == pool and d["reason"] == "NodeRebootStart"),
        Filter(["-m", "{event: \"node.repair.*\", name: \"!aks-1*\"}", "--cluster", "prod-*"],
               lambda a, d: ".repair." in a["type"] and not d["object"]["name"].startswith("aks-1") and a["cluster"].startswith("prod-")),
        Filter(["--node", "aks-1?", "--grep", "NUMBER 7"],
               lambda a, d: len(d["object"]["name"]) == 6 and "number 7" in d["summary"]),
    ])


@dataclass
class Stage:
    kafka: Kafka
    directory: Path
    rng: random.Random
    events: int
    begin: float = field(default_factory=lambda: float(int(time.time()) - 2 * 86_400))
    aborted: int = 0
    compacted: int = 0

    def __post_init__(self) -> None:
        self.config = self.directory / "klaxon.yaml"
        self.config.write_text(f'kafka: {{ bootstrap.servers: "{self.kafka.bootstrap}" }}\ntopics: {{ prefix: "{PREFIX}" }}\n')
        self.past = Past(self.kafka.bootstrap, self.rng, self.begin, SECONDS)
        settings = {"control": (1, {}), "nodes": (3, {}), "gitops": (3, {}), "kubernetes": (2, {}), "metrics": (2, {"message.timestamp.type": "LogAppendTime"}),
                    "scaling": (2, {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "1000",
                                    "max.compaction.lag.ms": "1000", "delete.retention.ms": "0"})}
        for name, (partitions, more) in settings.items():
            self.kafka.create_topic(PREFIX + name, partitions, {"retention.ms": "-1"} | more)

    def fill(self) -> None:
        past, n = self.past, self.events
        past.write(PREFIX + "nodes", n, range(3))
        self.aborted = past.write_in_transactions(PREFIX + "nodes", "t1", n, range(3), 60)
        past.write(PREFIX + "kubernetes", n // 4, range(2))
        past.write(PREFIX + "metrics", n // 4, range(2))
        self.make_holes()
        admin = self.kafka.admin()
        [deleted] = admin.delete_records([TopicPartition(PREFIX + "kubernetes", 1, n // 20)]).values()
        deleted.result(30)
        past.open_transaction(PREFIX + "nodes", "t2", 2, 50)
        past.write(PREFIX + "nodes", n // 20, range(3))

    def make_holes(self) -> None:
        """Until the cleaner has taken some: it cleans segments that are not written to any more."""
        written = 0
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            self.past.write(PREFIX + "scaling", 400, range(2))
            written += 400
            time.sleep(1.1)  # segment.ms
            there = len(Truth.read(self.kafka.bootstrap, [PREFIX + "scaling"]).records)
            if there < written * 0.7:
                self.compacted = written - there
                break
        assert self.compacted > 0, "the cleaner took nothing"
        # From now on it leaves alone what both read.
        alter(self.kafka, PREFIX + "scaling", {"cleanup.policy": "delete"})

    def truth(self) -> Truth:
        return Truth.read(self.kafka.bootstrap, [PREFIX + name for name in NAMES])


def alter(kafka: Kafka, topic: str, settings: dict[str, str]) -> None:
    entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in settings.items()]
    admin = kafka.admin()
    [done] = admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)]).values()
    done.result(30)


class Prover:
    def __init__(self, stage: Stage, binary: Path):
        self.stage, self.binary = stage, binary
        self.exports = self.records = self.kills = self.busy = self.replayed = 0
        self.failures: list[str] = []

    def run(self, args: list[str]) -> subprocess.CompletedProcess:
        self.exports += 1
        return subprocess.run([self.binary, "export", "-c", self.stage.config, *args], capture_output=True, timeout=300, check=False,
                              stdin=subprocess.DEVNULL)

    def fail(self, what: str, args: list[str]) -> None:
        self.failures.append(f"{what}: klaxon export {' '.join(args)}")
        print(f"  NOT THE SAME: {self.failures[-1]}", flush=True)

    def draw(self) -> tuple[list[str], int, int, str]:
        """A range, also empty ones and ones that reach over both ends."""
        rng, begin = self.stage.rng, self.stage.begin
        a, b = sorted(rng.uniform(-600, SECONDS + 600) for _ in range(2))
        by = rng.choice(["event", "event", "ingest"])
        since, until = int((begin + a) * 1e6), int((begin + b) * 1e6)
        if by == "ingest" and rng.random() < 0.3:  # also what Kafka has dated itself
            until = int(time.time() * 1e6)
        return ["--since", rfc3339(since), "--until", rfc3339(until), "--time-field", by, "--margin", "2h"], since, until, by

    def check(self, truth: Truth) -> None:
        rng = self.stage.rng
        span, since, until, by = self.draw()
        names = rng.sample(NAMES, rng.randrange(1, len(NAMES) + 1))
        which, form = draw_filter(rng), rng.choice(["ndjson", "ndjson", "rows", "csv", "raw"])
        args = [*[word for name in names for word in ("-t", name)], *span, *which.args, "-o", form]
        expected = [r for r in truth.select(since, until, which.wanted, by) if r.topic.removeprefix(PREFIX) in names]
        self.records += len(expected)
        done = self.run(args)
        if done.returncode != 0 or not same(form, done.stdout, expected):
            self.fail("not what a filter makes of a dump", args)
            return
        self.check_words(names, done.stderr.decode(), by == "event" and since < (self.stage.begin + 5000) * 1e6, args)
        self.check_again(args, done.stdout)

    def check_words(self, names: list[str], said: str, from_the_beginning: bool, args: list[str]) -> None:
        if ("nodes" in names) != ("a transaction is open since" in said):
            self.fail("an open transaction is told, and nothing else is", args)
        if from_the_beginning and ("kubernetes" in names) != ("is deleted (retention)" in said):
            self.fail("what retention has deleted is told", args)

    def check_again(self, args: list[str], before: bytes) -> None:
        if self.run(args).stdout != before:
            self.fail("other bytes the second time", args)
        file = self.stage.directory / "out.zst"
        sizes = []
        for memory in ("1", "64"):
            self.run([*args, "-f", str(file), "--memory", memory])
            sizes.append(file.read_bytes())
            unpacked = subprocess.run(["zstd", "-dc", file], capture_output=True, check=False).stdout
            if unpacked != before:
                self.fail(f"other bytes with --memory {memory}", args)
        if sizes[0] != sizes[1]:
            self.fail("other bytes of zstd", args)

    def check_kills(self) -> None:
        """The whole past, killed again and again."""
        args = [*[word for name in NAMES for word in ("-t", name)], "--until", rfc3339(int((self.stage.begin + SECONDS) * 1e6))]
        whole = self.run(args).stdout
        file = self.stage.directory / "killed.ndjson"
        parts = file.with_name(file.name + ".parts")
        file.unlink(missing_ok=True)
        while not file.exists():
            child = subprocess.Popen([self.binary, "export", "-c", self.stage.config, *args, "-f", file, "--resume", "--memory", "1", "-q"],
                                     stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
            try:  # the first tries have hardly time to begin
                child.communicate(timeout=self.stage.rng.uniform(0, 0.1 + 0.02 * self.kills))
            except subprocess.TimeoutExpired:
                child.send_signal(self.stage.rng.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT]))
                self.kills += 1
                child.communicate()
        if file.read_bytes() != whole:
            self.fail("killed and gone on: other bytes", args)
        # Killed when the file was there, and what had been kept for it was too.
        self.run([*args, "-f", str(file), "--resume"])
        if file.read_bytes() != whole or parts.exists():
            self.fail("killed at the end and called again", args)

    def check_replay(self, truth: Truth) -> None:
        """Onto a topic of one partition: the records as they were, in order, marked."""
        target = f"sandbox-{self.exports}"
        self.stage.kafka.create_topic(target, 1, {"retention.ms": "-1"})
        until = int((self.stage.begin + SECONDS / 2) * 1e6)
        args = ["-t", "nodes", "-t", "scaling", "--until", rfc3339(until), "--to", f"topic/{target}", "--yes", "--reason", "proof", "--rate",
                "1000000", "--id", "proof"]
        done = subprocess.run([self.binary, "replay", "-c", self.stage.config, *args], capture_output=True, timeout=300, check=False,
                              stdin=subprocess.DEVNULL)
        expected = [r for r in truth.select(0, until) if r.topic in (PREFIX + "nodes", PREFIX + "scaling")]
        found = read_committed(self.stage.kafka.bootstrap, target)
        self.replayed += len(found)
        if done.returncode != 0 or [as_was(r) for r in found] != [(r.key, r.value, r.timestamp_ms, r.headers | {"ce_replayid": b"proof"})
                                                                  for r in expected]:
            self.fail(f"replayed: {done.stderr.decode()[-200:]}", args)

    def check_busy(self, before: Truth) -> None:
        """Somebody writes while it reads: everything from before is there, and of each partition no hole."""
        ending = threading.Event()

        def write() -> None:
            while not ending.is_set():
                self.stage.past.write(PREFIX + "gitops", 200, range(3))
        writer = threading.Thread(target=write)
        writer.start()
        args = ["-t", "gitops", "--until", rfc3339(int((self.stage.begin + SECONDS) * 1e6))]
        done = self.run(args)
        ending.set()
        writer.join()
        found = [json.loads(line) for line in done.stdout.splitlines()]
        last: dict[int, int] = {}
        for one in found:
            last[one["kafkapartition"]] = max(last.get(one["kafkapartition"], -1), int(one["kafkaoffset"]))
        after = Truth.read(self.stage.kafka.bootstrap, [PREFIX + "gitops"])
        expected = [cloudevent(r) for r in after.select(0, int((self.stage.begin + SECONDS) * 1e6)) if r.offset <= last.get(r.partition, -1)]
        there = sum(r.topic == PREFIX + "gitops" for r in before.records)
        self.busy += len(found)
        if found != expected or len(found) < there:
            self.fail("while somebody writes", args)


def as_was(r: Record) -> tuple:
    return r.key, r.value, r.timestamp_ms, r.headers


def same(form: str, out: bytes, expected: list[Record]) -> bool:
    if form == "raw":
        return out == b"".join(r.value + b"\n" for r in expected)
    if form == "csv":
        return csv_rows(out.decode()) == [row(r) for r in expected]
    return [json.loads(line) for line in out.splitlines()] == [(cloudevent if form == "ndjson" else row)(r) for r in expected]


def run(args: argparse.Namespace, directory: Path) -> int:
    began = time.monotonic()
    rng = random.Random(args.seed)
    with Kafka(directory / "kafka", settings={"log.cleaner.backoff.ms": "200"}) as kafka:
        stage = Stage(kafka, directory, rng, args.events)
        stage.fill()
        prover = Prover(stage, Path(os.environ["KLAXON_BIN"]) / "klaxon")
        truth = stage.truth()
        print(f"{len(truth.records):,} records, {stage.aborted:,} aborted, {stage.compacted:,} compacted away, 50 in an open transaction; "
              f"seed {args.seed}", flush=True)
        if any("ce_fate" in r.headers for r in truth.records):
            raise AssertionError("the dump holds what is not committed")
        for n in range(args.ranges):
            prover.check(truth)
            if n % max(1, args.ranges // 5) == 0:
                print(f"  {n + 1} of {args.ranges} ranges", flush=True)
        prover.check_kills()
        prover.check_replay(truth)
        for _ in range(3):
            prover.check_busy(stage.truth())
        stage.past.close()
    print(f"{args.ranges} ranges by {prover.exports} exports, {prover.records:,} records held against Python, {prover.kills} kills, "
          f"{prover.replayed:,} replayed, {prover.busy:,} records read while others came: {len(prover.failures)} differences, in {time.monotonic() - began:.0f} s")
    print("PROVEN" if not prover.failures else "NOT PROVEN")
    return 1 if prover.failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev prove replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranges", type=int, default=60, help="ranges drawn (default 60)")
    parser.add_argument("--events", type=int, default=8000, help="events without transactions on the first topic; as many with (default 8000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the folder, and say where it is")
    args = parser.parse_args()
    return in_folder("replay", args.keep, lambda directory: run(args, directory) == 0)


if __name__ == "__main__":
    sys.exit(main())
