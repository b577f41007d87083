"""Slack's Web API: auth.test, chat.postMessage and chat.update, with the tokens, scopes, channels and limits that the documentation names.

    token = slack.new_bot("klaxon")                     # xoxb-…, with chat:write
    channel = slack.new_channel("ops")                  # its ID; every bot is a member
    slack.api_url                                       # http://127.0.0.1:…/api/
    …
    [post] = slack.channel("ops").posts                 # as it stands there now
    post.payload["text"], post.edits, post.replies

What was accepted is in `slack.messages` as well, in order, under the channel's name. Faults name the channel as `hook`, or a `method`.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import slack_rules
from .web import Exchange

if TYPE_CHECKING:
    from .slack import Slack, SlackFault

# Errors that a fault may name; with those of slack_rules, all that the documentation of the three methods lists.
CODES = """
    access_denied account_inactive accesslimited app_access_restricted attachment_payload_limit_exceeded block_mismatch cannot_reply_to_message
    cant_broadcast_message cant_update_message channel_not_found deprecated_endpoint edit_window_closed ekm_access_denied
    enterprise_is_restricted external_channel_migrating fatal_error internal_error invalid_arg_name invalid_arguments invalid_array_arg
    invalid_attachments invalid_auth invalid_blocks invalid_blocks_format invalid_charset invalid_form_data invalid_metadata_format
    invalid_metadata_schema invalid_post_type is_archived is_inactive markdown_text_conflict message_limit_exceeded message_not_found
    messages_tab_disabled metadata_must_be_sent_from_app metadata_too_large method_deprecated missing_post_type missing_scope
    msg_blocks_too_long msg_too_long no_permission no_text not_allowed_token_type not_authed not_in_channel org_login_required rate_limited
    ratelimited request_timeout restricted_action restricted_action_non_threadable_channel restricted_action_read_only_channel
    restricted_action_thread_locked restricted_action_thread_only_channel service_unavailable slack_connect_file_link_sharing_blocked
    streaming_state_conflict team_access_not_granted team_added_to_org team_not_found thread_not_found token_expired token_revoked
    too_many_attachments two_factor_setup_required unknown_method update_failed
