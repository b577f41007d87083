"""deploy/autoscaling: every template is accepted by the real API server, and those for the add-on own its bounds alone."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from cluster import ApiServer
from cluster.controllers import kubectl
from conftest import ROOT

TEMPLATES = ROOT / "deploy/autoscaling"
PATH = "/apis/autoscaling/v2/namespaces/kube-system/horizontalpodautoscalers"
ADD_ON = {
    "minReplicas": 2, "maxReplicas": 30, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ama-metrics"},
    "metrics": [{"type": "ContainerResource", "containerResource": {
        "name": "memory", "container": "prometheus-collector", "target": {"type": "AverageValue", "averageValue": "5Gi"}}}],
    "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 300}]}},
}


@pytest.fixture
def add_on(api: ApiServer) -> Iterator[ApiServer]:
    """Its HPA, as it renders it."""
    api.client.request("POST", PATH, {"metadata": {"name": "ama-metrics-hpa"}, "spec": ADD_ON})
    yield api
    api.client.request("DELETE", f"{PATH}/ama-metrics-hpa")


@pytest.mark.parametrize("file", sorted((TEMPLATES / "ama-metrics").glob("*.yaml")), ids=lambda file: file.stem)
def test_of_the_add_on_only_the_bounds_are_ours(add_on: ApiServer, file: Path) -> None:
    before = add_on.client.list(f"{PATH}/ama-metrics-hpa")["spec"]
    kubectl(add_on, "apply", "--server-side", "--force-conflicts", "--field-manager=ours", "-f", str(file))
    hpa = add_on.client.list(f"{PATH}/ama-metrics-hpa")
    wanted = yaml.safe_load(file.read_text())["spec"]
    assert set(wanted) == {"minReplicas", "maxReplicas"} and 2 <= wanted["minReplicas"] <= wanted["maxReplicas"] <= 30
    assert wanted["maxReplicas"] != 24  # which reconciliation takes for an old default
    assert hpa["spec"] == before | wanted
    assert [set(entry["fieldsV1"]["f:spec"]) for entry in hpa["metadata"]["managedFields"] if entry["manager"] == "ours"] == [
        {"f:minReplicas", "f:maxReplicas"}]


@pytest.mark.parametrize("file", sorted((TEMPLATES / "workload").glob("*.yaml")), ids=lambda file: file.stem)
def test_an_hpa_of_ones_own_is_taken_as_it_is(api: ApiServer, file: Path) -> None:
    kubectl(api, "apply", "--server-side", "-f", str(file))
    found = api.client.list("/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/web")["spec"]
    wanted = yaml.safe_load(file.read_text())["spec"]
    assert found["metrics"] == wanted["metrics"] and found["scaleTargetRef"] == wanted["scaleTargetRef"]
    assert found["behavior"]["scaleDown"]["policies"] == wanted["behavior"]["scaleDown"]["policies"]


def test_the_load_is_accepted(api: ApiServer) -> None:
    kubectl(api, "apply", "--server-side", "-f", str(TEMPLATES / "load/scrape-targets.yaml"))
    assert api.client.list("/apis/apps/v1/namespaces/klaxon-load/deployments/scrape-targets")["spec"]["replicas"] == 0
