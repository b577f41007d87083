"""Writing through the API server: create, update, patch and delete, with the refusals that a writer meets."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from .kube_status import Refusal, not_found, status
from .kube_store import Object, Resource, Store, key_of
from .web import Exchange

if TYPE_CHECKING:
    from .kube import _Asked

MERGE_KEYS = {"conditions": "type"}  # what a strategic merge joins by; other lists are replaced


def write(store: Store, asked: "_Asked", exchange: Exchange) -> tuple[int, Object]:
    """The status and the object, or Status, to answer with. Raises Refusal."""
    if (asked.verb == "create") == bool(asked.name) or (asked.resource.namespaced and not asked.namespace):
        raise Refusal(status(405, details={}))
    if asked.verb == "create":
        return 201, _create(store, asked, _read(exchange, asked.resource))
    key = f"{asked.namespace}/{asked.name}" if asked.resource.namespaced else asked.name
    with store.changed:
        before = store.get(asked.resource, key)
        if before is None:
            raise Refusal(not_found(asked.resource.plural, asked.name))
        if asked.verb == "delete":
            store.delete(asked.resource, [key])
            details = {"name": asked.name, "kind": asked.resource.plural, "uid": before["metadata"]["uid"]}
            return 200, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        body = _read(exchange, None if asked.verb == "patch" else asked.resource)
        return 200, _change(store, asked, before, body, exchange.headers.get("Content-Type", ""))


def _read(exchange: Exchange, resource: Resource | None) -> Object:
    try:
        body = json.loads(exchange.body)
    except ValueError as problem:
        kind = resource.kind if resource else "a patch"
        raise Refusal(status(400, f"the object provided is unrecognized (must be of type {kind}): {problem}")) from None
    if not isinstance(body, dict):
        raise Refusal(status(400, "the body is not an object"))
    return body


def _create(store: Store, asked: "_Asked", obj: Object) -> Object:
    metadata = obj.setdefault("metadata", {})
    if not metadata.get("name"):
        raise Refusal(status(422, f'{asked.resource.kind} "" is invalid: metadata.name: Required value: name or generateName is required',
                             details={"kind": asked.resource.kind, "causes": [{
                                 "reason": "FieldValueRequired", "message": "Required value: name or generateName is required",
                                 "field": "metadata.name"}]}))
    if metadata.get("resourceVersion"):
        raise Refusal(status(500, "resourceVersion should not be set on objects to be created", reason=""))
    if asked.namespace:
        metadata["namespace"] = asked.namespace
    if asked.resource.plural == "nodes":
        obj.pop("status", None)  # a status is written through its own path only
    with store.changed:
        if store.get(asked.resource, key_of(asked.resource, obj)) is not None:
            raise Refusal(status(409, f'{asked.resource.plural} "{metadata["name"]}" already exists', reason="AlreadyExists",
                                 details={"name": metadata["name"], "kind": asked.resource.plural}))
        return store.put(asked.resource, obj)


def _change(store: Store, asked: "_Asked", before: Object, body: Object, content_type: str) -> Object:
    if asked.verb == "patch":
        known = ("application/merge-patch+json", "application/strategic-merge-patch+json")
        if content_type not in known:
            raise Refusal(status(415, f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}",
                                 reason="UnsupportedMediaType"))
        after = merge(before, body, "strategic" in content_type)
    else:
        after = body
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != before["metadata"]["resourceVersion"]:
            raise Refusal(status(409, f'Operation cannot be fulfilled on {asked.resource.plural} "{asked.name}": the object has been '
                                      "modified; please apply your changes to the latest version and try again"))
    if asked.subresource == "status":
        after = before | {"status": after.get("status")}
    elif asked.resource.plural == "nodes":
        after = after | ({"status": before["status"]} if "status" in before else {})
    return store.put(asked.resource, after)


def merge(old: Any, new: Any, strategic: bool, name: str = "") -> Any:
    """Objects are merged, null removes, other values replace; strategic: the lists of MERGE_KEYS are joined by their key."""
    if isinstance(new, dict):
        merged = copy.deepcopy(old) if isinstance(old, dict) else {}
        for key, value in new.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = merge(merged.get(key), value, strategic, key)
        return merged
    if strategic and name in MERGE_KEYS and isinstance(new, list) and isinstance(old, list):
        by = MERGE_KEYS[name]
        merged_list = copy.deepcopy(old)
        for item in new:
            at = next((i for i, one in enumerate(merged_list) if one.get(by) == item.get(by)), None)
            if at is None:
                merged_list.append(item)
            else:
                merged_list[at] = merge(merged_list[at], item, strategic)
        return merged_list
    return copy.deepcopy(new)
