"""Expressions on columns, written back as SQL, in a form that can be compared, and whether an index may hold them.

Only what an index could stand on is written back; everything else is None.  PostgreSQL refuses index expressions that
are not immutable; where we are not sure, we say that it is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pgrunbook.journey.observe.columns import Column
from pgrunbook.journey.workload.access import Key
from pgrunbook.journey.workload.catalog import Catalog, Table
from pgrunbook.model import literal, quote
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names

Find = Callable[[Tree], str | None]  # a column_ref's fields → the column's name in the table at hand, or None

_IMMUTABLE = frozenset(
    """
    lower upper initcap md5 abs length char_length character_length octet_length left right substr substring btrim
    ltrim rtrim replace translate split_part reverse repeat round ceil ceiling floor trunc sign mod sqrt div
    array_length cardinality jsonb_typeof jsonb_array_length jsonb_extract_path jsonb_extract_path_text
    json_extract_path_text encode decode int4range int8range numrange daterange tsrange tstzrange
    setweight
    """.split()
)
_BY_TYPE = frozenset({"date_trunc", "date_part", "extract"})  # immutable unless time zones come in
_TEXTS = frozenset({"text", "varchar", "bpchar", "name", "citext"})
_NUMBERS = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8", "money"})
_PLAIN = _TEXTS | _NUMBERS | {"uuid", "bool", "jsonb", "json"}
_JSON_OPERATORS = frozenset({"->", "->>", "#>", "#>>"})
_ARITHMETIC = frozenset({"+", "-", "*", "/", "%"})
_ALIASES = {
    "integer": "int4",
    "bigint": "int8",
    "smallint": "int2",
    "boolean": "bool",
    "character varying": "varchar",
    "real": "float4",
    "double precision": "float8",
}


@dataclass(slots=True)
class _Written:
    """One part, written.  `type_name` is "" where it is not known."""

    sql: str
    canonical: str
    type_name: str = ""
    columns: tuple[str, ...] = ()
    refusal: str = ""
    atomic: bool = True  # needs no parentheses inside another expression or as an index key

    @property
    def inner(self) -> str:
        return self.sql if self.atomic else f"({self.sql})"


class _CannotWriteError(Exception):
    """Something that no index stands on."""


def key_of(tree: Tree, table: Table, find: Find, catalog: Catalog) -> Key | None:
    """The key that this expression is on `table`; None when it is not an expression of its columns alone."""
    try:
        written = _Writer(table, find, catalog).write(_without_text_cast(tree, table, find))
    except _CannotWriteError:
        return None
    if not written.columns:
        return None
    is_column = written.atomic and len(written.columns) == 1 and written.sql == quote(written.columns[0])
    return Key(
        sql=written.sql if written.atomic else f"({written.sql})",
        canonical=written.canonical,
        columns=tuple(dict.fromkeys(written.columns)),
        is_column=is_column,
        refusal=written.refusal,
    )


def column_key(name: str) -> Key:
    """The key that is a plain column."""
    return Key(sql=quote(name), canonical=quote(name), columns=(name,), is_column=True)


def constant_of(tree: Tree) -> str | None:
    """A constant as canonical text, casts left out; None when the text does not show it."""
    kind, node = _split(tree)
    if kind == "type_cast":
        return constant_of(node.get("arg", {}))
    if kind == "a_const":
        return _constant(node)
    return None


def _without_text_cast(tree: Tree, table: Table, find: Find) -> Tree:
    """`(email)::text` as PostgreSQL prints it for a varchar column is that column."""
    kind, node = _split(tree)
    if kind == "type_cast" and _type_name(node) in _TEXTS:
        arg = node.get("arg", {})
        column = _column(arg, table, find)
        if column is not None and column.base_type_name in {"text", "varchar"}:
            return arg  # type: ignore[no-any-return]  # JSON
    return tree


def _column(tree: Tree, table: Table, find: Find) -> Column | None:
    kind, node = _split(tree)
    name = find(node) if kind == "column_ref" else None
    return table.columns.get(name) if name is not None else None


def _split(tree: Tree) -> tuple[str, Any]:
    for kind, node in tree.items():
        return kind, node
    return "", {}


def _type_name(node: Tree) -> str:
    type_node = node.get("type_name", {})
    found = names(type_node.get("names"))
    name = found[-1] if found else ""
    return name + ("[]" if type_node.get("array_bounds") else "")


def _constant(node: Tree) -> str:
    if node.get("isnull"):
        return "null"
    if "sval" in node:
        return literal(node["sval"].get("sval", ""))
    if "boolval" in node:
        return "true" if node["boolval"].get("boolval") else "false"
    if "ival" in node:
        return str(node["ival"].get("ival", 0))
    if "fval" in node:
        return str(node["fval"].get("fval", "0"))
    raise _CannotWriteError


class _Writer:
    def __init__(self, table: Table, find: Find, catalog: Catalog) -> None:
        self._table = table
        self._find = find
        self._catalog = catalog

    def write(self, tree: Tree) -> _Written:
        kind, node = _split(tree)
        method = getattr(self, f"_{kind}", None)
        if method is None:
            raise _CannotWriteError
        written: _Written = method(node)
        return written

    def _column_ref(self, node: Tree) -> _Written:
        name = self._find(node)
        if name is None or name not in self._table.columns:
            raise _CannotWriteError
        return _Written(quote(name), quote(name), self._table.columns[name].base_type_name, (name,))

    def _a_const(self, node: Tree) -> _Written:
        text = _constant(node)
        return _Written(text, text, "unknown" if "sval" in node else "")

    def _param_ref(self, node: Tree) -> _Written:  # noqa: ARG002 - which parameter it is does not matter
        return _Written("NULL", "$", "unknown")

    def _type_cast(self, node: Tree) -> _Written:
        arg = self.write(node.get("arg", {}))
        to = _ALIASES.get(_type_name(node), _type_name(node))
        if not arg.columns:  # a constant keeps its cast in SQL and loses it in comparisons
            return _Written(f"{arg.inner}::{_quoted_type(to)}", arg.canonical, to)
        same = to in _TEXTS and arg.type_name in {"text", "varchar"}
        refusal = arg.refusal or _cast_refusal(arg.type_name, to)
        canonical = arg.canonical if same else f"cast({arg.canonical},{to})"
        return _Written(f"{arg.inner}::{_quoted_type(to)}", canonical, to, arg.columns, refusal, atomic=False)

    def _func_call(self, node: Tree) -> _Written:
        if any(node.get(part) for part in ("over", "agg_filter", "agg_order", "agg_star", "agg_distinct")):
            raise _CannotWriteError
        parts = names(node.get("funcname"))
        args = [self.write(arg) for arg in node.get("args", ())]
        columns = tuple(c for arg in args for c in arg.columns)
        name = parts[-1]
        refusal = next((a.refusal for a in args if a.refusal), "") or self._function_refusal(name, args)
        shown = ".".join(quote(part) for part in parts if part != "pg_catalog")
        return _Written(
            f"{shown}({', '.join(a.sql for a in args)})",
            f"{name}({','.join(a.canonical for a in args)})",
            _result_type(name, args),
            columns,
            refusal,
        )

    def _function_refusal(self, name: str, args: list[_Written]) -> str:
        types = {a.type_name for a in args if a.columns}
        if name == "to_tsvector" and len(args) == 2:
            return ""
        if name in _IMMUTABLE or name in self._catalog.immutable_functions:
            return ""
        if name in _BY_TYPE and types <= {"timestamp"}:
            return ""
        return f"{name}() is not known to be immutable"

    def _a_expr(self, node: Tree) -> _Written:
        if node.get("kind", "AEXPR_OP") != "AEXPR_OP" or "lexpr" not in node:
            raise _CannotWriteError
        operator = names(node.get("name"))[-1]
        left, right = self.write(node["lexpr"]), self.write(node.get("rexpr", {}))
        columns = left.columns + right.columns
        types = {part.type_name for part in (left, right) if part.columns}
        if operator in _JSON_OPERATORS and types <= {"jsonb", "json", ""}:
            kind, safe = ("text" if operator.endswith(">>") else "jsonb"), True
        elif operator == "||":
            kind, safe = "text", types <= _TEXTS
        elif operator in _ARITHMETIC:
            kind, safe = next(iter(types), ""), types <= _NUMBERS
        else:
            raise _CannotWriteError
        refusal = left.refusal or right.refusal or ("" if safe else f"{operator} is not known to be immutable here")
        return _Written(
            f"{left.inner} {operator} {right.inner}",
            f"({left.canonical} {operator} {right.canonical})",
            kind,
            columns,
            refusal,
            atomic=False,
        )

    def _coalesce_expr(self, node: Tree) -> _Written:
        args = [self.write(arg) for arg in node.get("args", ())]
        return _Written(
            f"COALESCE({', '.join(a.sql for a in args)})",
            f"coalesce({','.join(a.canonical for a in args)})",
            next((a.type_name for a in args if a.columns), ""),
            tuple(c for arg in args for c in arg.columns),
            next((a.refusal for a in args if a.refusal), ""),
        )

    def _collate_clause(self, node: Tree) -> _Written:
        arg = self.write(node.get("arg", {}))
        name = ".".join(quote(part) for part in names(node.get("collname")))
        return _Written(
            f"{arg.inner} COLLATE {name}",
            f"collate({arg.canonical},{name})",
            arg.type_name,
            arg.columns,
            arg.refusal,
            atomic=False,
        )


def _quoted_type(name: str) -> str:
    base = name.removesuffix("[]")
    return quote(base) + ("[]" if name.endswith("[]") else "")


def _cast_refusal(source: str, target: str) -> str:
    if source == target or {source, target} <= _NUMBERS or (source in _TEXTS and target in _TEXTS):
        return ""
    if target in _TEXTS and source in _PLAIN | {"enum"}:
        return ""
    if source in _TEXTS and target in _NUMBERS - {"money"} | {"uuid", "bool"}:
        return ""
    if (source, target) in {("timestamp", "date"), ("date", "timestamp"), ("jsonb", "int4"), ("jsonb", "numeric")}:
        return ""
    return f"the cast from {source or 'this'} to {target} is not known to be immutable"


def _result_type(name: str, args: list[_Written]) -> str:
    if name in {"date_trunc", "round", "abs", "coalesce"}:
        return next((a.type_name for a in args if a.columns), "")
    if name == "to_tsvector":
        return "tsvector"
    if name in {"length", "char_length", "octet_length", "array_length", "cardinality", "jsonb_array_length"}:
        return "int4"
    return "text"
