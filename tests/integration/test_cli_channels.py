"""klaxon channel, render and subscription: they look at the configuration and try a channel, without Kafka."""
from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from cli_world import Klaxon
from stage import Slack, Smtp

SAMPLES = Path(__file__).resolve().parents[2] / "schema/samples"
TESTED = SAMPLES / "node.notready.json"


@pytest.fixture
def klaxon(binaries: Path, tmp_path: Path, slack: Slack) -> Klaxon:
    made = Klaxon(binaries, tmp_path, "127.0.0.1:1", "klaxon.")
    (tmp_path / "hook").write_text(slack.new_hook("ops"))
    made.configure("""
links: { console: "https://klaxon.example.com" }
channels:
  ops: { slack: { webhook_url: { file: hook } } }
  unused: { slack: { webhook_url: { env: NOT_SET } } }
  mail: { email: { to: [a@example.com, b@example.com], from: k@example.com, smtp: "smtp://127.0.0.1:1", tls: none } }
subscriptions:
  - { team: operations, topics: [nodes], match: { severity: warning }, channels: [ops, mail], severity: { raise_to: critical } }
  - { team: platform, topics: [gitops], channels: [ops] }
""")
    return made


def test_channels_are_listed(klaxon: Klaxon) -> None:
    done = klaxon.run("channel", "list")
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["NAME", "KIND", "SUBSCRIPTIONS"], ["ops", "slack", "2"], ["unused", "slack", "0"], ["mail", "email", "1"]]
    assert klaxon.run("channel", "list", "-q").stdout.split() == ["ops", "unused", "mail"]
    listed = json.loads(klaxon.run("channel", "list", "-o", "json").stdout)
    assert listed["kind"] == "ChannelList"
    assert listed["items"][0] == {"name": "ops", "sink": "slack", "subscriptions": 2}


