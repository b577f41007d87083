"""A repair end to end: from each frame of the API server to the request at Slack and at the mail server.

The stage plays the repair of one node after the other; collector, Kafka and both sinks are the real ones. Opened and resolved must be told
exactly once on both channels, and every step between them once and in order, unless a newer one passed it over while its channel waited; the
times are those of the stage's own clock.
"""
import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import requests

from pipeline.pipeline import Pipeline

STEPS = (  # what the stage did → the words of the message that tells it
    ("Ready is Unknown", "is not ready:"),
    ("NodeRebootStart", "started a reboot"),
    ("NodeRebootEnd", "finished the reboot"),
    ("Ready is True", "is ready again after reboot of auto-repair"),
)
WAIT_SECONDS = 60
CHANNELS = {"Slack": "/slack/messages", "mail": "/mail/messages"}


def get(pipeline: Pipeline, path: str) -> dict:
    return requests.get(pipeline.stage["control"] + path, timeout=10).json()


def one_line(text: str) -> str:
    """Mails are wrapped."""
    return " ".join(text.split())


def told(pipeline: Pipeline, path: str, node: str) -> list[tuple[float, str]]:
    return [(message["at"], one_line(message["text"])) for message in get(pipeline, path)["messages"] if node in message["text"]]


def play(pipeline: Pipeline, node: str, pace: float) -> dict[str, float]:
    """The repair of one node; when each step was done."""
    answer = requests.post(f"{pipeline.stage['control']}/scenario/repair", params={"node": node, "pace": pace}, timeout=10)
    answer.raise_for_status()
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if all(any(STEPS[-1][1] in text for _, text in told(pipeline, path, node)) for path in CHANNELS.values()):
            break
        time.sleep(0.1)
    [played] = [one for one in get(pipeline, "/scenario")["played"] if one["node"] == node]
    return {what: step["at"] for what, _ in STEPS for step in played["steps"] if what in step["what"]}


def check(pipeline: Pipeline, node: str, done: dict[str, float]) -> dict[tuple[str, str], float]:
    """Seconds from each step to its message; fails when one is missing, repeated or out of order."""
    seconds = {}
    for channel, path in CHANNELS.items():
        messages = told(pipeline, path, node)
        words = [next((what for what, wanted in STEPS if wanted in text), text) for _, text in messages]
        in_order = [what for what, _ in STEPS if what in words]
        if words != in_order or not {STEPS[0][0], STEPS[-1][0]} <= set(words):
            raise SystemExit(f"{channel} was told of {node}: {words}; expected each step at most once and in order, and the first and the last")
        for (at, _), what in zip(messages, words):
            seconds[channel, what] = at - done[what]
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev prove repair", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5, help="repairs, one after the other (default 5)")
    parser.add_argument("--pace", type=float, default=0.2, help="seconds for a minute of life (default 0.2)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="klaxon-prove-") as directory, \
            Pipeline(Path(directory) / "pipeline", Path(os.environ["KLAXON_BIN"])) as pipeline:
        runs = []
        for number in range(args.nodes):
            node = f"aks-nodepool1-12345678-vmss{number:06x}"
            runs.append(check(pipeline, node, play(pipeline, node, args.pace)))
    print(f"{'seconds from the frame to':<28}{'min':>8}{'median':>8}{'max':>8}")
    for channel in CHANNELS:
        for what, words in STEPS:
            values = [run[channel, what] for run in runs if (channel, what) in run]
            if values:
                print(f"{channel:<6}{words[:21]:<22}{min(values):>8.3f}{statistics.median(values):>8.3f}{max(values):>8.3f}")
    count = sum(map(len, runs))
    print(f"{args.nodes} repairs, {count} messages on {len(CHANNELS)} channels: each step told once and in order; "
          f"{args.nodes * len(STEPS) * len(CHANNELS) - count} passed over for a newer one (a channel takes one message a second)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
