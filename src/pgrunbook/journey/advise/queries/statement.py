"""The statement to explain: read from the command line, a file or pg_stat_statements; refused when it is not one.

Its text is parsed in a child process.  What is no single planned statement is the caller's mistake: UsageError.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.errors import Refused, Unsupported, UsageError
from pgrunbook.journey.observe.statements import STATEMENTS, Statement
from pgrunbook.model import NotRead, Snapshot
from pgrunbook.model.explanation import Asked
from pgrunbook.pg.parse import ParseFailed, Parser, Tree
from pgrunbook.pg.planned import explainable
from pgrunbook.pg.trees import names, nodes

_PLANNED = ("select_stmt", "insert_stmt", "update_stmt", "delete_stmt", "merge_stmt")
_WRITES = frozenset({"insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One planned statement with its parse tree."""

    asked: Asked
    tree: Tree

    @property
    def text(self) -> str:
        """The text as EXPLAIN takes it."""
        return self.asked.text

    @property
    def select(self) -> Tree | None:
        """The SELECT that it is, if it is one."""
        node: Tree | None = self.tree.get("select_stmt")
        return node

    @property
    def is_read(self) -> bool:
        """Whether its text writes nothing and locks no row."""
        return not why_no_read(self.tree)


def query_from_text(text: str, source: str, parser: Parser) -> Query:
    """The one statement in a text.  Raises UsageError."""
    ready = explainable(text).strip().rstrip(";").strip()
    tree = _single(ready, source, parser)
    return Query(asked=Asked(text=ready, source=source, parameters=parameters_of(tree)), tree=tree)


def query_from_file(path: Path, parser: Parser) -> Query:
    """The one statement in a file.  Raises UsageError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise UsageError(f"cannot read {path}: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise UsageError(f"{path} is no text in UTF-8") from exc
    return query_from_text(text, str(path), parser)


def query_from_counters(queryid: int, snapshot: Snapshot, parser: Parser) -> Query:
    """The statement of this queryid in pg_stat_statements, with what it cost.  Raises UsageError, Unsupported."""
    try:
        rows = [row for row in snapshot.rows(STATEMENTS) if row.queryid == queryid]
    except NotRead as exc:
        raise Unsupported(
            f"queryid {queryid} cannot be looked up: {exc.unread.reason}",
            hint=exc.unread.cure or "Give the statement's text instead.",
        ) from exc
    if not rows:
        raise UsageError(
            f"pg_stat_statements has no statement with queryid {queryid} in database {snapshot.server.database}",
            hint="pgrunbook queries lists them.",
        )
    row = max(rows, key=lambda r: r.total_exec_ms)
    text = explainable(row.query).strip().rstrip(";").strip()
    tree = _single(text, f"queryid {queryid}", parser)
    return Query(asked=_counted(rows, row, text, parameters_of(tree)), tree=tree)


def _counted(rows: list[Statement], dearest: Statement, text: str, parameters: int) -> Asked:
    calls = max(1, sum(row.calls for row in rows))
    return Asked(
        text=text,
        source=f"queryid {dearest.queryid}",
        parameters=parameters,
        queryid=dearest.queryid,
        role=dearest.role,
        calls=calls,
        mean_ms=round(sum(row.total_exec_ms for row in rows) / calls, 3),
        rows_per_call=round(sum(row.rows for row in rows) / calls, 2),
        blocks_per_call=round(sum(row.shared_hit_blocks + row.shared_read_blocks for row in rows) / calls, 1),
    )


def _single(text: str, source: str, parser: Parser) -> Tree:
    try:
        trees = parser.statements(text)
    except ParseFailed as exc:
        raise UsageError(f"the statement ({source}) cannot be parsed: {exc}") from exc
    if not trees:
        raise UsageError(f"there is no statement in {source}: it is empty")
    if len(trees) > 1:
        raise UsageError(f"{source} holds {len(trees)} statements; explain takes one", hint="Give each one by itself.")
    (tree,) = trees
    if "explain_stmt" in tree:
        raise UsageError("it begins with EXPLAIN", hint="Give the statement itself; --analyze runs it.")
    if not any(kind in tree for kind in _PLANNED):
        kind = next(iter(tree)).removesuffix("_stmt").replace("_", " ").upper()
        raise UsageError(
            f"{kind} is a utility statement, which has no plan",
            hint="Give a SELECT, INSERT, UPDATE, DELETE or MERGE.",
        )
    if "into_clause" in tree.get("select_stmt", {}):
        raise UsageError("SELECT INTO makes a table", hint="Give the SELECT without INTO.")
    return tree


def parameters_of(tree: Tree) -> int:
    """The highest number of a `$n`."""
    return max((int(node.get("number", 0)) for kind, node in nodes(tree) if kind == "param_ref"), default=0)


def why_no_read(tree: Tree) -> str:
    """What in the text writes or locks; "" when nothing does."""
    for kind, node in nodes([tree]):
        if kind in _WRITES:
            return f"it holds {kind.removesuffix('_stmt').upper()}"
        if kind in {"select_stmt", "larg", "rarg"} and node.get("locking_clause"):
            return "it locks rows (FOR UPDATE or FOR SHARE)"
        if kind in {"select_stmt", "larg", "rarg"} and "into_clause" in node:
            return "it makes a table (INTO)"
    return ""


def refuse_to_run(query: Query, *, changing: tuple[str, ...] = ()) -> None:
    """Raise where running the statement could change something, or where its parameters have no values."""
    reason = why_no_read(query.tree)
    if reason:
        raise Refused(f"--analyze would run the statement, and {reason}", hint="Without --analyze it is only planned.")
    if changing:
        raise Refused(
            f"--analyze would run the statement, and it calls volatile functions: {', '.join(changing)}",
            hint="Without --analyze it is only planned.",
        )
    if query.asked.parameters:
        raise UsageError(
            "--analyze needs values, and the statement has parameters ($1 …)",
            hint="Write values in their places, or leave out --analyze.",
        )


def called_functions(tree: Tree) -> tuple[tuple[str, ...], ...]:
    """The names of all functions that the text calls."""
    return tuple(names(node.get("funcname")) for kind, node in nodes(tree) if kind == "func_call")
