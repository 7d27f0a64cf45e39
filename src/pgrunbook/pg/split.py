"""A file of SQL → its statements, each with the comments before it; quotes, dollar quotes and comments respected.

Each statement goes to the parser alone, so that one that cannot be parsed spoils no other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
    (?P<line>--[^\n]*)
    | (?P<block>/\*)
    | (?P<escape>(?<![\w$])[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z))
    | (?P<quote>'(?:[^']|'')*(?:'|\Z))
    | (?P<name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<dollar>(?<![\w$])\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_NESTED = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One statement as it stands in the file; `comments` are the texts of those before it, `line` where it begins."""

    text: str
    comments: tuple[str, ...]
    line: int


def pieces(sql: str) -> Iterator[Piece]:
    r"""The statements of a text that is separated by semicolons.

    >>> [(p.text, p.comments, p.line) for p in pieces("-- weight: 3\nselect ';' /* ; */;\n\nselect $$;$$")]
    [("select ';' /* ; */", ('-- weight: 3',), 2), ('select $$;$$', (), 4)]
    """
    begin, at, depth = 0, 0, 0
    while (found := _TOKEN.search(sql, at)) is not None:
        at = found.end()
        kind = found.lastgroup
        if kind == "block":
            at = _block_end(sql, found.start())
        elif kind == "dollar":
            closed = sql.find(found.group(), at)
            at = closed + len(found.group()) if closed >= 0 else len(sql)
        elif kind == "open":
            depth += 1
        elif kind == "close":
            depth = max(0, depth - 1)
        elif kind == "end" and depth == 0:
            yield from _piece(sql, begin, found.start())
            begin = at
    yield from _piece(sql, begin, len(sql))


def _piece(sql: str, begin: int, end: int) -> Iterator[Piece]:
    comments = []
    while begin < end:
        if sql[begin].isspace():
            begin += 1
        elif sql.startswith("--", begin):
            stop = sql.find("\n", begin, end)
            stop = stop if stop >= 0 else end
            comments.append(sql[begin:stop].rstrip())
            begin = stop
        elif sql.startswith("/*", begin):
            stop = _block_end(sql, begin)
            comments.append(sql[begin:stop])
            begin = stop
        else:
            break
    text = sql[begin:end].rstrip()
    if text:
        yield Piece(text=text, comments=tuple(comments), line=sql.count("\n", 0, begin) + 1)


def _block_end(sql: str, begin: int) -> int:
    """Where a comment ends; PostgreSQL's may hold others."""
    depth = 0
    for found in _NESTED.finditer(sql, begin):
        depth += 1 if found.group() == "/*" else -1
        if depth == 0:
            return found.end()
    return len(sql)
