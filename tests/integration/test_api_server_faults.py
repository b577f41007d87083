"""What a real API server can do to a collector: it is upgraded, restored, replaced, overloaded, one of two; its clock is wrong.

Each test ends with every Event exactly once, with one list of each watch (the first) and without a gap, unless history really ended.
"""
import datetime
import json
import re
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from cluster import ApiServer, Kafka, Record, StatusError, read_committed
from cluster.objects import involved, new_event
from cluster.process import wait_until
from conftest import Collector
from stage import Wire

GAP = "io.klaxon.watch.gap"
SOON = 20.0
FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1"
GROUP = "aggregated.example.com"
BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"


class World:
    """A collector, a wire, and an API server behind it."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, api: ApiServer, wire: Wire, **more: Any):
        settings, sources, token = more.get("settings", ""), more.get("sources", "events: {}, nodes: {}"), more.get("token")
        name = f"faults-{uuid.uuid4().hex[:8]}"
        self.api, self.wire, self.kafka = api, wire, kafka
        self.client = api.new_client()
        self.made: list[tuple[str, str]] = []
        kubeconfig = api.write_kubeconfig(directory / "kubeconfig", token=token, server=f"https://127.0.0.1:{wire.port}")
        self.collector = Collector(binaries, directory, kafka, kubeconfig, name, f"canary: {{ every: 1s }}, {settings}", sources)
        self.collector.topics(kafka)

    def begin(self) -> None:
        self.collector.start()
        wait_until("it watches", lambda: self.ready().status_code == 200, SOON)
        self.event()
        self.wait_seen()

    def event(self, **fields: Any) -> dict[str, Any]:
        made = self.client.create_event(
            new_event(involved("Pod", f"p-{uuid.uuid4().hex[:8]}", "default"), "Created", "m", "test", "Create") | fields)
        self.made.append((made["metadata"]["uid"], made["metadata"]["resourceVersion"]))
        return made

    @contextmanager
    def writing(self, client: Any) -> Iterator[None]:
        """Events all the while, through `client`; what was accepted must come."""
        ending = threading.Event()

        def write() -> None:
            while not ending.wait(0.02):
                try:
                    made = client.create_event(
                        new_event(involved("Pod", f"w-{uuid.uuid4().hex[:8]}", "default"), "Created", "m", "test", "Create"))
                except (requests.RequestException, StatusError):
                    continue
                self.made.append((made["metadata"]["uid"], made["metadata"]["resourceVersion"]))
        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.collector.log.read_text().splitlines()]

    def said(self, text: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if text in line["message"]]

    def wait_said(self, text: str, timeout: float = SOON) -> dict[str, Any]:
        wait_until(f"{text!r} in the log", lambda: bool(self.said(text)), timeout)
        return self.said(text)[0]

    def metric(self, name: str, source: str = "") -> float:
        text = requests.get(f"{self.collector.url}/metrics", timeout=5).text
        labels = f'cluster="[^"]*"{f",source=.{re.escape(source)}." if source else ""}'
        found = re.search(rf"^{name}{{{labels}}} (\S+)$", text, re.M)
        return float(found[1]) if found else 0.0

    def ready(self) -> requests.Response:
        try:
            return requests.get(f"{self.collector.url}/readyz", timeout=5)
        except requests.ConnectionError:
            response = requests.Response()
            response.status_code = 0
            return response

    def records(self, topic: str = "kubernetes") -> list[Record]:
        return read_committed(self.kafka.bootstrap, self.collector.topic(topic))

    def seen(self) -> Counter:
        events = (json.loads(r.value).get("event") for r in self.records())
        return Counter((e["uid"], e["resourceVersion"]) for e in events if e)

    def wait_seen(self, timeout: float = 30) -> None:
        wait_until("all Events", lambda: not set(self.made) - set(self.seen()), timeout)

    def gaps(self, source: str) -> list[dict[str, Any]]:
        values = [json.loads(r.value) for r in self.records() if r.header("ce_type") == GAP]
        return [v for v in values if v["object"]["name"] == source]

    def check(self, events: int = 1, nodes: int = 1, timeout: float = 60) -> None:
        """Everything once; so many lists of each watch, and one gap for each but the first."""
        self.event()
        self.wait_seen(timeout)
        seen = self.seen()
        assert {pair: seen[pair] for pair in self.made if seen[pair] != 1} == {}
        wait_until("ready again", lambda: self.ready().status_code == 200, timeout)
        for source, lists in (("events", events), ("nodes", nodes)):
            assert self.metric("klaxon_watch_lists_total", source) == lists, source
            assert self.metric("klaxon_watch_gaps_total", source) == len(self.gaps(source)) == lists - 1, source


@contextmanager
def world_of(binaries: Path, directory: Path, kafka: Kafka, api: ApiServer, *targets: int, **more: Any) -> Iterator[World]:
    with Wire(*(targets or (port_of(api),))) as wire:
        made = World(binaries, directory, kafka, api, wire, **more)
        try:
            yield made
            assert made.collector.stop() == 0
        finally:
            made.collector.kill()
            print(made.collector.log.read_text() if made.collector.log.exists() else "no log")


def port_of(api: ApiServer) -> int:
    return int(api.url.rsplit(":", 1)[1])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One that also sends GOAWAY, and knows a user who is no system:masters."""
    with ApiServer(tmp_path_factory.mktemp("plain") / "data", ["--goaway-chance=0.02"], ['s3cret,klaxon,7,"collectors"']) as api:
        api.client.request("POST", BINDINGS, {
            "metadata": {"name": "collectors"}, "subjects": [{"kind": "Group", "name": "collectors", "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": "rbac.authorization.k8s.io"}})
        yield api


# one server

def test_goaway_is_not_for_http_1_1(binaries: Path, tmp_path: Path, kafka: Kafka, plain: ApiServer) -> None:
    """--goaway-chance tells clients of HTTP/2 to connect elsewhere. Watches of klaxon have a connection each, of HTTP/1.1."""
    with world_of(binaries, tmp_path, kafka, plain) as world:
        world.begin()
        told = subprocess.run(["curl", "-sv", "--http2", "--cacert", plain.ca, "--cert", plain.admin[0], "--key", plain.admin[1],
                               "-o", "/dev/null", f"{plain.url}/version?x=[1-400]"], capture_output=True, text=True, timeout=60).stderr
        assert len(re.findall("GOAWAY", told)) > 0  # it does send them
        for _ in range(300):
            world.event()
        before = world.metric("klaxon_canary_writes_total")
        wait_until("three more canaries", lambda: world.metric("klaxon_canary_writes_total") >= before + 3)
        world.check()
        assert world.metric("klaxon_watch_disconnects_total", "events") == world.metric("klaxon_watch_disconnects_total", "nodes") == 0


def take_the_seat(api: ApiServer) -> ssl.SSLSocket:
    """A request of the user klaxon whose body never comes: it is served all the while."""
    context = ssl.create_default_context(cafile=str(api.ca))
    while True:
        made = context.wrap_socket(socket.create_connection(("127.0.0.1", port_of(api)), timeout=5), server_hostname="localhost")
        made.sendall(b"POST /api/v1/namespaces/default/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n"
                     b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
        made.settimeout(1)
        try:
            made.recv(1)
        except TimeoutError:
            return made
        made.close()


@contextmanager
def refused_by_flow_control(api: ApiServer) -> Iterator[None]:
    """The user klaxon has one seat, which is taken: each other request of his is refused with 429, until this is over."""
    api.client.request("POST", f"{FLOWS}/prioritylevelconfigurations", {
        "metadata": {"name": "nothing"},
        "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": 0, "lendablePercent": 0, "borrowingLimitPercent": 0,
                                                "limitResponse": {"type": "Reject"}}}})
    api.client.request("POST", f"{FLOWS}/flowschemas", {
        "metadata": {"name": "klaxon"},
        "spec": {"matchingPrecedence": 2, "priorityLevelConfiguration": {"name": "nothing"}, "rules": [{
            "subjects": [{"kind": "User", "user": {"name": "klaxon"}}],
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}]}]}})
    client, seat = api.new_client("s3cret"), take_the_seat(api)
    try:
        wait_until("it refuses", lambda: client.session.get(f"{api.url}/api/v1/nodes", timeout=5).status_code == 429, SOON)
        yield
    finally:
        seat.close()
        api.client.request("DELETE", f"{FLOWS}/flowschemas/klaxon")
        api.client.request("DELETE", f"{FLOWS}/prioritylevelconfigurations/nothing")


