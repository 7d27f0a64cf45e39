"""Reads a calendar as the runbook writes it, in YAML: headings, lists, and lines of `key: value`.  Nothing else.

    daily:
      - task: 'VACUUM ANALYZE high_traffic_tables'
        time: '02:00 UTC'

A whole YAML reader would be a dependency with tags, anchors and numbers in base sixty ("02:00" is 120 there), for a
file of eight lines.  What this subset does not know is refused with its line (docs/decisions/0005).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from pgrunbook.config import read_text
from pgrunbook.errors import UsageError

_HEADING = re.compile(r"(?P<key>[A-Za-z_]+):\Z")
_PAIR = re.compile(r"(?P<indent> *)(?P<dash>- +)?(?P<key>[A-Za-z_]+):(?: +(?P<value>\S.*))?\Z")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ./:+-]*\Z")
_SINGLE = re.compile(r"'((?:[^']|'')*)'\Z")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\["\\])*)"\Z')
_COMMENT = re.compile(r"""((?:[^'"#]|'(?:[^']|'')*'|"(?:[^"\\]|\\.)*"|(?<=\S)#)*?)(?:(?:(?<=\s)|(?<=\A))#.*)?\Z""")

Content = dict[str, list[dict[str, str]]]


def load(path: Path) -> Content:
    """The file's calendar.  Raises UsageError that names file and line."""
    return parse(read_text(path), str(path))


def parse(text: str, origin: str) -> Content:
    r"""Read the text.

    >>> parse("daily:\n  - task: vacuum\n    time: '02:00 UTC'  # at night\n", "calendar.yaml")
    {'daily': [{'task': 'vacuum', 'time': '02:00 UTC'}]}
    """
    reader = _Reader(origin=origin)
    for number, line in enumerate(text.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").splitlines(), start=1):
        reader.take(number, line)
    return reader.content


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Takes line by line; `dash_indent` and `key_indent` are those of the item at hand."""

    origin: str
    content: Content = field(default_factory=dict)
    heading: str = ""
    dash_indent: int = -1
    key_indent: int = -1

    def take(self, number: int, line: str) -> None:
        """One line."""
        match = _COMMENT.match(line)
        bare = (match[1] if match is not None else line).rstrip()
        if not bare or (bare == "---" and not self.content):
            return
        if "\t" in bare:
            raise self._wrong(number, "a tab; YAML is indented by spaces")
        if (heading := _HEADING.match(bare)) is not None:
            self._begin(number, heading["key"])
        elif (pair := _PAIR.match(bare)) is not None and pair["value"] is not None:
            self._pair(number, pair)
        else:
            raise self._wrong(number, f"{bare.strip()!r} is no heading and no `key: value`")

    def _begin(self, number: int, key: str) -> None:
        if key in self.content:
            raise self._wrong(number, f"{key} stands there twice")
        self.content[key] = []
        self.heading, self.dash_indent, self.key_indent = key, -1, -1

    def _pair(self, number: int, pair: re.Match[str]) -> None:
        if not self.heading:
            raise self._wrong(number, "a list must stand under a heading such as daily:")
        items, indent = self.content[self.heading], len(pair["indent"])
        if pair["dash"] is not None:
            if self.dash_indent not in {-1, indent}:
                raise self._wrong(number, "the list's items are indented differently")
            self.dash_indent, self.key_indent = indent, indent + len(pair["dash"])
            items.append({})
        elif not items:
            raise self._wrong(number, "the list's first item must begin with a dash")
        elif indent != self.key_indent:
            raise self._wrong(number, f"it must be indented by {self.key_indent} spaces like the item's first line")
        if pair["key"] in items[-1]:
            raise self._wrong(number, f"{pair['key']} stands twice in one item")
        items[-1][pair["key"]] = self._value(number, pair["value"])

    def _value(self, number: int, text: str) -> str:
        if (single := _SINGLE.match(text)) is not None:
            return single[1].replace("''", "'")
        if (double := _DOUBLE.match(text)) is not None:
            return re.sub(r"\\(.)", r"\1", double[1])
        if _PLAIN.match(text) is None or ": " in text or text.endswith(":"):
            raise self._wrong(number, f"{text!r} cannot be read; put it in single quotes")
        return text

    def _wrong(self, number: int, what: str) -> UsageError:
        return UsageError(
            f"{self.origin}, line {number}: {what}",
            hint="A calendar holds headings such as daily:, and items such as - task: 'vacuum' with time: '02:00 UTC'.",
        )
