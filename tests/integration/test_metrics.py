"""docs/operations.md names each metric of a collector, and none that there is not."""
import re
from pathlib import Path

import pytest
import requests

from cluster import Kafka
from cluster.process import wait_until
from conftest import ROOT, Collector
from stage import Kube

NAME = re.compile(r"`((?:klaxon|process)_[a-z_]+)(?:\{[^`]*)?`")
SOURCES = ("events: {}, nodes: {}, generic: [ { group: apps, version: v1, resource: deployments, fields: [spec.replicas] } ], "
           "podmetrics: {}")
TOKENS = {"klaxon_token_expires_timestamp_seconds", "klaxon_token_requests_total"}  # of a process that asks for tokens


def described(end: str = "\nWorth an alarm") -> set[str]:
    text = (ROOT / "docs/operations.md").read_text()
    return set(NAME.findall(text[text.index("\n## Metrics\n"):text.index(end)]))


def registered() -> set[str]:
    """In the sources: the first argument of klx_counter and its kin."""
    files = [path for floor in ("collector", "lib", "sinks") for path in (ROOT / floor).rglob("*.c")]
    return {name for path in files for name in re.findall(r'klx_(?:counter|gauge|histogram)\w*\(\s*"(\w+)"', path.read_text())}


@pytest.fixture
def shown(binaries: Path, tmp_path: Path, kafka: Kafka) -> set[str]:
    with Kube() as kube:
        collector = Collector(binaries, tmp_path, kafka, kube.write_kubeconfig(tmp_path / "kubeconfig"), "metrics", sources=SOURCES)
        collector.topics(kafka)
        for topic in ("metrics", "scaling"):
            kafka.create_topic(collector.topic(topic), 1)
        collector.start()
        try:
            kube.wait_watching("events", "nodes")
            wait_until("a transaction", lambda: "klaxon_commit_seconds_count" in requests.get(f"{collector.url}/metrics", timeout=5).text)
            text = requests.get(f"{collector.url}/metrics", timeout=5).text
            assert collector.stop() == 0
        finally:
            collector.kill()
            print(collector.log.read_text())
    return set(re.findall(r"^# TYPE (\w+)", text, re.M))


def test_what_a_collector_shows_is_described_and_the_other_way_round(shown: set[str]) -> None:
    assert shown - described() == set(), "not in docs/operations.md"
    assert described("\nSink, by") - shown - TOKENS == set(), "only in docs/operations.md"


def test_what_others_show_or_only_at_times_is_described_too() -> None:
    assert registered() - described() == set()
    assert TOKENS <= registered()
