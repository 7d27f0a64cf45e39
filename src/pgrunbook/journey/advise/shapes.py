"""The indexes worth trying for a statement, from what it asks of each table; which of them pays, the planner says.

Wider than what `workload.proposals` takes into account: joins, grouping and projections too, so that index-only scans,
merge joins and sorted groups are found.  Keys that are looked up come before ranges, and those before what is carried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from pgrunbook.journey.workload.access import Access, Key, Operation, Predicate, Writing
from pgrunbook.journey.workload.candidate import Candidate, IndexKey, order_key
from pgrunbook.journey.workload.expressions import column_key
from pgrunbook.journey.workload.facts import Facts, TableFacts
from pgrunbook.journey.workload.proposals import Extensions, is_ordered_type, proposals
from pgrunbook.journey.workload.selectivity import share
from pgrunbook.model import quote

LEADS_MAX = 8  # keys of one access that are looked at, most selective first
INCLUDED_MAX = 6
INCLUDED_SHARE_MAX = 0.6  # of a row: an index that carries more is a second table
BRIN_PAGES_MIN = 12_800  # 100 MB
BRIN_CORRELATION_MIN = 0.95
ROWS_MIN, PAGES_MIN = 1000, 8  # smaller tables are read whole faster than an index is looked into


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How wide indexes may be.  `includes`: whether they may carry columns besides their keys."""

    max_width: int = 3
    includes: bool = True


def candidates(access: Access, facts: TableFacts, extensions: Extensions, limits: Limits) -> list[Candidate]:
    """Every index worth trying for one access, plain ones first, each once."""
    found: dict[Candidate, None] = {}
    if not is_large_enough(facts) or (access.write is not None and access.write.kind is Writing.INSERT):
        return []
    for candidate in _shapes(access, facts, extensions, limits):
        found.setdefault(candidate)
    return list(found)


def is_large_enough(facts: TableFacts) -> bool:
    """Whether an index of this table could help at all."""
    relation = facts.table.relation
    if relation.kind not in {"r", "p", "m"} or relation.of_extension:
        return False
    return facts.rows >= ROWS_MIN and not 0 < facts.pages < PAGES_MIN


def _shapes(access: Access, facts: TableFacts, extensions: Extensions, limits: Limits) -> Iterator[Candidate]:
    keyed = list(_key_lists(access, facts, limits.max_width))
    for keys in keyed:
        yield _btree(facts, keys)
    for proposal in proposals(access, facts, extensions, max_width=limits.max_width):
        if proposal.method != "btree" or proposal.where:
            yield proposal
    yield from _brin(access, facts)
    if limits.includes:
        for keys in keyed:
            carried = _carried(access, facts, keys)
            if carried:
                yield replace(_btree(facts, keys), include=carried)


def _btree(facts: TableFacts, keys: Sequence[IndexKey]) -> Candidate:
    return Candidate(table_oid=facts.table.oid, tail=tuple(keys))


def _key_lists(access: Access, facts: TableFacts, max_width: int) -> Iterator[tuple[IndexKey, ...]]:
    equal, ranged = _equal_keys(access, facts), _range_keys(access, facts)
    sorted_ = _order_lists(access, facts)
    leads = list(dict.fromkeys([*equal, *ranged, *(keys[0] for keys in sorted_)]))[:LEADS_MAX]
    for lead in leads:
        yield (lead,)
    lookups = [key for key in equal if key in leads]
    ends = [key for key in leads if key not in lookups]
    for width in range(2, max_width + 1):
        for keys in _looked_up(lookups, ends, sorted_, width):
            yield keys
        for keys in sorted_:
            if len(keys) == width:
                yield keys
    for lead in ends:  # read in the order of the range, filtered by the rest within the index
        for second in lookups:
            if max_width >= 2:
                yield (lead, second)
    yield from _covering(access, facts, leads, max_width)


def _looked_up(
    lookups: Sequence[IndexKey], ends: Sequence[IndexKey], sorted_: Sequence[tuple[IndexKey, ...]], width: int
) -> Iterator[tuple[IndexKey, ...]]:
    """Equalities in every order (few) or the given one (many), then one range, or an order."""
    for size in range(1, width + 1):
        for chosen in permutations(lookups, size) if size <= 2 else _in_turn(lookups, size):
            if size == width:
                yield chosen
                continue
            if size == width - 1:
                yield from ((*chosen, end) for end in ends if _is_apart(end, chosen))
            for keys in sorted_:
                rest = tuple(key for key in keys if _is_apart(key, chosen))
                if len(chosen) + len(rest) == width and len(rest) > 1:
                    yield (*chosen, *rest)


def _in_turn(lookups: Sequence[IndexKey], size: int) -> Iterator[tuple[IndexKey, ...]]:
    """Each key first, the others in their order."""
    for lead in lookups:
        chosen = (lead, *(key for key in lookups if key != lead))[:size]
        if len(chosen) == size:
            yield chosen


def _is_apart(key: IndexKey, chosen: Sequence[IndexKey]) -> bool:
    return all(key.key.canonical != other.key.canonical for other in chosen)


def _equal_keys(access: Access, facts: TableFacts) -> list[IndexKey]:
    """Keys compared with =, of constants and of joins, most selective first."""
    asked = [
        p for p in _predicates(access) if p.is_equality and _can_be_key(p.key, facts) and not is_yes_or_no(p, facts)
    ]
    ranked = sorted(asked, key=lambda p: share(p, facts))
    return list(dict.fromkeys(IndexKey(key=p.key) for p in ranked))


