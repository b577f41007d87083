"""What happens to Applications and Rollouts of a real Argo CD and a real Argo Rollouts, and what klaxon must say of it.

Each scene is a function of a `Scene`: it acts on its own Application (`s.app`), or on Rollouts in its namespace, and says with `s.sees` what is
told of it, in order and without anything in between. `SCENES` has all of them by name.
"""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable
from typing import Any, Protocol

from .argo import PROJECTS
from .argo_world import (AUTOMATED, Application, ArgoWorld, Rollout, analysis, config_map, deployment, hook, rollout, service,
                         web_metric)
from .client import MERGE
from .process import wait_until

BAD = deployment(replicas=-1)
PAUSE = {"pause": {}}
CONFIRM = {"argocd.argoproj.io/sync-options": "Prune=confirm"}


class Seen(Protocol):
    """What was told of an object, as it comes."""

    def told(self, kind: str, namespace: str, name: str) -> list[dict]: ...


class Unexpected(Exception):
    """Something else was told, or nothing was."""


class Scene:
    """One scene: its Application, and what was told of each object so far."""

    def __init__(self, world: ArgoWorld, seen: Seen, name: str):
        self.world, self.seen, self.name = world, seen, name
        self.positions: dict[tuple[str, str, str], int] = {}
        self.app = Application(world, name)

    def sees(self, kind: str, seconds: float = 90, **wanted: Any) -> dict:
        """The next event of the Application."""
        return self._next(("Application", "argocd", self.name), kind, seconds, wanted)

    def sees_both(self, wanted: dict[str, dict]) -> None:
        """The next ones, in any order."""
        left = dict(wanted)
        while left:
            kind = self._peek(("Application", "argocd", self.name), list(left))
            self.sees(kind, **left.pop(kind))

    def sees_rollout(self, name: str, kind: str, seconds: float = 90, **wanted: Any) -> dict:
        return self._next(("Rollout", self.name, name), kind, seconds, wanted)

    def _peek(self, about: tuple[str, str, str], kinds: list[str], seconds: float = 90) -> str:
        """Which of them is the next; the first when it is none, so that whoever sees it says so."""
        position = self.positions.get(about, 0)
        try:
            wait_until(" or ".join(kinds), lambda: len(self.seen.told(*about)) > position, seconds)
        except TimeoutError:
            return kinds[0]
        kind = self.seen.told(*about)[position]["kind"]
        return kind if kind in kinds else kinds[0]

    def _next(self, about: tuple[str, str, str], kind: str, seconds: float, wanted: dict) -> dict:
        position = self.positions.get(about, 0)
        try:
            wait_until(kind, lambda: len(self.seen.told(*about)) > position, seconds)
        except TimeoutError:
            raise Unexpected(f"{about[2]}: no {kind} within {seconds:g} s") from None
        event = self.seen.told(*about)[position]
        if event["kind"] != kind:
            raise Unexpected(f"{about[2]}: {event['kind']} instead of {kind}: {event['data']['summary']}")
        self.positions[about] = position + 1
        for name, value in wanted.items():
            found = FACTS[name](event)
            if not (value in found if name == "detail" else value == found):
                raise Unexpected(f"{about[2]}: {kind} has {name} {found!r}, not {value!r}: {event['data']['summary']}")
        return event

    def left(self) -> list[str]:
        """What was told beside what was seen."""
        return [f"{about[2]}: unexpected {event['kind']}: {event['data']['summary']}" for about in self.objects()
                for event in self.seen.told(*about)[self.positions.get(about, 0):]]

    def objects(self) -> set[tuple[str, str, str]]:
        return {("Application", "argocd", self.name)} | set(self.positions)

    def begin(self, policy: dict | None = AUTOMATED, finalizer: bool = False, **manifests: Any) -> str:
        """The Application is created with auto-sync, deployed, and well."""
        first = self.app.commit(**(manifests or {"deployment": deployment(), "service": service()}))
        self.app.create(policy, finalizer)
        self.sees("app.created")
        if policy is not AUTOMATED:
            self.app.wait("compared", lambda app: app["status"]["sync"]["status"] == "OutOfSync")
            self.app.sync()
        by = "auto-sync" if policy is AUTOMATED else "admin"
        self.sees("app.sync.started", by=by, to=first)
        self.sees("app.deployed", by=by, to=first)
        self.sees("app.settled", to=first)
        return first

    def deploy(self, **manifests: Any) -> str:
        """Another commit is there; returns it."""
        commit = self.app.commit(**manifests)
        self.app.refresh_until_seen(commit)
        return commit