def rejected(api: ApiServer) -> float:
    text = api.client.session.get(f"{api.url}/metrics", timeout=10).text
    return sum(float(n) for n in re.findall(r'^apiserver_flowcontrol_rejected_requests_total{flow_schema="klaxon",.*} (\S+)$', text, re.M))


def test_a_storm_of_429(binaries: Path, tmp_path: Path, kafka: Kafka, plain: ApiServer) -> None:
    """Priority and fairness lets nothing of ours through: an open watch goes on; one that broke comes back at its place, and does not press."""
    with world_of(binaries, tmp_path, kafka, plain, token="s3cret") as world:
        world.begin()
        with refused_by_flow_control(plain):
            world.event()
            world.wait_seen()  # what is open stays open
            before, began = rejected(plain), time.monotonic()
            world.wire.reset()
            said = world.wait_said("429: the API server is overloaded")
            assert said["level"] == "warn" and said["retry_ms"] >= 1000  # Retry-After
            assert said["detail"] == "Too many requests, please try again later."
            answer = world.ready()
            assert answer.status_code == 503 and "events: not connected" in answer.text
            for _ in range(20):
                world.event()
            wait_until("it tries again", lambda: rejected(plain) >= before + 8, 60)
            assert rejected(plain) - before < 10 + 3 * (time.monotonic() - began)  # two watches and the canary, each second at most
        world.check()
        assert len(world.said("429: the API server is overloaded")) <= 2  # once a watch
        assert len(world.said("connected again")) == 2


