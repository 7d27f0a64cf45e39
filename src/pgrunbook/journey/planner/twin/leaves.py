"""The least and greatest key of a B-tree, as the one leaf page that a tree on the twin has.

The planner looks the ends of a column up in an index (get_actual_variable_range): with a tree without tuples it would
take no value for impossible, and reckon 10,000 rows where the source reckons one.  The ends are those of the
statistics, which the source's own indexes have corrected.  The tuples point at the heap's first page, which the
visibility map calls visible, so that the planner believes them unseen.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from pgrunbook.journey.planner.twin.catalog import TwinColumn
from pgrunbook.pg.connect import Session

# How each type's binary form on the wire becomes its form on disk.
REVERSED: Final = ("int2", "int4", "int8", "date", "timestamp", "timestamptz", "float8")  # big-endian on the wire
AS_THEY_ARE: Final = ("uuid",)
SHORT_TEXTS: Final = ("text", "varchar")
LONGEST_SHORT_TEXT: Final = 126
_SHORT_NAMES: Final = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "double precision": "float8",
    "character varying": "varchar",
}
HAS_NULLS: Final = 0x8000
HAS_VARIABLE_WIDTH: Final = 0x4000
_ENDS: Final = """/* pgrunbook: ends */
select
  x.indexrelid::int8,
  x.indoption[0] & 1 = 1,
  x.indnatts::int4,
  {send}((select v from unnest(s.known) as v order by v limit 1)),
  {send}((select v from unnest(s.known) as v order by v desc limit 1))
from pg_catalog.pg_index as x
join pg_catalog.pg_class as i on i.oid = x.indexrelid
join pg_catalog.pg_am as m on m.oid = i.relam and m.amname = 'btree'
join pg_catalog.pg_attribute as a on a.attrelid = x.indexrelid and a.attnum = 1
join lateral (
  select
    coalesce(
      case 2 when t.stakind1 then t.stavalues1 when t.stakind2 then t.stavalues2 when t.stakind3 then t.stavalues3
        when t.stakind4 then t.stavalues4 when t.stakind5 then t.stavalues5 end::text::{type}[], '{{}}'
    ) || coalesce(
      case 1 when t.stakind1 then t.stavalues1 when t.stakind2 then t.stavalues2 when t.stakind3 then t.stavalues3
        when t.stakind4 then t.stavalues4 when t.stakind5 then t.stavalues5 end::text::{type}[], '{{}}'
    ) as known
  from pg_catalog.pg_statistic as t
  where t.starelid = case when x.indkey[0] = 0 then x.indexrelid else x.indrelid end
    and t.staattnum = case when x.indkey[0] = 0 then 1 else x.indkey[0] end
    and 2 in (t.stakind1, t.stakind2, t.stakind3, t.stakind4, t.stakind5)
    and not t.stainherit
) as s on true
where a.atttypid = {type_name}::regtype and x.indpred is null and x.indexrelid = any (%(oids)s::oid[])"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The first and the last key of an index, as bytes of the page; `columns` is how many the index has."""

    first: bytes
    last: bytes
    columns: int
    varies: bool


def ends_of(admin: Session, columns_of: Mapping[int, Sequence[TwinColumn]]) -> dict[int, Ends]:
    """The ends of those of these indexes whose first column has a histogram, and a type that is laid out simply.

    The session's time zone is UTC, as where the statistics were read.
    """
    found: dict[int, Ends] = {}
    by_type: dict[str, list[int]] = defaultdict(list)
    for oid, columns in columns_of.items():
        by_type[_SHORT_NAMES.get(columns[0].type_name, columns[0].type_name)].append(oid)
    for name in (*REVERSED, *AS_THEY_ARE, *SHORT_TEXTS):
        if name not in by_type:
            continue
        send = sql.SQL("pg_catalog.{}").format(sql.Identifier(_sender(name)))
        query = sql.SQL(_ENDS).format(
            send=send, type=sql.SQL("pg_catalog.{}").format(sql.Identifier(name)), type_name=sql.Literal(name)
        )
        for oid, is_descending, many, low, high in admin.execute(query, {"oids": by_type[name]}).fetchall():
            keys = [_on_disk(name, bytes(value)) for value in (low, high) if value is not None]
            if len(keys) == 2 and None not in keys:
                first, last = (keys[1], keys[0]) if is_descending else (keys[0], keys[1])
                found[oid] = Ends(first=first or b"", last=last or b"", columns=many, varies=name in SHORT_TEXTS)
    return found


def _sender(name: str) -> str:
    return f"{name}_send" if name in {"date", "timestamp", "timestamptz", "uuid"} else f"{name}send"


def _on_disk(name: str, sent: bytes) -> bytes | None:
    if name in REVERSED:
        return sent[::-1] if struct.pack("=H", 1) == b"\x01\x00" else sent
    if name in AS_THEY_ARE:
        return sent
    if len(sent) >= LONGEST_SHORT_TEXT:
        return None
    header = (len(sent) + 1) << 1 | 1 if struct.pack("=H", 1) == b"\x01\x00" else (len(sent) + 1) | 0x80
    return bytes([header]) + sent


def index_tuples(ends: Ends) -> list[bytes]:
    """Both keys as index tuples (itup.h) that point at the heap's first page; further columns are NULL."""
    return [_tuple(key, number, ends) for number, key in enumerate((ends.first, ends.last), 1)]


def _tuple(key: bytes, line: int, ends: Ends) -> bytes:
    nulls = ends.columns > 1
    head = struct.pack("=I", 1) + bytes(4) if nulls else b""  # the bitmap has a bit for each column that is there
    size = -(-(8 + len(head) + len(key)) // 8) * 8
    info = size | (HAS_NULLS if nulls else 0) | (HAS_VARIABLE_WIDTH if ends.varies else 0)
    made: bytes = struct.pack("=HHHH", 0, 0, line, info) + head + key
    return made + bytes(size - len(made))


def visible_first_page() -> bytes:
    """A visibility map that calls the first page all-visible."""
    page = bytearray(8192)
    struct.pack_into("=HHHHH", page, 10, 0, 24, 8192, 8192, 8192 | 4)
    page[24] = 1
    return bytes(page)
