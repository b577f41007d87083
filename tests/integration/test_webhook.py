"""The webhook sink: CloudEvents, signatures and the examples of the documentation, against services that hold what is documented; real Kafka."""
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml

from cluster import Kafka
from sink_process import Events, Sink, event_data, new_prefix
from stage.services import KEY, LOGIN, Request, Services

ROOT = Path(__file__).resolve().parents[2]
INCIDENT = "b25f05a30bef0c342924385b6eaed613"
SECRET = "5ecret-of-the-webhook"


@pytest.fixture
def services() -> Iterator[Services]:
    with Services() as made:
        yield made


class World:
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, services: Services):
        self.directory, self.services = directory, services
        prefix = new_prefix(kafka)
        self.events = Events(kafka, prefix)
        self.sink = Sink(binaries, directory, kafka, prefix, "webhook")

    def secret(self, name: str, text: str) -> dict[str, str]:
        path = self.directory / name
        path.write_text(text)
        return {"file": str(path)}

    def start(self, **settings: object) -> None:
        self.sink.configure({"ops": settings}, [{"team": "operations", "topics": ["nodes"], "channels": ["ops"]}])
        self.sink.start()

    def wait(self, count: int) -> list[Request]:
        return self.services.requests.wait_count("requests", count, 40)

    def example(self, name: str, **settings: object) -> None:
        shown = yaml.safe_load((ROOT / f"docs/examples/{name}.yaml").read_text())[name]["webhook"]
        self.start(**shown | settings)


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, services: Services) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, services)
    yield made
    made.sink.kill()
    print(made.sink.log.read_text() if made.sink.log.exists() else "no log")


def test_an_event_is_a_cloudevent_with_a_signature(world: World) -> None:
    world.start(secret_url=world.secret("url", f"{world.services.url}/hook/{SECRET}?sig=a%2Bb\n"), signing_secret=world.secret("key", SECRET))
    world.events.put("a", incident=INCIDENT, phase="open", incidentseq="1")
    [request] = world.wait(1)
    assert request.path == f"/hook/{SECRET}?sig=a%2Bb"  # byte for byte
    headers = request.headers
    assert (headers["ce-id"], headers["ce-type"], headers["ce-severity"]) == ("a", "io.klaxon.node.ready", "warning")
    assert (headers["ce-incident"], headers["ce-phase"], headers["ce-incidentseq"]) == (INCIDENT, "open", "1")
    assert request.json() == json.loads(event_data("a"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["idempotency-key"] == headers["webhook-id"]
    world.sink.wait_settled(1)
    [receipt] = world.sink.receipts()
    assert (receipt["verdict"], receipt["reason"]) == ("delivered", "delivered")
    assert world.sink.stop() == 0
    assert SECRET not in world.sink.log.read_text() + json.dumps(receipt)


def test_the_answer_that_never_came_is_asked_for_again_with_the_same_id(world: World) -> None:
    world.services.fault(cut="close")
    world.start(url=world.services.url + "/hook", format="cloudevents-structured")
    world.events.put("a")
    first, second = world.wait(2)
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body and first.json()["specversion"] == "1.0" and first.json()["data"] == json.loads(event_data("a"))
    world.sink.wait_settled(1)
    [receipt] = world.sink.receipts()
    assert receipt["ambiguous"] == 1


def test_pagerduty_has_one_alert_for_an_incident(world: World) -> None:
    key = world.secret("key", KEY + "\n")
    world.example("pagerduty", url=world.services.url + "/v2/enqueue", secrets={"routing_key": key})
    for number, phase in enumerate(["open", "update", "resolved"], 1):
        world.events.put(f"{phase}\"\\", incident=INCIDENT, phase=phase, incidentseq=str(number), time="2026-03-11T08:00:00Z")
        world.wait(number)  # what a newer one overtakes is not told
    sent = [request.json() for request in world.wait(3)]
    assert [one["event_action"] for one in sent] == ["trigger", "trigger", "resolve"]
    assert world.services.alerts == {f"klaxon-{INCIDENT}": "resolved"} and world.services.refused.all() == []
    world.sink.wait_settled(3)
    assert {receipt["verdict"] for receipt in world.sink.receipts()} == {"accepted"}
    assert KEY not in world.sink.log.read_text() + json.dumps(world.sink.receipts())


def test_servicenow_clears_what_it_was_told(world: World) -> None:
    password = world.secret("password", LOGIN.partition(":")[2])
    world.example("servicenow", url=world.services.url + "/api/now/table/em_event", password=password)
    for number, (phase, severity) in enumerate([("open", "critical"), ("resolved", "info")], 1):
        world.events.put(phase, incident=INCIDENT, phase=phase, incidentseq=str(number), severity=severity)
        world.wait(number)
    assert [(one["severity"], one["resolution_state"], one["message_key"]) for one in world.services.records] == [
        ("1", "New", INCIDENT), ("0", "Closing", INCIDENT)]
    world.sink.wait_settled(2)
    assert {receipt["verdict"] for receipt in world.sink.receipts()} == {"delivered"}


def test_a_wrong_password_keeps_the_messages(world: World) -> None:
    password = world.secret("password", "wrong-password")
    world.example("servicenow", url=world.services.url + "/api/now/table/em_event", password=password)
    world.events.put("a")
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="ops") == 1)
    assert world.sink.dead_letters() == []
    assert "wrong-password" not in world.sink.log.read_text() + world.sink.text("readyz")


def test_a_rule_says_what_an_answer_means_and_a_redirect_is_not_followed(world: World) -> None:
    world.services.fault(status=200, body=f'{{"status":"error","url":"/hook/{SECRET}"}}')
    world.services.fault(status=307, headers={"Location": world.services.url + "/hook"}, times=0)
    world.start(secret_url=world.secret("url", f"{world.services.url}/hook/{SECRET}"),
                responses=[{"status": 200, "body": '*"error"*', "outcome": "reject"}])
    world.events.put("a")
    world.sink.wait("dead letter", lambda: len(world.sink.dead_letters()) == 1)
    [letter] = world.sink.dead_letters()
    assert SECRET.encode() not in letter.value
    world.events.put("b")
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="ops") == 1)
    assert len(world.services.requests) == 0 and "redirect_307" in world.sink.text("readyz")


def payload_of(path: Path) -> dict:
    return json.loads(path.read_text().partition("\n\n")[2].replace("\x01routing_key\x01", KEY))


@pytest.mark.parametrize("path", sorted((ROOT / "tests/golden/webhook").glob("pagerduty-*.txt")), ids=lambda path: path.stem)
def test_pagerduty_takes_every_golden_message(services: Services, path: Path) -> None:
    assert requests.post(services.url + "/v2/enqueue", json=payload_of(path), timeout=5).status_code == 202, services.refused.all()


@pytest.mark.parametrize("path", sorted((ROOT / "tests/golden/webhook").glob("servicenow-*.txt")), ids=lambda path: path.stem)
def test_servicenow_takes_every_golden_message(services: Services, path: Path) -> None:
    got = requests.post(services.url + "/api/now/table/em_event", json=payload_of(path), auth=tuple(LOGIN.split(":")), timeout=5)
    assert got.status_code == 201, services.refused.all()
