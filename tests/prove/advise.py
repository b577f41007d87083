"""Proof: the HPA that `klaxon advise` plays is the real one, and its advice holds.

Four workloads (ramp, step, spike, leak) are scaled by the real HPA controller, first with today's bounds, then with those that
`klaxon advise hpa` made of the collector's records. It is done as deploy/autoscaling/load-test.md says: the commands of that page are run, the load
is ours. For each: the sequence of replica counts that the simulator makes of the recorded load against what the controller did, and the containers
that passed their memory limit.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cluster import Kafka
from cluster.controllers import kubectl
from cluster.hpa_load import GI, Load, Loaded
from cluster.hpa_world import HPA, NAMESPACE, HpaWorld
from support.folder import in_folder

CLUSTER = "proof"
PAGE = Path(__file__).resolve().parents[2] / "deploy" / "autoscaling" / "load-test.md"
BINARIES = Path(os.environ["KLAXON_BIN"])
SYNC_SECONDS = 5  # of the tests' kube-controller-manager
TOLERANCE = SYNC_SECONDS + 1  # lastScaleTime has whole seconds
PLAY_SECONDS, REST_SECONDS = 225, 25
AGREEMENT_LEAST, FORECAST_LEAST = 0.95, 0.75
TODAY = {"ramp": (2, 4), NAMESPACE: (2, 4), "spike": (2, 4), "leak": (2, 6)}  # the managed one plays the step


def ramp(second: float) -> float:
    """6Gi to 45Gi in 100 s, and back in 20."""
    up, down = (second - 10) / 100, (second - 140) / 20
    return GI * (6 + 39 * (min(1, max(0, up)) - min(1, max(0, down))))


def step(second: float) -> float:
    return GI * (26 if 20 <= second < 120 else 6)


def spike(second: float) -> float:
    return GI * (38 if 20 <= second < 80 else 6)


LOADS = {"ramp": Load(ramp), NAMESPACE: Load(step), "spike": Load(spike), "leak": Load(lambda _: 3 * GI, leak=0.05 * GI, limit=12 * GI)}


class Collector:
    def __init__(self, directory: Path, kafka: Kafka, world: HpaWorld):
        self.config = directory / "klaxon.yaml"
        self.config.write_text(
            f'kafka: {{ bootstrap.servers: "{kafka.bootstrap}" }}\nclusters:\n  - name: {CLUSTER}\n    kubeconfig: {world.api.kubeconfig}\n'
            "    sources: { hpa: {}, pods: {}, podmetrics: { every: 5s } }\n    detectors: { autoscaling: {} }\n")
        log = (directory / "collector.log").open("ab")
        self.process = subprocess.Popen([BINARIES / "klaxon-collector", "--config", self.config], stderr=log, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Procedure:
    """The page for operators, walked through for one workload in a folder of its own. What a step sets, the next ones have."""

    def __init__(self, directory: Path, workload: Loaded, config: Path):
        directory.mkdir(parents=True)
        api = workload.world.api
        self.directory = directory
        self.environment = os.environ | {
            "KUBECONFIG": str(api.kubeconfig), "KLAXON_CONFIG": str(config), "PATH": f"{BINARIES.resolve()}:{api.binaries}:{os.environ['PATH']}",
            "LC_ALL": "C.UTF-8", "NAMESPACE": workload.namespace, "HPA": HPA, "CLUSTER": CLUSTER, "SYNC": f"{SYNC_SECONDS}s"}

    def step(self, number: int) -> None:
        section = PAGE.read_text().split(f"\n## {number}. ", 1)[1].split("\n## ", 1)[0]
        blocks = re.findall(r"^```sh\n(.*?)^```$", section, re.S | re.M)
        assert blocks, f"step {number} of {PAGE} has no commands"
        script = "set -a; touch state; . ./state\n" + "\n".join(blocks) + "\n(set | grep -E '^(SINCE|UNTIL|MIN|MAX)=') > state\n"
        done = subprocess.run(["bash", "-euc", script], cwd=self.directory, env=self.environment, capture_output=True, text=True, timeout=120,
                              check=False)
        assert done.returncode == 0, f"step {number}: {done.stderr}"
        (self.directory / f"step{number}.txt").write_text(done.stdout)

    def advice(self) -> dict:
        return json.loads((self.directory / "advice.json").read_text())


@dataclass
class Played:
    """One workload in one phase: what it did, and what is made of its record."""
    workload: Loaded
    kills: int
    procedure: Procedure
    start: float
    advice: dict

    @property
    def real(self) -> list[tuple[float, int]]:
        changes = self.advice["recorded"]["changes"]
        first = changes[0]["from"] if changes else self.simulated[0][1]
        return [(0.0, first)] + [(seconds(change["time"]), change["to"]) for change in changes]

    @property
    def simulated(self) -> list[tuple[float, int]]:
        return [(seconds(point["time"]), point["replicas"]) for point in self.advice["now"]["sequence"]]


def seconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def at(sequence: list[tuple[float, int]], when: float) -> int:
    count = sequence[0][1]
    for time_of, replicas in sequence:
        if time_of > when:
            break
        count = replicas
    return count


def same_share(real: list[tuple[float, int]], simulated: list[tuple[float, int]], first: int, last: int) -> float:
    """The share of the seconds in which the simulated replicas are, within the tolerance, those that there really were."""
    shifts = range(-TOLERANCE, TOLERANCE + 1)
    same = sum(at(real, second) in {at(simulated, second + shift) for shift in shifts} for second in range(first, last))
    return same / (last - first)


def agreement(played: Played) -> float:
    """Of the simulator, with the load of a phase, with what was in that phase."""
    recorded = played.advice["recorded"]
    return same_share(played.real, played.simulated, int(seconds(recorded["since"])) + 1, int(seconds(recorded["until"])))


def forecast(before: Played, after: Played) -> float:
    """Of what was said with the load of the first phase and the advised bounds, with what was then in the second."""
    said = [(seconds(point["time"]) - before.start, point["replicas"]) for point in before.advice["proposed"]["sequence"]]
    was = [(0.0, after.real[0][1])] + [(moment - after.start, replicas) for moment, replicas in after.real[1:]]
    print(f"  {after.workload.namespace:11} forecast {words(said, 0)}\n              was      {words(was, 0)}", flush=True)
    return same_share(was, said, int(said[0][0]) + TOLERANCE, PLAY_SECONDS)


def words(sequence: list[tuple[float, int]], start: float) -> str:
    return " ".join(f"{max(0, moment - start):.0f}s:{replicas}" for moment, replicas in sequence)


def play(workloads: list[Loaded], collector: Collector, directory: Path, what: str) -> list[Played]:
    print(f"{what}: {PLAY_SECONDS} s of ramp, step, spike and leak", flush=True)
    procedures = [Procedure(directory / what / workload.namespace, workload, collector.config) for workload in workloads]
    for procedure in procedures:
        procedure.step(1)
    start = time.time()
    for workload in workloads:
        workload.play()
    time.sleep(PLAY_SECONDS)  # it is the length of the load
    played = []
    for workload, procedure in zip(workloads, procedures, strict=True):
        procedure.step(3)
        played.append(Played(workload, workload.kills, procedure, start, procedure.advice()))
    for workload in workloads:
        workload.idle()
    for one in played:
        show(one)
    return played


def show(one: Played) -> None:
    now = one.advice["now"]
    print(f"  {one.workload.namespace:11} bounds {now['minReplicas']}-{now['maxReplicas']}: {one.kills} OOM kills "
          f"(recorded {one.advice['recorded']['oomKills']}, predicted {now['result']['oomKills']}), agreement {agreement(one) * 100:.1f} %")
    print(f"      real      {words(one.real, one.start)}\n      simulated {words(one.simulated, one.start)}", flush=True)


def bounds(workload: Loaded) -> tuple[int, int]:
    spec = workload.hpa()["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def apply(played: Played) -> None:
    print(f"  {played.workload.namespace:11} {played.advice['recommendation'][0]}", flush=True)
    played.procedure.step(4)
    wanted = played.advice["proposed"]
    assert bounds(played.workload) == (wanted["minReplicas"], wanted["maxReplicas"])


def apply_manifest(played: Played) -> None:
    """The other form of it: server-side, it owns the bounds and nothing else."""
    api, workload = played.workload.world.api, played.workload
    path = played.procedure.directory / "hpa.yaml"
    path.write_text(played.advice["manifest"])
    before = workload.hpa()["spec"]
    kubectl(api, "apply", "--server-side", "--force-conflicts", "--field-manager=advice", "-f", str(path))
    hpa = workload.hpa()
    owned = [entry["fieldsV1"]["f:spec"] for entry in hpa["metadata"]["managedFields"] if entry["manager"] == "advice"]
    assert hpa["spec"] == before and owned == [{"f:maxReplicas": {}, "f:minReplicas": {}}], owned


def settled(workload: Loaded) -> bool:
    hpa = workload.hpa()
    return hpa["status"].get("currentReplicas") == hpa["status"].get("desiredReplicas") == hpa["spec"]["minReplicas"]


def wait_settled(workloads: list[Loaded], longest: float) -> None:
    deadline = time.monotonic() + longest
    while not all(settled(workload) for workload in workloads):
        assert time.monotonic() < deadline, "the workloads do not come to rest"
        time.sleep(1)


def verdict(today: list[Played], advised: list[Played]) -> int:
    wrong = []
    for one in today + advised:
        if agreement(one) < AGREEMENT_LEAST:
            wrong.append(f"{one.workload.namespace}: the simulator and the controller agree in {agreement(one) * 100:.1f} % of the time")
    for before, after in zip(today, advised, strict=True):
        name, promised = before.workload.namespace, before.advice["proposed"]["result"]["oomKills"]
        if promised == 0 and after.kills > 0:
            wrong.append(f"{name}: {after.kills} OOM kills with the advised bounds, which promised none")
        if promised > 0 and not before.advice["boundsCannot"]:
            wrong.append(f"{name}: OOM kills are left and nobody says so")
    leak = today[list(TODAY).index("leak")].advice
    if not leak["noRelief"]:
        wrong.append("leak: it is not told from a load that is shared")
    if not any(one.kills > 0 for one in today):
        wrong.append("no container passed its limit with today's bounds: the loads prove nothing")
    forecasts = [forecast(before, after) for before, after in zip(today, advised, strict=True)]
    if min(forecasts) < FORECAST_LEAST:
        wrong.append(f"a forecast holds for {min(forecasts) * 100:.1f} % of the time")
    kills, left = sum(one.kills for one in today), sum(one.kills for one in advised if not one.advice["boundsCannot"])
    shares = [agreement(one) for one in today + advised]
    print(f"agreement {min(shares) * 100:.1f} to {max(shares) * 100:.1f} % within one sync period, forecasts of the second "
          f"phase {min(forecasts) * 100:.1f} to {max(forecasts) * 100:.1f} %; OOM kills {kills} with today's bounds, "
          f"{left} with the advised ones where bounds help; wrong: {'; '.join(wrong) or 'none'}")
    return 1 if wrong else 0


def run(directory: Path) -> int:
    with Kafka(directory / "kafka") as kafka, HpaWorld(directory / "api") as world:
        for topic in ("kubernetes", "scaling", "metrics"):
            kafka.create_topic(f"klaxon.{topic}", 4)
        kafka.create_topic("klaxon.state", 1, {"cleanup.policy": "compact"})
        world.start()
        workloads = [Loaded(world, name, LOADS[name]) for name in TODAY]
        for workload in workloads:
            workload.create(*TODAY[workload.namespace])
            workload.start()
        collector = Collector(directory, kafka, world)
        try:
            wait_settled(workloads, 120)
            time.sleep(REST_SECONDS)  # samples of all pods, and what the controller remembers of the start is forgotten
            today = play(workloads, collector, directory, "today")
            for one in today:
                apply(one)
            apply_manifest(next(one for one in today if one.workload.namespace == NAMESPACE))
            wait_settled(workloads, 240)
            time.sleep(REST_SECONDS)
            advised = play(workloads, collector, directory, "advised")
            for one in today:
                one.procedure.step(6)
                assert bounds(one.workload) == TODAY[one.workload.namespace]
        finally:
            collector.stop()
            for workload in workloads:
                workload.stop()
        return verdict(today, advised)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev prove advise", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the logs and reports, and say where they are")
    args = parser.parse_args()
    return in_folder("advise", args.keep, lambda directory: run(directory) == 0)


if __name__ == "__main__":
    sys.exit(main())
