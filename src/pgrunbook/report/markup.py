"""HTML and SVG that cannot be broken by what stands in a database: everything that is not Markup is escaped.

Text is cleaned of control and bidirectional characters, too, for a name must look like what it is.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

from pgrunbook.report.words import clean


class Markup(str):
    """Text that is markup already.  Only `tag`, `joined` and constants of ours make it."""

    __slots__ = ()


Content: TypeAlias = str | int | float | Iterable["Content"] | None
Attribute: TypeAlias = str | int | float | bool | None

_VOID = frozenset({"br", "col", "hr", "input", "link", "meta"})


def escaped(content: Content) -> Markup:
    """Content as markup; an iterable is joined, None is nothing.

    >>> escaped("<b>"), escaped(["a", None, Markup("<br>")])
    ('&lt;b&gt;', 'a<br>')
    """
    if content is None:
        return Markup()
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(html.escape(clean(content)))
    if isinstance(content, int | float):
        return Markup(content)
    return Markup("".join(escaped(item) for item in content))


def tag(name: str, /, *content: Content, **attributes: Attribute) -> Markup:
    """One element.  A trailing underscore is cut off attribute names, the others become hyphens; None, False: left out.

    >>> tag("p", "a & b", class_="x", data_id=3, hidden=True)
    '<p class="x" data-id="3" hidden>a &amp; b</p>'
    """
    shown = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{escaped(content)}</{name}>")


def _attribute(key: str, value: Attribute) -> str:
    name = key.removesuffix("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(clean(str(value)))}"'


def joined(separator: str, items: Iterable[Content]) -> Markup:
    """Escaped items with an escaped separator between them."""
    return Markup(escaped(separator).join(escaped(item) for item in items))
