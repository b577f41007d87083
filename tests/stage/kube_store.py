"""What an etcd below an API server holds: objects, every version of them, and one revision that counts all changes."""

from __future__ import annotations

import copy
import datetime
import threading
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """`cached`: it has a watch cache, and so bookmarks; Events have none."""

    plural: str
    kind: str
    namespaced: bool
    cached: bool = True
    group_version: str = "v1"

    @property
    def path(self) -> str:
        return f"/api/{self.group_version}" if "/" not in self.group_version else f"/apis/{self.group_version}"


EVENTS = Resource("events", "Event", namespaced=True, cached=False)
NODES = Resource("nodes", "Node", namespaced=False)
PODS = Resource("pods", "Pod", namespaced=True)


@dataclass(frozen=True)
class Change:
    revision: int
    resource: Resource
    key: str
    before: Object | None
    after: Object | None  # None: deleted


def key_of(resource: Resource, obj: Object) -> str:
    """As etcd orders: namespace/name, or the name alone."""
    metadata = obj["metadata"]
    return f"{metadata.get('namespace') or 'default'}/{metadata['name']}" if resource.namespaced else metadata["name"]


class Expired(Exception):
    """What was asked for is older than what is kept."""


class Store:
    """Threads may use it; `changed` is notified at each change, and by who wants the watches to look up."""

    def __init__(self, revision: int = 1000):
        self.changed = threading.Condition(threading.RLock())
        self.revision = revision
        self._compacted: dict[Resource | None, int] = {None: 0}
        self._versions: dict[Resource, dict[str, list[tuple[int, Object | None]]]] = {}
        self._changes: list[Change] = []
        self._revisions: list[int] = []  # of _changes, for finding a place

    # writing

    def put(self, resource: Resource, obj: Object) -> Object:
        """Creates it or replaces what is there; what the server fills in is filled in. Unchanged: nothing happens."""
        with self.changed:
            obj = copy.deepcopy(obj)
            key = key_of(resource, obj)
            before = self.get(resource, key)
            self._fill_in(resource, obj, before)
            if before is not None and _same(before, obj):
                return before
            self.revision += 1
            obj["metadata"]["resourceVersion"] = str(self.revision)
            self._record(resource, key, before, obj)
            return copy.deepcopy(obj)

    def change(self, resource: Resource, key: str, edit: Callable[[Object], None]) -> Object:
        """Raises KeyError when it is not there."""
        with self.changed:
            obj = self.get(resource, key)
            if obj is None:
                raise KeyError(key)
            edit(obj)
            return self.put(resource, obj)

    def delete(self, resource: Resource, keys: Iterable[str]) -> list[Object]:
        """All of them in one revision, as a lease that runs out. Raises KeyError for one that is not there."""
        with self.changed:
            last = {key: self.get(resource, key) for key in keys}
            missing = [key for key, obj in last.items() if obj is None]
            if missing:
                raise KeyError(missing[0])
            self.revision += 1
            for key, obj in last.items():
                self._record(resource, key, obj, None)
            return list(last.values())

    def tick(self, revisions: int = 1) -> int:
        """Revisions go by that are nobody's here: leases, other resources."""
        with self.changed:
            self.revision += revisions
            self.changed.notify_all()
            return self.revision

    def compact(self, revision: int | None = None, resource: Resource | None = None) -> int:
        """Forgets what is older than the revision (default: now), of one resource or of all."""
        with self.changed:
            revision = self.revision if revision is None else revision
            self._compacted[resource] = max(self._compacted.get(resource, 0), revision)
            return revision

    def reset(self, revision: int) -> None:
        """The server's versions start over at this revision, as after a restored backup: the objects stay, their history is gone."""
        with self.changed:
            objects = [(resource, copy.deepcopy(obj)) for resource in self._versions for _, obj in self.list(resource)]
            self.revision = revision
            self._compacted = {None: 0}
            self._versions.clear()
            self._changes.clear()
            self._revisions.clear()
            for resource, obj in objects:
                self.revision += 1
                obj["metadata"]["resourceVersion"] = str(self.revision)
                self._record(resource, key_of(resource, obj), None, obj)
            self._compacted = {None: self.revision}

    def _fill_in(self, resource: Resource, obj: Object, before: Object | None) -> None:
        metadata = obj["metadata"]
        obj.setdefault("kind", resource.kind)
        obj.setdefault("apiVersion", resource.group_version)
        if resource.namespaced:
            metadata.setdefault("namespace", "default")
        old = before["metadata"] if before else {}
        metadata.setdefault("uid", old.get("uid") or str(uuid.uuid4()))
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        metadata.setdefault("creationTimestamp", old.get("creationTimestamp") or now)

    def _record(self, resource: Resource, key: str, before: Object | None, after: Object | None) -> None:
        self._versions.setdefault(resource, {}).setdefault(key, []).append((self.revision, after))
        self._changes.append(Change(self.revision, resource, key, before, after))
        self._revisions.append(self.revision)
        self.changed.notify_all()

    # reading

    def get(self, resource: Resource, key: str) -> Object | None:
        with self.changed:
            versions = self._versions.get(resource, {}).get(key)
            return copy.deepcopy(versions[-1][1]) if versions else None

    def list(self, resource: Resource, revision: int | None = None) -> list[tuple[str, Object]]:
        """Keys in order with their objects, as they were at the revision. Raises Expired."""
        with self.changed:
            revision = self.revision if revision is None else revision
            if revision < self.compacted(resource) and revision != self.revision:
                raise Expired
            found = []
            for key in sorted(self._versions.get(resource, {})):
                obj = next((obj for at, obj in reversed(self._versions[resource][key]) if at <= revision), None)
                if obj is not None:
                    found.append((key, obj))
            return found

    def compacted(self, resource: Resource) -> int:
        return max(self._compacted[None], self._compacted.get(resource, 0))

    def may_begin(self, resource: Resource, after: int) -> bool:
        """Whether a watch may begin after this revision."""
        with self.changed:
            return after + 1 >= self.compacted(resource)

    def changes(self, resource: Resource, after: int, until: int | None = None) -> list[Change]:
        """Those with a revision above `after`, at most `until`; a watch that is open goes on across a compaction."""
        with self.changed:
            first = bisect_right(self._revisions, after)
            last = len(self._changes) if until is None else bisect_right(self._revisions, until)
            return [change for change in self._changes[first:last] if change.resource == resource]


def _same(before: Object, after: Object) -> bool:
    a, b = copy.deepcopy(before), copy.deepcopy(after)
    a["metadata"].pop("resourceVersion", None)
    b["metadata"].pop("resourceVersion", None)
    return a == b
