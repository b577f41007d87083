"""Records of events against their published JSON Schemas, as strictly as klaxon itself is held to them: no member that is not described."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import jsonschema

from cluster import Kafka, Record, read_committed

ROOT = Path(__file__).resolve().parents[2]


def _closed(schema: dict) -> dict:
    made = {name: _closed(value) if isinstance(value, dict) else value for name, value in schema.items()}
    if "properties" in schema:
        made.setdefault("additionalProperties", False)
    return made


@functools.cache
def _validator(urn: str) -> jsonschema.Draft7Validator:
    kind, version = urn.removeprefix("urn:klaxon:").split(":")
    schema = json.loads((ROOT / f"schema/events/{kind}.v{version}.json").read_text())
    return jsonschema.Draft7Validator(_closed(schema), format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER)


def problems(urn: str, data: object) -> list[str]:
    return [f"{urn} {error.json_path}: {error.message}" for error in _validator(urn).iter_errors(data)]


def problems_of(records: list[Record]) -> list[str]:
    return [one for record in records for one in problems(record.header("ce_dataschema") or "", json.loads(record.value or b"null"))]


def assert_as_described(kafka: Kafka, prefix: str) -> None:
    """Of every event on the topics of this prefix."""
    topics = [name for name in kafka.admin().list_topics(timeout=20).topics if name.startswith(prefix) and name != f"{prefix}state"]
    found = problems_of(read_committed(kafka.bootstrap, topics))
    assert found == [], "\n".join(["what is written is not what schema/data.def and schema/members.def describe:", *found[:20]])
