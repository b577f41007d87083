"""Records what a real Argo CD and a real Argo Rollouts write in the scenes of `./dev prove argocd`, as golden input of the detectors.

    KLAXON_BIN=build/dev PYTHONPATH=tests PYTHON tests/record/argo.py [SCENE…]

Each frame becomes a line of tests/golden/gitops/recorded-SCENE.txt, or rollouts/recorded-SCENE.txt: a merge patch of the frame before it, as
tests/unit/support/fake_app.h has them. Times are moved so that the scene begins at the zero of the transcripts; commits, uids and the names of
files of this machine are replaced; of managedFields only the writers of the spec are kept. Then KLX_GOLDEN_UPDATE=1 writes what is told.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import subprocess
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

from cluster.argo_scenes import SCENES
from cluster.client import KubeClient, Object
from prove import argocd

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
ZERO = datetime.datetime(2026, 3, 11, 7, 0, 0, tzinfo=datetime.timezone.utc)
TIME = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z"')
GROUP = "/apis/argoproj.io/v1alpha1"
KINDS = {  # collection: (folder, the verb of its lines, what each object begins as)
    "applications": ("gitops", "app", GOLDEN / "gitops" / "application.json"),
    "rollouts": ("rollouts", "rollout", GOLDEN / "rollouts" / "rollout.json"),
}


class Recorder(threading.Thread):
    """One watch of everything, from its list on."""

    def __init__(self, client: KubeClient, collection: str):
        super().__init__(daemon=True)
        self.client, self.collection = client, collection
        self.frames: list[tuple[datetime.datetime, Object]] = []
        listed = client.list(f"{GROUP}/{collection}")
        assert not listed["items"], f"there are {collection} already"
        self.version = listed["metadata"]["resourceVersion"]

    def run(self) -> None:
        while True:
            try:
                for frame in self.client.watch(f"{GROUP}/{self.collection}", self.version, timeout=3600, allowWatchBookmarks="false"):
                    self.version = frame["object"]["metadata"]["resourceVersion"]
                    self.frames.append((datetime.datetime.now(datetime.timezone.utc), frame))
            except Exception:  # the server is gone: the recording is over
                return


def difference(old: Object, new: Object) -> Object:
    """The merge patch that makes new of old."""
    patch: Object = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = difference(before, value)
            if inner:
                patch[name] = inner
        elif value != before or name not in old:
            patch[name] = value
    return patch


_READ = (("f:spec", "f:syncPolicy", "f:automated"), ("f:spec", "f:syncPolicy", "f:automated", "f:enabled"), ("f:spec", "f:paused"),
         ("f:status", "f:abort"))


def _fields(fields: Object) -> Object:
    """Of who wrote what: that which the detectors read."""
    found: Object = {}
    for path in _READ:
        source: Object | None = fields
        for name in path:
            source = source.get(name) if source is not None else None
        target = found
        for name in path if source is not None else ():
            target = target.setdefault(name, {})
    return found


def kept(found: Object) -> Object:
    """What says the same at every recording."""
    obj = json.loads(json.dumps(found))
    metadata = obj["metadata"]
    for name in ("uid", "resourceVersion", "name"):
        metadata.pop(name, None)
    obj.pop("apiVersion"), obj.pop("kind")
    metadata["managedFields"] = [
        {name: one[name] for name in ("manager", "operation", "time")} | {"fieldsV1": fields} for one in metadata.get("managedFields", ())
        if (fields := _fields(one["fieldsV1"]))]
    return obj


class Cleaner:
    """Replaces what differs from run to run."""

    def __init__(self) -> None:
        self.commits: dict[str, str] = {}

    def clean(self, text: str, delta: datetime.timedelta) -> str:
        text = TIME.sub(lambda match: self._moved(match, delta), text)
        text = re.sub(r"file:///[^\"\\ ]*/git/", "https://git.example.com/shop/", text)
        text = re.sub(r"/dev/shm/\d+", "/dev/shm/1", text)
        text = re.sub(r"at \d\d?:\d\d(AM|PM)", "at 7:00AM", text)
        return re.sub(r"\b[0-9a-f]{40}\b", self._commit, text)

    @staticmethod
    def _moved(match: re.Match, delta: datetime.timedelta) -> str:
        at = datetime.datetime.fromisoformat(match.group(1)).replace(tzinfo=datetime.timezone.utc) + delta
        return f'"{at.strftime("%Y-%m-%dT%H:%M:%S")}{match.group(2) or ""}Z"'

    def _commit(self, match: re.Match) -> str:
        return self.commits.setdefault(match.group(0), f"{len(self.commits) + 1:x}" * 40)


def write_scene(scene: str, collection: str, frames: list[tuple[datetime.datetime, Object]]) -> None:
    """All frames are of one object."""
    folder, verb, base = KINDS[collection]
    cleaner, before = Cleaner(), kept(json.loads(base.read_text()) | {"apiVersion": "", "kind": ""})
    began = frames[0][0].replace(microsecond=0)
    what = (SCENES[scene].__doc__ or scene.replace("-", " ")).splitlines()[0]
    lines = [f"# Recorded by tests/record/argo.py. {what[0].upper()}{what[1:]}"]
    for at, frame in frames:
        seconds = int((at - began).total_seconds())
        now, head = kept(frame["object"]), f"> {seconds // 60:02}:{seconds % 60:02}"
        patch = cleaner.clean(json.dumps(difference(before, now), separators=(",", ":")), ZERO - began)
        before = now
        if frame["type"] == "DELETED":
            lines.append(f"{head} delete web")
        else:
            lines.append(f"{head} {'add' if frame['type'] == 'ADDED' else verb} web {patch}")
    lines.append(f"> {seconds // 60 + 1:02}:{seconds % 60:02} states")
    file = GOLDEN / folder / f"recorded-{scene}.txt"
    file.write_text("\n".join(lines) + "\n")
    print(f"{file.relative_to(GOLDEN)}: {len(frames)} frames, {file.stat().st_size // 1024} KiB")


def write_all(recorders: list[Recorder], right: set[str]) -> None:
    """Only of scenes in which everything came as it should."""
    for recorder in recorders:
        of_scene: dict[str, list] = defaultdict(list)
        for at, frame in recorder.frames:
            metadata = frame["object"]["metadata"]
            of_scene[metadata["name"] if recorder.collection == "applications" else metadata["namespace"]].append((at, frame))
        for scene, frames in of_scene.items():
            if scene in right:
                write_scene(scene, recorder.collection, frames)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", help="default: all")
    args = parser.parse_args()
    recorders: list[Recorder] = []

    def begin(world) -> None:
        for collection in KINDS:
            recorders.append(Recorder(world.api.new_client(), collection))
            recorders[-1].start()

    directory = Path(tempfile.mkdtemp(prefix="klaxon-record-"))
    options = SimpleNamespace(scenes=args.scenes or list(SCENES), beside=6, kills=0, seed=1, idle=0, idle_minutes=0)
    write_all(recorders, argocd.run(directory, options, begin).scenes)
    subprocess.run(["rm", "-rf", directory], check=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
