"""What a proposed index would do for an access, and which one index would do for two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import permutations

from pgrunbook.journey.workload.access import Access, Operation, Predicate
from pgrunbook.journey.workload.candidate import Candidate, IndexKey
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.journey.workload.paths import Path, btree_path, is_leakproof


def candidate_path(candidate: Candidate, access: Access, table: TableFacts) -> Path:
    """What a proposed index would do for an access."""
    usable = [p for p in access.predicates if not access.is_secured or is_leakproof(p, table.table)]
    kept = tuple(c.predicate for c in candidate.where)
    if any(all(not _is_same(k, p) for p in access.predicates) for k in kept):
        return Path()
    if candidate.method == "btree":
        path = btree_path([key.slot for key in candidate.keys], usable, access, fixed=[k.key for k in kept])
    else:
        (key,) = candidate.keys
        bounded = tuple(
            p for p in usable if p.key.columns == key.key.columns and _is_inverted(p, key, candidate.method)
        )
        nearest = candidate.method == "gist" and any(
            o.nearest and o.key.canonical == key.key.canonical for o in access.order
        )
        path = Path(bounded=bounded, is_ordered=nearest)
    if not kept:
        return path
    return replace(path, bounded=tuple(dict.fromkeys((*path.bounded, *kept))))


def _is_same(condition: Predicate, asked: Predicate) -> bool:
    same = condition.key.canonical == asked.key.canonical and condition.operation is asked.operation
    return same and condition.constant == asked.constant


def _is_inverted(predicate: Predicate, key: IndexKey, method: str) -> bool:
    operation = predicate.operation
    if "trgm" in key.opclass:
        return operation in {Operation.PATTERN, Operation.PREFIX} and predicate.key.canonical == key.key.canonical
    if key.opclass == "jsonb_path_ops" and predicate.operator not in {"@>", "@?", "@@"}:
        return False
    wanted = {Operation.OVERLAPS} if method == "gist" else {Operation.CONTAINS, Operation.SEARCH}
    return operation in wanted and predicate.key.canonical == key.key.canonical


def widest_class(first: Candidate, second: Candidate) -> Candidate | None:
    """Two GIN candidates on one key: the class that answers the operators of both."""
    a, b = first.keys[0], second.keys[0]
    if a.key.canonical != b.key.canonical or {a.opclass, b.opclass} != {"", "jsonb_path_ops"}:
        return None
    return first if a.opclass == "" else second


def joint_keys(
    first: Candidate, second: Candidate, max_width: int
) -> Iterator[tuple[tuple[IndexKey, ...], tuple[IndexKey, ...]]]:
    """Key orders that begin with what both share, narrowest first."""
    names = {key.key.canonical for key in first.equal} & {key.key.canonical for key in second.equal}
    shared = tuple(key for key in first.equal if key.key.canonical in names)
    if not shared:
        return
    rest = {key.key.canonical: key for key in (*first.equal, *second.equal) if key.key.canonical not in names}
    seen: set[tuple[str, ...]] = set()
    for tail in (first.tail, second.tail, ()):
        for middle in _orders_of(tuple(rest.values())):
            keys = (*shared, *middle)
            end = tuple(k for k in tail if all(k.key.canonical != key.key.canonical for key in keys))
            end = end[: max(0, max_width - len(keys))]
            identity = tuple(key.sql for key in (*keys, *end))
            if len(keys) <= max_width and identity not in seen:
                seen.add(identity)
                yield keys, end


def _orders_of(keys: Sequence[IndexKey]) -> Iterable[tuple[IndexKey, ...]]:
    return permutations(keys) if len(keys) <= 3 else (tuple(keys),)
