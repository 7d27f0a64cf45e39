"""Small questions to a parse tree as `Parser` gives it: mappings of one key (the node's type), lists, and scalars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pgrunbook.pg.parse import Tree


def nodes(tree: Any) -> Iterator[tuple[str, Tree]]:
    """Every node under `tree`, itself first, as (type, fields); node types are lower-case names with an underscore."""
    stack = [tree]
    while stack:
        here = stack.pop()
        if isinstance(here, Mapping):
            for key, value in here.items():
                if isinstance(value, Mapping):
                    yield key, value
                stack.append(value)
        elif isinstance(here, list | tuple):
            stack.extend(reversed(here))


def names(parts: Any) -> tuple[str, ...]:
    """The strings of a name list, such as a function's or a column reference's; a star becomes '*'."""
    found = []
    for part in parts or ():
        if "string" in part:
            found.append(part["string"].get("sval", ""))
        elif "a_star" in part:
            found.append("*")
    return tuple(found)


def column_refs(tree: Any) -> Iterator[tuple[str, ...]]:
    """Every column reference under `tree`, as the parts of its name."""
    for kind, node in nodes(tree):
        if kind == "column_ref":
            yield names(node.get("fields"))


def function_calls(tree: Any) -> Iterator[tuple[str, ...]]:
    """The name of every function called under `tree`, as its parts."""
    for kind, node in nodes(tree):
        if kind == "func_call":
            yield names(node.get("funcname"))


def range_aliases(select: Tree) -> frozenset[str]:
    """The names under which a SELECT's own FROM and WITH items can be referred to (nested joins included)."""
    found = set()
    for kind, node in nodes([select.get("from_clause"), select.get("with_clause")]):
        alias = node.get("alias")
        if isinstance(alias, Mapping) and "aliasname" in alias:
            found.add(alias["aliasname"])
        elif kind == "range_var":
            found.add(node.get("relname", ""))
        elif kind == "common_table_expr":
            found.add(node.get("ctename", ""))
    return frozenset(found)
