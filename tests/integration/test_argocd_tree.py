"""deploy/argocd holds what it says: it parses, it builds, nothing in it has a public address, and images cannot change under a name."""
import ipaddress
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster import gitops_tree
from cluster.gitops_tree import RENDERED, TREE

INTERNAL = "service.beta.kubernetes.io/azure-load-balancer-internal"
ENVIRONMENTS = ("dev", "staging", "prod")
DOCUMENTS = sorted(path for path in TREE.rglob("*.yaml"))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    tree = gitops_tree.copy(tmp_path_factory.mktemp("tree"))
    return {folder: gitops_tree.render(tree / folder) for folder in RENDERED}


def documents(path: Path) -> list:
    return [one for one in yaml.safe_load_all(path.read_text()) if one is not None]


def objects(rendered: dict[str, list[dict]], *kinds: str) -> list[dict]:
    return [one for some in rendered.values() for one in some if one["kind"] in kinds]


def test_everything_parses_and_says_why() -> None:
    assert len(DOCUMENTS) > 40
    for path in DOCUMENTS:
        assert documents(path), path
        text = path.read_text()
        assert len(text.split("\n")) <= 120, f"{path} is long"


def test_every_kustomization_is_built_or_a_part_of_one(rendered: dict[str, list[dict]]) -> None:
    assert all(rendered.values())
    parts = {"projects", "apps/flask/base"} | {str(path.relative_to(TREE)) for path in TREE.glob("apps/*/components/*")}
    found = {str(path.parent.relative_to(TREE)) for path in TREE.rglob("kustomization.yaml")}
    assert found == set(RENDERED) | parts


def is_internal(annotations: dict | None) -> bool:
    return (annotations or {}).get(INTERNAL) == "true"


def public_ways_in(rendered: dict[str, list[dict]]) -> list[str]:
    """Whatever of it could be reached from outside of the virtual network."""
    found = [f"{one['kind']}/{one['metadata']['name']}" for one in objects(rendered, "Ingress")]
    for one in objects(rendered, "Service"):
        spec, name = one["spec"], f"Service/{one['metadata']['name']}"
        if spec.get("type") == "NodePort" or spec.get("externalIPs"):
            found.append(name)
        if spec.get("type") == "LoadBalancer" and not is_internal(one["metadata"].get("annotations")):
            found.append(name)
    for one in objects(rendered, "Gateway"):
        if not is_internal(one["spec"].get("infrastructure", {}).get("annotations")):
            found.append(f"Gateway/{one['metadata']['name']}")
    for one in objects(rendered, "HTTPRoute"):
        if not all(name.endswith(".internal.example.com") for name in one["spec"]["hostnames"]):
            found.append(f"HTTPRoute/{one['metadata']['name']}")
    return found


def test_nothing_is_public(rendered: dict[str, list[dict]]) -> None:
    assert len(objects(rendered, "Service")) > 10 and len(objects(rendered, "Gateway")) == 1
    assert public_ways_in(rendered) == []


@pytest.mark.parametrize("public", [
    {"kind": "Ingress", "metadata": {"name": "a"}, "spec": {}},
    {"kind": "Service", "metadata": {"name": "a"}, "spec": {"type": "LoadBalancer"}},
    {"kind": "Service", "metadata": {"name": "a", "annotations": {INTERNAL: "false"}}, "spec": {"type": "LoadBalancer"}},
    {"kind": "Service", "metadata": {"name": "a"}, "spec": {"type": "NodePort"}},
    {"kind": "Service", "metadata": {"name": "a"}, "spec": {"externalIPs": ["192.0.2.1"]}},
    {"kind": "Gateway", "metadata": {"name": "a"}, "spec": {}},
    {"kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": {"hostnames": ["shop.example.com"]}},
])
def test_what_is_public_would_be_seen(public: dict) -> None:
    assert len(public_ways_in({"a": [public]})) == 1


def test_no_public_ip_address_is_written_anywhere() -> None:
    """Except for ranges, and the platform's own addresses that are forbidden."""
    for path in DOCUMENTS:
        for word in re.findall(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w./])", path.read_text()):
            assert not ipaddress.ip_address(word).is_global, f"{path}: {word}"


