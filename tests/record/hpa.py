"""Plays the HPA loop of a real cluster and records the frames that klaxon would see, as golden input of the detector.

    PYTHONPATH=tests PYTHON tests/record/hpa.py [FILE]

Each line of the file: {"at": seconds, "source": "hpa" | "pods" | "events", "frame": {"type", "object"}}. All times are moved so that the
recording begins at 2026-03-11T07:00:00Z, the zero of the transcripts; the managedFields of everything but HPAs are left out.
Takes a quarter of an hour: an HPA is at its maximum only after ten minutes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import tempfile
import threading
import time
from pathlib import Path

from cluster.hpa_world import CONTAINER, NAMESPACE, HpaWorld, condition

FILE = Path(__file__).resolve().parents[1] / "golden" / "autoscaling" / "recorded-loop.jsonl"
ZERO = datetime.datetime(2026, 3, 11, 7, 0, 0, tzinfo=datetime.timezone.utc)
PATHS = {"hpa": "/apis/autoscaling/v2/horizontalpodautoscalers", "pods": "/api/v1/pods", "events": "/api/v1/events"}
TIME = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z"')


class Recorder(threading.Thread):
    """One watch, from its list on."""

    def __init__(self, world: HpaWorld, source: str, lines: list, began: datetime.datetime):
        super().__init__(daemon=True)
        self.source, self.lines, self.began = source, lines, began
        self.client = world.api.new_client()
        listed = self.client.list(PATHS[source])
        self.version = listed["metadata"]["resourceVersion"]
        for item in listed["items"]:
            self._keep({"type": "ADDED", "object": item}, baseline=True)

    def _keep(self, frame: dict, baseline: bool = False) -> None:
        at = (datetime.datetime.now(datetime.timezone.utc) - self.began).total_seconds()
        if self.source != "hpa":
            frame["object"]["metadata"].pop("managedFields", None)
        self.lines.append({"at": round(at, 3), "source": self.source, "frame": frame} | ({"baseline": True} if baseline else {}))

    def run(self) -> None:
        while True:
            try:
                for frame in self.client.watch(PATHS[self.source], self.version, timeout=3600, allowWatchBookmarks="false"):
                    self.version = frame["object"]["metadata"]["resourceVersion"]
                    if frame["object"]["metadata"].get("namespace") == NAMESPACE:
                        self._keep(frame)
            except Exception:  # the server is gone: the recording is over
                return


def move(text: str, delta: datetime.timedelta) -> str:
    def moved(match: re.Match) -> str:
        at = datetime.datetime.fromisoformat(match.group(1)).replace(tzinfo=datetime.timezone.utc) + delta
        return f'"{at.strftime("%Y-%m-%dT%H:%M:%S")}{match.group(2) or ""}Z"'
    return TIME.sub(moved, text)


def say(began: float, what: str) -> None:
    print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)


def play(world: HpaWorld) -> None:
    """Everything that the detector knows of, in the order of a bad day."""
    began = time.monotonic()
    say(began, "by hand: at most 4")
    world.set_bounds(2, 4)
    say(began, "load: 7Gi a pod")
    world.claim("7Gi")
    world.wait_replicas(3)
    world.claim("7Gi")
    world.wait_replicas(4)
    world.claim("7Gi")
    world.wait("TooManyReplicas", lambda hpa: condition(hpa, "ScalingLimited") == ("True", "TooManyReplicas"))
    limited = time.monotonic()
    victim, other = (pod["metadata"]["name"] for pod in world.pods()[:2])
    say(began, "out of memory, twice, with a back-off")
    world.exit_container(victim, 137, "OOMKilled")
    world.exit_container(victim, 137, "OOMKilled", loop_seconds=10)
    say(began, "killed by its liveness probe")
    world.exit_container(other, 137, "Error")
    say(began, "the metrics API is gone")
    world.blind()
    world.wait("blind", lambda hpa: condition(hpa, "ScalingActive")[0] == "False", 120)
    time.sleep(130)  # it is told after two minutes
    world.see()
    world.wait("it sees again", lambda hpa: condition(hpa, "ScalingActive")[0] == "True", 180)
    say(began, "every replica restarts: a changed ConfigMap")
    for pod in world.pods():
        world.exit_container(pod["metadata"]["name"], 137, "Error")
    time.sleep(max(0.0, 615 - (time.monotonic() - limited)))  # at its maximum for ten minutes
    say(began, "the load is gone")
    world.claim("1Gi")
    world.wait_replicas(2, 240)
    say(began, "reconciled: 2 to 30")
    world.reconcile_bounds(2, 30)
    time.sleep(10)
    say(began, "a pod is deleted, then the HPA")
    victim = world.pods()[0]["metadata"]["name"]
    world.exit_container(victim, 137, "OOMKilled")
    world.api.client.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{victim}")
    time.sleep(5)
    world.remove_hpa()
    time.sleep(5)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    args = parser.parse_args()
    lines: list[dict] = []
    with tempfile.TemporaryDirectory(prefix="klaxon-record-") as directory, HpaWorld(Path(directory)) as world:
        world.start()
        began = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
        recorders = [Recorder(world, source, lines, began) for source in PATHS]
        for recorder in recorders:
            recorder.start()
        play(world)
        kept = sorted(lines, key=lambda line: line["at"])
    delta = ZERO - began
    args.file.write_text("".join(move(json.dumps(line, separators=(",", ":")), delta) + "\n" for line in kept))
    print(f"{args.file}: {len(kept)} frames")
    assert any(CONTAINER in json.dumps(line) for line in kept)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
