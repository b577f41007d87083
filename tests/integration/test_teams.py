"""The Teams sink: its messages by Microsoft's own library and by the stage, and the whole program between a real Kafka and the stage's flows."""
from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from cli_world import Klaxon
from cluster import Kafka
from cluster.cache import node, readers_modules
from conftest import ROOT
from pictures import TeamsCard, is_drawn
from sink_process import Events, Sink, new_prefix, values
from stage import Teams
from stage import teams_rules

GOLDEN = sorted((ROOT / "tests/golden/teams").glob("*.json"))
SENT = re.compile(r"This is (\S+)\.")


@dataclass
class Answer:
    status: int
    text: str
    headers: dict[str, str]

    def json(self) -> Any:
        return json.loads(self.text)


def post(url: str, body: Any) -> Answer:
    """With the URL byte for byte as it is: requests would write %2b as %2B, and a signature does not survive that."""
    host, _, target = url.removeprefix("http://").partition("/")
    connection = HTTPConnection(host, timeout=5)
    connection.request("POST", f"/{target}", (body if isinstance(body, str) else json.dumps(body)).encode(), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return Answer(answer.status, answer.read().decode(), dict(answer.headers))


# What is sent

@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_teams_shows_every_golden_message(teams: Teams, path: Path) -> None:
    got = post(teams.new_flow("ops", responds=True), path.read_text())
    assert got.status == 200, teams.runs.all()
    assert teams.messages.all()[0].active_markup() == []


def test_microsofts_library_reads_every_golden_card() -> None:
    """Without a word of complaint, and keeping all of it but `msteams`, which is Teams' own."""
    done = subprocess.run([node(), ROOT / "tests/integration/readers/parse_cards.cjs", *GOLDEN], env={"NODE_PATH": str(readers_modules())},
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    read = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(read) == len(GOLDEN) > 100
    for path, found in zip(GOLDEN, read, strict=True):
        card = json.loads(path.read_text())["attachments"][0]["content"]
        assert found["events"] == [], path
        assert json.loads(found["kept"]) == {name: value for name, value in card.items() if name != "msteams"}, path


def test_the_picture_in_the_docs_is_the_golden_card() -> None:
    card = json.loads((ROOT / "tests/golden/teams/node.repair.stuck.json").read_text())["attachments"][0]["content"]
    assert is_drawn(ROOT / "docs/channels/teams.svg", TeamsCard().card(card))


def test_the_flow_of_the_docs_is_whole() -> None:
    """Its actions know each other, and it reads and says what the sink writes and reads."""
    text = (ROOT / "deploy/azure/teams-flow.json").read_text()
    names: set[str] = set()

    def walk(actions: dict) -> None:
        names.update(actions)
        for action in actions.values():
            assert set(action.get("runAfter", {})) <= set(actions)
            walk(action.get("actions", {}))
            walk(action.get("else", {}).get("actions", {}))
    walk(json.loads(text)["actions"])
    assert set(re.findall(r"(?:body|outputs)\('([^']+)'\)", text)) <= names
    assert "triggerBody()?['replyToId']" in text and '"messageId"' in text and "'post_'" in text


# The whole way

class World:
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, teams: Teams):
        self.prefix = new_prefix(kafka)
        self.events = Events(kafka, self.prefix)
        self.teams = teams
        self.sink = Sink(binaries, directory, kafka, self.prefix, "teams")
        self._directory = directory

    def configure(self, *flows: str, responds: bool = False, mentions: list[str] | None = None, **process: object) -> None:
        """A channel for each flow, and a subscription for each: everything of `nodes`."""
        channels = {}
        for flow in flows:
            secret = self._directory / f"{flow}.url"
            secret.write_text(self.teams.new_flow(flow, responds))
            channels[flow] = {"webhook_url": {"file": str(secret)}} | ({"mentions": mentions} if mentions else {})
        self.sink.configure(channels, [{"team": f"team-{flow}", "topics": ["nodes"], "channels": [flow]} for flow in flows], **process)

    def told(self, flow: str) -> list[str]:
        """The ids of the events, in the order in which they came."""
        return [SENT.search(message.text()).group(1) for message in self.teams.of(flow)]

    def wait_told(self, flow: str, count: int, seconds: float = 40) -> list[str]:
        self.teams.messages.wait(f"{count} on {flow}", lambda _: len(self.teams.of(flow)) >= count, seconds)
        return self.told(flow)

    def assert_nobody_saw(self, flow: str) -> None:
        """The signature is in no log, metric, page, receipt or dead letter, as it stands in the URL or decoded."""
        signature = self.teams.signature(flow)
        seen = self.sink.log.read_text() + json.dumps(self.sink.receipts()) + str([(r.value, r.headers) for r in self.sink.dead_letters()])
        seen += "".join(self.sink.text(page) for page in ("metrics", "readyz", "healthz")) if self.sink.process else ""
        for form in (signature, unquote(signature), signature[:20]):
            assert form not in seen


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, teams: Teams) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, teams)
    yield made
    made.sink.kill()
    print(made.sink.log.read_text() if made.sink.log.exists() else "no log")


