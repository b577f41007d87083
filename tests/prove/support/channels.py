"""The other sides of the sinks in the proof: what has arrived at each, and what can go wrong there."""
from __future__ import annotations

import email
import email.policy
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

from stage import Entra, LogAnalytics, Slack, Smtp, Teams
from stage.loganalytics import RESOURCE
from stage.services import Services

TOKEN = re.compile(r"\bI(\d+)N(\d+)\b")  # an event's mark, in its summary: incident and number
CLIENT, SECRET = "klaxon-client", "s3cret"
Mark = tuple[int, int]


def marks_of(text: str) -> list[Mark]:
    """Once each, in the order of the text: a message names its event more than once."""
    return list(dict.fromkeys((int(i), int(n)) for i, n in TOKEN.findall(text)))


class Channel:
    """`kind` of sink, `name` in the configuration, its `settings`; `arrived()` in order; faults by name, and `heal()`."""

    def __init__(self, kind: str, settings: dict, arrived: Callable[[], list[str]], faults: dict[str, Callable[[], None]], heal: Callable[[], None]):
        self.kind, self.name, self.settings = kind, f"to-{kind}", settings
        self.slots = settings.get("concurrency", 1)  # sends that may be under way at once
        self._arrived, self.faults, self.heal = arrived, faults, heal

    def arrived(self) -> list[Mark]:
        return [mark for text in self._arrived() for mark in marks_of(text)[:1]]

    def fail(self, rng: random.Random) -> str:
        name = rng.choice(sorted(self.faults))
        self.faults[name]()
        return name


def slack_channel(slack: Slack, directory: Path) -> Channel:
    hook = directory / "slack"
    hook.write_text(slack.new_hook("ops"))
    faults = {name: lambda fields=fields: slack.fault(hook="ops", times=0, **fields) for name, fields in {
        "500": {"status": 500}, "Retry-After": {"retry_after": 2}, "archived": {"error": "channel_is_archived"},
        "token revoked": {"error": "invalid_token"}, "reset": {"cut": "reset"}, "hangs up after it took it": {"cut": "close", "at": "answer"}}.items()}
    return Channel("slack", {"webhook_url": {"file": str(hook)}}, lambda: [json.dumps(m.payload) for m in slack.messages.all()], faults, slack.faults.clear)


def teams_channel(teams: Teams, directory: Path) -> Channel:
    hook = directory / "teams"
    hook.write_text(teams.new_flow("ops"))
    faults = {name: lambda fields=fields: teams.fault(flow="ops", times=0, **fields) for name, fields in {
        "503": {"status": 503}, "Retry-After": {"retry_after": 2}, "flow switched off": {"error": "WorkflowTriggerIsNotEnabled"},
        "forbidden": {"error": "RequestDisallowedByPolicy"}, "reset": {"cut": "reset"}, "hangs up after it took it": {"cut": "close", "at": "answer"}}.items()}
    return Channel("teams", {"webhook_url": {"file": str(hook)}}, lambda: [m.text() for m in teams.messages.all()], faults, teams.faults.clear)


def _text(raw: bytes) -> str:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    return message.get_body(("plain",)).get_content()


def mail_channel(smtp: Smtp) -> Channel:
    faults = {name: lambda fields=fields: smtp.fault(times=0, **fields) for name, fields in {
        "450": {"stage": "mail", "reply": "450 4.2.1 busy"}, "421": {"stage": "connect", "reply": "421 4.3.2 closing"},
        "closes": {"stage": "mail", "cut": "close"}, "452 at the end": {"stage": "dot", "reply": "452 4.3.1 no space"},
        "closes after it took it": {"stage": "dot", "cut": "close", "taken": True}}.items()}
    return Channel("email", {"to": ["ops@example.com"], "from": "klaxon@example.com", "smtp": smtp.url, "tls": "none"},
                   lambda: [_text(m.raw) for m in smtp.mails.all()], faults, smtp.faults.clear)


def table_channel(azure: LogAnalytics, entra: Entra, directory: Path, template: Path) -> Channel:
    secret = directory / "azure"
    secret.write_text(SECRET)
    entra.resource(RESOURCE)
    entra.application(CLIENT, secret=SECRET)
    rule = azure.rule_of(template)
    azure.grant(rule, CLIENT)
    faults = {name: lambda fields=fields: azure.fault(times=0, **fields) for name, fields in {
        "500": {"status": 500}, "429": {"retry_after": 2}, "403": {"status": 403}, "404": {"status": 404},
        "hangs up after it took it": {"cut": "close", "at": "answer"}}.items()}
    settings = {"endpoint": azure.url, "dcr": rule, "client_id": CLIENT, "tenant": entra.tenant, "authority": entra.authority,
                "client_secret": {"file": str(secret)}}
    return Channel("loganalytics", settings, lambda: [row.columns["Message"] for row in azure.rows.all()], faults, azure.faults.clear)


def service_channel(services: Services) -> Channel:
    faults = {name: lambda fields=fields: services.fault(times=0, **fields) for name, fields in {
        "503": {"status": 503}, "Retry-After": {"status": 429, "headers": {"Retry-After": "2"}}, "410": {"status": 410}, "401": {"status": 401},
        "hangs up after it took it": {"cut": "close"}}.items()}
    return Channel("webhook", {"url": f"{services.url}/hook", "concurrency": 4},
                   lambda: [r.body.decode() for r in services.requests.all()], faults, services.faults.clear)
