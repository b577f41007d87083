"""A server of ntfy (docs.ntfy.sh/publish), as strict as its documentation, with faults by command.

    with Ntfy() as ntfy:
        ntfy.url, ntfy.token                     # POST JSON to url, with Authorization: Bearer
        ntfy.fault(status=503, times=2)          # the next two requests
        ntfy.fault(code=42901, retry_after=2)    # 429 with ntfy's error, and Retry-After
        ntfy.fault(cut="close", at="answer")     # taken, and no answer
        …
        [message] = ntfy.messages.wait_count("messages", 1)
        message.topic, message.title, message.message, message.priority, message.tags

`messages` holds what was taken, `refused` the code and the words of what was not.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import dataclass
from typing import Any

from .faults import Fault, Faults
from .journal import Journal
from .web import Exchange, Server, StandIn

MESSAGE_BYTES_MAX, TITLE_BYTES_MAX, BODY_BYTES_MAX = 4096, 250, 8192
KEYS = {"topic", "message", "title", "tags", "priority", "actions", "click", "attach", "markdown", "icon", "filename", "delay", "email", "call"}


@dataclass
class NtfyFault(Fault):
    """code: an error of ntfy, its status in front. status, body: any other answer. cut: "reset" or "close" instead of the answer;
    `at="request"`: the message is not taken, `at="answer"`: it is."""

    code: int | None = None
    status: int | None = None
    body: str = ""
    retry_after: int | None = None
    cut: str | None = None
    at: str = "request"

    def __post_init__(self) -> None:
        if self.cut not in (None, "reset", "close") or self.at not in ("request", "answer"):
            raise ValueError('cut is "reset" or "close"; at is "request" or "answer"')


@dataclass
class Message:
    id: str
    topic: str
    title: str
    message: str
    priority: int
    tags: list[str]
    click: str | None
    at: float


class Refused(Exception):
    def __init__(self, code: int, why: str):
        super().__init__(why)
        self.code = code


def need(holds: object, code: int, why: str) -> None:
    if not holds:
        raise Refused(code, why)


class Ntfy(StandIn):
    def __init__(self, port: int = 0):
        self.token = "tk_" + secrets.token_hex(14)
        self.messages: Journal[Message] = Journal()
        self.refused: Journal[tuple[int, str]] = Journal()
        self.forbidden: set[str] = set()  # topics that the token may not write to
        self.faults = Faults(NtfyFault)
        self._server = Server(self._serve, port=port)

    def fault(self, **fields: Any) -> None:
        self.faults.add(**fields)

    def of(self, topic: str) -> list[Message]:
        return [message for message in self.messages.all() if message.topic == topic]

    def _serve(self, exchange: Exchange) -> None:
        fault = self.faults.take()
        if fault is not None and (fault.code or fault.status):
            _answer_fault(exchange, fault)
            return
        if fault is not None and fault.cut and fault.at == "request":
            getattr(exchange, fault.cut)()
            return
        try:
            message = self._take(exchange)
        except Refused as refused:
            self.refused.append((refused.code, str(refused)))
            _answer_error(exchange, refused.code, str(refused))
            return
        self.messages.append(message)
        if fault is not None and fault.cut:
            getattr(exchange, fault.cut)()
        else:
            exchange.send(200, {"id": message.id, "time": int(message.at), "expires": int(message.at) + 43200, "event": "message",
                                "topic": message.topic, "title": message.title, "message": message.message})

    def _take(self, exchange: Exchange) -> Message:
        need(exchange.route_path == "/" and exchange.command in ("POST", "PUT"), 40401, "page not found")
        need(exchange.headers.get("Authorization") == f"Bearer {self.token}", 40101, "unauthorized")
        need(len(exchange.body) <= BODY_BYTES_MAX, 41303, "JSON body too large")
        try:
            body = json.loads(exchange.body)
        except ValueError:
            raise Refused(40024, "invalid request: request body must be valid JSON") from None
        return self._read(body)

    def _read(self, body: Any) -> Message:
        need(isinstance(body, dict), 40024, "invalid request: request body must be valid JSON")
        need(set(body) <= KEYS, 40024, f"unknown: {set(body) - KEYS}")  # ntfy says nothing of these: it ignores them
        topic, message, title = (body.get(name, "") for name in ("topic", "message", "title"))
        need(isinstance(topic, str) and re.fullmatch("[-_A-Za-z0-9]{1,64}", topic), 40009, "invalid request: topic invalid")
        need(topic not in self.forbidden, 40301, "forbidden")
        need(isinstance(message, str) and isinstance(title, str), 40024, "a text that is none")
        need(0 < len(message.encode()) <= MESSAGE_BYTES_MAX, 41301, "an empty message, or one that ntfy would make a file of")
        need(len(title.encode()) <= TITLE_BYTES_MAX, 40024, "a longer title than ntfy documents")
        priority, tags, click = body.get("priority", 3), body.get("tags", []), body.get("click")
        need(isinstance(priority, int) and 1 <= priority <= 5, 40007, "invalid priority parameter")
        need(isinstance(tags, list) and all(isinstance(tag, str) and tag for tag in tags), 40024, "tags is a list of texts")
        need(click is None or re.fullmatch(r"https?://\S+", click), 40024, "click is a URL")
        return Message(secrets.token_urlsafe(9), topic, title, message, priority, tags, click, time.time())


def _answer_error(exchange: Exchange, code: int, why: str, headers: dict[str, str] | None = None) -> None:
    exchange.send(code // 100, {"code": code, "http": code // 100, "error": why, "link": "https://ntfy.sh/docs/publish/"}, headers=headers)


def _answer_fault(exchange: Exchange, fault: NtfyFault) -> None:
    headers = {"Retry-After": str(fault.retry_after)} if fault.retry_after is not None else {}
    if fault.code is not None:
        _answer_error(exchange, fault.code, "by command", headers)
    else:
        exchange.send(fault.status or 500, fault.body, headers=headers)
