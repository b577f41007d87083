"""Who may do what in deploy/argocd, asked of Argo CD itself: `argocd admin settings rbac can`, for each role and each action."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from . import cache

GROUPS = {  # the groups of Entra ID in policies/*.csv, and the role of each
    "11111111-1111-1111-1111-111111111111": "platform", "22222222-2222-2222-2222-222222222222": "release",
    "33333333-3333-3333-3333-333333333333": "web", "44444444-4444-4444-4444-444444444444": "viewer",
}
NOBODY = "99999999-9999-9999-9999-999999999999"
APPS = ("dev/flask-dev", "staging/flask-staging", "prod/flask-prod")
OTHERS = ("dev/shop-dev", "staging/shop-staging", "prod/shop-prod", "platform/argocd", "platform/root")
ROLLOUT = tuple(f"action/argoproj.io/Rollout/{name}" for name in ("resume", "abort", "retry", "promote-full", "restart"))
DEV, STAGING, PROD = APPS
WRITES = ("create", "update", "delete", "override", "update/apps/Deployment/flask-dev/flask", "delete/apps/ReplicaSet/flask-dev/flask",
          "delete//Service/flask-dev/flask", "action/apps/Deployment/restart")
POD = "delete//Pod/flask-{}/flask-abc"

# role: (resource, actions, objects) that it may. Whatever is asked and not here is forbidden.
MAY: dict[str, list[tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "web": [
        ("applications", ("get",), APPS),
        ("applications", ("sync", "rollback", *ROLLOUT), (DEV, STAGING)),
        ("applications", (POD.format("dev"),), (DEV,)),
        ("logs", ("get",), APPS),
        ("projects", ("get",), ("dev", "staging", "prod", "platform")),
    ],
    "release": [
        ("applications", ("get",), APPS + OTHERS),
        ("applications", ("sync", "rollback", *ROLLOUT), (PROD, "prod/shop-prod")),
        ("logs", ("get",), (PROD, "prod/shop-prod")),
        ("projects", ("get",), ("dev", "staging", "prod", "platform")),
    ],
    "viewer": [
        ("applications", ("get",), APPS + OTHERS),
        ("applicationsets", ("get",), ("dev/apps",)),
        ("projects", ("get",), ("dev", "staging", "prod", "platform")),
        ("clusters", ("get",), ("https://aks-prod.privatelink.westeurope.azmk8s.io:443",)),
    ],
    "nobody": [],
}


def asked() -> list[tuple[str, str, str]]:
    """Everything that each role is asked about: resource, action, object."""
    applications = [("applications", action, app) for app in APPS + OTHERS for action in ("get", "sync", "rollback", *ROLLOUT, *WRITES)]
    pods = [("applications", POD.format(app.rsplit("-", 1)[1]), app) for app in APPS]
    logs = [("logs", "get", app) for app in APPS + OTHERS]
    shells = [("exec", "create", app) for app in APPS + OTHERS]
    sets = [("applicationsets", action, "dev/apps") for action in ("get", "create", "update", "delete")]
    projects = [("projects", action, name) for name in ("dev", "staging", "prod", "platform") for action in ("get", "create", "update", "delete")]
    rest = [(resource, action, one) for resource, one in (("clusters", "https://aks-prod.privatelink.westeurope.azmk8s.io:443"),
                                                          ("repositories", "https://github.com/example/gitops.git"))
            for action in ("get", "create", "update", "delete")]
    return applications + pods + logs + shells + sets + projects + rest + [("accounts", "update", "admin"), ("certificates", "create", "any")]


def may(role: str, resource: str, action: str, about: str) -> bool:
    if role == "platform":
        return resource != "exec" and (resource, action) != ("accounts", "update")
    return any(resource == r and action in actions and about in objects for r, actions, objects in MAY[role])


class Policies:
    """The rendered argocd-rbac-cm in a file, and the CLI, which wants a kubeconfig and asks nobody."""

    def __init__(self, rendered: list[dict], directory: Path):
        [config] = [one for one in rendered if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "argocd-rbac-cm"]
        self.file, self.kubeconfig = directory / "argocd-rbac-cm.yaml", directory / "no-kubeconfig"
        self.file.write_text(yaml.safe_dump(config))
        self.kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "none", "users": [{"name": "none", "user": {"token": "none"}}],
            "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}],
            "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}]}))

    def _run(self, *arguments: str) -> subprocess.CompletedProcess:
        env = {**os.environ, "ARGOCD_BINARY_NAME": "argocd", "KUBECONFIG": os.fspath(self.kubeconfig), "HOME": os.fspath(self.file.parent)}
        return subprocess.run([cache.argocd() / "argocd", "admin", "settings", "rbac", *arguments, "--policy-file", self.file], env=env,
                              capture_output=True, text=True, timeout=60, check=False)

    def validate(self) -> None:
        done = self._run("validate")
        assert done.returncode == 0, done.stdout + done.stderr

    def can(self, subject: str, resource: str, action: str, about: str) -> bool:
        done = self._run("can", subject, action, resource, about)
        assert done.stdout.strip() in ("Yes", "No"), f"{subject} {action} {resource} {about}: {done.stdout}{done.stderr}"
        return done.stdout.strip() == "Yes"


def check(policies: Policies) -> tuple[int, int, list[str]]:
    """How many were allowed and forbidden as they should be, and what was not."""
    questions = [(subject, role, *question) for subject, role in {**GROUPS, NOBODY: "nobody"}.items() for question in asked()]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda one: policies.can(one[0], *one[2:]), questions))
    wrong = [f"{role} may {'' if answer else 'not '}{action} {resource} {about}"
             for (_, role, resource, action, about), answer in zip(questions, answers) if answer != may(role, resource, action, about)]
    return sum(answers), len(answers) - sum(answers), wrong
