"""`klaxon` with a configuration of its own, and events at given times."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Producer

from cluster import Kafka


@dataclass
class Event:
    """Of a node. `at` is in seconds since the epoch."""
    at: float
    node: str = "aks-1"
    cluster: str = "prod-weu"
    severity: str = "warning"
    summary: str = "Node aks-1 is not ready"
    topic: str = "nodes"
    type: str = "io.klaxon.node.notready"
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def time(self) -> str:
        us = round(self.at * 1e6)
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(us // 1_000_000)) + f".{us % 1_000_000:06d}Z"

    def headers(self) -> list[tuple[str, str]]:
        attributes = {"specversion": "1.0", "id": f"{self.node}-{self.at}", "source": f"/clusters/{self.cluster}/nodes", "type": self.type,
                      "time": self.time, "subject": f"Node/{self.node}", "cluster": self.cluster, "severity": self.severity} | self.extra
        return [(f"ce_{name}", value) for name, value in attributes.items()] + [("content-type", "application/json")]

    def value(self) -> bytes:
        return json.dumps({"summary": self.summary, "object": {"kind": "Node", "name": self.node}, "reason": "KubeletNotReady",
                           "labels": {}}).encode()


class Klaxon:
    """The program with $KLAXON_CONFIG set, in a folder of its own, with topics of its own."""

    def __init__(self, binaries: Path, directory: Path, bootstrap: str, prefix: str):
        binaries = binaries.resolve()
        self.binary = binaries / "klaxon"
        self.dir, self.bootstrap, self.prefix = directory, bootstrap, prefix
        self.config = directory / "klaxon.yaml"
        self.env = {"PATH": f"{binaries}:{os.environ['PATH']}", "HOME": str(directory), "LC_ALL": "C.UTF-8", "TERM": "xterm",
                    "KLAXON_CONFIG": str(self.config)} | {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
        self.configure("")
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, "log_level": 0})

    def configure(self, more: str, kafka: str = "", topics: str = "") -> None:
        self.config.write_text(f'kafka: {{ bootstrap.servers: "{self.bootstrap}"{kafka} }}\n'
                               f'topics: {{ prefix: "{self.prefix}"{topics} }}\n{more}')

    def run(self, *args: str | Path, timeout: float = 30, **env: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.binary, *args], capture_output=True, text=True, timeout=timeout, check=False, cwd=self.dir,
                              env=self.env | env, stdin=subprocess.DEVNULL)

    def start(self, *args: str, **more) -> subprocess.Popen:
        """Its stdout is not buffered on this side, so that select says whether a line is there."""
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0, "cwd": self.dir, "env": self.env,
                    "stdin": subprocess.DEVNULL} | more
        return subprocess.Popen([self.binary, *args], **settings)

    def put(self, *events: Event) -> None:
        for e in events:
            self._producer.produce(self.prefix + e.topic, e.value(), f"{e.cluster}/{e.node}", headers=e.headers(), timestamp=int(e.at * 1000))
        assert self._producer.flush(20) == 0

    def put_raw(self, topic: str, value: bytes, headers: list[tuple[str, str]], at: float) -> None:
        self._producer.produce(self.prefix + topic, value, "k", headers=headers, timestamp=int(at * 1000))
        assert self._producer.flush(20) == 0


def kubeconfig(directory: Path) -> Path:
    """One that can be read, of a cluster that is not there."""
    path = directory / "kubeconfig"
    path.write_text("current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
                    "clusters: [{name: k, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: u, user: {token: x}}]\n")
    return path
