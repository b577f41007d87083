"""The stage is judged before it judges: what it accepts, refuses and does by command."""
import json
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path

import pytest
import requests

from cluster import KubeClient, StatusError
from stage import Keys, Slack, Smtp

ROOT = Path(__file__).resolve().parents[2]


def section(text: str) -> dict:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


GOOD = {"text": "fallback", "attachments": [{"color": "#ff0000", "blocks": [
    {"type": "header", "text": {"type": "plain_text", "text": "Node aks-1", "emoji": False}},
    section("*not ready*"), {"type": "divider"},
    {"type": "context", "elements": [{"type": "mrkdwn", "text": "prod"}]},
    {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://example.com/"}]}]}]}


@pytest.mark.parametrize("payload, status, answer", [
    ({"text": "hello"}, 200, "ok"),
    (GOOD, 200, "ok"),
    ({"blocks": [section("x" * 3000)]}, 200, "ok"),
    ({}, 400, "no_text"),
    ([1], 400, "invalid_payload"),
    ({"text": "x", "txt": 1}, 400, "invalid_payload"),
    ({"blocks": [section("x" * 3001)]}, 400, "invalid_blocks"),
    ({"blocks": [section("\U0001f4a5" * 1501)]}, 400, "invalid_blocks"),
    ({"blocks": [section("x")] * 51}, 400, "invalid_blocks"),
    ({"blocks": [section("x" * 2900)] * 5}, 400, "msg_blocks_too_long"),
    ({"blocks": [{**section("x"), "extra": 1}]}, 400, "invalid_blocks"),
    ({"blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]}, 400, "invalid_blocks"),
    ({"blocks": [{"type": "context", "elements": [{"type": "mrkdwn", "text": "x"}] * 11}]}, 400, "invalid_blocks"),
    ({"attachments": [{"blocks": [section("x")] * 51}]}, 400, "invalid_attachments"),
    ({"attachments": [{"text": "x"}] * 101}, 400, "too_many_attachments"),
    ({"attachments": [{"color": "red", "text": "x"}]}, 400, "invalid_attachments"),
])
def test_slack_takes_what_the_limits_allow(slack: Slack, payload, status: int, answer: str) -> None:
    got = requests.post(slack.new_hook("ops"), json=payload, timeout=5)
    assert (got.status_code, got.text) == (status, answer), slack.attempts.all()
    assert [m.payload for m in slack.messages.all()] == ([payload] if status == 200 else [])


def test_slack_knows_its_hooks_and_its_rate(slack: Slack) -> None:
    url = slack.new_hook("ops")
    got = requests.post(f"{slack.url}/services/T1/B1/x", json={"text": "x"}, timeout=5)
    assert (got.status_code, got.text) == (404, "no_service")
    slack.rate_limit = True
    answers = [requests.post(url, json={"text": "x"}, timeout=5) for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 429]
    assert answers[1].headers["Retry-After"] == "1" and answers[1].json()["error"] == "rate_limited"
    assert requests.post(slack.new_hook("other"), json={"text": "x"}, timeout=5).status_code == 200
    slack.remove_hook("ops")
    assert requests.post(url, json={"text": "x"}, timeout=5).status_code == 404


def test_slack_fails_by_command(slack: Slack) -> None:
    url, other = slack.new_hook("ops"), slack.new_hook("other")
    slack.fault(hook="ops", status=503, times=2)
    slack.fault(hook="ops", retry_after=7)
    slack.fault(hook="ops", error="channel_is_archived")
    answers = [requests.post(url, json={"text": "x"}, timeout=5) for _ in range(5)]
    assert [a.status_code for a in answers] == [503, 503, 429, 410, 200]
    assert answers[2].headers["Retry-After"] == "7"
    assert requests.post(other, json={"text": "x"}, timeout=5).status_code == 200
    for cut, at, kept in (("reset", "request", 0), ("close", "answer", 1), ("hang", "answer", 1)):
        before = len(slack.messages)
        slack.fault(cut=cut, at=at)
        with pytest.raises((requests.ConnectionError, requests.ReadTimeout)):
            requests.post(url, json={"text": "x"}, timeout=0.3)
        assert len(slack.messages) - before == kept
    with pytest.raises(ValueError, match="none of"):
        slack.fault(error="no_such_error")


def test_slack_shows_what_would_ping(slack: Slack) -> None:
    url = slack.new_hook("ops")
    requests.post(url, json={"text": "a <!channel> b &lt;!here&gt;", "blocks": [
        {"type": "section", "text": {"type": "plain_text", "text": "<!here>"}}, section("<http://x|y>")]}, timeout=5)
    assert slack.messages.all()[0].active_markup() == ["<!channel>", "<http://x|y>"]


def mail(subject: str = "hello", text: str = "one\n.two\n") -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"], made["Date"] = "k@example.com", "a@example.com", subject, "Tue, 24 Nov 2026 10:00:00 +0000"
    made.set_content(text)
    return made.as_bytes(policy=made.policy.clone(linesep="\r\n"))


def dialogue(smtp: Smtp, *lines: bytes) -> list[bytes]:
    """The replies to raw lines, the greeting first."""
    with socket.create_connection((smtp.host, smtp.port), timeout=5) as connection:
        file = connection.makefile("rb")
        replies = [file.readline()]
        for line in lines:
            connection.sendall(line)
            reply = file.readline()
            while reply[3:4] == b"-":
                reply = file.readline()
            replies.append(reply)
        return replies


def test_smtp_keeps_mails_over_starttls_with_auth(keys: Keys) -> None:
    with Smtp(keys, users={"me": "secret"}) as smtp:
        context = ssl.create_default_context(cafile=smtp.ca)
        with smtplib.SMTP("localhost", smtp.port, timeout=5) as client:
            with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
                client.sendmail("k@example.com", ["a@example.com"], mail())
            client.starttls(context=context)
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("me", "wrong")
            client.login("me", "secret")
            smtp.fault(stage="rcpt", address="b@example.com", reply="550 5.1.1 no such user")
            refused = client.sendmail("k@example.com", ["a@example.com", "b@example.com"], mail())
            client.sendmail("", ["a@example.com"], mail(subject="again"))
        first, second = smtp.mails.wait_count("mails", 2)
        assert refused == {"b@example.com": (550, b"5.1.1 no such user")}
        assert (first.sender, first.recipients, first.user, first.tls) == ("k@example.com", ["a@example.com"], "me", True)
        assert first.message["Subject"] == "hello" and first.raw == mail() and second.sender == ""
        assert first.part("plain") == "one\n.two\n"
        assert not [line for line in smtp.lines.all() if "secret" in line.text]
        in_clear = [line.text.split(" ")[0].upper() for line in smtp.lines.all() if line.client and not line.tls]
        assert in_clear == ["EHLO", "MAIL", "RSET", "STARTTLS"]


@pytest.mark.parametrize("lines, reply", [
    ([b"MAIL FROM:<a@b.c>\r\n"], b"503"),
    ([b"EHLO x\n"], b"500"),
    ([b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<a b@c.d>\r\n"], b"553"),
    ([b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<a@b@c.d>\r\n"], b"553"),
    ([b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<\xc3\xa4@c.d>\r\n"], b"553"),
    ([b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"DATA\r\n"], b"503"),
    ([b"EHLO x\r\n", b"MAIL FROM:<a@b.c> SIZE=99999999\r\n"], b"552"),
    ([b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<c@d.e>\r\n", b"DATA\r\n", b"Date: x\r\nFrom: x\r\n\r\na\nb\r\n.\r\n"], b"550"),
    ([b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<c@d.e>\r\n", b"DATA\r\n", b"Date: x\r\nFrom: x\r\n\r\na\n.\n\r\n.\r\n"], b"550"),
    ([b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<c@d.e>\r\n", b"DATA\r\n", b"Subject: x\r\n\r\na\r\n.\r\n"], b"550"),
    ([b"EHLO x\r\n", b"MAIL FROM:<a@b.c>\r\n", b"RCPT TO:<c@d.e>\r\n", b"DATA\r\n", b"Date: x\r\nFrom: x\r\n\r\na\r\n.\r\n"], b"250"),
])
def test_smtp_refuses_what_is_not_smtp(lines: list[bytes], reply: bytes) -> None:
    with Smtp(tls="plain") as smtp:
        assert dialogue(smtp, *lines)[-1][:3] == reply
        assert len(smtp.mails) == (reply == b"250")


@pytest.mark.parametrize("fault, kept, error", [
    ({"stage": "connect", "reply": "421 4.3.2 not now"}, 0, smtplib.SMTPConnectError),
    ({"stage": "mail", "reply": "451 4.7.1 later"}, 0, smtplib.SMTPSenderRefused),
    ({"stage": "data", "reply": "554 5.7.1 no"}, 0, smtplib.SMTPDataError),
    ({"stage": "dot", "reply": "452 4.2.2 full"}, 0, smtplib.SMTPDataError),
    ({"stage": "dot", "cut": "stall", "taken": True}, 1, smtplib.SMTPServerDisconnected),
    ({"stage": "dot", "cut": "reset"}, 0, OSError),
    ({"stage": "rcpt", "cut": "close"}, 0, smtplib.SMTPServerDisconnected),
])
def test_smtp_fails_by_command(fault: dict, kept: int, error: type) -> None:
    with Smtp(tls="plain") as smtp:
        smtp.fault(**fault)
        with pytest.raises(error):
            with smtplib.SMTP(smtp.host, smtp.port, timeout=0.5) as client:
                client.sendmail("k@example.com", ["a@example.com"], mail())
        assert len(smtp.mails) == kept
        with smtplib.SMTP(smtp.host, smtp.port, timeout=5) as client:
            client.sendmail("k@example.com", ["a@example.com"], mail())
        assert len(smtp.mails) == kept + 1


@pytest.fixture
def program(tmp_path: Path):
    """The stage as `./dev up` starts it."""
    process = subprocess.Popen([sys.executable, "-m", "stage", "--dir", tmp_path], env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
                               stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not (tmp_path / "stage.json").exists():
        assert process.poll() is None and time.monotonic() < deadline
    yield json.loads((tmp_path / "stage.json").read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert not (tmp_path / "stage.json").exists()


def test_the_program_is_controlled_over_http(program: dict) -> None:
    control, hook = program["control"], program["slack"]["hooks"]["operations"]
    assert "POST   /fault/slack" in requests.get(control, timeout=5).text
    assert requests.get(f"{control}/slack/messages", timeout=5).json() == {"messages": [], "next": 0}
    requests.post(f"{control}/fault/slack", json={"hook": "operations", "status": 503}, timeout=5)
    assert [requests.post(hook, json={"text": "x"}, timeout=5).status_code for _ in range(2)] == [503, 200]
    got = requests.get(f"{control}/slack/messages?since=0&wait=5", timeout=10).json()
    assert got["next"] == 1 and got["messages"][0]["payload"] == {"text": "x"} and got["messages"][0]["hook"] == "operations"
    refused = requests.post(f"{control}/fault/smtp?stge=dot", timeout=5)
    assert refused.status_code == 400 and "stge" in refused.json()["error"]
    assert requests.get(f"{control}/nowhere", timeout=5).status_code == 404
    with smtplib.SMTP(program["smtp"]["host"], program["smtp"]["port"], timeout=5) as client:
        client.starttls(context=ssl.create_default_context(cafile=program["smtp"]["ca"]))
        client.login(program["smtp"]["user"], program["smtp"]["password"])
        client.sendmail("k@example.com", ["a@example.com"], mail())
    assert requests.get(f"{control}/mail/messages?wait=5", timeout=10).json()["messages"][0]["subject"] == "hello"


def test_the_program_plays_an_episode(program: dict) -> None:
    control, node = program["control"], "aks-nodepool1-12345678-vmss000001"
    client = KubeClient.from_kubeconfig(program["kube"]["kubeconfig"])
    since = client.list("/api/v1/events", limit=1)["metadata"]["resourceVersion"]
    assert requests.post(f"{control}/scenario/repair?node={node}&pace=0.01&shape=legacy", timeout=5).json()["node"] == node
    reasons = []
    for frame in client.watch("/api/v1/events", since, timeoutSeconds=20, fieldSelector=f"involvedObject.name={node}"):
        reasons.append(frame["object"]["reason"])
        if reasons[-1] == "NodeReady":
            break
    assert reasons == ["NodeNotReady", "NodeRebootStart", "NodeRebootEnd", "Rebooted", "NodeReady"]
    requests.post(f"{control}/fault/kube?verb=list&status=503", timeout=5)
    with pytest.raises(StatusError, match="503"):
        client.list("/api/v1/nodes")
    requests.post(f"{control}/kube/ready?node={node}&status=false", timeout=5)
    [condition] = client.list("/api/v1/nodes", fieldSelector=f"metadata.name={node}")["items"][0]["status"]["conditions"]
    assert condition["status"] == "False"
    assert f"node {node}: Ready False" in requests.get(control, timeout=5).text
    assert requests.post(f"{control}/scenario/nix", timeout=5).status_code == 400
    played = requests.get(f"{control}/scenario", timeout=5).json()
    assert "ladder" in played["scenarios"] and played["played"][0]["done"]


def api(slack: Slack, method: str, token: str, **args) -> dict:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=utf-8"}
    return requests.post(slack.api_url + method, data=json.dumps(args), headers=headers, timeout=5).json()


def test_the_web_api_edits_and_threads(slack: Slack) -> None:
    token, channel = slack.new_bot(), slack.new_channel("ops")
    assert api(slack, "auth.test", token)["ok"]
    first = api(slack, "chat.postMessage", token, channel="ops", text="one")
    assert api(slack, "chat.postMessage", token, channel=channel, text="two", thread_ts=first["ts"], reply_broadcast=True)["ok"]
    assert api(slack, "chat.update", token, channel=first["channel"], ts=first["ts"], text="three")["ok"]
    [post] = slack.channel("ops").posts
    assert (post.payload, post.edits, post.replies[0].payload, post.replies[0].broadcast) == ({"text": "three"}, 1, {"text": "two"}, True)


def test_the_web_api_refuses_with_200(slack: Slack) -> None:
    token, reader, channel = slack.new_bot(), slack.new_bot("reader", ()), slack.new_channel("ops")
    other = slack.new_bot("other")
    ts = api(slack, "chat.postMessage", token, channel=channel, text="one")["ts"]
    cases = [
        ("not_authed", "chat.postMessage", "", {"channel": channel, "text": "x"}),
        ("invalid_auth", "auth.test", "xoxb-1", {}),
        ("missing_scope", "chat.postMessage", reader, {"channel": channel, "text": "x"}),
        ("channel_not_found", "chat.postMessage", token, {"channel": "nowhere", "text": "x"}),
        ("channel_not_found", "chat.update", token, {"channel": "ops", "ts": ts, "text": "x"}),  # by ID only
        ("message_not_found", "chat.update", token, {"channel": channel, "ts": "1.1", "text": "x"}),
        ("message_not_found", "chat.postMessage", token, {"channel": channel, "thread_ts": "1.1", "text": "x"}),
        ("cant_update_message", "chat.update", other, {"channel": channel, "ts": ts, "text": "x"}),
        ("msg_too_long", "chat.update", token, {"channel": channel, "ts": ts, "text": "x" * 4001}),
        ("no_text", "chat.postMessage", token, {"channel": channel}),
        ("invalid_arguments", "chat.update", token, {"channel": channel, "ts": ts, "text": "x", "unfurl_links": False}),
        ("invalid_metadata_schema", "chat.postMessage", token,
         {"channel": channel, "text": "x", "metadata": {"event_type": "t", "event_payload": {"a": {"b": 1}}}}),
        ("unknown_method", "chat.nothing", token, {}),
    ]
    for code, method, who, args in cases:
        assert api(slack, method, who, **args)["error"] == code, (method, args)
    slack.channel("ops").archived = True
    assert api(slack, "chat.postMessage", token, channel=channel, text="x")["error"] == "is_archived"
    slack.revoke_bot()
    assert api(slack, "auth.test", token)["error"] == "token_revoked"
