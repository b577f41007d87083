"""The collector's speed: one watch to Kafka with transactions on, and what an Event waits until it can be read.

throughput  N Event frames of 1 KB from one watch. A server of a few lines sends prepared bytes by one call; time runs from there to the
            last commit as another client sees it. CPU and peak memory are the collector's own, over its whole life. Each run is checked:
            every event once.
ceiling     the records of the last run written again by a bare transactional producer (ceiling.c): what client and broker can do.
latency     Events created on a real kube-apiserver at a rate; from the create's answer to a read_committed reader that has it.
stall       the broker is stopped (SIGSTOP) for a while at full rate: how much memory the collector takes, and that nothing is lost.
"""
import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.support import latency
from bench.support.frames import FrameServer, frames
from bench.support.machine import Span, Usage, cpu_seconds, describe, memory_mb, quiet_of, tell
from bench.support.records import bytes_of, check_exactly_once, keep, read_all
from bench.support.world import PARTITIONS, Topics, binary, collector, kubeconfig_of
from cluster import Kafka

PARTS = ("throughput", "ceiling", "latency", "stall")
COMMITS_OF = (1000, 5000)


@dataclass(frozen=True)
class Run:
    rate: float
    per_cpu: float
    peak_mb: float
    usage: Usage


def carry(kafka: Kafka, server: FrameServer, directory: Path, prefix: str) -> tuple[Run, list, float]:
    """One run: the figures, the records that are there then, and the MB on the broker's disk."""
    topics = Topics(kafka, prefix)
    child = collector(directory / prefix, kafka, prefix, kubeconfig_of(server.url, directory / "kubeconfig"))
    span = Span({"broker": kafka.nodes[0].child.pid})
    server.began = 0.0
    child.start()
    try:
        seconds = topics.wait_committed(server.count, child) - server.began
        cpu, peak_mb = cpu_seconds(child.pid), memory_mb(child.pid, "VmHWM")
        usage = span.end(beside=cpu)
    finally:
        child.kill()
        topics.close()
    records = read_all(kafka.bootstrap, topics.events, PARTITIONS)
    check_exactly_once(records, server.count)
    return Run(server.count / seconds, server.count / cpu, peak_mb, usage), records, topics.disk_mb()


def throughput(kafka: Kafka, server: FrameServer, directory: Path, args: argparse.Namespace) -> list:
    print(f"throughput: {server.count:,} Event frames, {len(server.data) / 1e6:.0f} MB, from one watch; transactions on", flush=True)
    runs, records, disk = [], [], 0.0
    for number in range(args.runs + 1):
        run, records, disk = carry(kafka, server, directory, f"run-{number}")
        print(f"  {f'run {number}' if number else 'warm-up'}: {run.rate:,.0f} events/s, {run.per_cpu:,.0f} per CPU-second, peak "
              f"{run.peak_mb:.1f} MB; broker {run.usage.seconds['broker']:.1f} CPU-s; others used {run.usage.others:.0%}", flush=True)
        runs += [run] if number else []
    told = quiet_of(runs)
    tell("events/s", [r.rate for r in told])
    tell("events per CPU-second", [r.per_cpu for r in told])
    tell("peak resident memory", [r.peak_mb for r in told], ".1f", "MB")
    print(f"  keys, values and headers: {bytes_of(records):.0f} MB; on the broker's disk {disk:.0f} MB", flush=True)
    return records


def ceiling(kafka: Kafka, records: list, directory: Path, runs: int) -> None:
    print("ceiling: the same records by a bare transactional producer", flush=True)
    keep(records, directory / "records")
    for per_commit in COMMITS_OF:
        rates, per_cpu = [], []
        for number in range(runs):
            topics = Topics(kafka, f"ceiling-{per_commit}-{number}")
            told = subprocess.run([binary("bench-ceiling"), kafka.bootstrap, topics.events, directory / "records", str(per_commit)],
                                  stdout=subprocess.PIPE, text=True, check=True).stdout.split()
            topics.close()
            rates.append(int(told[0]) / float(told[1]))
            per_cpu.append(int(told[0]) / float(told[2]))
        tell(f"commits of {per_commit:,}: records/s", rates)
        tell(f"commits of {per_commit:,}: per CPU-second", per_cpu)


def stall(kafka: Kafka, server: FrameServer, directory: Path, seconds: float) -> None:
    print(f"stall: the broker is stopped for {seconds:.0f} s at full rate", flush=True)
    topics = Topics(kafka, "stall")
    child = collector(directory / "stall", kafka, "stall", kubeconfig_of(server.url, directory / "kubeconfig"))
    child.start()
    ended = 0
    try:
        while topics.committed() < server.count / 4:
            time.sleep(0.01)
        before = memory_mb(child.pid, "VmRSS")
        kafka.pause()
        most, until = before, time.monotonic() + seconds
        while time.monotonic() < until:
            most = max(most, memory_mb(child.pid, "VmRSS"))
            time.sleep(0.05)
        kafka.resume()
        deadline = time.monotonic() + 120
        while topics.committed() < server.count and time.monotonic() < deadline:
            if not child.alive():  # the broker gave its transaction up: a supervisor starts it again
                ended += 1
                child.start()
            most = max(most, memory_mb(child.pid, "VmRSS"))
            time.sleep(0.05)
        topics.wait_committed(server.count, child)
    finally:
        child.kill()
        topics.close()
    check_exactly_once(read_all(kafka.bootstrap, topics.events, PARTITIONS), server.count)
    print(f"  resident before {before:.1f} MB, most {most:.1f} MB; the collector ended {ended} times; "
          f"all {server.count:,} events are there once", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev bench collector", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rate", type=int, default=500, help="Events a second for latency")
    parser.add_argument("--seconds", type=int, default=20, help="of a latency run and of the stall")
    args = parser.parse_args()
    parts = args.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part \"{unknown.pop()}\"; there are: {', '.join(PARTS)}")
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="klaxon-bench-") as name, Kafka(Path(name) / "kafka") as kafka:
        directory = Path(name)
        if {"throughput", "ceiling", "stall"} & set(parts):
            with FrameServer(frames(args.events), args.events) as server:
                records = throughput(kafka, server, directory, args) if {"throughput", "ceiling"} & set(parts) else []
                if "ceiling" in parts:
                    ceiling(kafka, records, directory, args.runs)
                if "stall" in parts:
                    stall(kafka, server, directory, args.seconds)
        if "latency" in parts:
            latency.measure(kafka, directory, args.rate, args.seconds, args.runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
