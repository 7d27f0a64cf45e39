"""Workload → indexes worth making, within a budget of disk; and what was declined, with the reason.

Reckons with ANALYZE's statistics and the statements' counters.  Takes a snapshot, so that it can be asked again later,
elsewhere; asks no server.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from pgrunbook.journey.diagnose.index_advice import Taken, taken_names
from pgrunbook.journey.diagnose.proposed_index import advice_for
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import TableTree, table_trees
from pgrunbook.journey.diagnose.workload_blind import blind_spots
from pgrunbook.journey.workload.access import Access, Operation
from pgrunbook.journey.workload.candidate import Candidate
from pgrunbook.journey.workload.candidates import Chosen, Thresholds, Use
from pgrunbook.journey.workload.demand import TextStatement
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.journey.workload.reading import Reckoned, reckon
from pgrunbook.journey.workload.upkeep import size_bytes
from pgrunbook.model import Snapshot
from pgrunbook.model.advice import DeclinedIndex, HelpedQuery, IndexAdvice, ProposedIndex
from pgrunbook.pg.parse import Parser


def advise_indexes(
    snapshot: Snapshot,
    *,
    budget_bytes: int | None = None,
    max_width: int = 3,
    statements: Sequence[TextStatement] | None = None,
    thresholds: Thresholds | None = None,
    parser: Parser | None = None,
) -> IndexAdvice:
    """Advise indexes for the counted statements, or for `statements` where they are given.

    The snapshot must hold the readings of `workload.reading.NEEDS` (LIKES make it better); raises NotRead otherwise.
    With a budget, what spares most time for its size comes first, and what no longer fits is declined.
    """
    with ExitStack() as stack:
        own = parser if parser is not None else stack.enter_context(Parser())
        seen = Seen(snapshot=snapshot, parser=own)
        reckoned = reckon(
            snapshot,
            own,
            thresholds=thresholds if thresholds is not None else Thresholds(),
            max_width=max_width,
            statements=statements,
        )
        trees, taken = table_trees(seen), taken_names(seen)
        locked = reckoned.facts.locked
        kept = [c for c in reckoned.choice.chosen if not locked & {m.oid for m in trees[c.candidate.table_oid].members}]
        fitting, too_large = _within(kept, reckoned, budget_bytes)
        return IndexAdvice(
            proposed=tuple(_proposed(c, trees[c.candidate.table_oid], reckoned, taken) for c in fitting),
            declined=(*_declined(reckoned), *(_over_budget(c, reckoned) for c in too_large)),
            blind=tuple(blind_spots(seen, reckoned)),
            workload_ms=reckoned.workload.total_ms,
            budget_bytes=budget_bytes,
        )


def _within(
    chosen: Sequence[Chosen], reckoned: Reckoned, budget_bytes: int | None
) -> tuple[list[Chosen], list[Chosen]]:
    """What fits into the budget, most worth first, and what does not."""
    if budget_bytes is None:
        return sorted(chosen, key=lambda c: c.write_cost_ms - c.saved_ms), []
    sizes = {id(c): size_bytes(c.candidate, reckoned.facts.of(c.candidate.table_oid)) for c in chosen}
    fitting, too_large, left = [], [], budget_bytes
    for each in sorted(chosen, key=lambda c: (c.write_cost_ms - c.saved_ms) / sizes[id(c)]):
        if sizes[id(each)] <= left:
            left -= sizes[id(each)]
            fitting.append(each)
        else:
            too_large.append(each)
    return sorted(fitting, key=lambda c: c.write_cost_ms - c.saved_ms), too_large


def _proposed(chosen: Chosen, tree: TableTree, reckoned: Reckoned, taken: Taken) -> ProposedIndex:
    candidate, table = chosen.candidate, reckoned.facts.of(chosen.candidate.table_oid)
    advice = advice_for(candidate, tree, taken)
    name = advice.step.params["name"] if advice.step is not None else advice.title.rpartition(" ")[2]
    return ProposedIndex(
        table=table.qualified,
        name=str(name),
        method=candidate.method,
        columns=candidate.columns,
        predicate=candidate.where_sql,
        advice=advice,
        size_bytes=size_bytes(candidate, table),
        saved_ms=round(chosen.saved_ms, 3),
        write_cost_ms=round(chosen.write_cost_ms, 3),
        queries=tuple(_helped(use) for use in sorted(chosen.uses, key=lambda u: -u.saved_ms)),
        reason=_reason(candidate, [use.access for use in chosen.uses]),
        superseded=superseded(candidate, table),
    )


def _helped(use: Use) -> HelpedQuery:
    asked = use.asked
    return HelpedQuery(
        queryid=asked.queryids[0] if asked.is_counted else None,
        role=asked.role,
        text=asked.query,
        calls=asked.calls,
        mean_ms=round(asked.mean_ms, 3) if asked.is_counted else None,
        rows_before=round(use.rows_now, 1),
        rows_after=round(use.rows_after, 1),
        cost_before=round(use.cost_now, 1),
        cost_after=round(use.cost_after, 1),
        saved_ms=round(use.saved_ms, 3),
    )


def superseded(candidate: Candidate, table: TableFacts) -> tuple[str, ...]:
    """Existing B-trees whose keys begin the candidate's: whatever they serve, it serves too."""
    if candidate.method != "btree" or candidate.where:
        return ()
    wanted = [(key.key.canonical, key.descending, key.nulls_first) for key in candidate.keys]
    found = []
    for existing in table.indexes:
        index = existing.index
        is_free = not (index.backs_constraint or index.is_unique or index.is_replica_identity or existing.is_partial)
        if index.access_method != "btree" or not is_free or index.included_columns or not all(index.opclass_is_default):
            continue
        columns = table.table.columns
        collated = [
            c
            for c, oid in zip(index.key_columns, index.collation_oids, strict=False)
            if c and c in columns and columns[c].collation_oid != oid
        ]
        if collated:
            continue
        keys = [
            (key.canonical if key is not None else "", bool(order & 1), bool(order & 2))
            for key, order in zip(existing.keys, index.ordering, strict=False)
        ]
        if keys == wanted[: len(keys)]:
            found.append(index.qualified)
    return tuple(found)