def _resources(event: dict) -> set[str]:
    return {f"{one['kind']}/{one['name']}" for one in event["data"].get("resources", ())}


FACTS: dict[str, Callable[[dict], Any]] = {
    "by": lambda e: e["data"].get("by"), "reason": lambda e: e["data"].get("reason"), "phase": lambda e: e.get("phase"),
    "to": lambda e: e["data"].get("revision", {}).get("to"), "came_from": lambda e: e["data"].get("revision", {}).get("from"),
    "detail": lambda e: e["data"].get("detail", ""), "resources": _resources, "severity": lambda e: e.get("severity"),
    "step": lambda e: e["data"]["rollout"].get("step"),
}


def deploy(s: Scene) -> None:
    """Two commits, one after the other, and one that changes nothing of the Application."""
    first = s.begin()
    second = s.deploy(deployment=deployment(tag="2"))
    s.sees("app.sync.started", by="auto-sync", to=second)
    s.sees("app.deployed", by="auto-sync", to=second, came_from=first)
    s.sees("app.settled", to=second)
    other = s.app.repository.commit({"elsewhere/readme.md": "the commit of another application"})
    s.app.refresh_until_seen(other)


def drift_healed(s: Scene) -> None:
    s.begin()
    s.app.change_by_hand("deployments", "checkout", {"spec": {"replicas": 3}})
    s.sees("app.drifted", resources={"Deployment/checkout"}, phase="open", reason="Drifted")
    s.sees("app.insync", by="self-heal", phase="resolved")


def drift_by_hand(s: Scene) -> None:
    """Nobody heals it but its person: once by hand, once by a sync."""
    first = s.begin(policy={})
    s.app.change_by_hand("deployments", "checkout", {"spec": {"replicas": 3}})
    s.sees("app.drifted", resources={"Deployment/checkout"}, phase="open")
    s.app.change_by_hand("deployments", "checkout", {"spec": {"replicas": 1}})
    s.sees("app.insync", reason="BackByItself", phase="resolved")
    s.app.change_by_hand("services", "checkout", {"spec": {"selector": {"app": "another"}}})
    s.sees("app.drifted", resources={"Service/checkout"})
    s.app.sync()
    s.sees("app.sync.started", by="admin")
    s.sees("app.deployed", by="admin", to=first)
    s.sees("app.insync", by="admin", reason="Synced")
    s.sees("app.settled", to=first)


def sync_failed(s: Scene) -> None:
    """What the API server refuses: retried, given up, and mended by another commit."""
    first = s.begin()
    bad = s.deploy(deployment=BAD)
    s.sees("app.sync.started", by="auto-sync", to=bad)
    s.sees("app.sync.retrying", to=bad, phase="open", resources={"Deployment/checkout"})
    s.sees("app.sync.failed", to=bad, by="auto-sync", phase="update", resources={"Deployment/checkout"}, reason="SyncFailed")
    s.sees("app.sync.gaveup", to=bad, severity="critical", detail="Failed last sync attempt")
    good = s.deploy(deployment=deployment(tag="3"))
    s.sees("app.sync.started", by="auto-sync", to=good)
    s.sees("app.deployed", to=good, came_from=first)
    s.sees("app.sync.succeeded", to=good, phase="resolved")
    s.sees("app.settled", to=good)


def terminated(s: Scene) -> None:
    """A hook that never ends, until somebody ends the operation."""
    first = s.begin()
    stuck = s.deploy(migrate=hook("migrate"), deployment=deployment(tag="2"))
    s.sees("app.sync.started", by="auto-sync", to=stuck)
    s.app.wait("its hook runs", lambda app: "waiting for completion of hook" in app["status"]["operationState"]["message"])
    s.app.terminate()
    s.sees("app.sync.failed", to=stuck, phase="open", reason="SyncTerminated")
    s.sees("app.sync.gaveup", to=stuck, detail="Failed last sync attempt")
    good = s.deploy(migrate=None)
    s.sees("app.sync.started", to=good)
    s.sees("app.deployed", to=good, came_from=first)
    s.sees("app.sync.succeeded", to=good, phase="resolved")
    s.sees("app.settled", to=good)


def partial(s: Scene) -> None:
    """One of two resources is synced by hand, then all."""
    first = s.begin(policy={}, deployment=deployment(), config=config_map("config", color="red"))
    second = s.deploy(deployment=deployment(tag="2"), config=config_map("config", color="blue"))
    s.sees("app.change.waits", to=second, resources={"Deployment/checkout", "ConfigMap/config"})
    s.app.sync(resources=[{"group": "", "kind": "ConfigMap", "name": "config"}])
    s.sees("app.sync.started", by="admin", to=second, resources={"ConfigMap/config"})
    s.sees("app.sync.succeeded", by="admin", to=second, reason="SyncSucceeded", phase=None)
    s.app.wait("no operation", lambda app: "operation" not in app)
    s.app.sync()
    s.sees("app.sync.started", by="admin", to=second)
    s.sees("app.deployed", by="admin", to=second, came_from=first)
    s.sees("app.insync", by="admin")
    s.sees("app.settled", to=second)


