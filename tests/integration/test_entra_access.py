"""The collector as an identity of Entra ID, with tokens that it asks for itself: a real API server asks the stage whose they are."""
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import ApiServer, Kafka
from cluster.kube import write_kubeconfig
from cluster.process import wait_until
from conftest import Collector
from stage import Entra, Keys, SigningKey, federated_token
from stage.entra import AKS, EXCHANGE
from test_access import SOON, World

CLIENT, SECRET = "klaxon-client", "s3cret~of&nobody"
SUBJECT = "system:serviceaccount:default:klaxon"


@pytest.fixture(scope="module")
def entra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Entra]:
    directory = tmp_path_factory.mktemp("entra")
    with Entra(directory, Keys(directory / "pki")) as made:
        made.application(CLIENT, secret=SECRET)
        made.resource("api://other")
        yield made


@pytest.fixture(scope="module")
def api(entra: Entra, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """It asks the stage about every token that it does not know, and forgets the answer after a second."""
    directory = tmp_path_factory.mktemp("api")
    webhook = write_kubeconfig(directory / "webhook", entra.review_url, {}, str(entra.ca))
    flags = [f"--authentication-token-webhook-config-file={webhook}", "--authentication-token-webhook-version=v1",
             "--authentication-token-webhook-cache-ttl=1s"]
    with ApiServer(directory / "data", flags=flags) as server:
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        post = server.client.request
        post("POST", f"{rbac}/clusterroles", {"metadata": {"name": "klaxon"}, "rules": [
            {"apiGroups": [""], "resources": ["events", "nodes"], "verbs": ["list", "watch"]},
            {"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]}]})
        post("POST", f"{rbac}/clusterrolebindings", {
            "metadata": {"name": "klaxon"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "klaxon"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": entra.object_id(CLIENT)}]})
        post("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "klaxon"}})
        entra.federate(CLIENT, f"{server.url}/", SUBJECT, SigningKey(server.pki / "sa.key"))
        yield server


class Named:
    """In place of an account: what World names Events after."""

    def __init__(self, name: str):
        self.name = name


class EntraWorld(World):
    def __init__(self, collector: Collector, kafka: Kafka, api: ApiServer, entra: Entra, directory: Path):
        super().__init__(collector, kafka, api, Named(f"entra-{time.time_ns()}"))
        self.entra, self.dir = entra, directory
        self.first = len(entra.requests)

    def azure(self, before: str = "", **settings: Any) -> None:
        with_server = {} if before else {"server": self.api.url, "ca": str(self.api.ca)}
        text = json.dumps({"token_ca": str(self.entra.ca)} | with_server | settings)
        self.configure(f"{before}azure: {text}")

    def secret(self) -> dict[str, Any]:
        (self.dir / "secret").write_text(SECRET)
        return {"client_id": CLIENT, "client_secret": {"file": str(self.dir / "secret")}, "authority": self.entra.authority,
                "tenant": self.entra.tenant}

    def asked(self) -> int:
        return len(self.entra.requests) - self.first

    def no_secrets(self) -> None:
        assert SECRET not in self.log() and "eyJ" not in self.log()


@pytest.fixture
def world(collector: Collector, kafka: Kafka, api: ApiServer, entra: Entra, tmp_path: Path) -> Iterator[EntraWorld]:
    entra.resource(AKS)
    made = EntraWorld(collector, kafka, api, entra, tmp_path)
    yield made
    made.no_secrets()
    entra.faults.clear()


def pod_token(api: ApiServer, seconds: int = 3600) -> str:
    """As the kubelet gets it for a pod with workload identity."""
    answer = api.client.request("POST", "/api/v1/namespaces/default/serviceaccounts/klaxon/token",
                                {"spec": {"expirationSeconds": seconds, "audiences": [EXCHANGE]}})
    return answer["status"]["token"]


@pytest.fixture
def pod(world: EntraWorld, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the token in a pod with AKS workload identity, and its variables."""
    file = world.dir / "azure-identity-token"
    file.write_text(pod_token(world.api))
    for name, value in {"CLIENT_ID": CLIENT, "TENANT_ID": world.entra.tenant, "AUTHORITY_HOST": world.entra.authority,
                        "FEDERATED_TOKEN_FILE": str(file)}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    return file


def test_a_pod_with_workload_identity_needs_no_plugin(world: EntraWorld, pod: Path) -> None:
    world.azure()
    world.collector.start()
    world.wait_watching()
    world.event()
    [asked] = world.entra.requests.all()[world.first:]  # one for both watches
    assert (asked.way, asked.client, asked.scope) == ("assertion", CLIENT, f"{AKS}/.default")
    assert [line for line in map(json.loads, world.log().splitlines()) if line["level"] == "warn"] == []


def test_tokens_are_replaced_before_they_expire_without_a_gap(world: EntraWorld, pod: Path) -> None:
    world.entra.resource(AKS, seconds=4)
    world.azure()
    world.collector.start()
    world.wait_watching()
    world.event()
    pod.write_text(pod_token(world.api, 7200))  # the kubelet has replaced it

    def several() -> bool:
        world.event()
        return world.asked() >= 4
    wait_until("several tokens", several, 60)
    assert "401: " not in world.log() and "warn" not in {json.loads(line)["level"] for line in world.log().splitlines()}
    assert world.collector.stop() == 0


def test_a_kubeconfig_of_a_person_is_enough(world: EntraWorld) -> None:
    """As `az aks get-credentials` writes it: its user would ask a person, and is not looked at."""
    path = write_kubeconfig(world.dir / "kubeconfig", world.api.url, {"exec": {
        "apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin", "interactiveMode": "Always",
        "args": ["get-token", "--login", "devicecode", "--server-id", AKS]}}, str(world.api.ca))
    world.azure(before=f"kubeconfig: {path}, ", **world.secret())
    world.collector.start()
    world.wait_watching()
    world.event()
    assert world.entra.requests.all()[-1].way == "secret"


def test_a_401_is_answered_with_one_new_token(world: EntraWorld) -> None:
    world.azure(**world.secret())
    world.collector.start()
    world.wait_watching()
    world.event()
    assert world.asked() == 1
    world.entra.revoke()
    wait_until("a new token was asked for", lambda: world.asked() == 2, SOON)
    world.event()
    assert world.asked() == 2 and "401: " not in world.log()


def test_an_identity_that_is_always_refused_is_said_and_asked_for_ever_more_rarely(world: EntraWorld) -> None:
    world.azure(**world.secret() | {"scope": "api://other/.default"})
    world.collector.start()
    world.wait_log("401: the API server does not accept the credentials")
    wait_until("it was tried again", lambda: world.asked() >= 3, SOON)
    assert world.asked() < 12


def test_an_identity_without_a_role_is_said(world: EntraWorld) -> None:
    world.entra.application("nobody", secret=SECRET)
    world.azure(**world.secret() | {"client_id": "nobody"})
    world.collector.start()
    world.wait_log("403: not allowed")
    assert f'User \\"{world.entra.object_id("nobody")}\\" cannot' in world.log()


def test_a_federated_token_that_does_not_fit_is_explained(world: EntraWorld, pod: Path) -> None:
    good = {"issuer": f"{world.api.url}/", "subject": SUBJECT}
    world.azure()
    for claims, words in [
            ({"seconds": -60}, "the federated token has expired or is not valid yet"),
            ({"subject": "system:serviceaccount:default:other"}, "no federated credential of the identity has this subject"),
            ({"audience": "api://AKSIdentityBinding"}, "it must be api://AzureADTokenExchange"),
            ({"issuer": "https://elsewhere/"}, "no federated credential of the identity has this issuer")]:
        pod.write_text(federated_token(SigningKey(world.api.pki / "sa.key"), **good | claims))  # read again for each request
        if world.collector.process is None:
            world.collector.start()
        world.wait_log(words)
    assert "there are no credentials for the API server" in world.log()
    pod.write_text(pod_token(world.api))
    world.wait_watching()
    world.event()


def test_a_token_endpoint_that_fails_is_said_and_asked_again(world: EntraWorld) -> None:
    world.azure(**world.secret())
    for fault, words in [({"status": 503}, "answers 503 to who asks for a token"), ({"retry_after": 2}, "answers 429 to who asks for a token"),
                         ({"cut": "reset"}, "cannot ask 127.0.0.1:"), ({"status": 200, "body": "<html>"}, "answered 200 without an access_token"),
                         ({"status": 200, "body": "x" * 100_000}, "answered with more than 65536 bytes")]:
        asked = world.asked()
        world.entra.fault(**fault)
        world.collector.start()
        world.wait_log(words)
        wait_until("it has asked again", lambda: world.asked() == asked + 2, SOON)  # noqa: B023
        world.wait_watching()
        world.event()
        assert world.collector.stop() == 0


def test_an_endpoint_that_is_away_does_not_matter_while_the_token_lives(world: EntraWorld) -> None:
    world.entra.resource(AKS, seconds=15)  # due after 12
    world.azure(**world.secret())
    world.collector.start()
    world.wait_watching()
    world.event()
    world.entra.fault(status=500, times=2)
    wait_until("two failed, one came", lambda: world.asked() == 4, SOON)
    world.event()
    assert "warn" not in {json.loads(line)["level"] for line in world.log().splitlines()}


def test_the_certificate_of_the_endpoint_is_looked_at(world: EntraWorld) -> None:
    world.azure(**world.secret() | {"token_ca": str(world.api.ca)})
    world.collector.start()
    world.wait_log("token_ca names the certificates to trust")


def test_a_machine_gives_the_token(world: EntraWorld) -> None:
    world.entra.machine(CLIENT)
    world.azure(managed_identity=True, token_url=world.entra.metadata_url)
    world.collector.start()
    world.wait_watching()
    world.event()
    [asked] = world.entra.requests.all()[world.first:]
    assert (asked.way, asked.scope) == ("machine", AKS)


def test_what_cannot_work_is_said_before_the_start(world: EntraWorld, binaries: Path) -> None:
    world.azure()
    world.collector.start()
    world.wait_log("nothing proves who klaxon is: in a pod with AKS workload identity")
    assert world.collector.process is not None and world.collector.process.wait(10) != 0
    assert yaml.safe_load(world.collector.config.read_text())["clusters"][0]["azure"]
