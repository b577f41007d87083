"""Several collectors with one cluster, of which one works; and several clusters in one collector, which come and go."""
import json
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cluster import ApiServer, Kafka, read_committed
from cluster.client import MERGE
from cluster.objects import involved, new_event
from cluster.process import wait_until
from conftest import Collector

SOON = 30.0
DEFAULTS = "lease: {},"
SHORT = "lease: { duration: 3s, renew_deadline: 2s, retry: 500ms },"


class Pair:
    """Two collectors with the same cluster and topics."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, api: ApiServer, lease: str):
        self.kafka, self.api = kafka, api
        self.name = f"pair-{uuid.uuid4().hex[:8]}"
        self.lease = f"/apis/coordination.k8s.io/v1/namespaces/default/leases/klaxon-collector-{self.name}"
        self.expected: list[str] = []
        self.both = []
        for side in ("a", "b"):
            (directory / side).mkdir()
            self.both.append(Collector(binaries, directory / side, kafka, api.kubeconfig, self.name, cluster=lease))
        self.both[0].topics(kafka)

    def start(self) -> Collector:
        """The first leads, the second stands by."""
        for one in self.both:
            one.start()
            wait_until("it says what it does", lambda one=one: leads(one) or "stands by" in readiness(one), SOON)
        assert leads(self.both[0]) and not leads(self.both[1])
        return self.both[0]

    def event(self) -> None:
        name = f"{self.name}-{len(self.expected)}"
        self.api.client.create_event(new_event(involved("Pod", name, "default"), "Created", "m", "test", "Create"))
        self.expected.append(name)

    def seen(self) -> Counter:
        records = read_committed(self.kafka.bootstrap, self.both[0].topic("kubernetes"))
        assert "io.klaxon.watch.gap" not in {r.header("ce_type") for r in records}
        return Counter(json.loads(r.value)["object"]["name"] for r in records)

    def all_once(self) -> None:
        wait_until("all events are on the topic", lambda: not set(self.expected) - set(self.seen()), SOON)
        seen = self.seen()
        assert [seen[one] for one in self.expected] == [1] * len(self.expected)


def readiness(collector: Collector) -> str:
    try:
        return requests.get(f"{collector.url}/readyz", timeout=5).text
    except requests.ConnectionError:
        return ""


def leads(collector: Collector) -> bool:
    watches = [line for line in readiness(collector).splitlines() if line.startswith("watch ")]
    return bool(watches) and all(line.endswith(": connected") for line in watches)


def seconds_until_leads(collector: Collector) -> float:
    began = time.monotonic()
    wait_until("it leads", lambda: leads(collector), SOON)
    return time.monotonic() - began


@pytest.fixture
def pair(binaries: Path, tmp_path: Path, kafka: Kafka, api: ApiServer, request: pytest.FixtureRequest) -> Iterator[Pair]:
    made = Pair(binaries, tmp_path, kafka, api, getattr(request, "param", SHORT))
    yield made
    for one in made.both:
        one.kill()
        print(one.log.read_text() if one.log.exists() else "no log")


@pytest.mark.parametrize("pair", [DEFAULTS], indirect=True)
def test_a_killed_leader_is_replaced_when_its_lease_has_run_out(pair: Pair) -> None:
    leader = pair.start()
    pair.event()
    pair.all_once()
    leader.kill()
    pair.event()
    seconds = seconds_until_leads(pair.both[1])
    print(f"replaced after {seconds:.1f} s (aim on a quiet machine: 17)")
    assert 12 < seconds < 25
    pair.event()
    pair.all_once()


@pytest.mark.parametrize("pair", [DEFAULTS], indirect=True)
def test_a_leader_that_stops_in_order_gives_the_lease_back(pair: Pair) -> None:
    leader = pair.start()
    pair.event()
    pair.api.client.request("PATCH", pair.lease, {"metadata": {"labels": {"owner": "somebody"}}}, MERGE)
    touched = pair.api.client.request("GET", pair.lease)["spec"]["renewTime"]
    wait_until("it is renewed", lambda: pair.api.client.request("GET", pair.lease)["spec"]["renewTime"] != touched, SOON)
    assert leader.stop() == 0
    pair.event()
    seconds = seconds_until_leads(pair.both[1])
    print(f"replaced after {seconds:.1f} s (aim on a quiet machine: 2)")
    assert seconds < 10
    pair.all_once()
    lease = pair.api.client.request("GET", pair.lease)
    assert lease["metadata"]["labels"] == {"owner": "somebody"}
    assert lease["spec"]["leaseTransitions"] == 1 and lease["spec"]["holderIdentity"].startswith(os.uname().nodename)


def test_a_paused_leader_that_wakes_up_writes_nothing(pair: Pair) -> None:
    leader = pair.start()
    for _ in range(20):
        pair.event()
    leader.process.send_signal(signal.SIGSTOP)  # it may have a transaction under way
    for _ in range(20):
        pair.event()
    seconds_until_leads(pair.both[1])
    leader.process.send_signal(signal.SIGCONT)
    for _ in range(20):
        pair.event()
    wait_until("the old leader stands by", lambda: "stands by" in readiness(leader), SOON)
    assert requests.get(f"{leader.url}/readyz", timeout=5).status_code == 200
    pair.all_once()
    # And the other way round.
    pair.both[1].kill()
    seconds_until_leads(leader)
    pair.event()
    pair.all_once()


def test_a_leader_that_loses_its_api_server_leads_again(pair: Pair, binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    with ApiServer(tmp_path / "api") as api:
        (tmp_path / "lonely").mkdir()
        lonely = Pair(binaries, tmp_path / "lonely", kafka, api, SHORT)
        try:
            leader = lonely.start()
            lonely.event()
            api.pause()
            wait_until("it stands back", lambda: "waits for the Lease" in readiness(leader) or "stands by" in readiness(leader), SOON)
            api.resume()
            wait_until("one of them leads", lambda: leads(lonely.both[0]) or leads(lonely.both[1]), SOON)
            lonely.event()
            lonely.all_once()
        finally:
            for one in lonely.both:
                one.kill()
                print(one.log.read_text())


def test_a_lease_that_is_deleted_is_made_again(pair: Pair) -> None:
    pair.start()
    pair.api.client.request("DELETE", pair.lease)
    wait_until("there is one again", lambda: pair.api.client.session.get(pair.api.url + pair.lease, timeout=5).status_code == 200, SOON)
    wait_until("one of them leads", lambda: leads(pair.both[0]) or leads(pair.both[1]), SOON)
    pair.event()
    pair.all_once()


def test_a_lease_that_is_refused_is_said(collector: Collector, api: ApiServer, tmp_path: Path) -> None:
    name = f"nobody-{uuid.uuid4().hex[:8]}"
    api.client.request("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": name}})
    token = api.client.request("POST", f"/api/v1/namespaces/default/serviceaccounts/{name}/token", {"spec": {"expirationSeconds": 600}})
    kubeconfig = api.write_kubeconfig(tmp_path / "nobody.kubeconfig", token["status"]["token"])
    text = collector.config.read_text()
    collector.config.write_text(text.replace(f"kubeconfig: {api.kubeconfig},", f"kubeconfig: {kubeconfig}, {SHORT}"))
    collector.start()
    wait_until("the refusal is in the log", lambda: "`klaxon rbac` prints the rule" in collector.log.read_text(), SOON)
    answer = requests.get(f"{collector.url}/readyz", timeout=5)
    assert answer.status_code == 503 and "waits for the Lease" in answer.text
    assert collector.stop() == 0


class Clusters:
    """A collector whose clusters are several names for one API server."""

    def __init__(self, collector: Collector, kafka: Kafka, api: ApiServer):
        self.collector, self.kafka, self.api = collector, kafka, api
        self.head = collector.config.read_text().split("clusters:")[0]

    def configure(self, **sources: str) -> None:
        items = "".join(f"  - {{ name: {name.replace('_', '-')}, kubeconfig: {self.api.kubeconfig}, sources: {{ {s} }} }}\n"
                        for name, s in sources.items())
        self.collector.config.write_text(f"{self.head}clusters:\n{items}")

    def reload(self, words: str) -> None:
        before = self.log().count(words)
        self.collector.process.send_signal(signal.SIGHUP)
        wait_until(f"{words!r} in the log", lambda: self.log().count(words) > before, SOON)

    def log(self) -> str:
        return self.collector.log.read_text()

    def wait_ready(self, lines: list[str]) -> None:
        def watches() -> list[str]:
            return sorted(line for line in readiness(self.collector).splitlines() if line.startswith("watch "))
        wait_until(f"ready with {lines}", lambda: watches() == sorted(lines), SOON)

    def event(self) -> str:
        name = f"pod-{uuid.uuid4().hex[:8]}"
        self.api.client.create_event(new_event(involved("Pod", name, "default"), "Created", "m", "test", "Create"))
        return name

    def told(self, name: str) -> dict[str, int]:
        records = read_committed(self.kafka.bootstrap, self.collector.topic("kubernetes"))
        return Counter(r.header("ce_cluster") for r in records if json.loads(r.value)["object"]["name"] == name)

    def wait_told(self, name: str, *clusters: str) -> None:
        wait_until(f"{name} is told of {clusters}", lambda: set(self.told(name)) >= set(clusters), SOON)
        assert self.told(name) == dict.fromkeys(clusters, 1)


@pytest.fixture
def clusters(collector: Collector, kafka: Kafka, api: ApiServer) -> Clusters:
    return Clusters(collector, kafka, api)


def connected(*watches: str) -> list[str]:
    return [f"watch {watch}: connected" for watch in watches]


def test_clusters_come_change_and_go_without_a_restart(clusters: Clusters) -> None:
    clusters.configure(one="events: {}", two="events: {}")
    clusters.collector.start()
    clusters.wait_ready(connected("one/events", "two/events"))
    first = clusters.event()
    clusters.wait_told(first, "one", "two")

    clusters.configure(one="events: {}", two="events: {}, nodes: {}", three="events: {}")
    clusters.reload("the configuration was read again")
    clusters.wait_ready(connected("one/events", "two/events", "two/nodes", "three/events"))
    clusters.wait_told(clusters.event(), "one", "two", "three")
    assert clusters.log().count('"watch resumes","cluster":"one"') == 0  # it was not touched
    assert clusters.told(first) == {"one": 1, "two": 1, "three": 1}  # three's first list

    before = clusters.log().count("the configuration was read again")
    clusters.configure(one="events: {}", three="events: {}")  # it sees the file, too
    wait_until("it is read", lambda: clusters.log().count("the configuration was read again") > before, SOON)
    clusters.wait_ready(connected("one/events", "three/events"))
    clusters.wait_told(clusters.event(), "one", "three")
    assert clusters.collector.stop() == 0


def test_a_configuration_with_a_mistake_changes_nothing(clusters: Clusters) -> None:
    clusters.configure(one="events: {}")
    clusters.collector.start()
    clusters.wait_ready(connected("one/events"))
    clusters.configure(one="events: {}", two="evnts: {}")
    clusters.reload("going on with the one before")
    assert "klaxon_config_reload_failed 1" in requests.get(f"{clusters.collector.url}/metrics", timeout=5).text
    assert 'did you mean \\"events\\"' in clusters.log()
    clusters.configure(one="events: {}", two="events: {}")
    text = clusters.collector.config.read_text().replace(f"name: two, kubeconfig: {clusters.api.kubeconfig}", "name: two, kubeconfig: /nowhere")
    clusters.collector.config.write_text(text)
    clusters.reload("going on with the one before")
    assert "cluster two: " in clusters.log()
    clusters.wait_ready(connected("one/events"))
    clusters.wait_told(clusters.event(), "one")
    clusters.collector.config.write_text(text + "log: { level: error }\n")
    clusters.reload("going on with the one before")
    assert clusters.collector.stop() == 0
    assert '"stopping"' in clusters.log()


def test_one_broken_cluster_costs_the_others_nothing(clusters: Clusters, tmp_path: Path) -> None:
    broken = tmp_path / "broken.kubeconfig"
    broken.write_text(clusters.api.kubeconfig.read_text().replace(clusters.api.url, "https://127.0.0.1:1"))
    clusters.configure(one="events: {}", two="events: {}")
    text = clusters.collector.config.read_text()
    clusters.collector.config.write_text(text.replace(f"name: two, kubeconfig: {clusters.api.kubeconfig}", f"name: two, kubeconfig: {broken}"))
    clusters.collector.start()
    clusters.wait_ready(["watch one/events: connected", "watch two/events: not connected"])
    clusters.wait_told(clusters.event(), "one")
    assert clusters.collector.stop() == 0


def test_a_fenced_cluster_begins_anew(clusters: Clusters, binaries: Path, tmp_path: Path) -> None:
    """Without a Lease a second collector takes over; the first one says so, and its other cluster goes on."""
    clusters.configure(one="events: {}", two="events: {}")
    clusters.collector.start()
    clusters.wait_ready(connected("one/events", "two/events"))
    (tmp_path / "second").mkdir()
    second = Collector(binaries, tmp_path / "second", clusters.kafka, clusters.api.kubeconfig, clusters.collector.name)
    second.config.write_text(second.config.read_text().split("clusters:")[0] +
                             f"clusters:\n  - {{ name: one, kubeconfig: {clusters.api.kubeconfig}, sources: {{ events: {{}} }} }}\n")
    second.start()
    try:
        wait_until("the second collects", lambda: leads(second), SOON)
        first = clusters.event()
        clusters.wait_told(first, "one", "two")
        wait_until("the first says so", lambda: "beginning anew" in clusters.log(), SOON)
    finally:
        second.kill()
        print(second.log.read_text())
    clusters.wait_ready(connected("one/events", "two/events"))
    clusters.wait_told(clusters.event(), "one", "two")
    assert "klaxon_cluster_failures_total" in requests.get(f"{clusters.collector.url}/metrics", timeout=5).text
    assert clusters.collector.stop() == 0