def test_a_start_in_a_storm_of_429(binaries: Path, tmp_path: Path, kafka: Kafka, plain: ApiServer) -> None:
    with world_of(binaries, tmp_path, kafka, plain, token="s3cret") as world:
        with refused_by_flow_control(plain):
            world.collector.start()
            world.wait_said("429: the API server is overloaded")
            assert world.ready().status_code == 503
        wait_until("it watches", lambda: world.ready().status_code == 200, 60)
        world.event()
        world.wait_seen()
        assert not world.gaps("events") + world.gaps("nodes")


def test_a_clock_that_is_ahead_or_behind(binaries: Path, tmp_path: Path, kafka: Kafka, plain: ApiServer) -> None:
    """A broker refuses records from the future, and so one Event of a wrong clock could stop all: its own time is in ce_time only."""
    def at(**delta: float) -> str:
        moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(**delta)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    with world_of(binaries, tmp_path, kafka, plain) as world:
        world.begin()
        times = [at(hours=3), at(days=400), at(hours=-3), at(days=-40), "1969-12-31T23:59:59.000000Z"]
        made = [world.event(eventTime=text) for text in times]
        world.wait_seen()
        lag = world.metric("klaxon_watch_lag_seconds", "events")
        assert lag > 1e9  # since 1969
        found = {json.loads(r.value)["event"]["uid"]: r for r in world.records() if b'"event"' in r.value}
        of = [found[one["metadata"]["uid"]] for one in made]
        assert [r.header("ce_time")[:19] for r in of] == [text[:19] for text in times]
        world.event(eventTime=at(hours=3))
        world.wait_seen()
        assert -3 * 3600 - 60 < world.metric("klaxon_watch_lag_seconds", "events") < -3 * 3600 + 60
        world.check()


# other servers

