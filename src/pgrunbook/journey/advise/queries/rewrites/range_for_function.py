"""A function around a column → a half-open range of the column, which an index can bound.

`date_trunc('month', t) = '2024-05-01'`, `t::date = …`, `extract(year from t) = 2024` each hold for one stretch of
time.  Which stretch that is depends on the time zone where the column is a timestamptz: only under UTC, which knows no
change of clocks, is it offered there.  What is no stretch (`extract(month …)`, `lower(…)`) needs an index on the
expression, which the insights advise.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal, whole
from pgrunbook.journey.advise.queries.relational import Named, Node, Scope, scopes
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.workload.conditions import disjuncts
from pgrunbook.model import literal
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import column_refs, names, nodes

_STEADY_ZONES = frozenset({"UTC", "Etc/UTC", "GMT", "Etc/GMT", "Zulu", "Etc/UCT", "UCT"})
_MOMENT = re.compile(r"\s*(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2})(?::(\d{2}))?)?\s*\Z")
_UNITS = frozenset("second minute hour day week month quarter year".split())
LAST_YEAR = 9000  # Python ends at 9999
_SIGNS = {"=": "=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


@dataclass(frozen=True, slots=True)
class _Range:
    sql: str
    facts: tuple[str, ...]
    caveat: str = ""


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal for all such conditions in WHERE."""
    tree, found = scopes(context)
    ranges: list[_Range] = []
    for scope in found:
        changed = []
        for condition in scope.conditions:
            branches = [_ranged(branch, scope, ranges) for branch in disjuncts(condition)]
            joined: Node = {"bool_expr": {"boolop": "OR_EXPR", "args": branches}}
            changed.append(branches[0] if len(branches) == 1 else joined)
        if ranges:
            scope.where(changed)
    if not ranges:
        return
    sql, parameters = context.sql(tree), context.query.asked.parameters
    yield Proposal(
        name="range_for_function",
        title="A range of the column instead of a function of it",
        sql=sql,
        why="the function's value is that one exactly within these bounds; an index on the column bounds a range",
        facts=tuple(dict.fromkeys(fact for one in ranges for fact in one.facts)),
        caveat="; ".join(dict.fromkeys(one.caveat for one in ranges if one.caveat)),
        parameters=parameters,
        pair=whole(context.query.text, sql, parameters=parameters),
    )


def _ranged(condition: Tree, scope: Scope, ranges: list[_Range]) -> Node:
    found = _range_of(condition, scope)
    if found is None:
        return dict(condition)
    ranges.append(found)
    made: Node = dict(scope.context.parser.expression(found.sql))
    return made


def _range_of(condition: Tree, scope: Scope) -> _Range | None:
    node = condition.get("a_expr", {})
    signs = names(node.get("name"))
    if node.get("kind") == "AEXPR_BETWEEN":
        bounds = node.get("rexpr", {}).get("list", {}).get("items", [])
        low = _one(node.get("lexpr", {}), ">=", bounds[0], scope) if len(bounds) == 2 else None
        high = _one(node.get("lexpr", {}), "<=", bounds[1], scope) if len(bounds) == 2 else None
        if low is None or high is None:
            return None
        return _Range(f"{low.sql} AND {high.sql}", low.facts, low.caveat or high.caveat)
    if node.get("kind") != "AEXPR_OP" or len(signs) != 1 or signs[0] not in _SIGNS:
        return None
    left, right = node.get("lexpr", {}), node.get("rexpr", {})
    return _one(left, signs[0], right, scope) or _one(right, _SIGNS[signs[0]], left, scope)


def _one(side: Node, sign: str, value: Node, scope: Scope) -> _Range | None:
    """`function(column) sign value`."""
    if any(column_refs(value)) or any(kind == "sub_link" for kind, _ in nodes([value])):
        return None
    cast = side.get("type_cast")
    call = side.get("func_call")
    if cast is not None and names(cast.get("type_name", {}).get("names"))[-1:] == ("date",):
        return _by_date(cast.get("arg", {}), sign, value, scope)
    if call is None:
        return None
    name, args = names(call.get("funcname"))[-1], call.get("args", [])
    if name == "date" and len(args) == 1:
        return _by_date(args[0], sign, value, scope)
    if name == "date_trunc" and len(args) == 2:
        return _truncated(args, sign, value, scope)
    if name in {"extract", "date_part"} and len(args) == 2:
        return _year(args, sign, value, scope)
    return None


def _column(tree: Node, scope: Scope, types: frozenset[str]) -> tuple[Named, tuple[str, ...]] | None:
    """The column, if it is of one of these types and its days do not depend on a changing clock."""
    named = scope.column(tree)
    if named is None or named.column.base_type_name not in types:
        return None
    facts = [f"{named.qualified} is {named.column.declared_type}"]
    if named.column.base_type_name == "timestamptz":
        if scope.context.time_zone not in _STEADY_ZONES:
            return None
        facts.append(f"the session's TimeZone is {scope.context.time_zone}, which has no change of clocks")
    return named, tuple(facts)


