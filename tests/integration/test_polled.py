"""Sources that are polled, with the real collector: the metrics API behind a real API server's aggregator, and texts of Prometheus."""
import json
import ssl
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import requests

from cluster import ApiServer, Kafka, read_committed
from cluster.client import MERGE, KubeClient, Object
from cluster.objects import now
from cluster.process import wait_until
from conftest import Collector
from stage import Keys
from stage.web import Exchange, Server
from test_collector import wait_for

GROUP = "/apis/metrics.k8s.io/v1beta1"
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
SERVICES = "/api/v1/namespaces/kube-system/services"


class MetricsApi:
    """metrics.k8s.io as metrics-server serves it: what a test says that pods use."""

    def __init__(self, tls: ssl.SSLContext):
        self.items: list[Object] = []
        self.status = 200
        self.asked = 0
        self.server = Server(self._answer, tls)

    def _answer(self, exchange: Exchange) -> None:
        path = exchange.route_path
        if path == GROUP:  # what the aggregator asks to see whether it is there
            exchange.send(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1", "resources": [
                {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}]})
        elif path.endswith("/pods"):
            self.asked += 1
            namespace = path.split("/namespaces/")[1].split("/")[0] if "/namespaces/" in path else None
            items = [item for item in self.items if namespace in (None, item["metadata"]["namespace"])]
            if self.status == 200:
                exchange.send(200, {"kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": {}, "items": items})
            else:
                exchange.send(self.status, "the server is currently unable to handle the request\n", headers={"Retry-After": "1"})
        else:
            exchange.send(200 if path.startswith(("/readyz", "/healthz")) else 404)

    def use(self, namespace: str, memory: dict[str, str], at: datetime) -> None:
        """The sample of each pod's container `app`, all of one instant."""
        self.items = [{"metadata": {"name": name, "namespace": namespace, "creationTimestamp": now()}, "timestamp": f"{at:%FT%TZ}",
                       "window": "15.1s", "containers": [{"name": "app", "usage": {"cpu": "1234567n", "memory": used}}]}
                      for name, used in memory.items()]


@pytest.fixture(scope="module")
def metrics_api(api: ApiServer, keys: Keys) -> Iterator[MetricsApi]:
    client = api.new_client()
    made = MetricsApi(keys.server_context())
    made.server.start()
    client.request("POST", SERVICES, {"metadata": {"name": "metrics-server"}, "spec": {
        "type": "ExternalName", "externalName": "localhost", "ports": [{"port": made.server.port}]}})
    client.request("POST", API_SERVICES, {"metadata": {"name": "v1beta1.metrics.k8s.io"}, "spec": {
        "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": True,
        "service": {"name": "metrics-server", "namespace": "kube-system", "port": made.server.port}}})

    def served() -> bool:
        service = client.list(f"{API_SERVICES}/v1beta1.metrics.k8s.io")
        return any(c["type"] == "Available" and c["status"] == "True" for c in service.get("status", {}).get("conditions") or ())
    wait_until("the aggregated API is there", served, 60)
    yield made
    client.request("DELETE", f"{API_SERVICES}/v1beta1.metrics.k8s.io")
    client.request("DELETE", f"{SERVICES}/metrics-server")
    made.server.stop()


@pytest.fixture(autouse=True)
def quiet(metrics_api: MetricsApi) -> None:
    metrics_api.items, metrics_api.status = [], 200


@pytest.fixture
def namespace(api: ApiServer) -> str:
    name = f"polled-{uuid.uuid4().hex[:8]}"
    api.new_client().request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


def make(binaries: Path, tmp_path: Path, kafka: Kafka, api: ApiServer, name: str, sources: str, cluster: str = "") -> Collector:
    made = Collector(binaries, tmp_path, kafka, api.kubeconfig, name, sources=sources, cluster=cluster)
    for topic in ("kubernetes", "scaling", "metrics"):
        kafka.create_topic(made.topic(topic), 4)
    kafka.create_topic(made.topic("state"), 1)
    return made


@pytest.fixture
def collectors(binaries: Path, tmp_path: Path, kafka: Kafka, api: ApiServer, request: pytest.FixtureRequest) -> Iterator:
    """Makes one: collectors(sources, cluster)."""
    made: list[Collector] = []

    def new(sources: str, cluster: str = "") -> Collector:
        made.append(make(binaries, tmp_path, kafka, api, request.node.name.replace("_", "-")[:40], sources, cluster))
        return made[-1]
    yield new
    for collector in made:
        collector.kill()
        print(collector.log.read_text() if collector.log.exists() else "no log")


def samples(records) -> list[tuple[str, str]]:
    """(pod, time) of each sample."""
    return [(json.loads(r.value)["object"]["name"], json.loads(r.value)["sample"]["time"]) for r in records]


def readyz(collector: Collector) -> str:
    try:
        return requests.get(f"{collector.url}/readyz", timeout=5).text
    except requests.RequestException:
        return ""


