"""Names as PostgreSQL would print them: quoted only when they must be."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*\Z")

# Every key word of PostgreSQL 14 to 18 that is not "unreserved" (pg_get_keywords(), catcode <> 'U'): quote_ident()
# quotes exactly these.  tests/pg/test_names.py asks each server.
_KEYWORDS = frozenset(
    """
    all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case
    cast char character check coalesce collate collation column concurrently constraint create cross
    current_catalog current_date current_role current_schema current_time current_timestamp current_user dec
    decimal default deferrable desc distinct do else end except exists extract false fetch float for foreign
    freeze from full grant greatest group grouping having ilike in initially inner inout int integer intersect
    interval into is isnull join json json_array json_arrayagg json_exists json_object json_objectagg json_query
    json_scalar json_serialize json_table json_value lateral leading least left like limit localtime
    localtimestamp merge_action national natural nchar none normalize not notnull null nullif numeric offset on
    only or order out outer overlaps overlay placing position precision primary real references returning right
    row select session_user setof similar smallint some substring symmetric system_user table tablesample then
    time timestamp to trailing treat trim true union unique user using values varchar variadic verbose when where
    window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot
    xmlserialize xmltable
    """.split()
)


def quote(name: str) -> str:
    """Quote one identifier if it needs it.

    >>> quote("users"), quote("Order"), quote("select"), quote('a"b')
    ('users', '"Order"', '"select"', '"a""b"')
    """
    if _PLAIN.match(name) and name not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def dotted(*parts: str) -> str:
    """Join quoted identifiers with dots.

    >>> dotted("public", "my table", "id")
    'public."my table".id'
    """
    return ".".join(quote(part) for part in parts)


def literal(text: str) -> str:
    r"""Quote a string constant so that it means the same whatever standard_conforming_strings says.

    >>> literal("it's"), literal("a\\b")
    ("'it''s'", "E'a\\\\b'")
    """
    doubled = text.replace("'", "''")
    if "\\" in doubled:
        return "E'" + doubled.replace("\\", "\\\\") + "'"
    return f"'{doubled}'"
