"""klaxon advise hpa: from records on a real Kafka to a report, a picture and what is applied."""
from __future__ import annotations

import json
import math
import time
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml
from confluent_kafka import Producer

from cli_world import Klaxon
from cluster import Kafka

GI = 1 << 30
STEP, HOURS = 60, 50
OBJECT = {
    "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"minReplicas": 2, "maxReplicas": 4, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
             "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}},
                         {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "5Gi"}}}],
             "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600, "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}}},
}


class Recorder:
    """Writes what the collector would."""

    def __init__(self, bootstrap: str, prefix: str, namespace: str, hpa: str, workload: str, container: str, cluster: str = "prod-weu"):
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "log_level": 0, "queue.buffering.max.messages": 1000000})
        self.prefix, self.namespace, self.hpa, self.workload, self.container = prefix, namespace, hpa, workload, container
        self.cluster = cluster

    def put(self, topic: str, kind: str, name: str, at: float, data: dict) -> None:
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        headers = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": f"/clusters/{self.cluster}/hpa", "type": f"io.klaxon.{kind}",
                   "time": text, "cluster": self.cluster, "severity": "info"}
        self.producer.produce(self.prefix + topic, json.dumps(data), f"{self.cluster}/{self.namespace}/{name}", timestamp=int(at * 1000),
                              headers=[(f"ce_{k}", v) for k, v in headers.items()] + [("content-type", "application/json")])
        self.producer.poll(0)

    def about(self, low: int, high: int, at: float, kind: str = "hpa.bounds", **more) -> None:
        metric = {"type": "ContainerResource", "name": "memory", "container": self.container, "target": "5Gi"}
        self.put("scaling", kind, self.hpa, at, {
            "summary": "s", "object": {"kind": "HorizontalPodAutoscaler", "name": self.hpa, "namespace": self.namespace}, "reason": "r", "labels": {},
            "hpa": {"target": {"kind": "Deployment", "name": self.workload}, "min": low, "max": high, "metrics": [metric]}} | more)

    def sample(self, pod: str, at: float, memory: float) -> None:
        text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        self.put("metrics", "pod.sample", pod, at, {
            "summary": "s", "object": {"kind": "Pod", "name": pod, "namespace": self.namespace}, "reason": "Sampled", "labels": {},
            "sample": {"time": text, "containers": [{"name": self.container, "memoryBytes": int(memory), "memoryLimit": "14Gi",
                                                     "memoryRequest": "500Mi"}]},
            "workload": {"kind": "Deployment", "name": self.workload}})

    def waves(self, pods: int, peak: float) -> None:
        """Half a GiB to `peak` a pod, once in four hours, until now."""
        start = int(time.time()) - HOURS * 3600
        for at in range(start, start + HOURS * 3600, STEP):
            memory = GI / 2 + (peak - GI / 2) * (0.5 - 0.5 * math.cos((at - start) / 7200 * math.pi))
            for pod in range(pods):
                self.sample(f"{self.workload}-5d8f-{pod}", at, memory)

    def flush(self) -> None:
        assert self.producer.flush(30) == 0


@pytest.fixture
def klaxon(binaries: Path, tmp_path: Path, kafka: Kafka) -> Klaxon:
    made = Klaxon(binaries, tmp_path, kafka.bootstrap, f"t{uuid.uuid4().hex[:8]}.")
    assert made.run("topics", "apply").returncode == 0
    return made


@pytest.fixture
def managed(klaxon: Klaxon) -> Klaxon:
    """ama-metrics with four pods that meet their limit at each peak, and a maximum of four."""
    recorder = Recorder(klaxon.bootstrap, klaxon.prefix, "kube-system", "ama-metrics-hpa", "ama-metrics", "prometheus-collector")
    recorder.about(2, 4, time.time() - 90 * 86400)  # long before, and nothing since
    recorder.waves(4, 14.5 * GI)
    recorder.flush()
    return klaxon