def test_applications_name_their_images_by_digest(rendered: dict[str, list[dict]]) -> None:
    for environment in ENVIRONMENTS:
        found = [image for one in rendered[f"apps/flask/overlays/{environment}"] for image in gitops_tree.images(one)]
        assert len(found) == 1 and re.fullmatch(r"[\w./-]+@sha256:[0-9a-f]{64}", found[0]), found
    base = re.findall(r"^FROM (\S+)", (TREE / "apps/flask/src/Dockerfile").read_text(), re.M)
    assert base and all(re.search(r"@sha256:[0-9a-f]{64}$", image) for image in base)


def test_the_platform_names_its_images_by_version(rendered: dict[str, list[dict]]) -> None:
    pods = [one for folder in ("platform/argocd", "addons/rollouts") for one in rendered[folder] if one["kind"] in ("Deployment", "StatefulSet")]
    found = {image for one in pods for image in gitops_tree.images(one)}
    assert len(found) >= 4 and all(re.search(r":v?\d+\.\d+\.\d+", image) for image in found), found


def test_what_is_left_out_is_out(rendered: dict[str, list[dict]]) -> None:
    names = {one["metadata"]["name"] for one in rendered["platform/argocd"]}
    assert {"argocd-server", "argocd-repo-server", "argocd-application-controller", "argocd-applicationset-controller"} <= names
    assert not [name for name in names if "dex" in name or "notifications" in name]


def test_the_pods_of_the_application_are_restricted(rendered: dict[str, list[dict]]) -> None:
    for environment in ENVIRONMENTS:
        [rollout] = [one for one in rendered[f"apps/flask/overlays/{environment}"] if one["kind"] == "Rollout"]
        pod = rollout["spec"]["template"]["spec"]
        [container] = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)


def test_how_each_environment_takes_a_version_in(rendered: dict[str, list[dict]]) -> None:
    strategies = {}
    for environment in ENVIRONMENTS:
        [rollout] = [one for one in rendered[f"apps/flask/overlays/{environment}"] if one["kind"] == "Rollout"]
        strategies[environment] = rollout["spec"]["strategy"]
    assert strategies["dev"]["blueGreen"]["prePromotionAnalysis"]
    assert [next(iter(step)) for step in strategies["staging"]["canary"]["steps"]] == ["setWeight", "analysis", "setWeight", "pause"]
    assert strategies["prod"]["canary"]["steps"][2] == {"pause": {}}  # a person decides


def test_no_secret_is_in_git() -> None:
    for path in DOCUMENTS:
        for one in documents(path):
            if isinstance(one, dict) and one.get("kind") == "Secret":
                assert path.name == "clusters.yaml" and "password" not in str(one).lower() and "token" not in str(one).lower()


def test_the_environments_are_those_of_the_overlays_and_projects(rendered: dict[str, list[dict]]) -> None:
    files = {path.stem: documents(path)[0] for path in (TREE / "environments").glob("*.yaml")}
    assert set(files) == set(ENVIRONMENTS) and all(content["environment"] == name for name, content in files.items())
    assert {name: content["automated"] for name, content in files.items()} == {"dev": True, "staging": True, "prod": False}
    projects = {one["metadata"]["name"]: one["spec"] for one in objects(rendered, "AppProject")}
    assert set(projects) == {*ENVIRONMENTS, "platform"}
    for name, content in files.items():
        assert projects[name]["destinations"] == [{"name": content["cluster"], "namespace": f"*-{name}"}]
    assert any(window["kind"] == "deny" and not window["manualSync"] for window in projects["prod"]["syncWindows"])


