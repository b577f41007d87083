"""What a workflow of Teams takes: the envelope, and Adaptive Cards up to version 1.5 as Teams shows them. Strict: what is not documented is refused.

Sources: adaptivecards.io/explorer (elements and properties of the schema 1.5), "Cards reference" and "Format cards" of Teams' documentation
(msteams.width, mentions, what Teams does not support).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

MESSAGE_BYTES_MAX = 28 * 1024  # "approximately 28 KB", everything included; Teams keeps messages in UTF-16
MENTIONS_MAX = 20
CARD = "application/vnd.microsoft.card.adaptive"
VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5")


class Refused(Exception):
    """`status` and `code` as Power Automate or Teams says them; `why` says where: "/body/3/facts/0/value: 3 is not a string"."""

    def __init__(self, status: int, code: str, why: str):
        super().__init__(f"{status} {code}: {why}")
        self.status, self.code, self.why = status, code, why


class _Invalid(Exception):
    """A card that is not acceptable, with its JSON pointer."""


def size_of(card: Any) -> int:
    return len(json.dumps(card, ensure_ascii=False, separators=(",", ":")).encode("utf-16-le", "surrogatepass"))


def read_envelope(message: Any) -> list[Any]:
    """The cards, as the trigger and the loop of Teams' template see them. A trigger looks at little; the run fails at the rest."""
    if not isinstance(message, dict):
        raise Refused(400, "TriggerInputSchemaMismatch", "the body is not a JSON object")
    attachments = message.get("attachments")
    if attachments is None:
        raise Refused(0, "InvalidTemplate", "the 'foreach' property is of type 'Null': there are no attachments")
    if not isinstance(attachments, list):
        raise Refused(400, "TriggerInputSchemaMismatch", "attachments: expected an array")
    for i, one in enumerate(attachments):
        missing = [name for name in ("contentType", "content") if not isinstance(one, dict) or name not in one]
        if missing:
            raise Refused(400, "TriggerInputSchemaMismatch", f"attachments[{i}]: required properties are missing from object: {', '.join(missing)}")
    if message.get("type") != "message" or not attachments:
        raise Refused(0, "InvalidTemplate", "no message with a card")
    if any(one["contentType"] != CARD for one in attachments):
        raise Refused(0, "BadRequest", f"contentType is not {CARD}")
    return [one["content"] for one in attachments]


def check_card(card: Any) -> None:
    """Raises Refused for the first thing that Teams would not show: the status is Teams' answer to the flow."""
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        raise Refused(400, "BadRequest", "Property 'type' must be 'AdaptiveCard'")
    try:
        _check_root(card)
    except _Invalid as problem:
        raise Refused(400, "BadRequest", str(problem)) from None
    if size_of(card) > MESSAGE_BYTES_MAX:
        raise Refused(413, "RequestEntityTooLarge", f"Request Entity too large: {size_of(card)} bytes")


# What may stand in a property

Check = Callable[[Any, str], None]


def _text(value: Any, at: str) -> None:
    if not isinstance(value, str):
        raise _Invalid(f"{at}: {value!r} is not a string")


def _bool(value: Any, at: str) -> None:
    if not isinstance(value, bool):
        raise _Invalid(f"{at}: {value!r} is not a boolean")


