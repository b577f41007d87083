"""What `./dev up` shows a person: the steps, the events as they come, the messages as they arrived, and what to try next."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import requests

from .pipeline import health

TERMINAL = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
WAIT_SECONDS = 90
PAGES_SECONDS = 30
ROWS_SECONDS = 12  # a batch waits for five
OWN_CLUSTER_SECONDS = 20
WIDTH = 100
DISK_BYTES_MIN = 1 << 20


def paint(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if TERMINAL else text


def step(name: str, detail: str, seconds: float) -> None:
    print(f"  {paint('32', f'{name:<14}')} {detail:<66} {paint('2', f'{seconds:5.1f}s')}", flush=True)


def heading(text: str) -> None:
    print(f"\n{paint('1', text)}", flush=True)


def readable(line: str) -> str:
    """A line of a klaxon log for a person; any other line as it is."""
    try:
        fields = json.loads(line)
        return " · ".join(str(value) for name, value in fields.items() if name not in ("time", "component"))
    except (ValueError, AttributeError):
        return line


def failure(why: str, directory: Path) -> str:
    """A full disk leaves no log that could say so."""
    why = "\n".join(readable(line) for line in why.splitlines())
    if shutil.disk_usage(directory).free < DISK_BYTES_MIN:
        why += f"\nThe disk of {directory} is full: `df -h {directory}`. Make room there, and run `./dev up` again."
    return f"{paint('31', './dev up failed, and everything it started is stopped:')}\n{textwrap.indent(why.strip(), '  ')}"


def verdict(told: bool) -> str:
    if told:
        return paint("32", "klaxon is up.") + " `./dev down` ends it."
    return paint("31", f"klaxon is up, but the messages did not arrive within {WAIT_SECONDS} s: `./dev status` and `./dev logs` say more.")


def _tail(now: dict[str, Any], *args: str) -> subprocess.Popen:
    """`klaxon tail` writing straight to this terminal: what a user sees with the same command."""
    klaxon = Path(now["binaries"]) / "klaxon"
    return subprocess.Popen([klaxon, "tail", "-c", now["config"], "--color", "always" if TERMINAL else "never", *args],
                            stdin=subprocess.DEVNULL)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait()


def _get(now: dict[str, Any], path: str, **params: Any) -> Any:
    return requests.get(f"{now['stage']['control']}{path}", params=params, timeout=30).json()


def repair(now: dict[str, Any]) -> bool:
    """A node of the stage is lost and repaired; true when Slack, Teams, the mailbox and PagerDuty were told that it is over."""
    began = {path: _get(now, path)["next"] for path in ("/slack/messages", "/teams/messages", "/mail/messages")}
    pages = _get(now, "/services/requests")["next"]
    node = f"aks-nodepool1-12345678-vmss{random.randrange(36 ** 4):06x}"
    heading(f"A node is lost and repaired: {node} (klaxon tail; on AKS this takes 20 minutes)")
    tail = _tail(now, "--topic", "nodes", "--node", node, "--since", "5s")
    try:
        requests.post(f"{now['stage']['control']}/scenario/repair", params={"node": node}, timeout=10).raise_for_status()
        slack, teams, mail = (_wait_for_end(now, path, since, node) for path, since in began.items())
    finally:
        _end(tail)
    _show_slack(slack, "nothing arrived")
    _show_teams(teams)
    heading("Mail, as it arrived (the last one)")
    for message in mail[-1:]:
        print(textwrap.indent(mail_text(message), "  "))
    paged = _show_pages(now, pages, node)
    _show_rows(now, node)
    return paged and bool(slack) and bool(teams) and bool(mail)


def _show_pages(now: dict[str, Any], since: int, node: str) -> bool:
    """What the webhook sent to PagerDuty; true once the alert is resolved."""
    deadline, sent = time.monotonic() + PAGES_SECONDS, []
    while time.monotonic() < deadline and not (sent and sent[-1]["event_action"] == "resolve"):
        bodies = [json.loads(request["text"]) for request in _get(now, "/services/requests", since=since)["requests"]]
        sent = [body for body in bodies if node in body["payload"]["summary"]]
        time.sleep(0.2)
    heading("PagerDuty, through a webhook with a template (channels.d/pagerduty.yaml): one alert")
    for body in sent:
        print(f"  {body['event_action']:8} {body['payload']['severity']:8} {body['payload']['summary']}")
    if not sent:
        print("  nothing arrived")
    return bool(sent) and sent[-1]["event_action"] == "resolve"


def _show_rows(now: dict[str, Any], node: str) -> None:
    """What a query of Log Analytics would show; rows come in batches, some seconds later."""
    heading("Log Analytics: Klaxon_CL | project EventTime, EventType, Message")
    deadline, rows = time.monotonic() + ROWS_SECONDS, []
    while time.monotonic() < deadline and not any(row["EventType"] == "io.klaxon.node.repair.completed" for row in rows):
        rows = [row["columns"] for row in _get(now, "/azure/rows")["rows"] if row["columns"].get("ObjectName") == node]
        time.sleep(0.2)
    for row in rows:
        print(f"  {row['EventTime'][11:19]}  {row['EventType'].removeprefix('io.klaxon.'):24} {row['Message']}")


def _show_slack(messages: list[dict[str, Any]], otherwise: str) -> None:
    heading("Slack, as it arrived")
    for number, message in enumerate(messages):
        whole = number in (0, len(messages) - 1)
        text = slack_text(message["payload"]) if whole else message["payload"]["text"]
        print(textwrap.indent(text, "  "), end="\n\n")
    if not messages:
        print(f"  {otherwise}")


def _show_teams(messages: list[dict[str, Any]]) -> None:
    """The first one and the last one whole; a reply stands below the message it belongs to."""
    heading("Teams, as it arrived")
    for number, message in enumerate(messages):
        whole = number in (0, len(messages) - 1)
        text = message["text"] if whole else message["payload"]["summary"]
        print(textwrap.indent(f"↳ {text}", "    ") if message["replyTo"] else textwrap.indent(text, "  "), end="\n\n")


def _wait_for_end(now: dict[str, Any], path: str, since: int, node: str) -> list[dict[str, Any]]:
    """The messages about the node, once the last one says that it is over; none when that does not come."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        about = [message for message in _get(now, path, since=since)["messages"] if node in message["text"]]
        if about and "ready again" in " ".join(about[-1]["text"].split()):
            return about
        time.sleep(0.2)
    return []


