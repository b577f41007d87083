"""`klaxon` against a real Kafka: topics, tail, check, and what it says when something is wrong."""
import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, AdminClient, ConfigResource, ResourcePatternType, ResourceType

from cli_world import Event, Klaxon, kubeconfig
from cluster import ApiServer, Kafka
from cluster.objects import involved, new_event
from cluster.process import free_port
from conftest import Collector

NOW = time.time()
DAY_MS = 86_400_000
TOPICS = {  # name: (partitions, cleanup.policy, retention.ms)
    "kubernetes": (4, "delete", 7 * DAY_MS), "nodes": (4, "delete", 30 * DAY_MS), "scaling": (4, "delete", 30 * DAY_MS),
    "gitops": (4, "delete", 30 * DAY_MS), "metrics": (4, "delete", 7 * DAY_MS), "state": (1, "compact", -1), "control": (1, "compact", -1),
    "deliveries": (4, "delete", 7 * DAY_MS), "retry": (4, "delete", 7 * DAY_MS), "dlq": (4, "delete", 30 * DAY_MS)}


@pytest.fixture
def klaxon(binaries: Path, tmp_path: Path, kafka: Kafka, request: pytest.FixtureRequest) -> Klaxon:
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)[:60]
    return Klaxon(binaries, tmp_path, kafka.bootstrap, f"{name}.")


@pytest.fixture(scope="session")  # as the broker: a module's would be written again when a worker comes back to it
def history(binaries: Path, tmp_path_factory: pytest.TempPathFactory, kafka: Kafka) -> Klaxon:
    """Ten topics, and a day of events that lie across the partitions, on two topics."""
    made = Klaxon(binaries, tmp_path_factory.mktemp("history"), kafka.bootstrap, "history.")
    assert made.run("topics", "apply").returncode == 0
    made.put(*[Event(NOW - 3600 + i, node=f"aks-{i % 7}", cluster=["prod-weu", "dev-1"][i % 2], severity=["info", "warning", "critical"][i % 3],
                     summary=f"number {i:03d}", topic="scaling" if i % 5 == 0 else "nodes") for i in reversed(range(100))])
    made.put_raw("nodes", b"{}", [("ce_specversion", "1.0")], NOW - 7200)
    made.put(Event(NOW - 7100, node="evil", summary="\x1b]0;owned\x07\x1b[2J \u202e\u009b31m \n two", severity="critical"))
    return made


# Topics

def settings_of(kafka: Kafka, topic: str) -> tuple[int, str, int, str]:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    found = admin.describe_configs([resource])[resource].result(20)
    partitions = len(admin.list_topics(topic, timeout=20).topics[topic].partitions)
    return partitions, found["cleanup.policy"].value, int(found["retention.ms"].value), found["message.timestamp.type"].value


def test_apply_creates_the_ten_topics_once(klaxon: Klaxon, kafka: Kafka) -> None:
    before = set(AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=20).topics)
    dry = klaxon.run("topics", "apply", "--dry-run")
    assert dry.returncode == 0 and dry.stderr == ""
    assert [line.split(":")[0] for line in dry.stdout.splitlines()] == [f"topic/{klaxon.prefix}{name} created (dry run)" for name in TOPICS]
    assert set(AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=20).topics) == before

    done = klaxon.run("topics", "apply")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"topic/{klaxon.prefix}{name} created" for name in TOPICS]
    assert {name: settings_of(kafka, klaxon.prefix + name) for name in TOPICS} == {name: (*wanted, "CreateTime") for name, wanted in TOPICS.items()}

    again = klaxon.run("topics", "apply")
    assert again.returncode == 0
    assert again.stdout.splitlines() == [f"topic/{klaxon.prefix}{name} unchanged" for name in TOPICS]


def test_the_configuration_decides_partitions_and_retention(klaxon: Klaxon, kafka: Kafka) -> None:
    klaxon.configure("", topics=", partitions: 2, replication: 1, retention: { nodes: 90d }")
    assert klaxon.run("topics", "apply").returncode == 0
    assert settings_of(kafka, f"{klaxon.prefix}nodes") == (2, "delete", 90 * DAY_MS, "CreateTime")
    assert settings_of(kafka, f"{klaxon.prefix}state")[0] == 1
    assert "missing" not in klaxon.run("topics", "list").stdout


