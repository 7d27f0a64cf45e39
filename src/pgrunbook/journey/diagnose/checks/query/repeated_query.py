"""The same small query once for each row of another one's result (N+1).

Asks:    which look-ups by a key are repeated within one transaction; or run about as often as another statement
         returned rows; or are nearly all that the database does, by a foreign key's columns?
Unit:    calls; repeats is how often it began anew within one transaction, in a tenth of a second of watching.
Source:  pg_stat_statements, parsed; the activity sampled twenty times within a tenth of a second (twice in a window).
Blind:   no pg_stat_statements; texts that cannot be parsed.
Says:    Within one transaction of session {session} it began {repeats} times in a tenth of a second.
         It ran {calls} times, about once for each of the {parent_rows} rows that query {parent} returned.
         It ran {calls} times in the {window_s} watched.
         It ran {calls} times in the {counters_age_s} that its counters cover.
         It looks up {table} by {columns}, {rows_per_call} rows each: {query}
Section: Query Optimization
Leads:   a join, or one query for all keys: WHERE key = ANY($1)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.query_shape import gathers, top_select
from pgrunbook.journey.diagnose.query_texts import (
    TEXTS,
    TEXTS_LIKE,
    about,
    in_application,
    often_enough,
    query_texts,
    statement_costs,
    unreadable,
    unsure,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.constraints import CONSTRAINTS
from pgrunbook.journey.observe.repeats import REPEATS, Repeat
from pgrunbook.journey.workload.access import Access, Operation
from pgrunbook.journey.workload.costs import Cost
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When repetition is a pattern.

    `calls`: a page or two of rows, each with its look-up, a few times over.  `rows`: a look-up gives few rows.
    `repeats`: seen to begin so often within one transaction, in a tenth of a second.  `parent_rows`: a parent returns
    several rows; it returned between `ratio_min` and `ratio_max` times as many as there were look-ups.  `peers`: where
    more statements ran just as often they belong to one visit, and the number of rows is a coincidence.  `calls_ratio`:
    nearly all that clients sent, where the look-up is by a foreign key.
    """

    calls: int = 200
    rows: float = 100.0
    repeats: int = 4
    parent_rows: float = 3.0
    ratio_min: float = 0.9
    ratio_max: float = 1.1
    peers: int = 3
    calls_ratio: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class _LookUp:
    """A statement that finds rows of one table by equality with one value each."""

    cost: Cost
    access: Access
    table: TableFacts

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c for p in self.access.predicates if p.is_equality for c in p.key.columns))


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement: a warning where it was seen, a notice where the counters suggest it."""
    yield from unsure(seen)
    costs, repeats = seen.derived(statement_costs), _repeats(seen)
    often = [
        cost
        for cost in costs.toplevel
        if cost.rows_per_call <= limits.rows
        and (cost.calls >= often_enough(costs, limits.calls) or _repeat(cost, repeats) is not None)
    ]
    for cost in often:
        look_up = _look_up(cost, seen)
        if look_up is None:
            continue
        seen_at = _repeat(cost, repeats)
        if seen_at is not None and seen_at.starts >= limits.repeats:
            yield _finding(look_up, seen, seen_at=seen_at, parent=_parent(look_up, seen, limits))
        elif cost.calls >= often_enough(costs, limits.calls):
            parent = _parent(look_up, seen, limits)
            if parent is not None or _is_all(look_up, seen, limits):
                yield _finding(look_up, seen, parent=parent)
    yield from unreadable(seen, often)


def _repeats(seen: Seen) -> Mapping[int, Repeat]:
    """The most repeats that were seen of each statement, at either end of the window."""
    rows: Sequence[Repeat] = seen.rows_or_none(REPEATS) or ()
    window = seen.window(REPEATS) if rows and seen.snapshot.earlier is not None else None
    found: dict[int, Repeat] = {}
    for row in (*rows, *(window.before if window is not None else ())):
        held = found.get(row.queryid)
        if held is None or row.starts > held.starts:
            found[row.queryid] = row
    return found


def _repeat(cost: Cost, repeats: Mapping[int, Repeat]) -> Repeat | None:
    """The most repeats of any of a statement's entries."""
    found = [repeats[queryid] for queryid in cost.queryids if queryid in repeats]
    return max(found, key=lambda repeat: repeat.starts, default=None)


