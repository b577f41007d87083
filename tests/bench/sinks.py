"""The sinks' speed: from Kafka to the answer of an HTTP server on loopback, and from an event to its request.

throughput    events that wait in Kafka, delivered by one klaxon-sink-webhook to 1, 10 and 100 channels: deliveries a second from the first
              request to the last, CPU and peak memory of the process over its whole life. Each run is checked: every event, on every
              channel, once.
latency       events written at a rate; from the call that hands one to the producer until its request is there whole.
loganalytics  rows in batches to an endpoint that takes everything: MB of JSON a second.
matching      what finding the subscriptions of an event costs, at 10 to 10,000 of them (matching.c).
outage        three channels at a steady rate, of which one is down for a while: what the two others notice of it, while it lasts and while
              what was parked is delivered afterwards; memory; that all of it arrives, in order. Takes twice --outage and more, so it is run
              only when it is named.

The other side is answer.c, which takes everything at once and remembers when.
"""
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.support.delivery import Answer, World, event, webhooks
from bench.support.machine import Effort, Span, Usage, cpu_seconds, describe, memory_mb, tell
from bench.support.options import Options
from bench.support.outage import FAULTS, outage
from bench.support.world import binary
from cluster import Kafka
from cluster.process import wait_until
from stage import Entra
from stage.loganalytics import RESOURCE

PARTS = ("throughput", "latency", "loganalytics", "matching", "outage")
CHANNELS = (1, 10, 100)


@dataclass(frozen=True)
class Run:
    rate: float
    per_cpu: float
    peak_mb: float
    usage: Usage


def deliver(kafka: Kafka, directory: Path, name: str, channels: int, deliveries: int) -> Run:
    events = deliveries // channels
    world = World(kafka, directory, name)
    world.put(range(events))
    with Answer() as answer:
        child = world.sink("webhook", webhooks(answer, channels))
        span = Span({"broker": kafka.nodes[0].child.pid, "server": answer.pid})
        child.start()
        try:
            wait_until("all deliveries", lambda: answer.count() >= events * channels, 300, child)
            cpu, peak_mb = cpu_seconds(child.pid), memory_mb(child.pid, "VmHWM")
            usage = span.end(beside=cpu)
            taken = answer.taken()
        finally:
            child.kill()
            world.close()
    told = Counter((path, id_) for path, id_, _, _ in taken)
    assert len(told) == events * channels and set(told.values()) == {1}, f"{len(told)} of {events * channels} deliveries, {len(taken)} requests"
    seconds = max(at for _, _, at, _ in taken) - min(at for _, _, at, _ in taken)
    run = Run(len(taken) / seconds, len(taken) / cpu, peak_mb, usage)
    print(f"  {name}: {run.rate:,.0f} deliveries/s, {run.per_cpu:,.0f} per CPU-second, peak {peak_mb:.1f} MB; broker {usage.seconds['broker']:.1f} CPU-s, "
          f"server {usage.seconds['server']:.1f}; others used {usage.others:.0%}", flush=True)
    return run


def throughput(kafka: Kafka, directory: Path, deliveries: int, effort: Effort) -> None:
    for channels in CHANNELS:
        print(f"throughput: {deliveries:,} deliveries to {channels} channel{'s' * (channels > 1)}", flush=True)
        told = effort.measure(lambda n, channels=channels: deliver(kafka, directory, f"to-{channels}-{n + 1}", channels, deliveries))
        tell("deliveries/s", [r.rate for r in told])
        tell("deliveries per CPU-second", [r.per_cpu for r in told])
        tell("peak resident memory", [r.peak_mb for r in told], ".1f", "MB")


@dataclass(frozen=True)
class Latency:
    p50_ms: float
    p99_ms: float
    usage: Usage


