"""Which steps a copy of a schema can tell anything about, and which relation of the target each is about."""

from __future__ import annotations

from collections.abc import Mapping

from pgrunbook.journey.steps import Step
from pgrunbook.model import Kind
from pgrunbook.pg.connect import Session

_NOT_ON_A_COPY: Mapping[Kind, str] = {
    Kind.SESSION: "a session exists on its own server only",
    Kind.TRANSACTION: "a transaction exists on its own server only",
    Kind.SLOT: "a replication slot exists on its own server only",
    Kind.ROLE: "settings of roles belong to the server, not to the schema that is copied",
    Kind.DATABASE: "settings of the database are not part of the schema that is copied",
    Kind.SETTING: "settings of the server are not part of the schema that is copied",
    Kind.SERVER: "it changes the server, not the schema that is copied",
}

_RELATION = """/* pgrunbook: relation_of */
select coalesce(i.indrelid, c.oid)::int8
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
left join pg_catalog.pg_index as i on i.indexrelid = c.oid
where n.nspname = %(schema)s and c.relname = %(name)s"""


_REFERENCED = """/* pgrunbook: referenced */
select x.confrelid::int8
from pg_catalog.pg_constraint as x
where x.contype = 'f' and x.conrelid = any (%(oids)s::int8[]) and not x.convalidated"""


def with_referenced(oids: set[int], conn: Session) -> set[int]:
    """These tables, and those that a foreign key of theirs, still to be validated, will look into."""
    rows = conn.execute(_REFERENCED, {"oids": list(oids)}).fetchall()
    return oids | {int(row[0]) for row in rows}


_INVALID = """/* pgrunbook: invalid_index */
select not (i.indisvalid and i.indisready)
from pg_catalog.pg_index as i
join pg_catalog.pg_class as c on c.oid = i.indexrelid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(name)s"""


def is_invalid_index(step: Step, conn: Session) -> bool:
    """Whether the step is about an index that is invalid on this server: no dump of a schema tells of it."""
    place = {"schema": getattr(step, "schema", None), "name": getattr(step, "name", None)}
    row = conn.execute(_INVALID, place).fetchone()
    return row is not None and bool(row[0])


def why_not(step: Step) -> str | None:
    """Why the step cannot be rehearsed on a copy of the schema; None when it can."""
    return _NOT_ON_A_COPY.get(step.object[0])


def size_of(oid: int | None, conn: Session) -> int:
    """What a table and its indexes take on this server, partitions included; 0 when there is none."""
    row = conn.execute(
        "select coalesce(sum(pg_catalog.pg_total_relation_size(o.oid)), 0)::int8 from (select %(oid)s::int8::oid as oid"
        " union select p.relid from pg_catalog.pg_partition_tree(%(oid)s::int8::oid) as p) as o",
        {"oid": oid},
    ).fetchone()
    return int(row[0]) if row else 0


def relation_of(step: Step, conn: Session) -> int | None:
    """The OID of the table that the step is about on this server; None when there is none (any more)."""
    schema = getattr(step, "schema", None)
    name = getattr(step, "table", None) or getattr(step, "name", None)
    if schema is None or name is None:
        return None
    row = conn.execute(_RELATION, {"schema": schema, "name": name}).fetchone()
    return int(row[0]) if row else None