def own_cluster(now: dict[str, Any]) -> bool:
    """What the cluster has to tell: the events that are there, then live ones for a while."""
    heading(f"The events of cluster {now['cluster']}, live for {OWN_CLUSTER_SECONDS} s (klaxon tail)")
    tail = _tail(now, "--since", "1h")
    try:
        time.sleep(OWN_CLUSTER_SECONDS)
        lives = tail.poll() is None
    finally:
        _end(tail)
    _show_slack(_get(now, "/slack/messages")["messages"], "nobody had to be told of anything: no node is lost or being repaired")
    return lives


def slack_text(payload: dict[str, Any]) -> str:
    """A message as Slack lays it out, in letters."""
    lines: list[str] = [payload["text"]]
    for attachment in payload.get("attachments", []):
        lines += [f"┃ {line}" for block in attachment["blocks"] for line in _block(block)]
    return "\n".join(lines)


def _texts(item: Any) -> list[str]:
    """Every text object of a block, in order."""
    if isinstance(item, list):
        return [text for one in item for text in _texts(one)]
    if isinstance(item, dict):
        if isinstance(item.get("text"), str):
            return [item["text"]]
        return [text for value in item.values() for text in _texts(value)]
    return []


def _block(block: dict[str, Any]) -> list[str]:
    return [line for text in _texts(block) for line in textwrap.wrap(text.replace("\n", ": ", 1), WIDTH)]


def mail_text(message: dict[str, Any]) -> str:
    headers = "".join(f"{name}: {value}\n" for name, value in message["headers"] if name in ("From", "To", "Subject", "Date"))
    return f"{headers}\n{message['text']}"


def part_state(part: dict[str, Any], ended: int | None) -> tuple[bool, str]:
    if ended is not None or not Path(f"/proc/{part['pid']}").exists():
        return False, f"ended with {ended}; `./dev logs` says why"
    return health(part["health"]) if part["health"] else (True, "")


def part(name: str, described: dict[str, Any], ready: bool, why: str) -> None:
    word = paint("32", "ready    ") if ready else paint("31", "not ready")
    print(f"  {name:<17} {word} pid {described['pid']:<8} {described['address']}")
    if why:
        print(textwrap.indent(why, " " * 20))


def addresses(now: dict[str, Any]) -> None:
    heading("Running")
    for name, described in now["parts"].items():
        print(f"  {name:<17} {described['address']}")
    print(f"  {'config':<17} {_relative(now['config'])}")
    klaxon, config = _relative(f"{now['binaries']}/klaxon"), _relative(now["config"])
    heading("Try next")
    print(f"  {klaxon} tail -c {config} --since 1h --severity warning\n"
          f"  {klaxon} topics list -c {config}\n"
          f"  curl -X POST '{now['stage']['control']}/scenario/ladder'    # a repair that takes three actions\n")


def _relative(path: str) -> str:
    return os.path.relpath(path)