def advise(klaxon: Klaxon, *args: str | Path) -> str:
    done = klaxon.run("advise", "hpa", *args, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_bounds_of_the_add_on(managed: Klaxon, tmp_path: Path) -> None:
    found = json.loads(advise(managed, "ama-metrics-hpa", "-o", "json", "--svg", tmp_path / "hpa.svg"))
    assert (found["kind"], found["hpa"]["managed"], found["hpa"]["cluster"]) == ("HpaAdvice", True, "prod-weu")
    assert found["recorded"]["pods"] == 4 and found["recorded"]["samples"] == 4 * HOURS * 60
    now, proposed = found["now"], found["proposed"]
    assert (now["minReplicas"], now["maxReplicas"], now["target"]) == (2, 4, "5Gi")
    assert now["result"]["oomMinutes"] > 60 and now["result"]["oomKills"] == 13 and now["result"]["atMaxMinutes"] > 600
    assert proposed["result"]["oomMinutes"] == 0 and proposed["grown"]["atMaxMinutes"] == 0
    assert 10 <= proposed["maxReplicas"] <= 30 and proposed["target"] == "5Gi"
    assert any("neither can be set" in line for line in found["cannotChange"])
    assert found["confidence"]["level"] == "medium"
    picture = ET.parse(tmp_path / "hpa.svg").getroot()
    assert picture.tag.endswith("svg") and len(picture.findall("{http://www.w3.org/2000/svg}path")) >= 8


def test_what_is_applied_to_the_add_on(managed: Klaxon) -> None:
    patch = advise(managed, "ama-metrics-hpa", "-o", "patch")
    assert patch.startswith("kubectl patch hpa ama-metrics-hpa -n kube-system --type merge --patch '{\"spec\":{\"minReplicas\":2,")
    manifest = yaml.safe_load(advise(managed, "ama-metrics-hpa", "-o", "manifest"))
    assert set(manifest["spec"]) == {"minReplicas", "maxReplicas"}  # nothing else is ours
    values = yaml.safe_load(advise(managed, "ama-metrics-hpa", "-o", "values"))
    assert values["autoscaling"]["maxReplicas"] == manifest["spec"]["maxReplicas"]


def test_a_report_for_a_terminal(managed: Klaxon) -> None:
    text = advise(managed, "ama-metrics-hpa")
    for wanted in ("HPA kube-system/ama-metrics-hpa in prod-weu", "5Gi (cannot be changed)", "Recommendation", "Set maxReplicas to",
                   "Confidence: medium", "What cannot be changed", "kubectl patch hpa", "replica-hours", "█"):
        assert wanted in text
    assert "\x1b" not in text
    plain = managed.run("advise", "hpa", "ama-metrics-hpa", LC_ALL="C", timeout=60).stdout
    assert plain.isascii() and "#" in plain
    assert "\x1b[1m" in advise(managed, "ama-metrics-hpa", "--color", "always")


def test_an_hpa_from_its_object(klaxon: Klaxon, tmp_path: Path) -> None:
    """No event tells of it; its behavior and its second metric are in the object."""
    recorder = Recorder(klaxon.bootstrap, klaxon.prefix, "shop", "web", "web", "app")
    recorder.waves(4, 14.5 * GI)
    recorder.flush()
    done = klaxon.run("advise", "hpa", "web")
    assert done.returncode == 1 and "--hpa FILE" in done.stderr
    file = tmp_path / "web.json"
    file.write_text(json.dumps(OBJECT))
    done = klaxon.run("advise", "hpa", "web", "--hpa", file)
    assert done.returncode == 1 and "--cluster" in done.stderr
    found = json.loads(advise(klaxon, "web", "--hpa", file, "--cluster", "prod-weu", "-o", "json"))
    assert (found["hpa"]["behaviorKnown"], found["hpa"]["notPlayed"], found["cannotChange"]) == (True, "cpu", [])
    assert found["proposed"]["result"]["oomMinutes"] == 0
    manifest = yaml.safe_load(found["manifest"])
    assert manifest["spec"]["behavior"]["scaleDown"] == {"stabilizationWindowSeconds": 600, "selectPolicy": "Max",
                                                         "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}]}
    assert manifest["spec"]["scaleTargetRef"] == OBJECT["spec"]["scaleTargetRef"]
    if found["proposed"]["target"] != "5Gi":
        assert "/spec/metrics/1/resource/target/averageValue" in found["patch"]


def test_without_topics(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    done = Klaxon(binaries, tmp_path, kafka.bootstrap, f"t{uuid.uuid4().hex[:8]}.").run("advise", "hpa", "web")
    assert (done.returncode, done.stdout) == (1, "")
    assert "run `klaxon topics apply`" in done.stderr


def test_two_clusters_have_one(managed: Klaxon) -> None:
    other = Recorder(managed.bootstrap, managed.prefix, "kube-system", "ama-metrics-hpa", "ama-metrics", "prometheus-collector", "prod-neu")
    other.about(2, 4, time.time() - 3600)
    other.flush()
    done = managed.run("advise", "hpa", "ama-metrics-hpa")
    assert done.returncode == 1 and "in 2 places" in done.stderr and "prod-neu/kube-system" in done.stderr and "prod-weu/kube-system" in done.stderr
    found = json.loads(advise(managed, "ama-metrics-hpa", "--cluster", "prod-weu", "-o", "json"))
    assert found["recorded"]["pods"] == 4
    done = managed.run("advise", "hpa", "ama-metrics-hpa", "--cluster", "prod-neu")
    assert done.returncode == 1 and "there are 0 samples of pods" in done.stderr


@pytest.mark.parametrize(("args", "word"), [
    (["hpa"], "NAME is missing"), (["hpa", "a b"], "no name of an HPA"), (["hpa", "x", "--since", "yes"], "--since"),
    (["hpa", "x", "--since", "1h", "--until", "2h"], "--until is not after --since"), (["hpa", "x", "--limit", "much"], "--limit"),
    (["hpa", "x", "--growth", "-1"], "--growth"), (["hpa", "x", "--sync-period", "0"], "--sync-period"), (["pods"], "there is no command"),
])
def test_what_is_not_understood(klaxon: Klaxon, args: list[str], word: str) -> None:
    done = klaxon.run("advise", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert word in done.stderr


@pytest.mark.parametrize(("change", "word"), [
    (lambda o: o | {"kind": "Pod"}, "no HorizontalPodAutoscaler"),
    (lambda o: o | {"metadata": {"name": "other", "namespace": "shop"}}, 'it is the HPA "other"'),
    (lambda o: o | {"spec": o["spec"] | {"maxReplicas": 1}}, "minReplicas and maxReplicas"),
    (lambda o: o | {"spec": o["spec"] | {"metrics": o["spec"]["metrics"][:1]}}, "no memory metric"),
    (lambda o: o | {"spec": o["spec"] | {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 0}]}}}}, "spec.behavior.scaleUp"),
    (lambda o: [], "no HorizontalPodAutoscaler"),
])
def test_an_object_that_is_none(klaxon: Klaxon, tmp_path: Path, change, word: str) -> None:
    file = tmp_path / "hpa.json"
    file.write_text(json.dumps(change(json.loads(json.dumps(OBJECT)))))
    done = klaxon.run("advise", "hpa", "web", "--hpa", file, "--cluster", "c")
    assert (done.returncode, done.stdout) == (1, "")
    assert word in done.stderr