def test_the_values_of_the_chart_say_the_same() -> None:
    values = yaml.safe_load((TREE / "platform/argocd/values.yaml").read_text())
    folder = TREE / "platform/argocd"
    assert values["configs"]["cm"] == documents(folder / "settings.yaml")[0]["data"]
    assert values["configs"]["params"] == documents(folder / "parameters.yaml")[0]["data"]
    [generator] = documents(folder / "kustomization.yaml")[0]["configMapGenerator"]
    wanted = dict(literal.split("=", 1) for literal in generator["literals"])
    wanted |= {key: (folder / file).read_text() for key, file in (one.split("=") for one in generator["files"])}
    assert values["configs"]["rbac"] == wanted
    assert values["server"]["service"]["type"] == "ClusterIP" and values["server"]["ingress"] == {"enabled": False}
    ingress = documents(folder / "values-ingress.yaml")[0]["server"]["ingress"]
    assert ingress["ingressClassName"].endswith("-internal") and ingress["hostname"].endswith(".internal.example.com")


# deploy/argocd/promote

def promote(tree: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([tree / "promote", *arguments], capture_output=True, text=True, timeout=20, check=False)


def digest(tree: Path, environment: str) -> str:
    [found] = re.findall(r"digest: (\S+)", (tree / f"apps/flask/overlays/{environment}/kustomization.yaml").read_text())
    return found


def test_promote_copies_the_digest_and_nothing_else(tmp_path: Path) -> None:
    tree = Path(shutil.copytree(TREE, tmp_path / "tree"))
    dev, staging = (tree / f"apps/flask/overlays/{name}/kustomization.yaml" for name in ("dev", "staging"))
    assert "runs" in promote(tree, "flask", "dev", "staging").stdout  # both have the same one
    new = "sha256:" + "ab" * 32
    dev.write_text(dev.read_text().replace(digest(tree, "dev"), new))
    before = staging.read_text()
    done = promote(tree, "flask", "dev", "staging")
    assert done.returncode == 0 and new in done.stdout
    assert staging.read_text() == before.replace(digest(TREE, "staging"), new)
    assert digest(tree, "prod") == digest(TREE, "prod")


@pytest.mark.parametrize(("arguments", "said"), [
    (("flask", "dev"), "Usage: deploy/argocd/promote APP FROM TO"),
    (("flask", "dev", "test"), "there is no"),
    (("nothing", "dev", "prod"), "there is no"),
])
def test_promote_says_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    tree = Path(shutil.copytree(TREE, tmp_path / "tree"))
    done = promote(tree, *arguments)
    assert done.returncode != 0 and said in done.stderr


def test_promote_refuses_two_digests(tmp_path: Path) -> None:
    tree = Path(shutil.copytree(TREE, tmp_path / "tree"))
    file = tree / "apps/flask/overlays/dev/kustomization.yaml"
    file.write_text(file.read_text().replace("images:\n", f"images:\n  - name: other\n    digest: {digest(tree, 'dev')}\n"))
    assert "not exactly one digest" in promote(tree, "flask", "dev", "staging").stderr


# deploy/argocd/klaxon

def test_klaxon_takes_its_configuration(binaries: Path, tmp_path: Path) -> None:
    part = documents(TREE / "klaxon/klaxon.yaml")[0]
    subscribed = documents(TREE / "klaxon/subscriptions.yaml")[0]
    (tmp_path / "hook").write_text("https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX")
    config = tmp_path / "klaxon.yaml"
    (tmp_path / "kubeconfig").write_text("")
    clusters = [one | {"kubeconfig": str(tmp_path / "kubeconfig")} for one in part["clusters"]]
    channels = {name: {"slack": {"webhook_url": {"file": str(tmp_path / "hook")}}} for name in ("release", "web")}
    config.write_text(json.dumps({"kafka": {"bootstrap.servers": "x"}, "clusters": clusters, "channels": channels,
                                  "subscriptions": [{"team": subscribed["team"], **one} for one in subscribed["subscriptions"]]}))
    done = subprocess.run([binaries / "klaxon", "check", "-c", config, "--no-environment", "--strict"], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_runbooks_are_linked_from_the_guide() -> None:
    docs = TREE.parents[1] / "docs"
    guide = (docs / "gitops.md").read_text()
    runbooks = sorted(docs.glob("runbooks/gitops-*.md"))
    assert len(runbooks) >= 6
    for page in runbooks:
        assert f"(runbooks/{page.name})" in guide
        assert "klaxon" in page.read_text(), f"{page.name} does not say what klaxon tells"
