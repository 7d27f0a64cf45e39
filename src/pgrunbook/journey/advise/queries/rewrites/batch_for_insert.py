"""Single-row INSERTs → one statement for many rows, from arrays as parameters (never from texts put together).

The same key twice in one batch makes ON CONFLICT DO UPDATE fail, where single statements let the last one win: so the
batch keeps the last of each key.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal
from pgrunbook.journey.advise.queries.relational import Node, calls_volatile
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.observe.columns import Column
from pgrunbook.journey.workload.catalog import Table
from pgrunbook.model import quote
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal for an INSERT of one row whose values are parameters or constants."""
    insert = context.query.tree.get("insert_stmt")
    values = _values(insert) if insert is not None else None
    if insert is None or values is None or calls_volatile(insert, context):
        return
    relation = insert.get("relation", {})
    table = context.catalog.find(relation.get("schemaname", ""), relation.get("relname", ""))
    columns = _columns(insert, table) if table is not None else None
    if table is None or columns is None or len(columns) != len(values):
        return
    if any(column.element_type_oid is not None or column.type_category == "A" for column in columns):
        return  # unnest would take the inner arrays apart
    known_triggers = context.triggers_of(table.oid)
    if known_triggers is None:
        return
    triggers = [t for t in known_triggers if t.enabled != "D"]
    keys = _conflict_keys(insert)
    if keys is None or not all(any(c.name == key and c.not_null for c in columns) for key in keys):
        return
    if keys and triggers:
        return  # they fire for rows that an earlier statement wrote, too
    sql = _batch(context, insert, columns, keys)
    listed = ", ".join(f"{quote(c.name)} {c.declared_type}" for c in columns)
    facts = [f"the columns of {table.relation.qualified} are {listed}, none of them an array"]
    if keys:
        listed = ", ".join(map(quote, keys))
        facts.append(f"({listed}) is NOT NULL, and all else is set from excluded: the last row of each key stays")
    caveat = "it stands for many calls in one transaction: one row that fails takes all of them along."
    if triggers:
        caveat += (
            f"  Of its triggers ({', '.join(t.name for t in triggers)}), those FOR EACH STATEMENT fire once a batch."
        )
    yield Proposal(
        name="batch_for_insert",
        title="Many rows in one statement",
        sql=sql,
        same="The same rows in the table as after single statements in the order of the arrays",
        why="each element of the arrays is one of the rows; a statement, a round trip and a commit are paid once",
        facts=tuple(facts),
        caveat=caveat,
        parameters=len(columns),
        is_alike=False,
        unalike="it stands for many calls: compare it with their sum",
        is_read=False,
        incomparable="it writes",
    )


def _values(insert: Tree) -> list[Tree] | None:
    """The values of the one row; None where there are more, or one of them is more than a value."""
    select = insert.get("select_stmt", {}).get("select_stmt", {})
    lists = select.get("values_lists", ())
    if (
        len(lists) != 1
        or "with_clause" in insert
        or insert.get("override", "OVERRIDING_NOT_SET") != "OVERRIDING_NOT_SET"
    ):
        return None
    values: list[Tree] = list(lists[0].get("list", {}).get("items", ()))
    for value in values:
        inner = value.get("type_cast", {}).get("arg", value)
        if not {"param_ref", "a_const"} & inner.keys():
            return None
    return values


def _columns(insert: Tree, table: Table) -> list[Column] | None:
    named = [column.get("res_target", {}) for column in insert.get("cols", ())]
    if not named or any("indirection" in column for column in named):
        return None
    found = [table.columns.get(column.get("name", "")) for column in named]
    return [c for c in found if c is not None] if all(c is not None for c in found) else None


def _conflict_keys(insert: Tree) -> tuple[str, ...] | None:
    """The columns of ON CONFLICT … DO UPDATE; () without it, None where they cannot be told."""
    conflict = insert.get("on_conflict_clause")
    if conflict is None or conflict.get("action") != "ONCONFLICT_UPDATE":
        return ()
    infer = conflict.get("infer", {})
    elements = [element.get("index_elem", {}) for element in infer.get("index_elems", ())]
    if not elements or "where_clause" in infer or any("expr" in element for element in elements):
        return None
    keys = tuple(element.get("name", "") for element in elements)
    if "where_clause" in conflict or _set_from_excluded(conflict) != {c for c in _inserted(insert) if c not in keys}:
        return None
    return keys


def _inserted(insert: Tree) -> set[str]:
    return {column.get("res_target", {}).get("name", "") for column in insert.get("cols", ())}


def _set_from_excluded(conflict: Tree) -> set[str] | None:
    """The columns that are set to what the new row has; None where anything else is set.

    Only where the last row replaces all that an earlier one of its key has brought is the last one enough.
    """
    found = set()
    for target in conflict.get("target_list", ()):
        value = target.get("res_target", {})
        if names(value.get("val", {}).get("column_ref", {}).get("fields")) != ("excluded", value.get("name")):
            return None
        found.add(str(value.get("name")))
    return found


def _batch(context: Context, insert: Tree, columns: list[Column], keys: tuple[str, ...]) -> str:
    listed_names = ", ".join(quote(column.name) for column in columns)
    arrays = ", ".join(f"${number}::{column.declared_type}[]" for number, column in enumerate(columns, 1))
    picked = ", ".join(f"r.{quote(column.name)}" for column in columns)
    source = f"unnest({arrays}) WITH ORDINALITY AS r ({listed_names}, place)"
    if keys:
        listed = ", ".join(f"r.{quote(key)}" for key in keys)
        rows = f"SELECT DISTINCT ON ({listed}) {picked} FROM {source} ORDER BY {listed}, r.place DESC"
    else:
        rows = f"SELECT {picked} FROM {source} ORDER BY r.place"
    made: Node = copy.deepcopy(dict(insert))
    made["select_stmt"] = context.parser.statement(rows)
    return context.sql({"insert_stmt": made})
