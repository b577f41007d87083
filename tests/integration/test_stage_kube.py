"""The stage's API server against the real one: the same question, the same answer; and what only the stage can do."""
import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from cluster import ApiServer, KubeClient, StatusError
from cluster.objects import involved, legacy_event, new_event, node as make_node
from stage import Keys, Kube, Scenario
from stage import scenarios

EVENTS = "/api/v1/events"
IN_DEFAULT = "/api/v1/namespaces/default/events"


@pytest.fixture
def kube() -> Iterator[Kube]:
    with Kube() as made:
        yield made


def client_of(kube: Kube) -> KubeClient:
    return KubeClient(kube.url, str(kube.ca) if kube.ca else True, token=kube.token)


def pod_event(name: str, message: str = "m", namespace: str = "default") -> dict[str, Any]:
    return new_event(involved("Pod", name, namespace), "Created", message, "kubelet", "Create") | {
        "metadata": {"name": f"{name}.1", "namespace": namespace, "labels": {"of": name}}}


def write(client: KubeClient) -> int:
    """The same history on either server; returns a version before it."""
    before = int(client.list(EVENTS, limit=1)["metadata"]["resourceVersion"])
    for name in ("same-a", "same-b", "same-c"):
        client.create_event(pod_event(name))
    client.patch_event(pod_event("same-b"), {"message": "again"})
    client.request("DELETE", f"{IN_DEFAULT}/same-a.1")
    client.create_event(legacy_event(involved("Node", "same-n"), "NodeReady", "<ready> & well", "kubelet")
                        | {"metadata": {"name": "same-n.1", "namespace": "default", "labels": {"of": "same-n"}}})
    return before


@pytest.fixture(scope="module")
def both(api: ApiServer) -> Iterator[list[tuple[KubeClient, int]]]:
    with Kube() as kube:
        clients = [api.new_client(), client_of(kube)]
        yield [(client, write(client)) for client in clients]
        for name in ("same-b.1", "same-c.1", "same-n.1"):
            clients[0].request("DELETE", f"{IN_DEFAULT}/{name}")


def masked(text: str) -> str:
    """Without the numbers that differ from run to run, and without the words of Go's JSON parser."""
    return re.sub(r"(continue key is not valid|json parse error|of type Event\)).*", r"\1", re.sub(r"\d{2,}", "N", text))


