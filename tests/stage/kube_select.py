"""Selectors as the API server reads them: fields that it knows, labels by equality and existence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .kube_store import EVENTS, NODES, Object, Resource

_EVENT_FIELDS = {f"involvedObject.{name}" for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")}
_EVENT_FIELDS |= {"reason", "reportingComponent", "type", "source"}
_FIELDS = {EVENTS: _EVENT_FIELDS, NODES: {"spec.unschedulable"}}


class BadSelector(Exception):
    """The text that the server answers with 400."""


def _at(obj: Object, path: str) -> str:
    value: Any = obj
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return {None: "", True: "true", False: "false"}.get(value, value if isinstance(value, str) else str(value))


def _field(obj: Object, name: str) -> str:
    if name == "source":
        return _at(obj, "source.component") or _at(obj, "reportingComponent")
    if name == "spec.unschedulable":
        return _at(obj, name) or "false"
    return _at(obj, name)


def _terms(selector: str) -> list[tuple[str, bool, str]]:
    """(name, equal, value) of each term; they are ANDed."""
    terms = []
    for term in filter(None, selector.split(",")):
        for operator in ("!=", "==", "="):
            name, found, value = term.partition(operator)
            if found:
                terms.append((name.strip(), operator != "!=", value.strip()))
                break
        else:
            raise BadSelector(f"invalid selector: '{selector}'; can't understand '{term}'")
    return terms


def fields(resource: Resource, selector: str) -> Callable[[Object], bool]:
    terms = _terms(selector)
    allowed = _FIELDS.get(resource, set()) | {"metadata.name"} | ({"metadata.namespace"} if resource.namespaced else set())
    for name, _, _ in terms:
        if name not in allowed:
            raise BadSelector(f"field label not supported: {name}")
    return lambda obj: all((_field(obj, name) == value) == equal for name, equal, value in terms)


def labels(selector: str) -> Callable[[Object], bool]:
    tests: list[Callable[[dict[str, str]], bool]] = []
    for term in filter(None, selector.split(",")):
        if "=" in term:
            [(name, equal, value)] = _terms(term)
            if "=" in value:
                raise BadSelector("found '=', expected: ',' or 'end of string'")
            tests.append(lambda own, n=name, e=equal, v=value: (own.get(n) == v) == e)
        elif term.startswith("!"):
            tests.append(lambda own, n=term[1:].strip(): n not in own)
        else:
            tests.append(lambda own, n=term.strip(): n in own)
    return lambda obj: all(test(obj["metadata"].get("labels") or {}) for test in tests)
