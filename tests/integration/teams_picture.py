"""A card as a picture (SVG), roughly as Teams lays it out: for docs/channels/teams.md, made of a golden file and kept by test_teams.py."""

from __future__ import annotations

import textwrap
from html import escape
from typing import Any

WIDTH, PAD, CHARACTERS = 760, 16, 88
BACK = {"attention": "#fdf3f4", "warning": "#fffbe9", "good": "#f1faf1", "emphasis": "#f5f5f5", "default": "#ffffff"}
FRONT = {"attention": "#c4314b", "warning": "#835c00", "good": "#237b4b", "emphasis": "#242424", "default": "#242424"}
SIZES = {"Large": 19, "Default": 14, "Small": 12}


class Picture:
    def __init__(self) -> None:
        self._y = PAD
        self._parts: list[str] = []

    def text(self, words: str, x: int, size: int, color: str, bold: bool = False, mono: bool = False) -> None:
        style = ' font-weight="600"' if bold else ""
        style += ' font-family="monospace"' if mono else ""
        self._parts.append(f'<text x="{x}" y="{self._y}" font-size="{size}" fill="{color}"{style} xml:space="preserve">{escape(words)}</text>')

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
        height = self._y + 2 * PAD
        frame = (f'<rect x="{PAD}" y="{PAD}" width="{WIDTH - 2 * PAD}" height="{height - 2 * PAD}" rx="4" fill="#ffffff" stroke="#d1d1d1"/>')
        body = "\n".join([frame, *self._parts])
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
                f'font-family="Segoe UI, Helvetica, Arial, sans-serif">\n{body}\n</svg>\n')
