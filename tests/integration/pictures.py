"""Messages as pictures (SVG), roughly as Teams and Slack lay them out: for docs/channels/, made of golden files and kept by the tests of the channels."""

from __future__ import annotations

import os
import textwrap
from html import escape
from pathlib import Path
from typing import Any

WIDTH, PAD, CHARACTERS = 760, 16, 88
BACK = {"attention": "#fdf3f4", "warning": "#fffbe9", "good": "#f1faf1", "emphasis": "#f5f5f5", "default": "#ffffff"}
FRONT = {"attention": "#c4314b", "warning": "#835c00", "good": "#237b4b", "emphasis": "#242424", "default": "#242424"}
SIZES = {"Large": 19, "Default": 14, "Small": 12}


class Picture:
    """What has been drawn so far, from the top down."""

    def __init__(self) -> None:
        self._y = PAD
        self._parts: list[str] = []

    def frame(self, fonts: str) -> str:
        height = self._y + 2 * PAD
        frame = f'<rect x="{PAD}" y="{PAD}" width="{WIDTH - 2 * PAD}" height="{height - 2 * PAD}" rx="4" fill="#ffffff" stroke="#d1d1d1"/>'
        body = "\n".join([frame, *self._parts])
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
                f'font-family="{fonts}">\n{body}\n</svg>\n')

    def text(self, words: str, x: int, size: int, color: str, bold: bool = False, mono: bool = False) -> None:
        style = ' font-weight="600"' if bold else ""
        style += ' font-family="monospace"' if mono else ""
        self._parts.append(f'<text x="{x}" y="{self._y}" font-size="{size}" fill="{color}"{style} xml:space="preserve">{escape(words)}</text>')


class TeamsCard(Picture):
    def rich(self, block: dict[str, Any], color: str) -> None:
        runs = block["inlines"]
        how = runs[0]
        size = SIZES[how.get("size", "Default")]
        words = "".join(run["text"] for run in runs)
        subtle = "#616161" if how.get("isSubtle") else color
        for line in textwrap.wrap(words, CHARACTERS * 14 // size):
            self._y += size + 4
            lead = how["text"] if len(runs) > 1 and line.startswith(how["text"]) else ""
            self.text(line, PAD * 2, size, subtle, not lead and len(runs) == 1 and how.get("weight") == "Bolder", how.get("fontType") == "Monospace")
        self._y += 4

    def facts(self, facts: list[dict[str, str]]) -> None:
        for fact in facts:
            self._y += 18
            self.text(fact["title"], PAD * 2, 14, "#242424", bold=True)
            self.text(fact["value"], PAD * 2 + 150, 14, "#242424")
        self._y += 6

    def container(self, box: dict[str, Any]) -> None:
        top, place = self._y, len(self._parts)
        style = box.get("style", "default")
        self._y += 4
        for item in box["items"]:
            self.rich(item, FRONT[style])
        self._y += 6
        x = PAD if box.get("bleed") else PAD * 2 - 6
        self._parts.insert(place, f'<rect x="{x}" y="{top}" width="{WIDTH - 2 * x}" height="{self._y - top}" fill="{BACK[style]}"/>')
        self._y += 4

    def card(self, card: dict[str, Any]) -> str:
        for element in card["body"]:
            if element["type"] == "Container":
                self.container(element)
            elif element["type"] == "FactSet":
                self.facts(element["facts"])
            else:
                self.rich(element, "#242424")
        return self.frame("Segoe UI, Helvetica, Arial, sans-serif")


class SlackMessage(Picture):
    INK, SUBTLE, LEFT, SECOND = "#1d1c1d", "#616061", 2 * PAD + 14, 390
    BARS = {"danger": "#a30200", "warning": "#daa038", "good": "#2eb67d"}

    def lines(self, words: str, size: int = 15, color: str = INK, bold: bool = False, characters: int = 84) -> None:
        for line in textwrap.wrap(words, characters):
            self._y += size + 6
            self.text(line, self.LEFT, size, color, bold)

    def header(self, block: dict[str, Any]) -> None:
        self.lines(block["text"]["text"], 18, bold=True, characters=70)
        self._y += 4

    def section(self, block: dict[str, Any]) -> None:
        self.lines(block["text"]["text"])
        self._y += 6
        fields = [field["text"].split("\n", 1) for field in block.get("fields", [])]
        for row in (fields[i:i + 2] for i in range(0, len(fields), 2)):
            for place, words in enumerate(row):
                for line, text in enumerate(words):
                    self._parts.append(f'<text x="{(self.LEFT, self.SECOND)[place]}" y="{self._y + 20 + 20 * line}" font-size="14" fill="{self.INK}" '
                                       f'xml:space="preserve">{escape(text)}</text>')
            self._y += 46

    def rich_text(self, block: dict[str, Any]) -> None:
        for element in block["elements"]:
            words = "".join(run["text"] for run in element["elements"])
            if element["type"] == "rich_text_preformatted":
                self._parts.append(f'<rect x="{self.LEFT}" y="{self._y + 8}" width="{WIDTH - self.LEFT - 3 * PAD}" height="30" rx="4" fill="#f8f8f8" '
                                   'stroke="#dddddd"/>')
                self._y += 28
                self.text(words, self.LEFT + 8, 13, self.INK, mono=True)
                self._y += 12
            else:
                self.lines(words)

    def context(self, block: dict[str, Any]) -> None:
        self._y += 2
        self.lines(" ".join(element["text"] for element in block["elements"]), 12, self.SUBTLE)

    def message(self, payload: dict[str, Any]) -> str:
        self._y += 22
        self.text("klaxon", 2 * PAD, 15, self.INK, bold=True)
        self.text("APP", 2 * PAD + 58, 10, self.SUBTLE)
        self._y += 2
        for line in textwrap.wrap(payload["text"], 84):
            self._y += 21
            self.text(line, 2 * PAD, 15, self.INK)
        for attachment in payload["attachments"]:
            self._y += 8
            top = self._y
            for block in attachment["blocks"]:
                getattr(self, block["type"])(block)
            self._parts.append(f'<rect x="{2 * PAD}" y="{top}" width="4" height="{self._y - top + 6}" rx="2" fill="{self.BARS.get(attachment["color"], attachment["color"])}"/>')
        return self.frame("Lato, Helvetica, Arial, sans-serif")


def is_drawn(path: Path, picture: str) -> bool:
    """Whether the picture in the documentation is this one. KLX_GOLDEN_UPDATE=1 draws it anew."""
    if os.environ.get("KLX_GOLDEN_UPDATE"):
        path.write_text(picture)
    return path.read_text() == picture
