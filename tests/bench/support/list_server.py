"""Just enough of an API server for lists that are long and watches that are many: objects are made when a page is asked for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from .frames import FRAME, TEXT

FIRST = 1000
STEP = 10_000_000  # resourceVersions from one content to the next
BOOKMARK_SECONDS = 60

Make = Callable[[int, int], str]  # number, resourceVersion → JSON


def event(n: int, version: int) -> str:
    return (FRAME % {"n": n, "rv": version, "pod": n % 500, "text": TEXT})[len('{"type":"ADDED","object":'):-2]


def node(n: int, version: int) -> str:
    """2.5 KB, ready."""
    conditions = [{"type": kind, "status": "True" if kind == "Ready" else "False", "reason": f"Kubelet{kind}", "message": "m" * 60,
                   "lastHeartbeatTime": "2026-03-11T07:52:18Z", "lastTransitionTime": "2026-03-11T07:52:18Z"}
                  for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")]
    labels = {f"kubernetes.azure.com/label-{i}": f"value-{i}" for i in range(20)} | {"agentpool": "nodepool1"}
    return json.dumps({"metadata": {"name": f"aks-nodepool1-12345678-vmss{n:06x}", "uid": f"9e41b1de-0000-4000-8000-{n:012d}",
                                    "resourceVersion": str(version), "creationTimestamp": "2026-03-01T07:52:18Z", "labels": labels},
                       "spec": {"providerID": f"azure:///subscriptions/00000000-0000-0000-0000-000000000000/{n}"},
                       "status": {"conditions": conditions, "nodeInfo": {"kubeletVersion": "v1.36.3"}}})


def pod(n: int, version: int) -> str:
    """4 KB, running for long: nothing to remember."""
    return json.dumps({"metadata": {"name": f"app-6d5f7c9b8-{n:06x}", "namespace": f"team-{n % 100}", "uid": f"5f1c2d3e-0000-4000-8000-{n:012d}",
                                    "resourceVersion": str(version), "creationTimestamp": "2026-03-01T07:52:18Z",
                                    "annotations": {f"example.com/{i}": "x" * 60 for i in range(30)}},
                       "spec": {"nodeName": "aks-1", "containers": [{"name": "app", "image": "registry.example.com/app:1",
                                                                     "resources": {"limits": {"memory": "1Gi"}}}]},
                       "status": {"phase": "Running", "containerStatuses": [
                           {"name": "app", "restartCount": 0, "ready": True, "state": {"running": {"startedAt": "2026-03-01T07:52:18Z"}}}]}})


KINDS: dict[str, tuple[str, Make]] = {"events": ("Event", event), "nodes": ("Node", node), "pods": ("Pod", pod)}


class ListServer(ThreadingHTTPServer):
    """`counts`: how many objects there are of each kind. `become` changes that, and forgets what was before."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, **counts: int):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.counts, self.version, self.newest = counts, FIRST, FIRST
        self.changed = threading.Condition()
        self.watches: dict[int, tuple[str, int]] = {}  # by thread: the kind, and the version it began at
        self.pushed: dict[str, tuple[int, bytes]] = {}

    def __enter__(self) -> "ListServer":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def become(self, **counts: int) -> None:
        with self.changed:
            self.counts, self.version = self.counts | counts, self.version + STEP
            self.newest = self.version
            self.changed.notify_all()

    def push(self, kind: str, frames: bytes, newest: int) -> None:
        """To the watch of this kind, by one call. `newest`: the last resourceVersion."""
        with self.changed:
            self.newest = newest
            self.pushed[kind] = (self.pushed.get(kind, (0, b""))[0] + 1, frames)
            self.changed.notify_all()

    def watching(self) -> int:
        """Watches that are open, and began where the objects are now. One whose collector was killed is noticed when it is written to."""
        with self.changed:
            return sum(version >= self.newest for _, version in self.watches.values())


class _Handler(BaseHTTPRequestHandler):
    server: ListServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        kind = url.path.rsplit("/", 1)[1]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.close_connection = True
        try:
            if "watch" in query:
                self._watch(kind, query)
            else:
                self.wfile.write(self._page(kind, int(query["limit"]), int(query.get("continue", "0"))))
        except OSError:
            pass  # the collector ended the connection

    def _page(self, kind: str, limit: int, begin: int) -> bytes:
        name, make = KINDS.get(kind, ("Thing", event))
        count, version = self.server.counts.get(kind, 0), self.server.version
        at = self.server.newest
        end = min(begin + limit, count)
        more = f',"continue":"{end}"' if end < count else ""
        items = ",".join(make(n, version - STEP // 2 + n) for n in range(begin, end))
        return f'{{"kind":"{name}List","metadata":{{"resourceVersion":"{at}"{more}}},"items":[{items}]}}'.encode()

    def _watch(self, kind: str, query: dict[str, str]) -> None:
        server, me = self.server, threading.get_ident()
        version = int(query["resourceVersion"])
        with server.changed:
            server.watches[me] = (kind, version)
            seen = server.pushed.get(kind, (0, b""))[0]
        try:
            self.wfile.flush()
            self._stream(kind, version, seen, time.monotonic() + float(query["timeoutSeconds"]), "allowWatchBookmarks" in query)
        finally:
            with server.changed:
                del server.watches[me]

    def _stream(self, kind: str, version: int, seen: int, ends: float, bookmarks: bool) -> None:
        server = self.server
        while (left := ends - time.monotonic()) > 0:
            with server.changed:
                server.changed.wait_for(lambda: server.version > version or server.pushed.get(kind, (0, b""))[0] > seen,
                                        min(left, BOOKMARK_SECONDS))
                number, frames = server.pushed.get(kind, (0, b""))
                expired = server.version > version
            if expired:
                self.wfile.write(b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n')
                return
            if number > seen:
                seen = number
                self.wfile.write(frames)
            elif bookmarks:
                self.wfile.write(b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d"}}}\n' % version)
