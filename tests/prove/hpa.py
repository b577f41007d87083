"""Proof: what the real HPA loop does is on klaxon.scaling, each thing once, while the collector is killed in between.

kube-controller-manager, kwok and metrics-server run ama-metrics and its HPA; kubectl changes its bounds, the pods claim more memory and
less, the memory of one climbs until it is OOM-killed, the metrics API goes away. For each event: the seconds from the cluster's own time of
it to a reader.
"""
import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from cluster import Kafka
from cluster.hpa_world import NAMESPACE, HpaWorld, condition
from cluster.reader import read_committed
from support.folder import in_folder

CLUSTER = "proof"
HOLD_SECONDS = 20  # instead of the ten and two minutes that an operator would wait
CLIMB = [f"{7168 + 300 * step}Mi" for step in range(24)]  # of 14Gi, every five seconds
STORY = ["pod.memory.predicted", "pod.memory.near", "pod.oomkilled", "pod.recovered"]
EXPECTED = {  # kind: how often; None: at least once, the loop decides how many steps it takes
    "hpa.bounds": 1, "hpa.scaled.up": None, "hpa.atmax": 1, "pod.memory.predicted": 1, "pod.memory.near": 1,
    "pod.oomkilled": 1, "pod.recovered": 1, "hpa.blind": 1, "hpa.sighted": 1,
    "hpa.relieved": 1, "hpa.scaled.down": None, "workload.restarted": 1, "hpa.removed": 1,
}


