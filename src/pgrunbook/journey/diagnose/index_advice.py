"""Advice to make and to drop indexes, on plain tables (as a step) and on partitioned ones (as SQL for a quiet hour)."""

from __future__ import annotations

from collections.abc import Collection

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEXES
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.drop_index import DropIndex
from pgrunbook.model import Advice, Lock, dotted, quote

NAME_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL cuts longer names without asking


def definitions(seen: Seen) -> dict[int, str]:
    """The CREATE INDEX statement of each index that could be looked at."""
    return {row.oid: row.definition for row in seen.rows_or_none(INDEX_DEFINITIONS) or ()}


def taken_names(seen: Seen) -> dict[str, set[str]]:
    """The names of relations and indexes in each schema."""
    taken: dict[str, set[str]] = {}
    for relation in seen.rows(RELATIONS):
        taken.setdefault(relation.schema, set()).add(relation.name)
    for index in seen.rows(INDEXES):
        taken.setdefault(index.schema, set()).add(index.name)
    return taken


def drop_index(tree: IndexTree, definition: str | None, *, title: str = "") -> Advice:
    """Drop an index: concurrently where PostgreSQL can, at the root where it is partitioned."""
    index = tree.root
    if not tree.is_partitioned:
        return advise(DropIndex(schema=index.schema, name=index.name, definition=definition), title=title)
    return Advice(
        title=title or f"Drop partitioned index {index.qualified}",
        sql=f"SET lock_timeout = '2s';\nDROP INDEX {index.qualified};",
        undo_sql=f"{definition.replace(' ON ONLY ', ' ON ', 1)};" if definition else None,
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="It cannot be dropped concurrently: the table and its partitions are locked for a moment.",
    )


def create_index(tree: TableTree, columns: Collection[str], taken: dict[str, set[str]]) -> Advice:
    """Make a B-tree index without blocking writes, partition by partition where the table has them."""
    keys = ", ".join(quote(column) for column in columns)
    name = free_name(tree.root.schema, tree.root.name, columns, taken)
    index, table = dotted(tree.root.schema, name), tree.qualified
    if not tree.is_partitioned:
        return Advice(
            title=f"Create index {index}",
            sql=f"CREATE INDEX CONCURRENTLY {quote(name)} ON {table} ({keys});",
            undo_sql=f"DROP INDEX CONCURRENTLY {index};",
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
            risk="The build waits for transactions that are older than itself.",
        )
    return Advice(
        title=f"Create partitioned index {index}",
        sql="\n".join(_build_tree(tree, name, keys, columns, taken)),
        undo_sql=f"DROP INDEX {index};",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Each partition is built on its own; the index counts once the last one is attached.",
    )


def _build_tree(
    tree: TableTree, name: str, keys: str, columns: Collection[str], taken: dict[str, set[str]]
) -> list[str]:
    names = {tree.root.oid: dotted(tree.root.schema, name)}
    made, attached = [f"CREATE INDEX {quote(name)} ON ONLY {tree.qualified} ({keys});"], []
    for member in sorted(tree.members, key=lambda m: (m.kind != "p", m.qualified)):
        if member.oid == tree.root.oid or member.kind not in {"r", "p"}:
            continue
        own = free_name(member.schema, member.name, columns, taken)
        names[member.oid] = dotted(member.schema, own)
        how = "INDEX {} ON ONLY {}" if member.kind == "p" else "INDEX CONCURRENTLY {} ON {}"
        made.append(f"CREATE {how.format(quote(own), member.qualified)} ({keys});")
    for member in tree.members:
        if member.oid in names and member.parent_oid in names:
            attached.append(f"ALTER INDEX {names[member.parent_oid]} ATTACH PARTITION {names[member.oid]};")
    return made + attached


def free_name(schema: str, table: str, columns: Collection[str], taken: dict[str, set[str]]) -> str:
    """A name as PostgreSQL itself would choose it, cut to 63 bytes and not yet taken; it is taken from now on."""
    used = taken.setdefault(schema, set())
    number = 0
    while True:
        name = object_name(table, "_".join(columns), f"idx{number or ''}")
        if name not in used:
            used.add(name)
            return name
        number += 1


def object_name(table: str, columns: str, label: str) -> str:
    """`table_columns_label`, where the longer of the first two gives way until it fits into 63 bytes.

    >>> object_name("orders", "customer_id", "idx")
    'orders_customer_id_idx'
    >>> len(object_name("é" * 40, "c" * 60, "idx").encode())
    63
    """
    room = NAME_BYTES - len(label.encode()) - 2
    first, second = len(table.encode(errors="surrogateescape")), len(columns.encode(errors="surrogateescape"))
    while first + second > room:
        if first > second:
            first -= 1
        else:
            second -= 1
    return f"{_cut(table, first)}_{_cut(columns, second)}_{label}"


def _cut(text: str, size_bytes: int) -> str:
    return text.encode(errors="surrogateescape")[:size_bytes].decode(errors="ignore")
