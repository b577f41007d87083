"""What happened, as etcd has it, and what of it is on the topics."""
import json
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from cluster import ApiServer, Kafka, read_committed
from cluster.reader import Record

GAP, READY, NOT_READY = "io.klaxon.watch.gap", "io.klaxon.node.ready", "io.klaxon.node.notready"
WATCHES = {"events": "events", "configmaps": "generic:configmaps"}
EVENTS = ["klaxon.kubernetes", "klaxon.nodes", "klaxon.scaling", "klaxon.gitops"]


class Truth(threading.Thread):
    """Collects etcd's revisions before they are compacted."""

    def __init__(self, api: ApiServer):
        super().__init__(daemon=True)
        self.api = api
        self.begin = self.upto = api.revision()
        self.revisions: dict[str, dict[int, str]] = {resource: {} for resource in WATCHES}  # and of which object
        self.objects: dict[str, list[int]] = defaultdict(list)
        self.compactions: list[int] = []
        self.ending = threading.Event()
        self.lock = threading.Lock()

    def run(self) -> None:
        """The API server compacts by itself, five minutes behind."""
        while not self.ending.wait(20):
            self.collect()

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
                self.revisions[resource][change.revision] = change.key
                self.objects[change.key].append(change.revision)
            self.upto = max(self.upto, change.revision)


def is_counted(resource: str, name: str) -> bool:
    return resource == "events" or name.startswith("default/proof-")


@dataclass
class Told:
    """What an independent read_committed reader finds."""

    revisions: dict[str, Counter] = field(default_factory=lambda: {resource: Counter() for resource in WATCHES})
    resync: set[int] = field(default_factory=set)
    ids: Counter = field(default_factory=Counter)
    words: dict[str, str] = field(default_factory=dict)  # of each id
    nodes: dict[bytes, str] = field(default_factory=dict)  # the last that was said of each
    #: number, phase and topic of each step
    incidents: dict[str, list[tuple[int, str, str]]] = field(default_factory=lambda: defaultdict(list))
    gaps: list[dict] = field(default_factory=list)
    kinds: Counter = field(default_factory=Counter)


def take(found: Told, resource: str, record: Record, versioned: dict) -> None:
    revision = int(versioned["resourceVersion"])
    found.revisions[resource][revision] += 1
    if record.header("ce_resync") == "true":
        found.resync.add(revision)


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
            take(ret, "events", record, data["event"])
        elif kind.startswith("io.klaxon.object."):
            take(ret, "configmaps", record, data["object"])
        if record.header("ce_incident"):
            ret.incidents[record.header("ce_incident")].append(
                (int(record.header("ce_incidentseq")), record.header("ce_phase"), record.topic))
    return ret


def lost(truth: Truth, found: Told) -> dict[str, set[int]]:
    """Revisions that are nowhere, and in no gap that was recorded: what a gap hides is what the list after it has overtaken, so the next that
    is told of the object is marked `resync`."""
    return {resource: {revision for revision, key in revisions.items()
                       if revision not in found.revisions[resource] and not is_in_gap(truth, found, resource, revision, key)}
            for resource, revisions in truth.revisions.items()}


def is_in_gap(truth: Truth, found: Told, resource: str, revision: int, key: str) -> bool:
    recorded = any(gap["object"]["name"].startswith(WATCHES[resource]) and int(gap["after"]) < revision for gap in found.gaps)
    later = (r for r in truth.objects[key] if r > revision and r in found.revisions[resource])
    return recorded and min(later, default=0) in found.resync


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
