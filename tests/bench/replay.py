"""klaxon export beside kcat: wall and CPU of reading the same range, and memory that does not grow with it.

raw           the values alone, as they are read: what kcat prints, too
filtered      the events of one severity in three, as CloudEvents, in the order of their time, beside kcat printing all values
ordered       all events as CloudEvents in order, sorted on disk
csv           the same as a table, each event's data parsed
memory        the peak of each of these over a tenth of the records and over all of them

The two take turns, so that what else runs on the machine hurts both; of several runs the quickest of each counts. Every klaxon run is checked by the
number of lines. The broker is on the same CPUs.
"""
import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from bench.support.machine import Span, Usage, describe, memory_mb
from bench.support.world import binary
from cluster import Kafka
from cluster.history import SEVERITIES, rfc3339

PARTITIONS = 4
FILLER = "the kubelet stopped posting node status, and what a cluster says about it is about as long as this " * 3


@dataclass(frozen=True)
class Run:
    seconds: float
    cpu: float
    peak_mb: float
    lines: int
    usage: Usage


def fill(kafka: Kafka, topic: str, records: int, begin: float) -> None:
    """Nearly in order, as collectors write: each up to five seconds late."""
    kafka.create_topic(topic, PARTITIONS, {"retention.ms": "-1"})
    rng = random.Random(1)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 20, "queue.buffering.max.messages": 200_000, "log_level": 0})
    for n in range(records):
        us = int((begin + n * 0.001 - rng.random() * 5) * 1e6)
        node = f"aks-{n % 500}"
        headers = [("ce_specversion", "1.0"), ("ce_id", f"{n:032x}"), ("ce_source", "/clusters/prod-weu/nodes"), ("ce_type", "io.klaxon.node.notready"),
                   ("ce_subject", f"Node/{node}"), ("ce_time", rfc3339(us)), ("content-type", "application/json"), ("ce_cluster", "prod-weu"),
                   ("ce_severity", SEVERITIES[n % 3])]
        value = (f'{{"summary":"Node {node} is not ready","object":{{"kind":"Node","name":"{node}"}},"reason":"KubeletNotReady",'
                 f'"labels":{{"agentpool":"system"}},"detail":"{FILLER}"}}')
        while True:
            try:
                producer.produce(topic, value, f"prod-weu/{node}", partition=n % PARTITIONS, timestamp=us // 1000, headers=headers)
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    assert producer.flush(120) == 0


def measure(kafka: Kafka, command: list[str | Path]) -> Run:
    span = Span({"broker": kafka.nodes[0].child.pid})
    began = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    counter = subprocess.Popen(["wc", "-l"], stdin=child.stdout, stdout=subprocess.PIPE)
    child.stdout.close()
    peak, waited = 0.0, (0, 0, None)
    while waited[0] == 0:
        try:
            peak = max(peak, memory_mb(child.pid, "VmHWM"))
        except (StopIteration, FileNotFoundError, ProcessLookupError):
            pass  # it is ending
        waited = os.wait4(child.pid, os.WNOHANG)
        time.sleep(0.01)
    seconds = time.monotonic() - began
    cpu = waited[2].ru_utime + waited[2].ru_stime
    usage = span.end(beside=cpu)
    if waited[1] != 0:
        raise RuntimeError(f"{command} failed: {child.stderr.read().decode()[-2000:]}")
    lines = int(counter.communicate()[0])
    return Run(seconds, cpu, peak, lines, usage)


class Bench:
    def __init__(self, kafka: Kafka, directory: Path, records: int, begin: float):
        self.kafka, self.records, self.begin = kafka, records, begin
        self.config = directory / "klaxon.yaml"
        self.config.write_text(f'kafka: {{ bootstrap.servers: "{kafka.bootstrap}" }}\ntopics: {{ prefix: "bench." }}\n')

    def klaxon(self, *args: str, part: float = 1) -> list[str | Path]:
        until = int((self.begin + self.records * 0.001 * part) * 1e6)
        return [binary("klaxon"), "export", "-c", self.config, "-t", "nodes", "-q", "--until", rfc3339(until), *args]

    def kcat(self, *args: str) -> list[str | Path]:
        return ["kcat", "-C", "-b", self.kafka.bootstrap, "-t", "bench.nodes", "-o", "beginning", "-e", "-q", *args]

    def beside(self, label: str, ours: list[str | Path], theirs: list[str | Path], runs: int, aim: float | None) -> bool:
        mine, other = [], []
        for _ in range(runs):
            other.append(measure(self.kafka, theirs))
            mine.append(measure(self.kafka, ours))
        a, b = min(mine, key=lambda r: r.seconds), min(other, key=lambda r: r.seconds)
        ratio, cpu = b.seconds / a.seconds, min(r.cpu for r in other) / min(r.cpu for r in mine)
        print(f"  {label:<10} klaxon {a.seconds:6.2f} s, {min(r.cpu for r in mine):6.2f} s CPU, {max(r.peak_mb for r in mine):5.0f} MB   "
              f"kcat {b.seconds:6.2f} s, {min(r.cpu for r in other):6.2f} s CPU, {max(r.peak_mb for r in other):5.0f} MB   "
              f"{ratio:4.2f} x its speed, {cpu:4.2f} x per CPU" + (f"   (aim {aim:.1f})" if aim else "") +
              f"   others used {max(r.usage.others for r in (*mine, *other)):.0%}", flush=True)
        return aim is None or ratio >= aim


def run(args: argparse.Namespace, directory: Path) -> int:
    begin = float(int(time.time()) - 40 * 86_400)
    reached = True
    with Kafka(directory / "kafka") as kafka:
        print(describe())
        fill(kafka, "bench.nodes", args.records, begin)
        size = sum(p.stat().st_size for p in (directory / "kafka").rglob("bench.nodes-*/*.log")) / 1e6
        print(f"{args.records:,} records, {size:,.0f} MB, {PARTITIONS} partitions; the quickest of {args.runs} runs each")
        bench = Bench(kafka, directory, args.records, begin)
        raw = ["-o", "raw", "--unordered", "--time-field", "ingest"]
        all_of_it = args.records
        for label, ours, theirs, aim, lines in (
                ("raw", raw, [], 1.0, all_of_it),
                ("filtered", ["-m", "{severity: critical, event: \"node.*\"}"], [], 0.7, all_of_it // 3),
                ("ordered", [], ["-J"], None, all_of_it),
                ("csv", ["-o", "csv"], ["-J"], None, all_of_it + 1)):
            counted = measure(kafka, bench.klaxon(*ours)).lines
            if abs(counted - lines) > 1:
                raise AssertionError(f"{label}: {counted} lines, expected {lines}")
            reached &= bench.beside(label, bench.klaxon(*ours), bench.kcat(*theirs), args.runs, aim)
        for label, ours in (("raw", raw), ("ordered", []), ("csv", ["-o", "csv"])):
            tenth, whole = (measure(kafka, bench.klaxon(*ours, part=part)) for part in (0.1, 1))
            print(f"  {label:<10} peak {tenth.peak_mb:5.0f} MB for {tenth.lines:,} lines, {whole.peak_mb:5.0f} MB for {whole.lines:,}", flush=True)
    print("AIMS REACHED" if reached else "AIMS NOT REACHED")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench replay", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000, help="(default 1,000,000: 900 MB; 10,000,000 is a quarter of an hour)")
    parser.add_argument("--runs", type=int, default=3, help="of each (default 3)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="klaxon-bench-") as directory:
        return run(args, Path(directory))


if __name__ == "__main__":
    sys.exit(main())