def bad_manifest(s: Scene) -> None:
    first = s.begin()
    s.deploy(service="apiVersion: v1\nkind: Service\nmetadata: {name: [")
    s.sees("app.error", reason="ComparisonError", phase="open", detail="Failed to load target state")
    good = s.deploy(service=service(), deployment=deployment(tag="2"))
    # Argo CD calls this one a self-heal, and may wait with it as long as with one: then the comparison is written first.
    s.sees_both({"app.sync.started": {"by": "auto-sync", "to": good}, "app.error.cleared": {"phase": "resolved"}})
    s.sees("app.deployed", by="auto-sync", to=good, came_from=first)
    s.sees("app.settled", to=good)


def roll_back(s: Scene) -> None:
    """To the entry before, which Argo CD allows while auto-sync is off; the newer commit then waits."""
    first = s.begin()
    second = s.deploy(deployment=deployment(tag="2"))
    s.sees("app.sync.started", to=second)
    s.sees("app.deployed", to=second)
    s.sees("app.settled", to=second)
    s.app.patch({"spec": {"syncPolicy": {"automated": None}}})
    s.sees("app.autosync.off", by=None)  # whoever removes a field owns nothing
    s.app.roll_back(0)
    s.sees("app.sync.started", by="admin", to=first)
    s.sees("app.rolledback", by="admin", to=first, came_from=second)
    waits = {"reason": "CommitWaits", "to": second, "resources": {"Deployment/checkout"}}
    s.sees_both({"app.settled": {"to": first}, "app.change.waits": waits})
    s.app.patch({"spec": {"syncPolicy": {"automated": {}}}})
    s.sees("app.autosync.on", by="kubectl-edit")
    s.sees("app.sync.started", by="auto-sync", to=second)
    s.sees("app.deployed", by="auto-sync", to=second, came_from=first)
    s.sees("app.insync", by="auto-sync")
    s.sees("app.settled", to=second)


def pruning(s: Scene) -> None:
    """One object goes by itself, another one only when somebody has confirmed it."""
    s.begin(deployment=deployment(), service=service(), extra=config_map("extra", CONFIRM, color="red"))
    second = s.deploy(service=None)
    s.sees("app.sync.started", to=second)
    s.sees("app.deployed", to=second, resources={"Service/checkout"})
    s.sees("app.settled", to=second)
    third = s.deploy(extra=None)
    s.sees("app.sync.started", to=third)
    s.sees("app.sync.waits", 120, reason="AwaitsConfirmation", detail="pruning confirmation of", phase="open")
    operation = s.app.object()["status"]["operationState"]["startedAt"]
    s.app.patch({"metadata": {"annotations": {"argocd.argoproj.io/deletion-approved": operation}}})
    s.sees("app.deployed", 120, to=third, resources={"ConfigMap/extra"})
    s.sees("app.sync.succeeded", to=third, phase="resolved")
    s.sees("app.settled", to=third)


def project(s: Scene) -> None:
    s.begin(policy={})
    s.app.patch({"spec": {"project": "nowhere"}})
    s.app.refresh()  # a change of the project alone makes Argo CD look at nothing
    s.sees("app.error", reason="InvalidSpecError", phase="open", detail="nowhere")
    s.app.patch({"spec": {"project": "default"}})
    s.app.refresh()
    s.sees("app.error.cleared", phase="resolved")


def project_forbids(s: Scene) -> None:
    """The project exists, and does not permit the destination any more."""
    s.world.argo.client().request("POST", PROJECTS, {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject", "metadata": {"name": s.name},
        "spec": {"sourceRepos": ["*"], "destinations": [{"server": "*", "namespace": "*"}]}})
    s.begin(policy={})
    s.app.patch({"spec": {"project": s.name}})
    s.app.wait("its project", lambda app: app["spec"]["project"] == s.name)
    client = s.world.argo.client()
    client.request("PATCH", f"{PROJECTS}/{s.name}", {"spec": {"destinations": []}}, MERGE)
    s.app.refresh()
    s.sees("app.error", reason="InvalidSpecError", detail="do not match any of the allowed destinations")
    client.request("PATCH", f"{PROJECTS}/{s.name}", {"spec": {"destinations": [{"server": "*", "namespace": "*"}]}}, MERGE)
    s.app.refresh()
    s.sees("app.error.cleared")


