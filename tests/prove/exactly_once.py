"""Proof: every change that the API server accepted is on its topic exactly once, whatever is killed meanwhile.

A generator writes Events and node changes to a real kube-apiserver; the collector is killed with -9 at random instants, and now and
then the broker or the API server, which are started again. At the end every (uid, resourceVersion) that the API server accepted is
compared with what an independent read_committed reader finds.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from cluster import ApiServer, Kafka, read_committed
from cluster.objects import involved, legacy_event, new_event

CLUSTER = "proof"


class Generator(threading.Thread):
    """Creates and patches Events, and flips a node, at a rate, until told to stop; remembers what was accepted."""

    def __init__(self, api: ApiServer, rate: float, rng: random.Random):
        super().__init__(daemon=True)
        self.api, self.rate, self.rng = api, rate, rng
        self.accepted: list[tuple[str, str]] = []
        self.unknown: set[str] = set()  # names of Events whose answer was lost: they may exist or not
        self.flips = 0
        self.failures = 0
        self.ending = threading.Event()

    def run(self) -> None:
        client = self.api.new_client()
        last = None
        while not self.ending.is_set():
            self.ending.wait(1 / self.rate)
            try:
                if last is not None and self.rng.random() < 0.3:
                    last = client.patch_event(last, {"count": last.get("count", 1) + 1})
                elif self.rng.random() < 0.02:
                    client.set_ready("aks-proof", self.rng.choice(["True", "Unknown", "False"]))
                    self.flips += 1
                    continue
                else:
                    last = client.create_event(self._event())
                self.accepted.append((last["metadata"]["uid"], last["metadata"]["resourceVersion"]))
            except Exception:  # the API server is down: what it did not answer is not counted, but may be there
                self.failures += 1
                last = None
                client = self.api.new_client()
                self.ending.wait(0.2)

    def _event(self):
        about = involved("Pod", f"pod-{self.rng.randrange(50)}", "default")
        if self.rng.random() < 0.5:
            return legacy_event(about, "Pulled", "x" * self.rng.randrange(10, 600), "kubelet")
        return new_event(about, "Scheduled", "y" * self.rng.randrange(10, 600), "scheduler", "Binding")


class Supervisor:
    """Starts the collector again whenever it has ended, as Kubernetes would."""

    def __init__(self, directory: Path, kafka: Kafka, api: ApiServer):
        self.log = (directory / "collector.log").open("ab")
        config = directory / "klaxon.yaml"
        config.write_text(f'kafka: {{ bootstrap.servers: "{kafka.bootstrap}" }}\nclusters:\n'
                          f"  - {{ name: {CLUSTER}, kubeconfig: {api.kubeconfig}, canary: {{ every: 1s }}, heartbeat: 1s,\n"
                          f"      sources: {{ events: {{}}, nodes: {{}} }} }}\n")
        self.command = [Path(os.environ["KLAXON_BIN"]) / "klaxon-collector", "--config", config]
        self.process = self._start()
        self.own_ends = 0

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen(self.command, stderr=self.log, stdin=subprocess.DEVNULL)

    def look(self) -> None:
        if self.process.poll() is not None:
            self.own_ends += 1
            self.process = self._start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._start()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def published(kafka: Kafka) -> Counter:
    pairs: Counter = Counter()
    for record in read_committed(kafka.bootstrap, "klaxon.kubernetes", timeout=60):
        event = json.loads(record.value).get("event")
        if event:
            pairs[event["uid"], event["resourceVersion"]] += 1
    return pairs


def wait_until_watching(kafka: Kafka) -> None:
    deadline = time.monotonic() + 60
    wanted = {f"{CLUSTER}/events".encode(), f"{CLUSTER}/nodes".encode()}
    while not wanted <= {record.key for record in read_committed(kafka.bootstrap, "klaxon.state")}:
        assert time.monotonic() < deadline, "the collector does not begin to watch"


def disturb(supervisor: Supervisor, kafka: Kafka, api: ApiServer, number: int, broker: str) -> str:
    """The collector at random instants; every seventh time the broker, every ninth the API server."""
    if number % 7 == 6 and broker == "pause":
        kafka.pause()
        time.sleep(3)
        kafka.resume()
        return "broker (paused)"
    if number % 7 == 6:
        node = number // 7 % len(kafka.nodes) + 1
        kafka.kill(node)
        kafka.start(node)
        return f"broker {node}"
    if number % 9 == 8:
        api.kill()
        api.restart()
        return "API server"
    supervisor.kill()
    return "collector"


def run(args: argparse.Namespace, directory: Path) -> int:
    rng = random.Random(args.seed)
    with Kafka(directory / "kafka", args.brokers) as kafka, ApiServer(directory / "api") as api:
        for topic in ("kubernetes", "nodes"):
            kafka.create_topic(f"klaxon.{topic}", 4)
        kafka.create_topic("klaxon.state", 1, {"cleanup.policy": "compact"})
        api.new_client().create_node("aks-proof")
        supervisor = Supervisor(directory, kafka, api)
        wait_until_watching(kafka)  # history begins with the first list: only what comes after it is counted
        generator = Generator(api, args.rate, rng)
        generator.start()
        began = time.monotonic()
        for number in range(args.kills):
            time.sleep(rng.uniform(0.2, 3.0))  # the random instant is the point
            supervisor.look()
            what = disturb(supervisor, kafka, api, number, args.broker)
            print(f"{time.monotonic() - began:6.1f} s  kill {number + 1}/{args.kills}: {what}; {len(generator.accepted)} accepted",
                  flush=True)
        generator.ending.set()
        generator.join()
        accepted = set(generator.accepted)
        deadline = time.monotonic() + 90
        pairs = published(kafka)
        while accepted - set(pairs) and time.monotonic() < deadline:
            supervisor.look()
            pairs = published(kafka)
        supervisor.stop()
        ids = Counter(r.header("ce_id") for r in read_committed(kafka.bootstrap, ["klaxon.kubernetes", "klaxon.nodes"], timeout=60,
                                                                heartbeats=True))
        gaps = sum(1 for r in read_committed(kafka.bootstrap, "klaxon.kubernetes") if r.header("ce_type") == "io.klaxon.watch.gap")
    lost = len(accepted - set(pairs))
    repeated = sum(n - 1 for n in pairs.values()) + sum(n - 1 for n in ids.values())
    print(f"{generator.flips} node changes, {generator.failures} requests failed, {gaps} gaps, collector ended by itself {supervisor.own_ends} times")
    print(f"lost {lost}, repeated {repeated} of {len(accepted)} events, {args.kills} kills (seed {args.seed})")
    return 0 if lost == 0 and repeated == 0 and accepted else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev prove exactly-once", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=200, help="changes a second (default 200)")
    parser.add_argument("--broker", choices=("kill", "pause"), default="kill",
                        help="what happens to the broker. A single broker (Kafka 4.3.1) that dies between preparing a commit and writing its "
                             "markers may, after its restart, take the transaction for complete without them; what it held is then seen with "
                             "the next commit, twice: --brokers 3 (default kill)")
    parser.add_argument("--brokers", type=int, choices=(1, 3), default=1,
                        help="three: each topic on all of them, two must have a record, and they are killed in turn (default 1)")
    parser.add_argument("--keep", action="store_true", help="keep the logs, and say where they are")
    args = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="klaxon-proof-"))
    code = run(args, directory)
    if args.keep or code != 0:
        print(f"logs: {directory}")
    else:
        subprocess.run(["rm", "-rf", directory], check=False)
    return code


if __name__ == "__main__":
    sys.exit(main())
