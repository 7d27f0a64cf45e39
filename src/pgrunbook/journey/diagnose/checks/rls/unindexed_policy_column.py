"""Policy that searches by a column without an index that answers it.

Asks:    has the table an index that the operator of the policy's condition can use?  `= any (column)` cannot use a GIN
         index, `column @> array[…]` can.
Unit:    table_rows, estimated.
Source:  pg_policy, parsed; pg_index; rows from pg_class.reltuples and pg_stat_user_tables.
Blind:   policies of a table that is locked; expressions that do not parse.
Says:    {object} searches {table} by {columns}, and no index answers that: each query reads about {table_rows} rows.
         {columns} has a GIN index, which {operator} cannot use{but}.
Section: Supabase-Specific Optimizations
Leads:   create_index
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.index_advice import Taken, build_on_partitions, create_index, taken_names
from pgrunbook.journey.diagnose.policies import NEEDS, ParsedPolicy, parsed_policies
from pgrunbook.journey.diagnose.policy_columns import Unserved, contains_instead, facts_of, has_gin, unserved
from pgrunbook.journey.diagnose.policy_rewrites import Trees, rewrite
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.create_index import CreateIndex, index_name
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.journey.workload.access import Operation
from pgrunbook.journey.workload.facts import LIKES
from pgrunbook.journey.workload.facts import NEEDS as FACTS
from pgrunbook.model import Advice, Blind, Finding, Kind, Lock, Severity, Verdict, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Below `small_rows` a scan of the whole table costs no more than a look into an index (a few pages).

    A value that more than `share_max` of the rows have is found as fast without an index.
    """

    small_rows: int = 1000
    share_max: float = 0.1


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a table and column; further policies that search by it are `related`."""
    policies, facts, taken = seen.derived(parsed_policies), seen.derived(facts_of), taken_names(seen)
    yield from policies.unseen
    unreadable = {each.table.oid: each.table.qualified for each in policies.parsed if each.table.oid in facts.locked}
    for name in unreadable.values():
        yield Blind(object=name, reason="its index definitions are locked", cure="Try again without the lock.")
    groups: dict[tuple[int, str], list[tuple[ParsedPolicy, Unserved]]] = defaultdict(list)
    for each in policies.parsed:
        if each.policy.is_permissive:
            for found in unserved(seen, each, rows_min=limits.small_rows, share_max=limits.share_max):
                groups[found.table.table.oid, found.predicate.key.columns[0]].append((each, found))
    for (_, column), group in groups.items():
        yield _finding(seen, column, group, taken)


def _finding(seen: Seen, column: str, group: Sequence[tuple[ParsedPolicy, Unserved]], taken: Taken) -> Finding:
    each, found = group[0]
    table = found.table
    is_element = found.predicate.operation is Operation.ELEMENT and has_gin(column, table)
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.POLICY,
        object=each.policy.qualified,
        related=tuple(dict.fromkeys(other.policy.qualified for other, _ in group[1:])),
        evidence={
            "columns": (column,),
            "table": table.qualified,
            "table_rows": round(table.rows),
            "operator": found.predicate.operator,
            "but": f", but {quote(column)} @> array[…] can" if is_element else None,
        },
        advice=_advice(seen, column, group, taken),
    )


def _advice(
    seen: Seen, column: str, group: Sequence[tuple[ParsedPolicy, Unserved]], taken: Taken
) -> tuple[Advice, ...]:
    found = group[0][1]
    tree = seen.derived(table_trees)[found.table.table.oid]
    operation = found.predicate.operation
    if operation in {Operation.EQUAL, Operation.RANGE}:
        return (create_index(tree, (column,), taken),)
    if operation is Operation.CONTAINS:
        return (_gin(found, column, tree.is_partitioned, seen, taken),)
    if operation is not Operation.ELEMENT:
        return ()
    rewrites = [step for each, _ in group if (step := _rewrite(seen, each, column, found)) is not None]
    if len(rewrites) != len(group):
        return ()
    if has_gin(column, found.table) and len(rewrites) == 1:
        return (advise(rewrites[0], title=f"Ask by an operator that the index of {quote(column)} answers"),)
    made = [] if has_gin(column, found.table) else [_gin(found, column, tree.is_partitioned, seen, taken)]
    parts = [*made, *map(advise, rewrites)]
    return (
        Advice(
            title=f"Index {quote(column)} and ask by an operator that the index answers",
            sql="\n".join(part.sql for part in parts),
            undo_sql="\n".join(part.undo_sql or "" for part in reversed(parts)),
            lock=Lock.ACCESS_EXCLUSIVE,
            risk=parts[-1].risk,
        ),
    )


def _rewrite(seen: Seen, each: ParsedPolicy, column: str, found: Unserved) -> ReplacePolicy | None:
    if each.using is None or each.policy.table_oid != found.table.table.oid:
        return None
    array_type = found.table.table.columns[column].declared_type

    def mends(better: Trees) -> bool:
        return bool(contains_instead(better["using"], column, array_type, seen.parser) == better["using"])

    return rewrite(seen, each, mends, indexed=column) if not mends(each.trees) else None


def _gin(found: Unserved, column: str, is_partitioned: bool, seen: Seen, taken: Taken) -> Advice:  # noqa: FBT001
    relation = found.table.table.relation
    used = taken.setdefault(relation.schema, set())
    name = index_name(relation.name, [column], special="gin", taken=used)
    used.add(name)
    step = CreateIndex(schema=relation.schema, table=relation.name, name=name, keys=(quote(column),), method="gin")
    if not is_partitioned:
        return advise(step)
    tree = seen.derived(table_trees)[relation.oid]
    return Advice(
        title=f"Create partitioned index {step.object[1]}",
        sql="\n".join(build_on_partitions(tree, name, f"USING gin ({quote(column)})", taken)),
        undo_sql=f"DROP INDEX {step.object[1]};",
        lock=Lock.SHARE,
        risk="Each partition is built on its own; the index counts once the last one is attached.",
    )


CHECK = Check(needs=(*NEEDS, *FACTS), likes=LIKES, judge=judge, limits=Limits())