def _by_date(column: Node, sign: str, value: Node, scope: Scope) -> _Range | None:
    found = _column(column, scope, frozenset({"timestamp", "timestamptz"}))
    if found is None:
        return None
    (named, facts), kind = found, found[0].column.base_type_name
    day, caveat = _day(value, scope)
    if day is None:
        return None
    this, following = f"({day})::{kind}", f"({day} + 1)::{kind}"
    sql = {
        "=": f"{named.sql} >= {this} AND {named.sql} < {following}",
        ">=": f"{named.sql} >= {this}",
        ">": f"{named.sql} >= {following}",
        "<": f"{named.sql} < {this}",
        "<=": f"{named.sql} < {following}",
    }[sign]
    return _Range(sql, (*facts, *_zone_caveat(kind)), caveat)


def _day(value: Node, scope: Scope) -> tuple[str | None, str]:
    """The day as SQL; of a text only what is plainly a day."""
    inner = value.get("type_cast", {})
    is_cast = names(inner.get("type_name", {}).get("names"))[-1:] == ("date",)
    bare = inner.get("arg", {}) if is_cast else value
    text = bare.get("a_const", {}).get("sval", {}).get("sval")
    if text is not None:
        moment = _moment(text)
        is_day = moment is not None and moment == moment.replace(hour=0, minute=0, second=0)
        return (f"date {literal(text.strip()[:10])}", "") if is_day else (None, "")
    if "param_ref" in bare:
        return f"{scope.context.parser.text(bare)}::date", "it holds for every day that is not infinity"
    if value.get("sqlvalue_function", {}).get("op") == "SVFOP_CURRENT_DATE":
        return "current_date", ""
    return None, ""


def _truncated(args: list[Node], sign: str, value: Node, scope: Scope) -> _Range | None:
    unit, column = args
    found = _column(column, scope, frozenset({"timestamp", "timestamptz"}))
    word = str(unit.get("a_const", {}).get("sval", {}).get("sval", "")).lower()
    if found is None or word not in _UNITS or sign not in {"=", ">=", "<"}:
        return None
    (named, facts), kind = found, found[0].column.base_type_name
    moment = _moment(_text_of(value, kind))
    if moment is None or _floor(moment, word) != moment:
        return None
    start, end = f"{kind} {literal(str(moment))}", f"{kind} {literal(str(_next(moment, word)))}"
    sql = {
        "=": f"{named.sql} >= {start} AND {named.sql} < {end}",
        ">=": f"{named.sql} >= {start}",
        "<": f"{named.sql} < {start}",
    }[sign]
    return _Range(sql, (*facts, f"{moment} is the beginning of a {word}", *_zone_caveat(kind)))


def _text_of(value: Node, kind: str) -> str:
    """The text of a constant that is, or is taken for, a moment of the column's type."""
    cast = value.get("type_cast")
    if cast is not None:
        written = names(cast.get("type_name", {}).get("names"))[-1:]
        if written not in {(kind,), ("date",)}:
            return ""
        value = cast.get("arg", {})
    return str(value.get("a_const", {}).get("sval", {}).get("sval", ""))


def _year(args: list[Node], sign: str, value: Node, scope: Scope) -> _Range | None:
    unit, column = args
    found = _column(column, scope, frozenset({"timestamp", "timestamptz", "date"}))
    word = str(unit.get("a_const", {}).get("sval", {}).get("sval", "")).lower()
    year = value.get("a_const", {}).get("ival", {}).get("ival")
    if found is None or word != "year" or not isinstance(year, int) or not 1 <= year <= LAST_YEAR:
        return None
    (named, facts), kind = found, found[0].column.base_type_name
    this, following = f"{kind} '{year:04}-01-01'", f"{kind} '{year + 1:04}-01-01'"
    sql = {
        "=": f"{named.sql} >= {this} AND {named.sql} < {following}",
        ">=": f"{named.sql} >= {this}",
        ">": f"{named.sql} >= {following}",
        "<": f"{named.sql} < {this}",
        "<=": f"{named.sql} < {following}",
    }[sign]
    return _Range(sql, (*facts, *_zone_caveat(kind)))


def _zone_caveat(kind: str) -> tuple[str, ...]:
    return ("it holds in sessions with that TimeZone only",) if kind == "timestamptz" else ()


def _moment(text: str) -> dt.datetime | None:
    match = _MOMENT.match(text)
    if match is None:
        return None
    if int(match[1]) > LAST_YEAR:
        return None
    try:
        return dt.datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001 - as the column
    except ValueError:
        return None


def _floor(moment: dt.datetime, unit: str) -> dt.datetime:
    """The beginning of the unit that a moment is in, as date_trunc has it."""
    day = moment.replace(hour=0, minute=0, second=0)
    return {
        "second": moment,
        "minute": moment.replace(second=0),
        "hour": moment.replace(minute=0, second=0),
        "day": day,
        "week": day - dt.timedelta(days=day.weekday()),
        "month": day.replace(day=1),
        "quarter": day.replace(day=1, month=(day.month - 1) // 3 * 3 + 1),
        "year": day.replace(day=1, month=1),
    }[unit]


def _next(moment: dt.datetime, unit: str) -> dt.datetime:
    months = {"month": 1, "quarter": 3, "year": 12}.get(unit)
    if months is None:
        return moment + dt.timedelta(
            **{
                "second": {"seconds": 1},
                "minute": {"minutes": 1},
                "hour": {"hours": 1},
                "day": {"days": 1},
                "week": {"days": 7},
            }[unit]
        )
    place = moment.month - 1 + months
    return moment.replace(year=moment.year + place // 12, month=place % 12 + 1)
