"""Slack's incoming webhooks and Web API (slack_api.py), as strict as the documentation says, with faults by command.

    with Slack() as slack:
        url = slack.new_hook("ops")                 # http://127.0.0.1:…/services/T…/B…/…
        slack.fault(status=503, times=2)            # the next two posts
        slack.fault(hook="ops", retry_after=7)      # 429 with Retry-After
        slack.fault(cut="hang", at="answer")        # taken, and no answer ever
        …
        [message] = slack.messages.wait_count("messages", 1)
        message.payload["text"]

`messages` holds what was accepted; `attempts` holds every post with its answer. A probe (a post of `{}`, auth.test) is neither, and only a
fault without an end (times=0) hits it.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from . import slack_rules
from .faults import Fault, Faults
from .journal import Journal
from .slack_api import CODES, SlackChannel, WebApi
from .web import Exchange, Server, StandIn

# The documented errors of a webhook and their statuses; a fault may name the code alone.
ERRORS = {
    "invalid_payload": 400, "invalid_blocks": 400, "invalid_attachments": 400, "no_text": 400, "msg_blocks_too_long": 400,
    "too_many_attachments": 400, "user_not_found": 400, "invalid_token": 403, "action_prohibited": 403,
    "posting_to_general_channel_denied": 403, "channel_not_found": 404, "no_service": 404, "no_team": 404,
    "channel_is_archived": 410, "rollup_error": 500, "invalid_metadata_format": 400, "invalid_metadata_schema": 400,
}
RATE_LIMITED = '{"retry_after":%d,"ok":false,"error":"rate_limited"}'


@dataclass
class SlackFault(Fault):
    """What to do with a post to `hook` (a webhook's or a channel's name; None: any) instead of judging it.

    method: "webhook", or that of the Web API; None: any. error: one of ERRORS, answered with its status, or one of the Web API's CODES. status, body, headers: any other answer. retry_after: the header, and 429.
    delay: seconds before the answer, whatever it is; alone it only delays.
    cut: "reset" (RST), "close" (FIN) or "hang" instead of the answer; `at="request"`: the message is not taken, `at="answer"`: it is.
    """

    hook: str | None = None
    method: str | None = None
    error: str | None = None
    status: int | None = None
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: int | None = None
    delay: float = 0
    cut: str | None = None
    at: str = "request"

    def __post_init__(self) -> None:
        if self.error is not None and self.error not in ERRORS and self.error not in CODES:
            raise ValueError(f"error: {self.error!r} is none of {', '.join([*ERRORS, *CODES])}")
        if self.cut not in (None, "reset", "close", "hang") or self.at not in ("request", "answer"):
            raise ValueError('cut is "reset", "close" or "hang"; at is "request" or "answer"')

    def answer(self) -> tuple[int, str, dict[str, str]] | None:
        """None: the message is judged as usual."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if self.error is not None:
            return ERRORS.get(self.error, 400), self.body or self.error, headers
        if self.status is not None or self.retry_after is not None:
            status = self.status or 429
            return status, self.body if self.body is not None else _usual_body(status, self.retry_after), headers
        return None


def _usual_body(status: int, retry_after: int | None) -> str:
    return RATE_LIMITED % (retry_after or 1) if status == 429 else f"stage: {status}"


@dataclass
class SlackMessage:
    number: int
    hook: str  # or the channel
    at: float  # unix time of arrival
    payload: dict[str, Any]
    method: str = "webhook"

    def active_markup(self) -> list[str]:
        return slack_rules.active_markup(self.payload)

    def text(self) -> str:
        """Everything a reader sees, one text a line: for looking at, and for `in`."""
        own = [self.payload["text"]] if self.payload.get("text") else []
        inner = slack_rules.texts([self.payload.get("blocks"), self.payload.get("attachments")])
        return "\n".join(own + [text for _, text in inner])

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number, "hook": self.hook, "at": self.at, "method": self.method, "text": self.text(), "payload": self.payload}


@dataclass
class SlackAttempt:
    """One post: the status that was answered (0: none) and why; `hook` is "" for an unknown one."""

    hook: str
    at: float
    status: int
    answer: str
    why: str = ""


@dataclass
class _Hook:
    name: str
    path: str
    free_at: float = 0  # monotonic: the next message that the limit allows


