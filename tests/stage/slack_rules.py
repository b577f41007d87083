"""What Slack's incoming webhooks accept: the documented limits, in one place.

Lengths are counted in UTF-16 code units, the strictest reading of Slack's "characters".
"""

from __future__ import annotations

import re
from typing import Any

BLOCKS_MAX = 50
ALL_BLOCKS_TEXT_MAX = 13200  # not documented; in the sum over all blocks
ATTACHMENTS_MAX = 100
MARKDOWN_TEXT_MAX = 12000
TEXT_MAX = 40000  # longer text is cut by Slack, not refused
ID_MAX = 255
URL_MAX = 3000

_COMMON = {"type", "block_id"}
_KEYS = {
    "section": {"text", "fields", "accessory", "expand"},
    "header": {"text"},
    "divider": set(),
    "context": {"elements"},
    "actions": {"elements"},
    "image": {"image_url", "alt_text", "title", "slack_file"},
    "markdown": {"text"},
    "rich_text": {"elements"},
    "table": {"rows", "column_settings"},
}
_MESSAGE_KEYS = {"text", "blocks", "attachments", "thread_ts", "mrkdwn", "response_type", "replace_original", "delete_original",
                 "unfurl_links", "unfurl_media", "metadata", "channel", "username", "icon_emoji", "icon_url", "link_names", "parse"}


class Refused(Exception):
    """`code` is the body of the answer, `why` says where: "/blocks/3/text: more than 3000 characters"."""

    def __init__(self, code: str, why: str):
        super().__init__(f"{code}: {why}")
        self.code, self.why = code, why


class _Invalid(Exception):
    """A block that is not acceptable, with its JSON pointer."""


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def check_message(message: Any, api: bool = False) -> None:
    """Raises Refused for the first thing that Slack would not take. api: arguments of the Web API, whose names were looked at."""
    if not isinstance(message, dict):
        raise Refused("invalid_payload", "the body is not a JSON object")
    unknown = sorted(set(message) - _MESSAGE_KEYS)
    if unknown and not api:
        raise Refused("invalid_payload", f"/{unknown[0]}: no such property of a message")
    if message.get("text") is not None and not isinstance(message["text"], str):
        raise Refused("invalid_payload", "/text: not a string")
    _check_metadata(message.get("metadata"))
    blocks, attachments = message.get("blocks") or [], message.get("attachments") or []
    if not message.get("text") and not blocks and not attachments:
        raise Refused("no_text", "neither text nor blocks nor attachments")
    _refuse("invalid_blocks", _check_blocks, blocks, "/blocks")
    _check_attachments(attachments)
    total = _text_units(blocks) + sum(_text_units(one.get("blocks") or []) for one in attachments)
    if total > ALL_BLOCKS_TEXT_MAX:
        raise Refused("msg_blocks_too_long", f"{total} characters in all blocks, more than {ALL_BLOCKS_TEXT_MAX}")


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or set(metadata) != {"event_type", "event_payload"} or not isinstance(metadata["event_type"], str):
        raise Refused("invalid_metadata_format", "/metadata: event_type and event_payload, and nothing else")
    payload = metadata["event_payload"]
    if not isinstance(payload, dict) or not all(isinstance(value, str | int | float | bool) for value in payload.values()):
        raise Refused("invalid_metadata_schema", "/metadata/event_payload: not flat")


def _refuse(code: str, check: Any, *args: Any) -> None:
    try:
        check(*args)
    except _Invalid as problem:
        raise Refused(code, str(problem)) from None


def _check_attachments(attachments: Any) -> None:
    if not isinstance(attachments, list) or not all(isinstance(one, dict) for one in attachments):
        raise Refused("invalid_attachments", "/attachments: not a list of objects")
    if len(attachments) > ATTACHMENTS_MAX:
        raise Refused("too_many_attachments", f"{len(attachments)}, more than {ATTACHMENTS_MAX}")
    for i, one in enumerate(attachments):
        _refuse("invalid_attachments", _check_attachment, one, f"/attachments/{i}")


def _check_attachment(one: dict, at: str) -> None:
    color = one.get("color")
    if color is not None and not re.fullmatch(r"good|warning|danger|#[0-9a-fA-F]{6}", str(color)):
        raise _Invalid(f"{at}/color: {color!r} is no colour")
    for key, most in (("title", 1024), ("footer", 300), ("fallback", TEXT_MAX)):
        if key in one:
            _check_length(one[key], f"{at}/{key}", 0, most)
    _check_blocks(one.get("blocks") or [], f"{at}/blocks")


def _check_blocks(blocks: Any, at: str) -> None:
    if not isinstance(blocks, list):
        raise _Invalid(f"{at}: not a list")
    if len(blocks) > BLOCKS_MAX:
        raise _Invalid(f"{at}: no more than {BLOCKS_MAX} items allowed")
    _check_unique([block.get("block_id") for block in blocks if isinstance(block, dict)], at, "block_id")
    for i, block in enumerate(blocks):
        _check_block(block, f"{at}/{i}")
    markdown = sum(units(block["text"]) for block in blocks if block["type"] == "markdown")
    if markdown > MARKDOWN_TEXT_MAX:
        raise _Invalid(f"{at}: {markdown} characters of markdown, more than {MARKDOWN_TEXT_MAX}")