def _reason(candidate: Candidate, accesses: Sequence[Access]) -> str:
    """What the index answers, in a few words."""
    if candidate.method != "btree":
        operators = sorted(
            {p.operator for a in accesses for p in a.predicates if p.operator and _is_on(p.key.columns, candidate)}
        )
        shown = ", ".join(operators) or "the order by distance"
        return f"answers {shown} on {candidate.keys[0].name}"
    parts = []
    if candidate.equal:
        parts.append(f"looks up {_names(key.name for key in candidate.equal)}")
    ranged = {
        p.key.canonical for a in accesses for p in a.predicates if p.operation in {Operation.RANGE, Operation.PREFIX}
    }
    ends = [key for key in candidate.tail if key.key.canonical in ranged]
    orders = [key for key in candidate.tail if key.key.canonical not in ranged]
    if ends:
        parts.append(f"bounds {_names(key.name for key in ends)}")
    if orders:
        parts.append(f"gives rows in the order of {_names(key.name for key in orders)}")
    if candidate.where:
        parts.append(f"leaves out what is never asked for ({candidate.where_sql} holds)")
    return "; ".join(parts)


def _is_on(columns: tuple[str, ...], candidate: Candidate) -> bool:
    return columns == candidate.keys[0].key.columns


def _names(names: Iterable[str]) -> str:
    return ", ".join(names)


def _declined(reckoned: Reckoned) -> list[DeclinedIndex]:
    """One line a table, columns and reason, however many statements met it."""
    found: dict[tuple[str, tuple[str, ...], str], list[int]] = {}
    for each in reckoned.choice.declined:
        found.setdefault((each.table, each.columns, each.reason), []).extend(each.queryids)
    return [
        DeclinedIndex(table=table, columns=columns, reason=reason, queryids=tuple(dict.fromkeys(ids)))
        for (table, columns, reason), ids in found.items()
    ]


def _over_budget(chosen: Chosen, reckoned: Reckoned) -> DeclinedIndex:
    return DeclinedIndex(
        table=reckoned.facts.of(chosen.candidate.table_oid).qualified,
        columns=chosen.candidate.columns,
        reason="it no longer fits into the budget",
        queryids=tuple(dict.fromkeys(i for use in chosen.uses for i in use.asked.queryids)),
    )
