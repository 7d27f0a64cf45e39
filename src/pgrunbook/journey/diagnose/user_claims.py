"""Where a condition believes what users write about themselves: `user_metadata` in the token, `raw_user_meta_data`.

Every user can change these by `auth.updateUser`; what only the server writes is `app_metadata`, `raw_app_meta_data`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.functions import FUNCTIONS, Function
from pgrunbook.model import NotRead
from pgrunbook.pg.parse import ParseFailed, Parser, Tree
from pgrunbook.pg.trees import function_calls, names, nodes

CLAIM, SERVER_CLAIM = "user_metadata", "app_metadata"
COLUMN, SERVER_COLUMN = "raw_user_meta_data", "raw_app_meta_data"
_ACCESS = frozenset({"->", "->>", "#>", "#>>", "?", "@>", "@?", "@@"})
_EXTRACT = frozenset({"jsonb_extract_path", "jsonb_extract_path_text", "json_extract_path", "json_extract_path_text"})
_SETTING = re.compile(r"request\.jwt\.claim\.user_metadata")
_PATH = re.compile(rf"(?<![A-Za-z_]){CLAIM}(?![A-Za-z_])")
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_IN_SOURCE = re.compile(
    rf"""(?:->>?|\#>>?)\s*(?:E)?'[{{"]*{CLAIM}\b | (?:path|path_text)\s*\([^)]*'{CLAIM}' | \[\s*'{CLAIM}'\s*\]
       | request\.jwt\.claim\.{CLAIM} | \b{COLUMN}\b""",
    re.VERBOSE,
)


def trusts_users(tree: Tree) -> bool:
    """Whether the expression itself looks at a claim that users write."""
    for kind, node in nodes(tree):
        if kind == "column_ref" and names(node.get("fields"))[-1:] == (COLUMN,):
            return True
        if kind == "a_expr" and _is_access(node) and not _is_plain_column(node.get("lexpr", {})):
            return True
        if kind == "func_call" and _is_extraction(node):
            return True
        if kind == "a_indirection" and not _is_plain_column(node.get("arg", {})) and _mentions(node.get("indirection")):
            return True
    return False


def _is_access(node: Tree) -> bool:
    return (
        names(node.get("name"))[-1:] != () and names(node.get("name"))[-1] in _ACCESS and _mentions(node.get("rexpr"))
    )


def _is_extraction(node: Tree) -> bool:
    name, args = (names(node.get("funcname")) or ("",))[-1], node.get("args", ())
    if name == "current_setting":
        return any(_SETTING.search(text) for text in _constants(args))
    return name in _EXTRACT and bool(args) and not _is_plain_column(args[0]) and _mentions(args[1:])


def _is_plain_column(tree: Tree) -> bool:
    """Whether the JSON is a column of a table: data of the application, not the token."""
    while "type_cast" in tree or "a_expr" in tree:
        tree = tree["type_cast"].get("arg", {}) if "type_cast" in tree else tree["a_expr"].get("lexpr", {})
    return "column_ref" in tree


def _mentions(tree: Any) -> bool:
    return any(_PATH.search(text) for text in _constants(tree))


def _constants(tree: Any) -> list[str]:
    return [
        node.get("sval", "") for kind, node in nodes(tree) if kind == "sval" and isinstance(node.get("sval", ""), str)
    ]


def with_server_claims(tree: Any) -> Any:
    """The same expression, asking what only the server writes."""
    if isinstance(tree, list | tuple):
        return [with_server_claims(item) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    if "sval" in tree and isinstance(tree["sval"], str):
        text = {COLUMN: SERVER_COLUMN}.get(tree["sval"], tree["sval"])
        return {**tree, "sval": _PATH.sub(SERVER_CLAIM, text)}
    return {key: with_server_claims(value) for key, value in tree.items()}


def trusting_functions(seen: Seen) -> Mapping[int, Function]:
    """Functions that look at such a claim, or call one that does."""
    try:
        functions = [f for f in seen.rows(FUNCTIONS) if f.kind == "f" and not f.of_extension and f.schema != "auth"]
    except NotRead:
        return {}
    found = {function.oid: function for function in functions if _source_trusts(seen.parser, function)}
    calls = {function.oid: _calls(seen.parser, function) for function in functions}
    while True:
        known = {(function.schema, function.name) for function in found.values()}
        short = {name for _, name in known}
        more = [
            function
            for function in functions
            if function.oid not in found
            and (
                set(function.called_oids) & set(found)
                or any(call in known or (len(call) == 1 and call[0] in short) for call in calls[function.oid])
            )
        ]
        if not more:
            return found
        found.update({function.oid: function for function in more})


def _source_trusts(parser: Parser, function: Function) -> bool:
    source = function.source or ""
    if CLAIM not in source and COLUMN not in source:
        return False
    if function.language == "sql":
        try:
            return any(trusts_users(statement) for statement in parser.statements(source))
        except ParseFailed:
            pass  # an SQL body may use what only the server knows; the text still tells
    return bool(_IN_SOURCE.search(_COMMENT.sub(" ", source)))


def _calls(parser: Parser, function: Function) -> frozenset[tuple[str, ...]]:
    """The functions that a body calls: by parse tree in SQL, by what stands before a parenthesis elsewhere."""
    source = function.source or ""
    if function.language == "sql":
        try:
            return frozenset(function_calls(list(parser.statements(source))))
        except ParseFailed:
            pass  # as above
    found = re.findall(r"((?:[a-z_]\w*\s*\.\s*)?[a-z_]\w*)\s*\(", _COMMENT.sub(" ", source))
    return frozenset(tuple(re.split(r"\s*\.\s*", name)) for name in found)