def repository(s: Scene) -> None:
    """It is not there any more, and comes back."""
    s.begin()
    away = s.app.repository.path.with_suffix(".away")
    s.app.repository.path.rename(away)
    s.app.refresh()
    s.sees("app.error", reason="ComparisonError", phase="open", detail="Failed to load target state")
    away.rename(s.app.repository.path)
    s.app.refresh()
    s.sees("app.error.cleared", phase="resolved")


def auto_sync(s: Scene) -> None:
    """Switched off, in both of its ways, and on."""
    s.begin()
    s.app.patch({"spec": {"syncPolicy": {"automated": {"enabled": False}}}})
    s.sees("app.autosync.off", by="kubectl-edit", severity="warning")
    second = s.deploy(deployment=deployment(tag="2"))
    s.sees("app.change.waits", to=second, reason="CommitWaits", resources={"Deployment/checkout"})
    s.app.patch({"spec": {"syncPolicy": {"automated": {"enabled": True}}}}, manager="argocd-server")
    s.sees("app.autosync.on", by="argocd-server")
    s.sees("app.sync.started", by="auto-sync", to=second)
    s.sees("app.deployed", by="auto-sync", to=second)
    s.sees("app.insync", by="auto-sync")
    s.sees("app.settled", to=second)


def degraded(s: Scene) -> None:
    """A version that never gets ready, and the one that does."""
    s.begin(deployment=deployment(progressDeadlineSeconds=5))
    bad = s.deploy(deployment=deployment(tag="2", runs=False, progressDeadlineSeconds=5))
    s.sees("app.sync.started", to=bad)
    s.sees("app.deployed", to=bad)
    s.sees("app.degraded", phase="open", detail="Deployment")
    good = s.deploy(deployment=deployment(tag="3", progressDeadlineSeconds=5))
    s.sees("app.sync.started", to=good)
    s.sees("app.deployed", to=good)
    s.sees("app.recovered", phase="resolved")
    s.sees("app.settled", to=good)


def deleted(s: Scene) -> None:
    """With all that it deployed."""
    s.begin(finalizer=True)
    s.app.delete()
    s.sees("app.deleting")
    s.sees("app.deleted", reason="Deleted")


def canary(s: Scene) -> None:
    """By Argo CD: 25 %, a pause that a person ends, 75 %, a pause with an end."""
    steps = {"canary": {"steps": [{"setWeight": 25}, PAUSE, {"setWeight": 75}, {"pause": {"duration": 5}}]}}
    web = Rollout(s.app.client, s.name, "web")
    s.begin(rollout=rollout("web", steps))
    second = s.deploy(rollout=rollout("web", steps, "2"))
    s.sees("app.sync.started", to=second)
    s.sees("app.deployed", to=second)
    s.sees_rollout("web", "rollout.started")
    s.sees_rollout("web", "rollout.step", step=1)
    s.sees_rollout("web", "rollout.waits", phase="open", reason="CanaryPauseStep")
    s.sees("app.suspended")
    web.promote()
    s.sees_rollout("web", "rollout.resumed", phase="resolved")
    s.sees_rollout("web", "rollout.step", step=2)
    s.sees_rollout("web", "rollout.step", step=3)
    s.sees_rollout("web", "rollout.paused", reason="CanaryPauseStep")  # within ten seconds: still suspended
    s.sees_rollout("web", "rollout.step", step=4)
    s.sees_rollout("web", "rollout.completed")
    s.sees("app.settled", to=second)


def canary_aborted(s: Scene) -> None:
    """Aborted by hand, tried again, and promoted; then taken back in the middle."""
    web = Rollout(s.app.client, s.name, "web")
    web.create(rollout("web", {"canary": {"steps": [{"setWeight": 50}, PAUSE]}}))
    web.wait_phase("Healthy")
    web.set_image("2")
    s.sees_rollout("web", "rollout.started")
    s.sees_rollout("web", "rollout.step", step=1)
    s.sees_rollout("web", "rollout.waits", phase="open")
    web.abort()
    s.sees_rollout("web", "rollout.resumed", reason="RolloutAborted", phase="resolved")
    s.sees_rollout("web", "rollout.aborted", phase="open", by="kubectl-argo-rollouts")
    web.wait_phase("Degraded")
    web.retry()
    s.sees_rollout("web", "rollout.retried", phase="update", by="kubectl-argo-rollouts")
    s.sees_rollout("web", "rollout.step", step=1)
    s.sees_rollout("web", "rollout.waits", phase="update")
    web.promote()
    s.sees_rollout("web", "rollout.resumed", phase="resolved")
    s.sees_rollout("web", "rollout.step", step=2)
    s.sees_rollout("web", "rollout.completed", phase="resolved")
    web.wait_phase("Healthy")
    web.set_image("3")
    s.sees_rollout("web", "rollout.started")
    s.sees_rollout("web", "rollout.step", step=1)
    s.sees_rollout("web", "rollout.waits")
    web.set_image("2")
    s.sees_rollout("web", "rollout.completed", reason="BackToStable", phase="resolved")
    web.wait_phase("Healthy")
    web.delete()


