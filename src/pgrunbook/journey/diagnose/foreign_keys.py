"""Which indexes serve foreign keys: a delete on the referenced side looks there for rows that refer to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import index_trees
from pgrunbook.journey.observe.constraints import CONSTRAINTS, Constraint
from pgrunbook.journey.observe.indexes import INDEXES, Index

# One column that is not NULL: what a foreign key looks for never is, so such a partial index serves it all the same.
_NOT_NULL = re.compile(r"\{NULLTEST :arg \{VAR [^{}]*:varattno (\d+) [^{}]*\} :nulltesttype 1 [^{}]*\}\Z")


def serves(index: Index, key: Constraint) -> bool:
    """Whether equality on all columns of the key can be looked up in this index."""
    if not index.is_valid or not _covers_all_rows(index, key):
        return False
    wanted = dict(zip(key.columns, key.collation_oids, strict=True))
    keys = dict(zip(index.key_columns, index.collation_oids, strict=False))
    if index.access_method in {"btree", "gist"}:
        leading: Iterable[str] = index.key_columns[: len(wanted)]
    elif index.access_method in {"gin", "hash", "spgist"}:
        leading = index.key_columns
    else:
        return False
    return set(leading) >= set(wanted) and all(keys[name] == collation for name, collation in wanted.items())


def serving_indexes(seen: Seen) -> Mapping[int, frozenset[int]]:
    """The foreign keys that each index serves, by the OID of its tree's root.  Needs INDEXES and CONSTRAINTS."""
    keys: dict[int, list[Constraint]] = {}
    for key in seen.rows(CONSTRAINTS):
        if key.kind == "f":
            keys.setdefault(key.table_oid, []).append(key)
    trees = seen.derived(index_trees)
    found: dict[int, set[int]] = {}
    for index in seen.rows(INDEXES):
        served = {key.oid for key in keys.get(index.table_oid, ()) if serves(index, key)}
        if served:
            found.setdefault(trees[index.oid].root.oid, set()).update(served)
    return {oid: frozenset(served) for oid, served in found.items()}


def _covers_all_rows(index: Index, key: Constraint) -> bool:
    if index.predicate_tree is None:
        return True
    match = _NOT_NULL.match(index.predicate_tree)
    return match is not None and _name_of(index, int(match[1])) in key.columns


def _name_of(index: Index, attnum: int) -> str | None:
    return next((name for number, name in zip(index.attnums, index.columns, strict=True) if number == attnum), None)
