"""Proof: every change that the API server accepted is on its topic exactly once, whatever goes wrong meanwhile.

Writers change Events, Nodes, Pods, HPAs, Applications, Rollouts and ConfigMaps of a real kube-apiserver; two collectors with
a Lease stream them to a real Kafka. At random instants a collector is killed, frozen or stopped, a broker too, the API server, etcd; and
etcd is compacted while no collector is there. At the end etcd's own history is compared with what an independent read_committed reader
finds: each revision of an Event once, each id once, each incident numbered without a hole, and nothing missing but what a
recorded gap covers.
"""
import argparse
import os
import random
import sys
import time
from pathlib import Path

from cluster import ApiServer, Kafka, read_committed
from cluster.argocd import APPLICATION, ROLLOUT, install
from support.disturbances import Collectors, Disturbances
from support.folder import in_folder
from support.truth import Told, Truth, broken_incidents, lost, not_ready, repeated, told, undue_gaps
from support.writers import Writers

CLUSTER = "proof"
SOURCES = ["events", "nodes", "pods", "hpa", "applications", "rollouts"]
GENERIC = "{ version: v1, resource: configmaps, namespaces: [default], fields: [data.n] }"
CONFIG = """\
kafka: {{ bootstrap.servers: "{kafka}" }}
clusters:
  - name: {cluster}
    kubeconfig: {kubeconfig}
    canary: {{ every: 5s }}
    heartbeat: 5s
    lease: {{ duration: 3s, renew_deadline: 2s, retry: 500ms }}
    sources: {{ {sources} }}
"""
SETTLE_SECONDS = 120


def wait_until_watching(kafka: Kafka) -> None:
    """History begins with the first list: only what comes after it is counted."""
    deadline = time.monotonic() + 60
    wanted = {f"{CLUSTER}/{watch}".encode() for watch in [*SOURCES, "generic:configmaps@default"]}
    while not wanted <= {record.key for record in read_committed(kafka.bootstrap, "klaxon.state")}:
        assert time.monotonic() < deadline, "the collector does not begin to watch"


def make_topics(kafka: Kafka) -> None:
    for topic in ("kubernetes", "nodes", "scaling", "gitops"):
        kafka.create_topic(f"klaxon.{topic}", 4)
    kafka.create_topic("klaxon.state", 1, {"cleanup.policy": "compact"})


def disturb(args: argparse.Namespace, disturbances: Disturbances, writers: Writers) -> None:
    began = time.monotonic()
    for number in range(1, args.kills + 1):
        time.sleep(disturbances.rng.uniform(0.2, 3.0))  # the random instant is the point
        what = disturbances.next()
        print(f"{time.monotonic() - began:6.1f} s  {number}/{args.kills}: {what}; {writers.written} changes", flush=True)


def settle(kafka: Kafka, collectors: Collectors, truth: Truth) -> Told:
    """Until everything is there that is to come."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        collectors.look()
        found = told(kafka)
        if (not any(lost(truth, found).values()) and not not_ready(found)) or time.monotonic() > deadline:
            return found
        time.sleep(1)


def verdict(args: argparse.Namespace, writers: Writers, collectors: Collectors, truth: Truth, found: Told) -> int:
    missing, again, broken, undue = lost(truth, found), repeated(found), broken_incidents(found), undue_gaps(truth, found)
    changes = sum(len(revisions) for revisions in truth.revisions.values())
    print(f"{sum(found.kinds.values())} records: " + ", ".join(f"{n} {kind}" for kind, n in sorted(found.kinds.items())))
    print(f"{len(found.incidents)} incidents, {len(found.gaps)} gaps, {len(truth.compactions)} compactions, "
          f"{writers.failures} requests failed, collectors ended by themselves {collectors.own_ends} times")
    for resource, revisions in missing.items():
        if revisions:
            print(f"lost of {resource}: {sorted(revisions)[:20]}{' …' if len(revisions) > 20 else ''}")
    if any(missing.values()):
        for gap in found.gaps:
            print(f"gap of {gap['object']['name']} after {gap['after']} ({gap['why']}), {gap['since']} to {gap['until']}")
        print(f"compactions: {truth.compactions}")
    for words, wrong in (("repeated", again), ("incident with a hole", broken), ("gap without a compaction", undue),
                         ("said to be not Ready", not_ready(found))):
        for one in wrong:
            print(f"{words}: {one}")
    n_lost, n_repeated = sum(len(m) for m in missing.values()), len(again)
    print(f"lost {n_lost}, repeated {n_repeated} of {changes} changes, {args.kills} disturbances (seed {args.seed})")
    good = n_lost == n_repeated == 0 and not broken and not undue and not not_ready(found) and changes > 0
    return 0 if good else 1


def run(args: argparse.Namespace, directory: Path) -> int:
    rng = random.Random(args.seed)
    with Kafka(directory / "kafka", args.brokers) as kafka, ApiServer(directory / "api") as api:
        make_topics(kafka)
        client = api.new_client()
        install(client, APPLICATION)
        install(client, ROLLOUT)
        writers = Writers(api, args.rate, rng)
        config = CONFIG.format(kafka=kafka.bootstrap, cluster=CLUSTER, kubeconfig=api.kubeconfig,
                               sources=", ".join([f"{source}: {{}}" for source in SOURCES] + [f"generic: [ {GENERIC} ]"]))
        collectors = Collectors(Path(os.environ["KLAXON_BIN"]) / "klaxon-collector", directory, config, args.collectors)
        try:
            wait_until_watching(kafka)
            truth = Truth(api)
            truth.start()
            writers.start()
            disturb(args, Disturbances(collectors, kafka, api, truth, rng, args.broker), writers)
            writers.stop()
            writers.settle()
            truth.collect()
            found = settle(kafka, collectors, truth)
            truth.ending.set()
        finally:
            collectors.kill()
        return verdict(args, writers, collectors, truth, found)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev prove exactly-once", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40, help="disturbances (default 40)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=200, help="changes a second (default 200)")
    parser.add_argument("--collectors", type=int, default=2, help="(default 2)")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=3,
                        help="three: each topic on all of them, two must have a record (default 3)")
    parser.add_argument("--broker", choices=("kill", "pause"), default="kill",
                        help="what happens to a broker. A single one (Kafka 4.3.1) that dies between preparing a commit and writing its "
                             "markers may, after its restart, take the transaction for complete without them; what it held is then seen with "
                             "the next commit, twice: pause it then (default kill)")
    parser.add_argument("--keep", action="store_true", help="keep the logs, and say where they are")
    args = parser.parse_args()
    return in_folder("exactly-once", args.keep, lambda directory: run(args, directory) == 0)


if __name__ == "__main__":
    sys.exit(main())