def test_a_workflow_takes_a_message_and_its_receipt_says_accepted(world: World) -> None:
    world.configure("ops", mentions=["Jo Miller <jo@example.com>"])
    world.events.put("a", severity="critical")
    world.events.put("b", severity="warning")
    world.sink.start()
    assert world.wait_told("ops", 2) == ["a", "b"]
    world.sink.wait_settled(2)
    first, second = world.teams.of("ops")
    assert [entity["mentioned"]["id"] for entity in first.card["msteams"]["entities"]] == ["jo@example.com"]
    assert "entities" not in second.card["msteams"]  # less than critical
    receipts = {receipt["event"]: receipt for receipt in world.sink.receipts()}
    assert [(receipts[one]["reason"], receipts[one]["code"]) for one in "ab"] == [("accepted", "accepted")] * 2
    assert len({message.tracking for message in (first, second)}) == 2 and first.tracking
    assert {attempt.query for attempt in world.teams.attempts.all()} == {world.teams.flows()["ops"].partition("?")[2]}  # to the byte
    assert world.sink.metric("klaxon_sink_verdicts_total", verdict="accepted") == 2
    world.assert_nobody_saw("ops")


def test_a_flow_that_answers_says_delivered(world: World) -> None:
    world.configure("ops", responds=True)
    world.events.put("a")
    world.sink.start()
    assert world.wait_told("ops", 1) == ["a"]
    world.sink.wait_settled(1)
    [receipt] = world.sink.receipts()
    assert (receipt["reason"], receipt["code"]) == ("delivered", "posted")
    assert json.loads(receipt["answer"]) == {"messageId": world.teams.of("ops")[0].id, "reply": False}


def incident(world: World, number: int, phase: str, incident_id: str = "i1") -> None:
    world.events.put(f"e{number}", incident=incident_id, phase=phase, incidentseq=str(number))


def test_later_messages_of_an_incident_are_replies(world: World) -> None:
    """The id that the flow has answered goes with every later message, also after a restart."""
    world.configure("ops", responds=True)
    world.sink.start()
    world.sink.wait_ready()
    for number, phase in ((1, "open"), (2, "update")):
        incident(world, number, phase)
        world.wait_told("ops", number)
    world.sink.wait_settled(2)
    assert world.sink.stop() == 0
    world.sink.start()
    world.sink.wait_ready()
    incident(world, 3, "resolved")
    assert world.wait_told("ops", 3) == ["e1", "e2", "e3"]
    first, *later = world.teams.of("ops")
    assert [message.payload.get("replyToId") for message in later] == [first.id, first.id]
    assert [message.reply_to for message in (first, *later)] == [None, first.id, first.id]
    world.teams.forget("ops")
    for number in (4, 5):
        incident(world, number, "open" if number == 4 else "update", incident_id="i2")
        world.wait_told("ops", number)
    world.teams.forget("ops")
    for number in (6, 7):
        incident(world, number, "update", incident_id="i2")
        world.wait_told("ops", number)
    fourth, fifth, sixth, seventh = world.teams.of("ops")[3:]
    assert (fifth.reply_to, sixth.reply_to, seventh.reply_to) == (fourth.id, None, sixth.id)  # what it replied to was gone: posted anew