def test_list_shows_what_is_missing_and_what_differs(klaxon: Klaxon, kafka: Kafka) -> None:
    kafka.create_topic(f"{klaxon.prefix}nodes", 1, {"retention.ms": "3600000"})
    done = klaxon.run("topics", "list")
    assert done.returncode == 0
    assert done.stderr == "9 of 10 topics are missing: run `klaxon topics apply`\n"
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["NAME", "PARTITIONS", "REPLICATION", "CLEANUP", "RETENTION", "DRIFT"]
    rows = {line.split()[0]: line.split(maxsplit=5)[1:] for line in lines[1:]}
    drift = "partitions is 1, expected 4; retention.ms is 3600000, expected 2592000000"
    assert rows[f"{klaxon.prefix}nodes"] == ["1", "1", "delete", "1h", drift]
    assert rows[f"{klaxon.prefix}state"] == ["1", "default", "compact", "forever", "missing"]
    assert len(rows) == 10

    listed = json.loads(klaxon.run("topics", "list", "-o", "json").stdout)
    assert list(listed) == ["apiVersion", "kind", "items"] and listed["kind"] == "TopicList"
    nodes = next(item for item in listed["items"] if item["name"] == f"{klaxon.prefix}nodes")
    assert nodes == {"name": f"{klaxon.prefix}nodes", "partitions": 1, "replication": 1, "cleanup": "delete", "retentionMs": 3600000,
                     "key": "cluster/node", "exists": True, "drift": [
                         {"setting": "partitions", "found": "1", "expected": "4"},
                         {"setting": "retention.ms", "found": "3600000", "expected": "2592000000"}]}

    applied = klaxon.run("topics", "apply")
    assert applied.returncode == 0
    assert f"topic/{klaxon.prefix}nodes differs, left as it is: {drift}" in applied.stdout
    assert settings_of(kafka, f"{klaxon.prefix}nodes")[0] == 1


def test_what_the_broker_refuses_to_create_is_listed(klaxon: Klaxon) -> None:
    klaxon.configure("", topics=", replication: 3")
    done = klaxon.run("topics", "apply")
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert "eplication factor" in lines[0]
    assert lines[1] == "Create these topics where this broker's topics are created, then run this again:"
    assert lines[2] == (f"  {klaxon.prefix}kubernetes: partitions 4, replication 3, cleanup.policy=delete, retention.ms=604800000, "
                        "message.timestamp.type=CreateTime")
    assert len(lines) == 12


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka that asks for credentials and lets alice look and read, but not create: as a managed one does. Its clients' address."""
    port, controller, client = free_port(), free_port(), free_port()
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    broker = Kafka(tmp_path_factory.mktemp("guarded") / "data", settings={
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},CLIENT://127.0.0.1:{client}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},CLIENT://127.0.0.1:{client}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CLIENT:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.client.plain.sasl.jaas.config": f'{plain} user_alice="wonder";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS"})
    broker.nodes[0].port = port
    with broker:
        acls = [AclBinding(ResourceType.TOPIC, "*", ResourcePatternType.LITERAL, "User:alice", "*", operation, AclPermissionType.ALLOW)
                for operation in (AclOperation.DESCRIBE, AclOperation.READ)]
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
        for made in admin.create_acls(acls).values():
            made.result(20)
        yield f"127.0.0.1:{client}"


def credentials(password: str) -> str:
    return f", security.protocol: sasl_plaintext, sasl.mechanism: PLAIN, sasl.username: alice, sasl.password: {password}"


def test_a_broker_that_lets_nobody_create_topics(binaries: Path, tmp_path: Path, guarded: str) -> None:
    klaxon = Klaxon(binaries, tmp_path, guarded, "g.")
    klaxon.configure("", kafka=credentials("wonder"))
    done = klaxon.run("topics", "apply")
    assert done.returncode == 4, done.stderr
    assert "uthorization failed" in done.stderr.splitlines()[0]
    assert "Create these topics where this broker's topics are created" in done.stderr
    assert sum(line.startswith("  g.") for line in done.stderr.splitlines()) == 10


def test_a_password_comes_from_a_file(binaries: Path, tmp_path: Path, guarded: str) -> None:
    klaxon = Klaxon(binaries, tmp_path, guarded, "g.")
    klaxon.configure("", kafka=credentials(f"{{ file: {tmp_path}/password }}"))
    assert klaxon.run("check").stdout.startswith(f"{klaxon.config}:1:")
    assert klaxon.run("check", "--no-environment").returncode == 0
    (tmp_path / "password").write_text("wonder\n")
    assert klaxon.run("check").returncode == 0
    assert klaxon.run("topics", "list").returncode == 0


def test_credentials_that_are_not_accepted(binaries: Path, tmp_path: Path, guarded: str) -> None:
    klaxon = Klaxon(binaries, tmp_path, guarded, "g.")
    klaxon.configure("", kafka=credentials("queen-of-hearts"))
    for command in (["topics", "list"], ["tail"]):
        done = klaxon.run(*command)
        assert done.returncode == 4, done.stderr
        assert f"Kafka at {guarded} does not accept the credentials" in done.stderr
        assert "queen-of-hearts" not in done.stderr


# Tail

def summaries(done: subprocess.CompletedProcess) -> list[str]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["data"]["summary"] for line in done.stdout.splitlines()]


