"""The Logs Ingestion API of Azure Monitor: one endpoint with data collection rules, as strict as documented, with faults by command.

    with LogAnalytics(entra) as azure:                   # its tokens are checked; keys: with TLS
        rule = azure.rule(columns={"TimeGenerated": "datetime", …})        # or azure.rule_of(template)
        azure.grant(rule, "klaxon")                      # until then 403, as when a role is missing
        azure.poison("evil")                             # a row that holds this makes its whole request 400
        azure.fault(status=503, times=2); azure.fault(retry_after=7); azure.fault(cut="hang", at="answer")
        …  azure.url, rule                               # what is configured
        [row] = azure.rows.wait_count("rows", 1)         # row.columns is what a query would see, row.sent what came
        azure.calls.all()                                # every request with its answer

What Azure does in silence it does too, and notes it: a value of more than 64 KB is cut (row.cut), a TimeGenerated that is too old or too far
ahead is replaced (row.replaced), a column that the rule does not declare is dropped (row.undeclared).
"""

from __future__ import annotations

import datetime
import json
import re
import secrets
import threading
import time
import zlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .entra import Entra
from .faults import Fault, Faults
from .journal import Journal
from .jwt import BadToken
from .keys import Keys
from .web import Exchange, Server, StandIn

RESOURCE = "https://monitor.azure.com"
API_VERSIONS = ("2021-11-01-preview", "2023-01-01")
CALL_BYTES_MAX = 1 << 20
FIELD_BYTES_MAX = 64 << 10
CALLS_A_MINUTE = 12000
RESERVED = {"_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"}
TYPES = {"string": str, "int": int, "long": int, "real": (int, float), "boolean": bool, "datetime": str, "dynamic": object}
OLD, AHEAD = datetime.timedelta(days=2), datetime.timedelta(days=1)


@dataclass
class IngestFault(Fault):
    """Instead of judging a request to a rule.

    status, code, body: any answer; code goes into the error as Azure writes it. retry_after: the header, and 429. delay: seconds before it.
    cut: "reset", "close" or "hang" instead of the answer; at="request": nothing is taken, at="answer": the rows are.
    """

    status: int | None = None
    code: str | None = None
    body: str | None = None
    retry_after: int | None = None
    delay: float = 0
    cut: str | None = None
    at: str = "request"

    def __post_init__(self) -> None:
        if self.cut not in (None, "reset", "close", "hang") or self.at not in ("request", "answer"):
            raise ValueError('cut is "reset", "close" or "hang"; at is "request" or "answer"')


@dataclass
class Call:
    """A request, and what was answered; `code` is the error's, "" of what was taken. status 0: none was."""

    at: float
    client: str
    status: int
    code: str = ""
    rows: int = 0
    json_bytes: int = 0
    packed_bytes: int = 0
    request_id: str = ""


@dataclass
class Row:
    number: int
    at: float
    rule: str
    columns: dict[str, Any]
    sent: dict[str, Any]
    cut: list[str] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    replaced: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Refused(Exception):
    def __init__(self, status: int, code: str, text: str):
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


@dataclass
class _Rule:
    stream: str
    columns: dict[str, str]
    granted: set[str] = field(default_factory=set)


