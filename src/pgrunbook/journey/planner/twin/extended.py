"""Extended statistics (CREATE STATISTICS) for the twin, from what the views of the source show as text.

PostgreSQL 18 restores none.  Numbers of combinations and dependencies are written as the server stores them
(mvdistinct.c, dependencies.c).  For lists of combined values and for expressions a table of the same columns is made,
analysed, and its catalog rows are taken over; the list's frequencies, which stand at its end (mcv.c), are set to the
source's.
"""

from __future__ import annotations

import json
import re
import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from pgrunbook.journey.planner.twin.reading import Facts, TwinExtended, TwinExtendedExpression
from pgrunbook.model import Blind, dotted
from pgrunbook.pg.connect import Session, first_line

NDISTINCT_MAGIC: Final = 0xA352BFA4
DEPENDENCIES_MAGIC: Final = 0xB4549A2C
TYPES: Final = ("pg_ndistinct", "pg_dependencies", "pg_mcv_list")
_PUT: Final = """/* pgrunbook: put_extended */
insert into pg_catalog.pg_statistic_ext_data(stxoid, stxdinherit, stxdndistinct, stxddependencies, stxdmcv)
select e.oid, %(inherited)s, %(ndistinct)s::bytea::pg_ndistinct, %(dependencies)s::bytea::pg_dependencies,
  %(values)s::bytea::pg_mcv_list
from pg_catalog.pg_statistic_ext as e join pg_catalog.pg_namespace as n on n.oid = e.stxnamespace
where n.nspname = %(schema)s and e.stxname = %(name)s"""
_KEYS: Final = """/* pgrunbook: extended_keys */
select k.attnum::int4, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod)
from pg_catalog.pg_statistic_ext as e join pg_catalog.pg_namespace as n on n.oid = e.stxnamespace
cross join lateral unnest(e.stxkeys::int2[]) with ordinality as k(attnum, place)
join pg_catalog.pg_attribute as a on a.attrelid = e.stxrelid and a.attnum = k.attnum
where n.nspname = %(schema)s and e.stxname = %(name)s order by k.place"""
_RESTORE: Final = """/* pgrunbook: restore_expression */
select pg_catalog.pg_restore_attribute_stats(
  'schemaname', %(temp)s::text, 'relname', 'pgrunbook_expressions'::text, 'attnum', %(number)s::int2,
  'inherited', false, 'null_frac', %(null_ratio)s::float4, 'avg_width', %(average_width_bytes)s::int4,
  'n_distinct', %(n_distinct)s::float4, 'most_common_vals', %(most_common_values)s::text,
  'most_common_freqs', %(most_common_ratios)s::float4[], 'histogram_bounds', %(histogram_bounds)s::text,
  'correlation', %(correlation)s::float4)"""
_TAKE: Final = """/* pgrunbook: take_expressions */
update pg_catalog.pg_statistic_ext_data as d
set stxdexpr = (
  select array_agg(s order by s.staattnum) from pg_catalog.pg_statistic as s
  where s.starelid = %(oid)s::oid)
from pg_catalog.pg_statistic_ext as e join pg_catalog.pg_namespace as n on n.oid = e.stxnamespace
where d.stxoid = e.oid and d.stxdinherit = %(inherited)s and n.nspname = %(schema)s and e.stxname = %(name)s"""


def restore_extended(admin: Session, facts: Facts) -> list[Blind]:
    """Restore every readable statistics object; says which parts could not be."""
    if not any(row.is_readable for row in facts.extended):
        return []
    blind: list[Blind] = []
    for name in TYPES:
        admin.execute(f"create cast (bytea as {name}) without function")
    for row in facts.extended:
        if row.is_readable:
            blind += _tried(admin, row.schema, row.name, lambda row=row: _put(admin, row))
    for name in TYPES:
        admin.execute(f"drop cast (bytea as {name})")
    by_object: dict[tuple[str, str, bool], list[TwinExtendedExpression]] = defaultdict(list)
    for expression in facts.expressions:
        by_object[expression.schema, expression.name, expression.is_inherited].append(expression)
    for (schema, name, _), expressions in by_object.items():
        blind += _tried(admin, schema, name, lambda group=expressions: _put_expressions(admin, group))
    return blind


def _tried(admin: Session, schema: str, name: str, body: Any) -> list[Blind]:
    try:
        with admin.transaction():
            admin.execute(
                "set local client_min_messages = error; set local datestyle = 'ISO'; set local timezone = 'UTC'"
            )
            body()
    except psycopg.Error as exc:
        if admin.closed:
            raise
        return [Blind(object=dotted(schema, name), reason=f"its statistics were not taken: {first_line(exc)}")]
    return []


def _put(admin: Session, row: TwinExtended) -> None:
    keys = admin.execute(_KEYS, {"schema": row.schema, "name": row.name}).fetchall()
    renumbered = dict(zip(row.attnums, [int(key[0]) for key in keys], strict=False))
    columns = [(str(name), str(type_name)) for _, name, type_name in keys]
    admin.execute(
        _PUT,
        {
            "schema": row.schema,
            "name": row.name,
            "inherited": row.is_inherited,
            "ndistinct": ndistinct_bytes(row.n_distinct, renumbered) if row.n_distinct else None,
            "dependencies": dependencies_bytes(row.dependencies, renumbered) if row.dependencies else None,
            "values": _values_bytes(admin, row, columns),
        },
    )