def _look_up(cost: Cost, seen: Seen) -> _LookUp | None:
    """The statement as a look-up; None when it is something else."""
    texts = seen.derived(query_texts)
    tree = texts.tree(cost)
    if tree is None or top_select(tree) is None or gathers(tree):
        return None
    found = texts.accesses(cost)
    if found is None or len(found.accesses) != 1 or found.unknown:
        return None
    (access,) = found.accesses
    equal = [p for p in access.predicates if p.operation is Operation.EQUAL and p.joined is None and p.values == 1]
    if not equal or access.write is not None:
        return None
    return _LookUp(cost=cost, access=access, table=texts.facts.of(access.table_oid))


def _parent(look_up: _LookUp, seen: Seen, limits: Limits) -> Cost | None:
    """A statement that returned, in all its calls, about as many rows as there were look-ups."""
    cost = look_up.cost
    mates = [other for other in seen.derived(statement_costs).toplevel if set(other.roles) & set(cost.roles)]
    if sum(abs(other.calls - cost.calls) <= 0.02 * cost.calls for other in mates) - 1 > limits.peers:
        return None
    near = [
        other
        for other in mates
        if other.queryid != cost.queryid
        and other.calls * limits.parent_rows <= other.rows
        and limits.ratio_min * cost.calls <= other.rows <= limits.ratio_max * cost.calls
    ]
    texts = seen.derived(query_texts)
    for other in sorted(near, key=lambda other: abs(other.rows - cost.calls)):
        tree = texts.tree(other)
        found = texts.accesses(other)
        if tree is not None and top_select(tree) is not None and found is not None and found.accesses:
            return other
    return None


def _is_all(look_up: _LookUp, seen: Seen, limits: Limits) -> bool:
    """Whether clients send hardly anything else, and it follows a foreign key from the parent's side."""
    costs = seen.derived(statement_costs)
    if look_up.cost.calls < limits.calls_ratio * costs.calls:
        return False
    oid = look_up.table.table.oid
    keys = [
        set(row.columns) for row in seen.rows_or_none(CONSTRAINTS) or () if row.kind == "f" and row.table_oid == oid
    ]
    return any(key == set(look_up.columns) for key in keys)


def _finding(look_up: _LookUp, seen: Seen, *, seen_at: Repeat | None = None, parent: Cost | None = None) -> Finding:
    cost, table = look_up.cost, look_up.table.qualified
    key = ", ".join(look_up.columns)
    return Finding(
        severity=Severity.WARNING if seen_at is not None else Severity.NOTICE,
        kind=Kind.QUERY,
        object=cost.object,
        related=(table, *((parent.object,) if parent is not None else ())),
        evidence=about(
            cost,
            seen.derived(statement_costs),
            seen,
            table=table,
            columns=look_up.columns,
            rows_per_call=round(cost.rows_per_call, 2),
            session=str(seen_at.pid) if seen_at is not None else None,
            application=seen_at.application or None if seen_at is not None else None,
            repeats=seen_at.starts if seen_at is not None else None,
            parent=parent.object if parent is not None else None,
            parent_rows=parent.rows if parent is not None else None,
        ),
        advice=(
            in_application(
                "Ask for all rows with one query",
                "join the two queries, or send all keys at once:",
                f"SELECT … FROM {table} WHERE {key} = ANY($1)",
            ),
        ),
    )


CHECK = Check(needs=TEXTS, likes=(*TEXTS_LIKE, REPEATS, CONSTRAINTS), judge=judge, limits=Limits())
