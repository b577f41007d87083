"""What the stage plays is what an operator reads: each scenario through the real collector, both shapes of Events."""
from pathlib import Path

import pytest

from cluster import Kafka, read_committed
from cluster.process import wait_until
from conftest import Collector
from event_schema import assert_as_described
from stage import Kube, Scenario

LOST, BACK = "warning node.notready open", "info node.ready resolved"
STORIES = {
    "repair": [LOST, "warning node.repair.started update", "warning node.repair.ended update", "info node.repair.completed resolved"],
    "ladder": [LOST] + 3 * ["warning node.repair.started update", "warning node.repair.ended update"]
    + ["info node.repair.completed resolved"],
    "error": [LOST, "warning node.repair.started update", "warning node.repair.ended update", "critical node.repair.failed update",
              "warning node.repair.started update", "warning node.repair.ended update", "info node.repair.completed resolved"],
    "stuck": [LOST, "warning node.repair.started update", "warning node.repair.ended update", "critical node.repair.stuck update"],
    "flapping": [LOST, BACK, "warning node.notready update", BACK, "warning node.flapping update", "info node.ready "],
    "replaced": [LOST] + 3 * ["warning node.repair.started update", "warning node.repair.ended update"]
    + ["critical node.repair.failed update", "info node.removed resolved", "info node.added "],
}


@pytest.mark.parametrize("name", STORIES)
def test_a_scenario_is_told_as_one_incident(name: str, binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    shape = "legacy" if name in ("ladder", "error") else "new"
    with Kube() as kube:
        Scenario(kube, name, "aks-1").ensure_node("aks-1")
        collector = Collector(binaries, tmp_path, kafka, kube.write_kubeconfig(tmp_path / "kubeconfig"), f"scenario-{name}")
        collector.topics(kafka)
        collector.start()
        try:
            kube.wait_watching("events", "nodes")
            Scenario(kube, name, "aks-1", pace=0.06, shape=shape).run()

            def records() -> list:
                return read_committed(kafka.bootstrap, collector.topic("nodes"))

            wait_until(f"{len(STORIES[name])} records", lambda: len(records()) >= len(STORIES[name]), 20)
            told = sorted(records(), key=lambda record: (record.key, record.offset))  # in order for each node
            assert [f"{r.header('ce_severity')} {r.header('ce_type').removeprefix('io.klaxon.')} {r.header('ce_phase') or ''}"
                    for r in told] == STORIES[name]
            assert len({r.header("ce_incident") for r in told} - {None}) == 1
            assert collector.stop() == 0
            assert_as_described(kafka, collector.prefix)
        finally:
            collector.kill()
            print(collector.log.read_text())


def test_many_lost_at_once_are_one_alarm_also_for_a_collector_that_died_meanwhile(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    nodes = [f"aks-{i}" for i in range(12)]
    settings = "detectors: { node_repair: { alarm_after: 2s } },"
    with Kube() as kube:
        played = {name: Scenario(kube, "repair", name) for name in nodes}
        for name in nodes:
            played[name].ensure_node(name)
        collector = Collector(binaries, tmp_path, kafka, kube.write_kubeconfig(tmp_path / "kubeconfig"), "scenario-burst", settings)
        collector.topics(kafka)
        collector.start()

        def told() -> list[str]:
            records = read_committed(kafka.bootstrap, collector.topic("nodes"))
            return [f"{r.header('ce_severity')} {r.header('ce_type').removeprefix('io.klaxon.')} {r.header('ce_phase') or ''}" for r in records]
        try:
            kube.wait_watching("events", "nodes")
            wait_until("the nodes are known", lambda: sum(b"/node_repair/" in r.key for r in read_committed(
                kafka.bootstrap, collector.topic("state"))) >= len(nodes), 30)
            for name in nodes[:8]:
                played[name].ready("Unknown", "NodeStatusUnknown")
            collector.kill()  # whether or not it saw them: what it had not committed it reads again
            collector.start()
            wait_until("the burst and its nodes", lambda: len(told()) >= 9, 30)
            assert sorted(told()) == sorted(["critical node.burst open"] + 8 * ["info node.notready "])
            for name in nodes[:8]:
                played[name].ready("True")
            wait_until("its end", lambda: "info node.burst.over resolved" in told(), 30)
            assert told().count("info node.ready ") == 8 and not [one for one in told() if one.startswith("warning")]
            assert collector.stop() == 0
        finally:
            collector.kill()
            print(collector.log.read_text())
