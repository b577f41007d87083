"""deploy/argocd as it lies in git, in a copy where what it names by address is a file, and what kustomize makes of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from . import cache

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / "deploy" / "argocd"
UPSTREAM = {"argo-cd/": "argocd.yaml", "argo-rollouts/": "rollouts.yaml"}  # part of the address: what the cache has of it
RENDERED = ("bootstrap", "cluster", "platform/argocd", "addons/rollouts", "addons/guardrails", "addons/secrets",
            *(f"apps/flask/overlays/{environment}" for environment in ("dev", "staging", "prod")))


def copy(into: Path) -> Path:
    """The tree, below `into/deploy/argocd`. kustomize reads no file outside of a folder, so what came by address lies beside."""
    tree = into / "deploy" / "argocd"
    shutil.copytree(TREE, tree)
    for file in tree.rglob("kustomization.yaml"):
        file.write_text(re.sub(r"https://raw\.githubusercontent\.com/\S+\.yaml", lambda address: _local(address[0], file.parent), file.read_text()))
    return tree


def _local(address: str, beside: Path) -> str:
    [name] = [file for part, file in UPSTREAM.items() if part in address]
    shutil.copy(cache.gitops_manifests() / name, beside / f"upstream-{name}")
    return f"upstream-{name}"


def render(folder: Path) -> list[dict[str, Any]]:
    """What Argo CD gets to see: `kubectl kustomize`, which is the same library as `kustomize build`."""
    done = subprocess.run([cache.kubernetes_binaries() / "kubectl", "kustomize", os.fspath(folder)], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{folder}: {done.stderr}")
    return [document for document in yaml.load_all(done.stdout, yaml.CSafeLoader) if document]


def images(document: Any) -> list[str]:
    """Every `image: name` in it; the schema of a CRD has an `image` that is none."""
    if isinstance(document, dict):
        own = [document["image"]] if isinstance(document.get("image"), str) else []
        return own + [image for value in document.values() for image in images(value)]
    return [image for one in document for image in images(one)] if isinstance(document, list) else []
