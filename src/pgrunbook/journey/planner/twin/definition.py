"""CREATE INDEX statements as people write them, brought to the form in which they are tried: without a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_IDENTIFIER: Final = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
_NAME: Final = rf"{_IDENTIFIER}(?:\s*\.\s*{_IDENTIFIER})?"
_HEAD: Final = re.compile(
    rf"\s*create\s+(?P<unique>unique\s+)?index\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?"
    rf"(?:(?!on\s){_NAME}\s+)?on\s+(?P<only>only\s+)?(?P<table>{_NAME})(?P<rest>.*)\Z",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """An index to try; `key` is the same for statements that differ in name, spacing and CONCURRENTLY."""

    table: str
    statement: str

    @property
    def key(self) -> str:
        """What tells definitions apart."""
        return self.statement


def parsed(statement: str) -> Definition | None:
    """The definition, or None when it is no CREATE INDEX.

    >>> parsed("create index concurrently if not exists x on shop.t (a, b);").statement
    'CREATE INDEX ON shop.t (a, b)'
    >>> parsed("drop table t") is None
    True
    """
    match = _HEAD.match(statement.strip().rstrip(";").rstrip())
    if match is None:
        return None
    unique = "UNIQUE " if match["unique"] else ""
    only = "ONLY " if match["only"] else ""
    return Definition(
        table=match["table"], statement=f"CREATE {unique}INDEX ON {only}{match['table']} {match['rest'].strip()}"
    )