def test_a_test_message_arrives(klaxon: Klaxon, slack: Slack) -> None:
    done = klaxon.run("channel", "send", "ops", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("channel/ops delivered: ok, after ")
    assert "This is a test of the channel ops" in json.dumps(slack.messages.all()[0].payload)


def test_an_event_is_sent_as_a_test(klaxon: Klaxon, slack: Slack) -> None:
    assert klaxon.run("channel", "send", "ops", "--event", str(TESTED), "-y").returncode == 0
    assert "TEST: Node aks-system" in json.dumps(slack.messages.all()[0].payload)


def test_a_dry_run_sends_nothing(klaxon: Klaxon, slack: Slack) -> None:
    done = klaxon.run("channel", "send", "ops", "--dry-run")
    assert done.returncode == 0
    assert "would be sent" in done.stdout
    assert slack.attempts.all() == []


def test_what_a_channel_answers_decides_the_exit_code(klaxon: Klaxon, tmp_path: Path) -> None:
    done = klaxon.run("channel", "send", "mail", "--yes")
    assert done.returncode == 5  # nobody listens
    assert [line.split(" after ")[0] for line in done.stdout.splitlines()][0].startswith("channel/mail to a@example.com retry_backoff: connect")
    hook = tmp_path / "hook"
    hook.write_text(hook.read_text().rsplit("/", 1)[0] + "/nobody")
    done = klaxon.run("channel", "send", "ops", "--yes")
    assert (done.returncode, done.stdout.split(",")[0]) == (1, "channel/ops destination_broken: no_service")


def test_what_is_sent_is_said_in_json(klaxon: Klaxon, slack: Slack) -> None:
    document = json.loads(klaxon.run("channel", "send", "ops", "-y", "-o", "json").stdout)
    (item,) = document.pop("items")
    size = document.pop("bytes")
    assert document == {"apiVersion": "klaxon.io/v1", "kind": "SendResult", "channel": "ops", "sink": "slack", "dryRun": False, "bytesMax": 65536}
    assert 0 < size < 65536 and item.pop("tookMs") >= 0
    assert item == {"recipient": None, "verdict": "delivered", "reason": "ok", "answer": "ok", "handle": None, "retryAfterMs": None}
    assert len(slack.of("ops")) == 1
    dry = json.loads(klaxon.run("channel", "send", "ops", "--dry-run", "-o", "json").stdout)
    assert (dry["dryRun"], dry["items"]) == (True, [])
    assert len(slack.of("ops")) == 1


def test_one_of_two_recipients(klaxon: Klaxon, smtp: Smtp, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("stage-password")
    email = {"to": ["a@example.com", "b@example.com"], "from": "k@example.com", "smtp": smtp.url, "ca_file": str(smtp.ca), "user": "klaxon",
             "password": {"file": "password"}}
    klaxon.configure(f"channels: {json.dumps({'mail': {'email': email}})}\n")
    smtp.fault(stage="rcpt", address="a@example.com", reply="550 5.1.1 no such user", times=1)
    done = klaxon.run("channel", "send", "mail", "-y", "-o", "json")
    assert (done.returncode, done.stderr) == (6, "")
    assert [(one["recipient"], one["verdict"]) for one in json.loads(done.stdout)["items"]] == [
        ("a@example.com", "reject_recipient"), ("b@example.com", "delivered")]


@pytest.mark.parametrize("answer, code, told", [("y", 0, 1), ("n", 1, 0)])
def test_on_a_terminal_it_asks(klaxon: Klaxon, slack: Slack, answer: str, code: int, told: int) -> None:
    ours, its = pty.openpty()
    try:
        asking = klaxon.start("channel", "send", "ops", stdin=its, stderr=its)
        os.close(its)
        said = b""
        while b"[y/N] " not in said:
            said += os.read(ours, 4096)
        assert b"channel/ops would be sent a real message, marked as a test. Go on?" in said
        os.write(ours, answer.encode() + b"\n")
        asking.communicate(timeout=20)
    finally:
        os.close(ours)
    assert (asking.returncode, len(slack.of("ops"))) == (code, told)


def test_the_html_of_a_mail(klaxon: Klaxon) -> None:
    done = klaxon.run("render", "mail", "-e", str(TESTED), "--html")
    assert done.returncode == 0
    assert done.stdout.startswith("<!DOCTYPE html>") and done.stdout.rstrip().endswith("</html>")
    assert "Auto-Submitted" not in done.stdout and "=3D" not in done.stdout
    assert done.stderr.strip().endswith("of at most 1048576")


def test_on_a_terminal_a_rendered_message_commands_nothing(klaxon: Klaxon, tmp_path: Path) -> None:
    record = json.loads(TESTED.read_text())
    record["value"]["summary"] = "evil \u009b2J \u202e name"
    (tmp_path / "event.json").write_text(json.dumps(record))
    klaxon.configure('channels: { hook: { webhook: { url: "https://example.com/x" } } }\n')
    assert "\u009b2J" in klaxon.run("render", "hook", "-e", "event.json").stdout
    ours, its = pty.openpty()
    try:
        shown = klaxon.start("render", "hook", "-e", "event.json", stdout=its)
        os.close(its)
        said = b""
        while b"202e name" not in said and "\u202e name".encode() not in said:
            said += os.read(ours, 4096)
        shown.communicate(timeout=20)
    finally:
        os.close(ours)
    assert b"ce-id: " in said and "\u009b".encode() not in said and "\u202e".encode() not in said


def test_the_secrets_of_other_channels_are_not_needed(klaxon: Klaxon, slack: Slack) -> None:
    done = klaxon.run("channel", "send", "unused", "--yes")
    assert (done.returncode, done.stdout.split(" (")[0]) == (4, "channel/unused credential_broken: webhook_url")
    assert "NOT_SET" in done.stdout
    assert slack.attempts.all() == []


def test_what_is_rendered_is_what_is_sent(klaxon: Klaxon) -> None:
    done = klaxon.run("render", "ops", "--event", str(TESTED))
    assert done.returncode == 0
    assert json.loads(done.stdout)["text"].startswith("Critical: Node not ready")  # as the subscription raises it
    assert "https://klaxon.example.com/incidents/" in done.stdout
    assert done.stderr.strip().endswith("of at most 65536")
    assert "Subject: " in klaxon.run("render", "mail", "-e", str(TESTED)).stdout


def test_of_a_bot_the_two_messages_it_chooses_from_are_rendered(klaxon: Klaxon) -> None:
    klaxon.configure('channels: { bot: { slack: { token: { env: NOT_SET }, channel: C0123456789 } } }\n')
    done = klaxon.run("render", "bot", "--event", str(TESTED))
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["message"]["text"].startswith("Warning: Node not ready")
    assert made["reply"]["metadata"] == made["message"]["metadata"]


@pytest.mark.parametrize("form", ["record", "structured", "tail"])
def test_an_event_may_come_in_three_forms(klaxon: Klaxon, tmp_path: Path, form: str) -> None:
    record = json.loads(TESTED.read_text())
    attributes = {name.removeprefix("ce_"): value for name, value in record["headers"].items() if name.startswith("ce_")}
    documents = {
        "record": record,
        "structured": attributes | {"datacontenttype": "application/json", "data": record["value"]},
        "tail": {"topic": record["topic"], "partition": 0, "offset": 1, "seq": 1, "resync": True, "data": record["value"]} |
                {name: attributes[name] for name in ("id", "source", "type", "time", "subject", "cluster", "severity", "incident", "phase")},
    }
    file = tmp_path / "event.json"
    file.write_text(json.dumps(documents[form]) + "\n")
    expected = klaxon.run("render", "ops", "-e", str(TESTED)).stdout
    assert klaxon.run("render", "ops", "-e", str(file)).stdout == expected


def test_who_is_told(klaxon: Klaxon) -> None:
    done = klaxon.run("subscription", "who", "--event", str(TESTED))
    assert done.returncode == 0
    rows = [line.split()[:4] for line in done.stdout.splitlines()]
    assert rows == [["TEAM", "CHANNEL", "KIND", "SEVERITY"], ["operations", "ops", "slack", "critical"],
                    ["operations", "mail", "email", "critical"]]
    told = json.loads(klaxon.run("subscription", "who", "-o", "json", "-e", str(TESTED)).stdout)["items"]
    assert [(t["team"], t["channel"], t["severity"]) for t in told] == [("operations", "ops", "critical"), ("operations", "mail", "critical")]
    ended = klaxon.run("subscription", "who", "-e", str(SAMPLES / "node.ready.json"))  # whoever heard of the warning; and it is none itself
    assert (ended.returncode, [line.split()[:4] for line in ended.stdout.splitlines()[1:]]) == (
        0, [["operations", "ops", "slack", "info"], ["operations", "mail", "email", "info"]])
    nobody = klaxon.run("subscription", "who", "-e", str(SAMPLES / "hpa.scaled.up.json"))
    assert (nobody.returncode, nobody.stderr) == (1, "klaxon subscription who: nobody is told of it\n")


def test_subscriptions_are_listed(klaxon: Klaxon) -> None:
    done = klaxon.run("subscription", "list")
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["TEAM", "TOPICS", "CHANNELS"], ["operations", "nodes", "ops,mail"], ["platform", "gitops", "ops"]]
    assert len(klaxon.run("subscription", "list", "--team", "platform").stdout.splitlines()) == 2
    items = json.loads(klaxon.run("subscription", "list", "-o", "json").stdout)["items"]
    assert items[1]["channels"] == ["ops"]
    assert items[1]["line"] == 11


def test_whom_an_incident_is_escalated_to(klaxon: Klaxon) -> None:
    text = klaxon.config.read_text()
    klaxon.config.write_text(text.replace("raise_to: critical }", "raise_to: critical }, escalate: { after: 90m, channels: [unused, mail] }"))
    done = klaxon.run("subscription", "who", "--event", str(TESTED))
    rows = [[cell.strip() for cell in line.split("   ") if cell][1:5] for line in done.stdout.splitlines()]
    assert rows == [["CHANNEL", "KIND", "SEVERITY", "WHEN"], ["ops", "slack", "critical", "at once"],
                    ["unused", "slack", "critical", "after 1 h 30 min, unless acknowledged"], ["mail", "email", "critical", "at once"]]
    told = json.loads(klaxon.run("subscription", "who", "-o", "json", "-e", str(TESTED)).stdout)["items"]
    assert [(t["channel"], t["escalatesAfterMs"]) for t in told] == [("ops", None), ("unused", 5_400_000), ("mail", None)]
    ended = klaxon.run("subscription", "who", "-e", str(SAMPLES / "node.ready.json")).stdout
    assert (ended.count("at once"), ended.count("if told before")) == (2, 1)
    listed = klaxon.run("subscription", "list")
    assert "unused,mail after 1 h 30 min" in listed.stdout
    items = json.loads(klaxon.run("subscription", "list", "-o", "json").stdout)["items"]
    assert [i["escalate"] for i in items] == [{"afterMs": 5_400_000, "channels": ["unused", "mail"]}, None]


@pytest.mark.parametrize("args, said, code", [
    (["channel", "send", "opps", "--dry-run"], 'there is no channel "opps", did you mean "ops"?', 1),
    (["channel", "send"], "CHANNEL is missing", 2),
    (["channel", "send", "ops"], "there is no terminal to ask on: give --yes, or --dry-run", 2),
    (["render", "ops", "--html"], "ops: a message of slack has no HTML, that of email has", 1),
    (["channel", "send", "ops", "mail"], 'takes one CHANNEL, found "mail" as well', 2),
    (["channel", "lst"], 'there is no command "lst", did you mean "list"?', 2),
    (["render", "ops", "-e", "nowhere.json"], "cannot read nowhere.json: No such file", 1),
    (["render", "ops", "-e", "klaxon.yaml"], "klaxon.yaml is no event: ", 1),
    (["render", "ops", "-e", "/tmp"], "cannot read /tmp: Is a directory", 1),
    (["render", "ops", "-e", "-"], "stdin is no event: ", 1),
    (["subscription", "who"], "--event FILE is missing", 2),
])
def test_a_wrong_command_line_says_what_is_right(klaxon: Klaxon, args: list[str], said: str, code: int) -> None:
    done = klaxon.run(*args)
    assert said in done.stderr
    assert (done.returncode, done.stdout) == (code, "")


def test_hostile_files_are_refused(klaxon: Klaxon, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    for text in ("", "[]", "{}", '{"type":"x"}', '{"headers":{},"value":1}', '{"specversion":"1.0"}', "[" * 1000, '{"headers":{"a":1}'):
        file.write_text(text)
        done = klaxon.run("render", "ops", "-e", "event.json")
        assert (done.returncode, done.stdout) == (1, ""), text
        assert "is no event" in done.stderr, text
    with file.open("wb") as f:
        f.truncate(5 << 20)
    assert "larger than 4 MiB" in klaxon.run("render", "ops", "-e", "event.json").stderr


def test_an_event_comes_through_a_pipe(klaxon: Klaxon) -> None:
    done = subprocess.run([klaxon.binary, "render", "ops", "--event", "-"], input=TESTED.read_text(), capture_output=True, text=True, timeout=30,
                          check=False, cwd=klaxon.dir, env=klaxon.env)
    assert done.returncode == 0
