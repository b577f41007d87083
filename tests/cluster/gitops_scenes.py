"""The runbooks of docs/runbooks/gitops-*.md, walked on a real Argo CD that runs deploy/argocd, and what klaxon must tell of each step.

The scenes are one story, in the order of SCENES: each begins where the one before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import yaml

from .argo import APPLICATIONS, NAMESPACE, PROJECTS
from .argo_scenes import FACTS
from .client import MERGE
from .gitops_world import RELEASES, Forbidden, GitopsWorld, Refused
from .process import wait_until

SETS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets"
OURS = ("flask-dev", "flask-staging", "flask-prod")


class Seen(Protocol):
    """What was told of an object, as it comes."""

    def told(self, kind: str, namespace: str, name: str) -> list[dict]: ...


class Walk:
    """The world, the people in it, and how far each object's story has been heard."""

    def __init__(self, world: GitopsWorld, seen: Seen):
        self.world, self.seen = world, seen
        self.wanda, self.rita, self.paul, self.vera = (world.people[name] for name in ("wanda", "rita", "paul", "vera"))
        self.positions: dict[tuple[str, str, str], int] = {}
        self.heard: list[dict] = []
        self.refusals = 0

    def hears(self, app: str, kind: str, seconds: float = 120, **wanted: Any) -> dict:
        """The next such event of an Application; what is told in between is passed over."""
        return self._next(("Application", NAMESPACE, app), kind, seconds, wanted)

    def hears_rollout(self, environment: str, kind: str, seconds: float = 180, **wanted: Any) -> dict:
        return self._next(("Rollout", f"flask-{environment}", "flask"), kind, seconds, wanted)

    def _next(self, about: tuple[str, str, str], kind: str, seconds: float, wanted: dict) -> dict:
        found: list[tuple[int, dict]] = []

        def look() -> bool:
            start = self.positions.get(about, 0)
            found[:] = [(at, event) for at, event in enumerate(self.seen.told(*about)[start:], start) if event["kind"] == kind
                        and all(value in FACTS[name](event) if name == "detail" else FACTS[name](event) == value for name, value in wanted.items())]
            return bool(found)
        try:
            wait_until(kind, look, seconds)
        except TimeoutError:
            told = [event["kind"] for event in self.seen.told(*about)[self.positions.get(about, 0):]]
            raise AssertionError(f"{about[2]} of {about[1]}: no {kind} {wanted or ''} within {seconds:g} s, but {', '.join(told) or 'nothing'}") from None
        at, event = found[0]
        self.positions[about] = at + 1
        self.heard.append(event)
        return event

    def is_refused(self, what: str, how: type[Exception], act: Callable[[], object], why: str = "") -> None:
        try:
            act()
        except how as refusal:
            assert why in str(refusal), f"{what} is refused for another reason: {refusal}"
            self.refusals += 1
            return
        raise AssertionError(f"{what} is not refused")

    def apply_is_refused(self, why: str, manifest: dict) -> None:
        file = self.world.dir / "refused.yaml"
        file.write_text(yaml.safe_dump(manifest))
        self.is_refused(f"{manifest['kind']} ({why})", RuntimeError, lambda: self.world.kubectl("apply", "-f", str(file)), why)

    def deployed(self, app: str, **wanted: Any) -> None:
        self.hears(app, "app.sync.started", **wanted)
        self.hears(app, "app.deployed", **wanted)

    def switched_to_stable(self) -> None:
        """The blue-green Service sends to the stable version, and to no other."""
        selector = self.world.get("/api/v1/namespaces/flask-dev/services/flask")["spec"]["selector"]
        assert selector.get("rollouts-pod-template-hash") == self.world.rollout("dev")["status"]["stableRS"], selector

    def runs(self, environment: str, version: str) -> None:
        """Nothing but this version."""
        wait_until(f"{environment} runs only {version}", lambda: self.world.running(environment) == {RELEASES[version]}, 120)


