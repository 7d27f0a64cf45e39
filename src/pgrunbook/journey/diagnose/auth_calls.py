"""Which part of a policy's expression asks "who is calling?" again for every row, and how to ask it once.

PostgreSQL evaluates a stable function in a policy once a row.  Inside a sub-select that refers to no outer column it is
an InitPlan, evaluated once a statement.  So a call is *bare* when it stands outside of every uncorrelated sub-select.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.functions import FUNCTIONS, Function
from pgrunbook.model import NotRead, dotted
from pgrunbook.pg.parse import ParseFailed, Parser, Tree
from pgrunbook.pg.trees import column_refs, function_calls, names, nodes, range_aliases

_AUTH = frozenset({"uid", "jwt", "role", "email"})
_CALL_IN_SOURCE = re.compile(r'\b(?:"?auth"?\s*\.\s*"?(?:uid|jwt|role|email)"?|current_setting)\s*\(', re.IGNORECASE)
_COMMENT_OR_STRING = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthFunctions:
    """The functions that ask who is calling: auth.*, current_setting, and helpers that hide such a call."""

    helpers: Mapping[tuple[str, str], Function]

    def name_of(self, call: tuple[str, ...]) -> str | None:
        """The function's name if it is one of them (`call` is the name's parts), else None."""
        *schema, name = call
        if name == "current_setting" and schema in ([], ["pg_catalog"]):
            return "current_setting"
        if schema == ["auth"] and name in _AUTH:
            return f"auth.{name}"
        for helper_schema, helper_name in self.helpers:
            if name == helper_name and schema in ([], [helper_schema]):
                return dotted(helper_schema, helper_name)
        return None


def auth_functions(seen: Seen) -> AuthFunctions:
    """Find the helpers: not immutable, and calling one of ours directly or through another helper."""
    try:
        functions = seen.rows(FUNCTIONS)
    except NotRead:
        return AuthFunctions(helpers={})
    user_made = [f for f in functions if f.volatility != "i" and f.kind == "f" and not f.of_extension]
    roots = {f.oid for f in user_made if f.schema == "auth" and f.name in _AUTH}
    called = {f.oid: _called_names(seen.parser, f) for f in user_made}
    asking = {f.oid: f for f in user_made if f.oid in roots or _asks_itself(f)}
    while True:
        known = {(f.schema, f.name) for f in asking.values()}
        more = [
            f
            for f in user_made
            if f.oid not in asking
            and (any(_matches(call, known) for call in called[f.oid]) or set(f.called_oids) & set(asking))
        ]
        if not more:
            break
        asking.update({f.oid: f for f in more})
    return AuthFunctions(helpers={(f.schema, f.name): f for f in asking.values() if f.oid not in roots})


def _asks_itself(function: Function) -> bool:
    return bool(function.source) and bool(_CALL_IN_SOURCE.search(_COMMENT_OR_STRING.sub(" ", function.source or "")))


def _called_names(parser: Parser, function: Function) -> frozenset[tuple[str, ...]]:
    """Functions that an SQL function calls, by parse tree; for PL/pgSQL whatever stands before a parenthesis."""
    if not function.source:
        return frozenset()
    if function.language == "sql":
        try:
            return frozenset(function_calls(list(parser.statements(function.source))))
        except ParseFailed:
            pass  # an SQL body may use what only the server knows; the text still tells
    text = _COMMENT_OR_STRING.sub(" ", function.source)
    return frozenset(
        tuple(part.strip('"') for part in re.split(r"\s*\.\s*", name))
        for name in re.findall(r'((?:"[^"]+"|[a-z_][\w$]*)(?:\s*\.\s*(?:"[^"]+"|[a-z_][\w$]*))?)\s*\(', text)
    )


def _matches(call: tuple[str, ...], known: Iterable[tuple[str, str]]) -> bool:
    return any(call in ((schema, name), (name,)) for schema, name in known)


def bare_calls(tree: Tree, functions: AuthFunctions) -> frozenset[str]:
    """The names of the functions that this expression calls once a row."""
    return frozenset(name for call in _row_by_row(tree) if (name := functions.name_of(call)))


def wrap(tree: Tree, functions: AuthFunctions) -> Tree | None:
    """The expression with every bare call in a sub-select of its own; None when one depends on the row.

    The largest part around a call that refers to no column is wrapped, so that casts and JSON access run once, too.
    """
    wrapped = _wrap(tree, functions)
    return None if bare_calls(wrapped, functions) else wrapped


def _row_by_row(tree: Any) -> Iterator[tuple[str, ...]]:
    """Function calls under `tree`, leaving out what uncorrelated sub-selects evaluate once."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key == "sub_link" and not is_correlated(value):
                if "testexpr" in value:
                    yield from _row_by_row(value["testexpr"])
                continue
            if key == "func_call":
                yield names(value.get("funcname"))
            yield from _row_by_row(value)
    elif isinstance(tree, list | tuple):
        for item in tree:
            yield from _row_by_row(item)


def is_correlated(sub_link: Tree) -> bool:
    """Whether the sub-select refers to a column of the query around it.

    pg_get_expr qualifies every column inside a sub-select, so a qualifier that no FROM item there bears is outer.
    """
    subselect = sub_link.get("subselect", {})
    inner: set[str] = set()
    for kind, node in nodes(subselect):
        if kind == "select_stmt":
            inner |= range_aliases(node)
    for parts in column_refs(subselect):
        if len(parts) == 1:
            if not inner:
                return True
        elif parts[-2] not in inner:
            return True
    return False


def _wrap(tree: Any, functions: AuthFunctions) -> Any:
    if isinstance(tree, list | tuple):
        return [_wrap(item, functions) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    if len(tree) == 1:
        ((kind, node),) = tree.items()
        if kind == "sub_link" and not is_correlated(node):
            return {kind: {**node, "testexpr": _wrap(node["testexpr"], functions)}} if "testexpr" in node else tree
        if kind in _VALUES and bare_calls(tree, functions) and not any(column_refs(tree)):
            return _subselect(tree)
    return {key: _wrap(value, functions) for key, value in tree.items()}


_VALUES = frozenset(
    {"func_call", "a_expr", "type_cast", "coalesce_expr", "a_indirection", "case_expr", "collate_clause"}
)


def _subselect(value: Tree) -> Tree:
    target = {"res_target": {"val": value}}
    select = {"target_list": [target], "limit_option": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}
    return {"sub_link": {"sub_link_type": "EXPR_SUBLINK", "subselect": {"select_stmt": select}}}