@pytest.mark.parametrize(("fault", "told"), [
    ({"status": 503}, ["a", "b"]),
    ({"error": "TooManyRequests"}, ["a", "b"]),
    ({"retry_after": 2}, ["a", "b"]),
    ({"cut": "reset", "at": "request"}, ["a", "b"]),
    ({"cut": "close", "at": "answer"}, ["a", "a", "b"]),  # nobody knows: rather twice than not at all
    ({"error": "NoResponse"}, ["a", "b"]),
    ({"run": 429}, ["a", "b"]),
])
def test_what_passes_is_tried_again(world: World, fault: dict, told: list[str]) -> None:
    world.configure("ops", responds=True)
    world.teams.fault(**fault)
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("ops", len(told)) == told
    world.sink.wait_settled(2)
    assert world.sink.dead_letters() == []
    receipt = next(one for one in world.sink.receipts() if one["event"] == "a")
    assert receipt["attempts"] == 2
    assert receipt.get("ambiguous", 0) == (1 if fault.get("cut") or fault.get("error") == "NoResponse" else 0)
    first, second = [attempt.at for attempt in world.teams.attempts.all()][:2]
    assert second - first >= fault.get("retry_after", 0)
    if told == ["a", "a", "b"]:  # the same id tells a reader of the run history
        assert world.teams.of("ops")[0].tracking == world.teams.of("ops")[1].tracking


@pytest.mark.parametrize(("fault", "code"), [
    ({"error": "TriggerInputSchemaMismatch"}, "TriggerInputSchemaMismatch"),
    ({"error": "RequestEntityTooLarge"}, "RequestEntityTooLarge"),
    ({"status": 400}, "http_400"),
    ({"status": 413, "body": "<h1>too large</h1>"}, "http_413"),
    ({"run": 413}, "post_413"),
    ({"run": 400}, "post_400"),
])
def test_a_message_that_is_refused_is_a_dead_letter(world: World, fault: dict, code: str) -> None:
    world.configure("ops", responds=True)
    world.teams.fault(**fault)
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("ops", 1) == ["b"]
    world.sink.wait_settled(2)
    [letter] = values(world.sink.dead_letters())
    assert (letter["reason"], letter["code"], letter["channel"]) == ("reject_message", code, "ops")
    world.assert_nobody_saw("ops")


@pytest.mark.parametrize("fault", [
    {"error": "WorkflowTriggerIsNotEnabled"}, {"error": "DirectApiAuthorizationRequired"}, {"error": "RequestDisallowedByPolicy"},
    {"error": "WorkflowNotFound"}, {"status": 401}, {"status": 403}, {"status": 404}, {"status": 410}, {"run": 403},
], ids=str)
def test_a_broken_flow_keeps_its_messages(world: World, fault: dict) -> None:
    world.configure("gone", "good", responds=True)
    world.teams.fault(flow="gone", times=0, **fault)
    world.events.put("a", "b")
    world.sink.start()
    assert world.wait_told("good", 2) == ["a", "b"]
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="gone") == 1)
    assert "docs/channels/teams.md" in world.sink.log.read_text()
    world.assert_nobody_saw("gone")
    world.teams.faults.clear()
    world.sink.signal(signal.SIGHUP)
    assert world.wait_told("gone", 2) == ["a", "b"]
    assert world.sink.dead_letters() == []


def test_another_signature_is_said_without_showing_it(world: World) -> None:
    world.configure("ops")
    wrong = world.teams.flows()["ops"][:-4] + "0000"
    (world.sink.config.parent / "ops.url").write_text(wrong)
    world.events.put("a")
    world.sink.start()
    world.sink.wait("circuit", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="ops") == 1)
    assert "DirectApiAuthorizationRequired" in world.sink.log.read_text()
    assert wrong.rpartition("sig=")[2] not in world.sink.log.read_text() + world.sink.text("readyz")
    (world.sink.config.parent / "ops.url").write_text(world.teams.flows()["ops"])
    world.sink.signal(signal.SIGHUP)
    assert world.wait_told("ops", 1) == ["a"]


