"""What happened, as etcd has it, and what of it is on the topics."""
import json
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cluster import ApiServer, Kafka, read_committed

GAP, READY, NOT_READY = "io.klaxon.watch.gap", "io.klaxon.node.ready", "io.klaxon.node.notready"
SOON = timedelta(seconds=5)  # from a gap to the end of the list that follows it
WATCHES = {"events": "events", "configmaps": "generic:configmaps"}
EVENTS = ["klaxon.kubernetes", "klaxon.nodes", "klaxon.scaling", "klaxon.gitops"]


class Truth(threading.Thread):
    """Collects etcd's revisions before they are compacted, and which revision it was when."""

    def __init__(self, api: ApiServer):
        super().__init__(daemon=True)
        self.api = api
        self.begin = self.upto = api.revision()
        self.revisions: dict[str, set[int]] = {resource: set() for resource in WATCHES}
        self.compactions: list[int] = []
        self.clock: list[tuple[datetime, int]] = []
        self.ending = threading.Event()
        self.lock = threading.Lock()

    def run(self) -> None:
        """The API server compacts by itself, five minutes behind."""
        while not self.ending.wait(0.2):
            try:
                self.clock.append((datetime.now().astimezone(), self.api.revision()))
                if len(self.clock) % 100 == 0:
                    self.collect()
            except Exception:  # etcd is being killed
                continue

    def collect(self) -> None:
        """What was written since the last call. etcd may have been killed a moment ago."""
        with self.lock:
            self._collect()

    def _collect(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                changes = self.api.etcd.history("/registry/", self.upto)
                break
            except Exception:
                assert time.monotonic() < deadline, "etcd does not answer"
                time.sleep(0.2)
        for change in changes:
            resource, _, name = change.key.removeprefix("/registry/").partition("/")
            if resource in self.revisions and not change.deleted and "klaxon-canary" not in name and is_counted(resource, name):
                self.revisions[resource].add(change.revision)
            self.upto = max(self.upto, change.revision)

    def revision_at(self, instant: datetime) -> int:
        return next((revision for when, revision in self.clock if when >= instant), self.upto)


def is_counted(resource: str, name: str) -> bool:
    return resource == "events" or name.startswith("default/proof-")


@dataclass
class Told:
    """What an independent read_committed reader finds."""

    revisions: dict[str, Counter] = field(default_factory=lambda: {resource: Counter() for resource in WATCHES})
    ids: Counter = field(default_factory=Counter)
    words: dict[str, str] = field(default_factory=dict)  # of each id
    nodes: dict[bytes, str] = field(default_factory=dict)  # the last that was said of each
    #: number, phase and topic of each step
    incidents: dict[str, list[tuple[int, str, str]]] = field(default_factory=lambda: defaultdict(list))
    gaps: list[dict] = field(default_factory=list)
    kinds: Counter = field(default_factory=Counter)


def told(kafka: Kafka) -> Told:
    ret = Told()
    for record in read_committed(kafka.bootstrap, EVENTS, timeout=120, heartbeats=True):
        kind, data = record.header("ce_type"), json.loads(record.value)
        ret.ids[record.header("ce_id")] += 1
        ret.words[record.header("ce_id")] = f'{kind} {data["summary"]}'
        if kind in (READY, NOT_READY):
            ret.nodes[record.key] = kind
        ret.kinds[kind.removeprefix("io.klaxon.")] += 1
        if kind == GAP:
            ret.gaps.append(data)
        elif data.get("event"):
            ret.revisions["events"][int(data["event"]["resourceVersion"])] += 1
        elif kind.startswith("io.klaxon.object."):
            ret.revisions["configmaps"][int(data["object"]["resourceVersion"])] += 1
        if record.header("ce_incident"):
            ret.incidents[record.header("ce_incident")].append(
                (int(record.header("ce_incidentseq")), record.header("ce_phase"), record.topic))
    return ret


def lost(truth: Truth, found: Told) -> dict[str, set[int]]:
    """Revisions that are nowhere, and in no gap that was recorded."""
    ret = {}
    for resource, revisions in truth.revisions.items():
        missing = revisions - set(found.revisions[resource])
        for gap in found.gaps:
            if gap["object"]["name"].startswith(WATCHES[resource]):
                upto = truth.revision_at(datetime.fromisoformat(gap["until"]) + SOON)
                missing -= {revision for revision in missing if int(gap["after"]) < revision <= upto}
        ret[resource] = missing
    return ret


def repeated(found: Told) -> list[str]:
    """Of a record that is there three times, two."""
    ids = [f"{id_} {found.words[id_]}" for id_, n in found.ids.items() for _ in range(n - 1)]
    return ids + [f"{resource} {revision}" for resource, counter in found.revisions.items() for revision, n in counter.items()
                  for _ in range(n - 1)]


def broken_incidents(found: Told) -> list[str]:
    """Each incident is numbered 1, 2, 3 …, and opens once, first. (One that has ended may go on: a node that flaps.)"""
    ret = []
    for incident, steps in found.incidents.items():
        phases = [phase for _, phase, _ in sorted(steps)]
        if sorted(n for n, _, _ in steps) != list(range(1, len(steps) + 1)):
            ret.append(f"{incident}: numbers {sorted(n for n, _, _ in steps)}")
        elif phases[0] != "open" or phases.count("open") != 1:
            ret.append(f"{incident}: phases {phases}")
    return ret


def not_ready(found: Told) -> list[str]:
    """All nodes are Ready at the end, and the last that is said of each must be so."""
    return [key.decode() for key, kind in found.nodes.items() if kind != READY]


def undue_gaps(truth: Truth, found: Told) -> list[dict]:
    """Of Events, which the API server keeps in etcd alone: a gap without a compaction."""
    return [gap for gap in found.gaps if gap["object"]["name"] == "events" and not any(int(gap["after"]) < c for c in truth.compactions)]