""".split()

POST_KEYS = {"channel", "text", "blocks", "attachments", "markdown_text", "thread_ts", "reply_broadcast", "metadata", "unfurl_links",
             "unfurl_media", "mrkdwn", "parse", "link_names", "username", "icon_emoji", "icon_url"}
UPDATE_KEYS = {"channel", "ts", "text", "blocks", "attachments", "markdown_text", "metadata", "parse", "link_names", "reply_broadcast", "file_ids"}
UPDATE_TEXT_MAX = 4000
PLACES = ("channel", "ts", "thread_ts", "reply_broadcast")


@dataclass
class SlackPost:
    """A message that stands in a channel: `payload` is what it is now, `edits` how often it was changed."""

    ts: str
    bot: str
    payload: dict[str, Any]
    edits: int = 0
    thread_ts: str | None = None
    broadcast: bool = False
    replies: list["SlackPost"] = field(default_factory=list)


@dataclass
class SlackChannel:
    id: str
    name: str
    archived: bool = False
    members_only: bool = False  # and the bot is none
    posts: list[SlackPost] = field(default_factory=list)  # at the top; replies are below their parents
    free_at: float = 0

    def find(self, ts: str) -> SlackPost | None:
        every = self.posts + [reply for post in self.posts for reply in post.replies]
        return next((post for post in every if post.ts == ts), None)

    def remove(self, ts: str) -> None:
        """As somebody who may delete it does."""
        self.posts = [post for post in self.posts if post.ts != ts]


@dataclass
class _Bot:
    name: str
    scopes: tuple[str, ...]
    revoked: bool = False


class WebApi:
    def __init__(self, slack: "Slack"):
        self._slack = slack
        self._bots: dict[str, _Bot] = {}  # by token
        self._channels: dict[str, SlackChannel] = {}  # by ID
        self._lock = threading.Lock()
        self._ts = 0

    def new_bot(self, name: str, scopes: tuple[str, ...]) -> str:
        token = f"xoxb-{secrets.randbelow(10**12):012}-{secrets.token_hex(12)}"
        with self._lock:
            self._bots[token] = _Bot(name, scopes)
        return token

    def revoke(self, name: str) -> None:
        with self._lock:
            for bot in self._bots.values():
                bot.revoked = bot.revoked or bot.name == name

    def new_channel(self, name: str) -> SlackChannel:
        with self._lock:
            channel = SlackChannel("C" + secrets.token_hex(5).upper(), name)
            self._channels[channel.id] = channel
            return channel

    def channel(self, name: str) -> SlackChannel:
        with self._lock:
            return next(channel for channel in self._channels.values() if name in (channel.name, channel.id))

    # one call

    def serve(self, exchange: Exchange) -> None:
        method = exchange.route_path.removeprefix("/api/")
        if method == "auth.test":
            self._probe(exchange)
            return
        args = self._arguments(exchange)
        name = self._name_of(args.get("channel"))
        fault = self._slack.take_fault(name, method)
        if fault is None:
            return
        try:
            if self._by_command(exchange, name, fault):
                return
            answer = self._call(method, exchange, args)
        except slack_rules.Refused as refused:
            self._refuse(exchange, name, refused.code, refused.why)
            return
        if fault.cut:
            self._slack.cut(exchange, name, fault)
        else:
            self._slack.answer(exchange, name, 200, json.dumps(answer), {"Content-Type-Options": "nosniff"})

    def _probe(self, exchange: Exchange) -> None:
        try:
            fault = self._slack.faults.standing(method="auth.test")
            if fault is not None and fault.method and fault.error:
                raise slack_rules.Refused(fault.error, "by command")
            bot = self._authenticate(exchange)
            exchange.send(200, {"ok": True, "url": self._slack.url, "team": "stage", "user": bot.name, "team_id": "T1", "user_id": "U1",
                                "bot_id": "B1"})
        except slack_rules.Refused as refused:
            exchange.send(200, {"ok": False, "error": refused.code})

    def _by_command(self, exchange: Exchange, name: str, fault: "SlackFault") -> bool:
        if fault.cut and fault.at == "request":
            self._slack.cut(exchange, name, fault)
        elif fault.error is not None:
            raise slack_rules.Refused(fault.error, "by command")
        elif fault.status is not None or fault.retry_after is not None:
            status, body, headers = fault.answer() or (500, "", {})
            self._slack.answer(exchange, name, status, body, headers, "by command")
        else:
            return False
        return True

    def _refuse(self, exchange: Exchange, name: str, code: str, why: str) -> None:
        answer: dict[str, Any] = {"ok": False, "error": code}
        if code.startswith("invalid_"):
            answer |= {"errors": [why], "response_metadata": {"messages": [f"[ERROR] {why}"]}}
        if code == "missing_scope":
            answer |= {"needed": "chat:write", "provided": "identify"}
        if code == "ratelimited":
            self._slack.answer(exchange, name, 429, json.dumps(answer), {"Retry-After": "1"}, why)
        else:
            self._slack.answer(exchange, name, 200, json.dumps(answer), why=why)

    def _arguments(self, exchange: Exchange) -> dict[str, Any]:
        try:
            args = json.loads(exchange.body or b"{}")
        except ValueError:
            return {}
        return args if isinstance(args, dict) else {}

    def _name_of(self, channel: Any) -> str:
        found = self._find(channel)
        return found.name if found else ""

    def _find(self, channel: Any) -> SlackChannel | None:
        with self._lock:
            found = self._channels.get(str(channel))
            by_name = [one for one in self._channels.values() if one.name == str(channel).removeprefix("#")]
            return found or (by_name[0] if by_name else None)

    def _call(self, method: str, exchange: Exchange, args: dict[str, Any]) -> dict[str, Any]:
        bot = self._authenticate(exchange)
        if method not in ("chat.postMessage", "chat.update"):
            raise slack_rules.Refused("unknown_method", method)
        if "chat:write" not in bot.scopes:
            raise slack_rules.Refused("missing_scope", f"{bot.name} has {bot.scopes}")
        self._check_request(exchange)
        return self._post(bot, args) if method == "chat.postMessage" else self._update(bot, args)

    def _authenticate(self, exchange: Exchange) -> _Bot:
        scheme, _, token = exchange.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise slack_rules.Refused("not_authed", "no bearer token")
        with self._lock:
            bot = self._bots.get(token)
        if bot is None:
            raise slack_rules.Refused("invalid_auth", "nobody's token")
        if bot.revoked:
            raise slack_rules.Refused("token_revoked", bot.name)
        return bot

    def _check_request(self, exchange: Exchange) -> None:
        if exchange.command != "POST":
            raise slack_rules.Refused("invalid_post_type", exchange.command)
        if exchange.headers.get("Content-Type", "").replace(" ", "").lower() != "application/json;charset=utf-8":
            raise slack_rules.Refused("invalid_post_type", exchange.headers.get("Content-Type", ""))

    def _open_channel(self, args: dict[str, Any], by_id: bool) -> SlackChannel:
        channel = self._find(args.get("channel"))
        if channel is None or (by_id and channel.id != args["channel"]):
            raise slack_rules.Refused("channel_not_found", str(args.get("channel")))
        if channel.archived:
            raise slack_rules.Refused("is_archived", channel.name)
        if channel.members_only:
            raise slack_rules.Refused("not_in_channel", channel.name)
        return channel

    def _post(self, bot: _Bot, args: dict[str, Any]) -> dict[str, Any]:
        _check_keys(args, POST_KEYS)
        channel = self._open_channel(args, False)
        slack_rules.check_message(args, api=True)
        parent = None
        if args.get("thread_ts") is not None:
            parent = next((post for post in channel.posts if post.ts == args["thread_ts"]), None)
            if parent is None:
                raise slack_rules.Refused("message_not_found", f"no parent {args['thread_ts']}")
        self._keep_pace(channel)
        with self._lock:
            self._ts += 1
            message = {key: value for key, value in args.items() if key not in PLACES}
            post = SlackPost(f"{int(time.time())}.{self._ts:06}", bot.name, message, thread_ts=args.get("thread_ts"),
                             broadcast=bool(args.get("reply_broadcast")))
            (parent.replies if parent else channel.posts).append(post)
        self._slack.accept(channel.name, args, "chat.postMessage")
        return {"ok": True, "channel": channel.id, "ts": post.ts, "message": message | {"type": "message", "ts": post.ts}}

    def _update(self, bot: _Bot, args: dict[str, Any]) -> dict[str, Any]:
        _check_keys(args, UPDATE_KEYS)
        channel = self._open_channel(args, True)
        post = channel.find(str(args.get("ts")))
        if post is None:
            raise slack_rules.Refused("message_not_found", str(args.get("ts")))
        if post.bot != bot.name:
            raise slack_rules.Refused("cant_update_message", f"{post.bot} posted it")
        message = {key: value for key, value in args.items() if key not in PLACES}
        slack_rules.check_message(message, api=True)
        if slack_rules.units(message.get("text") or "") > UPDATE_TEXT_MAX:
            raise slack_rules.Refused("msg_too_long", f"text: more than {UPDATE_TEXT_MAX} characters")
        with self._lock:
            post.payload = post.payload | message  # what is left out stays as it was
            post.edits += 1
        self._slack.accept(channel.name, args, "chat.update")
        return {"ok": True, "channel": channel.id, "ts": post.ts, "text": message.get("text", "")}

    def _keep_pace(self, channel: SlackChannel) -> None:
        with self._lock:
            now = time.monotonic()
            if self._slack.rate_limit and channel.free_at > now:
                raise slack_rules.Refused("ratelimited", "more than one a second")
            channel.free_at = now + 1


def _check_keys(args: dict[str, Any], known: set[str]) -> None:
    unknown = sorted(set(args) - known)
    if unknown:
        raise slack_rules.Refused("invalid_arguments", f"/{unknown[0]}: no such argument")
