"""Whoever writes to a cluster: what kubelets, controllers and people do, at random, to every resource that klaxon watches."""
import random
import threading
from collections.abc import Callable

from cluster import ApiServer
from cluster.argocd import Application, Rollout
from cluster.client import MERGE, KubeClient
from cluster.objects import involved, legacy_event, new_event, now
from cluster.scaling import Workload

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Writer:
    """One kind of object. `write` makes one change of it; what is lost with a connection is written again by the next."""

    def __init__(self, client: KubeClient, rng: random.Random):
        self.client, self.rng = client, rng


class Events(Writer):
    last: dict | None = None

    def write(self) -> None:
        if self.last is not None and self.rng.random() < 0.3:
            last, self.last = self.last, None
            self.last = self.client.patch_event(last, {"count": last.get("count", 1) + 1})
            return
        self.last = None
        about = involved("Pod", f"pod-{self.rng.randrange(50)}", "default")
        text = "x" * self.rng.randrange(10, 600)
        made = legacy_event(about, "Pulled", text, "kubelet") if self.rng.random() < 0.5 else \
            new_event(about, "Scheduled", text, "scheduler", "Binding")
        self.last = self.client.create_event(made)


class ConfigMaps(Writer):
    """For the source `generic`: each write is a change of a field that is watched."""

    def __init__(self, client: KubeClient, rng: random.Random):
        super().__init__(client, rng)
        self.names = [f"proof-{i}" for i in range(5)]
        self.n = 0
        for name in self.names:
            client.request("POST", CONFIG_MAPS, {"metadata": {"name": name, "labels": {"proof": "yes"}}, "data": {"n": "0"}})

    def write(self) -> None:
        self.n += 1
        self.client.request("PATCH", f"{CONFIG_MAPS}/{self.rng.choice(self.names)}", {"data": {"n": str(self.n)}}, MERGE)


class Nodes(Writer):
    def __init__(self, client: KubeClient, rng: random.Random):
        super().__init__(client, rng)
        self.names = [f"aks-proof-{i}" for i in range(3)]
        for name in self.names:
            client.create_node(name)

    def write(self) -> None:
        self.client.set_ready(self.rng.choice(self.names), self.rng.choice(["True", "Unknown", "False"]))

    def settle(self) -> None:
        for name in self.names:
            self.client.set_ready(name, "True")


class Scaling(Writer):
    def __init__(self, client: KubeClient, rng: random.Random):
        super().__init__(client, rng)
        self.workload = Workload(client)
        self.workload.create_hpa("web")
        self.workload.create_pod("web-0")
        self.replicas, self.restarts = 2, 0

    def write(self) -> None:
        self.workload.client = self.client
        if self.rng.random() < 0.5:
            self.workload.oom("web-0", self.restarts)
            self.restarts += 1
            return
        wanted = self.rng.choice([n for n in range(2, 6) if n != self.replicas])
        self.workload.report_hpa("web", self.replicas, wanted, f"{self.rng.randrange(2, 9)}Gi", now())
        self.replicas = wanted


class Gitops(Writer):
    synced = ""

    def __init__(self, client: KubeClient, rng: random.Random):
        super().__init__(client, rng)
        self.application, self.rollout = Application(client, "checkout", "a" * 40), Rollout(client, "web")

    def write(self) -> None:
        self.application.client = self.rollout.client = self.client
        what = self.rng.randrange(4)
        if what == 0 and now() == self.synced:
            return  # two operations of one second would be one: Argo CD tells them apart by startedAt alone
        if what == 0:
            self.synced = now()
            self.application.sync(f"{self.rng.randrange(16**8):08x}" * 5, {"automated": True})
        elif what == 1:
            self.application.set_sync("OutOfSync", [{"kind": "Deployment", "name": "web", "namespace": "shop", "status": "OutOfSync"}])
        elif what == 2:
            self.rollout.deploy()
        else:
            self.application.refresh()


class Writers(threading.Thread):
    """All of them, at a rate, until told to stop. A failed request means that the API server is away; nobody counts what it did not answer:
    the truth is etcd's."""

    MIX: list[tuple[type[Writer], float]] = [(Events, 0.85), (ConfigMaps, 0.09), (Nodes, 0.03), (Scaling, 0.02), (Gitops, 0.01)]

    def __init__(self, api: ApiServer, rate: float, rng: random.Random):
        super().__init__(daemon=True)
        self.api, self.rate, self.rng = api, rate, rng
        client = api.new_client()
        self.writers = [kind(client, rng) for kind, _ in self.MIX]
        self.written = self.failures = 0
        self.ending = threading.Event()

    def run(self) -> None:
        weights = [weight for _, weight in self.MIX]
        while not self.ending.is_set():
            self.ending.wait(1 / self.rate)
            self._try(self.rng.choices(self.writers, weights)[0].write)

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
            self.written += 1
        except Exception:  # whatever a broken connection raises
            self.failures += 1
            client = self.api.new_client()
            for writer in self.writers:
                writer.client = client
            self.ending.wait(0.2)

    def stop(self) -> None:
        self.ending.set()
        self.join()

    def settle(self) -> None:
        """Everything is well in the end, so that every incident of a node must end."""
        for writer in self.writers:
            if isinstance(writer, Nodes):
                writer.client = self.api.new_client()
                writer.settle()
