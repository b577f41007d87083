"""The whole way: an API server's frames reach Slack, Teams, a mailbox and PagerDuty, through the collector, Kafka and the sinks."""
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cluster import ApiServer, Kafka
from cluster.objects import involved, legacy_event
from cluster.process import wait_until
from pipeline.pipeline import Pipeline

ENDED = "is ready again after reboot of auto-repair"


@pytest.fixture
def on_stage(binaries: Path, tmp_path: Path, kafka: Kafka) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "pipeline", binaries, kafka=kafka, prefix="slice-stage.") as made:
        yield made


@pytest.fixture
def on_real(binaries: Path, tmp_path: Path, kafka: Kafka, api: ApiServer) -> Iterator[Pipeline]:
    with Pipeline(tmp_path / "pipeline", binaries, cluster="real", kubeconfig=api.kubeconfig, kafka=kafka, prefix="slice-real.") as made:
        yield made


def messages(pipeline: Pipeline, path: str, node: str) -> list[dict]:
    found = requests.get(f"{pipeline.stage['control']}{path}", timeout=10).json()["messages"]
    return [message | {"text": " ".join(message["text"].split())} for message in found if node in message["text"]]


PATHS = ("/slack/messages", "/teams/messages", "/mail/messages")


def wait_for_all(pipeline: Pipeline, node: str, count: int) -> None:
    for path in PATHS:
        wait_until(f"{count} messages at {path}", lambda: len(messages(pipeline, path, node)) >= count, 30)  # noqa: B023


def wait_for_the_end(pipeline: Pipeline, node: str) -> list[list[dict]]:
    for path in PATHS:
        wait_until(f"the end of the repair at {path}",
                   lambda: any(ENDED in message["text"] for message in messages(pipeline, path, node)), 60)  # noqa: B023
    return [messages(pipeline, path, node) for path in PATHS]


def assert_one_alert(pipeline: Pipeline, node: str) -> None:
    """The webhook with the documents' template: one alert of PagerDuty, opened, updated and resolved."""
    def sent() -> list[dict]:
        answer = requests.get(f"{pipeline.stage['control']}/services/requests", timeout=10).json()
        bodies = [json.loads(request["text"]) for request in answer["requests"]]
        return [body for body in bodies if node in body["payload"]["summary"]]
    wait_until("the alert is resolved", lambda: any(body["event_action"] == "resolve" for body in sent()), 60)
    actions = [body["event_action"] for body in sent()]
    assert actions == ["trigger"] * (len(actions) - 1) + ["resolve"] and len(actions) > 1
    [key] = {body["dedup_key"] for body in sent()}
    assert requests.get(f"{pipeline.stage['control']}/services/alerts", timeout=10).json()["alerts"][key] == "resolved"


STEPS = ["is not ready:", "started a reboot", "finished the reboot", ENDED]


def assert_one_incident(slack: list[dict], teams: list[dict], mail: list[dict], whole: bool = False) -> None:
    """Opened and resolved are told once on all, and each step between them once and in order, unless a newer one passed it over while the
    channel waited; the mails are one thread."""
    for told in (slack, teams, mail):
        texts = [message["text"] for message in told]
        steps = [next(step for step in STEPS if step in text) for text in texts]
        assert steps == [step for step in STEPS if step in steps], texts
        assert (steps[0], steps[-1]) == (STEPS[0], STEPS[-1])
        assert steps == STEPS or not whole
    headers = [dict(message["headers"]) for message in mail]
    assert len({one["Subject"] for one in headers}) == 1
    assert len({one["References"].split()[0] for one in headers}) == 1
    assert len({one["Message-ID"] for one in headers}) == len(mail)


def test_a_repair_on_the_stage_reaches_slack_teams_a_mailbox_and_pagerduty(on_stage: Pipeline) -> None:
    # Slower than Slack's message a second: an update that waits is passed over when a newer one comes.
    played = requests.post(f"{on_stage.stage['control']}/scenario/repair", params={"pace": 1}, timeout=10).json()
    assert_one_incident(*wait_for_the_end(on_stage, played["node"]))
    assert_one_alert(on_stage, played["node"])


def test_a_repair_on_a_real_api_server_reaches_slack_teams_and_a_mailbox(on_real: Pipeline, api: ApiServer) -> None:
    node = "aks-slice-12345678-vmss000001"
    client = api.new_client()
    client.create_node(node)
    client.set_ready(node, "Unknown")
    about = involved("Node", node)
    wait_for_all(on_real, node, 1)
    client.create_event(legacy_event(about, "NodeRebootStart", "Node auto-repair is initiating a reboot action due to NotReady status",
                                     "aks-auto-repair"))
    wait_for_all(on_real, node, 2)
    client.create_event(legacy_event(about, "NodeRebootEnd", "Reboot action from node auto-repair is completed.", "aks-auto-repair"))
    wait_for_all(on_real, node, 3)
    client.set_ready(node, "True")
    assert_one_incident(*wait_for_the_end(on_real, node), whole=True)