def test_check_refuses_connectors_and_warns_of_what_ends(binaries: Path, tmp_path: Path) -> None:
    klaxon, secret = Klaxon(binaries, tmp_path, "127.0.0.1:1", "x."), tmp_path / "flow"
    klaxon.config.write_text(f"kafka: {{ bootstrap.servers: \"127.0.0.1:1\" }}\nchannels: {{ ops: {{ teams: {{ webhook_url: {{ file: {secret} }} }} }} }}\n"
                             "subscriptions: [ { team: a, topics: [nodes], channels: [ops] } ]\n")
    for url, code, words in [
        ("https://contoso.webhook.office.com/webhookb2/S3cr3tS3cr3t", 1, "is an Office 365 connector; Microsoft has retired them. Make a workflow"),
        ("https://outlook.office.com/webhook/S3cr3tS3cr3t", 1, "is an Office 365 connector"),
        ("https://x.environment.api.powerplatform.com/powerautomate/x?api-version=1", 1, "has no signature"),
        ("https://prod-1.westeurope.logic.azure.com/workflows/x?sig=S3cr3tS3cr3t", 0, "warning: channels.ops.teams.webhook_url: the workflow's URL is on logic"),
        ("https://x.environment.api.powerplatform.com/powerautomate/x?sig=S3cr3tS3cr3t", 0, ""),
        ("https://contoso.webhook.office.com/workflows/S3cr3tS3cr3t", 0, ""),
    ]:
        secret.write_text(url + "\n")
        done = klaxon.run("check")
        assert done.returncode == code and words in done.stdout + done.stderr, (url, done.stdout, done.stderr)
        assert "S3cr3t" not in done.stdout + done.stderr
        assert ("warning" in done.stdout) == ("logic" in words)
        if code == 1:
            checked = subprocess.run([binaries / "klaxon-sink-teams", "--config", klaxon.config, "--check"], capture_output=True, text=True,
                                     timeout=20, check=False)
            assert checked.returncode == 1 and words in checked.stderr and "S3cr3t" not in checked.stderr


# The stage's own mistakes

def card(*body: dict, **more: object) -> dict:
    return {"type": "AdaptiveCard", "version": "1.4", "body": list(body) or [{"type": "TextBlock", "text": "x"}]} | more