def test_a_restored_etcd_is_said_and_everything_is_there(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    """resourceVersions go backwards, and the same ones come again for other objects."""
    with ApiServer(tmp_path / "api") as api, world_of(binaries, tmp_path, kafka, api) as world:
        api.client.create_node("kept")
        kept = world.event()
        api.save_data()
        world.begin()
        api.client.create_node("lost")
        for _ in range(200):
            world.event()
        world.check()
        api.stop(None)
        api.restore_data()
        api.start()
        world.made.clear()
        wait_until("both gaps", lambda: bool(world.gaps("events") and world.gaps("nodes")), 60)
        world.check(events=2, nodes=2)
        for gap in world.gaps("events") + world.gaps("nodes"):
            assert gap["why"] == "ahead" and gap["since"] <= gap["until"]
            assert int(gap["after"]) > int(kept["metadata"]["resourceVersion"])
        records = [r for r in world.records() if r.header("ce_type") != GAP]
        assert set(Counter(r.header("ce_id") for r in records if r.header("ce_resync") is None).values()) == {1}
        again = [json.loads(r.value)["event"]["uid"] for r in records if r.header("ce_resync") == "true"]
        assert Counter(again)[kept["metadata"]["uid"]] == 2  # in the first list, and in that after the gap, by the same id
        nodes = [(json.loads(r.value)["object"]["name"], r.header("ce_type")) for r in world.records("nodes")]
        assert nodes.count(("lost", "io.klaxon.node.removed")) == 1 and ("kept", "io.klaxon.node.removed") not in nodes


def test_an_upgrade_and_its_watch_cache(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    """From the minor version before, in order, to one without a watch cache and back. Events come from etcd and go on where they were. What is
    cached does not: a watch cache knows nothing from before its start, says 410, and that is a gap."""
    graceful = ["--shutdown-delay-duration=2s", "--shutdown-send-retry-after=true", "--shutdown-watch-termination-grace-period=2s"]
    with ApiServer(tmp_path / "api", [*graceful, "--emulated-version=1.35"]) as api, \
            world_of(binaries, tmp_path, kafka, api) as world:
        api.client.create_node("aks-1")
        world.begin()
        with world.writing(api.new_client()):
            for flags in (graceful, [*graceful, "--watch-cache=false"], graceful):
                count = len(world.made)
                wait_until("Events before", lambda: len(world.made) > count + 20)  # noqa: B023 (called before the next turn)
                api.stop("kube-apiserver")
                wait_until("it is said", lambda: world.ready().status_code == 503)
                api.set_flags(*flags)
                api.start()
                wait_until("ready", lambda: world.ready().status_code == 200, 60)
        wait_until("the second gap is over", lambda: len(world.gaps("nodes")) == 2 and world.ready().status_code == 200, 60)
        world.check(nodes=3)
        api.client.set_ready("aks-1", "Unknown")
        api.client.set_ready("aks-1", "True")
        assert {gap["why"] for gap in world.gaps("nodes")} == {"expired"}
        wait_until("the node", lambda: [r.header("ce_phase") for r in world.records("nodes")] == ["open", "resolved"])


def test_a_quiet_watch_of_a_server_without_a_watch_cache(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    """No bookmark comes, others write, etcd is compacted: the place of a watch where nothing happens has moved on."""
    with ApiServer(tmp_path / "api", ["--watch-cache=false"]) as api, \
            world_of(binaries, tmp_path, kafka, api, settings="dead_after: 8s,") as world:
        api.client.create_node("aks-1")
        world.begin()
        first = int(api.client.list("/api/v1/nodes", limit=1)["metadata"]["resourceVersion"])
        for _ in range(30):
            world.event()

        def stored() -> int:
            world.event()  # with its transaction the place is written
            states = [json.loads(r.value) for r in world.records("state") if r.key.endswith(b"/nodes") and r.value]
            return int(states[-1]["resourceVersion"])
        wait_until("its place moves", lambda: stored() > first + 30, 60)
        api.compact(first + 30)
        world.wire.reset()
        api.client.set_ready("aks-1", "Unknown")
        wait_until("the node", lambda: [r.header("ce_phase") for r in world.records("nodes")] == ["open"], SOON)
        world.check()


def test_one_of_two_servers_is_killed(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    """The one that comes back has an empty watch cache and says 410; the other one knows, and is asked before history is given up."""
    with ApiServer(tmp_path / "api") as api, api.another("second") as second, \
            world_of(binaries, tmp_path, kafka, api, port_of(api), second.port) as world:
        api.client.create_node("aks-1")
        world.begin()
        with world.writing(second.client.clone()):
            api.kill()
            count = len(world.made)
            wait_until("Events meanwhile", lambda: len(world.made) > count + 20)
            wait_until("it goes on with the other", lambda: world.ready().status_code == 200, SOON)
            api.start()
            for _ in range(3):  # now here, now there
                world.wire.reset()
                seen = world.metric("klaxon_canary_round_trip_seconds_count")
                wait_until("a canary", lambda: world.metric("klaxon_canary_round_trip_seconds_count") > seen, SOON)  # noqa: B023
        world.check()


def test_one_of_two_servers_stands_still(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    with ApiServer(tmp_path / "api") as api, api.another("second") as second, \
            world_of(binaries, tmp_path, kafka, api, port_of(api), second.port) as world:
        world.begin()
        world.wire.targets[:] = [second.port]
        world.wire.reset()
        seen = world.metric("klaxon_canary_round_trip_seconds_count")
        wait_until("a canary", lambda: world.metric("klaxon_canary_round_trip_seconds_count") > seen, SOON)
        world.wire.targets[:] = [port_of(api), second.port]
        with world.writing(api.new_client()):
            second.child.pause()
            try:
                wait_until("it is found", lambda: world.metric("klaxon_canary_misses_total") >= 1, SOON)
                world.wire.targets[:] = [port_of(api)]  # the balancer finds it, too
                world.wait_seen(60)
            finally:
                second.child.resume()
        world.check()


def test_a_server_that_lags_behind_the_other(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    """What the one has shown, the other does not know yet: that is no history that went backwards."""
    with ApiServer(tmp_path / "api") as api, Wire(int(api.etcd.url.rsplit(":", 1)[1])) as far, \
            api.another("lagging", f"--etcd-servers=http://127.0.0.1:{far.port}") as lagging, \
            world_of(binaries, tmp_path, kafka, api, port_of(api), lagging.port) as world:
        api.client.create_node("aks-1")
        world.begin()
        far.delay = 0.7
        with world.writing(api.new_client()):
            for i in range(8):
                if i % 2 == 0:
                    api.client.set_ready("aks-1", "Unknown" if i % 4 == 0 else "True")
                count = len(world.made)
                wait_until("Events", lambda: len(world.made) > count + 10)  # noqa: B023
                world.wire.reset()
        far.delay = 0.0
        world.check()
        types = [r.header("ce_type").removeprefix("io.klaxon.node.") for r in world.records("nodes")]
        assert [t for t in types if t in ("notready", "ready")] == ["notready", "ready"] * 2  # each, once, in order


def test_an_aggregated_api_that_is_down(binaries: Path, tmp_path: Path, kafka: Kafka, plain: ApiServer) -> None:
    """Its own watch waits, says why, and resumes at its place; those of the API server itself do not notice."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    widgets = f"/apis/{GROUP}/v1/namespaces/default/widgets"
    key = f"generic:widgets.{GROUP}"

    def widget(client: Any, size: int) -> None:
        client.request("PATCH", f"{widgets}/one", {"spec": {"size": size}}, "application/merge-patch+json")

    with plain.another("extension", "--etcd-prefix=/extension", "--watch-cache=false") as extension:
        extension.client.request("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
            "metadata": {"name": f"widgets.{GROUP}"},
            "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
                     "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]}})
        wait_until("the CRD", lambda: extension.client.session.get(extension.url + widgets, timeout=5).status_code == 200)
        extension.client.request("POST", widgets, {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": "one"},
                                                   "spec": {"size": 1}})
        plain.client.request("POST", "/api/v1/namespaces/default/services", {
            "metadata": {"name": "extension"},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": extension.port}]}})
        plain.client.request("POST", "/apis/apiregistration.k8s.io/v1/apiservices", {
            "metadata": {"name": f"v1.{GROUP}"},
            "spec": {"group": GROUP, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10, "insecureSkipTLSVerify": True,
                     "service": {"namespace": "default", "name": "extension", "port": extension.port}}})
        wait_until("the aggregated API", lambda: plain.client.session.get(plain.url + widgets, timeout=5).status_code == 200, 30)
        sources = f"events: {{}}, nodes: {{}}, generic: [ {{ group: {GROUP}, version: v1, resource: widgets, fields: [spec.size] }} ]"
        with world_of(binaries, tmp_path, kafka, plain, sources=sources) as world:
            world.begin()
            disconnects = world.metric("klaxon_watch_disconnects_total", "events")

            def changes() -> list[Any]:
                values = [json.loads(r.value) for r in world.records()]
                return [(c["old"], c["new"]) for v in values for c in v.get("changes", [])]
            widget(plain.client, 2)
            wait_until("a change", lambda: changes() == [(1, 2)], SOON)
            extension.child.kill()
            said = world.wait_said("5xx: the API server has an internal error")
            assert said["source"] == key and said["detail"]
            answer = world.ready()
            assert answer.status_code == 503 and f"{key}: not connected" in answer.text
            world.event()
            world.wait_seen()
            assert "/events: connected" in world.ready().text
            extension.start()
            widget(extension.client, 3)
            wait_until("the change after it", lambda: changes() == [(1, 2), (2, 3)], 60)
            world.check()
            assert world.metric("klaxon_watch_lists_total", key) == 1 and not world.metric("klaxon_watch_gaps_total", key)
            assert world.metric("klaxon_watch_disconnects_total", "events") == disconnects
        plain.client.request("DELETE", f"/apis/apiregistration.k8s.io/v1/apiservices/v1.{GROUP}")