def ndistinct_bytes(text: str, renumbered: Mapping[int, int]) -> bytes:
    """What pg_ndistinct stores of `{"1, 2": 33}`; columns may have other numbers here (dropped ones are not copied)."""
    items = json.loads(text)
    stored = struct.pack("=III", NDISTINCT_MAGIC, 1, len(items))
    for columns, count in items.items():
        numbers = [_number(part, renumbered) for part in columns.split(",")]
        stored += struct.pack(f"=di{len(numbers)}h", float(count), len(numbers), *numbers)
    return stored


def dependencies_bytes(text: str, renumbered: Mapping[int, int]) -> bytes:
    """What pg_dependencies stores of `{"1 => 2": 0.98}`."""
    items = json.loads(text)
    stored = struct.pack("=III", DEPENDENCIES_MAGIC, 1, len(items))
    for columns, degree in items.items():
        numbers = [_number(part, renumbered) for part in re.split(r",|=>", columns)]
        stored += struct.pack(f"=dh{len(numbers)}h", float(degree), len(numbers), *numbers)
    return stored


def _number(text: str, renumbered: Mapping[int, int]) -> int:
    """Expressions have negative numbers, which stay."""
    number = int(text)
    return renumbered.get(number, number)


def _values_bytes(admin: Session, row: TwinExtended, columns: Sequence[tuple[str, str]]) -> bytes | None:
    """A list of combined values with the source's frequencies; None for none, or where expressions are among them."""
    if row.most_common_values is None or len(row.most_common_values[0]) != len(columns):
        return None
    ratios, base_ratios = row.most_common_ratios or (), row.most_common_base_ratios or ()
    names = [sql.Identifier(f"c{place}") for place in range(len(columns))]
    typed = [sql.SQL("{} {}").format(n, sql.SQL(t)) for n, (_, t) in zip(names, columns, strict=True)]
    admin.execute(sql.SQL("create temp table pgrunbook_values ({}) on commit drop").format(sql.SQL(", ").join(typed)))
    arrays = [[item[place] for item in row.most_common_values] for place in range(len(columns))]
    casts = [sql.SQL("v.{}::{}").format(n, sql.SQL(t)) for n, (_, t) in zip(names, columns, strict=True)]
    admin.execute(
        sql.SQL("insert into pgrunbook_values select {} from unnest({}) as v({})").format(
            sql.SQL(", ").join(casts),
            sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(columns)),
            sql.SQL(", ").join(names),
        ),
        arrays,
    )
    admin.execute(
        sql.SQL("create statistics pg_temp.pgrunbook_values_mcv (mcv) on {} from pgrunbook_values").format(
            sql.SQL(", ").join(names)
        )
    )
    admin.execute("alter statistics pg_temp.pgrunbook_values_mcv set statistics 10000")
    admin.execute("analyze pgrunbook_values")
    found = admin.execute(
        "select d.stxdmcv::bytea, (select array_agg(to_json(m.values)::text order by m.index)"
        " from pg_mcv_list_items(d.stxdmcv) as m)"
        " from pg_statistic_ext_data as d join pg_statistic_ext as e on e.oid = d.stxoid"
        " where e.stxname = 'pgrunbook_values_mcv'"
    ).fetchone()
    if found is None or found[0] is None:
        return None
    by_values = {tuple(v): place for place, v in enumerate(row.most_common_values)}
    places = [by_values.get(tuple(json.loads(item))) for item in found[1]]
    return _with_frequencies(bytes(found[0]), len(columns), places, ratios, base_ratios)


def _with_frequencies(
    stored: bytes,
    columns: int,
    places: Sequence[int | None],
    ratios: Sequence[float],
    base_ratios: Sequence[float],
) -> bytes:
    """The items stand at the end, each: a null flag a column, two doubles, and a value's number (2 bytes) a column."""
    size = columns * 3 + 16
    changed = bytearray(stored)
    start = len(stored) - size * len(places)
    for number, place in enumerate(places):
        if place is not None:
            offset = start + number * size + columns
            struct.pack_into("=dd", changed, offset, ratios[place], base_ratios[place])
    return bytes(changed)


def _put_expressions(admin: Session, expressions: Sequence[TwinExtendedExpression]) -> None:
    """Make an index with the same expressions, restore their statistics onto it, and take the rows over."""
    first = expressions[0]
    table = sql.Identifier(first.table_schema, first.table_name)
    admin.execute(sql.SQL("create temp table pgrunbook_table (like {}) on commit drop").format(table))
    listed = sql.SQL(", ").join(sql.SQL("({})").format(sql.SQL(e.expression)) for e in expressions)
    admin.execute(sql.SQL("create index pgrunbook_expressions on pgrunbook_table ({})").format(listed))
    oid = admin.execute("select 'pg_temp.pgrunbook_expressions'::regclass::oid::int8").fetchone()
    schema = admin.execute("select nspname::text from pg_namespace where oid = pg_my_temp_schema()").fetchone()
    assert oid is not None  # noqa: S101 - made above
    assert schema is not None  # noqa: S101 - made above
    for number, expression in enumerate(expressions, 1):
        values = {name: getattr(expression, name) for name in expression.__dataclass_fields__}
        text: Any = _RESTORE
        admin.execute(text, {**values, "number": number, "temp": schema[0]})
    where = {"schema": first.schema, "name": first.name, "inherited": first.is_inherited, "oid": oid[0]}
    admin.execute(_TAKE, where)
