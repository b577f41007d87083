"""The JSON Schemas of events and the AsyncAPI document, by other people's validators."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from confluent_kafka.admin import ConfigResource

from cli_world import Klaxon
from cluster import Kafka
from cluster.cache import node, readers_modules
from conftest import ROOT
from event_schema import problems

SAMPLES = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "schema/samples").glob("*.json"))}
ASYNCAPI = json.loads((ROOT / "schema/asyncapi.json").read_text())
DRAFTS = {"draft-07": jsonschema.Draft7Validator, "2020-12": jsonschema.Draft202012Validator}


def schema_of(sample: dict) -> dict:
    kind, version = sample["headers"]["ce_dataschema"].removeprefix("urn:klaxon:").split(":")
    return json.loads((ROOT / f"schema/events/{kind}.v{version}.json").read_text())


def errors(schema: dict, value: object, draft: str = "draft-07") -> list[str]:
    validator = DRAFTS[draft](schema, format_checker=DRAFTS[draft].FORMAT_CHECKER)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_sample_is_valid(kind: str) -> None:
    schema = schema_of(SAMPLES[kind])
    for draft, validator in DRAFTS.items():
        validator.check_schema(schema)
        assert errors(schema, SAMPLES[kind]["value"], draft) == []


def test_the_schemas_are_open_for_what_readers_do_not_know() -> None:
    for sample in SAMPLES.values():
        assert errors(schema_of(sample), sample["value"] | {"memberOfTheFuture": [1]}) == []


def test_who_writes_is_held_to_more_than_who_reads() -> None:
    value = SAMPLES["pod.gone"]["value"]
    assert problems("urn:klaxon:pod.gone:1", value) == []
    assert len(problems("urn:klaxon:pod.gone:1", value | {"colour": "red"})) == 1
    assert len(problems("urn:klaxon:pod.gone:1", value | {"container": value["container"] | {"colour": "red"}})) == 1


def drop(name: str) -> Callable[[dict], None]:
    def change(value: dict) -> None:
        del value[name]
    return change


def put(*path: str, value: object) -> Callable[[dict], None]:
    def change(data: dict) -> None:
        for name in path[:-1]:
            data = data[name]
        data[path[-1]] = value
    return change


@pytest.mark.parametrize(("change", "said"), [
    (drop("summary"), "'summary' is a required property"),
    (drop("container"), "'container' is a required property"),
    (put("object", value="Pod/a"), "$.object: 'Pod/a' is not of type 'object'"),
    (put("labels", "a", value=1), "$.labels.a: 1 is not of type 'string'"),
    (put("container", "exitCode", value="137"), "$.container.exitCode: '137' is not of type 'integer'"),
    (put("incident", "severity", value="bad"), "$.incident.severity: 'bad' is not one of"),
    (put("scaledBy", "atMax", value="yes"), "$.scaledBy.atMax: 'yes' is not of type 'boolean'"),
])
def test_a_wrong_record_is_refused(change: Callable[[dict], None], said: str) -> None:
    value = copy.deepcopy(SAMPLES["pod.oomkilled"]["value"])
    change(value)
    found = errors(schema_of(SAMPLES["pod.oomkilled"]), value)
    assert len(found) == 1 and said in found[0], found


# The AsyncAPI document

def parse(document: dict) -> dict:
    done = subprocess.run([node(), ROOT / "tests/integration/readers/parse_asyncapi.cjs"], input=json.dumps(document), text=True,
                          capture_output=True, timeout=60, check=False, env={"NODE_PATH": str(readers_modules())})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_document_is_asyncapi() -> None:
    found = parse(ASYNCAPI)
    # 3.0.0 is what every tool reads; the parser would rather have the latest.
    assert [one for one in found["said"] if one["code"] != "asyncapi-latest-version"] == []
    assert found["version"] == "3.0.0"
    told = {f"{channel['address']}/{message}" for channel in found["channels"] for message in channel["messages"]}
    heartbeats = {f"klaxon.{topic}/io.klaxon.heartbeat" for topic in ("kubernetes", "nodes", "scaling", "gitops", "metrics")}
    own = {"klaxon.retry/parked", "klaxon.control/circuit", "klaxon.control/letter", "klaxon.control/replay"}
    assert told == heartbeats | own | {f"{sample['topic']}/{sample['headers']['ce_type']}" for sample in SAMPLES.values()}


def test_a_document_that_is_not_asyncapi_is_refused() -> None:
    broken = copy.deepcopy(ASYNCAPI)
    del broken["components"]["messages"]["node.added"]
    assert any(one["severity"] == 0 for one in parse(broken)["said"])


def test_the_channels_are_the_topics_that_klaxon_makes(binaries: Path, tmp_path: Path, kafka: Kafka) -> None:
    klaxon = Klaxon(binaries, tmp_path, kafka.bootstrap, "asyncapi.")
    assert klaxon.run("topics", "apply").returncode == 0
    admin = kafka.admin()  # held: its futures fail when the client goes
    made = {name: topic for name, topic in admin.list_topics(timeout=20).topics.items() if name.startswith("asyncapi.")}
    assert set(made) == {channel["address"].replace("klaxon.", "asyncapi.") for channel in ASYNCAPI["channels"].values()}
    for channel in ASYNCAPI["channels"].values():
        name, told = channel["address"].replace("klaxon.", "asyncapi."), channel["bindings"]["kafka"]
        config = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, name)])
        found = {entry: value.value for entry, value in next(iter(config.values())).result(timeout=20).items()}
        assert len(made[name].partitions) == told["partitions"]
        assert found["cleanup.policy"] == ",".join(told["topicConfiguration"]["cleanup.policy"])
        if found["cleanup.policy"] == "delete":
            assert int(found["retention.ms"]) == told["topicConfiguration"]["retention.ms"]


@pytest.mark.parametrize("kind", SAMPLES)
def test_every_sample_is_a_message_of_its_channel(kind: str) -> None:
    sample = SAMPLES[kind]
    message = ASYNCAPI["components"]["messages"][kind]
    assert message["name"] == sample["headers"]["ce_type"]
    for part, value in (("payload", sample["value"]), ("headers", sample["headers"])):
        assert errors({"components": ASYNCAPI["components"]} | message[part], value) == []


def test_a_message_of_another_kind_is_refused() -> None:
    message = ASYNCAPI["components"]["messages"]["node.added"]
    found = errors({"components": ASYNCAPI["components"]} | message["headers"], SAMPLES["node.ready"]["headers"])
    assert len(found) == 2, found
    assert errors({"components": ASYNCAPI["components"]} | message["payload"], SAMPLES["pod.gone"]["value"]) != []


# The command

def schema_command(binaries: Path, *args: str) -> subprocess.CompletedProcess:
    return subprocess.run([binaries / "klaxon", "schema", *args], capture_output=True, text=True, timeout=20, check=False)


def test_the_command_prints_what_is_shipped(binaries: Path) -> None:
    for name in ("node.repair.started", "io.klaxon.node.repair.started"):
        done = schema_command(binaries, name)
        assert (done.returncode, done.stdout) == (0, (ROOT / "schema/events/node.repair.started.v1.json").read_text())
    assert schema_command(binaries, "asyncapi").stdout == (ROOT / "schema/asyncapi.json").read_text()
    assert schema_command(binaries, "config").stdout == (ROOT / "schema/klaxon.schema.json").read_text()


@pytest.mark.parametrize(("args", "said"), [
    (["node.redy"], 'did you mean "node.ready"?'), (["io.klaxon.node.redy"], 'did you mean "node.ready"?'),
    (["asyncap"], 'did you mean "asyncapi"?'), (["zzzzzzzz"], "docs/events.md has them all"), (["config", "more"], 'takes no operands, found "more"'),
])
def test_the_command_refuses_what_there_is_not(binaries: Path, args: list[str], said: str) -> None:
    done = schema_command(binaries, *args)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr, done
