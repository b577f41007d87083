"""What is written down is so: examples of every --help, the example configuration, the JSON Schema, what is installed."""
import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from cli_world import Event, Klaxon, kubeconfig
from cluster import Kafka
from conftest import ROOT
from stage import Slack
from test_cli import GOOD
from test_cli_advise import OBJECT, Recorder

SCHEMA = json.loads((ROOT / "schema/klaxon.schema.json").read_text())
KINDS = re.findall(r"^KLX_SINK\((\w+)\)$", (ROOT / "sinks/core/list.def").read_text(), re.M)
PROGRAMS = ["klaxon", "klaxon-collector", *(f"klaxon-sink-{kind}" for kind in KINDS)]

# A channel of each kind but those of GOOD, so that each program has something to do. Nothing listens there.
OTHERS = {
    "loganalytics": ("history", "{ endpoint: https://x.ingest.monitor.azure.com, dcr: dcr-00000000000000000000000000000000, tenant: t, client_id: c, "
                                "client_secret: { file: secret } }"),
    "teams": ("dev", "{ webhook_url: { file: flow } }"),
    "webhook": ("lake", "{ url: http://127.0.0.1:1/hook }"),
    "ntfy": ("phone", "{ url: http://127.0.0.1:1, topic: ops }"),
}


@pytest.fixture(scope="module")
def world(binaries: Path, tmp_path_factory: pytest.TempPathFactory, kafka: Kafka) -> Iterator[Klaxon]:
    """A folder with a good klaxon.yaml, topics, an event in a file, and one that every example of tail shows."""
    with Slack() as slack:
        yield world_with(binaries, tmp_path_factory.mktemp("examples"), kafka, slack)


def world_with(binaries: Path, directory: Path, kafka: Kafka, slack: Slack) -> Klaxon:
    made = Klaxon(binaries, directory, kafka.bootstrap, "examples.")
    made.env["USER"] = "ada"
    (directory / "secret").write_text(slack.new_hook("ops"))
    (directory / "event.json").write_bytes((ROOT / "schema/samples/node.notready.json").read_bytes())
    (directory / "flow").write_text("https://x.environment.api.powerplatform.com/powerautomate/automations/direct/workflows/1/triggers/manual/paths/"
                                    "invoke?api-version=1&sig=c2VjcmV0")
    others = ", ".join(f"{name}: {{ {kind}: {settings} }}" for kind, (name, settings) in OTHERS.items())
    made.configure(GOOD.format(kubeconfig=kubeconfig(directory), secret=directory / "secret",
                               email="to: ops@example.com, from: klaxon@example.com, smtp: smtp://127.0.0.1:1, tls: none")
                   .replace("channels: {", f"channels: {{ {others}, ").replace(" ops:", " ops-slack:").replace(" mail:", " ops-mail:").replace(", mail]", ", ops-mail]").replace("[ops,", f"[ops-slack, {', '.join(name for name, _ in OTHERS.values())},").replace("127.0.0.1:9464", "127.0.0.1:0").replace(":9465", ":0"))
    assert made.run("topics", "apply").returncode == 0
    made.put(Event(time.time() - 7200, node="aks-system-1", severity="critical"))
    record_hpa(made, directory)
    kafka.create_topic("sandbox.nodes", config={"retention.ms": "-1"})  # of replay
    return made