class LogAnalytics(StandIn):
    def __init__(self, entra: Entra, keys: Keys | None = None, port: int = 0):
        self.entra = entra
        entra.resource(RESOURCE)
        self.ca = keys.ca if keys else None
        self.rows: Journal[Row] = Journal()
        self.calls: Journal[Call] = Journal()
        self.faults = Faults(IngestFault)
        self.calls_a_minute = CALLS_A_MINUTE
        self._rules: dict[str, _Rule] = {}
        self._poison: set[str] = set()
        self._seen: set[str] = set()
        self._revoked: set[str] = set()
        self._lock = threading.Lock()
        self._server = Server(self._serve, tls=keys.server_context() if keys else None, port=port)

    # what there is

    def rule(self, columns: dict[str, str], stream: str = "Custom-Klaxon") -> str:
        """A data collection rule with that stream; answers its immutable id. Refuses what Azure would not take as a table."""
        for name, kind in columns.items():
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,44}", name) or name in RESERVED or kind not in TYPES:
                raise ValueError(f"no column of Azure's: {name} {kind}")
        if columns.get("TimeGenerated") != "datetime":
            raise ValueError("a table has a TimeGenerated of type datetime")
        made = f"dcr-{secrets.token_hex(16)}"
        with self._lock:
            self._rules[made] = _Rule(stream, dict(columns))
        return made

    def rule_of(self, template: Path) -> str:
        """That of deploy/azure/loganalytics.json. The table must have the same columns."""
        variables = json.loads(template.read_text())["variables"]
        columns, table = ({c["name"]: c["type"].lower() for c in variables[name]} for name in ("streamColumns", "tableColumns"))
        if columns != table:
            raise ValueError("stream and table differ")
        return self.rule(columns)

    def grant(self, rule: str, client: str) -> None:
        """The role Monitoring Metrics Publisher, known everywhere."""
        self._rules[rule].granted.add(client)

    def deny(self, rule: str, client: str) -> None:
        self._rules[rule].granted.discard(client)

    def remove_rule(self, rule: str) -> None:
        with self._lock:
            self._rules.pop(rule)

    def revoke_tokens(self) -> None:
        """Every token that was seen so far is answered 401."""
        with self._lock:
            self._revoked |= self._seen

    def poison(self, text: str) -> None:
        self._poison.add(text)

    def heal(self) -> None:
        self._poison.clear()

    def fault(self, **fields: Any) -> None:
        self.faults.add(**fields)

    def once(self) -> list[dict[str, Any]]:
        """The table without duplicates: summarize take_any(*) by RecordId."""
        return list({row.columns["RecordId"]: row.columns for row in self.rows.all()}.values())

    # one request

    def _serve(self, exchange: Exchange) -> None:
        call = Call(time.time(), "", 0, packed_bytes=len(exchange.body), request_id=exchange.headers.get("x-ms-client-request-id", ""))
        fault = self.faults.take() or IngestFault()
        if fault.delay and self._server.stopping.wait(fault.delay):
            return
        if fault.cut and fault.at == "request":
            self._cut(exchange, call, fault)
            return
        try:
            if fault.retry_after is not None or fault.status is not None:
                self._by_command(exchange, call, fault)
                return
            rule_id, rows = self._judge(exchange, call)
        except Refused as refused:
            self._refuse(exchange, call, refused)
            return
        for sent in rows:
            self._store(rule_id, sent)
        if fault.cut:
            self._cut(exchange, call, fault)
            return
        call.status = 204
        self.calls.append(call)
        exchange.send(204)

    def _by_command(self, exchange: Exchange, call: Call, fault: IngestFault) -> None:
        call.status, call.code = fault.status or 429, fault.code or "ByCommand"
        self.calls.append(call)
        headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
        body = fault.body if fault.body is not None else json.dumps({"error": {"code": call.code, "message": "By command."}})
        exchange.send(call.status, body, headers=headers)

    def _refuse(self, exchange: Exchange, call: Call, refused: Refused) -> None:
        call.status, call.code = refused.status, refused.code
        self.calls.append(call)
        extra = {"Retry-After": "1"} if refused.status == 429 else {}
        exchange.send(refused.status, {"error": {"code": refused.code, "message": refused.text, "target": None, "details": []}},
                      headers={"x-ms-error-code": refused.code} | extra)

    def _cut(self, exchange: Exchange, call: Call, fault: IngestFault) -> None:
        call.code = f"{fault.cut} at {fault.at}"
        self.calls.append(call)
        {"reset": exchange.reset, "close": exchange.close, "hang": exchange.hang}[fault.cut or ""]()

    def _judge(self, exchange: Exchange, call: Call) -> tuple[str, list[dict[str, Any]]]:
        """In the order in which an API gateway looks: the token, the address, the role, the size, the content."""
        call.client = self._client_of(exchange.headers.get("Authorization", ""))
        rule_id, rule = self._rule_of(exchange)
        if call.client not in rule.granted:
            raise Refused(403, "OperationFailed", "The authentication token provided does not have access to ingest data for the data collection "
                                                  f"rule with immutable Id '{rule_id}'.")
        self._check_rate(call)
        text = self._text_of(exchange)
        call.json_bytes = len(text)
        rows = self._rows_of(text, rule)
        call.rows = len(rows)
        return rule_id, rows

    def _client_of(self, authorization: str) -> str:
        kind, _, token = authorization.partition(" ")
        with self._lock:
            revoked = token in self._revoked
            self._seen.add(token)
        try:
            claims = self.entra.key.read(token)
        except BadToken:
            claims = {}
        if kind != "Bearer" or revoked or claims.get("aud") != RESOURCE or not claims["nbf"] <= time.time() < claims["exp"]:
            raise Refused(401, "AuthenticationFailed", "Authentication failed: the token is missing, has expired or has the wrong audience.")
        return claims["appid"]

    def _rule_of(self, exchange: Exchange) -> tuple[str, _Rule]:
        match = re.fullmatch(r"/dataCollectionRules/([^/]+)/streams/([^/]+)", exchange.route_path)
        if match is None:
            raise Refused(404, "NotFound", "The path is none of this API.")
        if exchange.command != "POST":
            raise Refused(405, "MethodNotAllowed", f"{exchange.command} is not POST.")
        if exchange.query.get("api-version") not in API_VERSIONS:
            raise Refused(400, "UnsupportedApiVersion", "The api-version is missing or is not supported.")
        with self._lock:
            rule = self._rules.get(match[1])
        if rule is None:
            raise Refused(404, "NotFound", f"Data collection rule with immutable Id '{match[1]}' not found.")
        if match[2] != rule.stream:
            raise Refused(400, "InvalidStream", f"The stream {match[2]} was not configured in the data collection rule with immutable Id {match[1]}.")
        return match[1], rule

    def _check_rate(self, call: Call) -> None:
        recent = [one for one in self.calls.all()[-self.calls_a_minute:] if one.at > call.at - 60]
        if len(recent) >= self.calls_a_minute:
            raise Refused(429, "RequestLimitReached", "The rule's requests a minute are used up.")

    def _text_of(self, exchange: Exchange) -> bytes:
        if exchange.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
            raise Refused(415, "UnsupportedMediaType", "Content-Type is not application/json.")
        too_large = Refused(413, "ContentLengthLimitExceeded", f"Maximum allowed content length is {CALL_BYTES_MAX} bytes.")
        if len(exchange.body) > CALL_BYTES_MAX:
            raise too_large
        encoding = exchange.headers.get("Content-Encoding")
        if encoding is None:
            return exchange.body
        if encoding != "gzip":
            raise Refused(415, "UnsupportedMediaType", f"Content-Encoding {encoding} is not gzip.")
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            text = unpack.decompress(exchange.body, CALL_BYTES_MAX + 1)
        except zlib.error as problem:
            raise Refused(400, "InvalidPayload", f"The body is no gzip: {problem}.") from None
        if len(text) > CALL_BYTES_MAX:
            raise too_large
        if not unpack.eof or unpack.unused_data:
            raise Refused(400, "InvalidPayload", "The body is no whole gzip.")
        return text

    def _rows_of(self, text: bytes, rule: _Rule) -> list[dict[str, Any]]:
        try:
            rows = json.loads(text.decode("utf-8"))
        except ValueError as problem:
            raise Refused(400, "InvalidPayload", f"The body is no JSON: {problem}.") from None
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise Refused(400, "InvalidPayload", "The body is no array of objects.")
        for row in rows:
            self._check_row(row, rule)
        return rows

    def _check_row(self, row: dict[str, Any], rule: _Rule) -> None:
        if any(text in json.dumps(row, ensure_ascii=False) for text in self._poison):
            raise Refused(400, "InvalidRecord", "A record is not acceptable.")
        for name, value in row.items():
            kind = rule.columns.get(name, "dynamic")
            flat = not isinstance(value, dict | list) or kind == "dynamic"
            good = isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
            if not flat or not (good or value is None) or (kind == "int" and value is not None and abs(value) >= 1 << 31):
                raise Refused(400, "InvalidRecord", f"{name} is no {kind}.")
            if kind == "datetime" and value is not None:
                _instant(name, value)

    def _store(self, rule_id: str, sent: dict[str, Any]) -> None:
        rule, now = self._rules[rule_id], datetime.datetime.now(datetime.UTC)
        columns = {name: value for name, value in sent.items() if name in rule.columns}
        undeclared = sorted(set(sent) - set(columns))
        cut = []
        for name, value in columns.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            if len(text.encode()) > FIELD_BYTES_MAX:
                cut.append(name)
                columns[name] = text.encode()[:FIELD_BYTES_MAX].decode("utf-8", "ignore")
        generated = _instant("TimeGenerated", columns["TimeGenerated"]) if "TimeGenerated" in columns else None
        replaced = generated is None or not now - OLD < generated < now + AHEAD
        if replaced:
            columns["TimeGenerated"] = now.isoformat().replace("+00:00", "Z")
        with self._lock:
            self.rows.append(Row(len(self.rows), now.timestamp(), rule_id, columns, sent, cut, undeclared, replaced))


def _instant(name: str, text: str) -> datetime.datetime:
    try:
        made = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Refused(400, "InvalidRecord", f"{name} is no datetime.") from None
    return made if made.tzinfo else made.replace(tzinfo=datetime.UTC)
