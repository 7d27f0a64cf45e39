"""Advice to make, replace and drop indexes: on plain tables as steps, on partitioned ones as SQL for a quiet hour."""

from __future__ import annotations

from collections.abc import Sequence

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import IndexTree, TableTree
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEXES, Index
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.create_index import CreateIndex, index_name
from pgrunbook.journey.steps.create_partitioned_index import CreatePartitionedIndex
from pgrunbook.journey.steps.drop_index import DropIndex, concurrently
from pgrunbook.model import Advice, Lock, dotted, quote

Taken = dict[str, set[str]]
"""The names of relations and indexes in each schema; a name that is given away joins them."""


def definitions(seen: Seen) -> dict[int, str]:
    """The CREATE INDEX statement of each index that could be looked at."""
    return {row.oid: row.definition for row in seen.rows_or_none(INDEX_DEFINITIONS) or ()}


def taken_names(seen: Seen) -> Taken:
    """The names that are taken now."""
    taken: Taken = {}
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
        sql=f"DROP INDEX {index.qualified};",
        undo_sql=f"{on_all_partitions(definition)};" if definition else None,
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="It cannot be dropped concurrently: the table and its partitions are locked for a moment.",
    )


def create_index(tree: TableTree, columns: Sequence[str], taken: Taken) -> Advice:
    """Make a B-tree index without blocking writes, partition by partition where the table has them."""
    root = tree.root
    step = CreateIndex.on_columns(root.schema, root.name, columns, taken=taken.setdefault(root.schema, set()))
    taken[root.schema].add(step.index)
    if not tree.is_partitioned:
        return advise(step)
    leaves = [leaf for leaf in tree.leaves if leaf.kind == "r"]
    return advise(
        CreatePartitionedIndex(
            schema=root.schema,
            table=root.name,
            keys=step.keys,
            name=step.index,
            leaf_schemas=tuple(leaf.schema for leaf in leaves),
            leaf_tables=tuple(leaf.name for leaf in leaves),
        )
    )


def replace_index(tree: IndexTree, table: TableTree, definition: str, tail: str, taken: Taken, *, why: str) -> Advice:
    """Build a better index beside an old one, drop the old one and give its name to the new one.

    `tail` is what follows the table's name in the new index's definition.  The undo does the same the other way round.
    """
    index = tree.root
    spare = index_name(index.table_name, [index.name], special=tail, taken=taken.setdefault(index.schema, set()))
    taken[index.schema].add(spare)
    rename = f"ALTER INDEX {dotted(index.schema, spare)} RENAME TO {quote(index.name)};"
    old_tail = tail_of(index, definition)
    if tree.is_partitioned:
        swap = [f"DROP INDEX {index.qualified};", rename]
        forth = [*build_on_partitions(table, spare, tail, taken), *swap]
        back = [*build_on_partitions(table, spare, old_tail, taken, unique=index.is_unique), *swap]
    else:
        swap = [f"DROP INDEX CONCURRENTLY {index.qualified};", rename]
        head = f"CREATE {'UNIQUE ' if index.is_unique else ''}INDEX CONCURRENTLY {quote(spare)} ON {index.table} "
        forth, back = [f"{head}{tail};", *swap], [f"{head}{old_tail};", *swap]
    return Advice(
        title=f"Replace index {index.qualified}: {why}",
        sql="\n".join(forth),
        undo_sql="\n".join(back),
        lock=Lock.ACCESS_EXCLUSIVE if tree.is_partitioned else Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Both indexes take space until the old one is gone.",
    )


def build_on_partitions(
    tree: TableTree, name: str, tail: str, taken: Taken, *, unique: bool = False, have: Sequence[Index] = ()
) -> list[str]:
    """An empty index on the partitioned table, one on each partition, and the attachments that make it valid.

    `have` are the parts that exist already: the root's own and whatever fits and need not be built again.
    """
    what = f"{'UNIQUE ' if unique else ''}INDEX"
    names = {index.table_oid: index.qualified for index in have}
    attached = {index.table_oid for index in have if index.is_partition or index.table_oid == tree.root.oid}
    made: list[str] = []
    for member in sorted(tree.members, key=lambda m: (m.kind != "p", m.oid != tree.root.oid, m.qualified)):
        if member.kind not in {"r", "p"} or member.oid in names:
            continue
        own = name if member.oid == tree.root.oid else _part_name(member, name, taken)
        names[member.oid] = dotted(member.schema, own)
        how = f"{what} {quote(own)} ON ONLY" if member.kind == "p" else f"{what} CONCURRENTLY {quote(own)} ON"
        made.append(f"CREATE {how} {member.qualified} {tail};")
    return made + [
        f"ALTER INDEX {names[member.parent_oid]} ATTACH PARTITION {names[member.oid]};"
        for member in sorted(tree.members, key=lambda m: m.kind == "p")
        if member.parent_oid in names and member.oid in names and member.oid not in attached
    ]


def _part_name(member: Relation, name: str, taken: Taken) -> str:
    used = taken.setdefault(member.schema, set())
    own = index_name(member.name, [name], special=name, taken=used)
    used.add(own)
    return own


def tail_of(index: Index, definition: str) -> str:
    """What follows the table's name in a definition as PostgreSQL prints it: USING btree (a) WHERE …."""
    unique = "UNIQUE " if index.is_unique else ""
    for only in ("", "ONLY "):
        head = f"CREATE {unique}INDEX {quote(index.name)} ON {only}{index.table} "
        if definition.startswith(head):
            return definition[len(head) :]
    raise AssertionError(f"PostgreSQL printed an index in an unknown way: {definition[:80]}")


def on_all_partitions(definition: str) -> str:
    """The definition of a partitioned index, for the partitioned table and all that hangs on it."""
    before, _, after = definition.partition(" ON ONLY ")
    return f"{before} ON {after}" if after else definition


def rebuilt(definition: str) -> str:
    """A definition as a statement that lets writes go on."""
    return f"{concurrently(definition)};"
