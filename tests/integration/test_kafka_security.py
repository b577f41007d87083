"""A real broker with TLS and logins, each on a listener of its own: every program works over each, and says what is wrong with it."""
import json
import os
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Producer

from cluster import read_committed
from cluster.kafka_security import PASSWORD, USER, SecureKafka
from cluster.objects import involved, new_event
from cluster.process import die_with_parent, wait_until
from sink_process import event_data, event_headers
from stage import Entra, Keys, Kube, Slack

AUDIENCE, CLIENT, SECRET = "api://kafka", "klaxon-client", "s3cret~of&nobody"
SOON = 30.0
TOPICS = ["kubernetes", "nodes", "scaling", "gitops", "metrics", "state", "control", "deliveries", "retry", "dlq"]
NEWER = sorted(Path(__import__("confluent_kafka").__file__).parent.parent.glob("confluent_kafka.libs/librdkafka-*.so.1"))


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    directory = tmp_path_factory.mktemp("entra")
    with Entra(directory, Keys(directory / "pki")) as made:
        made.application(CLIENT, secret=SECRET)
        made.resource(AUDIENCE)
        made.resource("api://other")
        yield made


@pytest.fixture(scope="module")
def broker(entra: Entra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with SecureKafka(tmp_path_factory.mktemp("kafka") / "data", entra.key.jwks(), entra.issuer, AUDIENCE) as made:
        yield made


@pytest.fixture(autouse=True)
def no_faults(entra: Entra) -> Iterator[None]:
    entra.resource(AUDIENCE)
    yield
    entra.faults.clear()


class Programs:
    """All programs with one configuration, on topics of their own. What they log holds no secret."""

    def __init__(self, binaries: Path, directory: Path, broker: SecureKafka, entra: Entra, kube: Kube, slack: Slack, prefix: str):
        self.binaries, self.dir, self.broker, self.entra, self.kube, self.slack, self.prefix = (
            binaries, directory, broker, entra, kube, slack, prefix)
        self.config, self.log = directory / "klaxon.yaml", directory / "log"
        self.kubeconfig = kube.write_kubeconfig(directory / "kubeconfig")
        self.env = dict(os.environ)
        self.processes: list[subprocess.Popen] = []
        for name, text in {"password": PASSWORD, "wrong": "wrong-password", "secret": SECRET, "hook": slack.new_hook(prefix)}.items():
            (directory / name).write_text(f"{text}\n")

    def file(self, name: str) -> dict[str, str]:
        return {"file": str(self.dir / name)}

    def configure(self, listener: str, **kafka: Any) -> None:
        where = self.broker.bootstrap_of(listener)
        self.config.write_text(yaml.safe_dump({
            "kafka": {"bootstrap.servers": where, "ssl.ca.location": str(self.broker.ca), "auto.offset.reset": "earliest"} | kafka,
            "topics": {"prefix": self.prefix, "replication": 1},
            "clusters": [{"name": "c", "kubeconfig": str(self.kubeconfig), "sources": {"events": {}}}],
            "channels": {"ops": {"slack": {"webhook_url": self.file("hook")}}},
            "subscriptions": [{"team": "t", "topics": ["nodes"], "channels": ["ops"]}]}))

    def login(self, way: str, **changes: Any) -> None:
        bearer = {"authority": self.entra.authority, "tenant": self.entra.tenant, "token_ca": str(self.entra.ca), "client_id": CLIENT,
                  "client_secret": self.file("secret"), "scope": f"{AUDIENCE}/.default"} | changes.pop("oauth", {})
        certificate, key = map(str, self.broker.client)
        password = {"sasl.username": USER, "sasl.password": self.file("password")}
        listener, settings = {
            "tls": ("TLS", {}),
            "certificate": ("MUTUAL", {"ssl.certificate.location": certificate, "ssl.key.location": key}),
            "locked": ("MUTUAL", {"ssl.certificate.location": certificate, "ssl.key.location": str(self.dir / "locked.key"),
                                  "ssl.key.password": self.file("password")}),
            "PLAIN": ("PLAIN", {"sasl.mechanism": "PLAIN"} | password),
            "SCRAM-SHA-256": ("SCRAM", {"sasl.mechanism": "SCRAM-SHA-256"} | password),
            "SCRAM-SHA-512": ("SCRAM", {"sasl.mechanism": "SCRAM-SHA-512"} | password),
            "OAUTHBEARER": ("OAUTH", {"sasl.mechanism": "OAUTHBEARER", "oauth": bearer}),
        }[way]
        protocol = "SASL_SSL" if "sasl.mechanism" in settings else "SSL"
        self.configure(changes.pop("listener", listener), **({"security.protocol": protocol} | settings | changes))

    def run(self, *command: str) -> subprocess.CompletedProcess:
        return subprocess.run([self.binaries / "klaxon", *command, "-c", self.config], capture_output=True, text=True, timeout=60,
                              env=self.env, stdin=subprocess.DEVNULL, check=False)

    def start(self, program: str) -> subprocess.Popen:
        with self.log.open("ab") as log:
            self.processes.append(subprocess.Popen([self.binaries / program, "--config", self.config], stderr=log, stdin=subprocess.DEVNULL,
                                                   stdout=subprocess.DEVNULL, env=self.env, preexec_fn=die_with_parent))
        return self.processes[-1]

    def end(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(20)

    def logged(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.logged().splitlines()]

    def wait_log(self, text: str) -> None:
        wait_until(f"{text!r} in the log", lambda: text in self.logged(), SOON)

    def event(self, name: str) -> None:
        self.kube.put(new_event(involved("Pod", name, "default"), "Created", "m", "test", "Create"))

    def seen(self) -> Counter:
        """What everybody who reads has: from the listener without TLS."""
        return Counter(json.loads(one.value)["object"]["name"] for one in read_committed(self.broker.bootstrap, f"{self.prefix}kubernetes"))

    def put(self, *names: str) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "linger.ms": 1, "log_level": 0})
        for name in names:
            producer.produce(f"{self.prefix}nodes", event_data(name), "k", headers=list(event_headers(name).items()))
        assert producer.flush(20) == 0

    def no_secrets(self) -> None:
        told = self.logged() + "".join(Path(f"/proc/{p.pid}/cmdline").read_text() for p in self.processes if p.poll() is None)
        for secret in (PASSWORD, "wrong-password", SECRET, "eyJ"):
            assert secret not in told


