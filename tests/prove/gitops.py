"""Proof: deploy/argocd does what its guide and its runbooks say, on a real Argo CD and a real Argo Rollouts, and klaxon tells each step.

The tree is put into a git repository of this machine and handed to Argo CD by the commands of docs/gitops.md; what no machine without Azure has
is listed in tests/cluster/gitops_world.py. Then the runbooks are walked as one story (tests/cluster/gitops_scenes.py): what must happen happens,
what must be refused is refused, klaxon's collector tells it, and its Slack channels say it to those who are subscribed. `rbac` asks
`argocd admin settings rbac can` about each role and each action; it needs no server.
"""
import argparse
import html
import json
import os
import sys
import time
from pathlib import Path

import yaml

from argocd import CLUSTER, SETTINGS, Reader
from cluster import Kafka, gitops_rbac, gitops_tree
from cluster.gitops_scenes import SCENES, Walk
from cluster.gitops_world import GitopsWorld
from cluster.process import Child
from stage import Slack
from support.folder import in_folder

RBAC = "rbac"
FIRST = "install"


class Klaxon:
    """Collector and Slack sink, with who is subscribed as deploy/argocd/klaxon says it."""

    def __init__(self, directory: Path, kafka: Kafka, world: GitopsWorld, slack: Slack):
        self.slack = slack
        binaries = Path(os.environ["KLAXON_BIN"])
        for name in ("release", "web"):
            (directory / name).write_text(slack.new_hook(name))
        subscribed = yaml.safe_load((gitops_tree.TREE / "klaxon/subscriptions.yaml").read_text())
        sources = {name: {} for name in ("applications", "applicationsets", "rollouts", "analysisruns")}
        config = directory / "klaxon.yaml"
        config.write_text(json.dumps({
            "kafka": {"bootstrap.servers": kafka.bootstrap, "auto.offset.reset": "earliest"},
            "clusters": [{"name": CLUSTER, "kubeconfig": str(world.api.kubeconfig), "sources": sources,
                          "detectors": {"gitops": yaml.safe_load(f"{{ {SETTINGS} }}")}}],
            "channels": {name: {"slack": {"webhook_url": {"file": str(directory / name)}}, "throttle": {"messages": 0}} for name in ("release", "web")},
            "subscriptions": [{"team": subscribed["team"], **one} for one in subscribed["subscriptions"]]}))
        self.children = [Child(name, [binaries / name, "--config", config], directory / f"{name}.log") for name in ("klaxon-collector", "klaxon-sink-slack")]

    def start(self) -> None:
        for child in self.children:
            child.start()

    def stop(self) -> None:
        for child in self.children:
            child.stop()

    def untold(self, heard: list[dict], seconds: float = 60) -> list[str]:
        """What was subscribed and did not arrive at its Slack channel."""
        wanted = [(hook, event["data"]["summary"]) for event in heard for hook in hooks_of(event)]
        deadline = time.monotonic() + seconds
        while True:
            texts = {hook: [json.dumps(message.payload, ensure_ascii=False) for message in self.slack.messages.all() if message.hook == hook]
                     for hook in ("release", "web")}
            missing = [f"{hook}: {summary}" for hook, summary in wanted if not any(plain(summary) in plain(text) for text in texts[hook])]
            if not missing or time.monotonic() > deadline:
                return missing
            time.sleep(0.5)


def plain(text: str) -> str:
    """Without what markup escapes or marks."""
    return "".join(letter for letter in html.unescape(text) if letter.isalnum())


def hooks_of(event: dict) -> set[str]:
    """klaxon/subscriptions.yaml in the words of this test."""
    production = event["data"].get("labels", {}).get("environment") == "prod" or event["data"]["object"]["namespace"].endswith("-prod")
    return ({"release"} if production else set()) | ({"web"} if event["severity"] in ("warning", "critical") else set())


def walk(directory: Path, names: list[str]) -> bool:
    with Kafka(directory / "kafka") as kafka, GitopsWorld(directory / "api") as world, Slack() as slack:
        for topic in ("kubernetes", "gitops", "deliveries", "retry", "dlq"):
            kafka.create_topic(f"klaxon.{topic}", 4)
        for topic in ("state", "control"):
            kafka.create_topic(f"klaxon.{topic}", 1, {"cleanup.policy": "compact"})
        reader, klaxon = Reader(kafka), Klaxon(directory, kafka, world, slack)
        reader.start()
        began = time.monotonic()
        try:
            world.start(klaxon.start)
            print(f"deploy/argocd is handed to Argo CD after {time.monotonic() - began:.0f} s", flush=True)
            return story(Walk(world, reader), klaxon, reader, names)
        finally:
            klaxon.stop()
            reader.ending.set()
            reader.join()


def story(w: Walk, klaxon: Klaxon, reader: Reader, names: list[str]) -> bool:
    done, wrong = 0, []
    for name in names:
        began = time.monotonic()
        print(f"{name}: {SCENES[name].__doc__}", flush=True)
        try:
            SCENES[name](w)
        except Exception as failure:  # whatever it was, the story cannot go on
            wrong.append(f"{name}: {type(failure).__name__}: {failure}")
            break
        done += 1
        print(f"{name}: right after {time.monotonic() - began:.0f} s", flush=True)
    untold = klaxon.untold(w.heard)
    repeated = sum(n - 1 for n in reader.ids.values())
    for one in wrong + [f"not on Slack: {summary}" for summary in untold]:
        print(one)
    print(f"{done} of {len(names)} runbooks walked; klaxon told {len(w.heard)} steps that were waited for, of {sum(reader.ids.values())} events, "
          f"repeated {repeated}; Slack said {sum(bool(hooks_of(event)) for event in w.heard)} to those subscribed, missing {len(untold)}; "
          f"{w.refusals} refusals")
    return not wrong and not untold and repeated == 0


def rbac(directory: Path) -> bool:
    policies = gitops_rbac.Policies(gitops_tree.render(gitops_tree.copy(directory / "rbac") / "platform/argocd"), directory)
    policies.validate()
    allowed, forbidden, wrong = gitops_rbac.check(policies)
    for one in wrong:
        print(one)
    print(f"rbac: {allowed + forbidden} questions to Argo CD, {allowed} allowed, {forbidden} forbidden, {len(wrong)} wrong", flush=True)
    return not wrong


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev prove gitops", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"some of {', '.join(SCENES)}, {RBAC} (default: all). {FIRST} is always played; roll-back wants promote before it")
    parser.add_argument("--keep", action="store_true", help="keep the logs, and say where they are")
    args = parser.parse_args()
    unknown = [name for name in args.scenes if name not in (*SCENES, RBAC)]
    if unknown:
        parser.error(f"no scene {', '.join(unknown)}; there are {', '.join(SCENES)}, {RBAC}")
    return args


def prove(directory: Path, scenes: list[str]) -> bool:
    names = [] if scenes == [RBAC] else [name for name in SCENES if not scenes or name in scenes or name == FIRST]
    right = rbac(directory) if RBAC in scenes or not scenes else True
    return (not names or walk(directory, names)) and right


def main() -> int:
    args = parse()
    return in_folder("gitops", args.keep, lambda directory: prove(directory, args.scenes))


if __name__ == "__main__":
    sys.exit(main())
