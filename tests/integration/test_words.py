"""An operator's own words in messages to Slack and in mails: by channel, by subscription, and after a reload; a real Kafka, the stage's channels."""
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster import Kafka
from sink_process import Events, Sink, event_headers, new_prefix
from stage import Slack, Smtp

NESTED = 4  # of a list of 2000 in itself: more work than a template may make


class World:
    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, slack: Slack, smtp: Smtp):
        prefix = new_prefix(kafka)
        self.events = Events(kafka, prefix)
        self.stage, self.smtp, self.directory = slack, smtp, directory
        self.slack = Sink(binaries, directory, kafka, prefix, "slack", "slack")
        self.mail = Sink(binaries, directory, kafka, prefix, "email", "mail")

    def hook(self, name: str) -> dict:
        secret = self.directory / f"{name}.url"
        if not secret.exists():
            secret.write_text(self.stage.new_hook(name))
        return {"webhook_url": {"file": str(secret)}}

    def mailbox(self) -> dict:
        secret = self.directory / "password"
        secret.write_text("stage-password\n")
        return {"to": ["ops@stage.example"], "from": "klaxon@stage.example", "smtp": self.smtp.url, "user": "klaxon",
                "password": {"file": str(secret)}, "ca_file": str(self.smtp.ca), "helo": "klaxon.example"}

    def configure(self, sink: Sink, channels: dict[str, dict], words: dict[str, object], of_team: object = None, throttle: dict | None = None) -> None:
        """`words`: of the channels that have some; `of_team`: of the one subscription."""
        subscription = {"team": "ops", "topics": ["nodes"], "channels": list(channels)} | ({"message": of_team} if of_team is not None else {})
        sink.configure(channels, [subscription], throttle)
        document = json.loads(sink.config.read_text())
        for name, message in words.items():
            document["channels"][name]["message"] = message
        sink.config.write_text(json.dumps(document))

    def wait_told(self, hook: str, count: int) -> list[str]:
        self.stage.messages.wait(f"{count} on {hook}", lambda _: len(self.stage.of(hook)) >= count, 40)
        return [message.text() for message in self.stage.of(hook)]

    def reload(self, sink: Sink, change: Callable[[], None]) -> None:
        before = sink.metric("klaxon_config_hash")
        change()
        sink.wait("the new configuration", lambda: sink.metric("klaxon_config_hash") != before)


@pytest.fixture
def world(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack, smtp: Smtp) -> Iterator[World]:
    made = World(binaries, tmp_path, kafka, slack, smtp)
    yield made
    for sink in (made.slack, made.mail):
        sink.kill()
        print(sink.log.read_text() if sink.log.exists() else "no log")


def test_slack_tells_in_the_words_of_channel_and_team(world: World) -> None:
    channels = {"own": world.hook("own"), "plain": world.hook("plain")}
    words = {"own": [{"event": "node.repair.*", "title": "never"},
                     {"title": "[{{cluster}}] {{title}} <!channel>", "summary": "channel: {{summary}}", "facts": [{"name": "Owner", "value": "{{team}}"}]}]}
    world.configure(world.slack, channels, words)
    world.slack.start()
    world.slack.wait_ready()
    world.events.put("a")
    own, plain = world.wait_told("own", 1)[0], world.wait_told("plain", 1)[0]
    assert "[prod] Node ready again" in own and "channel: This is a." in own and "Owner" in own and "Cluster" not in own
    assert "[prod]" not in plain and "This is a." in plain and "Cluster" in plain
    assert not world.stage.of("own")[0].active_markup()
    # The team's words go before the channel's, and count on every channel of its subscription.
    world.reload(world.slack, lambda: world.configure(world.slack, channels, words, {"event": "node.ready", "summary": "team {{team}}: {{object.name}}"}))
    world.events.put("b")
    own, plain = world.wait_told("own", 2)[1], world.wait_told("plain", 2)[1]
    assert "[prod] Node ready again" in own and "team ops: b" in own and "channel:" not in own
    assert "[prod]" not in plain and "team ops: b" in plain
    world.reload(world.slack, lambda: world.configure(world.slack, channels, {}))
    world.events.put("c")
    assert "[prod]" not in world.wait_told("own", 3)[2] and "This is c." in world.wait_told("own", 3)[2]
    world.slack.wait_settled(3)
    assert [r["reason"] for r in world.slack.receipts()] == ["delivered"] * 6
    assert world.slack.metric("klaxon_sink_template_failures_total") == 0
    assert world.slack.stop() == 0