def expected(wanted) -> list[str]:
    return [f"number {i:03d}" for i in range(100) if wanted(i)]


# Up to a time before the tests: one of them adds to the history, and in which order they run is open.
UP_TO_HERE = ["--until", str(int(NOW - 60)), "--no-follow", "-o", "json"]
FROM_HERE = ["--since", "100m", *UP_TO_HERE]


@pytest.mark.parametrize("options, wanted", [
    ([], lambda i: True),
    (["--topic", "scaling"], lambda i: i % 5 == 0),
    (["-t", "history.scaling", "-t", "nodes"], lambda i: True),
    (["--cluster", "dev-*"], lambda i: i % 2 == 1),
    (["--cluster", "!dev-*"], lambda i: i % 2 == 0),
    (["--severity", "critical", "-s", "warning"], lambda i: i % 3 > 0),
    (["--node", "~aks-[12]$"], lambda i: i % 7 in (1, 2)),
    (["--grep", "NUMBER 01"], lambda i: 10 <= i < 20),
    (["--node", "aks-1", "--cluster", "prod-weu"], lambda i: i % 7 == 1 and i % 2 == 0),
    (["-n", "5"], lambda i: i < 5),
    (["--until", "UNTIL"], lambda i: i < 10),
])
def test_tail_shows_what_is_asked_for_in_time_order(history: Klaxon, options: list[str], wanted) -> None:
    until = str(int(NOW - 3600 + 10))
    chosen = [until if option == "UNTIL" else option for option in options]
    assert summaries(history.run("tail", *FROM_HERE, *chosen)) == expected(wanted)


def test_tail_of_the_past_without_a_beginning(history: Klaxon) -> None:
    assert summaries(history.run("tail", *UP_TO_HERE, "-n", "3")) == ["number 097", "number 098", "number 099"]
    done = history.run("tail", *UP_TO_HERE)
    assert len(done.stdout.splitlines()) == 102


def test_the_members_of_json_are_a_contract(history: Klaxon) -> None:
    done = history.run("tail", *FROM_HERE, "-n", "1")
    shown = json.loads(done.stdout)
    event = Event(NOW - 3600, node="aks-0", severity="info")
    assert isinstance(shown.pop("partition"), int) and isinstance(shown.pop("offset"), int)
    assert shown == {
        "topic": "history.scaling", "time": event.time, "type": "io.klaxon.node.notready", "source": "/clusters/prod-weu/nodes",
        "cluster": "prod-weu", "severity": "info", "incident": None, "phase": None, "seq": None, "resync": False, "subject": "Node/aks-0",
        "id": f"aks-0-{NOW - 3600}",
        "data": {"summary": "number 000", "object": {"kind": "Node", "name": "aks-0"}, "reason": "KubeletNotReady", "labels": {}}}
    assert done.stderr.startswith("showing what happened since ") and done.stderr.endswith("Z (UTC)\n")


def test_what_cannot_be_read_is_shown_as_such(history: Klaxon) -> None:
    lines = history.run("tail", "--since", "3h", "--until", "119m", "--no-follow", "-o", "json").stdout.splitlines()
    shown = json.loads(lines[0])
    assert set(shown) == {"topic", "partition", "offset", "time", "error"} and "ce_" not in shown["time"]
    table = history.run("tail", "--since", "3h", "--until", "119m").stdout.splitlines()
    assert " ? history.nodes/" in table[0] and "cannot be read: not a CloudEvent" in table[0]


