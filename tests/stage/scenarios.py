"""What happens to a node of AKS, played on the stage's API server as it happens in life, only faster.

    Scenario(kube, "repair", "aks-1", pace=0).run()       # at once, in this thread
    Scenario(kube, "ladder", "aks-1", pace=2).start()     # two seconds for each minute of life, in the background

Every scenario is a generator that acts and yields the minutes to wait. Shapes, words and distances are those seen on real clusters:
the first action comes ten minutes after NotReady, a further one five minutes later, End 0.2 s after Start.
"""

from __future__ import annotations

import datetime
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from cluster.objects import involved, legacy_event, new_event, node as make_node, ready_condition

from .kube import Kube

Steps = Iterator[float]  # minutes to wait
END_MINUTES = 0.2 / 60  # from Start to End
_START = "Node auto-repair is initiating a {} action due to NotReady status persisting >5 minutes. Learn more: aka.ms/aks/node-auto-repair"
_END = "{} action from node auto-repair has completed. Learn more: aka.ms/aks/node-auto-repair"
_ERROR = "Node auto-repair {} action failed due to an operation failure. Learn more: aka.ms/aks/node-auto-repair-errors"
_scenarios: dict[str, tuple[str, Callable[["Scenario"], Steps]]] = {}


def scenario(name: str, what: str) -> Callable[[Callable[["Scenario"], Steps]], Callable[["Scenario"], Steps]]:
    def add(steps: Callable[["Scenario"], Steps]) -> Callable[["Scenario"], Steps]:
        _scenarios[name] = (what, steps)
        return steps
    return add


def names() -> dict[str, str]:
    """Each scenario with a sentence."""
    return {name: what for name, (what, _) in _scenarios.items()}


def ago(minutes: float, micro: bool = False) -> str:
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


class Scenario:
    """`shape`: which recorder writes the Events of auto-repair, "new" (events.k8s.io, as seen today) or "legacy"."""

    def __init__(self, kube: Kube, name: str, node: str, pace: float = 1.0, shape: str = "new"):
        if name not in _scenarios:
            raise LookupError(f"there is no scenario {name!r}; there are: {', '.join(_scenarios)}")
        if shape not in ("new", "legacy"):
            raise ValueError('shape is "new" or "legacy"')
        self.kube, self.name, self.node, self.pace, self.shape = kube, name, node, float(pace), shape
        self.log: list[dict[str, Any]] = []
        self.done = threading.Event()
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            self.ensure_node(self.node)
            for minutes in _scenarios[self.name][1](self):
                if self.stopping.wait(minutes * self.pace):
                    return
        finally:
            self.done.set()

    def start(self) -> "Scenario":
        threading.Thread(target=self.run, daemon=True, name=f"scenario-{self.name}").start()
        return self

    def stop(self) -> None:
        self.stopping.set()

    def to_json(self) -> dict[str, Any]:
        return {"scenario": self.name, "node": self.node, "pace": self.pace, "shape": self.shape, "done": self.done.is_set(),
                "steps": list(self.log)}

    def say(self, what: str) -> None:
        self.log.append({"at": time.time(), "what": what})

    # what happens to a node

    def ensure_node(self, name: str) -> None:
        if self.kube.store.get(self.kube.resource("nodes"), name) is None:
            self.kube.put(make_node(name, {"agentpool": "nodepool1", "kubernetes.azure.com/agentpool": "nodepool1",
                                           "kubernetes.azure.com/mode": "system", "kubernetes.io/os": "linux"}))
            self.say(f"{name} joined")
            self.node_event(name, "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller", "node-controller")

    def node_event(self, name: str, reason: str, message: str, component: str, type_: str = "Normal") -> None:
        self.kube.put(legacy_event(involved("Node", name), reason, message, component, type_))

    def ready(self, status: str, reason: str = "", since: float = 0) -> None:
        """The Ready condition and the taints that follow it; `since` minutes ago."""
        condition = ready_condition(status, reason) | {"lastTransitionTime": ago(since)}
        key = {"Unknown": "node.kubernetes.io/unreachable", "False": "node.kubernetes.io/not-ready"}.get(status)

        def edit(obj: dict[str, Any]) -> None:
            others = [one for one in obj["status"]["conditions"] if one["type"] != "Ready"]
            obj["status"]["conditions"] = [*others, condition]
            kept = [one for one in obj["spec"].get("taints", []) if not one["key"].startswith("node.kubernetes.io/")]
            ours = [{"key": key, "effect": effect, "timeAdded": ago(since)} for effect in ("NoSchedule", "NoExecute")] if key else []
            obj["spec"].pop("taints", None)
            if kept + ours:
                obj["spec"]["taints"] = kept + ours

        self.kube.change("nodes", self.node, edit)
        self.say(f"{self.node} Ready is {status}")

    def lost(self, since: float = 0) -> None:
        """kubelet falls silent: Ready is Unknown, not False."""
        self.ready("Unknown", since=since)
        self.node_event(self.node, "NodeNotReady", f"Node {self.node} status is now: NodeNotReady", "node-controller")

    def back(self, rebooted: bool = True) -> None:
        if rebooted:
            self.node_event(self.node, "Rebooted", f"Node {self.node} has been rebooted, boot id: {uuid.uuid4()}", "kubelet", "Warning")
        self.ready("True")
        self.node_event(self.node, "NodeReady", f"Node {self.node} status is now: NodeReady", "kubelet")

    def repair_event(self, action: str, stage: str, since: float = 0) -> None:
        """NodeRebootStart and its kin, by aks-auto-repair."""
        words = {"Start": _START.format(action), "End": _END.format(action.capitalize()), "Error": _ERROR.format(action)}
        reason, about = f"Node{action.capitalize()}{stage}", involved("Node", self.node)
        if self.shape == "new":
            event = new_event(about, reason, words[stage], "aks-auto-repair", "NodeAutoRepair") | {"eventTime": ago(since, micro=True)}
        else:
            event = legacy_event(about, reason, words[stage], "aks-auto-repair")
            event |= {"firstTimestamp": ago(since), "lastTimestamp": ago(since)}
        self.kube.put(event)
        self.say(reason)

    def act(self, action: str) -> Steps:
        self.repair_event(action, "Start")
        yield END_MINUTES
        self.repair_event(action, "End")


