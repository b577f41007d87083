"""A real API server: etcd and kube-apiserver with keys of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import requests
import yaml

from . import cache
from .client import KubeClient, Object
from .etcd import Change, Etcd
from .pki import Authority
from .process import Child, free_port, wait_until

READY_SECONDS = 60
APISERVER = "kube-apiserver"
ETCD = "etcd"


@dataclass
class Twin:
    """A kube-apiserver beside an ApiServer: see ApiServer.another."""

    url: str
    child: Child
    client: KubeClient

    def __enter__(self) -> "Twin":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.child.kill()

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def start(self) -> None:
        self.child.start()
        wait_until(f"{self.child.name} ready", self.ready, READY_SECONDS, self.child)

    def ready(self) -> bool:
        try:
            return self.client.session.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False


class ApiServer:
    """etcd and kube-apiserver on free loopback ports.

    `flags` are added to kube-apiserver's, e.g. `--etcd-compaction-interval=10s` or `--event-ttl=30s`. `tokens` are the lines of
    its token-auth-file: `token,user,uid,"group1,group2"`; `--token-auth-file` is read once, at the start.
    kill, pause, resume, restart and stop take `which`: "kube-apiserver" (the default where one alone makes sense), "etcd", or
    None for both.
    """

    def __init__(self, directory: Path | str, flags: Sequence[str] = (), tokens: Sequence[str] = ()):
        self.dir = Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.binaries = cache.kubernetes_binaries()
        self.url = f"https://127.0.0.1:{free_port()}"
        self.etcd = Etcd(f"http://127.0.0.1:{free_port()}")
        self._make_keys()
        self.kubeconfig = self.write_kubeconfig(self.dir / "admin.kubeconfig")
        self.children = {
            ETCD: Child(ETCD, self._etcd_command(), self.dir / "etcd.log"),
            APISERVER: Child(APISERVER, self._apiserver_command(flags, tokens), self.dir / "kube-apiserver.log"),
        }
        self.client = self.new_client()

    def _make_keys(self) -> None:
        self.pki = self.dir / "pki"
        authority = self.authority = Authority(self.pki)
        self.ca = authority.crt
        authority.issue("apiserver", "/CN=kube-apiserver", "serverAuth", "DNS:localhost,IP:127.0.0.1,IP:10.0.0.1")
        self.admin = authority.issue("admin", "/O=system:masters/CN=admin", "clientAuth")
        authority.issue("proxy", "/CN=front-proxy", "clientAuth")
        authority.rsa_pair("sa")

    def _etcd_command(self) -> list[str | Path]:
        return [
            self.binaries / "server", "--data-dir", self.dir / "etcd", "--listen-client-urls", self.etcd.url,
            "--advertise-client-urls", self.etcd.url, "--listen-peer-urls", f"http://127.0.0.1:{free_port()}",
            "--unsafe-no-fsync=true", "--log-level=warn",
        ]

    def _apiserver_command(self, flags: Sequence[str], tokens: Sequence[str], url: str = "") -> list[str | Path]:
        pki, url = self.pki, url or self.url
        token_flags = []
        if tokens:
            (pki / "tokens.csv").write_text("".join(f"{line}\n" for line in tokens))
            token_flags = [f"--token-auth-file={pki}/tokens.csv"]
        return [
            self.binaries / APISERVER, f"--etcd-servers={self.etcd.url}", f"--cert-dir={pki}", "--bind-address=127.0.0.1",
            f"--secure-port={url.rsplit(':', 1)[1]}", "--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged=true",
            "--authorization-mode=RBAC", "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
            f"--service-account-issuer={self.url}/", f"--service-account-key-file={pki}/sa.pub",
            f"--service-account-signing-key-file={pki}/sa.key", f"--client-ca-file={self.ca}",
            f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
            f"--requestheader-client-ca-file={self.ca}", "--requestheader-allowed-names=front-proxy",
            "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-", f"--proxy-client-cert-file={pki}/proxy.crt",
            f"--proxy-client-key-file={pki}/proxy.key", *token_flags, *flags,
        ]

    def __enter__(self) -> "ApiServer":
        try:
            self.start()
        except BaseException:
            self.kill(None)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        for name, child in self.children.items():
            if not child.alive():
                child.start()
                self._wait_ready(name)

    def _wait_ready(self, which: str) -> None:
        probe = self.etcd.healthy if which == ETCD else self.ready
        wait_until(f"{which} ready", probe, READY_SECONDS, self.children[which])

    def ready(self) -> bool:
        """/readyz says ok, and the namespaces exist that Events go to: they are made a moment after the first ok."""
        try:
            session = self.client.session
            answers = [session.get(self.url + path, timeout=5).status_code
                       for path in ("/readyz", "/api/v1/namespaces/default", "/api/v1/namespaces/kube-system")]
        except requests.RequestException:
            return False
        return answers == [200, 200, 200]

    def _chosen(self, which: str | None) -> list[Child]:
        """kube-apiserver first: it ends more quickly while its etcd still answers."""
        return [self.children[which]] if which else [self.children[APISERVER], self.children[ETCD]]

    def stop(self, which: str | None = None) -> None:
        for child in self._chosen(which):
            child.stop()

    def kill(self, which: str | None = APISERVER) -> None:
        for child in self._chosen(which):
            child.kill()

    def pause(self, which: str | None = APISERVER) -> None:
        for child in self._chosen(which):
            child.pause()

    def resume(self, which: str | None = APISERVER) -> None:
        for child in self._chosen(which):
            child.resume()

    def restart(self, which: str | None = APISERVER) -> None:
        """On the same port and data; what still runs is ended in order first, and waited for."""
        self.stop(which)
        self.start()

    def new_client(self, token: str | None = None) -> KubeClient:
        """A client of its own connection: as admin, or with a token and no certificate."""
        admin = None if token else (str(self.admin[0]), str(self.admin[1]))
        return KubeClient(self.url, str(self.ca), admin, token)

    def session(self) -> requests.Session:
        """The keep-alive session of `client`, with the admin's certificate and the CA."""
        return self.client.session

    def write_kubeconfig(self, path: Path | str, token: str | None = None, token_file: Path | str | None = None,
                         server: str | None = None) -> Path:
        """A kubeconfig as admin by client certificate, or with a token or tokenFile."""
        if token:
            user: Object = {"token": token}
        elif token_file:
            user = {"tokenFile": str(token_file)}
        else:
            user = {"client-certificate": str(self.admin[0]), "client-key": str(self.admin[1])}
        return write_kubeconfig(path, server or self.url, user, str(self.ca))

    def set_flags(self, *flags: str) -> None:
        """Instead of those that were added; from the next start on."""
        self.children[APISERVER].argv = [os.fspath(arg) for arg in self._apiserver_command(flags, ())]

    def another(self, name: str, *flags: str) -> "Twin":
        """One more kube-apiserver on the same etcd and with the same keys; a flag that is repeated is the later one."""
        url = f"https://127.0.0.1:{free_port()}"
        return Twin(url, Child(name, self._apiserver_command(flags, (), url), self.dir / f"{name}.log"),
                    KubeClient(url, str(self.ca), (str(self.admin[0]), str(self.admin[1]))))

    def save_data(self) -> None:
        """A backup of etcd. Both processes are ended for it, and started again."""
        self.stop(None)
        shutil.copytree(self.dir / "etcd", self.dir / "etcd-backup")
        self.start()

    def restore_data(self) -> None:
        """What save_data has saved, and nothing after it. Both processes have ended."""
        shutil.rmtree(self.dir / "etcd")
        shutil.move(self.dir / "etcd-backup", self.dir / "etcd")

    def revision(self) -> int:
        return self.etcd.revision()

    def compact(self, revision: int | None = None) -> int:
        """Forgets what is older than the revision (default: now). A watch from before gets 410."""
        revision = revision or self.etcd.revision()
        self.etcd.compact(revision)
        return revision

    def event_history(self, after: int = 0) -> list[Change]:
        """Every change of an Event as etcd knows it: the truth for "exactly once"."""
        return self.etcd.history("/registry/events/", after)

    def remove_data(self) -> None:
        shutil.rmtree(self.dir, ignore_errors=True)


def write_kubeconfig(path: Path | str, server: str, user: Object, ca: str | None = None) -> Path:
    """One cluster, one user, one context, all named `tests`."""
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "tests",
        "clusters": [{"name": "tests", "cluster": {"server": server} | ({"certificate-authority": ca} if ca else {})}],
        "users": [{"name": "tests", "user": user}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
    }
    path = Path(path)
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    path.chmod(0o600)
    return path