def is_yes_or_no(predicate: Predicate, facts: TableFacts) -> bool:
    """Whether there are but two values: as a key it would hold the same thing in most rows."""
    if predicate.operation in {Operation.IS_TRUE, Operation.IS_FALSE}:
        return True
    return predicate.key.is_column and _is_boolean(predicate.key.columns[0], facts)


def _is_boolean(name: str, facts: TableFacts) -> bool:
    return name in facts.table.columns and facts.table.columns[name].base_type_name == "bool"


def _range_keys(access: Access, facts: TableFacts) -> list[IndexKey]:
    found = [
        IndexKey(key=p.key)
        for p in _predicates(access)
        if p.operation in {Operation.RANGE, Operation.NOT_NULL} and _can_be_key(p.key, facts)
    ]
    return list(dict.fromkeys(found))


def _predicates(access: Access) -> list[Predicate]:
    return [*access.predicates, *(p for group in access.alternatives for branch in group for p in branch)]


def _order_lists(access: Access, facts: TableFacts) -> list[tuple[IndexKey, ...]]:
    """The keys of ORDER BY and of GROUP BY."""
    lists = []
    if access.order and all(not o.nearest and _can_be_key(o.key, facts) for o in access.order):
        lists.append(tuple(order_key(o) for o in access.order))
    groups = [key for key in access.groups if _can_be_key(key, facts)]
    if groups:
        lists.append(tuple(IndexKey(key=key) for key in dict.fromkeys(groups)))
    return lists


def _can_be_key(key: Key, facts: TableFacts) -> bool:
    return not key.refusal and key.is_known and is_ordered_type(key, facts)


def _covering(
    access: Access, facts: TableFacts, leads: Sequence[IndexKey], max_width: int
) -> Iterator[tuple[IndexKey, ...]]:
    """All columns of the table that are used, as keys: then the table itself need not be read."""
    used = access.columns_used
    if used is None or not used or len(used) > max_width or all(_is_boolean(name, facts) for name in used):
        return
    columns = [IndexKey(key=column_key(name)) for name in sorted(used)]
    if not all(_can_be_key(column.key, facts) for column in columns):
        return
    for lead in [lead for lead in leads if lead.key.columns[0] in used and lead.key.is_column] or columns[:1]:
        rest = [column for column in columns if column.key.columns != lead.key.columns]
        first = [key for key in leads if key in rest]
        yield (lead, *first, *(column for column in rest if column not in first))


def _carried(access: Access, facts: TableFacts, keys: Sequence[IndexKey]) -> tuple[str, ...]:
    """The used columns that are no keys; () when there are none, or too many to carry."""
    if access.columns_used is None:
        return ()
    held = {key.key.columns[0] for key in keys if key.key.is_column}
    rest = tuple(sorted(access.columns_used - held))
    if not rest or len(rest) > INCLUDED_MAX or not all(name in facts.table.columns for name in rest):
        return ()
    whole = sum(_width(facts, name) for name in facts.table.columns)
    return rest if sum(_width(facts, name) for name in {*rest, *held}) <= INCLUDED_SHARE_MAX * whole else ()


def _width(facts: TableFacts, name: str) -> int:
    known = facts.statistics.get(name)
    return known.average_width_bytes if known is not None else 8


def _brin(access: Access, facts: TableFacts) -> Iterator[Candidate]:
    """Ranges of block numbers serve a large table whose rows lie in the order of the column."""
    if facts.scan_pages < BRIN_PAGES_MIN:
        return
    for key in _range_keys(access, facts):
        known = facts.statistics.get(key.key.columns[0]) if key.key.is_column else None
        if known is not None and abs(known.correlation or 0.0) >= BRIN_CORRELATION_MIN:
            yield Candidate(table_oid=facts.table.oid, method="brin", tail=(key,))


def definition(candidate: Candidate, facts: Facts) -> str:
    """The CREATE INDEX statement, without a name."""
    keys = ", ".join(key.sql for key in candidate.keys)
    include = f" INCLUDE ({', '.join(quote(name) for name in candidate.include)})" if candidate.include else ""
    where = f" WHERE {candidate.where_sql}" if candidate.where else ""
    return (
        f"CREATE INDEX ON {facts.of(candidate.table_oid).qualified} USING {candidate.method} ({keys}){include}{where}"
    )


def first_of(candidate: Candidate) -> Candidate | None:
    """The narrower index that begins as this one does; None when there is none."""
    if candidate.method != "btree" or len(candidate.keys) < 2:
        return None
    return replace(candidate, equal=(), tail=candidate.keys[:-1], include=())


def without_carried(candidate: Candidate) -> Candidate:
    """The same keys, carrying nothing."""
    return replace(candidate, equal=(), tail=candidate.keys, include=())


def merged(many: Iterable[Candidate]) -> Iterator[Candidate]:
    """Indexes that carry what several of the same keys carry."""
    groups: dict[tuple[int, tuple[IndexKey, ...]], list[Candidate]] = {}
    for each in many:
        if each.method == "btree" and not each.where:
            groups.setdefault((each.table_oid, each.keys), []).append(each)
    for group in groups.values():
        carried = tuple(sorted({name for each in group for name in each.include}))
        if carried and len(carried) <= INCLUDED_MAX and len(group) > 1:
            yield replace(group[0], equal=(), tail=group[0].keys, include=carried)