def test_a_sample_is_one_record_whatever_happens(collectors, kafka: Kafka, metrics_api: MetricsApi, namespace: str) -> None:
    collector = collectors(f"podmetrics: {{ every: 1s, namespaces: [{namespace}] }}")
    begin = datetime.now(timezone.utc) - timedelta(minutes=10)
    pods = [f"web-{i}" for i in range(2000)]  # more than a batch holds
    wanted = []
    collector.start()
    for window in range(4):
        at = begin + timedelta(seconds=15 * window)
        metrics_api.use(namespace, dict.fromkeys(pods, f"{window + 1}Mi"), at)
        wanted += [(name, f"{at:%FT%T}.000000Z") for name in pods]
        if window % 2 == 1:  # somewhere in the answer
            asked = metrics_api.asked
            wait_until("it is asked", lambda: metrics_api.asked > asked, 20)
            collector.kill()
            collector.start()
        wait_for(kafka, collector.topic("metrics"), lambda records: len(records) >= len(wanted), 60)
        asked = metrics_api.asked
        wait_until("the same window is shown again", lambda: metrics_api.asked >= asked + 2, 20)
        collector.kill()
        collector.start()
    metrics_api.use(namespace, {"last": "1Mi"}, begin + timedelta(hours=1))
    records = wait_for(kafka, collector.topic("metrics"), lambda records: ("last" in dict(samples(records))))
    seen = Counter(samples(records))
    assert [seen[one] for one in wanted] == [1] * len(wanted) and len(records) == len(wanted) + 1
    first = records[0]
    assert len({r.header("ce_id") for r in records}) == len(records)
    assert first.key.decode().startswith(f"{collector.name}/{namespace}/web-")
    assert json.loads(first.value)["sample"]["containers"][0]["memoryBytes"] == 1 << 20
    assert collector.stop() == 0
    # One answer is remembered, however many there were.
    state = {r.key: r.value for r in read_committed(kafka.bootstrap, collector.topic("state"))}
    assert len([key for key, value in state.items() if value and b"/podmetrics" in key]) <= 3


class Pod:
    """A pod with a memory limit, and what kubelet would report of it."""

    def __init__(self, client: KubeClient, namespace: str, name: str, limit: str):
        self.client, self.path, self.name = client, f"/api/v1/namespaces/{namespace}/pods", name
        client.request("POST", self.path, {"metadata": {"name": name}, "spec": {"nodeName": "nowhere", "containers": [
            {"name": "app", "image": "none", "resources": {"limits": {"memory": limit}}}]}})
        self.report({"running": {"startedAt": now()}})

    def report(self, state: dict, restarts: int = 0, last: dict | None = None) -> None:
        status = {"name": "app", "image": "none", "imageID": "", "ready": True, "restartCount": restarts, "state": state, "lastState": last or {}}
        self.client.request("PATCH", f"{self.path}/{self.name}/status", {"status": {"phase": "Running", "containerStatuses": [status]}}, MERGE)

    def oom(self) -> None:
        ended = {"exitCode": 137, "reason": "OOMKilled", "startedAt": "2026-01-01T00:00:00Z", "finishedAt": now(), "containerID": "containerd://1"}
        self.report({"running": {"startedAt": now()}}, 1, {"terminated": ended})


def test_memory_that_climbs_is_told_before_the_kill_and_with_it(collectors, kafka: Kafka, api: ApiServer, metrics_api: MetricsApi,
                                                                namespace: str) -> None:
    pod = Pod(api.new_client(), namespace, "leak", "100Mi")
    collector = collectors(f"pods: {{ namespaces: [{namespace}] }}", "detectors: { autoscaling: { memory_near_after: 1m } },")
    collector.start()
    wait_until("the pods are watched", lambda: "pods@" in readyz(collector) and "not connected" not in readyz(collector), 30)
    collector.kill()
    # The metrics come later than the pods: their limits are looked for again.
    collector.config.write_text(collector.config.read_text().replace(
        "sources: { pods:", f"sources: {{ podmetrics: {{ every: 1s, namespaces: [{namespace}] }}, pods:"))
    collector.start()
    at = datetime.now(timezone.utc) - timedelta(minutes=30)
    for step in range(16):  # 60 to 97 percent
        metrics_api.use(namespace, {"leak": f"{60 + 2.5 * step:.1f}Mi".replace(".0Mi", "Mi")}, at + timedelta(seconds=30 * step))
        wait_for(kafka, collector.topic("metrics"), lambda records: len(records) == step + 1)
        if step == 10:
            collector.kill()
            collector.start()
    told = wait_for(kafka, collector.topic("scaling"), lambda records: len(records) >= 2)
    kinds = [r.header("ce_type").removeprefix("io.klaxon.") for r in told]
    assert kinds == ["pod.memory.predicted", "pod.memory.near"]
    pod.oom()
    told = wait_for(kafka, collector.topic("scaling"), lambda records: len(records) >= 3)
    oom = told[2]
    assert oom.header("ce_type") == "io.klaxon.pod.oomkilled"
    assert len({r.header("ce_incident") for r in told}) == 1
    assert [(r.header("ce_phase"), r.header("ce_incidentseq")) for r in told] == [("open", "1"), ("update", "2"), ("update", "3")]
    memory = json.loads(oom.value)["memory"]
    assert memory["rising"] and memory["percent"] >= 95 and memory["bytesPerMinute"] == 5 << 20
    limited = json.loads(read_committed(kafka.bootstrap, collector.topic("metrics"))[-1].value)["sample"]["containers"][0]
    assert limited["memoryLimit"] == "100Mi" and limited["memoryPercent"] >= 60
    assert collector.stop() == 0