@pytest.mark.parametrize(("bad", "why"), [
    (card({"type": "TextBlock", "text": 3}), "/body/0/text: 3 is not a string"),
    (card({"type": "TextBlock", "text": "x", "color": "#ff0000"}), "/body/0/color"),
    (card({"type": "TextBlock", "text": "x", "colour": "good"}), "there is no property 'colour'"),
    (card({"type": "FactSet", "facts": [{"title": "a", "value": 3}]}), "/body/0/facts/0/value: 3 is not a string"),
    (card({"type": "FactSet", "facts": []}), "not a list of at least 1"),
    (card({"type": "RichTextBlock", "inlines": [{"type": "TextRun"}]}), "required property 'text' is missing"),
    (card({"type": "Media", "sources": []}), "Teams shows no 'Media'"),
    (card({"type": "Image", "url": "http://x.example/a.png"}), "by https only"),
    (card({"type": "Container", "style": "red", "items": [{"type": "TextBlock", "text": "x"}]}), "'red' is none of"),
    (card(actions=[{"type": "Action.Submit", "title": "x"}]), "Teams shows no 'Action.Submit'"),
    (card(actions=[{"type": "Action.OpenUrl", "title": "x", "url": "https://x.example/a b"}]), "is not a URL"),
    (card(actions=[{"type": "Action.OpenUrl", "title": "x", "url": "javascript:alert(1)"}]), "is not a URL"),
    (card(actions=[{"type": "Action.OpenUrl", "title": "x", "url": "https://x.example", "style": "positive"}]), "'positive' is none of"),
    (card(msTeams={"width": "Full"}), "there is no property 'msTeams'"),
    (card(msteams={"width": "Wide"}), "'Wide' is none of"),
    (card(version="1.6"), "'1.6' is none of"),
    (card({"type": "Table", "rows": [{"type": "TableRow"}]}), "Table needs version 1.5"),
    (card({"type": "TextBlock", "text": "<at>Jo</at>"}), "mentions: ['<at>Jo</at>'] in the card, [] in msteams.entities"),
    (card(msteams={"entities": [{"type": "mention", "text": "<at>Jo</at>", "mentioned": {"id": "a@b", "name": "Jo"}}]}), "mentions: [] in the card"),
    (card({"type": "TextBlock", "text": "<at>J</at>"},
          msteams={"entities": [{"type": "mention", "text": "<at>J</at>", "mentioned": {"id": "a@b", "name": "Jo"}}]}), "is not the name"),
    (card({"type": "TextBlock", "text": "x", "id": "a"}, {"type": "TextBlock", "text": "x", "id": "a"}), "an id stands there twice"),
    (card({"type": "TextBlock", "text": "x" * 15000}), "Request Entity too large"),
    ({"type": "Card"}, "Property 'type' must be 'AdaptiveCard'"),
    ({"type": "AdaptiveCard", "version": "1.4"}, "required property 'body' is missing"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_the_stage_shows_no_bad_card(teams: Teams, bad: dict, why: str) -> None:
    message = {"type": "message", "attachments": [{"contentType": teams_rules.CARD, "content": bad}]}
    got = post(teams.new_flow("stock"), message)
    assert (got.status, got.text) == (202, "")  # as the template's flow: nobody is told
    got = post(teams.new_flow("ours", responds=True), message)
    assert got.status == 502 and why in got.json()["error"]["message"], got.text
    assert re.fullmatch(r"post_4(00|13)", got.json()["error"]["code"])
    assert teams.messages.all() == [] and {run.status for run in teams.runs.all()} == {"Failed"}


@pytest.mark.parametrize(("body", "status", "why"), [
    ("{", 400, "InvalidRequestContent"),
    ("[]", 400, "TriggerInputSchemaMismatch"),
    ('{"type": "message", "attachments": [{"contentType": "x"}]}', 400, "TriggerInputSchemaMismatch"),
    ('{"text": "hello"}', 202, ""),
    ('{"type": "AdaptiveCard", "version": "1.4", "body": []}', 202, ""),
])
def test_the_stage_refuses_the_wrong_envelope(teams: Teams, body: str, status: int, why: str) -> None:
    got = post(teams.new_flow("stock"), body)
    assert got.status == status and why in got.text
    assert teams.messages.all() == []
    assert len(teams.runs.all()) == (status == 202)


def test_the_stage_knows_its_flows_and_their_rate(teams: Teams) -> None:
    url = teams.new_flow("ops", responds=True)
    message = {"type": "message", "attachments": [{"contentType": teams_rules.CARD, "content": card()}]}

    def told(to: str, **more: object) -> Answer:
        return post(to, message | more)
    assert told(f"{teams.url}/powerautomate/automations/direct/workflows/0/triggers/manual/paths/invoke?sig=x").status == 404
    assert told(url[:-1] + "~").status == 401
    assert told(url.replace("%2F", "%2f")).status == 401  # the same, encoded anew
    root = told(url).json()["messageId"]
    assert told(url, replyToId=root).status == 200 and told(url, replyToId="1").status == 200
    assert [one.reply_to for one in teams.messages.all()] == [None, root, None]
    teams.turn("ops", on=False)
    assert told(url).json()["error"]["code"] == "WorkflowTriggerIsNotEnabled"
    teams.turn("ops", on=True)
    teams.rate_limit = True
    answers = [told(url) for _ in range(61)]
    assert answers[-1].status == 429 and 0 < int(answers[-1].headers["Retry-After"]) <= 61
    with pytest.raises(ValueError, match="none of"):
        teams.fault(error="no_such_error")