@pytest.fixture
def programs(binaries: Path, tmp_path: Path, broker: SecureKafka, entra: Entra, slack: Slack, request: pytest.FixtureRequest) -> Iterator[Programs]:
    prefix = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-60:] + "."
    with Kube() as kube:
        made = Programs(binaries.resolve(), tmp_path, broker, entra, kube, slack, prefix)
        yield made
        made.no_secrets()
        made.end()
        print(made.logged())
        assert "Sanitizer" not in made.logged()


def newer_library(programs: Programs, directory: Path) -> None:
    """The programs with the librdkafka of the tests' own reader, which is newer than Debian's."""
    (directory / "newer").mkdir()
    (directory / "newer/librdkafka.so.1").symlink_to(NEWER[-1])
    programs.env["LD_LIBRARY_PATH"] = str(directory / "newer")


def everything_works(programs: Programs) -> None:
    """Ten topics are made on a broker that makes none by itself, and each kind of client is used."""
    applied = programs.run("topics", "apply")
    assert (applied.returncode, applied.stdout.count("created")) == (0, 10), applied.stderr
    there = programs.broker.admin().list_topics(timeout=20).topics
    assert {one for one in there if one.startswith(programs.prefix)} == {f"{programs.prefix}{one}" for one in TOPICS}
    programs.start("klaxon-collector")
    programs.event("one")
    wait_until("the collector has published", lambda: programs.seen()["one"] == 1, SOON)
    tailed = programs.run("tail", "-t", "kubernetes", "--no-follow", "--since", "1h", "-o", "json")
    assert tailed.returncode == 0 and '"one"' in tailed.stdout, tailed.stderr
    programs.put("node-1")
    programs.start("klaxon-sink-slack")
    wait_until("the sink has delivered", lambda: len(programs.slack.messages) == 1, SOON)
    wait_until("the receipt is written", lambda: len(read_committed(programs.broker.bootstrap, f"{programs.prefix}deliveries")) == 1, SOON)
    assert [line for line in programs.lines() if line["level"] in ("warn", "error")] == []


@pytest.mark.parametrize("way", ["tls", "certificate", "locked", "PLAIN", "OAUTHBEARER"])
def test_every_program_works(programs: Programs, way: str) -> None:
    if way == "locked":  # the key has a password
        subprocess.run(["openssl", "pkcs8", "-topk8", "-in", programs.broker.client[1], "-out", programs.dir / "locked.key",
                        "-passout", f"pass:{PASSWORD}"], check=True, timeout=20)
    programs.login(way)
    everything_works(programs)