class _Answers:
    """A web server of this machine that a metric asks."""

    def __init__(self, value: float):
        body = json.dumps({"value": value}).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def _analysed(s: Scene, name: str, **metric: Any) -> Rollout:
    """A canary whose second step is an analysis; its metric is 7."""
    template = analysis("quality", [web_metric(_Answers(7).url, **metric)])
    s.app.client.request("POST", f"/apis/argoproj.io/v1alpha1/namespaces/{s.name}/analysistemplates", template)
    steps = [{"setWeight": 25}, {"analysis": {"templates": [{"templateName": "quality"}]}}, {"setWeight": 75}]
    web = Rollout(s.app.client, s.name, name)
    web.create(rollout(name, {"canary": {"steps": steps}}))
    web.wait_phase("Healthy")
    web.set_image("2")
    s.sees_rollout(name, "rollout.started")
    s.sees_rollout(name, "rollout.step", step=1)
    return web


def analysis_failed(s: Scene) -> None:
    """The metric refuses the version; Argo Rollouts aborts it, and the version before is put back into the spec."""
    web = _analysed(s, "web", successCondition="result < 5")
    s.sees_rollout("web", "rollout.analysis", phase="open", reason="AnalysisFailed", detail="error-rate")
    s.sees_rollout("web", "rollout.aborted", phase="update", by=None, detail="RolloutAborted")
    web.wait_phase("Degraded", "RolloutAborted")
    web.set_image("1")
    s.sees_rollout("web", "rollout.completed", phase="resolved", reason="BackToStable")


def analysis_inconclusive(s: Scene) -> None:
    """Neither good nor bad: a person decides."""
    web = _analysed(s, "web", successCondition="result < 5", failureCondition="result > 10", inconclusiveLimit=0)
    s.sees_rollout("web", "rollout.analysis", phase="open", reason="AnalysisInconclusive")
    s.sees_rollout("web", "rollout.waits", phase="open", reason="InconclusiveAnalysisRun")
    web.promote_inconclusive()
    s.sees_rollout("web", "rollout.step", step=2)
    s.sees_rollout("web", "rollout.resumed", phase="resolved")
    s.sees_rollout("web", "rollout.step", step=3)
    s.sees_rollout("web", "rollout.completed", phase="resolved")


def blue_green(s: Scene) -> None:
    """Promoted by a person, and the next one aborted."""
    for name in ("active", "preview"):
        s.app.client.request("POST", f"/api/v1/namespaces/{s.name}/services", service(name, app="web"))
    web = Rollout(s.app.client, s.name, "web")
    web.create(rollout("web", {"blueGreen": {"activeService": "active", "previewService": "preview", "autoPromotionEnabled": False,
                                             "scaleDownDelaySeconds": 3}}, replicas=2))
    web.wait_phase("Healthy")
    web.set_image("2")
    s.sees_rollout("web", "rollout.started")
    s.sees_rollout("web", "rollout.waits", phase="open", reason="BlueGreenPause")
    web.promote()
    s.sees_rollout("web", "rollout.resumed", phase="resolved")
    s.sees_rollout("web", "rollout.completed")
    web.wait_phase("Healthy")
    web.set_image("3")
    s.sees_rollout("web", "rollout.started")
    s.sees_rollout("web", "rollout.waits")
    web.abort()
    s.sees_rollout("web", "rollout.resumed", reason="RolloutAborted", phase="resolved")
    s.sees_rollout("web", "rollout.aborted", phase="open", by="kubectl-argo-rollouts")
    web.wait_phase("Degraded")
    web.delete()
    s.sees_rollout("web", "rollout.removed", phase="resolved")


SCENES: dict[str, Callable[[Scene], None]] = {
    one.__name__.replace("_", "-"): one for one in (
        deploy, drift_healed, drift_by_hand, sync_failed, terminated, partial, bad_manifest, roll_back, pruning, project, project_forbids,
        repository, auto_sync, degraded, deleted, canary, canary_aborted, analysis_failed, analysis_inconclusive, blue_green)
}
