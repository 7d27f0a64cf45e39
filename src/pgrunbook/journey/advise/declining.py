"""Why the indexes that were thought of are not among those that are proposed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgrunbook.journey.advise.choosing import ChosenSet
from pgrunbook.journey.advise.exploring import WORTH
from pgrunbook.journey.advise.pricing import bits
from pgrunbook.journey.advise.shapes import is_large_enough, is_yes_or_no
from pgrunbook.journey.advise.weighed import Weighed
from pgrunbook.journey.workload.candidate import Candidate
from pgrunbook.journey.workload.candidates import Choice
from pgrunbook.journey.workload.facts import Facts
from pgrunbook.model.advice import DeclinedIndex

UNUSED = "the planner would not read it: no statement gets cheaper by it"
SERVED = "the proposed indexes serve its statements about as well"
OVER_BUDGET = "it no longer fits into the budget"
UNASKED = "the planner was not asked: others seemed worth more"
YES_OR_NO = "as a key it would hold one of two values: too many rows have each"
NAMED_MAX = 3
PASSED_OVER = "with {} there the planner does not read it"


def declined_of(
    chosen: ChosenSet, facts: Facts, statements: Sequence[Weighed], choice: Choice
) -> Iterator[DeclinedIndex]:
    """One line an index: what statistics say of a condition, else what the planner answered."""
    leading = {(chosen.pool.candidates[n].table_oid, chosen.pool.candidates[n].columns[0]) for n in chosen.numbers}
    by_name = {facts.of(oid).qualified: oid for oid in {c.table_oid for c in chosen.pool.candidates}}
    said: set[tuple[str, tuple[str, ...]]] = set()
    for each in choice.declined:
        is_made = each.columns and (by_name.get(each.table, 0), each.columns[0]) in leading
        if not is_made and (each.table, each.columns) not in said:
            said.add((each.table, each.columns))
            yield DeclinedIndex(
                table=each.table, columns=each.columns, reason=each.reason, queryids=tuple(each.queryids)
            )
    for table, column, queryids in _yes_or_no(statements, facts):
        if (table, (column,)) not in said:
            said.add((table, (column,)))
            yield DeclinedIndex(table=table, columns=(column,), reason=YES_OR_NO, queryids=queryids)
    wanted_by_statistics = {each.candidate for each in choice.chosen}
    readers = _readers(chosen)
    for number, candidate in enumerate(chosen.pool.candidates):
        is_simple = len(candidate.keys) == 1 and not candidate.include
        if not (is_simple or candidate.where or candidate in wanted_by_statistics) or number in chosen.numbers:
            continue
        table, columns = facts.of(candidate.table_oid).qualified, _shown(candidate)
        is_made = (candidate.table_oid, candidate.columns[0]) in leading and candidate.method == "btree"
        if is_made or (table, columns) in said:
            continue
        said.add((table, columns))
        ids = [i for query in readers.get(number, ()) for i in statements[query].asked.queryids[:1]]
        reason = _reason(number, chosen, is_read=number in readers)
        yield DeclinedIndex(table=table, columns=columns, reason=reason, queryids=tuple(dict.fromkeys(ids)))


def _yes_or_no(statements: Sequence[Weighed], facts: Facts) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """The conditions on booleans, which are never offered as keys."""
    for statement in statements:
        for access in statement.asked.accesses.accesses:
            table = facts.of(access.table_oid)
            for p in access.predicates:
                if p.key.is_column and p.is_equality and is_yes_or_no(p, table) and is_large_enough(table):
                    yield table.qualified, p.key.columns[0], tuple(statement.asked.queryids[:1])


def _shown(candidate: Candidate) -> tuple[str, ...]:
    """Its keys; the last one with what makes the index another than a plain one."""
    *first, last = candidate.columns
    method = f" USING {candidate.method}" if candidate.method != "btree" else ""
    where = f" WHERE {candidate.where_sql}" if candidate.where else ""
    return (*first, f"{last}{method}{where}")


def _readers(chosen: ChosenSet) -> dict[int, list[int]]:
    """Which statements would read an index in a plan that is cheaper than their present one."""
    found: dict[int, list[int]] = {}
    for query, known in enumerate(chosen.prices.facts):
        base = chosen.cost(query, 0)
        cheaper = [fact for fact in known if base is not None and fact.cost <= WORTH * base]
        for number in {n for fact in cheaper for n in bits(fact.used)}:
            found.setdefault(number, []).append(query)
    return found


def _reason(number: int, chosen: ChosenSet, *, is_read: bool) -> str:
    tried, terms = chosen.prices.tried.get(number), chosen.terms
    if tried is not None and tried.refused is not None:
        return f"it could not be tried: {tried.refused}"
    is_over_budget = sum(chosen.sizes[n] for n in (*chosen.numbers, number)) > terms.budget_bytes
    if not any(fact.asked >> number & 1 for known in chosen.prices.facts for fact in known):
        return OVER_BUDGET if is_over_budget else UNASKED
    if not is_read:
        others = _preferred(number, chosen)
        return PASSED_OVER.format(others) if others else UNUSED
    config = chosen.config
    spared, total = chosen.total(config) - chosen.total(config | 1 << number), chosen.total(0)
    if spared <= 0:
        return SERVED
    if spared <= terms.upkeep[number]:
        return "keeping it up to date would cost more than it spares"
    if is_over_budget:
        return OVER_BUDGET
    return f"it would spare too little: {spared / max(total, 1e-9):.2%} of the workload"


def _preferred(number: int, chosen: ChosenSet) -> str:
    """What the planner read instead each time that it was offered; "" when it once read nothing at all."""
    instead: set[int] = set()
    for query, known in enumerate(chosen.prices.facts):
        if not chosen.prices.relevant[query] >> number & 1:
            continue
        base = chosen.cost(query, 0)
        for fact in known:
            if not fact.asked >> number & 1:
                continue
            if not fact.used or base is None or fact.cost > WORTH * base:
                return ""
            instead |= set(bits(fact.used))
    preferred = sorted(instead & set(chosen.numbers)) or sorted(instead)
    names = ["(" + ", ".join(_shown(chosen.pool.candidates[n])) + ")" for n in preferred]
    return " or ".join(dict.fromkeys(names)) if len(names) <= NAMED_MAX else "others"
