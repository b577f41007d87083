"""A real Kafka: one combined broker and controller, or a quorum of three."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from . import cache
from .process import Child, free_port, wait_until

HERE = Path(__file__).resolve().parent
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
JVM_FLAGS = ("-Xms256m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
             "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
READY_SECONDS = 60


class ClassArchive:
    """The JVM's own cache of loaded classes: it turns two seconds of start into one.

    The first broker that is stopped in order writes it; until then brokers start without.
    """

    def __init__(self, jars: Path):
        self.path = jars.with_name(f"{jars.name}.jsa")
        self._part: Path | None = None

    def use(self) -> list[str]:
        return [f"-XX:SharedArchiveFile={self.path}"] if self.path.exists() else []

    def use_or_record(self) -> list[str]:
        if self.path.exists():
            return self.use()
        self._part = self.path.with_suffix(f".part-{os.getpid()}")
        return [f"-XX:ArchiveClassesAtExit={self._part}"]

    def recorded(self, complete: bool) -> None:
        """Call when the JVM that recorded has ended."""
        if self._part is not None and self._part.exists():
            if complete:
                self._part.replace(self.path)
            else:
                self._part.unlink()
        self._part = None


class Node:
    """One Kafka process with its data."""

    def __init__(self, directory: Path, node_id: int, port: int, controller_port: int, overrides: dict[str, str],
                 jvm: tuple[str, ...] = ()):
        self.dir = directory
        self._jvm = jvm
        self.id = node_id
        self.port = port
        self.dir.mkdir(parents=True)
        self._jars = cache.kafka_jars()
        self._archive = ClassArchive(self._jars)
        self._properties = self.dir / "node.properties"
        self._properties.write_text(_properties(self.dir / "data", node_id, port, controller_port, overrides))
        self._format()
        recording = self._archive.use_or_record() if node_id == 1 else self._archive.use()
        self.child = Child(f"kafka-{node_id}", self._java(*recording) + ["kafka.Kafka", self._properties],
                           self.dir / "server.log", {"LC_ALL": "C"})

    def _java(self, *flags: str) -> list[str | Path]:
        return ["java", *JVM_FLAGS, *self._jvm, *flags, "-cp", f"{self._jars}/*"]

    def _format(self) -> None:
        done = subprocess.run(
            self._java(*self._archive.use()) + ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", self._properties],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"formatting Kafka's storage failed:\n{done.stdout}{done.stderr}")

    def start(self) -> None:
        self.child.start()

    def stop(self) -> None:
        self.child.stop(timeout=30)
        self._archive.recorded(self.child.returncode == 143)

    def kill(self) -> None:
        self.child.kill()
        self._archive.recorded(False)


def _properties(data: Path, node_id: int, port: int, controller_port: int, overrides: dict[str, str]) -> str:
    text = (HERE / "kafka" / "node.properties").read_text()
    settings = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    settings |= {
        "node.id": str(node_id),
        "log.dirs": str(data),
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
    } | overrides
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _three_nodes() -> dict[str, str]:
    return {
        "offsets.topic.replication.factor": "3",
        "transaction.state.log.replication.factor": "3",
        "transaction.state.log.min.isr": "2",
        "share.coordinator.state.topic.replication.factor": "3",
        "share.coordinator.state.topic.min.isr": "2",
        "min.insync.replicas": "2",
        "default.replication.factor": "3",
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }


def _more_listeners(port: int, controller: int, ports: dict[str, int], protocols: dict[str, str]) -> dict[str, str]:
    if not ports:
        return {}
    named = [f"PLAINTEXT://127.0.0.1:{port}", *(f"{name}://127.0.0.1:{at}" for name, at in ports.items())]
    return {
        "listeners": ",".join([*named, f"CONTROLLER://127.0.0.1:{controller}"]),
        "advertised.listeners": ",".join(named),
        "listener.security.protocol.map": ",".join(["CONTROLLER:PLAINTEXT", "PLAINTEXT:PLAINTEXT", *(f"{n}:{p}" for n, p in protocols.items())]),
    }


class Kafka:
    """A cluster of one or three nodes on free loopback ports.

    `listeners` are more of them, beside the plain one: a name and the protocol it speaks, {"TLS": "SSL"}; `bootstrap_of("TLS")` is where.
    Their settings are named `listener.name.tls.…` (kafka_security.py). `jvm` are more flags of Java.
    pause, resume, kill and restart take a node's number (1, 2, 3) or, without one, mean all of them.
    """

    def __init__(self, directory: Path | str, nodes: int = 1, settings: dict[str, str] | None = None,
                 listeners: dict[str, str] | None = None, jvm: tuple[str, ...] = ()):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        ports = [(free_port(), free_port()) for _ in range(nodes)]
        voters = ",".join(f"{i}@127.0.0.1:{controller}" for i, (_, controller) in enumerate(ports, 1))
        overrides = {"controller.quorum.voters": voters} | (_three_nodes() if nodes > 1 else {}) | (settings or {})
        self._listeners = [{name: free_port() for name in listeners or {}} for _ in ports]
        self.nodes = [Node(self.dir / f"node-{i}", i, port, controller, overrides | _more_listeners(port, controller, more, listeners or {}), jvm)
                      for i, ((port, controller), more) in enumerate(zip(ports, self._listeners), 1)]
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port, _ in ports)

    def bootstrap_of(self, listener: str) -> str:
        return ",".join(f"127.0.0.1:{ports[listener]}" for ports in self._listeners)

    def __enter__(self) -> "Kafka":
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _chosen(self, node: int | None) -> list[Node]:
        return self.nodes if node is None else [self.nodes[node - 1]]

    def start(self, node: int | None = None) -> None:
        for one in self._chosen(node):
            one.start()
        self.wait_ready(node)

    def wait_ready(self, node: int | None = None) -> None:
        """Until the brokers answer a metadata request that names every node that runs; an open port says nothing."""
        running = {one.id for one in self.nodes if one.child.alive()}
        for one in self._chosen(node):
            admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{one.port}", "log_level": 0})

            def answered() -> bool:
                try:
                    return running <= set(admin.list_topics(timeout=1).brokers)
                except KafkaException:
                    return False

            wait_until(f"kafka node {one.id} answering metadata", answered, READY_SECONDS, one.child)

    def stop(self, node: int | None = None) -> None:
        """In order for one node. A quorum that ends as a whole cannot hand over, so the last two of three are killed."""
        chosen = self._chosen(node)
        for index, one in enumerate(chosen):
            if len(self.nodes) > 1 and index > 0:
                one.kill()
            else:
                one.stop()

    def kill(self, node: int | None = None) -> None:
        for one in self._chosen(node):
            one.kill()

    def pause(self, node: int | None = None) -> None:
        for one in self._chosen(node):
            one.child.pause()

    def resume(self, node: int | None = None) -> None:
        for one in self._chosen(node):
            one.child.resume()

    def restart(self, node: int | None = None) -> None:
        """On the same ports and data; ends the process in order when it still runs."""
        for one in self._chosen(node):
            one.stop()
        self.start(node)

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    def create_topic(self, name: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
        topic = NewTopic(name, partitions, 3 if len(self.nodes) > 1 else 1, config=config or {})
        admin = self.admin()  # held: its futures fail when the client goes
        admin.create_topics([topic], operation_timeout=20)[name].result(timeout=30)
        self.wait_topic(name, partitions)

    def wait_topic(self, name: str, partitions: int) -> None:
        """Until the brokers know the topic: the controller answers a creation before they have heard of it."""
        admin = self.admin()

        def known() -> bool:
            found = admin.list_topics(name, timeout=5).topics[name]
            return found.error is None and len(found.partitions) == partitions and all(p.leader >= 0 for p in found.partitions.values())

        wait_until(f"topic {name} with {partitions} partitions", known, 20)

    def remove_data(self) -> None:
        shutil.rmtree(self.dir, ignore_errors=True)
