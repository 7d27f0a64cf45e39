"""OFFSET → keyset: continue after the last row of the page before, instead of counting up to it.

Needs a total order, else rows that tie could be lost or repeated: a unique key that is never NULL must be in ORDER BY,
or is put at its end (which only settles ties that were open before).  NULLs compare with nothing: every column of the
order must be NOT NULL.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal
from pgrunbook.journey.advise.queries.relational import (
    Named,
    Node,
    Scope,
    is_plain,
    is_steady,
    not_null,
    scopes,
    unique_keys,
)
from pgrunbook.journey.advise.queries.trial import MakePair, Pair, Trial
from pgrunbook.journey.diagnose.query_shape import has_offset
from pgrunbook.journey.workload.candidate import Candidate, IndexKey
from pgrunbook.journey.workload.expressions import column_key
from pgrunbook.model import Advice, literal
from pgrunbook.pg.trees import names, nodes


@dataclass(frozen=True, slots=True)
class _Key:
    named: Named
    is_descending: bool

    @property
    def sql(self) -> str:
        return self.named.sql

    @property
    def ordering(self) -> str:
        return f"{self.sql} DESC" if self.is_descending else self.sql


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal for the statement's own OFFSET."""
    tree, found = scopes(context)
    if not found or found[0].select is not tree.get("select_stmt") or found[0].select.get("with_clause"):
        return
    scope = found[0]
    select = scope.select
    if not is_plain(select) or "limit_count" not in select or not has_offset(select) or not select.get("sort_clause"):
        return
    if select.get("limit_option") == "LIMIT_OPTION_WITH_TIES" or not is_steady(select, context):
        return
    ordered = _ordered(scope)
    if ordered is None or scope.only is None:
        return
    keys, total = ordered, _total(scope, ordered)
    if total is None:
        return
    keys, unique_fact, is_extended = total
    nulls = [not_null(key.named, context) for key in keys]
    if any(fact is None for fact in nulls):
        return
    facts = tuple(dict.fromkeys([unique_fact, *(fact for fact in nulls if fact is not None)]))
    used = _renumbered(select)
    first = used + 1
    marks = [f"${number}::{key.named.column.declared_type}" for number, key in enumerate(keys, first)]
    sql = _keyset(context, select, keys, marks)
    tie = "  The key stands at the end of ORDER BY now, so that ties have one order." if is_extended else ""
    yield Proposal(
        name="keyset_for_offset",
        title="Continue after the last row instead of counting to it",
        sql=sql,
        same="The same page, reached from the one before it",
        why=f"the order is total, so the rows after the last one seen are the rest of the list.{tie}",
        facts=facts,
        caveat=f"send the last row's {', '.join(key.named.column.name for key in keys)} with the request for the next"
        " page; it goes from page to page, not to page 2500.",
        parameters=first + len(keys) - 1,
        pair=_pair(context, select, keys),
        needs=_index(context, scope, keys),
    )


def _ordered(scope: Scope) -> list[_Key] | None:
    """The columns of ORDER BY; None where something else stands in it, or NULLs were placed by hand."""
    keys = []
    targets = [target.get("res_target", {}) for target in scope.select.get("target_list", ())]
    for item in scope.select["sort_clause"]:
        sort = item["sort_by"]
        node = _meant(sort.get("node", {}), targets)
        named = scope.column(node)
        if named is None or sort.get("use_op"):
            return None
        keys.append(_Key(named, sort.get("sortby_dir") == "SORTBY_DESC"))
    return keys


def _meant(node: Node, targets: list[Node]) -> Node:
    """What ORDER BY 1, or ORDER BY a name of the select list, means."""
    constant = node.get("a_const", {})
    if "ival" in constant:
        place = constant["ival"].get("ival", 0) - 1
        return targets[place].get("val", node) if 0 <= place < len(targets) else node
    parts = names(node.get("column_ref", {}).get("fields"))
    if len(parts) == 1:
        return next((t["val"] for t in targets if t.get("name") == parts[0] and "val" in t), node)
    return node


def _total(scope: Scope, keys: list[_Key]) -> tuple[list[_Key], str, bool] | None:
    """The keys of a total order, the fact that it is one, and whether a key had to be added."""
    item = scope.only
    if item is None or item.table is None:
        return None
    names_there = {key.named.column.name for key in keys}
    unique = unique_keys(item, scope.context)
    for key in unique:
        if set(key.columns) <= names_there:
            return list({k.named.column.name: k for k in reversed(keys)}.values())[::-1], key.fact, False
    if not unique:
        return None
    direction = keys[-1].is_descending
    columns = item.table.table.columns
    added = [_Key(Named(item, columns[c]), direction) for c in unique[0].columns if c not in names_there]
    return [*keys, *added], unique[0].fact, True


