"""The collector's speed: one watch to Kafka with transactions on, and what an Event waits until it can be read.

throughput  N Event frames of 1 KB from one watch. A server of a few lines sends prepared bytes by one call; time runs from there to the
            last commit as another client sees it. CPU and peak memory are the collector's own, over its whole life. Each run is checked:
            every event once.
ceiling     the records of the last run written again by a bare transactional producer (ceiling.c): what client and broker can do.
latency     Events created on a real kube-apiserver at a rate; from the create's answer to a read_committed reader that has it.
stall       the broker is stopped (SIGSTOP) for a while at full rate: how much memory the collector takes, and that nothing is lost.
clusters    one cluster and fifty, four idle watches each: memory, and CPU a minute.
relist      10,000 and 100,000 objects after a 410: peak memory must not grow with their number.
nodes       10 nodes and 10,000 in the state of a detector: memory, CPU of a heartbeat, start from klaxon.state.
"""
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.support import latency, scale
from bench.support.frames import FrameServer, frames
from bench.support.machine import Effort, Span, Usage, cpu_seconds, describe, memory_mb, tell, wait_quiet
from bench.support.options import Options
from bench.support.records import bytes_of, check_exactly_once, keep, read_all
from bench.support.world import PARTITIONS, Topics, binary, collector, kubeconfig_of
from cluster import Kafka

PARTS = ("throughput", "ceiling", "latency", "stall", "clusters", "relist", "nodes")
COMMITS_OF = (1000, 5000)


@dataclass(frozen=True)
class Run:
    rate: float
    per_cpu: float
    usage: Usage
    peak_mb: float = 0.0


def carry(kafka: Kafka, server: FrameServer, directory: Path, prefix: str, kept: Path) -> Run:
    """One run, checked. What it has written is kept for the ceiling."""
    topics = Topics(kafka, prefix)
    child = collector(directory / prefix, kafka, prefix, kubeconfig_of(server.url, directory / "kubeconfig"))
    span = Span({"broker": kafka.nodes[0].child.pid})
    server.began = 0.0
    child.start()
    try:
        seconds = topics.wait_committed(server.count, child) - server.began
        cpu, peak_mb = cpu_seconds(child.pid), memory_mb(child.pid, "VmHWM")
        usage = span.end(beside=cpu)
        transactions = topics.transactions()
    finally:
        child.kill()
        topics.close()
    records = read_all(kafka.bootstrap, topics.events, PARTITIONS)
    check_exactly_once(records, server.count)
    keep(records, kept)
    run = Run(server.count / seconds, server.count / cpu, usage, peak_mb)
    print(f"  {prefix}: {run.rate:,.0f} events/s, {run.per_cpu:,.0f} per CPU-second, peak {peak_mb:.1f} MB; {transactions} transactions, "
          f"{bytes_of(records):.0f} MB of records, {topics.disk_mb():.0f} MB on disk; broker {usage.seconds['broker']:.1f} CPU-s; others used {usage.others:.0%}", flush=True)
    topics.delete()
    return run


def throughput(kafka: Kafka, server: FrameServer, directory: Path, kept: Path, effort: Effort) -> None:
    print(f"throughput: {server.count:,} Event frames, {len(server.data) / 1e6:.0f} MB, from one watch; transactions on", flush=True)
    carry(kafka, server, directory, "warm-up", kept)
    told = effort.measure(lambda n: carry(kafka, server, directory, f"run-{n + 1}", kept))
    tell("events/s", [r.rate for r in told])
    tell("events per CPU-second", [r.per_cpu for r in told])
    tell("peak resident memory", [r.peak_mb for r in told], ".1f", "MB")


def write_again(kafka: Kafka, kept: Path, per_commit: int, number: int) -> Run:
    topics = Topics(kafka, f"ceiling-{per_commit}-{number}")
    span = Span({"broker": kafka.nodes[0].child.pid})
    command = [binary("bench-ceiling"), kafka.bootstrap, topics.events, kept, str(per_commit)]
    words = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    records, seconds, cpu = int(words[0]), float(words[1]), float(words[2])
    usage = span.end(beside=cpu)
    topics.close()
    topics.delete()
    return Run(records / seconds, records / cpu, usage)


def ceiling(kafka: Kafka, kept: Path, effort: Effort) -> None:
    print("ceiling: the same records by a bare transactional producer", flush=True)
    for per_commit in COMMITS_OF:
        told = effort.measure(lambda n: write_again(kafka, kept, per_commit, n))
        tell(f"commits of {per_commit:,}: records/s", [r.rate for r in told])
        tell(f"commits of {per_commit:,}: per CPU-second", [r.per_cpu for r in told])


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
    options = Options("collector", __doc__, PARTS)
    options.add_argument("--events", type=int, default=200_000, help="frames (200000)")
    options.add_argument("--rate", type=int, default=500, help="Events a second for latency (500)")
    options.add_argument("--seconds", type=int, default=20, help="of a latency run and of the stall (20)")
    options.add_argument("--idle", type=int, default=60, help="seconds that idle clusters are looked at (60)")
    options.add_argument("--clusters", type=int, default=50, help="of clusters (50)")
    options.add_argument("--objects", type=int, default=100_000, help="of relist; a tenth of them first (100000)")
    options.add_argument("--nodes", type=int, default=10_000, help="of nodes (10000)")
    args = options.read()
    parts = args.parts
    effort = Effort(args.runs, args.patience)
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="klaxon-bench-") as name, Kafka(Path(name) / "kafka") as kafka:
        directory = Path(name)
        if {"throughput", "ceiling", "stall"} & set(parts):
            with FrameServer(frames(args.events), args.events) as server:
                if {"throughput", "ceiling"} & set(parts):
                    throughput(kafka, server, directory, directory / "records", effort)
                if "ceiling" in parts:
                    ceiling(kafka, directory / "records", effort)
                if "stall" in parts:
                    stall(kafka, server, directory, args.seconds)
        if "latency" in parts:
            latency.measure(kafka, directory, args.rate, args.seconds, effort)
        for part, measure in (("clusters", lambda: scale.clusters(kafka, directory, args.clusters, args.idle)),
                              ("relist", lambda: scale.relist(kafka, directory, args.objects)),
                              ("nodes", lambda: scale.nodes(kafka, directory, args.nodes))):
            if part in parts:
                wait_quiet(args.patience)
                measure()
    return 0


if __name__ == "__main__":
    sys.exit(main())
