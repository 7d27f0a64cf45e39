"""Paragraphs on a terminal: wrapped with a hanging indent, never a trailing space, a figure never without its unit."""

from __future__ import annotations

import re

from rich.console import Console
from rich.text import Text

_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:ms|s|min|h|d|B|kB|MB|GB|TB|%)(?:\W|$))")
_GLUE = "\ue000"  # a letter to rich, which breaks at every space, no-break spaces too


class Lines:
    """Draws paragraph by paragraph on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @property
    def width(self) -> int:
        """Columns."""
        return self.console.width

    def text(self, text: Text, *, indent: int = 0, first: Text | None = None, max_lines: int | None = None) -> None:
        """One paragraph; `first` stands in the indent of its first line, what exceeds `max_lines` becomes …."""
        width = max(20, self.console.width - indent)
        glued = text.copy()
        glued.plain = _BEFORE_UNIT.sub(_GLUE, text.plain)
        lines = list(glued.wrap(self.console, width, tab_size=4))
        for piece in lines:
            piece.plain = piece.plain.replace(_GLUE, " ")
        if max_lines is not None and len(lines) > max_lines:
            lines = lines[:max_lines]
            lines[-1].truncate(width - 2)
            lines[-1].rstrip()
            lines[-1].append(" …")
        for number, piece in enumerate(lines or [Text()]):
            piece.rstrip()
            line = Text()  # without a style of its own, which would colour all that is appended
            if first is not None and number == 0:
                line.append_text(first)
            if piece.plain:
                line.append(" " * max(0, indent - line.cell_len)).append_text(piece)
            self.console.print(line, soft_wrap=True)

    def paragraph(
        self, words: str, *, style: str = "", indent: int = 0, first: str = "", first_style: str = "bold"
    ) -> None:
        """Plain words in one style."""
        head = Text(first, style=first_style) if first else None
        self.text(Text(words, style=style), indent=indent, first=head)

    def heading(self, words: str) -> None:
        """A line in bold."""
        self.text(Text(words, style="bold"))

    def blank(self) -> None:
        """An empty line."""
        self.console.print()