class Slack(StandIn):
    """`rate_limit`: refuse more than one message a second and hook with 429, as Slack does (short bursts are not forgiven)."""

    def __init__(self, rate_limit: bool = False, port: int = 0):
        self.rate_limit = rate_limit
        self.messages: Journal[SlackMessage] = Journal()
        self.attempts: Journal[SlackAttempt] = Journal()
        self.faults = Faults(SlackFault)
        self._hooks: dict[str, _Hook] = {}  # by path
        self._lock = threading.Lock()
        self._server = Server(self._serve, port=port)
        self._api = WebApi(self)

    def new_hook(self, name: str) -> str:
        """The secret URL of a new webhook."""
        token = secrets.token_hex(12)
        path = f"/services/T{token[:8].upper()}/B{token[8:16].upper()}/{secrets.token_hex(12)}"
        with self._lock:
            self._hooks[path] = _Hook(name, path)
        return self.url + path

    def remove_hook(self, name: str) -> None:
        """Posts to it are answered 404 no_service from now on."""
        with self._lock:
            self._hooks = {path: hook for path, hook in self._hooks.items() if hook.name != name}

    def hooks(self) -> dict[str, str]:
        with self._lock:
            return {hook.name: self.url + hook.path for hook in self._hooks.values()}

    @property
    def api_url(self) -> str:
        return self.url + "/api/"

    def new_bot(self, name: str = "klaxon", scopes: tuple[str, ...] = ("chat:write",)) -> str:
        """The token of a new bot."""
        return self._api.new_bot(name, scopes)

    def revoke_bot(self, name: str = "klaxon") -> None:
        self._api.revoke(name)

    def new_channel(self, name: str) -> str:
        """The ID of a new channel, for bots."""
        return self._api.new_channel(name).id

    def channel(self, name: str) -> SlackChannel:
        """By name or ID: what stands in it."""
        return self._api.channel(name)

    def fault(self, **fields: Any) -> None:
        self.faults.add(**fields)

    def of(self, hook: str) -> list[SlackMessage]:
        return [message for message in self.messages.all() if message.hook == hook]

    # one post

    def _serve(self, exchange: Exchange) -> None:
        if exchange.route_path.startswith("/api/"):
            self._api.serve(exchange)
            return
        with self._lock:
            hook = self._hooks.get(exchange.route_path)
        if hook is None:
            self.answer(exchange, "", 404, "no_service" if exchange.route_path.startswith("/services/") else "not_found")
            return
        if exchange.body == b"{}":
            self._probe(exchange, hook)
            return
        fault = self.take_fault(hook.name, "webhook")
        if fault is None:
            return
        if fault.cut and fault.at == "request":
            self.cut(exchange, hook.name, fault)
            return
        answer = fault.answer()
        if answer is not None:
            status, body, headers = answer
            self.answer(exchange, hook.name, status, body, headers, "by command")
            return
        self._judge(exchange, hook, fault)

    def _probe(self, exchange: Exchange, hook: _Hook) -> None:
        status, body, headers = self.standing_answer(hook.name, "webhook") or (400, "no_text", {})
        # Or else the first message goes on this connection, and libcurl itself repeats it when that ends without an answer.
        exchange.close_connection = True
        exchange.send(status, body, headers=headers | {"Connection": "close"})

    def standing_answer(self, hook: str, method: str) -> tuple[int, str, dict[str, str]] | None:
        """What is answered to whoever asks, for as long as the fault stands."""
        fault = self.faults.standing(hook=hook, method=method)
        return fault.answer() if fault else None

    def _judge(self, exchange: Exchange, hook: _Hook, fault: SlackFault) -> None:
        try:
            payload = self._read(exchange)
        except slack_rules.Refused as refused:
            self.answer(exchange, hook.name, ERRORS[refused.code], refused.code, why=refused.why)
            return
        wait = self._seconds_to_wait(hook)
        if wait > 0:
            retry = int(wait) + 1
            self.answer(exchange, hook.name, 429, RATE_LIMITED % retry, {"Retry-After": str(retry)}, "more than one a second")
            return
        self.accept(hook.name, payload)
        if fault.cut:
            self.cut(exchange, hook.name, fault)
        else:
            self.answer(exchange, hook.name, 200, "ok")

    def take_fault(self, hook: str, method: str) -> SlackFault | None:
        """What to do, after its delay; None: the stage stops."""
        fault = self.faults.take(hook=hook, method=method) or SlackFault()
        return None if fault.delay and self._server.stopping.wait(fault.delay) else fault

    def accept(self, hook: str, payload: dict[str, Any], method: str = "webhook") -> None:
        with self._lock:
            self.messages.append(SlackMessage(len(self.messages), hook, time.time(), payload, method))

    def _read(self, exchange: Exchange) -> dict[str, Any]:
        if exchange.command != "POST":
            raise slack_rules.Refused("invalid_payload", f"{exchange.command} is not POST")
        kind = exchange.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise slack_rules.Refused("invalid_payload", f"Content-Type is {kind!r}, not application/json")
        try:
            payload = json.loads(exchange.body.decode("utf-8"))
        except ValueError as problem:
            raise slack_rules.Refused("invalid_payload", str(problem)) from None
        slack_rules.check_message(payload)
        return payload

    def _seconds_to_wait(self, hook: _Hook) -> float:
        with self._lock:
            now = time.monotonic()
            wait = hook.free_at - now if self.rate_limit else 0
            if wait <= 0:
                hook.free_at = now + 1
            return wait

    def answer(self, exchange: Exchange, hook: str, status: int, body: str, headers: dict[str, str] | None = None,
                why: str = "") -> None:
        self.attempts.append(SlackAttempt(hook, time.time(), status, body, why))
        exchange.send(status, body, headers=headers)

    def cut(self, exchange: Exchange, hook: str, fault: SlackFault) -> None:
        self.attempts.append(SlackAttempt(hook, time.time(), 0, f"{fault.cut} at {fault.at}", "by command"))
        {"reset": exchange.reset, "close": exchange.close, "hang": exchange.hang}[fault.cut]()
