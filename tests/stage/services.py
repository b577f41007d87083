"""PagerDuty's Events API v2, ServiceNow's table em_event, and a service of no name, as strict as their documentation says.

    with Services() as services:
        services.url + "/v2/enqueue"                     # PagerDuty
        services.url + "/api/now/table/em_event"         # ServiceNow
        services.url + "/hook"                           # takes everything
        services.fault(status=503, times=2)
        …
        services.alerts["klaxon-…"]                      # PagerDuty: dedup_key → "triggered" or "resolved"

`requests` holds what was taken, `refused` what was not and why.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .faults import Fault, Faults
from .journal import Journal
from .web import Exchange, Server, StandIn

KEY = "stage0routing0key0of0thirtytwo00"
LOGIN = "klaxon.integration:stage-password"


@dataclass
class ServiceFault(Fault):
    status: int | None = None
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: str | None = None  # "reset" or "close": taken, and no answer


@dataclass
class Request:
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "headers": self.headers, "text": self.body.decode("utf-8", "replace")}


class Refused(Exception):
    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status, self.why = status, why


def need(holds: object, why: str, status: int = 400) -> None:
    if not holds:
        raise Refused(status, why)


def a_text(value: object, name: str, most: int, least: int = 1) -> str:
    need(isinstance(value, str) and least <= len(value) <= most, f"{name} is a text of {least} to {most} characters, not {value!r}")
    return str(value)


def check_pagerduty(event: Any) -> None:
    """developer.pagerduty.com, Events API v2: send an alert event."""
    need(isinstance(event, dict), "not an object")
    known = {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"}
    need(set(event) <= known, f"unknown: {set(event) - known}")
    need(a_text(event.get("routing_key"), "routing_key", 32, 32) == KEY, "routing_key is not of this account")
    need(event.get("event_action") in ("trigger", "acknowledge", "resolve"), "event_action")
    a_text(event.get("dedup_key"), "dedup_key", 255)
    for link in event.get("links", []):
        need(set(link) <= {"href", "text"} and link["href"].startswith("https://"), f"a link is {{href, text}}, not {link}")
    payload = event.get("payload", {})
    a_text(payload.get("summary"), "payload.summary", 1024)
    a_text(payload.get("source"), "payload.source", 1024)
    need(payload.get("severity") in ("critical", "error", "warning", "info"), "payload.severity")
    datetime.fromisoformat(payload["timestamp"].replace("Z", "+00:00"))
    need(isinstance(payload.get("custom_details", {}), dict), "payload.custom_details")


# The columns of em_event and their lengths (docs.servicenow.com, Event Management, "Event fields").
EM_EVENT = {"source": 100, "node": 100, "type": 100, "resource": 100, "metric_name": 100, "event_class": 100, "message_key": 1024, "severity": 1,
            "resolution_state": 100, "time_of_event": 19, "description": 4000, "additional_info": 4000}


def check_servicenow(event: Any) -> None:
    need(isinstance(event, dict), "not an object")
    need(set(event) <= set(EM_EVENT), f"unknown columns: {set(event) - set(EM_EVENT)}")
    for name, most in EM_EVENT.items():
        a_text(event.get(name, ""), name, most, 0)
    need(event.get("severity") in ("0", "1", "2", "3", "4", "5"), "severity is 0 to 5")
    need(event.get("resolution_state") in ("New", "Closing"), "resolution_state is New or Closing")
    need(event.get("source") and event.get("node") and event.get("type") and event.get("message_key"), "source, node, type and message_key are needed")
    datetime.strptime(event["time_of_event"], "%Y-%m-%d %H:%M:%S")


class Services(StandIn):
    def __init__(self, port: int = 0):
        self.requests: Journal[Request] = Journal()
        self.refused: Journal[tuple[int, str]] = Journal()
        self.alerts: dict[str, str] = {}
        self.records: list[dict[str, str]] = []
        self.faults = Faults(ServiceFault)
        self._server = Server(self._serve, port=port)

    def fault(self, **fields: Any) -> None:
        self.faults.add(**fields)

    def _serve(self, exchange: Exchange) -> None:
        request = Request(exchange.path, {name.lower(): value for name, value in exchange.headers.items()}, exchange.body)
        fault = self.faults.take()
        if fault is not None and fault.status is not None:
            exchange.send(fault.status, fault.body, headers=fault.headers)
            return
        try:
            status, answer = self._take(exchange, request)
        except Refused as refused:
            self.refused.append((refused.status, refused.why))
            exchange.send(refused.status, {"status": "invalid event", "errors": [refused.why]})
            return
        self.requests.append(request)
        if fault is not None and fault.cut:
            getattr(exchange, fault.cut)()
        else:
            exchange.send(status, answer)

    def _take(self, exchange: Exchange, request: Request) -> tuple[int, dict]:
        need(exchange.command == "POST", "POST only", 405)
        if exchange.route_path == "/v2/enqueue":
            return self._pagerduty(exchange, request)
        if exchange.route_path == "/api/now/table/em_event":
            return self._servicenow(exchange, request)
        need(exchange.route_path.startswith("/hook"), "no such page", 404)
        return 200, {"status": "ok"}

    def _pagerduty(self, exchange: Exchange, request: Request) -> tuple[int, dict]:
        need(request.headers["content-type"].startswith("application/json"), "content-type")
        need(len(request.body) <= 512 * 1024, "more than 512 KB", 413)
        event = exchange.json()
        check_pagerduty(event)
        if event["event_action"] == "trigger":
            self.alerts[event["dedup_key"]] = "triggered"
        elif event["dedup_key"] in self.alerts:  # a resolve of what is not open is dropped in silence
            self.alerts[event["dedup_key"]] = "resolved"
        return 202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]}

    def _servicenow(self, exchange: Exchange, request: Request) -> tuple[int, dict]:
        login = "Basic " + base64.b64encode(LOGIN.encode()).decode()
        need(request.headers.get("authorization") == login, "User Not Authenticated", 401)
        event = exchange.json()
        check_servicenow(event)
        self.records.append(event)
        return 201, {"result": event | {"sys_id": f"{len(self.records):032x}"}}