def answer_of(client: KubeClient, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
    """What a client may rely on."""
    with client.session.request(method, client.url + path, data=None if body is None else json.dumps(body), timeout=10, stream=True,
                                headers={"Content-Type": content_type}) as got:
        kind = got.headers["Content-Type"].split(";")[0]
        if "watch=" in path and got.status_code == 200:
            frames = [json.loads(line) for line in got.iter_lines(chunk_size=1)]
            return got.status_code, kind, [(f["type"], f["object"].get("reason"), f["object"]["metadata"].get("name"),
                                            f["object"].get("message"), f["object"].get("code")) for f in frames]
        if kind != "application/json":
            return got.status_code, kind, got.text
        answer = got.json()
    if answer["kind"] == "Status":
        return got.status_code, answer.get("reason"), masked(answer["message"]), sorted(answer.get("details") or {})
    if answer["kind"].endswith("List"):
        names = [(item["metadata"]["name"], sorted(item)) for item in answer["items"]]
        return got.status_code, answer["kind"], answer["apiVersion"], names, sorted(answer["metadata"])
    return got.status_code, answer["kind"], answer["metadata"]["name"], answer.get("message")


SAME = "labelSelector=of"  # only what `write` has made
QUESTIONS = [
    ("GET", "/api/v1/nix"), ("GET", "/nix"), ("GET", "/apis/argoproj.io/v1alpha1/applications"), ("GET", "/readyz"),
    ("GET", f"{IN_DEFAULT}/nope"), ("GET", "/api/v1/nodes/nope"), ("GET", f"{IN_DEFAULT}/same-b.1"),
    ("GET", f"{EVENTS}?{SAME}"), ("GET", f"{EVENTS}?{SAME}&limit=2"), ("GET", f"{IN_DEFAULT}?{SAME}"),
    ("GET", f"/api/v1/namespaces/kube-system/events?{SAME}"),
    ("GET", f"{EVENTS}?{SAME}&resourceVersion=0"), ("GET", f"{EVENTS}?{SAME}&resourceVersion={{after}}"),
    ("GET", f"{EVENTS}?{SAME}&resourceVersion={{created}}&resourceVersionMatch=Exact"),
    ("GET", f"{EVENTS}?fieldSelector=involvedObject.name=same-b"), ("GET", f"{EVENTS}?{SAME}&fieldSelector=involvedObject.kind!=Node"),
    ("GET", f"{EVENTS}?{SAME}&fieldSelector=source=kubelet"), ("GET", f"{EVENTS}?labelSelector=of=same-c"),
    ("GET", f"{EVENTS}?labelSelector=of,of!=same-c"), ("GET", f"{EVENTS}?labelSelector=nothing-like-it"),
    ("GET", f"{EVENTS}?fieldSelector=nix=1"), ("GET", f"{EVENTS}?fieldSelector=bad"), ("GET", f"{EVENTS}?labelSelector=a=b=c"),
    ("GET", f"{EVENTS}?limit=x"), ("GET", f"{EVENTS}?{SAME}&limit=-1"), ("GET", f"{EVENTS}?resourceVersion=abc"),
    ("GET", f"{EVENTS}?resourceVersion=-1"), ("GET", f"{EVENTS}?resourceVersionMatch=Exact"),
    ("GET", f"{EVENTS}?resourceVersionMatch=Bad&resourceVersion=1"), ("GET", f"{EVENTS}?resourceVersion=999999999"),
    ("GET", f"{EVENTS}?continue=xx"), ("GET", f"{EVENTS}?continue=eyJydiI6MX0&resourceVersion=5"),
    ("GET", f"{EVENTS}?watch=1&timeoutSeconds=1&{SAME}&resourceVersion={{before}}"),
    ("GET", f"{EVENTS}?watch=true&timeoutSeconds=1&{SAME}&resourceVersion={{before}}&fieldSelector=involvedObject.name=same-a"),
    ("GET", f"{EVENTS}?watch=1&timeoutSeconds=1&{SAME}&resourceVersion={{after}}"), ("GET", f"{EVENTS}?watch=1&timeoutSeconds=1&{SAME}"),
    ("GET", f"{EVENTS}?watch=1&timeoutSeconds=1&{SAME}&resourceVersion=0"),
    ("GET", f"{EVENTS}?watch=1&timeoutSeconds=1&resourceVersion=999999999"),
    ("GET", f"{EVENTS}?watch=1&resourceVersion=abc"), ("GET", f"{EVENTS}?watch=1&timeoutSeconds=x&resourceVersion=1"),
    ("GET", f"{EVENTS}?watch=1&resourceVersion=1&fieldSelector=nix=1"),
    ("POST", EVENTS, {}), ("PUT", EVENTS, {}), ("POST", IN_DEFAULT, {}), ("POST", IN_DEFAULT, pod_event("same-b")),
    ("POST", IN_DEFAULT, {"metadata": {"name": "x", "resourceVersion": "1"}}),
    ("PATCH", "/api/v1/nodes/nope", {}, "application/merge-patch+json"), ("DELETE", "/api/v1/nodes/nope"),
    ("PATCH", f"{IN_DEFAULT}/same-c.1", {"message": "again"}, "application/merge-patch+json"),
    ("PATCH", f"{IN_DEFAULT}/same-c.1", {"message": "m"}, "application/strategic-merge-patch+json"),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: f"{q[0]} {q[1]}"[:90])
def test_it_answers_as_the_real_one(both: list[tuple[KubeClient, int]], question: tuple) -> None:
    method, path, *rest = question

    def ask(one: tuple[KubeClient, int]) -> Any:
        client, before = one
        created = client.list(IN_DEFAULT, fieldSelector="metadata.name=same-n.1")["items"][0]["metadata"]["resourceVersion"]
        after = client.list(EVENTS, limit=1)["metadata"]["resourceVersion"]
        return answer_of(client, method, path.format(before=before, created=created, after=after), *rest)

    with ThreadPoolExecutor(2) as pool:
        real, ours = pool.map(ask, both)
    assert ours == real


def test_pages_and_their_expiry_are_as_the_real_one(both: list[tuple[KubeClient, int]], api: ApiServer) -> None:
    with Kube() as kube:
        client, real = client_of(kube), both[0][0]
        write(client)
        answers = []
        for one, compact in ((real, api.compact), (client, kube.compact)):
            first = one.list(EVENTS, limit=1, labelSelector="of")
            one.create_event(pod_event("same-later"))
            second = one.list(EVENTS, limit=100, labelSelector="of", **{"continue": first["metadata"]["continue"]})
            names = [item["metadata"]["name"] for item in first["items"] + second["items"]]
            assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
            for _ in range(2):
                one.request("DELETE", f"{IN_DEFAULT}/same-later.1")
                one.create_event(pod_event("same-later"))
            compact()
            with pytest.raises(StatusError) as expired:
                one.list(EVENTS, limit=100, **{"continue": first["metadata"]["continue"]})
            old = [(f["type"], f["object"]["code"], f["object"]["reason"], f["object"]["message"])
                   for f in one.watch(EVENTS, first["metadata"]["resourceVersion"])]
            one.request("DELETE", f"{IN_DEFAULT}/same-later.1")
            token = expired.value.status["metadata"].pop("continue")
            assert json.loads(base64.urlsafe_b64decode(token + "=="))["rv"] == -1
            answers.append((names, expired.value.status, old))
        assert answers[1] == answers[0]
        assert answers[0][2][0][:2] == ("ERROR", 410)


def test_bookmarks_come_for_nodes_and_not_for_events() -> None:
    with Kube(bookmark_every=0.2) as kube:
        client = client_of(kube)
        kube.put(make_node("aks-1"))
        kube.store.tick(500)
        frames = list(client.watch("/api/v1/nodes", "1001", allowWatchBookmarks="true", timeoutSeconds=1))
        assert {f["type"] for f in frames} == {"BOOKMARK"} and frames[-1]["object"]["metadata"]["resourceVersion"] == "1501"
        assert list(client.watch(EVENTS, "1001", allowWatchBookmarks="true", timeoutSeconds=1)) == []


def test_versions_of_39_digits(kube: Kube) -> None:
    client = client_of(kube)
    kube.go_back(2**127)
    made = kube.put(pod_event("a"))
    assert made["metadata"]["resourceVersion"] == str(2**127 + 1)
    [first] = client.watch(EVENTS, str(2**127), timeoutSeconds=1)
    assert first["object"]["metadata"]["resourceVersion"] == str(2**127 + 1)


def test_deleted_together_share_one_version(kube: Kube) -> None:
    client = client_of(kube)
    made = [kube.put(pod_event(name)) for name in "abc"]
    kube.delete("events", *(one["metadata"]["name"] for one in made))
    frames = list(client.watch(EVENTS, "1003", timeoutSeconds=1))
    assert [(f["type"], f["object"]["metadata"]["resourceVersion"]) for f in frames] == [("DELETED", "1004")] * 3


def test_a_token_is_asked_for_and_tls_is_shown(keys: Keys, tmp_path) -> None:
    with Kube(keys, token="right") as kube:
        client = KubeClient.from_kubeconfig(kube.write_kubeconfig(tmp_path / "kubeconfig"))
        assert client.list("/api/v1/nodes")["items"] == []
        for token in ("wrong", None):
            with pytest.raises(StatusError) as refused:
                KubeClient(kube.url, str(kube.ca), token=token).list("/api/v1/nodes")
            assert (refused.value.code, refused.value.reason) == (401, "Unauthorized")


def test_requests_fail_by_command(kube: Kube) -> None:
    client = client_of(kube)
    kube.fault(verb="list", resource="events", status=429, retry_after=3)
    kube.fault(verb="list", status=403, times=2)
    with pytest.raises(StatusError) as limited:
        client.list(EVENTS)
    for _ in range(2):
        with pytest.raises(StatusError) as forbidden:
            client.list("/api/v1/nodes")
    assert (limited.value.code, limited.value.status["message"]) == (429, "Too many requests, please try again later.\n")
    assert (forbidden.value.code, forbidden.value.reason) == (403, "Forbidden")
    assert client.list(EVENTS)["items"] == []
    for cut in ("reset", "close", "hang"):
        kube.fault(verb="list", cut=cut)
        with pytest.raises(requests.RequestException):
            client.request("GET", EVENTS, timeout=0.3)
    assert [r.code for r in kube.asked("list", "events")] == [429, 200, 0, 0, 0]
    with pytest.raises(ValueError, match="none of"):
        kube.fault(verb="lst")


def frames_of(kube: Kube, resource_version: str = "1000"):
    """The watch as bytes: what was read until the end, and how it ended."""
    data = b""
    try:
        with requests.get(f"{kube.url}{EVENTS}?watch=1&timeoutSeconds=5&resourceVersion={resource_version}", stream=True, timeout=0.4) as got:
            for piece in got.iter_content(None):
                data += piece
    except requests.exceptions.RequestException as problem:
        return data, str(problem)
    return data, "end"


@pytest.mark.parametrize("what, fields, data, ending", [
    ("end", {}, rb'.*"a.1".*\n', "end"),
    ("error", {"code": 500}, rb'.*\n\{"type":"ERROR","object":\{"kind":"Status".*"code":500\}\}\n', "end"),
    ("raw", {"data": b"\xff{garbage\n"}, rb".*\n\xff\{garbage\n", "timed out"),
    ("close", {}, rb'.*"a.1".*\n', "prematurely|broken"),
    ("reset", {}, rb'.*"a.1".*\n', "reset"),
    ("silent", {}, rb'.*"a.1".*\n', "timed out"),
])
def test_open_watches_fail_by_command(kube: Kube, what: str, fields: dict, data: bytes, ending: str) -> None:
    got: list = []
    thread = threading.Thread(target=lambda: got.append(frames_of(kube)))
    thread.start()
    kube.wait_watching("events")
    kube.put(pod_event("a"))
    assert kube.stream(what, "events", **fields) == 1
    thread.join(10)
    assert re.fullmatch(data, got[0][0], re.S) and re.search(ending, got[0][1], re.I), got


def test_frames_are_cut_and_split_by_command(kube: Kube) -> None:
    kube.put(pod_event("a"))
    kube.fault(verb="watch", split=7, delay=0.001)
    started = time.monotonic()
    whole = frames_of(kube)[0]
    assert json.loads(whole)["object"]["metadata"]["name"] == "a.1" and time.monotonic() - started > 0.05
    kube.fault(verb="watch", cut="silent")
    assert frames_of(kube) == (b"", frames_of(kube)[1])
    kube.fault(verb="watch", error=410)
    assert json.loads(frames_of(kube, "1001")[0])["object"]["code"] == 410
    kube.mangle(pod_event("a"), lambda text: text.replace(b'"message":"m"', b'"message":"\xff"'))
    assert b'"message":"\xff"' in frames_of(kube)[0] and b'"\xff"' in requests.get(kube.url + EVENTS, timeout=5).content


@pytest.mark.parametrize("name", scenarios.names())
@pytest.mark.parametrize("shape", ["new", "legacy"])
def test_scenarios_play_to_their_end(kube: Kube, name: str, shape: str) -> None:
    Scenario(kube, name, "aks-nodepool1-12345678-vmss000003", pace=0, shape=shape).run()
    events = [change.after for change in kube.store.changes(kube.resource("events"), 1000)]
    reasons = [event["reason"] for event in events]
    nodes = [(change.key[-1], change.after and change.after["status"]["conditions"][0]["status"])
             for change in kube.store.changes(kube.resource("nodes"), 1000)]
    repairs = [reason.removeprefix("Node") for reason in reasons if re.fullmatch(r"Node(Reboot|Reimage|Redeploy)\w+", reason)]
    assert repairs == {
        "repair": ["RebootStart", "RebootEnd"], "flapping": [], "stuck": ["RebootStart", "RebootEnd"],
        "ladder": ["RebootStart", "RebootEnd", "ReimageStart", "ReimageEnd", "RedeployStart", "RedeployEnd"],
        "error": ["RebootStart", "RebootEnd", "RebootError", "ReimageStart", "ReimageEnd"],
        "replaced": ["RebootStart", "RebootEnd", "ReimageStart", "ReimageEnd", "RedeployStart", "RedeployEnd", "RedeployError"],
    }[name]
    assert nodes[0] == ("3", "True") and nodes[-1][1] == ("Unknown" if name == "stuck" else "True")
    assert (nodes[-2:] == [("3", None), ("4", "True")]) == (name == "replaced")
    for event in events:
        if event["reason"].removeprefix("Node") in repairs:
            assert (event["firstTimestamp"] is None) == (shape == "new") and event["reportingComponent"] == "aks-auto-repair"
