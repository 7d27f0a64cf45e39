"""Conditions that hold for every row, whatever their text: `true`, `1 = 1`, `id = id`, `x is not null`, `… or true`.

Judged by parse tree and by which columns can be NULL.  What is not recognised is taken for a real condition.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names

_READS = ("from_clause", "having_clause", "group_clause", "limit_count", "limit_offset", "with_clause", "values_lists")
_REFLEXIVE = frozenset({"=", "<=", ">="})
_UNKNOWN = object()


def is_always_true(tree: Tree, not_null: Collection[str] = ()) -> bool:
    """Whether the condition is true of every row; `not_null` are the table's columns that cannot be NULL."""
    return _truth(tree, frozenset(not_null)) is True


def _truth(tree: Tree, not_null: frozenset[str]) -> bool | None:
    """True or false for every row; None where it depends, or is not known."""
    kind, node = _split(tree)
    if kind == "bool_expr":
        return _junction(node, not_null)
    if kind == "a_expr":
        return _comparison(node, not_null)
    if kind == "null_test":
        wants_null = node.get("nulltesttype", "IS_NULL") == "IS_NULL"
        return not wants_null if _is_never_null(node.get("arg", {}), not_null) else None
    if kind == "boolean_test":
        return _boolean_test(node, not_null)
    if kind == "coalesce_expr":
        arms = [_truth(arm, not_null) for arm in node.get("args", ())]
        return arms[0] if arms else None
    if kind == "sub_link":
        return _subselect(node, not_null)
    value = _constant(tree)
    return value if isinstance(value, bool) else None


def _junction(node: Tree, not_null: frozenset[str]) -> bool | None:
    args = node.get("args", ())
    parts = [_truth(arg, not_null) for arg in args]
    operator = node.get("boolop", "AND_EXPR")
    if operator == "NOT_EXPR":
        return None if parts[0] is None else not parts[0]
    if operator == "OR_EXPR":
        if any(parts) or _covers_null(args):
            return True
        return False if all(part is False for part in parts) else None
    if any(part is False for part in parts):
        return False
    return True if all(parts) else None


def _covers_null(args: Collection[Tree]) -> bool:
    """`x is null or x is not null`, in this order or the other."""
    tests = [_split(arg)[1] for arg in args if "null_test" in arg]
    found = {(test.get("nulltesttype", "IS_NULL"), repr(_bare(test.get("arg")))) for test in tests}
    return any(kind == "IS_NULL" and ("IS_NOT_NULL", arg) in found for kind, arg in found)


def _comparison(node: Tree, not_null: frozenset[str]) -> bool | None:
    form = node.get("kind", "AEXPR_OP")
    left, right = node.get("lexpr", {}), node.get("rexpr", {})
    operator = (names(node.get("name")) or ("",))[-1]
    same = _bare(left) == _bare(right) and not _calls(left)
    if form in {"AEXPR_NOT_DISTINCT", "AEXPR_DISTINCT"}:
        return (form == "AEXPR_NOT_DISTINCT") if same else None
    if operator in {"~~", "~~*"}:
        return True if _constant(right) in {"%", "%%"} and _is_never_null(left, not_null) else None
    if form not in {"AEXPR_OP", "AEXPR_OP_ANY", "AEXPR_IN"}:
        return None
    if form == "AEXPR_OP" and same and operator in _REFLEXIVE and _is_never_null(left, not_null):
        return True
    if form != "AEXPR_OP":
        return _among(left, right, not_null) if operator == "=" else None
    return _compare(operator, _constant(left), _constant(right))


def _among(left: Tree, right: Tree, not_null: frozenset[str]) -> bool | None:
    """`1 in (1, 2)` and `id = any (array[id])`."""
    elements = right.get("a_array_expr", {}).get("elements") or right.get("list", {}).get("items") or ()
    value = _constant(left)
    if value is not _UNKNOWN and any(_compare("=", value, _constant(element)) for element in elements):
        return True
    is_itself = any(_bare(element) == _bare(left) for element in elements)
    return True if is_itself and _is_never_null(left, not_null) else None


def _compare(operator: str, left: Any, right: Any) -> bool | None:
    if left is _UNKNOWN or right is _UNKNOWN or type(left) is not type(right):
        return None
    if isinstance(left, tuple) and left != right:  # two ways to write one value of some type, perhaps
        return None
    if operator == "=":
        return bool(left == right)
    if operator in {"<>", "!="}:
        return bool(left != right)
    if isinstance(left, str | tuple):  # the order of texts is the collation's business
        return True if operator in {"<=", ">="} and left == right else None
    orders = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return orders.get(operator)


