"""Workflows of Teams (flows of Power Automate), as strict as their documentation, with faults by command.

    with Teams() as teams:
        url = teams.new_flow("ops")                    # Teams' template: 202 at once, whatever becomes of the message
        url = teams.new_flow("dev", responds=True)     # with a Response action: 200 {"messageId": …}, replies, or what went wrong
        teams.fault(status=503, times=2)               # the next two posts
        teams.fault(flow="ops", retry_after=7)         # 429 with Retry-After
        teams.fault(error="WorkflowTriggerIsNotEnabled")
        teams.fault(run=413)                           # the trigger takes it, and Teams does not take it from the flow
        teams.fault(cut="close", at="answer")          # posted, and no answer
        …
        [message] = teams.messages.wait_count("messages", 1)
        message.card, message.reply_to, message.text()

`messages` holds what stands in Teams; `runs` what a flow's run history shows; `attempts` every post with its answer.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from . import teams_rules
from .faults import Fault, Faults
from .journal import Journal
from .web import Exchange, Server, StandIn

# Codes of Power Automate and their statuses; a fault may name the code alone.
ERRORS = {
    "TriggerInputSchemaMismatch": 400, "InvalidRequestContent": 400, "WorkflowTriggerIsNotEnabled": 400, "MissingApiVersionParameter": 400,
    "DirectApiAuthorizationRequired": 401, "RequestDisallowedByPolicy": 403, "WorkflowNotFound": 404, "RequestEntityTooLarge": 413,
    "TooManyRequests": 429, "NoResponse": 502, "ServerBusy": 503, "GatewayTimeout": 504,
}
REQUEST_BYTES_MAX = 100 << 20  # of the trigger
RATE, RATE_SECONDS = 60, 60  # what a flow passes on, with `rate_limit`


@dataclass
class TeamsFault(Fault):
    """What to do with a post to `flow` (by name; None: any) instead of judging it.

    error: one of ERRORS, answered with its status. status, body, headers: any other answer. retry_after: the header, and 429.
    run: the trigger takes the message, and the post to Teams fails with this status. delay: seconds before the answer, whatever it is.
    cut: "reset" (RST), "close" (FIN) or "hang" instead of the answer; `at="request"`: the message is not taken, `at="answer"`: it is.
    """

    flow: str | None = None
    error: str | None = None
    status: int | None = None
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: int | None = None
    run: int | None = None
    delay: float = 0
    cut: str | None = None
    at: str = "request"

    def __post_init__(self) -> None:
        if self.error is not None and self.error not in ERRORS:
            raise ValueError(f"error: {self.error!r} is none of {', '.join(ERRORS)}")
        if self.cut not in (None, "reset", "close", "hang") or self.at not in ("request", "answer"):
            raise ValueError('cut is "reset", "close" or "hang"; at is "request" or "answer"')

    def answer(self) -> tuple[int, str, dict[str, str]] | None:
        """None: the message is judged as usual."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.error is not None:
            return ERRORS[self.error], self.body or _error(self.error, "by command"), headers
        if self.status is not None or self.retry_after is not None:
            return self.status or 429, self.body if self.body is not None else "", headers
        return None


def _error(code: str, message: str) -> str:
    return json.dumps({"error": {"code": code, "message": message}})


@dataclass
class TeamsMessage:
    """`id` as Teams gives it; `reply_to`: that of the message it stands under."""

    number: int
    flow: str
    id: str
    reply_to: str | None
    at: float  # unix time of arrival
    payload: dict[str, Any]
    tracking: str  # x-ms-client-tracking-id

    @property
    def card(self) -> dict[str, Any]:
        return self.payload["attachments"][0]["content"]

    def active_markup(self) -> list[str]:
        return teams_rules.active_markup(self.card)

    def text(self) -> str:
        """Everything a reader sees, one text a line: for looking at, and for `in`."""
        return "\n".join(teams_rules.lines(self.card))

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number, "flow": self.flow, "id": self.id, "replyTo": self.reply_to, "at": self.at, "text": self.text(),
                "payload": self.payload}


