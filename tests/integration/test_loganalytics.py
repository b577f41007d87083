"""The Log Analytics sink: its rows as Azure takes them, and the process between a real Kafka and the stage's endpoint."""
import datetime
import json
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from cluster import Kafka
from sink_process import Events, Sink, event_headers, new_prefix
from stage import Entra, Keys, LogAnalytics, SigningKey, federated_token
from stage.loganalytics import CALL_BYTES_MAX, RESOURCE

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "deploy/azure/loganalytics.json"
GOLDEN = sorted((ROOT / "tests/golden/loganalytics").glob("*.json"))
QUERIES = sorted((ROOT / "deploy/azure/queries").glob("*.kql"))
COLUMNS = dict(re.findall(r"^KLX_COLUMN\((\w+), (\w+),", (ROOT / "sinks/loganalytics/columns.def").read_text(), re.M))
CLIENT, SECRET = "klaxon-client", "s3cret~of&nobody"
SUBJECT, ISSUER = "system:serviceaccount:klaxon:klaxon-sink-loganalytics", "https://issuer.example/"


@pytest.fixture
def entra(tmp_path: Path) -> Iterator[Entra]:
    with Entra(tmp_path / "entra") as made:
        made.application(CLIENT, secret=SECRET)
        yield made


@pytest.fixture
def azure(entra: Entra) -> Iterator[LogAnalytics]:
    with LogAnalytics(entra) as made:
        yield made


