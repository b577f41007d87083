"""The parts of a whole klaxon as processes, on free loopback ports, with a configuration that a user would write.

Everything lies in one directory: klaxon.yaml with channels.d/ and subscriptions.d/, secrets/, and logs/. A part that was started is
stopped with the pipeline; the kernel ends them all if the process that holds it dies.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from cluster import Kafka
from cluster.process import Child, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 30
SINKS = ("slack", "email", "teams", "loganalytics", "webhook")
PAGERDUTY = ROOT / "docs/examples/pagerduty.yaml"
CHANNELS = """\
# Where messages go. One entry a channel; `klaxon check` says what is wrong with it.
ops-slack:
  slack:
    webhook_url: {{ file: "{dir}/secrets/slack-webhook" }}
ops-mail:
  email:
    to: [ operations@stage.example ]
    from: klaxon@stage.example
    smtp: {smtp}
    user: {user}
    password: {{ file: "{dir}/secrets/mail-password" }}
    ca_file: "{ca}"
  throttle: {{ messages: 0 }}                    # as many as there are: each step is to be seen
ops-teams:
  teams:
    webhook_url: {{ file: "{dir}/secrets/teams-flow" }}
    mentions: [ "Jo Miller <jo.miller@stage.example>" ]
history:
  loganalytics:
    endpoint: {azure[endpoint]}
    dcr: {azure[dcr]}
    authority: {azure[authority]}
    tenant: {azure[tenant]}
    client_id: {azure[client_id]}
    client_secret: {{ file: "{dir}/secrets/azure" }}
"""
SUBSCRIPTIONS = """\
# Who is told what. One file a team.
- team: operations
  topics: [ nodes ]
  match: { severity: [ warning, critical ] }
  channels: [ ops-slack, ops-mail, ops-teams, pagerduty ]
- team: analysts
  topics: [ kubernetes, nodes ]
  channels: [ history ]
  history: true
