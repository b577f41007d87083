"""The stage's Logs Ingestion API is judged before it judges."""
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from stage import Entra, LogAnalytics
from stage.loganalytics import CALL_BYTES_MAX, RESOURCE

NOW = "2026-11-25T10:00:00Z"
COLUMNS = {"TimeGenerated": "datetime", "Name": "string", "Count": "int", "Real": "real", "Yes": "boolean", "Payload": "dynamic"}
GOOD = {"TimeGenerated": NOW, "Name": "a", "Count": 1, "Real": 1.5, "Yes": True, "Payload": {"a": [1]}}


class World:
    def __init__(self, azure: LogAnalytics):
        self.azure = azure
        azure.entra.application("klaxon")
        self.rule = azure.rule(COLUMNS)
        azure.grant(self.rule, "klaxon")

    def post(self, rows: Any = None, body: bytes | None = None, token: str | None = None, path: str | None = None, packed: bool = True,
             headers: dict[str, str] | None = None) -> requests.Response:
        text = body if body is not None else json.dumps([GOOD] if rows is None else rows).encode()
        path = path or f"/dataCollectionRules/{self.rule}/streams/Custom-Klaxon?api-version=2023-01-01"
        token = token if token is not None else self.azure.entra.token("klaxon", RESOURCE)
        return requests.post(self.azure.url + path, data=gzip.compress(text) if packed else text, timeout=10, headers={
            "Authorization": f"Bearer {token}", "Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if packed else {}) | (headers or {}))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Entra(tmp_path) as entra, LogAnalytics(entra) as azure:
        yield World(azure)


def answer(got: requests.Response) -> tuple[int, str]:
    code = got.json()["error"]["code"] if got.text else ""
    assert got.headers.get("x-ms-error-code", "") == code
    return got.status_code, code


def test_good_rows_are_kept(world: World) -> None:
    assert answer(world.post()) == (204, "")
    assert answer(world.post(packed=False)) == (204, "")
    [row, _] = world.azure.rows.all()
    assert (row.sent, row.undeclared, row.cut) == (GOOD, [], [])


@pytest.mark.parametrize("rows", [
    GOOD, [], [1], [[GOOD]], [GOOD | {"Name": 1}], [GOOD | {"Count": "1"}], [GOOD | {"Count": 1 << 31}], [GOOD | {"Count": True}],
    [GOOD | {"Yes": 1}], [GOOD | {"TimeGenerated": "soon"}], [GOOD | {"Name": {"a": 1}}], [GOOD, GOOD | {"Real": []}]])
def test_rows_that_azure_would_not_take(world: World, rows: Any) -> None:
    assert answer(world.post(rows))[0] == 400
    assert len(world.azure.rows) == 0


def test_tokens(world: World) -> None:
    azure = world.azure
    azure.entra.resource("https://other.example")
    for token in ("", "x", azure.entra.token("klaxon", "https://other.example"), azure.entra.token("klaxon", RESOURCE, exp=1)):
        assert answer(world.post(token=token)) == (401, "AuthenticationFailed")
    good = azure.entra.token("klaxon", RESOURCE)
    assert world.post(token=good).status_code == 204
    azure.revoke_tokens()
    assert world.post(token=good).status_code == 401
    azure.deny(world.rule, "klaxon")
    assert answer(world.post()) == (403, "OperationFailed")


def test_addresses(world: World) -> None:
    rule = f"/dataCollectionRules/{world.rule}/streams"
    assert answer(world.post(path=f"{rule}/Custom-Klaxon"))[1] == "UnsupportedApiVersion"
    assert answer(world.post(path=f"{rule}/Custom-Other?api-version=2023-01-01")) == (400, "InvalidStream")
    assert answer(world.post(path=f"/dataCollectionRules/dcr-{'0' * 32}/streams/Custom-Klaxon?api-version=2023-01-01")) == (404, "NotFound")
    assert answer(world.post(path="/")) == (404, "NotFound")
    world.azure.remove_rule(world.rule)
    assert world.post().status_code == 404


def test_sizes(world: World) -> None:
    row = GOOD | {"Name": ""}
    room = CALL_BYTES_MAX - len(json.dumps([row]))
    assert world.post(body=json.dumps([row | {"Name": "x" * room}]).encode()).status_code == 204
    for packed in (True, False):
        assert answer(world.post(body=json.dumps([row | {"Name": "x" * (room + 1)}]).encode(), packed=packed)) == (413, "ContentLengthLimitExceeded")
    [kept] = world.azure.rows.all()
    assert kept.cut == ["Name"] and len(kept.columns["Name"]) == 65536


def test_what_azure_does_in_silence_is_noted(world: World) -> None:
    world.post([GOOD | {"TimeGenerated": "2020-01-01T00:00:00Z", "Other": 1}])
    [row] = world.azure.rows.all()
    assert row.replaced and row.columns["TimeGenerated"] > "2020-01-02" and row.undeclared == ["Other"] and "Other" not in row.columns


def test_bodies_that_are_none(world: World) -> None:
    assert answer(world.post(body=b"nothing", packed=False))[0] == 400
    assert answer(world.post(body=b"[]", packed=False, headers={"Content-Encoding": "gzip"}))[0] == 400
    assert answer(world.post(packed=False, headers={"Content-Encoding": "br"}))[0] == 415
    assert answer(world.post(headers={"Content-Type": "text/plain"}))[0] == 415


def test_it_fails_by_command(world: World) -> None:
    world.azure.fault(status=503, times=2)
    world.azure.fault(retry_after=7)
    assert [world.post().status_code for _ in range(4)] == [503, 503, 429, 204]
    for at, kept in (("request", 0), ("answer", 1)):
        before = len(world.azure.rows)
        world.azure.fault(cut="close", at=at)
        with pytest.raises(requests.ConnectionError):
            world.post()
        assert len(world.azure.rows) - before == kept
    world.azure.poison("evil")
    assert answer(world.post([GOOD, GOOD | {"Name": "evil"}])) == (400, "InvalidRecord")
    world.azure.heal()
    world.azure.calls_a_minute = 3
    assert answer(world.post()) == (429, "RequestLimitReached")


def test_a_rule_has_columns_that_azure_has() -> None:
    with pytest.raises(ValueError, match="no column"):
        LogAnalytics.rule(None, {"TimeGenerated": "datetime", "Type": "string"})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="TimeGenerated"):
        LogAnalytics.rule(None, {"Name": "string"})  # type: ignore[arg-type]
