"""Kubernetes objects as their writers make them. Events come in two shapes, and klaxon must read both."""

from __future__ import annotations

import datetime
import itertools
import time
from typing import Any

Object = dict[str, Any]

_serial = itertools.count(time.time_ns())


def now(micro: bool = False) -> str:
    """metav1.Time has seconds, MicroTime exactly six digits."""
    moment = datetime.datetime.now(datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def involved(kind: str, name: str, namespace: str = "", uid: str = "", api_version: str = "v1") -> Object:
    reference = {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid or name}
    return reference | ({"namespace": namespace} if namespace else {})


def _event(about: Object, reason: str, message: str, type_: str) -> Object:
    # Events about objects without a namespace are stored in `default`.
    return {
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": f"{about['name']}.{next(_serial):x}", "namespace": about.get("namespace") or "default"},
        "involvedObject": about, "reason": reason, "message": message, "type": type_,
    }


def legacy_event(about: Object, reason: str, message: str, component: str, type_: str = "Normal", host: str = "") -> Object:
    """The recorder of kubelet and most controllers: first/lastTimestamp and count, eventTime null."""
    moment = now()
    source = {"component": component} | ({"host": host} if host else {})
    return _event(about, reason, message, type_) | {
        "source": source, "firstTimestamp": moment, "lastTimestamp": moment, "count": 1, "eventTime": None,
        "reportingComponent": component, "reportingInstance": host,
    }


def new_event(about: Object, reason: str, message: str, controller: str, action: str, type_: str = "Normal",
              instance: str = "") -> Object:
    """The recorder of events.k8s.io: eventTime in microseconds, no count, source empty."""
    return _event(about, reason, message, type_) | {
        "source": {}, "firstTimestamp": None, "lastTimestamp": None, "eventTime": now(micro=True),
        "action": action, "reportingComponent": controller, "reportingInstance": instance or controller,
    }


def node(name: str, labels: dict[str, str] | None = None, ready: str = "True") -> Object:
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {"providerID": f"azure:///subscriptions/00000000-0000-0000-0000-000000000000/{name}"},
        "status": {"conditions": [ready_condition(ready)], "nodeInfo": {"kubeletVersion": "v1.36.3"}},
    }


_READY_TEXT = {
    "True": ("KubeletReady", "kubelet is posting ready status"),
    "False": ("KubeletNotReady", "container runtime is down"),
    "Unknown": ("NodeStatusUnknown", "Kubelet stopped posting node status."),
}


def ready_condition(status: str, reason: str = "", message: str = "") -> Object:
    """The Ready condition with the words of kubelet (True, False) or of the node lifecycle controller (Unknown)."""
    usual_reason, usual_message = _READY_TEXT[status]
    moment = now()
    return {"type": "Ready", "status": status, "lastHeartbeatTime": moment, "lastTransitionTime": moment,
            "reason": reason or usual_reason, "message": message or usual_message}