def _number(value: Any, at: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Invalid(f"{at}: {value!r} is not a number")


def _url(value: Any, at: str) -> None:
    """Clean: nothing that a URL is not made of."""
    _text(value, at)
    if not re.fullmatch(r"https?://[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]+", value):
        raise _Invalid(f"{at}: {value!r} is not a URL")


def _image_url(value: Any, at: str) -> None:
    _url(value, at)
    if not value.startswith("https://"):
        raise _Invalid(f"{at}: images are taken by https only")


def _anything(value: Any, at: str) -> None:
    pass


def _one_of(*names: str) -> Check:
    def check(value: Any, at: str) -> None:
        _text(value, at)
        if value.lower() not in [name.lower() for name in names]:
            raise _Invalid(f"{at}: {value!r} is none of {', '.join(names)}")
    return check


def _list_of(check: Check, least: int = 1) -> Check:
    def check_list(value: Any, at: str) -> None:
        if not isinstance(value, list) or len(value) < least:
            raise _Invalid(f"{at}: not a list of at least {least}")
        for i, one in enumerate(value):
            check(one, f"{at}/{i}")
    return check_list


def _object(properties: dict[str, Check], *required: str) -> Check:
    def check(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            raise _Invalid(f"{at}: not an object")
        _check_properties(value, at, properties, required)
    return check


def _check_properties(value: dict, at: str, properties: dict[str, Check], required: tuple[str, ...]) -> None:
    for name, inner in value.items():
        if name not in properties:
            raise _Invalid(f"{at}: there is no property {name!r} of {value.get('type', 'this')}")
        properties[name](inner, f"{at}/{name}")
    for name in required:
        if name not in value:
            raise _Invalid(f"{at}: required property {name!r} is missing")


COLOR = _one_of("default", "dark", "light", "accent", "good", "warning", "attention")
SIZE = _one_of("default", "small", "medium", "large", "extraLarge")
WEIGHT = _one_of("default", "lighter", "bolder")
FONT = _one_of("default", "monospace")
SPACING = _one_of("default", "none", "small", "medium", "large", "extraLarge", "padding")
STYLE = _one_of("default", "emphasis", "good", "attention", "warning", "accent")
HORIZONTAL = _one_of("left", "center", "right")
VERTICAL = _one_of("top", "center", "bottom")
HEIGHT = _one_of("auto", "stretch")
_COMMON: dict[str, Check] = {"type": _text, "id": _text, "isVisible": _bool, "separator": _bool, "spacing": SPACING, "height": HEIGHT,
                             "fallback": _anything, "requires": _anything}
_ACTION: dict[str, Check] = {"type": _text, "id": _text, "title": _text, "iconUrl": _image_url, "tooltip": _text, "isEnabled": _bool,
                             "style": _one_of("default"), "mode": _one_of("primary", "secondary"), "fallback": _anything, "requires": _anything}


def _element(value: Any, at: str) -> None:
    _check_kind(value, at, _ELEMENTS, _COMMON)


def _action(value: Any, at: str) -> None:
    _check_kind(value, at, _ACTIONS, _ACTION)


def _check_kind(value: Any, at: str, kinds: dict[str, tuple[dict[str, Check], tuple[str, ...]]], common: dict[str, Check]) -> None:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in kinds:
        raise _Invalid(f"{at}: Teams shows no {kind!r}")
    properties, required = kinds[kind]
    _check_properties(value, at, common | properties, required)


def _inline(value: Any, at: str) -> None:
    if not isinstance(value, str):
        _RUN(value, at)


def _column_width(value: Any, at: str) -> None:
    if isinstance(value, str) and not re.fullmatch(r"auto|stretch|\d+px|\d+", value):
        raise _Invalid(f"{at}: {value!r} is no width")
    if not isinstance(value, str):
        _number(value, at)


_RUN = _object({"type": _one_of("TextRun"), "text": _text, "color": COLOR, "fontType": FONT, "highlight": _bool, "isSubtle": _bool, "italic": _bool,
                "size": SIZE, "strikethrough": _bool, "underline": _bool, "weight": WEIGHT, "selectAction": _action}, "type", "text")
_FACT = _object({"title": _text, "value": _text}, "title", "value")
_BOX: dict[str, Check] = {"style": STYLE, "bleed": _bool, "minHeight": _text, "verticalContentAlignment": VERTICAL, "selectAction": _action,
                          "backgroundImage": _anything, "rtl": _bool}
_COLUMN = _object(_COMMON | _BOX | {"items": _list_of(_element), "width": _column_width})
_CELL = _object(_COMMON | _BOX | {"items": _list_of(_element)}, "type", "items")
_ROW = _object({"type": _one_of("TableRow"), "cells": _list_of(_CELL), "style": STYLE, "horizontalCellContentAlignment": HORIZONTAL,
                "verticalCellContentAlignment": VERTICAL}, "type")
_ELEMENTS: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    "TextBlock": ({"text": _text, "color": COLOR, "fontType": FONT, "horizontalAlignment": HORIZONTAL, "isSubtle": _bool, "maxLines": _number,
                   "size": SIZE, "weight": WEIGHT, "wrap": _bool, "style": _one_of("default", "heading")}, ("text",)),
    "RichTextBlock": ({"inlines": _list_of(_inline), "horizontalAlignment": HORIZONTAL}, ("inlines",)),
    "FactSet": ({"facts": _list_of(_FACT)}, ("facts",)),
    "Container": (_BOX | {"items": _list_of(_element)}, ("items",)),
    "ColumnSet": (_BOX | {"columns": _list_of(_COLUMN), "horizontalAlignment": HORIZONTAL}, ()),
    "ActionSet": ({"actions": _list_of(_action)}, ("actions",)),
    "Image": ({"url": _image_url, "altText": _text, "backgroundColor": _text, "horizontalAlignment": HORIZONTAL, "selectAction": _action,
               "size": _one_of("auto", "stretch", "small", "medium", "large"), "style": _one_of("default", "person"), "width": _text}, ("url",)),
    "Table": ({"columns": _list_of(_object({"type": _text, "width": _column_width, "horizontalCellContentAlignment": HORIZONTAL,
                                            "verticalCellContentAlignment": VERTICAL})),
               "rows": _list_of(_ROW), "firstRowAsHeader": _bool, "showGridLines": _bool, "gridStyle": STYLE}, ()),
}
# Action.Submit and Action.Execute need a bot; Media is not shown in Teams.
_ACTIONS: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    "Action.OpenUrl": ({"url": _url}, ("url",)),
    "Action.ShowCard": ({"card": _anything}, ("card",)),
    "Action.ToggleVisibility": ({"targetElements": _list_of(_anything)}, ("targetElements",)),
}
_SINCE = {"Table": "1.5", "RichTextBlock": "1.2", "ActionSet": "1.2", "Action.ToggleVisibility": "1.2"}
_ENTITY = _object({"type": _one_of("mention"), "text": _text, "mentioned": _object({"id": _text, "name": _text}, "id", "name")},
                  "type", "text", "mentioned")
