"""Proof: whoever subscribes is told of every event, in order, or a receipt says why not, whatever goes wrong meanwhile.

Two replicas of each kind of sink read three brokers while incidents open, go on and end. At random instants a replica is killed, frozen or
stopped, a broker too, and a channel's other side fails in one of the ways that its documentation knows: for a while, or until somebody
repairs it. At the end, of every event and channel: it has arrived, or it has a receipt that says why it did not (superseded by a newer
one of its incident, told in a digest). What arrived twice is counted beside what was under way at a kill or had no answer, and within an
incident nothing older arrives first after something newer.
"""
import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Producer

from cluster import Kafka, read_committed
from cluster.process import Child
from stage import Entra, LogAnalytics, Slack, Smtp, Teams
from stage.services import Services
from support.channels import Channel, Mark, mail_channel, service_channel, slack_channel, table_channel, teams_channel

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "klaxon."
COMPACTED = ("state", "control")
SETTLE_SECONDS = 600
QUIET_SECONDS = 90  # without anything new: what is missing then does not come
TOLD_A_SECOND = 2  # at most by a channel of the proof, and not committed yet
TOLD_IN_A_FAILOVER = 10  # a message a second; nine were seen
TOLD = ("delivered", "accepted")


class Incidents:
    """Writes events of incidents, several at a time: opened, two to five updates, resolved. Marked in the summary as I<incident>N<number>."""

    def __init__(self, kafka: Kafka, rate: float, rng: random.Random):
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap, "linger.ms": 1, "partitioner": "murmur2_random", "enable.idempotence": True,
                                   "log_level": 0})
        self._rate, self._rng = rate, rng
        self.written: dict[Mark, str] = {}
        self._open: dict[int, tuple[int, int]] = {}  # incident: the number that comes next, the last one
        self._next = 1
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends what is open, so that each incident has its end."""
        self._ending.set()
        self._thread.join()
        while self._open:
            self._step()
        assert self._producer.flush(60) == 0

    def _run(self) -> None:
        while not self._ending.wait(1 / self._rate):
            self._step()

    def _step(self) -> None:
        if not self._ending.is_set() and (len(self._open) < 4 or self._rng.random() < 0.2):
            self._open[self._next] = (1, self._rng.randint(3, 6))
            incident, self._next = self._next, self._next + 1
        else:
            incident = self._rng.choice(sorted(self._open))
        number, last = self._open.pop(incident)
        if number < last:
            self._open[incident] = (number + 1, last)
        self._write(incident, number, "open" if number == 1 else "resolved" if number == last else "update")

    def _write(self, incident: int, number: int, phase: str) -> None:
        mark = f"I{incident}N{number}"
        kind = {"open": "notready", "update": "repair.started", "resolved": "ready"}[phase]
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        headers = {"specversion": "1.0", "id": mark, "source": "/clusters/prod/nodes", "type": f"io.klaxon.node.{kind}",
                   "subject": f"Node/n{incident}", "time": now, "cluster": "prod", "severity": "info" if phase == "resolved" else "warning",
                   "incident": f"incident-{incident}", "phase": phase, "incidentseq": str(number)}
        data = {"summary": f"What happened is {mark}.", "object": {"kind": "Node", "name": f"n{incident}"}, "reason": "Proof", "labels": {},
                "incident": {"severity": "warning", "opened": now}}
        self.written[(incident, number)] = phase
        self._producer.produce(f"{PREFIX}nodes", json.dumps(data), f"prod/n{incident}",
                               headers=[(f"ce_{k}", v) for k, v in headers.items()] + [("content-type", "application/json")])
        self._producer.poll(0)


class Replicas:
    """Of one kind of sink; each started again whenever it has ended, as Kubernetes would."""

    def __init__(self, channel: Channel, kafka: Kafka, directory: Path, number: int):
        self.channel, self.all, self.own_ends = channel, [], 0
        for i in range(1, number + 1):
            home = directory / f"{channel.kind}-{i}"
            home.mkdir()
            (home / "klaxon.yaml").write_text(json.dumps({
                "kafka": {"bootstrap.servers": kafka.bootstrap, "auto.offset.reset": "earliest", "session.timeout.ms": 6000},
                "channels": {channel.name: {channel.kind: channel.settings} | THROTTLE},
                "subscriptions": [{"team": "proof", "topics": ["nodes"], "channels": [channel.name]}]}))
            self.all.append(Child(home.name, [Path(os.environ["KLAXON_BIN"]) / f"klaxon-sink-{channel.kind}", "--config", home / "klaxon.yaml"], home / "log"))
            self.all[-1].start()

    def look(self) -> None:
        for one in self.all:
            if not one.alive():
                self.own_ends += 1
                one.start()

    def hurry(self) -> None:
        """Somebody has repaired the channel: SIGHUP tries it now."""
        for one in self.all:
            if one.alive():
                os.kill(one.pid, 1)

    def kill(self) -> None:
        for one in self.all:
            one.kill()


THROTTLE = {"throttle": {"messages": 600, "per": "1m", "burst": 100}}


class Disturbances:
    def __init__(self, kafka: Kafka, sinks: list[Replicas], rng: random.Random):
        self.kafka, self.sinks, self.rng = kafka, sinks, rng
        self.kills = Counter()
        self.brokers = 0
        self._mix = [(self.killed, 8), (self.frozen, 3), (self.stopped, 3), (self.broker_killed, 2), (self.broker_frozen, 1), (self.channel_fails, 8)]
        self._queue = []

    def next(self) -> str:
        for sink in self.sinks:
            sink.look()
        if not self._queue:
            self._queue = [what for what, weight in self._mix for _ in range(weight)]
            self.rng.shuffle(self._queue)
        return self._queue.pop()()

    def _replica(self) -> tuple[Replicas, Child]:
        sink = self.rng.choice(self.sinks)
        return sink, self.rng.choice(sink.all)

    def killed(self) -> str:
        sink, one = self._replica()
        self.kills[sink.channel.name] += 1
        one.kill()
        one.start()
        return f"{one.name} killed"

    def frozen(self) -> str:
        sink, one = self._replica()
        seconds = self.rng.uniform(1, 9)  # longer than its session: others take over
        self.kills[sink.channel.name] += 1
        one.pause()
        time.sleep(seconds)
        one.resume()
        return f"{one.name} frozen for {seconds:.1f} s"

    def stopped(self) -> str:
        _, one = self._replica()
        one.stop()
        one.start()
        return f"{one.name} stopped and started"

    def broker_killed(self) -> str:
        node = self.rng.randrange(len(self.kafka.nodes)) + 1
        self.brokers += 1
        self.kafka.kill(node)
        time.sleep(self.rng.uniform(0, 4))
        self.kafka.start(node)
        self.kafka.wait_ready(node)
        return f"broker {node} killed"

    def broker_frozen(self) -> str:
        node, seconds = self.rng.randrange(len(self.kafka.nodes)) + 1, self.rng.uniform(1, 5)
        self.brokers += 1
        self.kafka.pause(node)
        time.sleep(seconds)
        self.kafka.resume(node)
        return f"broker {node} frozen for {seconds:.1f} s"

    def channel_fails(self) -> str:
        sink = self.rng.choice(self.sinks)
        seconds = self.rng.uniform(1, 8)
        what = sink.channel.fail(self.rng)
        time.sleep(seconds)
        sink.channel.heal()
        sink.hurry()
        return f"{sink.channel.name}: {what} for {seconds:.1f} s"


@dataclass
class Found:
    """Of one channel."""

    lost: list[Mark] = field(default_factory=list)
    unsaid: list[Mark] = field(default_factory=list)  # arrived without a receipt
    disordered: list[tuple[Mark, Mark]] = field(default_factory=list)
    arrived: int = 0
    repeated: int = 0
    excused: int = 0  # what may have been under way, or had no answer
    suppressed: Counter = field(default_factory=Counter)


def receipts_of(kafka: Kafka) -> dict[str, list[dict]]:
    found = defaultdict(dict)
    for record in read_committed(kafka.bootstrap, f"{PREFIX}deliveries"):
        data = json.loads(record.value)
        found[data["channel"]][record.header("ce_id")] = data  # one that was written again has the same id
    return {channel: list(by_id.values()) for channel, by_id in found.items()}


def event_of(receipt: dict) -> Mark:
    incident, number = receipt["event"].removeprefix("I").split("N")
    return int(incident), int(number)


def judge(channel: Channel, incidents: Incidents, receipts: list[dict], disturbances: Disturbances) -> Found:
    found = Found()
    arrived = channel.arrived()
    times = Counter(arrived)
    told = {event_of(r) for r in receipts if r["verdict"] in TOLD}
    spared = {event_of(r): r["reason"] for r in receipts if r["verdict"] == "suppressed"}
    found.arrived, found.repeated = len(times), sum(times.values()) - len(times)
    found.lost = sorted(mark for mark in incidents.written if mark not in times and mark not in spared)
    found.unsaid = sorted(mark for mark in times if mark not in told and mark not in spared)
    found.suppressed = Counter(spared[mark] for mark in incidents.written if mark not in times and mark in spared)
    found.excused = (disturbances.kills[channel.name] * (channel.slots + TOLD_A_SECOND) + disturbances.brokers * TOLD_IN_A_FAILOVER
                     + sum(r.get("ambiguous", 0) for r in receipts))
    newest: dict[int, int] = {}
    for incident, number in dict.fromkeys(arrived):
        if newest.get(incident, 0) > number:
            found.disordered.append(((incident, number), (incident, newest[incident])))
        newest[incident] = max(number, newest.get(incident, 0))
    return found


def judge_all(kafka: Kafka, incidents: Incidents, sinks: list[Replicas], disturbances: Disturbances) -> dict[str, Found]:
    receipts = receipts_of(kafka)
    return {s.channel.name: judge(s.channel, incidents, receipts.get(s.channel.name, []), disturbances) for s in sinks}


def settle(kafka: Kafka, incidents: Incidents, sinks: list[Replicas], disturbances: Disturbances) -> dict[str, Found]:
    """Until all is there, or nothing comes any more: a channel takes one message a second, and may have a queue."""
    deadline, least, since = time.monotonic() + SETTLE_SECONDS, sys.maxsize, time.monotonic()
    for sink in sinks:
        sink.hurry()
    while True:
        for sink in sinks:
            sink.look()
        found = judge_all(kafka, incidents, sinks, disturbances)
        left = sum(len(f.lost) + len(f.unsaid) for f in found.values())
        least, since = (left, time.monotonic()) if left < least else (least, since)
        if left == 0 or time.monotonic() > deadline or time.monotonic() - since > QUIET_SECONDS:
            return found
        time.sleep(3)


def verdict(args: argparse.Namespace, incidents: Incidents, sinks: list[Replicas], found: dict[str, Found]) -> int:
    for name, f in found.items():
        spared = ", ".join(f"{n} {reason}" for reason, n in sorted(f.suppressed.items())) or "none"
        print(f"{name:<16} {f.arrived} arrived; not told, with a receipt: {spared}; {f.repeated} again, of at most {f.excused}")
        for words, wrong in (("lost", f.lost), ("without a receipt", f.unsaid), ("out of order", f.disordered)):
            if wrong:
                print(f"  {words}: {wrong[:10]}{' …' if len(wrong) > 10 else ''}")
    lost, unsaid = sum(len(f.lost) for f in found.values()), sum(len(f.unsaid) for f in found.values())
    disordered, again = sum(len(f.disordered) for f in found.values()), sum(f.repeated for f in found.values())
    excused = all(f.repeated <= f.excused or f.arrived == 0 for name, f in found.items() if name != "to-loganalytics")  # there a batch is under way
    print(f"lost {lost}, out of order {disordered}, without a receipt {unsaid}, again {again} of {len(incidents.written)} events on "
          f"{len(found)} channels, {args.kills} disturbances (seed {args.seed}), sinks ended by themselves {sum(s.own_ends for s in sinks)} times")
    return 0 if lost == unsaid == disordered == 0 and excused and incidents.written else 1


def make_topics(kafka: Kafka) -> None:
    for name in ("nodes", "kubernetes", "state", "control", "deliveries", "retry", "dlq"):
        kafka.create_topic(PREFIX + name, 1 if name == "control" else 4, {"cleanup.policy": "compact"} if name in COMPACTED else {})


def run(args: argparse.Namespace, directory: Path) -> int:
    rng = random.Random(args.seed)
    with Kafka(directory / "kafka", 3) as kafka, Slack() as slack, Teams() as teams, Smtp(tls="plain") as smtp, Services() as services, \
            Entra(directory / "entra") as entra, LogAnalytics(entra) as azure:
        make_topics(kafka)
        channels = [slack_channel(slack, directory), teams_channel(teams, directory), mail_channel(smtp), service_channel(services),
                    table_channel(azure, entra, directory, ROOT / "deploy/azure/loganalytics.json")]
        incidents = Incidents(kafka, args.rate, rng)
        sinks = [Replicas(channel, kafka, directory, args.replicas) for channel in channels]
        disturbances = Disturbances(kafka, sinks, random.Random(args.seed + 1))
        try:
            time.sleep(3)  # the groups have begun
            incidents.start()
            began = time.monotonic()
            for number in range(1, args.kills + 1):
                time.sleep(disturbances.rng.uniform(0.2, 2.5))  # the random instant is the point
                what = disturbances.next()
                print(f"{time.monotonic() - began:6.1f} s  {number}/{args.kills}: {what}; {len(incidents.written)} events", flush=True)
            incidents.stop()
            found = settle(kafka, incidents, sinks, disturbances)
        finally:
            for sink in sinks:
                sink.kill()
        return verdict(args, incidents, sinks, found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev prove sinks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="disturbances (default 20)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1, help="events a second (default 1: as many as Slack and mail take)")
    parser.add_argument("--replicas", type=int, default=2, help="of each sink (default 2)")
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="klaxon-sinks-"))
    code = run(args, directory)
    print(f"logs: {directory}")
    return code


if __name__ == "__main__":
    sys.exit(main())