def install(w: Walk) -> None:
    """From the root Application comes everything; dev and staging are there by themselves, production when a release manager says so."""
    for app in ("root", "argocd", "rollouts-prod", "guardrails-management", "secrets-management", *OURS):
        w.hears(app, "app.created", 180)
    for app in OURS[:2]:
        w.deployed(app, by="auto-sync")
        w.hears(app, "app.settled", 180)
    w.world.wait_app("flask-prod", "compared", lambda app: app["status"]["sync"]["status"] == "OutOfSync")
    w.switched_to_stable()
    w.is_refused("a sync of production by the team", Forbidden, lambda: w.wanda.sync("flask-prod"))
    w.is_refused("a sync by whoever only looks", Forbidden, lambda: w.vera.sync("flask-dev"))
    w.rita.sync("flask-prod")
    w.deployed("flask-prod", by="rita")
    w.hears("flask-prod", "app.settled", 180)
    for app in ("root", "rollouts-prod", "guardrails-management", "secrets-management", *OURS):
        w.world.wait_app(app, "Synced and Healthy", lambda one: (one["status"]["sync"]["status"], one["status"]["health"]["status"]) == ("Synced", "Healthy"))


def guardrails(w: Walk) -> None:
    """What the API server and the projects refuse."""
    public = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "public", "namespace": "default"},
              "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}}
    w.apply_is_refused("azure-load-balancer-internal", public)
    w.apply_is_refused("NodePort", public | {"spec": {"type": "NodePort", "ports": [{"port": 80}]}})
    w.apply_is_refused("external IPs", public | {"spec": {"externalIPs": ["192.0.2.1"], "ports": [{"port": 80}]}})
    w.apply_is_refused("azure-load-balancer-internal", {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "public", "namespace": "default"},
        "spec": {"gatewayClassName": "approuting-istio", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}})
    labels = {"matchLabels": {"app": "tag"}}
    w.apply_is_refused("by its digest", {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "tag", "namespace": "flask-prod"},
        "spec": {"selector": labels, "template": {"metadata": {"labels": {"app": "tag"}}, "spec": {"containers": [{"name": "tag", "image": "flask:latest"}]}}}})


def sync_fails(w: Walk) -> None:
    """A commit brings a Secret along, which the project does not permit: told, given up, and undone by git revert."""
    overlay = w.world.tree / "apps/flask/overlays/dev"
    (overlay / "password.yaml").write_text("apiVersion: v1\nkind: Secret\nmetadata: { name: password }\nstringData: { password: in-git }\n")
    w.world.rewrite("apps/flask/overlays/dev/kustomization.yaml", {"  - ../../base": "  - ../../base\n  - password.yaml"})
    bad = w.world.commit()
    w.world.wait_compared("flask-dev", bad)
    w.hears("flask-dev", "app.sync.failed", detail="Secret", by="auto-sync")
    good = w.world.revert()
    w.world.wait_compared("flask-dev", good)
    w.hears("flask-dev", "app.sync.succeeded", phase="resolved")


def promote(w: Walk) -> None:
    """1.1.0 from dev by way of staging to production."""
    built = w.world.release("1.1.0", "dev")
    w.world.wait_compared("flask-dev", built)
    w.deployed("flask-dev", by="auto-sync", to=built)
    w.hears_rollout("dev", "rollout.started")
    w.hears_rollout("dev", "rollout.completed")
    w.runs("dev", "1.1.0")
    w.switched_to_stable()
    rehearsed = w.world.promote("dev", "staging")
    w.world.wait_compared("flask-staging", rehearsed)
    w.deployed("flask-staging", by="auto-sync", to=rehearsed)
    w.hears_rollout("staging", "rollout.started")
    w.hears_rollout("staging", "rollout.completed")
    w.runs("staging", "1.1.0")
    merged = w.world.promote("staging", "prod")
    w.world.wait_compared("flask-prod", merged)
    w.hears("flask-prod", "app.change.waits", to=merged)
    w.is_refused("a sync of production by the team", Forbidden, lambda: w.wanda.sync("flask-prod"))
    w.is_refused("another revision", Forbidden, lambda: w.rita.sync("flask-prod", revision=built))
    w.rita.sync("flask-prod")
    w.deployed("flask-prod", by="rita", to=merged)
    w.hears_rollout("prod", "rollout.started")
    w.hears_rollout("prod", "rollout.waits")
    assert RELEASES["1.1.0"] in w.world.running("prod") and len(w.world.running("prod")) == 2, "the canary runs beside the old version"
    w.is_refused("the team's hand on production's canary", Forbidden, lambda: w.wanda.act("flask-prod", "resume"))
    w.rita.act("flask-prod", "resume")
    w.hears_rollout("prod", "rollout.resumed")
    w.hears_rollout("prod", "rollout.completed")
    w.runs("prod", "1.1.0")


