"""The worlds that the tests share: one real Kafka and one real API server a session."""
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from cluster import ApiServer, Kafka  # noqa: E402  (needs the path above)

from cluster.process import die_with_parent, free_port  # noqa: E402

from stage import Keys, Slack, Smtp, Teams  # noqa: E402

from event_schema import assert_as_described  # noqa: E402

TOPICS = ["kubernetes", "nodes", "state"]


@pytest.fixture(scope="session")
def binaries() -> Path:
    """The build that is tested: $KLAXON_BIN, else the release build."""
    path = Path(os.environ.get("KLAXON_BIN", ROOT / "build/release"))
    assert (path / "klaxon-collector").exists(), f"{path} holds no klaxon-collector: run ./dev build"
    return path


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    with Kafka(tmp_path_factory.mktemp("kafka") / "data") as broker:
        yield broker


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("api") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """The stage's CA and server certificate."""
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def slack() -> Iterator[Slack]:
    with Slack() as made:
        yield made


@pytest.fixture
def teams() -> Iterator[Teams]:
    with Teams() as made:
        yield made


@pytest.fixture
def smtp(keys: Keys) -> Iterator[Smtp]:
    """STARTTLS and authentication required; the CA is `smtp.ca`."""
    with Smtp(keys, users={"klaxon": "stage-password"}) as made:
        yield made


class Collector:
    """A klaxon-collector of one cluster, with topics of its own."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, kubeconfig: Path, name: str, cluster: str = "",
                 sources: str = "events: {}, nodes: {}", transactions: str = "auto"):
        """`cluster`: more settings of the cluster, as YAML that ends in a comma. A lost node is told at once, unless that sets detectors."""
        cluster += "" if "detectors:" in cluster else "detectors: { node_repair: { alarm_after: 0s } },"
        self.prefix, self.name = f"{name}.", name
        self.config = directory / "klaxon.yaml"
        self.log = directory / "collector.log"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.config.write_text(
            f'kafka: {{ bootstrap.servers: "{kafka.bootstrap}" }}\n'
            f"topics: {{ prefix: {self.prefix} }}\n"
            f'collector: {{ listen: "{self.url.removeprefix("http://")}", transactions: {transactions} }}\n'
            f"clusters:\n  - {{ name: {name}, kubeconfig: {kubeconfig}, {cluster} sources: {{ {sources} }} }}\n")
        self._command = [binaries / "klaxon-collector", "--config", self.config]
        self.process: subprocess.Popen | None = None

    def topic(self, name: str) -> str:
        return self.prefix + name

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stderr=log, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            preexec_fn=die_with_parent)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self, timeout: float = 5) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self.process = None
        return code

    def topics(self, kafka: Kafka) -> None:
        for topic in TOPICS:
            kafka.create_topic(self.topic(topic), 1 if topic == "state" else 4)


@pytest.fixture
def collector(binaries: Path, tmp_path: Path, kafka: Kafka, api: ApiServer, request: pytest.FixtureRequest) -> Iterator[Collector]:
    name = request.node.name.replace("_", "-")[:40]
    made = Collector(binaries, tmp_path, kafka, api.kubeconfig, name)
    made.topics(kafka)
    yield made
    made.kill()
    print(made.log.read_text() if made.log.exists() else "no log")
    assert_as_described(kafka, made.prefix)