class Reader(threading.Thread):
    """What a read_committed consumer is given of klaxon.scaling, and when."""

    def __init__(self, kafka: Kafka):
        super().__init__(daemon=True)
        self.consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "proof", "isolation.level": "read_committed",
                                  "auto.offset.reset": "earliest", "enable.auto.commit": False, "fetch.wait.max.ms": 20})
        partitions = self.consumer.list_topics("klaxon.scaling", timeout=10).topics["klaxon.scaling"].partitions
        self.consumer.assign([TopicPartition("klaxon.scaling", partition, 0) for partition in partitions])
        self.events: list[tuple[str, float, dict]] = []
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            message = self.consumer.poll(0.1)
            if message is None or message.error():
                continue
            headers = {name: value.decode() for name, value in message.headers()}
            if headers["ce_type"] == "io.klaxon.heartbeat":  # of the collector itself, on every partition
                continue
            happened = datetime.fromisoformat(headers["ce_time"].replace("Z", "+00:00")).timestamp()
            kind = headers["ce_type"].removeprefix("io.klaxon.")
            self.events.append((kind, time.time() - happened, headers | {"data": json.loads(message.value())}))
            print(f"    {time.time() - happened:6.2f} s  {kind:20} {headers.get('ce_phase', ''):9} {self.events[-1][2]['data']['summary']}", flush=True)
        self.consumer.close()

    def wait(self, kind: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while kind not in {event[0] for event in self.events}:
            assert time.monotonic() < deadline, f"no {kind} on klaxon.scaling within {seconds:g} s"
            time.sleep(0.05)


class Collector:
    def __init__(self, directory: Path, kafka: Kafka, world: HpaWorld):
        self.log = (directory / "collector.log").open("ab")
        config = directory / "klaxon.yaml"
        config.write_text(
            f'kafka: {{ bootstrap.servers: "{kafka.bootstrap}" }}\nclusters:\n'
            f"  - name: {CLUSTER}\n    kubeconfig: {world.api.kubeconfig}\n    sources: {{ events: {{}}, hpa: {{}}, pods: {{}}, podmetrics: {{ every: 5s }} }}\n"
            f"    detectors: {{ autoscaling: {{ at_max_after: {HOLD_SECONDS}s, blind_after: {HOLD_SECONDS}s, "
            f"recovered_after: {HOLD_SECONDS}s, memory_near_after: {HOLD_SECONDS // 2}s }} }}\n")
        self.command = [Path(os.environ["KLAXON_BIN"]) / "klaxon-collector", "--config", config]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stderr=self.log, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.start()


def wait_until_watching(kafka: Kafka) -> None:
    wanted = {f"{CLUSTER}/{source}".encode() for source in ("events", "hpa", "pods")}
    deadline = time.monotonic() + 60
    while not wanted <= {record.key for record in read_committed(kafka.bootstrap, "klaxon.state")}:
        assert time.monotonic() < deadline, "the collector does not begin to watch"


def climb(world: HpaWorld, name: str) -> None:
    for memory in CLIMB:
        world.claim_one(name, memory)
        time.sleep(5)


def play(world: HpaWorld, reader: Reader, collector: Collector) -> None:
    print("bounds by hand, load: scale up, at the maximum", flush=True)
    world.set_bounds(2, 4)
    reader.wait("hpa.bounds")
    world.claim("7Gi")
    reader.wait("hpa.scaled.up")
    collector.restart()
    world.wait_replicas(4)
    world.claim("7Gi")
    world.wait("TooManyReplicas", lambda hpa: condition(hpa, "ScalingLimited") == ("True", "TooManyReplicas"))
    print("the memory of one climbs, until it is OOM-killed", flush=True)
    victim = world.pods()[0]["metadata"]["name"]
    climbing = threading.Thread(target=climb, args=(world, victim), daemon=True)
    climbing.start()
    reader.wait("hpa.atmax")
    reader.wait("pod.memory.predicted", 180)
    collector.restart()
    reader.wait("pod.memory.near", 180)
    climbing.join()
    world.exit_container(victim, 137, "OOMKilled")
    world.claim_one(victim, "7Gi")
    reader.wait("pod.oomkilled")
    collector.restart()
    reader.wait("pod.recovered")
    print("the metrics API goes away, and comes back", flush=True)
    world.blind()
    reader.wait("hpa.blind", 180)
    collector.restart()
    world.see()
    reader.wait("hpa.sighted", 180)
    print("all replicas restart at once", flush=True)
    for pod in world.pods():
        world.exit_container(pod["metadata"]["name"], 137, "Error")
    reader.wait("workload.restarted")
    print("the load goes away: scale down", flush=True)
    world.claim("1Gi")
    world.wait_replicas(2, 240)
    reader.wait("hpa.scaled.down")
    world.remove_hpa()
    reader.wait("hpa.removed")


def verdict(events: list) -> int:
    counts = Counter(kind for kind, _, _ in events)
    ids = Counter(headers["ce_id"] for _, _, headers in events)
    wrong = [f"{kind} {counts[kind]} times" for kind, n in EXPECTED.items() if counts[kind] != n and (n is not None or counts[kind] == 0)]
    wrong += [f"unexpected {kind}" for kind in counts if kind not in EXPECTED]
    repeated = sum(n - 1 for n in ids.values())
    story = [(kind, headers) for kind, _, headers in events if kind in STORY]
    if [kind for kind, _ in story] != STORY or len({headers["ce_incident"] for _, headers in story}) != 1:
        wrong.append("the climb, the kill and the recovery are not one incident")
    if not any(kind == "pod.oomkilled" and headers["data"].get("memory", {}).get("rising") for kind, headers in story):
        wrong.append("the OOM kill does not carry the trend")
    # What is held back on purpose (a wave) says nothing of klaxon's speed. The cluster's times have seconds: up to one is rounding.
    # A sample is as old as metrics-server and the poll make it.
    slowest = max(late for kind, late, _ in events if kind != "workload.restarted" and "memory" not in kind)
    print(f"{len(events)} events: " + ", ".join(f"{kind} {n}" for kind, n in sorted(counts.items())))
    print(f"repeated {repeated}, wrong: {', '.join(wrong) or 'none'}; slowest {slowest:.2f} s after the cluster's own time, 4 kills")
    return 1 if wrong or repeated else 0


def samples_verdict(kafka: Kafka) -> int:
    """Each sample of each pod once, polled twice a window and across the kills."""
    samples = Counter((record.key, json.loads(record.value)["sample"]["time"]) for record in read_committed(kafka.bootstrap, "klaxon.metrics"))
    repeated = sum(n - 1 for n in samples.values())
    print(f"{len(samples)} samples, repeated {repeated}")
    return 1 if repeated or not samples else 0


def run(directory: Path) -> int:
    with Kafka(directory / "kafka") as kafka, HpaWorld(directory / "api") as world:
        for topic in ("kubernetes", "scaling", "metrics"):
            kafka.create_topic(f"klaxon.{topic}", 4)
        kafka.create_topic("klaxon.state", 1, {"cleanup.policy": "compact"})
        world.start()
        reader, collector = Reader(kafka), Collector(directory, kafka, world)
        reader.start()
        try:
            wait_until_watching(kafka)
            play(world, reader, collector)
            time.sleep(3)  # whatever should not come has time to
        finally:
            collector.kill()
            reader.ending.set()
            reader.join()
        assert all(f"/{NAMESPACE}/" in "/" + headers["data"]["object"]["namespace"] + "/" for _, _, headers in reader.events)
        return verdict(reader.events) | samples_verdict(kafka)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev prove hpa", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the logs, and say where they are")
    args = parser.parse_args()
    return in_folder("hpa", args.keep, lambda directory: run(directory) == 0)


if __name__ == "__main__":
    sys.exit(main())