def bad_canary(w: Walk) -> None:
    """1.2.0 answers with errors: the analysis aborts it in staging, users keep the old version, and git is put right."""
    bad = w.world.release("1.2.0-bad", "staging")
    w.world.wait_compared("flask-staging", bad)
    w.hears_rollout("staging", "rollout.started")
    w.hears_rollout("staging", "rollout.aborted")
    w.hears("flask-staging", "app.degraded", phase="open")
    w.runs("staging", "1.1.0")
    assert any(rate > 0 for _, rate in w.world.prometheus.asked)
    good = w.world.revert()
    w.world.wait_compared("flask-staging", good)
    w.hears_rollout("staging", "rollout.completed", phase="resolved")
    w.hears("flask-staging", "app.recovered", phase="resolved")
    w.runs("staging", "1.1.0")


def bad_preview(w: Walk) -> None:
    """The same version by blue-green: nobody is ever switched to it."""
    bad = w.world.release("1.2.0-bad", "dev")
    w.world.wait_compared("flask-dev", bad)
    w.hears_rollout("dev", "rollout.started")
    w.hears_rollout("dev", "rollout.aborted")
    w.switched_to_stable()
    w.hears("flask-dev", "app.degraded", phase="open")
    w.world.wait_compared("flask-dev", w.world.revert())
    w.hears("flask-dev", "app.recovered", phase="resolved")
    w.runs("dev", "1.1.0")


def drift(w: Walk) -> None:
    """A hand-made change: healed in dev, told in production until somebody syncs."""
    by_hand = ("patch", "service", "flask", "--type=json", '-p=[{"op":"replace","path":"/spec/ports/0/targetPort","value":8080}]')

    def port(environment: str) -> int | str:
        return w.world.get(f"/api/v1/namespaces/flask-{environment}/services/flask")["spec"]["ports"][0]["targetPort"]
    w.world.kubectl("-n", "flask-dev", *by_hand)
    w.hears("flask-dev", "app.drifted", resources={"Service/flask"})
    w.hears("flask-dev", "app.insync", by="self-heal", phase="resolved")
    assert port("dev") == "http"
    w.world.kubectl("-n", "flask-prod", *by_hand)
    w.hears("flask-prod", "app.drifted", resources={"Service/flask"})
    assert port("prod") == 8080
    w.rita.sync("flask-prod")
    w.hears("flask-prod", "app.insync", by="rita", phase="resolved")
    assert port("prod") == "http"


def auto_sync_off(w: Walk) -> None:
    """Off for an incident, by the runbook: the ApplicationSet leaves it off, a commit waits, and on again it comes in."""
    def switch(on: str) -> None:
        w.world.kubectl("patch", "app", "flask-dev", "-n", NAMESPACE, "--type", "merge", "-p", '{"spec":{"syncPolicy":{"automated":{"enabled":' + on + "}}}}")
    switch("false")
    w.hears("flask-dev", "app.autosync.off")
    w.world.rewrite("apps/flask/overlays/dev/kustomization.yaml", {"value: 2": "value: 3"})
    waits = w.world.commit()
    w.world.client.request("PATCH", f"{SETS}/apps", {"metadata": {"annotations": {"argocd.argoproj.io/application-set-refresh": "true"}}}, MERGE)
    wait_until("the ApplicationSet was refreshed", lambda: "argocd.argoproj.io/application-set-refresh" not in
               w.world.get(f"{SETS}/apps")["metadata"].get("annotations", {}), 60)
    w.world.wait_compared("flask-dev", waits)
    w.hears("flask-dev", "app.change.waits", to=waits)
    assert w.world.app("flask-dev")["spec"]["syncPolicy"]["automated"]["enabled"] is False, "the ApplicationSet has switched it on again"
    switch("true")
    w.hears("flask-dev", "app.autosync.on")
    w.hears("flask-dev", "app.insync", by="auto-sync")