def wait_one(kafka: Kafka, directory: Path, name: str, rate: int, seconds: int) -> Latency:
    world, begun = World(kafka, directory, name), {}
    with Answer() as answer:
        child = world.sink("webhook", webhooks(answer, 1))
        child.start()
        try:
            world.put(range(1))
            wait_until("the first delivery", lambda: answer.count() >= 1, 60, child)
            span = Span({"broker": kafka.nodes[0].child.pid, "server": answer.pid, "sink": child.pid})
            start = time.monotonic()
            for number in range(1, rate * seconds):
                due = start + number / rate
                while (left := due - time.monotonic()) > 0:
                    time.sleep(left)
                key, value, headers = event(number)
                begun[str(number)] = time.monotonic()
                world.producer.produce(f"{world.prefix}.nodes", value, key, headers=headers)
                world.producer.poll(0)
            wait_until("all deliveries", lambda: answer.count() >= rate * seconds, 60, child)
            usage, peak_mb = span.end(), memory_mb(child.pid, "VmHWM")
            taken = answer.taken()
        finally:
            child.kill()
            world.close()
    waits = sorted((at - begun[id_]) * 1e3 for _, id_, at, _ in taken if id_ in begun and int(id_) > 2 * rate)
    found = Latency(waits[len(waits) // 2], waits[len(waits) * 99 // 100], usage)
    print(f"  {name}: p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms, most {waits[-1]:.1f} ms; sink {usage.seconds['sink']:.2f} CPU-s, "
          f"peak {peak_mb:.1f} MB; others used {usage.others:.0%}", flush=True)
    return found


def latency(kafka: Kafka, directory: Path, rate: int, seconds: int, effort: Effort) -> None:
    print(f"latency: {rate} events/s for {seconds} s, one channel; from the producer's call to the whole request", flush=True)
    told = effort.measure(lambda n: wait_one(kafka, directory, f"latency-{n + 1}", rate, seconds))
    tell("p50", [r.p50_ms for r in told], ".1f", "ms")
    tell("p99", [r.p99_ms for r in told], ".1f", "ms")


def load(kafka: Kafka, directory: Path, name: str, rows: int) -> Run:
    world = World(kafka, directory, name)
    world.put(range(rows))
    secret = world.directory / "secret"
    secret.write_text("s3cret")
    with Answer("204 No Content") as answer, Entra(world.directory / "entra") as entra:
        entra.resource(RESOURCE)
        entra.application("bench", secret="s3cret")
        child = world.sink("loganalytics", {"history": {
            "endpoint": answer.url, "dcr": "dcr-" + "0" * 32, "client_id": "bench", "tenant": entra.tenant, "authority": entra.authority,
            "client_secret": {"file": str(secret)}}})
        span = Span({"broker": kafka.nodes[0].child.pid, "server": answer.pid})
        child.start()
        try:
            wait_until("all rows", lambda: world.settled("loganalytics") >= rows, 300, child)
            cpu, peak_mb = cpu_seconds(child.pid), memory_mb(child.pid, "VmHWM")
            usage, taken = span.end(beside=cpu), answer.taken()
        finally:
            child.kill()
            world.close()
    seconds = max(at for _, _, at, _ in taken) - min(at for _, _, at, _ in taken)
    run = Run(rows / max(seconds, 1e-3), rows / cpu, peak_mb, usage)
    print(f"  {name}: {run.rate:,.0f} rows/s in {len(taken)} calls, {run.per_cpu:,.0f} per CPU-second, "
          f"{sum(size for *_, size in taken) / 1e6:.1f} MB sent compressed, peak {peak_mb:.1f} MB; others used {usage.others:.0%}", flush=True)
    return run


def main() -> int:
    options = Options("sinks", __doc__, PARTS, seldom=("outage",))
    options.add_argument("--deliveries", type=int, default=100_000, help="of a throughput run (100000)")
    options.add_argument("--rows", type=int, default=100_000, help="for loganalytics (100000)")
    options.add_argument("--rate", type=int, default=500, help="events a second for latency (500)")
    options.add_argument("--seconds", type=int, default=20, help="of a latency run (20)")
    options.add_argument("--outage", type=int, default=600, help="seconds that a channel is down (600)")
    options.add_argument("--steady", type=int, default=100, help="events a second meanwhile (100)")
    options.add_argument("--faults", nargs="+", choices=sorted(FAULTS), default=["503"], help="of the channel that is down, a run each (503)")
    args = options.read()
    parts = args.parts
    effort = Effort(args.runs, args.patience)
    print(describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="klaxon-bench-") as name, Kafka(Path(name) / "kafka") as kafka:
        directory = Path(name)
        if "throughput" in parts:
            throughput(kafka, directory, args.deliveries, effort)
        if "latency" in parts:
            latency(kafka, directory, args.rate, args.seconds, effort)
        if "loganalytics" in parts:
            print(f"loganalytics: {args.rows:,} rows", flush=True)
            told = effort.measure(lambda n: load(kafka, directory, f"rows-{n + 1}", args.rows))
            tell("rows/s", [r.rate for r in told])
            tell("peak resident memory", [r.peak_mb for r in told], ".1f", "MB")
        if "outage" in parts:
            outage(kafka, directory, args.faults, args.outage, args.steady)
        if "matching" in parts:
            print("matching: subscriptions and ns an event", flush=True)
            subprocess.run([binary("bench-matching")], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
