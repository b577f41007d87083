"""Secrets that change while a sink runs, as a mounted Kubernetes Secret does: the next message is sent by the new one, without a restart, a signal, or a
line of configuration. One case for each way that a kind of channel has a secret."""
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster import Kafka
from sink_process import Events, Sink, exchange, new_prefix
from stage import Keys, Slack, Smtp, Teams


class SecretFile:
    """A file of a Secret's volume."""

    def __init__(self, directory: Path, text: str):
        self._folder = directory / "secret"
        self._version = 0
        self.write(text)

    def write(self, text: str) -> None:
        self._version += 1
        self.path = exchange(self._folder, f"..{self._version}", "value", text)


@pytest.fixture
def run(binaries: Path, tmp_path: Path, kafka: Kafka) -> Iterator[Callable[[str, dict], tuple[Sink, Events]]]:
    started: list[Sink] = []

    def start(kind: str, channel: dict) -> tuple[Sink, Events]:
        prefix = new_prefix(kafka)
        sink = Sink(binaries, tmp_path, kafka, prefix, kind)
        sink.configure({"ops": channel}, [{"team": "t", "topics": ["nodes"], "channels": ["ops"]}])
        sink.start()
        started.append(sink)
        sink.wait_ready()
        return sink, Events(kafka, prefix)

    yield start
    for sink in started:
        sink.kill()
        print(sink.log.read_text())


def end(sink: Sink, secrets: list[str], reason: str = "delivered") -> None:
    sink.wait_settled(2)
    assert [r["reason"] for r in sink.receipts()] == [reason] * 2
    assert sink.stop() == 0
    log = sink.log.read_text()
    assert "configuration" not in log and not [secret for secret in secrets if secret in log]


def test_slack_webhook(run, tmp_path: Path, slack: Slack) -> None:
    urls = [slack.new_hook("one"), slack.new_hook("two")]
    secret = SecretFile(tmp_path, urls[0])
    sink, events = run("slack", {"webhook_url": {"file": str(secret.path)}})
    events.put("a")
    slack.messages.wait("the first", lambda _: len(slack.of("one")) == 1, 20)
    slack.remove_hook("one")
    secret.write(urls[1])
    events.put("b")
    slack.messages.wait("the second", lambda _: len(slack.of("two")) == 1, 20)
    end(sink, urls)


def test_slack_bot(run, tmp_path: Path, slack: Slack) -> None:
    channel = slack.new_channel("ops")
    tokens = [slack.new_bot("one"), slack.new_bot("two")]
    secret = SecretFile(tmp_path, tokens[0])
    sink, events = run("slack", {"token": {"file": str(secret.path)}, "channel": channel, "base_url": slack.api_url})
    events.put("a")
    sink.wait("the first", lambda: len(slack.channel("ops").posts) == 1)
    slack.revoke_bot("one")
    secret.write(tokens[1])
    events.put("b")
    sink.wait("the second", lambda: len(slack.channel("ops").posts) == 2)
    end(sink, tokens)


def test_email_password(run, tmp_path: Path, keys: Keys) -> None:
    passwords = ["first-password", "second-password"]
    secret = SecretFile(tmp_path, passwords[0] + "\n")
    with Smtp(keys=keys, users={"klaxon": passwords[0]}) as smtp:
        sink, events = run("email", {"to": "a@stage.example", "from": "klaxon@stage.example", "smtp": smtp.url, "user": "klaxon",
                                     "password": {"file": str(secret.path)}, "ca_file": str(smtp.ca), "helo": "klaxon.example"})
        events.put("a")
        smtp.mails.wait_count("mails", 1, 20)
        smtp.users["klaxon"] = passwords[1]
        secret.write(passwords[1] + "\n")
        events.put("b")
        smtp.mails.wait_count("mails", 2, 20)
        end(sink, passwords)


def test_teams(run, tmp_path: Path, teams: Teams) -> None:
    urls = [teams.new_flow("one"), teams.new_flow("two")]
    secret = SecretFile(tmp_path, urls[0])
    sink, events = run("teams", {"webhook_url": {"file": str(secret.path)}})
    events.put("a")
    teams.messages.wait("the first", lambda _: len(teams.of("one")) == 1, 20)
    secret.write(urls[1])
    events.put("b")
    teams.messages.wait("the second", lambda _: len(teams.of("two")) == 1, 20)
    end(sink, urls, "accepted")