def _check_block(block: Any, at: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind not in _KEYS:
        raise _Invalid(f"{at}/type: unsupported type: {kind}")
    unknown = sorted(set(block) - _COMMON - _KEYS[kind])
    if unknown:
        raise _Invalid(f"{at}: invalid additional property: {unknown[0]}")
    if "block_id" in block:
        _check_length(block["block_id"], f"{at}/block_id", 1, ID_MAX)
    check = _CHECKS.get(kind)
    if check is not None:
        check(block, at)


def _check_section(block: dict, at: str) -> None:
    if not block.get("text") and not block.get("fields"):
        raise _Invalid(f"{at}: missing required field: text or fields")
    if "text" in block:
        _check_text(block["text"], f"{at}/text", 3000)
    fields = _check_list(block.get("fields", []), f"{at}/fields", 0, 10)
    for i, field in enumerate(fields):
        _check_text(field, f"{at}/fields/{i}", 2000)
    if "accessory" in block:
        _check_element(block["accessory"], f"{at}/accessory")


def _check_header(block: dict, at: str) -> None:
    _check_text(block.get("text"), f"{at}/text", 150, ("plain_text",))


def _check_context(block: dict, at: str) -> None:
    for i, element in enumerate(_check_list(block.get("elements"), f"{at}/elements", 1, 10)):
        if isinstance(element, dict) and element.get("type") == "image":
            _check_image(element, f"{at}/elements/{i}")
        else:
            _check_text(element, f"{at}/elements/{i}", 3000)


def _check_actions(block: dict, at: str) -> None:
    elements = _check_list(block.get("elements"), f"{at}/elements", 1, 25)
    for i, element in enumerate(elements):
        _check_element(element, f"{at}/elements/{i}")
    _check_unique([element.get("action_id") for element in elements], at, "action_id")


def _check_element(element: Any, at: str) -> None:
    if not isinstance(element, dict) or "type" not in element:
        raise _Invalid(f"{at}: not an element")
    if element["type"] == "image":
        _check_image(element, at)
    if element["type"] != "button":
        return
    _check_text(element.get("text"), f"{at}/text", 75, ("plain_text",))
    for key, most in (("value", 2000), ("url", URL_MAX), ("action_id", ID_MAX)):
        if key in element:
            _check_length(element[key], f"{at}/{key}", 1, most)
    if "url" in element and not re.match(r"https?://[^\s<>]+$", element["url"]):
        raise _Invalid(f"{at}/url: not a URL")
    if element.get("style", "primary") not in ("primary", "danger"):
        raise _Invalid(f"{at}/style: {element['style']!r}")


def _check_image(block: dict, at: str) -> None:
    _check_length(block.get("image_url"), f"{at}/image_url", 1, URL_MAX)
    _check_length(block.get("alt_text"), f"{at}/alt_text", 1, 2000)


def _check_markdown(block: dict, at: str) -> None:
    _check_length(block.get("text"), f"{at}/text", 1, MARKDOWN_TEXT_MAX)


def _check_rich_text(block: dict, at: str) -> None:
    _check_list(block.get("elements"), f"{at}/elements", 1, 1000)


def _check_table(block: dict, at: str) -> None:
    for i, row in enumerate(_check_list(block.get("rows"), f"{at}/rows", 1, 100)):
        _check_list(row, f"{at}/rows/{i}", 1, 20)


_CHECKS = {
    "section": _check_section, "header": _check_header, "context": _check_context, "actions": _check_actions,
    "image": _check_image, "markdown": _check_markdown, "rich_text": _check_rich_text, "table": _check_table,
}


def _check_text(text: Any, at: str, most: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> None:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        raise _Invalid(f"{at}: not a text object of type {' or '.join(kinds)}")
    allowed = {"type", "text", "emoji"} if text["type"] == "plain_text" else {"type", "text", "verbatim"}
    if set(text) - allowed:
        raise _Invalid(f"{at}: invalid additional property: {sorted(set(text) - allowed)[0]}")
    _check_length(text.get("text"), f"{at}/text", 1, most)


def _check_length(text: Any, at: str, least: int, most: int) -> None:
    if not isinstance(text, str):
        raise _Invalid(f"{at}: not a string")
    if units(text) < least:
        raise _Invalid(f"{at}: must be more than {least - 1} characters")
    if units(text) > most:
        raise _Invalid(f"{at}: must be less than {most + 1} characters")


def _check_list(items: Any, at: str, least: int, most: int) -> list:
    if not isinstance(items, list) or len(items) < least:
        raise _Invalid(f"{at}: must have at least {least} items")
    if len(items) > most:
        raise _Invalid(f"{at}: no more than {most} items allowed")
    return items


def _check_unique(ids: list, at: str, name: str) -> None:
    given = [one for one in ids if one is not None]
    if len(given) != len(set(given)):
        raise _Invalid(f"{at}: {name} must be unique")


def texts(node: Any) -> list[tuple[str, str]]:
    """(type, text) of every text that a reader sees, depth first; the type is mrkdwn where the node has none, as an attachment."""
    if isinstance(node, list):
        return [found for item in node for found in texts(item)]
    if not isinstance(node, dict):
        return []
    own = [(str(node.get("type", "mrkdwn")), node["text"])] if isinstance(node.get("text"), str) else []
    return own + [found for key, value in node.items() if key != "text" or not own for found in texts(value)]


def _text_units(blocks: list) -> int:
    return sum(units(text) for _, text in texts(blocks))


def active_markup(message: dict) -> list[str]:
    """What Slack would act on: <!channel>, <@U…>, <#C…>, <https://…|label>, wherever mrkdwn is read. Escaped text leaves none."""
    marked = [message["text"]] if isinstance(message.get("text"), str) else []
    marked += [text for kind, text in texts([message.get("blocks"), message.get("attachments")]) if kind == "mrkdwn"]
    return [found for text in marked for found in re.findall(r"<[^>\n]*>", text)]
