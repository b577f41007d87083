"""Plays the life of nodes in a real cluster and records the frames that klaxon would see, as golden input of the detector.

    PYTHONPATH=tests PYTHON tests/record/nodes.py [FILE]

The API server, the node controller and kubectl are real; kwok plays kubelet, the autoscaler's taint and the condition of the node problem
detector are written as they write them. Lines and times are those of tests/record/hpa.py. Takes four minutes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import tempfile
import threading
import time
from pathlib import Path

from cluster.controllers import KWOK, MANAGER, Controllers, kubectl
from cluster.kube import ApiServer
from cluster.objects import now
from cluster.process import wait_until
from record.hpa import ZERO, move, say

FILE = Path(__file__).resolve().parents[1] / "golden" / "node_repair" / "recorded-nodes.jsonl"
PATHS = {"nodes": "/api/v1/nodes", "events": "/api/v1/events"}
POOLS = {"system": 2, "user": 6}


class Recorder(threading.Thread):
    """One watch, from its list on."""

    def __init__(self, api: ApiServer, source: str, lines: list, began: datetime.datetime):
        super().__init__(daemon=True)
        self.source, self.lines, self.began, self.client = source, lines, began, api.new_client()
        listed = self.client.list(PATHS[source])
        self.version = listed["metadata"]["resourceVersion"]
        for item in listed["items"]:
            self._keep({"type": "ADDED", "object": item}, baseline=True)

    def _keep(self, frame: dict, baseline: bool = False) -> None:
        if frame["object"].get("involvedObject", {"kind": "Node"})["kind"] != "Node":
            return
        at = (datetime.datetime.now(datetime.timezone.utc) - self.began).total_seconds()
        frame["object"]["metadata"].pop("managedFields", None)
        frame["object"].get("status", {}).pop("nodeInfo", None)
        self.lines.append({"at": round(at, 3), "source": self.source, "frame": frame} | ({"baseline": True} if baseline else {}))

    def run(self) -> None:
        while True:
            try:
                for frame in self.client.watch(PATHS[self.source], self.version, timeout=3600, allowWatchBookmarks="false"):
                    self.version = frame["object"]["metadata"]["resourceVersion"]
                    self._keep(frame)
            except Exception:  # the server is gone: the recording is over
                return


def ready(api: ApiServer) -> list[str]:
    return [c["status"] for node in api.client.list(PATHS["nodes"])["items"]
            for c in node.get("status", {}).get("conditions", []) if c["type"] == "Ready"]


def wait_ready(api: ApiServer, status: str, seconds: float) -> None:
    wait_until(f"Ready {status}", lambda: set(ready(api)) == {status}, seconds)


def start(api: ApiServer, controllers: Controllers) -> list[str]:
    controllers.start(MANAGER, KWOK)
    names = []
    for pool, n in POOLS.items():
        for i in range(n):
            names.append(f"aks-{pool}-12345678-vmss{i:06d}")
            labels = {"kubernetes.azure.com/agentpool": pool, "topology.kubernetes.io/zone": f"westeurope-{i % 3 + 1}",
                      "node.kubernetes.io/instance-type": "Standard_D4s_v5", "kubernetes.io/os": "linux"}
            api.client.request("POST", PATHS["nodes"], {"apiVersion": "v1", "kind": "Node", "metadata": {"name": names[-1], "labels": labels}})
    wait_until("nodes", lambda: len(ready(api)) == len(names), 60)
    wait_ready(api, "True", 60)
    return names


def report(api: ApiServer, name: str, status: str, reason: str) -> None:
    """A condition, as the node problem detector writes it."""
    condition = {"type": "ReadonlyFilesystem", "status": status, "reason": reason, "message": "Remounting filesystem read-only",
                 "lastTransitionTime": now(), "lastHeartbeatTime": now()}
    api.client.request("PATCH", f"{PATHS['nodes']}/{name}/status", {"status": {"conditions": [condition]}},
                       "application/strategic-merge-patch+json")


def play(api: ApiServer, controllers: Controllers, names: list[str]) -> None:
    began = time.monotonic()
    say(began, "the autoscaler removes a node")
    kubectl(api, "taint", "node", names[-1], f"ToBeDeletedByClusterAutoscaler={int(time.time())}:NoSchedule")
    time.sleep(5)
    kubectl(api, "delete", "node", names[-1])
    say(began, "somebody drains a node and deletes it, and deletes another without that")
    kubectl(api, "cordon", names[-2])
    time.sleep(2)
    kubectl(api, "delete", "node", names[-2])
    kubectl(api, "delete", "node", names[-3])
    say(began, "a file system becomes read-only")
    report(api, names[0], "True", "FilesystemIsReadOnly")
    time.sleep(15)
    say(began, "no kubelet reports any more")
    controllers.kill(KWOK)
    wait_ready(api, "Unknown", 120)
    time.sleep(30)
    say(began, "they are back")
    controllers.start(KWOK)
    wait_ready(api, "True", 60)
    report(api, names[0], "False", "FilesystemIsNotReadOnly")
    time.sleep(20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    args = parser.parse_args()
    lines: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="klaxon-record-") as directory, ApiServer(Path(directory)) as api, \
            Controllers(api) as controllers:
        names = start(api, controllers)
        time.sleep(10)  # the first reports are over
        began = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        recorders = [Recorder(api, source, lines, began) for source in PATHS]
        for recorder in recorders:
            recorder.start()
        play(api, controllers, names)
        kept = sorted(lines, key=lambda line: line["at"])
    delta = ZERO - began
    args.file.write_text("".join(move(json.dumps(line, separators=(",", ":")), delta) + "\n" for line in kept))
    print(f"{args.file}: {len(kept)} frames")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
