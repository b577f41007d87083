"""The sources of Argo's resources on a real API server, with custom resources as Argo's controllers leave them."""
import json
import time
from contextlib import ExitStack, contextmanager
from collections.abc import Iterator

from cluster import ApiServer, Kafka, read_committed
from cluster.client import KubeClient
from cluster.objects import now
from conftest import Collector
from test_collector import wait_for
from test_sources import Pods, configure, wait_watching

MERGE = "application/merge-patch+json"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
GROUP = "/apis/argoproj.io/v1alpha1"
BOOKMARK_SECONDS = 200


@contextmanager
def installed(client: KubeClient, plural: str, kind: str) -> Iterator[None]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    client.request("POST", CRDS, {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.argoproj.io"},
        "spec": {"group": "argoproj.io", "scope": "Namespaced",
                 "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
                 "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}}})
    try:
        deadline = time.monotonic() + 30
        while client.session.get(f"{client.url}{GROUP}/{plural}", timeout=5).status_code != 200:
            assert time.monotonic() < deadline, "the API server does not serve the CRD"
            time.sleep(0.05)
        yield
    finally:
        client.request("DELETE", f"{CRDS}/{plural}.argoproj.io")


def told(kafka: Kafka, collector: Collector) -> list[tuple]:
    return [(r.header("ce_type").removeprefix("io.klaxon."), r.header("ce_phase"), json.loads(r.value))
            for r in read_committed(kafka.bootstrap, collector.topic("gitops"))]


def wait_told(kafka: Kafka, collector: Collector, *kinds: str) -> dict:
    """The data of the last event of each kind, when there is one of each."""
    wait_for(kafka, collector.topic("gitops"), lambda _: set(kinds) <= {one[0] for one in told(kafka, collector)})
    return {kind: value for kind, _, value in told(kafka, collector)}


def condition(status: str, reason: str, message: str) -> dict:
    return {"type": "ErrorOccurred", "status": status, "reason": reason, "message": message, "lastTransitionTime": now()}


def test_sets_and_analyses(collector: Collector, kafka: Kafka, api: ApiServer) -> None:
    client = api.new_client()
    ns = Pods(client).namespace()
    kafka.create_topic(collector.topic("gitops"), 1)
    collector.config.write_text(collector.config.read_text().replace("detectors: {", "detectors: { applicationsets: { error_after: 1s },"))
    with ExitStack() as stack:
        stack.enter_context(installed(client, "applicationsets", "ApplicationSet"))
        stack.enter_context(installed(client, "analysisruns", "AnalysisRun"))
        sets, runs = f"{GROUP}/namespaces/{ns}/applicationsets", f"{GROUP}/namespaces/{ns}/analysisruns"
        configure(collector, f"applicationsets: {{ namespaces: {ns} }}, analysisruns: {{ namespaces: {ns} }}")
        wait_watching(kafka, collector, f"applicationsets@{ns}", f"analysisruns@{ns}")

        one = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet", "metadata": {"name": "shop"},
               "spec": {"template": {"spec": {"source": {"helm": {"values": "c4n4ry"}}}}}}
        client.request("POST", sets, one)
        client.request("PATCH", f"{sets}/shop", {"status": {"resources": [{"kind": "Application", "name": "shop-dev"}], "resourcesCount": 1}}, MERGE)
        assert wait_told(kafka, collector, "appset.applications")["appset.applications"]["applications"]["created"] == ["shop-dev"]
        broken = condition("True", "ApplicationGenerationFromParamsError", "https://bot:c4n4ry@git.example.com/a.git: authentication required")
        client.request("PATCH", f"{sets}/shop", {"status": {"conditions": [broken]}}, MERGE)
        error = wait_told(kafka, collector, "appset.error")["appset.error"]
        assert error["detail"] == "https://***@git.example.com/a.git: authentication required"
        collector.kill()
        client.request("PATCH", f"{sets}/shop", {"status": {"conditions": [condition("False", "ApplicationSetUpToDate", "")]}}, MERGE)
        collector.start()
        wait_told(kafka, collector, "appset.recovered")
        client.request("DELETE", f"{sets}/shop")
        wait_told(kafka, collector, "appset.removed")

        owner = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web", "uid": "0d1c1f2e-6b0a-4d9e-9a53-7c1e5f4a2b90"}
        run = {"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": {"name": "web-1", "ownerReferences": [owner]},
               "spec": {"args": [{"name": "token", "value": "c4n4ry"}]}, "status": {"phase": "Running"}}
        client.request("POST", runs, run)
        measured = [{"phase": "Failed", "value": "[0.2]"}, {"phase": "Failed", "value": "[0.3]"}]
        metric = {"name": "error-rate", "phase": "Failed", "failed": 2, "count": 2, "measurements": measured, "metadata": {"query": "c4n4ry"}}
        client.request("PATCH", f"{runs}/web-1", {"status": {"phase": "Failed", "metricResults": [metric], "completedAt": now()}}, MERGE)
        failed = wait_told(kafka, collector, "analysis.failed")["analysis.failed"]
        assert (failed["object"]["kind"], failed["object"]["name"], failed["rollout"]["analysis"]) == ("Rollout", "web", "web-1")
        assert failed["analysisRun"]["metrics"][0]["values"] == ["[0.2]", "[0.3]"]
        client.request("PATCH", f"{runs}/web-1", {"metadata": {"labels": {"seen": "again"}}}, MERGE)
        client.request("POST", sets, one)  # something after it
        client.request("DELETE", f"{sets}/shop")
        wait_for(kafka, collector.topic("gitops"), lambda _: [kind for kind, _, _ in told(kafka, collector)].count("appset.removed") == 2)
        assert collector.stop() == 0
    assert [(kind, phase) for kind, phase, _ in told(kafka, collector)] == [
        ("appset.applications", None), ("appset.error", "open"), ("appset.recovered", "resolved"), ("appset.removed", None),
        ("analysis.failed", None), ("appset.removed", None)]
    records = [r for topic in ("gitops", "state") for r in read_committed(kafka.bootstrap, collector.topic(topic))]
    assert not [r for r in records if b"c4n4ry" in (r.value or b"")]


def test_applications_that_nobody_refreshes(collector: Collector, kafka: Kafka, api: ApiServer) -> None:
    """What does not come is told by the bookmarks of the API server, of which there is one a minute."""
    client = api.new_client()
    ns = Pods(client).namespace()
    kafka.create_topic(collector.topic("gitops"), 1)
    collector.config.write_text(collector.config.read_text().replace("detectors: {", "detectors: { gitops: { stalled_after: 10m },"))
    with ExitStack() as stack:
        stack.enter_context(installed(client, "applications", "Application"))
        apps = f"{GROUP}/namespaces/{ns}/applications"
        for name in ("shop", "web"):
            client.request("POST", apps, {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name},
                                          "status": {"reconciledAt": "2026-01-01T00:00:00Z"}})
        configure(collector, f"applications: {{ namespaces: {ns} }}")
        wait_for(kafka, collector.topic("gitops"), lambda _: "app.stalled" in {kind for kind, _, _ in told(kafka, collector)}, BOOKMARK_SECONDS)
        for name in ("shop", "web"):
            client.request("PATCH", f"{apps}/{name}", {"status": {"reconciledAt": now()}}, MERGE)
        wait_for(kafka, collector.topic("gitops"), lambda _: len(told(kafka, collector)) > 1, BOOKMARK_SECONDS)
        assert collector.stop() == 0
    (_, opened, news), (_, ended, over) = told(kafka, collector)
    assert (opened, ended, news["reason"]) == ("open", "resolved", "NoneRefreshed")
    assert (news["refresh"]["stalled"], news["refresh"]["known"], sorted(news["refresh"]["names"])) == (2, 2, [f"{ns}/shop", f"{ns}/web"])
    assert (over["refresh"]["stalled"], over["incident"]["severity"]) == (0, "warning")