def _boolean_test(node: Tree, not_null: frozenset[str]) -> bool | None:
    truth = _truth(node.get("arg", {}), not_null)
    test = node.get("booltesttype", "IS_TRUE")
    if truth is None:
        is_boolean = test in {"IS_UNKNOWN", "IS_NOT_UNKNOWN"} and _is_never_null(node.get("arg", {}), not_null)
        return test == "IS_NOT_UNKNOWN" if is_boolean else None
    return {
        "IS_TRUE": truth,
        "IS_NOT_TRUE": not truth,
        "IS_FALSE": not truth,
        "IS_NOT_FALSE": truth,
        "IS_UNKNOWN": False,
        "IS_NOT_UNKNOWN": True,
    }.get(test)


def _subselect(node: Tree, not_null: frozenset[str]) -> bool | None:
    """`exists (select 1)` and `(select true)`, of a SELECT that reads nothing."""
    select = node.get("subselect", {}).get("select_stmt", {})
    if any(select.get(part) for part in _READS) or select.get("op", "SETOP_NONE") != "SETOP_NONE":
        return None
    passes = "where_clause" not in select or _truth(select["where_clause"], not_null) is True
    if not passes:
        return None
    if node.get("sub_link_type") == "EXISTS_SUBLINK":
        return True
    if node.get("sub_link_type") == "EXPR_SUBLINK":
        return _truth(select["target_list"][0]["res_target"]["val"], not_null)
    return None


def _is_never_null(tree: Tree, not_null: frozenset[str]) -> bool:
    kind, node = _split(tree)
    if kind == "column_ref":
        parts = names(node.get("fields"))
        return len(parts) == 1 and parts[0] in not_null
    if kind == "type_cast":
        return _is_never_null(node.get("arg", {}), not_null)
    return _constant(tree) is not _UNKNOWN


def _constant(tree: Tree) -> Any:
    """A constant's value: bool, Decimal, str, or (type, text); _UNKNOWN for NULL and for everything else."""
    kind, node = _split(tree)
    if kind == "type_cast":
        type_name = (names(node.get("type_name", {}).get("names")) or ("",))[-1]
        return _cast(_constant(node.get("arg", {})), type_name)
    if kind != "a_const" or node.get("isnull"):
        return _UNKNOWN
    if "boolval" in node:
        return bool(node["boolval"].get("boolval", False))
    if "ival" in node:
        return Decimal(node["ival"].get("ival", 0))
    if "fval" in node:
        return _number(node["fval"].get("fval", ""))
    return node["sval"].get("sval", "") if "sval" in node else _UNKNOWN


_TEXTS = frozenset({"text", "varchar", "name"})
_NUMBERS = frozenset({"int2", "int4", "int8", "numeric", "float4", "float8"})
_TRUE, _FALSE = frozenset({"true", "t", "yes", "on", "1"}), frozenset({"false", "f", "no", "off", "0"})


def _cast(value: Any, type_name: str) -> Any:
    if isinstance(value, str):
        if type_name in {"bool", "boolean"}:
            return True if value.lower() in _TRUE else False if value.lower() in _FALSE else _UNKNOWN
        if type_name in _NUMBERS:
            return _number(value)
        return value if type_name in _TEXTS else (type_name, value)
    if isinstance(value, Decimal) and type_name in _NUMBERS:
        return value if value == value.to_integral_value() or not type_name.startswith("int") else _UNKNOWN
    if isinstance(value, bool) and type_name in {"bool", "boolean"}:
        return value
    return _UNKNOWN


def _number(text: str) -> Any:
    try:
        return Decimal(text)
    except InvalidOperation:
        return _UNKNOWN


def _calls(tree: Any) -> bool:
    """Whether a function is called in it: `random() = random()` is no tautology."""
    if isinstance(tree, Mapping):
        return "func_call" in tree or "sub_link" in tree or any(_calls(value) for value in tree.values())
    return isinstance(tree, list | tuple) and any(_calls(item) for item in tree)


def _bare(tree: Any) -> Any:
    """A tree without the places where its parts stood in the text."""
    if isinstance(tree, Mapping):
        return {key: _bare(value) for key, value in tree.items() if not key.endswith("location")}
    return [_bare(item) for item in tree] if isinstance(tree, list | tuple) else tree


def _split(tree: Tree) -> tuple[str, Any]:
    for kind, node in tree.items():
        return kind, node
    return "", {}