@dataclass
class TeamsRun:
    """A line of a flow's run history."""

    flow: str
    at: float
    status: str  # Succeeded, Failed
    why: str = ""


@dataclass
class TeamsAttempt:
    """One post: the status that was answered (0: none) and why; `flow` is "" for an unknown one; `query` as it came."""

    flow: str
    at: float
    status: int
    answer: str
    query: str = ""
    why: str = ""


@dataclass
class _Flow:
    name: str
    path: str
    query: str
    responds: bool
    on: bool = True
    taken_at: list[float] = field(default_factory=list)


class Teams(StandIn):
    """`rate_limit`: refuse more than 60 messages a minute and flow with 429."""

    def __init__(self, rate_limit: bool = False, port: int = 0):
        self.rate_limit = rate_limit
        self.messages: Journal[TeamsMessage] = Journal()
        self.runs: Journal[TeamsRun] = Journal()
        self.attempts: Journal[TeamsAttempt] = Journal()
        self.faults = Faults(TeamsFault)
        self._flows: dict[str, _Flow] = {}  # by path
        self._gone: set[str] = set()  # ids of messages
        self._lock = threading.Lock()
        self._server = Server(self._serve, port=port)

    def new_flow(self, name: str, responds: bool = False) -> str:
        """The secret URL of a new flow: its signature holds what must not be encoded anew."""
        path = f"/powerautomate/automations/direct/workflows/{secrets.token_hex(16)}/triggers/manual/paths/invoke"
        signature = f"{secrets.token_urlsafe(24)}%2b~{secrets.token_hex(4)}"
        query = f"api-version=2022-03-01-preview&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={signature}"
        with self._lock:
            self._flows[path] = _Flow(name, path, query, responds)
        return f"{self.url}{path}?{query}"

    def turn(self, name: str, on: bool) -> None:
        """A flow that is off answers 400 WorkflowTriggerIsNotEnabled."""
        with self._lock:
            for flow in self._flows.values():
                flow.on = on if flow.name == name else flow.on

    def forget(self, flow: str) -> None:
        """Somebody deletes what stands in Teams: replies to it are posted anew."""
        with self._lock:
            self._gone |= {message.id for message in self.messages.all() if message.flow == flow}

    def flows(self) -> dict[str, str]:
        with self._lock:
            return {flow.name: f"{self.url}{flow.path}?{flow.query}" for flow in self._flows.values()}

    def signature(self, name: str) -> str:
        """What nobody may see of the flow's URL."""
        return self.flows()[name].rpartition("sig=")[2]

    def fault(self, **fields: Any) -> None:
        self.faults.add(**fields)

    def of(self, flow: str) -> list[TeamsMessage]:
        return [message for message in self.messages.all() if message.flow == flow]

    # one post

    def _serve(self, exchange: Exchange) -> None:
        query = exchange.path.partition("?")[2]
        with self._lock:
            flow = self._flows.get(exchange.route_path)
        if flow is None:
            self._answer(exchange, "", 404, _error("WorkflowNotFound", "The workflow could not be found."), query)
            return
        if query != flow.query:
            self._answer(exchange, flow.name, 401, _error("DirectApiAuthorizationRequired", f"The request must be authenticated; the query was {query}"),
                         query, why="not the query of the URL, byte for byte")
            return
        fault = self.faults.take(flow=flow.name) or TeamsFault()
        if fault.delay and self._server.stopping.wait(fault.delay):
            return
        answer = fault.answer()
        if fault.cut and fault.at == "request":
            self._cut(exchange, flow, fault)
        elif answer is not None:
            status, body, headers = answer
            self._answer(exchange, flow.name, status, body, query, headers, "by command")
        else:
            self._run(exchange, flow, fault)

    def _run(self, exchange: Exchange, flow: _Flow, fault: TeamsFault) -> None:
        try:
            message = self._trigger(exchange, flow)
            cards = teams_rules.read_envelope(message)
            for card in cards:
                teams_rules.check_card(card)
            if fault.run is not None:
                raise teams_rules.Refused(fault.run, "ByCommand", "the post to Teams failed")
        except teams_rules.Refused as refused:
            self._refuse(exchange, flow, refused)
            return
        posted = self._post(flow, message, exchange)
        if fault.cut:
            self._cut(exchange, flow, fault)
        elif flow.responds:
            self._answer(exchange, flow.name, 200, json.dumps({"messageId": posted.id, "reply": posted.reply_to is not None}), flow.query)
        else:
            self._answer(exchange, flow.name, 202, "", flow.query)

    def _refuse(self, exchange: Exchange, flow: _Flow, refused: teams_rules.Refused) -> None:
        """By the trigger, which answers; or in the run, of which only a Response action tells."""
        if refused.code in ERRORS and refused.code != "RequestEntityTooLarge":
            headers = {"Retry-After": refused.why} if refused.status == 429 else {}
            self._answer(exchange, flow.name, refused.status, _error(refused.code, refused.why), flow.query, headers, refused.why)
            return
        self.runs.append(TeamsRun(flow.name, time.time(), "Failed", f"{refused.code}: {refused.why}"))
        if flow.responds:
            self._answer(exchange, flow.name, 502, _error(f"post_{refused.status or 400}", refused.why), flow.query, why=refused.why)
        else:
            self._answer(exchange, flow.name, 202, "", flow.query, why=refused.why)

    def _trigger(self, exchange: Exchange, flow: _Flow) -> Any:
        if not flow.on:
            raise teams_rules.Refused(400, "WorkflowTriggerIsNotEnabled",
                                      "Could not execute workflow 'x' trigger 'manual' with state 'Disabled': trigger is not enabled.")
        kind = exchange.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if exchange.command != "POST" or kind != "application/json" or len(exchange.body) > REQUEST_BYTES_MAX:
            raise teams_rules.Refused(400, "InvalidRequestContent", f"{exchange.command} of {kind!r}")
        try:
            message = json.loads(exchange.body)
        except ValueError as problem:
            raise teams_rules.Refused(400, "InvalidRequestContent", str(problem)) from None
        wait = self._seconds_to_wait(flow)
        if wait > 0:
            raise teams_rules.Refused(429, "TooManyRequests", str(int(wait) + 1))
        return message

    def _seconds_to_wait(self, flow: _Flow) -> float:
        with self._lock:
            now = time.monotonic()
            flow.taken_at = [at for at in flow.taken_at if at > now - RATE_SECONDS]
            if self.rate_limit and len(flow.taken_at) >= RATE:
                return flow.taken_at[0] + RATE_SECONDS - now
            flow.taken_at.append(now)
            return 0

    def _post(self, flow: _Flow, message: dict, exchange: Exchange) -> TeamsMessage:
        """The template's flow knows nothing of replyToId; klaxon's posts anew when the message to reply to is not there any more."""
        with self._lock:
            asked = message.get("replyToId") if flow.responds else None
            roots = [one.id for one in self.messages.all() if one.flow == flow.name and one.reply_to is None and one.id not in self._gone]
            number = len(self.messages)
            posted = TeamsMessage(number, flow.name, str(1773216798316 + number), asked if asked in roots else None, time.time(), message,
                                  exchange.headers.get("x-ms-client-tracking-id", ""))
            self.messages.append(posted)
        self.runs.append(TeamsRun(flow.name, time.time(), "Succeeded"))
        return posted

    def _answer(self, exchange: Exchange, flow: str, status: int, body: str, query: str, headers: dict[str, str] | None = None,
                why: str = "") -> None:
        self.attempts.append(TeamsAttempt(flow, time.time(), status, body, query, why))
        exchange.send(status, body, content_type="application/json; charset=utf-8", headers=headers)

    def _cut(self, exchange: Exchange, flow: _Flow, fault: TeamsFault) -> None:
        self.attempts.append(TeamsAttempt(flow.name, time.time(), 0, f"{fault.cut} at {fault.at}", flow.query, "by command"))
        {"reset": exchange.reset, "close": exchange.close, "hang": exchange.hang}[fault.cut]()
