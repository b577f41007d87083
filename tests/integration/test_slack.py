"""The Slack sink: what its unit tests hold for right is what the stage's Slack takes, which was written from the documentation apart; and a
bot's messages as they stand in a channel in the end."""
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from cluster import Kafka
from pictures import SlackMessage, is_drawn
from sink_process import Events, Sink, new_prefix
from stage import Slack

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = sorted((ROOT / "tests/golden/slack").glob("*.json"))
BOT_GOLDEN = sorted((ROOT / "tests/golden/slack_bot").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_slack_takes_every_golden_message(slack: Slack, path: Path) -> None:
    got = requests.post(slack.new_hook("ops"), json=json.loads(path.read_text()), timeout=5)
    assert (got.status_code, got.text) == (200, "ok"), slack.attempts.all()
    assert slack.messages.all()[0].active_markup() == []


@pytest.mark.parametrize("path", BOT_GOLDEN, ids=[path.stem for path in BOT_GOLDEN])
def test_slack_takes_every_part_of_a_bots_payload(slack: Slack, path: Path) -> None:
    payload = json.loads(path.read_text())
    headers = {"Authorization": f"Bearer {slack.new_bot()}", "Content-Type": "application/json; charset=utf-8"}
    channel = slack.new_channel("ops")

    def call(method: str, **args: object) -> dict:
        answer = requests.post(slack.api_url + method, data=json.dumps(args), headers=headers, timeout=5).json()
        assert answer["ok"], slack.attempts.all()
        return answer

    first = call("chat.postMessage", channel="#ops", unfurl_links=False, unfurl_media=False, **payload["message"])
    assert first["channel"] == channel
    call("chat.update", channel=channel, ts=first["ts"], parse="none", **payload["message"])
    call("chat.postMessage", channel=channel, thread_ts=first["ts"], reply_broadcast=True, **payload.get("reply", payload["message"]))
    assert [message.active_markup() for message in slack.messages.all()] == [[], [], []]


def test_the_picture_in_the_docs_is_the_golden_message() -> None:
    payload = json.loads((ROOT / "tests/golden/slack/node.repair.stuck.json").read_text())
    assert is_drawn(ROOT / "docs/channels/slack.svg", SlackMessage().message(payload))


class Bot:
    """A sink with one channel, where a bot posts, and incidents for it to tell of."""

    def __init__(self, binaries: Path, directory: Path, kafka: Kafka, slack: Slack):
        self.slack = slack
        self.channel_id = slack.new_channel("ops")
        self._secret = directory / "token"
        self._secret.write_text(slack.new_bot())
        prefix = new_prefix(kafka)
        self._events = Events(kafka, prefix)
        self.sink = Sink(binaries, directory, kafka, prefix, "slack")

    def configure(self, channel: str | None = None, **settings: object) -> None:
        bot = {"token": {"file": str(self._secret)}, "channel": channel or self.channel_id, "base_url": self.slack.api_url} | settings
        self.sink.configure({"ops": bot}, [{"team": "operations", "topics": ["nodes"], "channels": ["ops"]}])

    def put(self, event: str, phase: str, number: int, severity: str) -> None:
        self._events.put(event, incident="b25f05a30bef0c342924385b6eaed613", phase=phase, incidentseq=str(number), severity=severity)

    def wait_calls(self, count: int) -> list[str]:
        return [message.method for message in self.slack.messages.wait_count("accepted calls", count, 40)]

    @property
    def posts(self):
        return self.slack.channel("ops").posts


@pytest.fixture
def bot(binaries: Path, tmp_path: Path, kafka: Kafka, slack: Slack) -> Iterator[Bot]:
    made = Bot(binaries, tmp_path, kafka, slack)
    yield made
    made.sink.kill()
    print(made.sink.log.read_text() if made.sink.log.exists() else "no log")


def test_a_bot_posts_to_a_channel_by_name_and_says_where(bot: Bot) -> None:
    bot.configure(channel="#ops")
    bot.put("a", "open", 1, "warning")
    bot.sink.start()
    assert bot.wait_calls(1) == ["chat.postMessage"]
    bot.sink.wait_settled(1)
    [post] = bot.posts
    assert post.payload["metadata"]["event_payload"]["id"] == "a"
    [receipt] = bot.sink.receipts()
    assert (receipt["reason"], receipt["answer"]) == ("delivered", f"ok, channel {bot.channel_id}, ts {post.ts}")
    assert bot.sink.stop() == 0
    log = bot.sink.log.read_text()
    assert bot._secret.read_text() not in log + json.dumps(receipt)


def test_a_revoked_token_keeps_the_messages(bot: Bot) -> None:
    bot.configure()
    bot.slack.revoke_bot()
    bot.put("a", "open", 1, "warning")
    bot.sink.start()
    bot.sink.wait("circuit", lambda: bot.sink.metric("klaxon_sink_circuit_open", channel="ops") == 1)
    assert "token_revoked; its messages are kept" in bot.sink.text("readyz")
    assert bot.posts == [] and bot.sink.dead_letters() == []


def test_slack_asks_for_a_pause(bot: Bot) -> None:
    bot.configure()
    bot.slack.fault(method="chat.postMessage", retry_after=3)
    bot.put("a", "open", 1, "warning")
    bot.sink.start()
    bot.wait_calls(1)
    first, second = [attempt.at for attempt in bot.slack.attempts.all()]
    assert second - first >= 3


def tell(bot: Bot, number: int, phase: str, severity: str, calls: int) -> list[str]:
    """One more event of the incident, and so many calls in all that Slack has accepted afterwards."""
    bot.put(f"e{number}", phase, number, severity)
    return bot.wait_calls(calls)


def test_an_incident_is_one_message_across_a_restart(bot: Bot) -> None:
    bot.configure()
    bot.sink.start()
    tell(bot, 1, "open", "warning", 1)
    tell(bot, 2, "update", "warning", 2)
    bot.sink.wait_settled(2)
    assert bot.sink.stop() == 0
    bot.sink.start()  # what it knows of the incident is on klaxon.state
    tell(bot, 3, "update", "critical", 4)
    assert tell(bot, 4, "resolved", "info", 6) == ["chat.postMessage", "chat.update", "chat.update", "chat.postMessage", "chat.update",
                                                   "chat.postMessage"]
    bot.sink.wait_settled(2)
    [post] = bot.posts
    assert post.edits == 3 and post.payload["text"].startswith("Resolved: ")
    assert post.payload["metadata"]["event_payload"]["id"] == "e4"
    assert [(reply.payload["metadata"]["event_payload"]["id"], reply.broadcast) for reply in post.replies] == [("e3", True), ("e4", False)]
    assert [receipt["reason"] for receipt in bot.sink.receipts()] == ["delivered"] * 4


def test_a_message_that_somebody_deleted_is_posted_anew(bot: Bot) -> None:
    bot.configure()
    bot.sink.start()
    tell(bot, 1, "open", "warning", 1)
    bot.sink.wait_settled(1)
    bot.slack.channel("ops").remove(bot.posts[0].ts)
    tell(bot, 2, "update", "warning", 2)
    bot.sink.wait_settled(2)
    assert tell(bot, 3, "update", "warning", 3) == ["chat.postMessage", "chat.postMessage", "chat.update"]  # the new one is the incident's now
    bot.sink.wait_settled(3)
    [post] = bot.posts
    assert (post.edits, post.payload["metadata"]["event_payload"]["id"]) == (1, "e3")
    codes = {receipt["event"]: receipt["code"] for receipt in bot.sink.receipts()}
    assert codes["e2"] == "posted_anew"


def test_updates_in_the_thread_alone(bot: Bot) -> None:
    bot.configure(updates="thread", broadcast=False)
    bot.sink.start()
    tell(bot, 1, "open", "warning", 1)
    tell(bot, 2, "update", "critical", 2)
    tell(bot, 3, "resolved", "info", 3)
    bot.sink.wait_settled(3)
    [post] = bot.posts
    assert post.edits == 0 and [reply.broadcast for reply in post.replies] == [False, False]