class World:
    """`channel`: more of its configuration; None takes a key away."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, azure: LogAnalytics):
        self.azure, self.entra, self.directory = azure, azure.entra, directory
        self.prefix = new_prefix(kafka)
        self.events = Events(kafka, self.prefix)
        self.rule = azure.rule_of(TEMPLATE)
        azure.grant(self.rule, CLIENT)
        self.sink = Sink(binaries, directory, kafka, self.prefix, "loganalytics")
        self.configure()

    def configure(self, process: dict[str, Any] | None = None, **channel: Any) -> None:
        secret = self.directory / "secret"
        secret.write_text(SECRET)
        settings = {"endpoint": self.azure.url, "dcr": self.rule, "client_id": CLIENT, "tenant": self.entra.tenant,
                    "authority": self.entra.authority, "client_secret": {"file": str(secret)}} | channel
        self.sink.configure({"history": {name: value for name, value in settings.items() if value is not None}},
                            [{"team": "analysts", "topics": ["nodes"], "channels": ["history"], "history": True}], **(process or {}))

    def put(self, *names: str, age: float = 0, **attributes: str) -> None:
        when = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age)
        self.events.put(*names, time=when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), **attributes)

    def rows(self, count: int, timeout: float = 40) -> list[dict[str, Any]]:
        return [row.columns for row in self.azure.rows.wait_count("rows", count, timeout)]

    def statuses(self) -> list[int]:
        return [call.status for call in self.azure.calls.all()]


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, azure: LogAnalytics) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, azure)
    yield made
    made.sink.kill()
    log = made.sink.log.read_text() if made.sink.log.exists() else "no log"
    print(log)
    assert SECRET not in log and "eyJ" not in log
    assert all(row.undeclared == [] and row.cut == [] for row in azure.rows.all())


# What stands in files

def test_azure_takes_every_golden_row(azure: LogAnalytics) -> None:
    rule = azure.rule_of(TEMPLATE)
    azure.grant(rule, CLIENT)
    rows = [json.loads(path.read_text()) for path in GOLDEN]
    got = requests.post(f"{azure.url}/dataCollectionRules/{rule}/streams/Custom-Klaxon?api-version=2023-01-01", json=rows, timeout=20,
                        headers={"Authorization": f"Bearer {azure.entra.token(CLIENT, RESOURCE)}"})
    assert (got.status_code, got.text) == (204, "")
    assert [row.sent for row in azure.rows.all()] == rows
    assert all(row.undeclared == [] and row.cut == [] for row in azure.rows.all())
    assert len({row["RecordId"] for row in rows}) == len(rows)


def test_the_template_is_what_the_page_says() -> None:
    template = json.loads(TEMPLATE.read_text())
    kinds = [one["type"] for one in template["resources"]]
    assert [kind.rsplit("/", 1)[1] for kind in kinds] == [
        "tables", "dataCollectionRules", "userAssignedIdentities", "federatedIdentityCredentials", "roleAssignments"]
    table, rule, _, federated, role = template["resources"]
    assert rule["kind"] == "Direct" and role["scope"] == "[variables('ruleId')]"
    assert table["properties"]["schema"]["columns"] == "[variables('tableColumns')]"
    assert rule["properties"]["streamDeclarations"] == {"Custom-Klaxon": {"columns": "[variables('streamColumns')]"}}
    assert rule["properties"]["dataFlows"][0]["streams"] == ["Custom-Klaxon"]
    assert federated["properties"]["audiences"] == ["api://AzureADTokenExchange"]
    text = TEMPLATE.read_text()
    for what, names in (("parameters", template["parameters"]), ("variables", template["variables"])):
        assert set(re.findall(rf"{what}\('(\w+)'\)", text)) == set(names)
    readme = (ROOT / "deploy/azure/README.md").read_text()
    assert all(f"`{name}`" in readme for name in template["outputs"])
    assert all(name in template["parameters"] for name in re.findall(r"(\w+)=\$(?:workspace|issuer)\b", readme))


def test_the_page_has_every_column() -> None:
    page = (ROOT / "docs/channels/loganalytics.md").read_text()
    assert dict(re.findall(r"^\| `(\w+)` \| (string|int|boolean|datetime|dynamic) \|", page, re.M)) == COLUMNS


@pytest.mark.parametrize("path", QUERIES, ids=[path.stem for path in QUERIES])
def test_a_query_asks_for_what_there_is(path: Path) -> None:
    """Every name in it is a column, a name that the query makes, or a function; every kind of event exists."""
    text = re.sub(r"//[^\n]*", "", path.read_text())
    kinds = re.findall(r'"(io\.klaxon\.[a-z.]+?)"', text)
    known = {f"io.klaxon.{one.stem}" for one in (ROOT / "schema/samples").glob("*.json")}
    assert {kind for kind in kinds if not kind.endswith(".")} <= known
    bare = re.sub(r'"[^"]*"', '""', text)
    names = set(re.findall(r"\b_?[A-Z]\w*\b", bare))
    made = set(re.findall(r"\b([A-Z]\w*)\s*=(?!=)", bare)) | set(re.findall(r"mv-expand (\w+)", bare))
    assert names - made - set(COLUMNS) - {"Klaxon", "Klaxon_CL", "_BilledSize"} == set()
    assert bare.count("(") == bare.count(")")
    assert f"queries/{path.name}" in (ROOT / "deploy/azure/README.md").read_text()


# Between Kafka and Azure

def test_events_become_rows(world: World) -> None:
    world.put("aks-1", incident="i1", incidentseq="1", phase="open")
    world.put("aks-2", age=3 * 86400)
    world.sink.start()
    first, second = world.rows(2)
    world.sink.wait_settled(2)
    assert world.sink.stop() == 0
    assert first.keys() <= COLUMNS.keys()
    assert (first["EventId"], first["Cluster"], first["ObjectKind"], first["ObjectName"]) == ("aks-1", "prod", "Node", "aks-1")
    assert (first["Incident"], first["IncidentSeq"], first["Phase"], first["Severity"]) == ("i1", 1, "open", "warning")
    assert (first["Message"], first["Team"], first["Notice"], first["Topic"]) == ("This is aks-1.", "analysts", "news", "nodes")
    assert first["Payload"]["object"] == {"kind": "Node", "name": "aks-1"}
    assert first["TimeGenerated"] == first["EventTime"] and "Adjusted" not in first
    assert second["Adjusted"] == "TimeGenerated" and second["EventTime"] < first["EventTime"] <= second["TimeGenerated"]
    assert not any(row.replaced for row in world.azure.rows.all())  # klaxon did it first, and said so
    assert [(r["reason"], r["code"]) for r in world.sink.receipts()] == [("delivered", "http_204")] * 2
    [call] = world.azure.calls.all()
    assert call.rows == 2 and re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", call.request_id)


def test_a_thousand_events_are_few_requests(world: World) -> None:
    names = [f"aks-{i}" for i in range(3000)]
    world.put(*names)
    world.sink.start()
    world.rows(3000, timeout=60)
    world.sink.wait_settled(3000)
    calls = world.azure.calls.all()
    assert [row["EventId"] for row in world.rows(3000)] == names
    assert set(world.statuses()) == {204} and 4 <= len(calls) <= 12
    assert sum(call.json_bytes for call in calls) > 5 * sum(call.packed_bytes for call in calls)
    assert world.sink.metric("klaxon_loganalytics_requests_total", channel="history") == len(calls)
    assert world.sink.metric("klaxon_loganalytics_accepted_bytes_total", channel="history") == sum(call.json_bytes for call in calls)
    assert world.sink.stop() == 0


def large_event(name: str, text: str) -> tuple[bytes, dict[str, str]]:
    data = {"summary": f"{name} {text}", "object": {"kind": "Node", "name": name}, "reason": "Ready", "labels": {}}
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return json.dumps(data, ensure_ascii=False).encode(), event_headers(name, time=now)


def test_large_rows_are_cut_and_fill_requests_to_just_under_a_megabyte(world: World) -> None:
    for i in range(40):
        world.events.put_raw(*large_event(f"big-{i}", "x" * 60_000))
    world.events.put_raw(*large_event("huge", "é\"\\" * 60_000))
    world.sink.start()
    world.rows(41, timeout=60)
    world.sink.wait_settled(41)
    assert world.sink.stop() == 0
    calls = world.azure.calls.all()
    assert {call.status for call in calls} == {204}
    assert max(call.json_bytes for call in calls) in range(CALL_BYTES_MAX - 140_000, CALL_BYTES_MAX + 1)
    [huge] = [row for row in world.azure.once() if row["EventId"] == "huge"]
    assert huge["Adjusted"] == "Message, Payload" and huge["Message"].endswith("…")
    assert huge["Payload"]["klaxonLeftOut"]["summary"] > 240_000 and huge["Payload"]["object"]["name"] == "huge"


def test_one_bad_row_is_a_dead_letter_and_the_others_are_there(world: World) -> None:
    names = [f"aks-{i}" for i in range(100)]
    world.azure.poison("aks-37.")
    world.put(*names)
    world.sink.start()
    world.rows(99)
    world.sink.wait_settled(100)
    assert world.sink.stop() == 0
    assert {row["EventId"] for row in world.azure.once()} == set(names) - {"aks-37"}
    assert len(world.azure.rows) == 99  # none of them twice
    [letter] = world.sink.dead_letters()
    assert json.loads(letter.value)["code"] == "InvalidRecord" and b"aks-37" in letter.value
    assert Counter(r["reason"] for r in world.sink.receipts()) == {"delivered": 99, "reject_message": 1}
    assert len(world.statuses()) <= 18


def test_a_table_that_refuses_everything_loses_nothing(world: World) -> None:
    names = [f"aks-{i}" for i in range(50)]
    world.azure.poison("aks-")
    world.put(*names)
    world.sink.start()
    world.sink.wait("broken", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="history") == 1)
    assert world.sink.dead_letters() == [] and len(world.azure.rows) == 0
    world.azure.heal()
    world.sink.signal(signal.SIGHUP)
    world.rows(50)
    world.sink.wait_settled(50)
    assert world.sink.stop() == 0
    assert {row["EventId"] for row in world.azure.once()} == set(names)


def test_a_role_that_is_missing_is_waited_for(world: World) -> None:
    world.azure.deny(world.rule, CLIENT)
    world.put("aks-1", "aks-2")
    world.sink.start()
    world.sink.wait("broken", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="history") == 1)
    assert "OperationFailed" in world.sink.log.read_text() and len(world.azure.rows) == 0
    world.azure.grant(world.rule, CLIENT)
    world.sink.signal(signal.SIGHUP)
    world.rows(2)
    world.sink.wait_settled(2)
    assert world.sink.metric("klaxon_sink_circuit_open", channel="history") == 0
    assert world.sink.stop() == 0
    assert world.sink.dead_letters() == [] and set(world.statuses()) == {403, 204}


@pytest.mark.parametrize("channel, code", [({"dcr": f"dcr-{'0' * 32}"}, "NotFound"), ({"stream": "Custom-Other"}, "InvalidStream"),
                                           ({"api_version": "2020-01-01"}, "UnsupportedApiVersion")])
def test_a_wrong_address_is_said_and_loses_nothing(world: World, channel: dict[str, str], code: str) -> None:
    world.configure(**channel)
    world.put("aks-1")
    world.sink.start()
    world.sink.wait("broken", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="history") == 1)
    assert code in world.sink.log.read_text()
    assert world.sink.stop() == 0
    assert world.sink.dead_letters() == []
    world.configure()  # repaired: what was kept is told
    world.sink.start()
    assert [row["EventId"] for row in world.rows(1)] == ["aks-1"]
    world.sink.wait_settled(0)
    assert world.sink.stop() == 0
    assert [receipt["reason"] for receipt in world.sink.receipts()] == ["delivered"]


def test_a_token_that_is_refused_is_renewed_once(world: World) -> None:
    world.put("aks-1")
    world.sink.start()
    world.rows(1)
    world.azure.revoke_tokens()
    world.put("aks-2")
    world.rows(2)
    world.sink.wait_settled(2)
    assert world.sink.stop() == 0
    assert world.statuses() == [204, 401, 204]
    assert [asked.status for asked in world.entra.requests.all()] == [200, 200]


def test_trouble_is_waited_for_and_an_answer_that_never_came_is_told_apart(world: World) -> None:
    world.azure.fault(cut="close", at="answer")  # taken, and nobody knows
    world.azure.fault(status=503)
    world.azure.fault(retry_after=1)
    world.put("aks-1", "aks-2")
    world.sink.start()
    rows = world.rows(4)
    world.sink.wait_settled(2)
    assert world.sink.stop() == 0
    assert world.statuses() == [0, 503, 429, 204]
    assert [row["RecordId"] for row in rows[:2]] == [row["RecordId"] for row in rows[2:]]
    assert [row["EventId"] for row in world.azure.once()] == ["aks-1", "aks-2"]
    assert [(r["reason"], r["attempts"], r["ambiguous"]) for r in world.sink.receipts()] == [("delivered", 4, 1)] * 2


def test_a_secret_that_has_expired_is_said_and_repaired(world: World) -> None:
    world.configure(client_id="klaxon-other")
    world.entra.application("klaxon-other", secret=SECRET, seconds=-1)
    world.azure.grant(world.rule, "klaxon-other")
    world.put("aks-1")
    world.sink.start()
    world.sink.wait("broken", lambda: world.sink.metric("klaxon_sink_circuit_open", channel="history") == 1)
    assert "the client secret has expired" in world.sink.log.read_text()
    world.entra.application("klaxon-other", secret="another-one")
    (world.directory / "secret").write_text("another-one")
    def told() -> bool:
        world.sink.signal(signal.SIGHUP)  # a token is not asked for again at once
        time.sleep(0.2)
        return len(world.azure.rows) == 1
    world.sink.wait("told", told)
    world.sink.wait_settled(1)
    assert world.sink.stop() == 0


def test_kill_loses_no_row_and_repeats_are_one_record(world: World) -> None:
    names = [f"aks-{i}" for i in range(2000)]
    world.azure.fault(delay=0.3, times=0)
    world.put(*names)
    world.sink.start()
    world.rows(1)
    world.sink.kill()
    world.azure.faults.clear()
    world.sink.start()
    world.azure.rows.wait("all events", lambda rows: len({row.columns["EventId"] for row in rows}) == 2000, 60)
    world.sink.wait("settled", lambda: world.sink.metric("klaxon_sink_unsettled_records") == 0)
    assert world.sink.stop() == 0
    assert sorted(row["EventId"] for row in world.azure.once()) == sorted(names)
    assert len(world.azure.rows) <= 2000 + 1000 + 800  # what was under way, and what was ahead of the last commit


# Who klaxon is

def test_workload_identity_over_tls(binaries: Path, tmp_path: Path, kafka: Kafka, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    key, token_file = SigningKey(tmp_path / "oidc.pem"), tmp_path / "token"
    with Entra(tmp_path / "entra", keys) as entra, LogAnalytics(entra, keys) as azure:
        entra.application(CLIENT)
        entra.federate(CLIENT, ISSUER, SUBJECT, key)
        token_file.write_text(federated_token(key, ISSUER, SUBJECT))
        for name, value in {"CLIENT_ID": CLIENT, "TENANT_ID": entra.tenant, "FEDERATED_TOKEN_FILE": str(token_file),
                            "AUTHORITY_HOST": entra.authority}.items():
            monkeypatch.setenv(f"AZURE_{name}", value)
        world = World(binaries, tmp_path, kafka, azure)
        nothing = dict.fromkeys(["client_id", "tenant", "authority", "client_secret"])
        world.configure(**nothing, ca_file=str(keys.ca), token_ca=str(keys.ca))
        world.put("aks-1")
        world.sink.start()
        try:
            assert [row["EventId"] for row in world.rows(1)] == ["aks-1"]
            assert [asked.way for asked in entra.requests.all()] == ["assertion"]
            world.sink.wait_settled(1)
            assert world.sink.stop() == 0
        finally:
            world.sink.kill()
            print(world.sink.log.read_text())


def test_managed_identity(world: World) -> None:
    world.entra.machine("node")
    world.azure.grant(world.rule, "node")
    nothing = dict.fromkeys(["client_id", "tenant", "authority", "client_secret"])
    world.configure(**nothing, managed_identity=True, token_url=world.entra.metadata_url)
    world.put("aks-1")
    world.sink.start()
    assert [row["EventId"] for row in world.rows(1)] == ["aks-1"]
    world.sink.wait_settled(1)
    assert world.sink.stop() == 0
    assert [asked.way for asked in world.entra.requests.all()] == ["machine"]


def test_check_says_what_the_environment_does_not_have(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_ID", "TENANT_ID", "FEDERATED_TOKEN_FILE", "AUTHORITY_HOST"):
        monkeypatch.delenv(f"AZURE_{name}", raising=False)
    code, text = world.sink.check()
    assert code == 0, text
    world.configure(client_secret=None)
    code, text = world.sink.check()
    assert code == 1 and "channels.history.loganalytics: nothing proves who klaxon is" in text