@pytest.mark.parametrize("output", ["table", "json"])
def test_hostile_text_is_harmless(history: Klaxon, output: str) -> None:
    text = history.run("tail", "--since", "3h", "--until", "90m", "--node", "evil", "-o", output, "--color", "never").stdout
    assert len(text.splitlines()) == 1 and "evil" in text
    assert not [c for c in text.rstrip("\n") if ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0 or 0x202a <= ord(c) <= 0x202e]
    if output == "json":
        assert json.loads(text)["data"]["summary"] == "\x1b]0;owned\x07\x1b[2J \u202e\u009b31m \n two"


def on_terminal(klaxon: Klaxon, *args: str, **env: str) -> str:
    leader, follower = pty.openpty()
    process = klaxon.start(*args, stdout=follower, env=klaxon.env | env)
    os.close(follower)
    text = b""
    try:
        while chunk := os.read(leader, 65536):
            text += chunk
    except OSError:
        pass  # EIO: nobody holds the terminal any more
    os.close(leader)
    process.communicate(timeout=20)
    return text.decode()


def test_colours_are_for_terminals(history: Klaxon) -> None:
    args = ["tail", "--since", "100m", "--no-follow", "-n", "6"]
    assert "\x1b[33m▲\x1b[0m" in on_terminal(history, *args)
    assert "\x1b" not in on_terminal(history, *args, NO_COLOR="1")
    assert "\x1b" not in on_terminal(history, *args, TERM="dumb")
    assert "\x1b" not in history.run(*args).stdout
    assert "\x1b[33m▲\x1b[0m" in history.run(*args, "--color", "always").stdout
    ascii_only = history.run(*args, LC_ALL="C").stdout
    assert ascii_only.isascii() and " ! dev-1 " in ascii_only


def read_line(process: subprocess.Popen, seconds: float = 10) -> str:
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    assert ready, f"no line within {seconds:g} s"
    return process.stdout.readline().decode()