def roll_back(w: Walk) -> None:
    """1.3.0 is in production and not liked: back by the history, at once and without steps; then git says so, too."""
    new = w.world.release("1.3.0", "prod")
    w.world.wait_compared("flask-prod", new)
    w.rita.sync("flask-prod")
    w.deployed("flask-prod", by="rita", to=new)
    w.hears_rollout("prod", "rollout.waits")
    w.rita.act("flask-prod", "resume")
    w.hears_rollout("prod", "rollout.completed")
    w.runs("prod", "1.3.0")
    history = w.world.app("flask-prod")["status"]["history"]
    before = [entry for entry in history if entry["revision"] != new][-1]
    dev = w.world.app("flask-dev")["status"]["history"][0]["id"]
    w.is_refused("a rollback where Argo CD syncs", Refused, lambda: w.wanda.roll_back("flask-dev", dev), "auto-sync")
    w.is_refused("a rollback of production by the team", Forbidden, lambda: w.wanda.roll_back("flask-prod", before["id"]))
    w.rita.roll_back("flask-prod", before["id"])
    w.hears("flask-prod", "app.rolledback", by="rita", to=before["revision"], came_from=new)
    w.runs("prod", "1.1.0")
    w.hears("flask-prod", "app.change.waits", to=new)
    good = w.world.revert()
    w.world.wait_compared("flask-prod", good)
    w.hears("flask-prod", "app.insync")


def window(w: Walk) -> None:
    """In the weekend's window nobody syncs production, until the platform team lets a person in, by a commit."""
    w.world.rewrite("projects/prod.yaml", {r're:schedule: ".*"': 'schedule: "* * * * *"'})
    w.world.wait_compared("root", w.world.commit())
    project = f"{PROJECTS}/prod"
    wait_until("the window is open", lambda: w.world.get(project)["spec"]["syncWindows"][0]["schedule"] == "* * * * *", 60)
    w.is_refused("a sync in the window", (Refused, Forbidden), lambda: w.rita.sync("flask-prod"), "window")
    w.world.rewrite("projects/prod.yaml", {"manualSync: false": "manualSync: true"})
    w.world.wait_compared("root", w.world.commit())
    wait_until("a person may", lambda: w.world.get(project)["spec"]["syncWindows"][0].get("manualSync", False), 60)
    w.rita.sync("flask-prod")
    w.deployed("flask-prod", by="rita")
    w.world.rewrite("projects/prod.yaml", {"manualSync: true": "manualSync: false"})
    w.world.move_windows_away()
    w.world.wait_compared("root", w.world.commit())
    wait_until("the window is closed", lambda: w.world.get(project)["spec"]["syncWindows"][0]["schedule"] != "* * * * *", 60)


def restore(w: Walk) -> None:
    """Everything of Argo CD is lost and comes back from the backup, with its history; not a pod notices."""
    def pods() -> set[str]:
        return {pod["metadata"]["uid"] for name in OURS for pod in w.world.get(f"/api/v1/namespaces/{name}/pods")["items"]}

    def histories() -> dict[str, list]:
        return {name: w.world.app(name)["status"].get("history", []) for name in OURS}
    w.world.wait_app("argocd", "Synced and Healthy", lambda one: (one["status"]["sync"]["status"], one["status"]["health"]["status"]) == ("Synced", "Healthy"))
    backup = w.world.argocd("admin", "export", "-n", NAMESPACE)
    before, ledger = pods(), histories()
    for collection in (APPLICATIONS + "/root", SETS, APPLICATIONS, PROJECTS):
        w.world.client.request("DELETE", collection)
    wait_until("all of it is gone", lambda: not any(w.world.get(one)["items"] for one in (APPLICATIONS, SETS)), 120)
    for name in OURS:
        w.hears(name, "app.deleted")
    assert pods() == before, "pods went with the Applications"
    meanwhile = w.world.commit()  # what stands in the backup is Synced; that it is looked at again shows by this commit
    w.world.argocd("admin", "import", "-n", NAMESPACE, "-", stdin=backup)
    for name in OURS:
        w.hears(name, "app.created")
        w.world.wait_compared(name, meanwhile)
        w.world.wait_app(name, "Synced", lambda app: app["status"]["sync"]["status"] == "Synced")
    time.sleep(5)  # what auto-sync would do, it does now
    assert pods() == before, "pods were replaced by the restoration"
    assert histories() == ledger, "the history is another one"
    w.is_refused("a sync of production by the team", Forbidden, lambda: w.wanda.sync("flask-prod"))
    w.rita.sync("flask-prod")
    w.hears("flask-prod", "app.sync.started", by="rita")


SCENES: dict[str, Callable[[Walk], None]] = {
    "install": install, "guardrails": guardrails, "sync-fails": sync_fails, "promote": promote, "bad-canary": bad_canary, "bad-preview": bad_preview,
    "drift": drift, "auto-sync-off": auto_sync_off, "roll-back": roll_back, "window": window, "restore": restore,
}
