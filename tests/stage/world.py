"""The whole stage: its servers, wired together and started in order."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from .control import Control
from .entra import Entra
from .faults import Faults
from .keys import Keys
from .kube import Kube
from .kube_store import NODES as NODES_RESOURCE
from .life import Life
from .loganalytics import LogAnalytics
from .scenarios import Scenario
from .services import KEY as PAGERDUTY_KEY, LOGIN as SERVICENOW_LOGIN, Services
from .slack import Slack
from .smtp import Smtp
from .teams import Teams

HOOKS = ("operations", "platform")
NODES = tuple(f"aks-nodepool1-12345678-vmss00000{i}" for i in range(3))
MAIL_USER, MAIL_PASSWORD = "klaxon", "stage-password"
AZURE_CLIENT, AZURE_SECRET = "klaxon", "stage-secret"
AZURE_TEMPLATE = Path(__file__).resolve().parents[2] / "deploy/azure/loganalytics.json"


class Stage:
    """`addresses()` is what a program needs to use it; its keys and files are in `directory`."""

    def __init__(self, directory: Path | str):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.keys = Keys(self.dir / "pki")
        self.kube = Kube(self.keys, token=secrets.token_hex(16))
        self.kubeconfig = self.kube.write_kubeconfig(self.dir / "kubeconfig")
        self.slack = Slack()
        self.smtp = Smtp(self.keys, users={MAIL_USER: MAIL_PASSWORD})
        self.teams = Teams()
        self.entra = Entra(self.dir / "entra")
        self.entra.application(AZURE_CLIENT, secret=AZURE_SECRET)
        self.azure = LogAnalytics(self.entra)
        self.azure_rule = self.azure.rule_of(AZURE_TEMPLATE)
        self.azure.grant(self.azure_rule, AZURE_CLIENT)
        self.services = Services()
        self.control = Control(self)
        for name in NODES:
            Scenario(self.kube, "repair", name).ensure_node(name)
        for name in HOOKS:
            self.slack.new_hook(name)
        self.teams.new_flow(HOOKS[0], responds=True)
        self.teams.new_flow(HOOKS[1])  # the template's: 202, whatever becomes of it
        self.played: list[Scenario] = []
        self._life: Life | None = None
        self._parts = (self.kube, self.slack, self.smtp, self.teams, self.entra, self.azure, self.services, self.control)

    def __enter__(self) -> "Stage":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        self.live(every=0)
        for one in self.played:
            one.stop()
        for part in reversed(self._parts):
            part.stop()

    def play(self, scenario: str, node: str = NODES[1], **how: Any) -> Scenario:
        """In the background; several may play at once."""
        self.played.append(Scenario(self.kube, scenario, node, **how).start())
        return self.played[-1]

    def live(self, every: float = 3.0, **how: Any) -> None:
        """Life of so many seconds an Event, instead of what there was; 0: none."""
        if self._life is not None:
            self._life.stop()
        self._life = Life(self.kube, every, **how).start() if every > 0 else None

    def faults(self) -> dict[str, Faults]:
        return {"kube": self.kube.faults, "slack": self.slack.faults, "smtp": self.smtp.faults, "teams": self.teams.faults,
                "azure": self.azure.faults, "entra": self.entra.faults, "services": self.services.faults}

    def addresses(self) -> dict[str, Any]:
        return {
            "control": self.control.url,
            "kube": {"url": self.kube.url, "kubeconfig": str(self.kubeconfig), "ca": str(self.kube.ca), "token": self.kube.token},
            "slack": {"hooks": self.slack.hooks()},
            "teams": {"flows": self.teams.flows()},
            "smtp": {"url": self.smtp.url, "host": self.smtp.host, "port": self.smtp.port, "tls": self.smtp.tls,
                     "ca": str(self.smtp.ca), "user": MAIL_USER, "password": MAIL_PASSWORD},
            "azure": {"endpoint": self.azure.url, "dcr": self.azure_rule, "authority": self.entra.authority, "tenant": self.entra.tenant,
                      "client_id": AZURE_CLIENT, "secret": AZURE_SECRET},
            "services": {"hook": f"{self.services.url}/hook",
                         "pagerduty": {"url": f"{self.services.url}/v2/enqueue", "routing_key": PAGERDUTY_KEY},
                         "servicenow": {"url": f"{self.services.url}/api/now/table/em_event", "login": SERVICENOW_LOGIN}},
        }

    def write_addresses(self) -> Path:
        """stage.json, whole or not there; it holds the stage's invented secrets."""
        path, part = self.dir / "stage.json", self.dir / f"stage.json.part-{os.getpid()}"
        part.touch(mode=0o600)
        part.write_text(json.dumps(self.addresses(), indent=2) + "\n")
        part.replace(path)
        return path

    def overview(self) -> str:
        lines = ["klaxon's stage: the outside world, scripted", "", f"  kube-apiserver: {self.kube.url} (kubeconfig {self.kubeconfig})"]
        lines += [f"  slack {name}: {url}" for name, url in self.slack.hooks().items()]
        lines += [f"  teams {name}: {url}" for name, url in self.teams.flows().items()]
        lines += [f"  smtp: {self.smtp.url} ({self.smtp.tls}, user {MAIL_USER})",
                  f"  log analytics: {self.azure.url} (rule {self.azure_rule}), tokens: {self.entra.authority}",
                  f"  services: {self.services.url} (PagerDuty /v2/enqueue, ServiceNow /api/now/table/em_event, of no name /hook)",
                  f"  {len(self.slack.messages)} Slack messages, {len(self.teams.messages)} Teams messages, {len(self.smtp.mails)} mails, "
                  f"{len(self.azure.rows)} rows, {len(self.services.requests)} requests to services", ""]
        lines += [f"  node {name}: Ready {_ready(obj)}" for name, obj in self.kube.store.list(NODES_RESOURCE)]
        lines += [f"  playing {one.name} on {one.node}: {one.log[-1]['what'] if one.log else 'begins'}"
                  for one in self.played if not one.done.is_set()]
        lines += [f"  {message.hook}: {message.text().splitlines()[0][:100]}" for message in self.slack.messages.all()[-5:]]
        lines += [f"  mail to {', '.join(mail.recipients)}: {mail.message['Subject']}" for mail in self.smtp.mails.all()[-5:]]
        return "\n".join(lines) + "\n"


def _ready(node: dict[str, Any]) -> str:
    return next(one["status"] for one in node["status"]["conditions"] if one["type"] == "Ready")