def first_live_line(klaxon: Klaxon, process: subprocess.Popen, event: Event) -> str:
    """Nothing says that tail listens already, so events are sent until one is shown."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        event.at = time.time()
        klaxon.put(event)
        if select.select([process.stdout], [], [], 0.3)[0]:
            return process.stdout.readline().decode()
    raise AssertionError(f"nothing was shown: {process.poll()}")


def test_tail_follows_until_ctrl_c(klaxon: Klaxon) -> None:
    assert klaxon.run("topics", "apply").returncode == 0
    klaxon.put(Event(time.time() - 60, summary="before"))
    with klaxon.start("tail", "-o", "json") as process:
        assert json.loads(first_live_line(klaxon, process, Event(0, summary="live")))["data"]["summary"] == "live"
        sent = time.monotonic()
        klaxon.put(Event(time.time(), node="aks-next", summary="next"))
        while json.loads(read_line(process))["data"]["summary"] != "next":
            pass
        assert time.monotonic() - sent < 2
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=5)
        assert (process.returncode, said) == (130, b"")


def test_tail_shows_the_past_in_order_and_goes_on(history: Klaxon) -> None:
    with history.start("tail", "--since", "100m", "--cluster", "prod-weu", "--topic", "nodes", "-o", "json") as process:
        got = [json.loads(read_line(process))["data"]["summary"] for _ in range(40)]
        assert got == expected(lambda i: i % 2 == 0 and i % 5 > 0)
        assert "live" in first_live_line(history, process, Event(0, node="later", cluster="prod-weu", summary="live"))
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=5)


def test_tail_ends_at_until(klaxon: Klaxon) -> None:
    assert klaxon.run("topics", "apply").returncode == 0
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 2))
    started = time.monotonic()
    done = klaxon.run("tail", "--until", until)
    assert done.returncode == 0 and time.monotonic() - started < 10


def test_a_reader_that_goes_away_ends_it_quietly(history: Klaxon) -> None:
    done = subprocess.run(f"{history.binary} tail --since 100m | head -1", shell=True, capture_output=True, text=True, timeout=20, env=history.env,
                          check=False)
    assert len(done.stdout.splitlines()) == 1
    assert [line for line in done.stderr.splitlines() if not line.startswith("showing what happened since ")] == []
    with history.start("tail") as process:  # nothing comes: the closed pipe alone must end it
        process.stdout.close()
        assert process.wait(10) == 0


def test_the_first_line_is_there_at_once(history: Klaxon) -> None:
    started = time.monotonic()
    with history.start("tail", "--since", "100m", "--no-follow") as process:
        read_line(process)
        took = time.monotonic() - started
        process.communicate(timeout=20)
    assert took < 3  # 0.3 s on a machine that does nothing else


def test_tail_says_which_topics_are_missing(klaxon: Klaxon, kafka: Kafka) -> None:
    done = klaxon.run("tail")
    assert done.returncode == 1
    assert done.stderr == (f"klaxon tail: Kafka at {kafka.bootstrap} does not have " +
                           ", ".join(klaxon.prefix + t for t in ["kubernetes", "nodes", "scaling", "gitops", "metrics"]) +
                           ": run `klaxon topics apply`\n")
    kafka.create_topic(f"{klaxon.prefix}nodes", 1)
    klaxon.put(Event(time.time(), summary="there"))
    done = klaxon.run("tail", "--no-follow", "-o", "json")
    assert summaries(done) == ["there"] and "the other topics are shown" in done.stderr
    assert klaxon.run("tail", "--topic", "scaling").returncode == 1


def test_tail_shows_what_the_collector_writes(collector: Collector, api: ApiServer, binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    (tmp_path / "cli").mkdir()
    klaxon = Klaxon(binaries, tmp_path / "cli", kafka.bootstrap, collector.prefix)
    api.new_client().create_event(new_event(involved("Pod", "seen-by-tail", "default"), "Created", "Created container x", "kubelet", "Create"))
    collector.start()
    done = klaxon.run("tail", "--since", "1h", "--grep", "created container", "-n", "1", "-o", "json", "-t", "kubernetes")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert (shown["type"], shown["cluster"], shown["resync"]) == ("io.klaxon.kubernetes.event", collector.name, True)
    assert collector.stop() == 0


# What is wrong is said

def test_kafka_is_not_there(binaries: Path, tmp_path: Path) -> None:
    klaxon = Klaxon(binaries, tmp_path, "127.0.0.1:1", "t.")
    for command in (["topics", "list"], ["topics", "apply"], ["tail"], ["tail", "--since", "1h", "--no-follow"]):
        started = time.monotonic()
        done = klaxon.run(*command)
        assert done.returncode == 5
        assert done.stderr == (f"klaxon {' '.join(w for w in command[:2] if w[0] != '-')}: Kafka at 127.0.0.1:1 does not answer: "
                               "Connect to ipv4#127.0.0.1:1 failed: Connection refused\n")
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("args, said", [
    (["tial"], 'klaxon: there is no command "tial", did you mean "tail"?\nTry \'klaxon --help\'.\n'),
    (["topics", "aply"], 'klaxon topics: there is no command "aply", did you mean "apply"?\nTry \'klaxon topics --help\'.\n'),
    (["--configg", "x"], "klaxon: unknown option --configg, did you mean --config?"),
    (["tail", "--sicne", "1h"], "klaxon tail: unknown option --sicne, did you mean --since?\nTry 'klaxon tail --help'.\n"),
    (["tail", "nodes"], 'klaxon tail: takes no operands, found "nodes"\n'),
    (["tail", "--topic", "nodse"], 'klaxon tail: --topic: there is no topic "nodse", did you mean "nodes"?'),
    (["tail", "--since", "noon"], 'klaxon tail: --since: "noon" is not a time'),
    (["tail", "--severity", "fatal"], "klaxon tail: --severity wants one of info, warning, critical"),
    (["tail", "-n", "0"], "klaxon tail: --count wants a number from 1 on"),
    (["tail", "-n", "many"], "klaxon tail: --count wants a whole number"),
    (["tail", "-o", "xml"], "klaxon tail: --output wants one of table|json"),
    (["check", "-o", "yaml"], "klaxon check: --output wants one of text|json|github"),
    (["-c"], "klaxon: -c wants a value"),
    (["help", "nothing"], 'klaxon: there is no command "nothing"'),
])
def test_a_wrong_command_line_is_code_2(klaxon: Klaxon, args: list[str], said: str) -> None:
    done = klaxon.run(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_configuration_that_is_not_valid_is_code_1(klaxon: Klaxon) -> None:
    klaxon.config.write_text("kafka: { bootstrap.servers: x, compresion.codec: zstd }\n")
    for command in (["tail"], ["topics", "list"], ["check"]):
        done = klaxon.run(*command)
        assert done.returncode == 1
        assert 'did you mean "compression.codec"?' in done.stdout + done.stderr
    klaxon.config.unlink()
    done = klaxon.run("tail")
    assert done.returncode == 1
    assert "klaxon.yaml: No such file or directory; name the configuration with -c FILE or KLAXON_CONFIG" in done.stderr


def test_help_and_version(klaxon: Klaxon) -> None:
    bare, asked, topic = klaxon.run(), klaxon.run("--help"), klaxon.run("topics")
    assert bare.returncode == asked.returncode == topic.returncode == 0
    assert bare.stdout == asked.stdout and "  tail  " in bare.stdout and "  apply  " in topic.stdout
    assert klaxon.run("help", "tail").stdout == klaxon.run("tail", "--help").stdout
    assert klaxon.run("help", "topics", "list").stdout == klaxon.run("topics", "list", "-h").stdout
    version = json.loads(klaxon.run("version", "-o", "json").stdout)
    assert set(version) == {"version", "revision", "librdkafka", "libcurl"}
    assert klaxon.run("--version").stdout == f"klaxon {version['version']} ({version['revision']})\n"
    with open("/dev/full", "w", encoding="utf-8") as full:
        assert klaxon.start("version", stdout=full).wait(10) == 1


def test_the_configuration_may_be_named_before_the_command(klaxon: Klaxon, tmp_path: Path) -> None:
    assert klaxon.run("topics", "apply").returncode == 0
    wanted = klaxon.run("topics", "list").stdout
    klaxon.env["KLAXON_CONFIG"] = str(tmp_path / "nowhere.yaml")
    assert klaxon.run("-c", str(klaxon.config), "topics", "list").stdout == wanted
    assert klaxon.run(f"--config={klaxon.config}", "topics", "list").stdout == wanted
    for command in (["schema", "channels"], ["version"], ["topics"]):  # which need none
        done = klaxon.run("-c", str(klaxon.config), *command)
        assert (done.returncode, done.stdout) == (0, klaxon.run(*command).stdout) and done.stdout
    assert "unknown option" in klaxon.run("--dry-run", "topics", "list").stderr


# Check

GOOD = """collector: {{ listen: "127.0.0.1:9464" }}
clusters: [ {{ name: prod-weu, kubeconfig: {kubeconfig}, sources: {{ events: {{}}, nodes: {{}} }} }} ]
sinks: {{ slack: {{ listen: ":9465" }} }}
channels: {{ ops: {{ slack: {{ webhook_url: {{ file: {secret} }} }} }}, mail: {{ email: {{ {email} }} }} }}
subscriptions: [ {{ team: operations, topics: [nodes], match: {{ cluster: "prod-*" }}, channels: [ops, mail] }} ]
"""


@pytest.fixture
def checked(klaxon: Klaxon, tmp_path: Path) -> Klaxon:
    secret = tmp_path / "secret"
    secret.write_text("https://hooks.slack.com/services/T0/B0/c2VjcmV0\n")
    klaxon.configure(GOOD.format(kubeconfig=kubeconfig(tmp_path), secret=secret,
                                 email="to: [ops@example.com], from: klaxon@example.com, smtp: smtp://mail.example.com"))
    return klaxon


def test_check_of_a_good_configuration(checked: Klaxon) -> None:
    done = checked.run("check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{checked.config}: 1 cluster, 2 channels, 1 subscription: valid\n"
    assert json.loads(checked.run("check", "-o", "json").stdout) == {
        "apiVersion": "klaxon.io/v1", "kind": "CheckResult", "file": str(checked.config), "valid": True, "mistakes": 0, "warnings": 0,
        "clusters": 1, "channels": 2, "subscriptions": 1, "findings": []}
    silent = checked.run("check", "-o", "github")
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")


@pytest.mark.parametrize("old, new, place, said", [
    ("channels: { ops:", "chanels: { ops:", "6:1", 'unknown key "chanels", did you mean "channels"?'),
    ("team: operations,", "", "7:18", 'subscriptions[0]: "team" is missing'),
    ("team: operations", "team: [a]", "7:26", "subscriptions[0].team: expected the name of the team"),
    ("channels: [ops,", "channels: [opps,", "7:96", 'subscriptions[0].channels[0]: there is no channel "opps", did you mean "ops"?'),
    ("topics: [nodes]", "topics: [noodes]", "7:47", 'there is no topic "noodes", did you mean "nodes"?'),
    ("match: { cluster", "match: { clutser", "7:64", 'unknown key "clutser", did you mean "cluster"?'),
    ('"prod-*"', '"~("', "7:73", 'subscriptions[0].match.cluster: pattern "~(": missing closing parenthesis'),
    ("{ slack: { webhook", "{ slak: { webhook", "6:20", 'channels.ops: there is no kind of sink "slak", did you mean "slack"?'),
    (":9465", "9465", "5:27", '"9465" is not an address to listen on'),
    ("events: {}", "evnts: {}", None, 'there is no source "evnts", did you mean "events"?'),
    ("kubeconfig: /", "kubeconfig: /nowhere/", "4:43", "clusters[0].kubeconfig: cannot read /nowhere/"),
    ("{ file: /", "{ file: /nowhere/", "6:42", "channels.ops.slack.webhook_url: cannot read file /nowhere/"),
    ("to: [ops@example.com]", "to: [ops]", None, "channels.mail.email.to[0]: "),
    ("from: klaxon@", "form: klaxon@", None, 'unknown key "form", did you mean "from"?'),
    ("smtp: smtp:", "smtp: http:", None, "channels.mail.email.smtp: "),
    ('kafka: {', 'kafka: { ssl.ca.location: /nowhere/ca.pem,', "1:27", "kafka.ssl.ca.location: cannot read /nowhere/ca.pem"),
    ('kafka: {', 'kafka: { group.id: x,', "1:20", "group.id cannot be set: each sink has its own"),
    ('listen: "127.0.0.1:9464"', 'listen: { port: 1 }', "3:22", "collector.listen: expected a single value, found a map"),
    ("prefix:", "partitions: four, prefix:", "2:23", 'topics.partitions: expected a whole number, found "four"'),
    ("clusters: [", "clusters: {", "7:1", ""),
])
def test_a_mistake_is_said_with_its_place(checked: Klaxon, old: str, new: str, place: str | None, said: str) -> None:
    text = checked.config.read_text()
    assert text.count(old) >= 1
    checked.config.write_text(text.replace(old, new, 1))
    done = checked.run("check")
    assert done.returncode == 1
    line = next((one for one in done.stdout.splitlines() if said in one), None)
    assert line is not None, done.stdout
    if place is not None and said:
        assert line.startswith(f"{checked.config}:{place}: "), line


def test_all_mistakes_of_all_files_are_said(checked: Klaxon, tmp_path: Path) -> None:
    (tmp_path / "channels.d").mkdir()
    (tmp_path / "subscriptions.d").mkdir()
    (tmp_path / "channels.d/a.yaml").write_text("spare: { slack: { webhook_url: { env: NOT_SET }, color: red } }\nops: { slack: {} }\n")
    (tmp_path / "subscriptions.d/b.yaml").write_text("- { team: b, topics: [nodes], channels: [spar] }\n- { team: c, topics: [], channels: [ops] }\n")
    done = checked.run("check", "-o", "json")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    found = {(Path(f["file"]).name, f["line"], f["column"]): f["message"] for f in result["findings"]}
    assert found == {
        ("a.yaml", 1, 32): "environment variable NOT_SET is not set",
        ("a.yaml", 1, 50): 'unknown key "color"',
        ("a.yaml", 2, 6): f"the channel is defined already in {checked.config}:6",
        ("b.yaml", 1, 42): 'there is no channel "spar", did you mean "spare"?',
        ("b.yaml", 2, 22): "the list is empty: expected the name of a topic"}
    assert result["mistakes"] == 5 and not result["valid"]

    (tmp_path / "channels.d/a.yaml").write_text("spare: {\n")
    lines = checked.run("check").stdout.splitlines()
    assert len(lines) == 2 and lines[0].startswith(f"{tmp_path}/channels.d/a.yaml:2:1: ")


def test_a_pipe_among_the_files_is_said_and_not_waited_for(checked: Klaxon, tmp_path: Path) -> None:
    for folder in ("channels.d", "subscriptions.d"):
        (tmp_path / folder).mkdir()
        os.mkfifo(tmp_path / folder / "pipe.yaml")
    done = checked.run("check")
    assert (done.returncode, done.stdout.splitlines()[:2]) == (1, [
        f"{tmp_path}/{folder}/pipe.yaml is no file but a pipe, a socket or a device" for folder in ("channels.d", "subscriptions.d")])


def test_a_selection_that_loses_the_nodes_events_is_a_warning(checked: Klaxon) -> None:
    good = checked.config.read_text()
    for selection, warned in [("namespaces: [kube-system]", True), ("exclude_namespaces: default", True), ("namespaces: [kube-system, default]", False)]:
        checked.config.write_text(good.replace("events: {}", f"events: {{ {selection} }}"))
        done = checked.run("check")
        assert done.returncode == 0
        said = f"sources.events.{selection.split(':')[0]}: Events about nodes lie in the namespace `default`: auto-repair is not seen"
        assert (said in done.stdout) is warned, done.stdout
    checked.config.write_text(good.replace("events: {}, nodes: {}", "events: { namespaces: [kube-system] }").replace("sources:", "canary: false, sources:"))
    assert checked.run("check", "--strict").returncode == 0


def test_metrics_without_limits_are_a_warning(checked: Klaxon) -> None:
    good = checked.config.read_text()
    for sources, warned in [("podmetrics: {}", True), ("podmetrics: {}, pods: {}", False)]:
        checked.config.write_text(good.replace("events: {}", f"events: {{}}, {sources}"))
        done = checked.run("check")
        assert done.returncode == 0
        assert ("sources.podmetrics: without the source `pods` no limit is known" in done.stdout) is warned, done.stdout


def test_a_canary_that_cannot_be_seen_is_a_warning(checked: Klaxon) -> None:
    good = checked.config.read_text()
    for canary, selection, why in [
        ("", "namespaces: [kube-system]", "its namespace is not watched by the source events"),
        ("canary: { namespace: a }, ", "exclude_namespaces: a", "its namespace is not watched by the source events"),
        ("", "field_selector: type=Warning", "the source events has a selector, which may leave it out"),
        ("canary: { namespace: a }, ", "exclude_namespaces: b", ""),
        ("canary: false, ", "field_selector: type=Warning", ""),
    ]:
        checked.config.write_text(good.replace("events: {}", f"events: {{ {selection} }}").replace("nodes: {}", "hpa: {}")
                                  .replace("sources:", f"{canary}sources:"))
        done = checked.run("check")
        assert done.returncode == 0 and (f": {why}. A watch that died in silence" in done.stdout) is bool(why), done.stdout
    checked.config.write_text(good.replace("sources:", "canary: { every: 1ms, namespace: A }, sources:"))
    done = checked.run("check")
    assert "clusters[0].canary.every: 1ms is not between 1s and 10m" in done.stdout
    assert 'clusters[0].canary.namespace: expected the name of a namespace, found "A"' in done.stdout
    checked.config.write_text(good.replace("sources:", "canary: no, sources:"))
    assert "clusters[0].canary: expected false, or a map, for example {every: 30s}" in checked.run("check").stdout


def test_warnings_count_when_strict(checked: Klaxon) -> None:
    text = checked.config.read_text()
    checked.config.write_text(text.replace("channels: { ops:", "channels: { spare: { slack: { webhook_url: { env: HOME } } }, ops:")
                              .replace("prod-*", "prd-*").replace("{ env: HOME }", "{ file: %s/secret }" % checked.dir))
    done = checked.run("check")
    assert done.returncode == 0
    assert "warning: channels.spare: no subscription sends to this channel" in done.stdout
    assert "warning: subscriptions[0].match.cluster: this matches none of `clusters:`" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("valid, 2 warnings")
    assert checked.run("check", "--strict").returncode == 3
    annotation = f"::warning file={checked.config},line=6,col=20::channels.spare: no subscription sends to this channel"
    assert annotation in checked.run("check", "-o", "github").stdout


def test_without_the_environment_only_the_files_are_checked(checked: Klaxon, tmp_path: Path) -> None:
    (tmp_path / "secret").unlink()
    (tmp_path / "kubeconfig").unlink()
    assert checked.run("check").stdout.splitlines()[-1].endswith(": 2 mistakes")
    assert checked.run("check", "--no-environment").returncode == 0