_MSTEAMS = _object({"width": _one_of("Full"), "entities": _list_of(_ENTITY)})
_ROOT = _object({"type": _text, "$schema": _url, "version": _one_of(*VERSIONS), "body": _list_of(_element), "actions": _list_of(_action),
                 "fallbackText": _text, "speak": _text, "lang": _text, "selectAction": _action, "minHeight": _text, "rtl": _bool,
                 "backgroundImage": _anything, "verticalContentAlignment": VERTICAL, "msteams": _MSTEAMS}, "type", "version", "body")


def _check_root(card: dict) -> None:
    _ROOT(card, "")
    ids = [node["id"] for node in _nodes(card) if "id" in node and "type" in node and node["type"] != "mention"]
    if len(ids) != len(set(ids)):
        raise _Invalid("an id stands there twice")
    for node in _nodes(card):
        since = _SINCE.get(str(node.get("type")), "1.0")
        if since > card["version"]:
            raise _Invalid(f"{node['type']} needs version {since}, the card says {card['version']}")
    _check_mentions(card)


def _check_mentions(card: dict) -> None:
    """Every tag has its entity, equal to the letter, and every entity is mentioned."""
    entities = card.get("msteams", {}).get("entities", [])
    known = {entity["text"] for entity in entities}
    used = {tag for text in markdown_texts(card) for tag in re.findall(r"<at\b[^>]*>.*?</at>", text, re.I | re.S)}
    if used != known:
        raise _Invalid(f"mentions: {sorted(used)} in the card, {sorted(known)} in msteams.entities")
    for entity in entities:
        if entity["text"] != f"<at>{entity['mentioned']['name']}</at>":
            raise _Invalid(f"mentions: {entity['text']} is not the name {entity['mentioned']['name']!r}")
    if len(entities) > MENTIONS_MAX:
        raise _Invalid(f"mentions: more than {MENTIONS_MAX}")


# What a reader sees

def _nodes(node: Any) -> list[dict]:
    if isinstance(node, list):
        return [found for one in node for found in _nodes(one)]
    if isinstance(node, dict):
        return [node] + [found for one in node.values() for found in _nodes(one)]
    return []


def markdown_texts(card: Any) -> list[str]:
    """Every text in which Teams reads markdown."""
    found = []
    for node in _nodes(card):
        if node.get("type") == "TextBlock":
            found.append(node["text"])
        elif set(node) == {"title", "value"}:
            found += [node["title"], node["value"]]
    return found + ([card["fallbackText"]] if isinstance(card, dict) and "fallbackText" in card else [])


def plain_texts(card: Any) -> list[str]:
    return [node["text"] for node in _nodes(card) if node.get("type") == "TextRun"]


_MARKDOWN = re.compile(r"\[[^\]]*\]\(|[*`~<>\\]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|&#?\w+;|^\s*(?:[-+*]|\d+[.)])(?:\s|$)|^#|\{\{(?:DATE|TIME)\(")


def active_markup(card: dict) -> list[str]:
    """What Teams, or one of its renderers, would act on, but for mentions that the card declares."""
    tags = [entity["text"] for entity in card.get("msteams", {}).get("entities", [])]
    found = []
    for text in markdown_texts(card):
        for tag in tags:
            text = text.replace(tag, "")
        found += _MARKDOWN.findall(text)
    for text in plain_texts(card):
        found += re.findall(r"</?at\b[^>]*>|\{\{(?:DATE|TIME)\(", text, re.I)
    return found


def lines(card: dict) -> list[str]:
    """A card in letters, from top to bottom."""
    shown: list[str] = []
    for node in _nodes(card.get("body", [])):
        kind = node.get("type")
        if kind == "RichTextBlock":
            shown.append("".join(one if isinstance(one, str) else one["text"] for one in node["inlines"]))
        elif kind == "TextBlock":
            shown.append(re.sub(r"</?at>", "", node["text"]))
        elif kind == "FactSet":
            shown += [f"{fact['title']}: {fact['value']}" for fact in node["facts"]]
    return shown + [f"[{action['title']}] {action.get('url', '')}" for action in card.get("actions", [])]