def test_a_template_that_cannot_be_filled_in_costs_no_message(world: World) -> None:
    deep = "{{#data.list}}" * NESTED + "{{^data}}x{{/data}}" + "{{/data.list}}" * NESTED
    world.configure(world.slack, {"own": world.hook("own")}, {"own": {"title": f"own {deep}", "advice": "Call us"}})
    world.slack.start()
    world.slack.wait_ready()
    data = {"summary": "This is a.", "object": {"kind": "Node", "name": "a"}, "labels": {}, "list": list(range(1, 2000))}
    world.events.put_raw(json.dumps(data).encode(), event_headers("a"))
    world.events.put("b")
    first, second = world.wait_told("own", 2)
    assert "Node ready again" in first and "own" not in first and "Call us" in first
    assert "own" in second and "Node ready again" not in second
    world.slack.wait_settled(2)
    assert world.slack.metric("klaxon_sink_template_failures_total", channel="own") == 1
    log = world.slack.log.read_text()
    assert "channels.own.message.title: too much work for this event" in log
    assert world.slack.stop() == 0 and not world.slack.dead_letters()


def test_a_digest_is_told_in_words_of_its_own(world: World) -> None:
    words = {"own": [{"event": "digest", "title": "{{digest.events}} more", "facts": []}, {"title": "own {{title}}"}]}
    world.configure(world.slack, {"own": world.hook("own")}, words, {"summary": "team: {{object.name}}"}, throttle={"messages": 1, "per": "3s"})
    world.slack.start()
    world.slack.wait_ready()
    world.events.put("a", "b", "c", "d")
    first, digest = world.wait_told("own", 2)
    assert "own Node ready again" in first and "team: a" in first
    assert "3 more" in digest and "own" not in digest and "team" not in digest and "More came than this channel is sent" in digest
    world.slack.wait_settled(4)
    assert world.slack.stop() == 0


def test_a_bad_template_keeps_the_words_before_it(world: World) -> None:
    channels = {"own": world.hook("own")}
    world.configure(world.slack, channels, {"own": {"title": "good"}})
    world.slack.start()
    world.slack.wait_ready()
    world.configure(world.slack, channels, {"own": {"title": "{{titel}}"}})
    world.slack.wait("refused", lambda: world.slack.metric("klaxon_config_reload_failed") == 1)
    assert 'did you mean \\"title\\"?' in world.slack.log.read_text()
    world.events.put("a")
    assert "good" in world.wait_told("own", 1)[0]
    assert world.slack.stop() == 0


def test_a_mail_is_in_the_words_of_channel_and_team(world: World) -> None:
    channels = {"mail": world.mailbox()}
    words = {"mail": {"subject": "[{{cluster}}] {{subject}}\r\nBcc: x@stage.example", "summary": "channel: {{summary}} <b>&</b>", "facts": []}}
    world.configure(world.mail, channels, words)
    world.events.put("a", incident="i1", incidentseq="1", phase="open")
    world.mail.start()
    [first] = world.smtp.mails.wait_count("mails", 1, timeout=40)
    assert first.message["Subject"] == "[prod] Node a (prod) Bcc: x@stage.example" and first.message["Bcc"] is None
    assert "channel: This is a. <b>&</b>" in (first.part("plain") or "") and "Reason" not in (first.part("plain") or "")
    assert "channel: This is a. &lt;b&gt;&amp;&lt;/b&gt;" in (first.part("html") or "")
    world.mail.wait_ready()
    world.reload(world.mail, lambda: world.configure(world.mail, channels, words, [{"advice": "Call {{team}}"}, {"summary": "team: {{object.name}}"}]))
    world.events.put("b", incident="i1", incidentseq="2", phase="update")
    second = world.smtp.mails.wait_count("mails", 2, timeout=40)[1]
    assert second.message["Subject"].startswith("[prod] Node b (prod)") and second.message["References"] == first.message["References"]
    assert "team: b" in (second.part("plain") or "") and "What to do: Call ops" in (second.part("plain") or "")
    world.mail.wait_settled(2)
    assert world.mail.stop() == 0
