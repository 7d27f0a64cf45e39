"""Advice to make an index that was chosen for a workload: a step, or SQL where it takes more than one statement."""

from __future__ import annotations

from dataclasses import replace

from pgrunbook.journey.diagnose.index_advice import Taken
from pgrunbook.journey.diagnose.trees import TableTree
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.create_index import CreateIndex, index_name
from pgrunbook.journey.steps.create_partitioned_index import CreatePartitionedIndex
from pgrunbook.journey.workload.candidate import Candidate
from pgrunbook.model import Advice, quote


def advice_for(candidate: Candidate, tree: TableTree, taken: Taken) -> Advice:
    """Build the index without blocking writes: concurrently, or partition by partition."""
    made = advise(step_for(candidate, tree, taken))
    if any(key.key.is_guess for key in candidate.keys):
        guess = "pg_stat_statements hides the text search configuration: compare it with that of your statements."
        made = replace(made, risk=f"{made.risk}  {guess}")
    if not candidate.extension:
        return made
    return Advice(
        title=f"{made.title}, with extension {candidate.extension}",
        sql="\n".join([*_extension(candidate), made.sql]),
        undo_sql=made.undo_sql,
        lock=made.lock,
        risk=f"{made.risk}  The extension stays when the index is dropped again.",
    )


def step_for(candidate: Candidate, tree: TableTree, taken: Taken) -> CreateIndex | CreatePartitionedIndex:
    """The step that builds it, under a name that is free."""
    root = tree.root
    keys = tuple(key.sql for key in candidate.keys)
    is_plain = candidate.method == "btree" and not candidate.where and not candidate.include
    special = "" if is_plain else f"{candidate.method} {candidate.where_sql}"
    if candidate.include:
        special += f" {candidate.include}"
    include = tuple(quote(column) for column in candidate.include)
    used = taken.setdefault(root.schema, set())
    plain = [key.key.sql if key.key.is_column else key.sql for key in candidate.keys]
    name = index_name(root.name, plain, special=special, taken=used)
    used.add(name)
    leaves = [leaf for leaf in tree.leaves if leaf.kind == "r"]
    if tree.is_partitioned:
        return CreatePartitionedIndex(
            schema=root.schema,
            table=root.name,
            name=name,
            keys=keys,
            method=candidate.method,
            include=include,
            where=candidate.where_sql,
            leaf_schemas=tuple(leaf.schema for leaf in leaves),
            leaf_tables=tuple(leaf.name for leaf in leaves),
        )
    return CreateIndex(
        schema=root.schema,
        table=root.name,
        name=name,
        keys=keys,
        method=candidate.method,
        include=include,
        where=candidate.where_sql,
    )


def _extension(candidate: Candidate) -> list[str]:
    if not candidate.extension:
        return []
    schema = candidate.keys[0].opclass.rpartition(".")[0]
    return [f"CREATE EXTENSION IF NOT EXISTS {quote(candidate.extension)} WITH SCHEMA {schema};"]