def record_hpa(made: Klaxon, directory: Path) -> None:
    """Half an hour of the managed HPA, and its object."""
    recorder = Recorder(made.bootstrap, made.prefix, "kube-system", "ama-metrics-hpa", "ama-metrics", "prometheus-collector")
    recorder.about(2, 12, time.time() - 3600)
    for second in range(0, 1800, 30):
        recorder.sample("ama-metrics-1", time.time() - 1800 + second, 3 << 30)
    recorder.flush()
    (directory / "hpa.json").write_text(json.dumps(OBJECT | {"metadata": {"name": "ama-metrics-hpa", "namespace": "kube-system"}, "spec": OBJECT["spec"] | {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ama-metrics"}}}))


def section(text: str, name: str) -> list[str]:
    """The indented lines below "Name:"."""
    lines = text.split("\n")
    if f"{name}:" not in lines:
        return []
    start = lines.index(f"{name}:") + 1
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("  ")), len(lines))
    return [line.strip() for line in lines[start:end]]


def helps(world: Klaxon, *command: str) -> dict[str, list[str]]:
    """The examples of a command and of all commands below it."""
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=20, env=world.env, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split("\n")[2].startswith(f"Usage: {' '.join(command)} [OPTIONS]")
    assert all(len(line) <= 132 for line in done.stdout.split("\n"))
    found = {" ".join(command): section(done.stdout, "Examples")}
    for line in section(done.stdout, "Commands"):
        found |= helps(world, *command, line.split()[0])
    return found


def runs_for_ever(example: str) -> bool:
    words = example.split()
    if words[0] != "klaxon":
        return "--check" not in words
    until_past = "--until today" in example
    counted = "-n" in words
    return words[1] == "tail" and "--no-follow" not in words and not until_past and not counted


def run_example(world: Klaxon, example: str) -> None:
    """An example that runs for ever is ended as soon as it has shown that it works."""
    with subprocess.Popen(["bash", "-c", f"exec {example}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=world.dir, env=world.env,
                          stdin=subprocess.DEVNULL) as process:
        if not runs_for_ever(example):
            out, err = process.communicate(timeout=30)
            assert process.returncode == 0, f"{example}\n{out.decode()}{err.decode()}"
            return
        is_tail = example.startswith("klaxon tail")
        deadline = time.monotonic() + 30
        shown = False
        while not shown:
            assert process.poll() is None and time.monotonic() < deadline, f"{example}: shows nothing"
            if is_tail:
                world.put(Event(time.time(), node="aks-system-1", severity="critical"))
            shown = bool(select.select([process.stdout if is_tail else process.stderr], [], [], 0.3)[0])
        process.send_signal(signal.SIGINT if is_tail else signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        assert process.returncode == (130 if is_tail else 0), f"{example}\n{err.decode()}"


def test_every_example_runs_as_printed(world: Klaxon) -> None:
    assert set(KINDS) == {"slack", "email", *OTHERS}, "put a channel of the new kind into OTHERS"
    examples = {}
    for program in PROGRAMS:
        examples |= helps(world, program)
    assert {"klaxon", "klaxon check", "klaxon topics apply", "klaxon topics list", "klaxon tail", "klaxon rbac", "klaxon schema", "klaxon version"} <= set(examples)
    for command, lines in examples.items():
        assert len(lines) >= 1, f"{command} has no example"
        for example in lines:
            run_example(world, example)


# The configuration

def errors(document) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(document)]


def test_the_example_has_every_key_and_is_valid(binaries: Path, tmp_path: Path) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    path = ROOT / "docs/klaxon.example.yaml"
    document = yaml.safe_load(path.read_text())
    assert errors(document) == []
    klaxon = Klaxon(binaries, tmp_path, "x", "")
    done = klaxon.run("check", "-c", path, "--no-environment", "--strict")
    assert done.returncode == 0, done.stdout

    def keys(node) -> set[str]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        return (set(node) if isinstance(node, dict) else set()).union(*map(keys, inner))
    assert schema_keys() - keys(document) - OPTIONAL_KEYS == set()


def schema_keys() -> set[str]:
    found: set[str] = set()

    def walk(node) -> None:
        if isinstance(node, dict):
            found.update(node.get("properties", {}))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)
    walk(SCHEMA)
    return found


# The ten topics and the sources are sets: an example need not have them all. A secret's place is one of two.
OPTIONAL_KEYS = {"env"} | {"kubernetes", "nodes", "scaling", "gitops", "metrics", "deliveries", "retry", "dlq"} | set(
    SCHEMA["definitions"]["cluster"]["properties"]["sources"]["allOf"][0]["properties"])


def test_the_reference_names_every_key() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    missing = {key for key in schema_keys() if not re.search(rf"`[^`]*\b{key}\b[^`]*`|^## {key}$", text, re.M)}
    assert missing == set()


def pieces_of(page: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.M | re.S)


def test_check_accepts_what_the_pages_about_connecting_show(binaries: Path, tmp_path: Path) -> None:
    klaxon = Klaxon(binaries, tmp_path, "x", "p.")
    kafka, clusters = pieces_of("kafka.md"), [one for one in pieces_of("clusters.md") if one.startswith("clusters:")]
    assert len(kafka) >= 7 and len(clusters) >= 2
    for piece in kafka + [f"kafka: {{ bootstrap.servers: x }}\n{one}" for one in clusters]:
        assert errors(yaml.safe_load(piece)) == [], piece
        klaxon.config.write_text(piece)
        done = klaxon.run("check", "--no-environment")
        assert done.returncode == 0, piece + done.stdout


def test_the_pieces_of_the_reference_fit_the_schema(binaries: Path) -> None:
    pieces = pieces_of("configuration.md")
    assert len(pieces) >= 6
    of_a_file = file_errors(binaries, "subscriptions")
    for piece in pieces:
        found = of_a_file if piece.startswith("team:") else errors
        assert found(yaml.safe_load(piece)) == [], piece


def file_errors(binaries: Path, name: str) -> Callable[[object], list[str]]:
    schema = json.loads(subprocess.run([binaries / "klaxon", "schema", name], capture_output=True, timeout=20, check=True).stdout)
    jsonschema.Draft7Validator.check_schema(schema)
    return lambda document: [error.message for error in jsonschema.Draft7Validator(schema).iter_errors(document)]


CHANNEL = {"slack": {"webhook_url": {"file": "/x"}}}
TOLD = {"topics": ["nodes"], "channels": ["a"]}


@pytest.mark.parametrize(("file", "document", "good"), [
    ("channels", {"a": CHANNEL}, True),
    ("channels", {"channels": {"a": CHANNEL}}, True),
    ("channels", {"channels": {"a": CHANNEL}, "subscriptions": []}, False),
    ("channels", {"a": {"slak": {}}}, False),
    ("subscriptions", [TOLD | {"team": "t"}], True),
    ("subscriptions", {"team": "t", "subscriptions": [TOLD]}, True),
    ("subscriptions", {"subscriptions": [TOLD | {"team": "t", "continue": False, "severity": {"raise_to": "critical"}}]}, True),
    ("subscriptions", [TOLD], False),
    ("subscriptions", {"team": "t", "subscriptions": [TOLD | {"chanels": ["a"]}]}, False),
    ("subscriptions", {"team": "t", "subscriptions": [TOLD], "channels": {}}, False),
])
def test_the_schemas_of_the_folders(binaries: Path, file: str, document: object, good: bool) -> None:
    assert (file_errors(binaries, file)(document) == []) == good


@pytest.mark.parametrize("text", [
    "chanels: {}",
    "kafka: [a]",
    "kafka: { bootstrap.servers: x, oauth: { scop: x } }",
    "topics: { partitions: many }",
    "topics: { retention: { nodes: soon } }",
    "clusters: [ { sources: { nodes: {} } } ]",
    "clusters: [ { name: a, sources: { evnts: {} } } ]",
    "sinks: { slack: { qeue: 1 } }",
    "sinks: { slack: { queue: 0 } }",
    "channels: { a: { slack: { webhook_url: http://x } } }",
    "channels: { a: { slack: { webhook_url: { file: x } }, email: { to: a, from: b, smtp: c } } }",
    "channels: { a: {} }",
    "channels: { a: { email: { to: a } } }",
    "subscriptions: [ { topics: [nodes], channels: [a] } ]",
    "subscriptions: [ { team: a, topics: [nodes], channels: [] } ]",
    "subscriptions: [ { team: a, topics: [nodes], channels: [a], match: { clutser: x } } ]",
    "subscriptions: [ { team: a, topics: [nodes], channels: [a], history: maybe } ]",
])
def test_the_schema_refuses_what_check_refuses(binaries: Path, tmp_path: Path, text: str) -> None:
    assert errors(yaml.safe_load(text)) != []
    klaxon = Klaxon(binaries, tmp_path, "x", "p")
    klaxon.config.write_text(f"kafka: {{ bootstrap.servers: x }}\n{text}\n" if not text.startswith("kafka") else text)
    assert klaxon.run("check", "--no-environment").returncode == 1


# What is installed

def test_what_is_installed(binaries: Path, tmp_path: Path) -> None:
    subprocess.run(["cmake", "--install", binaries, "--prefix", tmp_path / "usr"], check=True, capture_output=True, timeout=60)
    files = {str(path.relative_to(tmp_path / "usr")) for path in (tmp_path / "usr").rglob("*") if path.is_file()}
    schemas = {f"share/klaxon/{path.relative_to(ROOT / 'schema')}" for path in (*ROOT.glob("schema/events/*.json"), *ROOT.glob("schema/samples/*.json"))}
    docs = {f"share/doc/klaxon/{path.relative_to(ROOT / 'docs')}" for path in ROOT.glob("docs/**/*") if path.is_file()}
    assert "share/klaxon/events/node.notready.v1.json" in schemas and "share/doc/klaxon/klaxon.example.yaml" in docs
    assert files == {f"bin/{program}" for program in PROGRAMS} | schemas | docs | {
        "share/klaxon/klaxon.schema.json", "share/doc/klaxon/README.md", "lib/systemd/system/klaxon-collector.service",
        "lib/systemd/system/klaxon-sink@.service"}
    for program in PROGRAMS:
        done = subprocess.run([tmp_path / "usr/bin" / program, "--version"], capture_output=True, text=True, timeout=20, check=False,
                              env={k: v for k, v in os.environ.items() if k != "KLAXON_CONFIG"})
        assert re.fullmatch(rf"{program} \d+\.\d+\.\d+ \(\w+(-dirty)?\)\n", done.stdout), done
