"""Statements as EXPLAIN takes them: which kinds the planner plans, and what normalised texts need changed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pgrunbook.pg.parse import Parser
from pgrunbook.pg.trees import nodes

PLANNED = frozenset({"select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"})
_TYPES = (
    r"timestamp(?: with(?:out)? time zone)?|timestamptz|time(?: with(?:out)? time zone)?|timetz|date|interval|numeric"
    r"|double precision|float8|float4|real|bool(?:ean)?|uuid|jsonb?|inet|cidr|bytea|int[248]|bigint|integer|smallint"
    r"|text|varchar|regclass|tsquery|tsvector|point|box|money|xml"
)
_TYPED = re.compile(rf"\b({_TYPES})\s+(\$\d+)", re.IGNORECASE)


class NotPlanned(ValueError):
    """A statement that the planner does not plan, such as CREATE TABLE or VACUUM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One statement that can be explained; `parameters` is the highest n of its $n, 0 without any."""

    text: str
    parameters: int


def explainable(text: str) -> str:
    """The text as EXPLAIN takes it: pg_stat_statements leaves `date $1` where `date '…'` was.

    >>> explainable("select * from t where at > now() - interval $1 and d = date $2")
    'select * from t where at > now() - ($1)::interval and d = ($2)::date'
    """
    return _TYPED.sub(r"(\2)::\1", text)


def planned(text: str, parser: Parser) -> Planned:
    """The text, checked to be one statement that the planner plans.  Raises ParseFailed or NotPlanned."""
    ready = explainable(text)
    tree = parser.statement(ready)
    if not PLANNED & tree.keys():
        raise NotPlanned("it is no statement that the planner plans")
    numbers = [int(node.get("number", 0)) for kind, node in nodes(tree) if kind == "param_ref"]
    return Planned(text=ready, parameters=max(numbers, default=0))