def test_an_api_that_is_down_is_said_once_and_shown(collectors, kafka: Kafka, metrics_api: MetricsApi, namespace: str) -> None:
    collector = collectors(f"podmetrics: {{ every: 1s, namespaces: [{namespace}] }}")
    metrics_api.status = 503
    collector.start()
    wait_until("it is shown", lambda: "503" in readyz(collector), 30)
    asked = metrics_api.asked
    wait_until("it is tried again", lambda: metrics_api.asked >= asked + 2, 60)
    metrics = requests.get(f"{collector.url}/metrics", timeout=5).text
    assert f'klaxon_poll_up{{cluster="{collector.name}",source="podmetrics@{namespace}"}} 0' in metrics
    assert "200" == str(requests.get(f"{collector.url}/readyz", timeout=5).status_code)  # events and nodes do not wait for metrics
    metrics_api.status = 200
    metrics_api.use(namespace, {"web": "1Mi"}, datetime.now(timezone.utc))
    wait_for(kafka, collector.topic("metrics"), lambda records: len(records) == 1, 60)
    wait_until("it answers", lambda: f"podmetrics@{namespace}: answers" in readyz(collector), 10)
    log = collector.log.read_text()
    assert log.count("503: what is polled is not available") == 1 and log.count("the poll is answered again") == 1
    assert collector.stop() == 0


class Texts:
    """An endpoint of Prometheus' text, which wants a token."""

    def __init__(self, tls: ssl.SSLContext | None = None, token: str = ""):
        self.body, self.token, self.refused, self.hangs = "", token, 0, False
        self.server = Server(self._answer, tls)
        self.server.start()

    def _answer(self, exchange: Exchange) -> None:
        if self.token and exchange.headers.get("Authorization") != f"Bearer {self.token}":
            self.refused += 1
            exchange.send(401, f"not good enough: Authorization: {exchange.headers.get('Authorization')}\n")
        elif self.hangs:
            self.refused += 1
            exchange.hang()
        else:
            exchange.send(200, self.body)


def scraped(records, endpoint: str) -> dict[str, float | str]:
    """The last value of each series that was told of the endpoint."""
    found = {}
    for record in records:
        data = json.loads(record.value)
        if data["object"]["name"] == endpoint:
            for sample in data["samples"]:
                found[sample["name"] + json.dumps(sample["labels"], sort_keys=True)] = sample["value"]
    return found


def test_texts_are_scraped(collectors, kafka: Kafka, keys: Keys, tmp_path: Path, namespace: str) -> None:
    texts = Texts(keys.server_context(), "the-right-one")
    token = tmp_path / "token"
    token.write_text("a-wrong-one\n")
    texts.body = ('# TYPE kube_hpa gauge\nkube_hpa{horizontalpodautoscaler="ama \\"x\\"",uid="u"} 12\r\n'
                  "kube_nan NaN\nother 1\nkube_cut 1")
    collector = collectors(
        "prometheus: { every: 1s, timeout: 1s, endpoints: [ "
        f"{{ name: ksm, url: \"https://localhost:{texts.server.port}/metrics\", ca_file: {keys.ca}, token_file: {token}, metrics: \"kube_*\", "
        "labels: [horizontalpodautoscaler] }, "
        "{ name: api, path: /metrics, metrics: [apiserver_storage_objects, \"process_*\"], labels: resource } ] }")
    try:
        collector.start()
        wait_until("the token is refused", lambda: "prometheus@ksm: 401" in readyz(collector), 30)
        token.write_text("the-right-one\n")
        records = wait_for(kafka, collector.topic("metrics"), lambda rs: scraped(rs, "ksm") and scraped(rs, "api"), 60)
        assert scraped(records, "ksm") == {'kube_hpa{"horizontalpodautoscaler": "ama \\"x\\""}': 12, "kube_nan{}": "NaN"}
        of_server = scraped(records, "api")
        assert of_server["process_resident_memory_bytes{}"] > 1e7
        assert any(name.startswith("apiserver_storage_objects") for name in of_server)
        wait_until("what is cut off is said", lambda: "prometheus@ksm: an answer is not what it should be" in readyz(collector), 30)
        texts.body = "kube_hpa 1\n"
        wait_until("it answers", lambda: "prometheus@ksm: answers" in readyz(collector), 60)
        texts.hangs = True
        wait_until("it hangs", lambda: "prometheus@ksm: what is polled did not answer in time" in readyz(collector), 60)
        assert "prometheus@api: answers" in readyz(collector)
        log = collector.log.read_text()
        assert "not good enough: " in log and "wrong-one" not in log and "right-one" not in log
        assert collector.stop() == 0
    finally:
        texts.server.stop()
