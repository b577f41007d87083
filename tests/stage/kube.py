"""A kube-apiserver of nodes, events and pods: list and watch as the real one does them, and every fault by command.

    with Kube(token="t") as kube:                          # kube.url; kube.write_kubeconfig(path)
        kube.put(objects.node("aks-1"))                    # as a controller would: status and all
        kube.put(objects.new_event(...)); kube.delete("nodes", "aks-1")
        kube.wait_watching("events")                       # until somebody watches
        kube.fault(verb="list", status=429, retry_after=2) # the next request
        kube.stream("error", "events", code=410)           # the watches that are open now
        kube.compact(); kube.go_back(500)                  # history
        kube.requests.all()                                # who asked what, and when

POST, PUT, PATCH and DELETE work too, so that cluster.KubeClient and kubectl-like clients can write.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import kube_select, kube_write
from .faults import Fault, Faults
from .journal import Journal
from .keys import Keys
from .kube_status import (CONTINUE_EXPIRED, LIST_EXPIRED, REASONS, Refusal, Status, invalid_options, not_found, status, too_large)
from .kube_store import EVENTS, NODES, PODS, Expired, Object, Resource, Store, key_of
from .kube_watch import Command, Stream, WatchRequest, encode, frame
from .web import Exchange, Server, StandIn

VERSION = {"major": "1", "minor": "36", "gitVersion": "v1.36.3-stage", "platform": "linux/amd64"}
VERBS = ("list", "continue", "watch", "get", "create", "update", "patch", "delete")
MIN_TIMEOUT = 1800.0  # a watch without timeoutSeconds ends after one to two times this


@dataclass
class KubeFault(Fault):
    """What to do with a request instead of answering it.

    verb: list (a first page), continue (a later one), watch, get, create, update, patch, delete; resource: its plural. None: any.
    status: answered with a Status (429 in plain text, as the server's own limiter does), `body` instead of that, `retry_after`.
    error: a watch begins, and its first frame is ERROR with this code. cut: "reset", "close", "hang", "silent" (a watch: headers, and
    nothing more). split: a watch or list comes in pieces of so many bytes, `delay` seconds apart; without split `delay` comes first.
    """

    verb: str | None = None
    resource: str | None = None
    status: int | None = None
    body: str | None = None
    retry_after: int | None = None
    error: int | None = None
    cut: str | None = None
    split: int = 0
    delay: float = 0

    def __post_init__(self) -> None:
        if self.verb is not None and self.verb not in VERBS:
            raise ValueError(f"verb: {self.verb!r} is none of {', '.join(VERBS)}")
        if self.cut not in (None, "reset", "close", "hang", "silent"):
            raise ValueError('cut is "reset", "close", "hang" or "silent"')


@dataclass
class KubeRequest:
    """One request; `code` is what it was answered with, 0 for nothing."""

    at: float  # unix time
    verb: str
    resource: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    code: int = 0


@dataclass
class _Asked:
    """A request that has been understood."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str


class Kube(StandIn):
    def __init__(self, keys: Keys | None = None, token: str | None = None, revision: int = 1000, bookmark_every: float | None = 60, port: int = 0):
        self.store = Store(revision)
        self.token = token
        self.ca = keys.ca if keys else None
        self.requests: Journal[KubeRequest] = Journal()
        self.faults = Faults(KubeFault)
        self.bookmark_every = bookmark_every
        self.resources = {(one.path, one.plural): one for one in (EVENTS, NODES, PODS)}
        self._mangles: dict[tuple[Resource, str], Callable[[bytes], bytes]] = {}
        self._streams: set[Stream] = set()
        self._tls = keys.server_context() if keys else None
        self._server = Server(self._serve, self._tls, port)
        self._port = self._server.port

    def restart(self) -> None:
        """On the same port, after stop()."""
        self._server = Server(self._serve, self._tls, self._port)
        self._server.start()

    def write_kubeconfig(self, path: Path | str, token: str | None = None, user: Object | None = None, **cluster: Any) -> Path:
        """With the CA and the token; `user` and more fields of the cluster (proxy-url=…) as given."""
        who = user if user is not None else {"token": token or self.token} if token or self.token else {}
        trust = {"certificate-authority": str(self.ca)} if self.ca else {}
        path = Path(path)
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "stage",
            "clusters": [{"name": "stage", "cluster": {"server": self.url} | trust | cluster}],
            "users": [{"name": "stage", "user": who}],
            "contexts": [{"name": "stage", "context": {"cluster": "stage", "user": "stage"}}]}, sort_keys=False))
        return path

    # objects

    def add_resource(self, plural: str, kind: str, group_version: str, namespaced: bool = True) -> None:
        """As installing a CRD does; before that it is 404."""
        made = Resource(plural, kind, namespaced, group_version=group_version)
        self.resources[made.path, plural] = made

    def resource(self, plural: str) -> Resource:
        for one in self.resources.values():
            if plural in (one.plural, one.kind):
                return one
        raise LookupError(f"there is no resource {plural!r}; there are: {', '.join(sorted(r.plural for r in self.resources.values()))}")

    def put(self, obj: Object) -> Object:
        """Creates or replaces it, whole."""
        return self.store.put(self.resource(obj["kind"]), obj)

    def change(self, plural: str, name: str, edit: Callable[[Object], None], namespace: str = "default") -> Object:
        return self.store.change(self.resource(plural), self._key(plural, name, namespace), edit)

    def delete(self, plural: str, *names: str, namespace: str = "default") -> None:
        """Several in one revision."""
        self.store.delete(self.resource(plural), [self._key(plural, name, namespace) for name in names])

    def _key(self, plural: str, name: str, namespace: str) -> str:
        return f"{namespace}/{name}" if self.resource(plural).namespaced else name

    def mangle(self, obj: Object, change: Callable[[bytes], bytes] | None) -> None:
        """From now on the object's JSON goes through `change` before it is sent, in lists and frames; None ends that."""
        resource = self.resource(obj["kind"])
        self._mangles.pop((resource, key_of(resource, obj)), None)
        if change is not None:
            self._mangles[resource, key_of(resource, obj)] = change

    # history

    def compact(self, revision: int | None = None, resource: str | None = None) -> int:
        return self.store.compact(revision, self.resource(resource) if resource else None)

    def go_back(self, revision: int) -> None:
        """A backup was restored: the server is away for a moment, and its versions start over at `revision`."""
        self.stop()
        self.store.reset(revision)
        self.restart()

    # faults

    def fault(self, **fields: Any) -> None:
        self.faults.add(**fields)

    def stream(self, what: str, resource: str | None = None, code: int = 410, data: bytes | str = b"", size: int = 0,
               delay: float = 0) -> int:
        """Tells the open watches (of one resource, or all); each sends what happened until now before it obeys. Returns how many.

        what: "end" (clean), "close" (FIN inside the stream), "reset" (RST), "silent" (half-open), "bookmark", "raw" (data as it is),
        "error" (an ERROR frame of `code`, and the end), "split" (pieces of `size` bytes, `delay` apart), "cut" (the next frame is cut
        after `size` bytes, and the connection closed).
        """
        if not hasattr(Stream, f"_do_{what}"):
            raise ValueError(f"{what!r}: not what a stream can do")
        raw = data.encode() if isinstance(data, str) else data
        if what == "error":
            raw = frame("ERROR", encode(status(code)))
        wanted = self.resource(resource) if resource else None
        with self.store.changed:
            chosen = [one for one in self._streams if one.alive and wanted in (None, one.request.resource)]
            for one in chosen:
                one.tell(Command(what, self.store.revision, raw, size, delay))
            self.store.changed.notify_all()
        return len(chosen)

    def watching(self, resource: str) -> int:
        """How many watches are open; one that was told to end does not count any more."""
        with self.store.changed:
            return sum(one.alive and one.request.resource.plural == resource for one in self._streams)

    def wait_watching(self, *resources: str, timeout: float = 20) -> None:
        with self.store.changed:
            good = self.store.changed.wait_for(lambda: all(self.watching(one) for one in resources), timeout)
        if not good:
            raise TimeoutError(f"nobody watches {resources} within {timeout:g} s; asked: {self.requests.all()[-10:]}")

    def asked(self, verb: str, resource: str | None = None) -> list[KubeRequest]:
        return [one for one in self.requests.all() if one.verb == verb and resource in (None, one.resource)]

    def wait_asked(self, verb: str, resource: str, count: int, timeout: float = 20) -> list[KubeRequest]:
        """Until there were so many such requests; they are recorded when they are answered."""
        def enough(requests: list[KubeRequest]) -> bool:
            return sum(one.verb == verb and one.resource == resource for one in requests) >= count
        self.requests.wait(f"{count} times {verb} {resource}", enough, timeout)
        return self.asked(verb, resource)

    # one request

    def _serve(self, exchange: Exchange) -> None:
        if exchange.route_path == "/version":
            exchange.send(200, VERSION)
            return
        if exchange.route_path in ("/readyz", "/livez", "/healthz"):
            exchange.send(200, "ok")
            return
        asked = self._understand(exchange)
        request = KubeRequest(time.time(), asked.verb if asked else exchange.command.lower(), asked.resource.plural if asked else "",
                              exchange.route_path, exchange.query)
        try:
            if self.token is not None and exchange.headers.get("Authorization") != f"Bearer {self.token}":
                raise Refusal(status(401))
            if asked is None:
                self._nowhere(exchange, request)
                return
            fault = self.faults.take(verb=asked.verb, resource=asked.resource.plural) or KubeFault()
            if not self._commit(fault, exchange, request):
                self._answer(asked, fault, exchange, request)
        except Refusal as refused:
            self._send(exchange, request, refused.status["code"], refused.status)

    def _understand(self, exchange: Exchange) -> _Asked | None:
        """/api/v1/[namespaces/NS/]PLURAL[/NAME[/SUB]], /apis/GROUP/VERSION/…; None: nothing that is served."""
        parts = exchange.route_path.strip("/").split("/")
        prefix = 2 if parts[0] == "api" else 3
        base, rest = "/" + "/".join(parts[:prefix]), parts[prefix:]
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        resource = self.resources.get((base, rest[0])) if 1 <= len(rest) <= 3 else None
        if resource is None or (namespace and not resource.namespaced):
            return None
        name, sub = (rest + ["", ""])[1:3]
        return _Asked(self._verb(exchange, name), resource, namespace, name, sub)

    def _verb(self, exchange: Exchange, name: str) -> str:
        verb = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(exchange.command, "get")
        if verb == "get" and not name:
            watch = exchange.query.get("watch", "false") not in ("false", "0")
            verb = "watch" if watch else "continue" if exchange.query.get("continue") else "list"
        return verb

    def _nowhere(self, exchange: Exchange, request: KubeRequest) -> None:
        if exchange.route_path.startswith("/api/v1/"):
            raise Refusal(status(404, details={}))
        self._send(exchange, request, 404, "404 page not found\n")

    def _send(self, exchange: Exchange, request: KubeRequest, code: int, body: Any, retry_after: int | None = None) -> None:
        request.code = code
        self.requests.append(request)
        headers = {"Cache-Control": "no-cache, private"} | ({"Retry-After": str(retry_after)} if retry_after is not None else {})
        if isinstance(body, str):
            exchange.send(code, body, headers=headers)
        else:
            exchange.send(code, (body if isinstance(body, bytes) else encode(body)) + b"\n", "application/json", headers)

    def _commit(self, fault: KubeFault, exchange: Exchange, request: KubeRequest) -> bool:
        """True: the fault was the answer."""
        if fault.delay and not fault.split:
            exchange.server.stopping.wait(fault.delay)
        if fault.status is not None:
            body: Any = fault.body if fault.body is not None else status(fault.status)
            if fault.status == 429 and fault.body is None:
                body = "Too many requests, please try again later.\n"
            self._send(exchange, request, fault.status, body, fault.retry_after)
            return True
        if fault.cut in ("reset", "close", "hang"):
            self.requests.append(request)
            {"reset": exchange.reset, "close": exchange.close, "hang": exchange.hang}[fault.cut]()
            return True
        return False

    def _answer(self, asked: _Asked, fault: KubeFault, exchange: Exchange, request: KubeRequest) -> None:
        if asked.verb == "watch":
            self._watch(asked, fault, exchange, request)
        elif asked.verb in ("list", "continue"):
            self._send_list(self._list(asked, exchange.query), fault, exchange, request)
        elif asked.verb == "get":
            key = self._key(asked.resource.plural, asked.name, asked.namespace)
            obj = self.store.get(asked.resource, key)
            if obj is None:
                raise Refusal(not_found(asked.resource.plural, asked.name))
            self._send(exchange, request, 200, self._encode(asked.resource, key, obj))
        else:
            code, obj = kube_write.write(self.store, asked, exchange)
            self._send(exchange, request, code, obj)

    def _encode(self, resource: Resource, key: str, obj: Object, in_list: bool = False) -> bytes:
        """The items of a list do not say what they are."""
        typed = {"kind": resource.kind, "apiVersion": resource.group_version} | obj
        encoded = encode({name: value for name, value in typed.items() if not in_list or name not in ("kind", "apiVersion")})
        mangle = self._mangles.get((resource, key))
        return mangle(encoded) if mangle else encoded

    def _selection(self, asked: _Asked, query: dict[str, str]) -> Callable[[Object], bool]:
        try:
            by_field = kube_select.fields(asked.resource, query.get("fieldSelector", ""))
            by_label = kube_select.labels(query.get("labelSelector", ""))
        except kube_select.BadSelector as problem:
            raise Refusal(status(400, str(problem))) from None
        return lambda obj: (not asked.namespace or obj["metadata"]["namespace"] == asked.namespace) and by_field(obj) and by_label(obj)

    # list

    def _list(self, asked: _Asked, query: dict[str, str]) -> bytes:
        limit, select = _number(query, "limit"), self._selection(asked, query)
        at, start = self._place(asked.resource, query)
        with self.store.changed:
            at = self.store.revision if at is None else at
            try:
                listed = self.store.list(asked.resource, at)
            except Expired:
                raise Refusal(self._expired(query, start)) from None
        found = [(key, obj) for key, obj in listed if key >= start and select(obj)]
        page = found[:limit] if limit > 0 else found
        metadata: Object = {"resourceVersion": str(at)}
        if len(page) < len(found):
            token = {"v": "meta.k8s.io/v1", "rv": at, "start": page[-1][0] + "\0"}
            metadata["continue"] = base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")
            if not query.get("fieldSelector") and not query.get("labelSelector"):
                metadata["remainingItemCount"] = len(found) - len(page)
        head = encode({"kind": f"{asked.resource.kind}List", "apiVersion": asked.resource.group_version, "metadata": metadata})
        return head[:-1] + b',"items":[' + b",".join(self._encode(asked.resource, key, obj, True) for key, obj in page) + b"]}"

    def _place(self, resource: Resource, query: dict[str, str]) -> tuple[int | None, str]:
        """The revision (None: now) and the key from which a page begins."""
        token, version, match = query.get("continue"), query.get("resourceVersion", ""), query.get("resourceVersionMatch", "")
        if match and not version:
            raise Refusal(invalid_options("resourceVersionMatch", "FieldValueForbidden",
                                          "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if match not in ("", "Exact", "NotOlderThan"):
            raise Refusal(invalid_options("resourceVersionMatch", "FieldValueNotSupported",
                                          f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'))
        if token:
            place = _read_token(token)
            if version not in ("", "0"):
                raise Refusal(status(400, "specifying resource version is not allowed when using continue"))
            return place
        at = _version(version, 400, "invalid resource version: ")
        if at is not None and at > self.store.revision:
            raise Refusal(too_large(version, self.store.revision))
        return (at if match == "Exact" else None), ""

    def _expired(self, query: dict[str, str], start: str) -> Status:
        if not query.get("continue"):
            return status(410, LIST_EXPIRED)
        token = base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": -1, "start": start}).encode()).decode().rstrip("=")
        return status(410, CONTINUE_EXPIRED, metadata={"continue": token})

    def _send_list(self, body: bytes, fault: KubeFault, exchange: Exchange, request: KubeRequest) -> None:
        if not fault.split:
            self._send(exchange, request, 200, body)
            return
        request.code = 200
        self.requests.append(request)
        exchange.send_response(200)
        exchange.send_header("Content-Type", "application/json")
        exchange.send_header("Content-Length", str(len(body)))
        exchange.end_headers()
        for at in range(0, len(body), fault.split):
            exchange.wfile.write(body[at:at + fault.split])
            if exchange.server.stopping.wait(fault.delay):
                return

    # watch

    def _watch(self, asked: _Asked, fault: KubeFault, exchange: Exchange, request: KubeRequest) -> None:
        query = exchange.query
        timeout = _number(query, "timeoutSeconds")
        if "sendInitialEvents" in query or query.get("resourceVersionMatch"):
            raise Refusal(invalid_options("sendInitialEvents" if "sendInitialEvents" in query else "resourceVersionMatch",
                                          "FieldValueForbidden", "Forbidden: the feature gate WatchList is off"))
        wanted = WatchRequest(
            resource=asked.resource, select=self._selection(asked, query),
            after=_version(query.get("resourceVersion", ""), 500, ""),
            timeout=float(timeout) if timeout > 0 else MIN_TIMEOUT * (1 + random.random()),
            bookmarks=asked.resource.cached and query.get("allowWatchBookmarks") in ("true", "1"))
        stream = Stream(self.store, exchange, wanted, lambda key, obj: self._encode(asked.resource, key, obj), self.bookmark_every)
        request.code = 200
        if fault.error is not None:
            stream.tell(Command("error", 0, frame("ERROR", encode(status(fault.error)))))
        if fault.cut == "silent":
            stream.tell(Command("silent", 0))
        if fault.split:
            stream.tell(Command("split", 0, size=fault.split, delay=fault.delay))
        self._run(stream, request)

    def _run(self, stream: Stream, request: KubeRequest) -> None:
        with self.store.changed:
            self._streams.add(stream)
            self.requests.append(request)
            self.store.changed.notify_all()
        try:
            stream.run()
        finally:
            with self.store.changed:
                self._streams.discard(stream)
                self.store.changed.notify_all()


def _number(query: dict[str, str], name: str) -> int:
    text = query.get(name) or "0"
    try:
        return int(text)
    except ValueError:
        raise Refusal(status(400, f'strconv.ParseInt: parsing "{text}": invalid syntax')) from None


def _version(text: str, code: int, prefix: str) -> int | None:
    """None: unset or "0"."""
    if not text.isascii() or not text.isdigit():
        if text:
            problem = f'{prefix}resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
            raise Refusal(status(code, problem, reason="" if code == 500 else REASONS[code]))
        return None
    return int(text) or None


def _read_token(token: str) -> tuple[int | None, str]:
    try:
        place = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return (place["rv"] if place["rv"] > 0 else None), place["start"]
    except (ValueError, KeyError, TypeError):
        raise Refusal(status(400, "invalid continue token: continue key is not valid")) from None
