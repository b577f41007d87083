"""Proof: what a real Argo CD and a real Argo Rollouts do is on klaxon.gitops, each thing once, and idle Applications cost nothing.

Scenes (tests/cluster/argo_scenes.py) play beside each other, each with an Application and a namespace of its own: deploy, drift, failed sync,
bad manifest, rollback, pruning, errors, auto-sync, deletion; canary, blue-green, analysis. Each says every event that must come, with who, what
and why; anything else fails. The collector is killed meanwhile. Then idle Applications are refreshed by Argo CD, and nothing may be told.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from cluster import Kafka, argo_idle
from cluster.argo_scenes import SCENES, Scene, Unexpected
from cluster.argo_world import ArgoWorld
from cluster.reader import read_committed
from support.folder import in_folder

CLUSTER, IDLE, TOPIC = "proof", "idle", "klaxon.gitops"
HEARTBEAT = "io.klaxon.heartbeat"  # of the collector itself, on every partition
# Instead of the minutes that an operator would wait.
SETTINGS = "drift_after: 5s, change_waits_after: 5s, degraded_after: 3s, error_after: 3s, settled_after: 3s"


class Reader(threading.Thread):
    """What a read_committed consumer is given of klaxon.gitops, by the object that it is about."""

    def __init__(self, kafka: Kafka):
        super().__init__(daemon=True)
        self.consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "proof", "isolation.level": "read_committed",
                                  "auto.offset.reset": "earliest", "enable.auto.commit": False, "fetch.wait.max.ms": 20})
        partitions = self.consumer.list_topics(TOPIC, timeout=10).topics[TOPIC].partitions
        self.consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in partitions])
        self.events: dict[tuple[str, str, str], list[dict]] = defaultdict(list)
        self.ids: Counter = Counter()
        self.began, self.ending = time.monotonic(), threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            message = self.consumer.poll(0.1)
            if message is not None and not message.error():
                self._take(message)
        self.consumer.close()

    def _take(self, message) -> None:
        event = {name.removeprefix("ce_"): value.decode() for name, value in message.headers()} | {"data": json.loads(message.value())}
        if event["type"] == HEARTBEAT:
            return
        event["kind"] = event["type"].removeprefix("io.klaxon.")
        about = event["data"]["object"]
        self.ids[event["id"]] += 1
        self.events[about["kind"], about["namespace"], about["name"]].append(event)
        print(f"  {time.monotonic() - self.began:6.1f} s  {event['kind']:22} {event.get('phase', ''):9} {event['data']['summary']}", flush=True)

    def told(self, kind: str, namespace: str, name: str) -> list[dict]:
        return self.events[kind, namespace, name]


class Collector:
    def __init__(self, directory: Path, kafka: Kafka, world: ArgoWorld, cluster: str = CLUSTER):
        self.log = (directory / f"collector-{cluster}.log").open("ab")
        config = directory / f"{cluster}.yaml"
        config.write_text(
            f'kafka: {{ bootstrap.servers: "{kafka.bootstrap}" }}\nclusters:\n'
            f"  - name: {cluster}\n    kubeconfig: {world.api.kubeconfig}\n    sources: {{ applications: {{}}, rollouts: {{}} }}\n"
            f"    detectors: {{ gitops: {{ {SETTINGS} }} }}\n")
        self.command = [Path(os.environ["KLAXON_BIN"]) / "klaxon-collector", "--config", config]
        self.kills = 0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stderr=self.log, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.kill()
        self.kills += 1
        self.start()

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until_watching(kafka: Kafka, cluster: str = CLUSTER) -> None:
    wanted = {f"{cluster}/{source}".encode() for source in ("applications", "rollouts")}
    deadline = time.monotonic() + 60
    while not wanted <= {record.key for record in read_committed(kafka.bootstrap, "klaxon.state")}:
        assert time.monotonic() < deadline, "the collector does not begin to watch"


def play(world: ArgoWorld, reader: Reader, name: str) -> tuple[Scene, str | None]:
    """A scene, and what was wrong with it."""
    scene = Scene(world, reader, name)
    try:
        SCENES[name](scene)
    except (Unexpected, AssertionError, TimeoutError, RuntimeError) as wrong:
        return scene, str(wrong)
    return scene, None


def play_all(world: ArgoWorld, reader: Reader, collector: Collector, args: argparse.Namespace) -> list[tuple[Scene, str | None]]:
    """So many beside each other; the collector is killed at random instants of the same seed."""
    chance = random.Random(args.seed)
    with ThreadPoolExecutor(args.beside) as pool:
        running = [pool.submit(play, world, reader, name) for name in args.scenes]
        while not all(one.done() for one in running):
            time.sleep(chance.uniform(5, 15))
            if collector.kills < args.kills:
                collector.restart()
        return [one.result() for one in running]


@dataclass
class Verdict:
    right: bool = False
    scenes: set[str] = field(default_factory=set)  # those that were right


def verdict(played: list[tuple[Scene, str | None]], reader: Reader, kills: int) -> Verdict:
    wrong = 0
    right: set[str] = set()
    for scene, failure in played:
        found = ([failure] if failure else []) + scene.left()
        seen = sum(scene.positions.values())
        print(f"{'wrong' if found else 'right':6} {scene.name:22} {seen:3} events{'; ' if found else ''}{'; '.join(found)}")
        wrong += bool(found)
        right |= set() if found else {scene.name}
    known: set = set().union(*(scene.objects() for scene, _ in played))
    strays = sum(len(events) for about, events in reader.events.items() if about not in known)
    repeated = sum(n - 1 for n in reader.ids.values())
    print(f"{len(played)} scenes, {wrong} wrong; {sum(reader.ids.values())} events, repeated {repeated}, of others {strays}; {kills} kills")
    return Verdict(wrong == 0 and strays == 0 and repeated == 0, right)


def states_written(kafka: Kafka, cluster: str) -> int:
    return sum(record.key.startswith(f"{cluster}/gitops/".encode()) for record in read_committed(kafka.bootstrap, "klaxon.state"))


def idle(directory: Path, kafka: Kafka, world: ArgoWorld, args: argparse.Namespace) -> bool:
    """A collector that finds N Applications, and hears of them for M minutes what Argo CD writes when nothing happens."""
    began = time.monotonic()
    synced = argo_idle.create(world, args.idle, 60 + args.idle * 2)
    print(f"{synced} of {args.idle} idle applications are Synced after {time.monotonic() - began:.0f} s", flush=True)
    collector = Collector(directory, kafka, world, IDLE)
    try:
        wait_until_watching(kafka, IDLE)
        time.sleep(10)  # the records of the first list
        frames = argo_idle.Frames(world)
        frames.start()
        states, cpu = states_written(kafka, IDLE), collector.cpu_seconds()
        time.sleep(args.idle_minutes * 60)
        cpu, heard = collector.cpu_seconds() - cpu, frames.n
        states = states_written(kafka, IDLE) - states
    finally:
        collector.kill()
    events = sum(record.header("ce_cluster") == IDLE and record.header("ce_type") != HEARTBEAT
                 for record in read_committed(kafka.bootstrap, TOPIC))
    print(f"{args.idle} idle applications in {args.idle_minutes:g} min: {heard} frames, {events} events, {states} state records; "
          f"the collector used {cpu:.2f} s of CPU")
    return events == 0 and states == 0 and synced == args.idle and heard > 0


def run(directory: Path, args: argparse.Namespace, begin: Callable[[ArgoWorld], None] = lambda _: None) -> Verdict:
    """begin: called when the world runs, before anything happens in it."""
    with Kafka(directory / "kafka") as kafka, ArgoWorld(directory / "api") as world:
        for topic in ("kubernetes", "gitops"):
            kafka.create_topic(f"klaxon.{topic}", 4)
        kafka.create_topic("klaxon.state", 1, {"cleanup.policy": "compact"})
        world.start()
        reader, collector = Reader(kafka), Collector(directory, kafka, world)
        reader.start()
        begin(world)
        try:
            wait_until_watching(kafka)
            played = play_all(world, reader, collector, args)
            time.sleep(5)  # whatever should not come has time to
        finally:
            collector.kill()
            reader.ending.set()
            reader.join()
        found = verdict(played, reader, collector.kills)
        found.right = (idle(directory, kafka, world, args) if args.idle else True) and found.right
        return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev prove argocd", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"which, or `none` (default: all): {', '.join(SCENES)}")
    parser.add_argument("--beside", type=int, default=6, help="scenes at a time (default: 6)")
    parser.add_argument("--kills", type=int, default=4, help="of the collector (default: 4)")
    parser.add_argument("--seed", type=int, default=1, help="of the instants of the kills (default: 1)")
    parser.add_argument("--idle", type=int, default=100, metavar="N", help="idle applications after the scenes, 0: none (default: 100)")
    parser.add_argument("--idle-minutes", type=float, default=4, metavar="M", help="for so long (default: 4)")
    parser.add_argument("--keep", action="store_true", help="keep the logs, and say where they are")
    args = parser.parse_args()
    args.scenes = [] if args.scenes == ["none"] else args.scenes or list(SCENES)
    unknown = [name for name in args.scenes if name not in SCENES]
    if unknown:
        parser.error(f"no scene {', '.join(unknown)}; there are {', '.join(SCENES)}")
    return args


def main() -> int:
    args = parse()
    return in_folder("argocd", args.keep, lambda directory: run(directory, args).right)


if __name__ == "__main__":
    sys.exit(main())