@scenario("repair", "lost, rebooted after ten minutes, ready again")
def _repair(s: Scenario) -> Steps:
    s.lost()
    yield 10
    yield from s.act("reboot")
    yield 2.5
    s.back()


@scenario("ladder", "reboot and reimage do not help, redeploy does")
def _ladder(s: Scenario) -> Steps:
    s.lost()
    yield 10
    for action in ("reboot", "reimage"):
        yield from s.act(action)
        yield 5
    yield from s.act("redeploy")
    yield 3
    s.back()


@scenario("error", "the reboot fails (Start, End, and Error right after it); the reimage helps")
def _error(s: Scenario) -> Steps:
    s.lost()
    yield 10
    yield from s.act("reboot")
    s.repair_event("reboot", "Error")
    yield 5
    yield from s.act("reimage")
    yield 2
    s.back()


@scenario("stuck", "rebooted eleven minutes ago, and still not ready; it stays so")
def _stuck(s: Scenario) -> Steps:
    s.lost(since=21)
    yield 0.1
    s.repair_event("reboot", "Start", since=11)
    s.repair_event("reboot", "End", since=11)


@scenario("flapping", "lost and back three times within minutes, without any repair")
def _flapping(s: Scenario) -> Steps:
    for _ in range(3):
        s.ready("False")
        s.node_event(s.node, "NodeNotReady", f"Node {s.node} status is now: NodeNotReady", "kubelet")
        yield 1
        s.back(rebooted=False)
        yield 1


@scenario("replaced", "no action helps, the node is deleted, and another joins")
def _replaced(s: Scenario) -> Steps:
    s.lost()
    yield 10
    for action in ("reboot", "reimage"):
        yield from s.act(action)
        yield 5
    yield from s.act("redeploy")
    s.repair_event("redeploy", "Error")
    yield 5
    s.node_event(s.node, "DeletingNode", f"Deleting node {s.node} because it does not exist in the cloud provider",
                 "cloud-node-lifecycle-controller")
    s.kube.delete("nodes", s.node)
    s.node_event(s.node, "RemovingNode", f"Node {s.node} event: Removing Node {s.node} from Controller", "node-controller")
    s.say(f"{s.node} is deleted")
    yield 1
    s.ensure_node(next_name(s.node))


def next_name(node: str) -> str:
    """…vmss000003 → …vmss000004."""
    found = re.fullmatch(r"(.*?)(\d+)", node)
    return f"{found[1]}{int(found[2]) + 1:0{len(found[2])}d}" if found else f"{node}-2"