def _keyset(context: Context, select: Node, keys: list[_Key], values: list[str]) -> str:
    """The statement with a condition on the keys in the place of OFFSET."""
    made = copy.deepcopy(select)
    made.pop("limit_offset", None)
    made["sort_clause"] = _sort(context, keys)
    scope = Scope(select=made, context=context)
    after = context.parser.expression(_after(keys, values))
    scope.where([*scope.conditions, after])
    return context.sql({"select_stmt": made})


def _renumbered(select: Node) -> int:
    """Number the parameters anew without those that stood in OFFSET only; returns how many there are."""
    rest = {key: value for key, value in select.items() if key != "limit_offset"}
    marks = [node for kind, node in nodes([rest]) if kind == "param_ref"]
    places = {number: place for place, number in enumerate(sorted({int(mark["number"]) for mark in marks}), 1)}
    for mark in marks:
        mark["number"] = places[int(mark["number"])]  # type: ignore[index]  # a tree of ours
    return len(places)


def _sort(context: Context, keys: list[_Key]) -> list[Node]:
    ordering = ", ".join(key.ordering for key in keys)
    parsed = context.parser.statement(f"SELECT 1 ORDER BY {ordering}")
    found: list[Node] = list(parsed["select_stmt"]["sort_clause"])
    return found


def _after(keys: list[_Key], values: list[str]) -> str:
    """Rows after the one with these values: a row comparison, or its long form where directions differ."""
    directions = {key.is_descending for key in keys}
    if len(directions) == 1:
        sign = "<" if directions.pop() else ">"
        if len(keys) == 1:
            return f"{keys[0].sql} {sign} {values[0]}"
        return f"({', '.join(key.sql for key in keys)}) {sign} ({', '.join(values)})"
    branches = []
    for place, key in enumerate(keys):
        equal = [f"{k.sql} = {v}" for k, v in zip(keys[:place], values[:place], strict=True)]
        branches.append(" AND ".join([*equal, f"{key.sql} {'<' if key.is_descending else '>'} {values[place]}"]))
    return " OR ".join(f"({branch})" for branch in branches)


def _pair(context: Context, select: Node, keys: list[_Key]) -> MakePair:
    """Compare the page by OFFSET with the page that follows the row before it, both in the total order."""

    def make(trial: Trial) -> Pair | None:
        if context.query.asked.parameters:
            return None
        before = copy.deepcopy(select)
        before["sort_clause"] = _sort(context, keys)
        last = copy.deepcopy(before)
        targets = ", ".join(f"{key.sql}::text" for key in keys)
        last["target_list"] = context.parser.statement(f"SELECT {targets}")["select_stmt"]["target_list"]
        offset = context.parser.text(select["limit_offset"])
        last["limit_offset"] = context.parser.expression(f"({offset}) - 1")
        last["limit_count"] = context.parser.expression("1")
        row = trial.first_row(context.sql({"select_stmt": last}))
        if row is None:
            return Pair(before=context.sql({"select_stmt": before}), after=_nothing(context, before))
        values = [
            f"{literal(str(value))}::{key.named.column.declared_type}" for key, value in zip(keys, row, strict=True)
        ]
        return Pair(
            before=context.sql({"select_stmt": before}),
            after=_keyset(context, select, keys, values),
            note="the page after the row that stands before it; ties in the order of the key",
        )

    return make


def _nothing(context: Context, select: Node) -> str:
    """There is no row before the page, so there is none after it: the same columns of no row."""
    made = copy.deepcopy(select)
    made.pop("limit_offset", None)
    made["limit_count"] = context.parser.expression("0")
    return context.sql({"select_stmt": made})


def _index(context: Context, scope: Scope, keys: list[_Key]) -> tuple[Advice, ...]:
    """An index in the order, after what is compared by equality, unless there is one."""
    item = scope.only
    if item is None or item.table is None:
        return ()
    table = item.table
    equal = [c for access in context.accesses_of_table(table) for c in context.equal_columns(access)]
    lead = list(dict.fromkeys(c for c in equal if c not in {k.named.column.name for k in keys}))
    wanted = [*lead, *(key.named.column.name for key in keys)]
    for facts in table.indexes:
        held = list(facts.index.key_columns)
        if not facts.is_partial and facts.index.is_valid and held[: len(wanted)] == wanted:
            return ()
    flags = [False] * len(lead) + [key.is_descending for key in keys]
    if not lead and len(set(flags)) == 1:
        flags = [False] * len(flags)  # an index is read in both directions
    made = tuple(
        IndexKey(key=column_key(name), descending=flag, nulls_first=flag)
        for name, flag in zip(wanted, flags, strict=True)
    )
    advice = context.advice_to_make(Candidate(table_oid=table.table.oid, tail=made))
    return (advice,) if advice is not None else ()
