"""The whole stage: its servers, wired together and started in order."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .control import Control
from .faults import Faults
from .keys import Keys
from .slack import Slack
from .smtp import Smtp

HOOKS = ("operations", "platform")
MAIL_USER, MAIL_PASSWORD = "klaxon", "stage-password"


class Stage:
    """`addresses()` is what a program needs to use it; its keys and files are in `directory`."""

    def __init__(self, directory: Path | str):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.keys = Keys(self.dir / "pki")
        self.slack = Slack()
        self.smtp = Smtp(self.keys, users={MAIL_USER: MAIL_PASSWORD})
        self.control = Control(self)
        for name in HOOKS:
            self.slack.new_hook(name)
        self._parts = (self.slack, self.smtp, self.control)

    def __enter__(self) -> "Stage":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        for part in reversed(self._parts):
            part.stop()

    def faults(self) -> dict[str, Faults]:
        return {"slack": self.slack.faults, "smtp": self.smtp.faults}

    def addresses(self) -> dict[str, Any]:
        return {
            "control": self.control.url,
            "slack": {"hooks": self.slack.hooks()},
            "smtp": {"url": self.smtp.url, "host": self.smtp.host, "port": self.smtp.port, "tls": self.smtp.tls,
                     "ca": str(self.smtp.ca), "user": MAIL_USER, "password": MAIL_PASSWORD},
        }

    def write_addresses(self) -> Path:
        """stage.json, whole or not there; it holds the stage's invented secrets."""
        path, part = self.dir / "stage.json", self.dir / f"stage.json.part-{os.getpid()}"
        part.touch(mode=0o600)
        part.write_text(json.dumps(self.addresses(), indent=2) + "\n")
        part.replace(path)
        return path

    def overview(self) -> str:
        lines = ["klaxon's stage: the outside world, scripted", ""]
        lines += [f"  slack {name}: {url}" for name, url in self.slack.hooks().items()]
        lines += [f"  smtp: {self.smtp.url} ({self.smtp.tls}, user {MAIL_USER})",
                  f"  {len(self.slack.messages)} Slack messages, {len(self.smtp.mails)} mails", ""]
        lines += [f"  {message.hook}: {message.text().splitlines()[0][:100]}" for message in self.slack.messages.all()[-5:]]
        lines += [f"  mail to {', '.join(mail.recipients)}: {mail.message['Subject']}" for mail in self.smtp.mails.all()[-5:]]
        return "\n".join(lines) + "\n"
