"""What each operator asks of an index, by the type of its key."""

from __future__ import annotations

from typing import Final

from pgrunbook.journey.workload.access import Key, Operation
from pgrunbook.journey.workload.catalog import Table

COMMUTED: Final = {
    "=": "=",
    "<": ">",
    ">": "<",
    "<=": ">=",
    ">=": "<=",
    "@>": "<@",
    "<@": "@>",
    "&&": "&&",
    "@@": "@@",
    "-|-": "-|-",
    "<<": ">>",
    ">>": "<<",
    "~=": "~=",
}
VOLATILE: Final = frozenset(
    "random clock_timestamp timeofday nextval currval gen_random_uuid uuid_generate_v4 uuidv7 setval".split()
)
_RANGES = frozenset({"<", "<=", ">", ">="})
_CONTAINMENT = frozenset({"@>", "<@", "?", "?|", "?&", "&&", "@?", "@@"})
_SPATIAL = frozenset({"&&", "@>", "<@", "<<", ">>", "&<", "&>", "-|-", "~=", "@", "~", "|>>", "<<|", "|&>", "&<|"})
_PATTERNS = frozenset({"~~", "~~*", "~", "~*", "%", "%>", "<%"})


def operation_of(operator: str, key: Key, table: Table, constant: str | None) -> Operation | None:
    """What `key operator constant` asks; None when no kind of index answers it."""
    if operator == "=":
        return Operation.EQUAL
    if operator in _RANGES:
        return Operation.RANGE
    kind = type_of(key, table)
    if kind == "tsvector":
        return Operation.SEARCH if operator == "@@" else None
    if kind in {"jsonb", "hstore", "array"}:
        return _containment(operator, kind)
    if kind in {"range", "geometry", "network"}:
        return Operation.OVERLAPS if operator in _SPATIAL else None
    if operator == "^@":
        return Operation.PREFIX
    return _pattern(operator, constant) if operator in _PATTERNS and kind == "text" else None


def type_of(key: Key, table: Table) -> str:
    """The family of a key's type: text, jsonb, hstore, array, range, geometry, network, tsvector, or ""."""
    if not key.is_column:
        if key.canonical.startswith(("to_tsvector(", "setweight(")):
            return "tsvector"
        inner = key.canonical.rstrip(")").rsplit(" ", 2)
        if len(inner) == 3 and inner[1] in {"->", "#>"}:
            return "jsonb"
        return "text" if key.canonical.startswith(("lower(", "upper(", "coalesce(")) or "->>" in key.canonical else ""
    column = table.columns[key.columns[0]]
    name = column.base_type_name
    if name in {"jsonb", "hstore", "tsvector"}:
        return name
    if name in {"geometry", "geography", "box", "circle", "polygon", "point", "ltree"}:
        return "geometry"
    if name in {"inet", "cidr"}:
        return "network"
    if column.type_category == "A":
        return "array"
    if column.type_category == "R" or name.endswith(("range", "multirange")):
        return "range"
    return "text" if name in {"text", "varchar", "bpchar", "citext", "name"} else ""


def _containment(operator: str, kind: str) -> Operation | None:
    if operator not in _CONTAINMENT or (kind == "jsonb" and operator in {"<@", "&&"}):
        return None
    if kind == "array" and operator not in {"@>", "<@", "&&"}:
        return None
    return Operation.CONTAINS


def _pattern(operator: str, constant: str | None) -> Operation:
    """A LIKE whose text is known and starts with letters bounds a B-tree scan; every other pattern needs trigrams."""
    text = constant.strip("E").strip("'") if constant else ""
    if operator == "~~" and text and text[0] not in "%_\\":
        return Operation.PREFIX
    return Operation.PATTERN