"""


@dataclass
class Part:
    """One process of the pipeline, as `./dev status` shows it."""
    name: str
    child: Child
    address: str
    health: str = ""  # the base URL of /readyz

    def ready(self) -> tuple[bool, str]:
        """Whether /readyz says so, and its lines; parts without one are ready while they run."""
        if not self.child.alive():
            return False, f"ended with {self.child.returncode}"
        return health(self.health) if self.health else (True, "")


def health(base: str) -> tuple[bool, str]:
    """What /readyz of a process says."""
    try:
        answer = requests.get(f"{base}/readyz", timeout=2)
    except requests.RequestException:
        return False, "does not answer"
    return answer.status_code == 200, answer.text.strip()


class Pipeline:
    """`with Pipeline(…) as pipeline:` runs from a Kafka that answers to sinks that are ready.

    on_step(name, detail, seconds) is called after each step. Without a kubeconfig the collector watches the stage's API server.
    A Kafka that runs already may be given: it is used and left alone.
    """

    def __init__(self, directory: Path, binaries: Path, *, cluster: str = "stage", kubeconfig: Path | None = None,
                 context: str | None = None, kafka: Kafka | None = None, prefix: str = "klaxon.",
                 on_step: Callable[[str, str, float], None] = lambda name, detail, seconds: None):
        self.dir, self.binaries, self.cluster = directory, binaries, cluster
        self.config = directory / "klaxon.yaml"
        self.parts: dict[str, Part] = {}
        self.stage: dict = {}
        self._kubeconfig, self._context, self._prefix = kubeconfig, context, prefix
        self._kafka, self._own_kafka, self._on_step = kafka, kafka is None, on_step
        shutil.rmtree(directory, ignore_errors=True)
        for name in ("logs", "secrets", "channels.d", "subscriptions.d"):
            (directory / name).mkdir(parents=True)

    def __enter__(self) -> "Pipeline":
        try:
            for name, step in (("Kafka", self._start_kafka), ("stage", self._start_stage), ("configuration", self._configure),
                               ("topics", self._make_topics), ("collector", self._start_collector), ("sinks", self._start_sinks)):
                began = time.monotonic()
                detail = step()
                self._on_step(name, detail, time.monotonic() - began)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        assert self._kafka is not None
        return self._kafka.bootstrap

    def klaxon(self, *args: str) -> list[str]:
        """The argv of a `klaxon` command on this pipeline."""
        return [str(self.binaries / "klaxon"), *args, "-c", str(self.config)]

    def stop(self) -> None:
        """Sinks and collector first, so that they commit and leave in order."""
        for name in reversed(list(self.parts)):
            if name != "kafka":
                self.parts[name].child.stop()
        if self._own_kafka and self._kafka is not None:
            self._kafka.stop()

    def _start(self, name: str, argv: list, address: str, health: str = "", env: dict[str, str] | None = None) -> Part:
        child = Child(name, argv, self.dir / "logs" / f"{name}.log", env)
        self.parts[name] = Part(name, child, address, health)
        child.start()
        return self.parts[name]

    def _start_kafka(self) -> str:
        if self._kafka is None:
            self._kafka = Kafka(self.dir / "kafka")
            self._kafka.start()
            (self.dir / "logs" / "kafka.log").symlink_to(self.dir / "kafka" / "node-1" / "server.log")
            self.parts["kafka"] = Part("kafka", self._kafka.nodes[0].child, self._kafka.bootstrap)
        return self._kafka.bootstrap

    def _start_stage(self) -> str:
        described = self.dir / "stage" / "stage.json"
        part = self._start("stage", [sys.executable, "-m", "stage", "--dir", self.dir / "stage"], "",
                           env={"PYTHONPATH": str(ROOT / "tests"), "PYTHONUNBUFFERED": "1"})
        wait_until("the stage's stage.json", described.exists, READY_SECONDS, part.child)
        self.stage = json.loads(described.read_text())
        part.address = self.stage["control"]
        return f"API server, Slack, Teams, mail, PagerDuty and Log Analytics at {part.address}"

    def _configure(self) -> str:
        kubeconfig = self._kubeconfig or Path(self.stage["kube"]["kubeconfig"])
        context = f", context: {json.dumps(self._context)}" if self._context else ""
        ports = {name: free_port() for name in ("collector", *SINKS)}
        self._health = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        sinks = "".join(f'  {name}: {{ listen: "127.0.0.1:{ports[name]}" }}\n' for name in SINKS)
        self.config.write_text(
            f'kafka: {{ bootstrap.servers: "{self.bootstrap}" }}\n'
            f"topics: {{ prefix: {self._prefix} }}\n"
            f'collector: {{ listen: "127.0.0.1:{ports["collector"]}" }}\n'
            f"clusters:\n  - {{ name: {json.dumps(self.cluster)}, kubeconfig: {json.dumps(str(kubeconfig))}{context}, sources: {{ events: {{}}, nodes: {{}} }},\n"
            "      detectors: { node_repair: { alarm_after: 0s } } }  # what is shown goes faster than life\n"
            f"sinks:\n{sinks}")
        smtp = self.stage["smtp"]
        self._write_secret("slack-webhook", self.stage["slack"]["hooks"]["operations"])
        self._write_secret("teams-flow", self.stage["teams"]["flows"]["operations"])
        self._write_secret("mail-password", smtp["password"])
        self._write_secret("azure", self.stage["azure"]["secret"])
        (self.dir / "channels.d" / "operations.yaml").write_text(
            CHANNELS.format(dir=self.dir, smtp=smtp["url"], user=smtp["user"], ca=smtp["ca"], azure=self.stage["azure"]))
        self._configure_pagerduty()
        (self.dir / "subscriptions.d" / "operations.yaml").write_text(SUBSCRIPTIONS)
        return str(self.config)

    def _configure_pagerduty(self) -> None:
        """The example of the documents as it stands, but for where to and with which key."""
        service, text = self.stage["services"]["pagerduty"], PAGERDUTY.read_text()
        self._write_secret("pagerduty", service["routing_key"])
        for before, now in (("https://events.pagerduty.com/v2/enqueue", service["url"]),
                            ("/run/secrets/klaxon/pagerduty", json.dumps(str(self.dir / "secrets" / "pagerduty")))):
            assert before in text, f"{PAGERDUTY}: no {before}"
            text = text.replace(before, now)
        (self.dir / "channels.d" / "pagerduty.yaml").write_text(text)

    def _write_secret(self, name: str, value: str) -> None:
        path = self.dir / "secrets" / name
        path.touch(mode=0o600)
        path.write_text(value + "\n")

    def _run_once(self, name: str, argv: list[str]) -> None:
        child = Child(name, argv, self.dir / "logs" / f"{name}.log")
        child.start()
        wait_until(f"klaxon {name}", lambda: not child.alive(), READY_SECONDS)
        if child.returncode != 0:
            raise RuntimeError(f"klaxon {name} ended with {child.returncode}:\n{child.log_tail()}")

    def _make_topics(self) -> str:
        self._run_once("check", self.klaxon("check"))
        self._run_once("topics", self.klaxon("topics", "apply"))
        return f"{self._prefix}*"

    def _wait_ready(self, *names: str) -> None:
        for name in names:
            part = self.parts[name]
            wait_until(f"{name} ready", lambda: part.ready()[0], READY_SECONDS, part.child)  # noqa: B023 (called before the next turn)

    def _start_collector(self) -> str:
        self._start("collector", [self.binaries / "klaxon-collector", "--config", self.config],
                    self._health["collector"], self._health["collector"])
        self._wait_ready("collector")
        return f"{self._health['collector']}/metrics"

    def _start_sinks(self) -> str:
        for name in SINKS:
            self._start(f"sink-{name}", [self.binaries / f"klaxon-sink-{name}", "--config", self.config],
                        self._health[name], self._health[name])
        self._wait_ready(*(f"sink-{name}" for name in SINKS))
        return ", ".join(SINKS)