@pytest.mark.skipif(not NEWER, reason="the tests' own librdkafka is not a library of its own here")
@pytest.mark.parametrize("way", ["SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
def test_every_program_works_with_a_newer_librdkafka(programs: Programs, tmp_path: Path, way: str) -> None:
    newer_library(programs, tmp_path)
    programs.login(way)
    everything_works(programs)


def librdkafka(programs: Programs) -> tuple[int, ...]:
    [version] = re.findall(r"librdkafka (\d+\.\d+\.\d+)", programs.run("version").stdout) or ["0.0.0"]
    return tuple(map(int, version.split(".")))


def test_scram_with_an_old_librdkafka_is_explained(programs: Programs) -> None:
    programs.login("SCRAM-SHA-512")
    applied = programs.run("topics", "apply")
    if applied.returncode == 0:
        pytest.skip("this librdkafka is new enough")
    assert applied.returncode == 4 and "this librdkafka is older than 2.6.1" in applied.stderr
    assert "this librdkafka is older than 2.6.1" in programs.run("check").stdout


@pytest.mark.parametrize(("way", "change", "words"), [
    ("tls", {"ssl.ca.location": "other"}, "ssl.ca.location must name the CA that has signed it"),
    ("tls", {"listener": "STRANGER"}, "the name of the broker must stand in it"),
    ("tls", {"security.protocol": "PLAINTEXT"}, "does security.protocol fit the port?"),
    ("certificate", {"listener": "MUTUAL", "ssl.certificate.location": "none"}, "does not accept the client's certificate"),
    ("PLAIN", {"sasl.password": "wrong"}, "look at sasl.username and sasl.password"),
    ("PLAIN", {"listener": "SCRAM"}, "sasl.mechanism must be one of the broker's"),
    ("OAUTHBEARER", {"oauth": {"scope": "api://other/.default"}}, "the brokers do not take the token: are scope (its audience)"),
    ("OAUTHBEARER", {"oauth": {"scope": AUDIENCE}}, "the scope must end in /.default"),
    ("OAUTHBEARER", {"oauth": {"client_id": "nobody"}}, "there is no such client_id in this tenant"),
    ("OAUTHBEARER", {"oauth": {"client_secret": "wrong"}}, "the client secret is wrong: it is the secret's value, not its id"),
    ("OAUTHBEARER", {"oauth": {"tenant": "elsewhere"}}, "there is no such tenant"),
    ("OAUTHBEARER", {"oauth": {"token_ca": "broker"}}, "token_ca names the certificates to trust"),
], ids=lambda value: value if isinstance(value, str) and " " not in value else "")
def test_what_is_wrong_is_said_by_every_program(programs: Programs, way: str, change: dict[str, Any], words: str) -> None:
    def resolve(value: Any) -> Any:
        named = {"other": str(programs.entra.ca), "broker": str(programs.broker.ca), "wrong": programs.file("wrong")}
        return {key: resolve(one) for key, one in value.items()} if isinstance(value, dict) else named.get(value, value)

    programs.login(way, **resolve(change))
    if change.get("ssl.certificate.location") == "none":
        programs.configure("MUTUAL", **{"security.protocol": "SSL"})
    applied = programs.run("topics", "apply")
    assert applied.returncode in (4, 5) and words in applied.stderr
    programs.start("klaxon-collector")
    programs.wait_log(words)
    assert {line["component"] for line in programs.lines() if words in line.get("what", "")} == {"collector"}
    programs.start("klaxon-sink-slack")
    wait_until("the sink says it too", lambda: any(words in line.get("what", "") and line["component"] == "sink-slack" for line in programs.lines()), SOON)
    assert [process.poll() for process in programs.processes] == [None, None]  # they try again


@pytest.mark.parametrize("library", ["installed", "newer"])
def test_a_token_that_expires_is_replaced_and_nothing_is_lost_or_told_twice(programs: Programs, entra: Entra, tmp_path: Path, library: str) -> None:
    """Tokens of six seconds: the broker ends each connection when its token has expired, or a newer librdkafka gives it the next one.

    librdkafka waits longer from one reconnection to the next when they come within reconnect.backoff.max.ms, as only here.
    """
    if library == "newer":
        newer_library(programs, tmp_path)
    programs.login("OAUTHBEARER", **{"reconnect.backoff.max.ms": 1000})
    assert programs.run("topics", "apply").returncode == 0
    entra.resource(AUDIENCE, seconds=6)
    first = len(entra.requests)
    programs.start("klaxon-collector")
    programs.start("klaxon-sink-slack")
    sent = messages = 0
    began = time.monotonic()

    def enough() -> bool:
        nonlocal sent, messages
        programs.event(f"e-{sent}")
        sent += 1
        if time.monotonic() - began > 2 * messages:  # Slack takes one a second
            programs.put(f"n-{messages}")
            messages += 1
        return len(entra.requests) >= first + 10  # of both programs: four lives of a token
    wait_until("tokens were replaced", enough, 60)
    wait_until("every event is there", lambda: len(programs.seen()) == sent, SOON)
    assert set(programs.seen().values()) == {1}
    wait_until("every message is there", lambda: len(programs.slack.messages) >= messages, SOON)
    assert Counter(re.search(r"n-\d+", one.text())[0] for one in programs.slack.messages.all()) == {f"n-{i}": 1 for i in range(messages)}
    assert [process.poll() for process in programs.processes] == [None, None]
    assert [line for line in programs.lines() if line["level"] == "error"] == []


def test_a_token_endpoint_that_is_away_does_not_matter_while_the_token_lives(programs: Programs, entra: Entra) -> None:
    programs.login("OAUTHBEARER")
    assert programs.run("topics", "apply").returncode == 0
    entra.fault(status=503, times=2)
    began = time.monotonic()
    programs.start("klaxon-collector")
    programs.wait_log("answers 503 to who asks for a token")
    programs.event("one")
    wait_until("it goes on by itself", lambda: programs.seen()["one"] == 1, SOON)
    assert time.monotonic() - began < 15
    entra.fault(cut="hang", times=0)
    for i in range(5):
        programs.event(f"later-{i}")
    wait_until("the token is still good", lambda: len(programs.seen()) == 6, SOON)
