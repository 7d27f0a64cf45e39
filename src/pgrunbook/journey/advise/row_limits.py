"""Counted statements whose LIMIT is hidden, as the planner should see them: with the rows that they really gave.

pg_stat_statements shows `LIMIT $2`, for which the planner takes a tenth of all rows.  The rows counted for each call
say more.  The same whole number each time is the limit.  Else some calls found fewer rows than they asked for: a scan
in the order asked for then reads everything, so that the statement is planned both ways, with that many rows and with
no limit, and an index must be good for both.
"""

from __future__ import annotations

import copy
import math
from typing import Any, Final

from pgrunbook.journey.workload.demand import Asked
from pgrunbook.pg.parse import ParseFailed, Parser, Tree
from pgrunbook.pg.trees import nodes

CALLS_MIN: Final = 5  # fewer say little of how many rows there usually are


def ways(text: str, asked: Asked, parser: Parser) -> tuple[str, ...]:
    """The texts to plan in its place, each of them as important; the text itself where no limit is hidden."""
    if asked.calls < CALLS_MIN:
        return (text,)
    try:
        tree = parser.statement(text)
        number = _hidden_limit(tree)
        if number is None:
            return (text,)
        unlimited = parser.sql(_without(tree, number, None))
        if asked.rows == 0:
            return (unlimited,)
        limited = parser.sql(_without(tree, number, math.ceil(asked.rows / asked.calls)))
    except ParseFailed:
        return (text,)
    return (limited,) if asked.rows % asked.calls == 0 else (limited, unlimited)


def _hidden_limit(tree: Tree) -> int | None:
    """The number of the parameter that is the outermost LIMIT and nothing else."""
    select = tree.get("select_stmt", {})
    limit = select.get("limit_count", {}).get("param_ref")
    if limit is None or select.get("limit_option") != "LIMIT_OPTION_COUNT":
        return None
    number = int(limit.get("number", 0))
    uses = sum(1 for kind, node in nodes(tree) if kind == "param_ref" and node.get("number") == number)
    return number if uses == 1 else None


def _without(tree: Tree, number: int, rows: int | None) -> Tree:
    """The statement with this many rows (None: all) in place of a parameter; later ones move up by one."""
    made: dict[str, Any] = copy.deepcopy(dict(tree))
    select = made["select_stmt"]
    del select["limit_count"]
    if rows is not None:
        select["limit_count"] = {"a_const": {"ival": {"ival": rows}}}
    elif "limit_offset" not in select:
        select.pop("limit_option", None)
    for kind, node in nodes(made):
        if kind == "param_ref" and int(node.get("number", 0)) > number and isinstance(node, dict):
            node["number"] = int(node["number"]) - 1
    return made
