"""Functions and procedures: language, volatility, rights, and the source of SQL and PL/pgSQL ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function.  `kind` is pg_proc.prokind; `volatility` i, s or v; `source` is None for other languages.

    A function with a parsed body (BEGIN ATOMIC or RETURN, `has_parsed_body`) has an empty source;
    `called_oids` are the functions that such a body calls (built-in ones are not recorded).
    """

    oid: int
    schema: str
    name: str
    arguments: str
    language: str
    kind: str
    volatility: str
    security_definer: bool
    returns_set: bool
    argument_count: int
    settings: tuple[str, ...]
    owner: str | None
    source: str | None
    has_parsed_body: bool
    called_oids: tuple[int, ...]
    of_extension: bool

    @property
    def qualified(self) -> str:
        """`schema.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.name)


FUNCTIONS = Question(name="functions", row=Function, folder=Path(__file__).parent)
