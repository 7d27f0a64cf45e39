"""The engine that asks the database itself, through the extension HypoPG: its planner, its data, no server of ours.

Hypothetical indexes live in the memory of our own session; nobody else sees them, and they end with it.  What HypoPG
cannot do (GIN, GiST, hiding existing indexes before its version 1.4) is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from pgrunbook.errors import Unreachable, Unsupported
from pgrunbook.journey.planner.engine import NO_SETTINGS, CannotPlan, Explained, TriedIndex, explained, nodes
from pgrunbook.pg.connect import Session, connect, first_line, translated
from pgrunbook.pg.parse import ParseFailed, Parser, Tree
from pgrunbook.pg.planned import NotPlanned, Planned, planned

HIDES_SINCE = (1, 4)
_NAME = "pgrunbook_whatif"
_SESSION = (
    "set default_transaction_read_only = on; set lock_timeout = 500; set statement_timeout = 15000;"
    " set plan_cache_mode = force_generic_plan; set jit = off"
)
_INSTALLED = """/* pgrunbook: hypopg installed */
select n.nspname::text, e.extversion::text, pg_catalog.pg_backend_pid()
from pg_catalog.pg_extension as e
join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
where e.extname = 'hypopg'"""
_LEAVES = """/* pgrunbook: hypopg leaves */
select n.nspname::text, c.relname::text
from pg_catalog.pg_partition_tree(pg_catalog.to_regclass(%(table)s)) as p
join pg_catalog.pg_class as c on c.oid = p.relid
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where p.isleaf and c.relkind = 'r'
order by n.nspname, c.relname"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """A hypothetical index that is there: one OID, or one a partition; `names` are those that plans show."""

    tried: TriedIndex
    oids: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


class HypoPG:
    """See Engine.  Keeps what was tried until something else is, so that trials that resemble each other are cheap."""

    name = "hypopg"

    def __init__(self, dsn: str) -> None:
        self._parser = Parser()
        self._conn: Session = connect(dsn, station="planner")
        try:
            with translated("preparing to plan"):
                self._schema, self.version = self._begin()
        except BaseException:
            self.close()
            raise
        self._made: dict[str, _Made] = {}
        self._refused: dict[str, TriedIndex] = {}
        self._hidden: dict[str, int] = {}
        self._texts: dict[str, list[str]] = {}
        self._planned: dict[str, Planned] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def backend_pid(self) -> int:
        """The server process that plans."""
        return self._conn.info.backend_pid

    def close(self) -> None:
        """End the session, and with it every hypothetical index."""
        self._parser.close()
        self._conn.close()

    @contextmanager
    def trying(self, indexes: Sequence[str] = (), dropped: Sequence[str] = ()) -> Iterator[_HypoTrial]:
        """Try indexes; see Engine.  Raises CannotPlan when an index is to be left out and HypoPG is too old for it."""
        self._hide(dropped)
        wanted = set(indexes)
        gone = [known for known in self._made if known not in wanted]
        self._drop([oid for known in gone for oid in self._made.pop(known).oids])
        self._make([d for d in dict.fromkeys(indexes) if d not in self._made and d not in self._refused])
        tried = tuple(self._made[d].tried if d in self._made else self._refused[d] for d in indexes)
        yield _HypoTrial(self, tried)

    def explain(self, query: str, role: str | None, settings: Mapping[str, str]) -> Explained:
        """Plan one statement with the hypothetical indexes that are there."""
        ready = self._checked(query)
        is_apart = role is not None or bool(settings)
        try:
            if is_apart:
                self._conn.execute("begin")
                self._settle(role, settings)
            plan = self._generic(ready) if ready.parameters else self._plain(ready.text)
        except psycopg.Error as exc:
            if self._conn.closed:
                raise Unreachable(f"the connection was lost while explaining: {first_line(exc)}") from exc
            raise CannotPlan(f"the server does not plan it: {first_line(exc)}") from exc
        finally:
            self._leave(is_apart=is_apart, has_prepared=ready.parameters > 0)
        return explained(self._named(plan))

    def _begin(self) -> tuple[str, tuple[int, ...]]:
        row = self._ask(_INSTALLED)
        if not row:
            raise Unsupported(
                "the extension hypopg is not installed in this database",
                hint="CREATE EXTENSION hypopg; (as a role that may), or use another engine.",
            )
        schema, version, pid = row[0]
        if int(pid) != self._conn.info.backend_pid:
            raise Unsupported(
                "hypothetical indexes belong to one server session, and a pooler stands before this server",
                hint="Connect to the server itself.",
            )
        self._conn.execute(_SESSION)
        return str(schema), tuple(int(part) for part in str(version).split(".") if part.isdigit())

    def _ask(self, query: str, params: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self._conn.execute(query.encode(), params).fetchall()
        except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
            if self._conn.closed:
                raise Unreachable(f"the connection was lost while trying indexes: {first_line(exc)}") from exc
            raise

    def _function(self, name: str) -> str:
        return sql.Identifier(self._schema, name).as_string(self._conn)

    def _hide(self, dropped: Sequence[str]) -> None:
        wanted = set(dropped)
        if wanted and self.version < HIDES_SINCE:
            raise CannotPlan(
                f"HypoPG {'.'.join(map(str, self.version))} cannot leave out existing indexes; 1.4 can",
                hint="Use the engine twin, or update the extension.",
            )
        for name in [known for known in self._hidden if known not in wanted]:
            self._ask(f"select {self._function('hypopg_unhide_index')}(%(oid)s::oid)", {"oid": self._hidden.pop(name)})
        for name in wanted - self._hidden.keys():
            row = self._ask("select pg_catalog.to_regclass(%(name)s)::oid::int8", {"name": name})
            if not row or row[0][0] is None:
                raise CannotPlan(f"there is no index {name}")
            self._ask(f"select {self._function('hypopg_hide_index')}(%(oid)s::oid)", {"oid": row[0][0]})
            self._hidden[name] = int(row[0][0])

    def _drop(self, oids: Sequence[int]) -> None:
        if oids:
            drop = self._function("hypopg_drop_index")
            self._ask(f"select {drop}(o.oid) from unnest(%(oids)s::oid[]) as o (oid)", {"oids": list(oids)})

    def _make(self, definitions: Sequence[str]) -> None:
        """Make what is not there; all in one statement, or one by one when HypoPG refuses one of them."""
        statements: dict[str, list[str]] = {}
        for definition in definitions:
            try:
                statements[definition] = self._statements(definition)
            except CannotPlan as exc:
                self._refused[definition] = _refusal(definition, exc)
        try:
            rows = self._create([one for many in statements.values() for one in many])
        except psycopg.Error as exc:
            self._lost(exc)
            self._again(statements)
            return
        for definition, many in statements.items():
            self._keep(definition, rows[: len(many)])
            rows = rows[len(many) :]

    def _again(self, statements: Mapping[str, Sequence[str]]) -> None:
        """Begin anew: what HypoPG made before it refused is there, and nobody knows its number."""
        before = list(self._made)
        self._made.clear()
        self._ask(f"select {self._function('hypopg_reset')}()")
        for definition in before:
            self._make_one(definition, self._statements(definition))
        for definition, many in statements.items():
            self._make_one(definition, many)

    def _make_one(self, definition: str, statements: Sequence[str]) -> None:
        rows: list[tuple[Any, ...]] = []
        try:
            for statement in statements:
                rows += self._create([statement])
        except psycopg.Error as exc:
            self._lost(exc)
            self._drop([int(row[0]) for row in rows])
            self._refused[definition] = _refusal(definition, exc)
            return
        self._keep(definition, rows)

    def _keep(self, definition: str, rows: Sequence[tuple[Any, ...]]) -> None:
        names = tuple(str(row[1]) for row in rows)
        tried = TriedIndex(definition=definition, name=names[0], size_bytes=sum(int(row[2]) for row in rows))
        self._made[definition] = _Made(tried=tried, oids=tuple(int(row[0]) for row in rows), names=names)

    def _create(self, statements: Sequence[str]) -> list[tuple[Any, ...]]:
        if not statements:
            return []
        rows = self._ask(
            "select c.indexrelid::int8, c.indexname::text,"
            f" {self._function('hypopg_relation_size')}(c.indexrelid)::int8"
            " from unnest(%(all)s::text[]) with ordinality as s (text, n)"
            f" cross join lateral {self._function('hypopg_create_index')}(s.text) as c order by s.n",
            {"all": list(statements)},
        )
        if len(rows) != len(statements):
            self._drop([int(row[0]) for row in rows])
            raise psycopg.DataError("HypoPG did not make it")
        return rows

    def _lost(self, exc: psycopg.Error) -> None:
        if self._conn.closed:
            raise Unreachable(f"the connection was lost while trying indexes: {first_line(exc)}") from exc

    def _statements(self, definition: str) -> list[str]:
        """What HypoPG is given: the statement without what it does not know, once for each partition."""
        if definition not in self._texts:
            self._texts[definition] = self._spelled(definition)
        return self._texts[definition]

    def _spelled(self, definition: str) -> list[str]:
        try:
            tree = self._parser.statement(definition)
            node = dict(tree.get("index_stmt", {}))
            if not node:
                raise CannotPlan("it is no CREATE INDEX statement")
            for part in ("idxname", "concurrent", "if_not_exists", "table_space"):
                node.pop(part, None)
            return [self._parser.sql({"index_stmt": one}) for one in self._on_leaves(node)]
        except ParseFailed as exc:
            raise CannotPlan(f"it cannot be parsed: {exc}") from exc

    def _on_leaves(self, node: Tree) -> Iterator[Tree]:
        relation = dict(node["relation"])
        given = [part for part in (relation.get("schemaname"), relation["relname"]) if part]
        leaves = self._ask(_LEAVES, {"table": sql.Identifier(*given).as_string(self._conn)})
        if not leaves:
            yield node
        for schema, name in leaves:
            leaf = {**relation, "schemaname": schema, "relname": name, "inh": True}
            yield {**node, "relation": leaf}

    def _checked(self, query: str) -> Planned:
        if query not in self._planned:
            try:
                self._planned[query] = planned(query, self._parser)
            except ParseFailed as exc:
                raise CannotPlan(f"it cannot be parsed: {exc}") from exc
            except NotPlanned as exc:
                raise CannotPlan(str(exc)) from exc
        return self._planned[query]

    def _settle(self, role: str | None, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            self._ask(
                "select pg_catalog.set_config(%(name)s, %(value)s, true)",
                {"name": name, "value": value},
            )
        if role is not None:
            self._conn.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))

    def _plain(self, text: str) -> Mapping[str, Any]:
        return self._plan_in(self._extended(f"explain (format json) {text}"))

    def _generic(self, ready: Planned) -> Mapping[str, Any]:
        """The plan for any values; EXPLAIN (GENERIC_PLAN) is younger than 16 and needs the simple protocol."""
        self._extended(f"prepare {_NAME} as {ready.text}")
        nulls = ", ".join(["null"] * ready.parameters)
        return self._plan_in(self._extended(f"explain (format json) execute {_NAME}({nulls})"))

    def _leave(self, *, is_apart: bool, has_prepared: bool) -> None:
        if self._conn.closed:
            return
        if is_apart:
            self._conn.execute("rollback")
        if has_prepared:
            self._conn.execute("deallocate all")  # the session is ours

    def _extended(self, statement: str) -> psycopg.Cursor[Any]:
        """Run a text that is not ours: the binary format makes it the extended protocol, which takes one statement."""
        return self._conn.execute(statement.encode("utf-8", "surrogateescape"), binary=True)

    def _plan_in(self, cursor: psycopg.Cursor[Any]) -> Mapping[str, Any]:
        row = cursor.fetchone()
        if row is None:
            raise CannotPlan("EXPLAIN said nothing")
        plan: Mapping[str, Any] = row[0][0]["Plan"]
        return plan

    def _named(self, plan: Mapping[str, Any]) -> Mapping[str, Any]:
        """The plan with each partition's hypothetical index under the name of the whole."""
        parts = {
            name: made.tried.name for made in self._made.values() if len(made.names) > 1 for name in made.names[1:]
        }
        if parts:
            for node in nodes(plan):
                if node.get("Index Name") in parts and isinstance(node, dict):
                    node["Index Name"] = parts[node["Index Name"]]
        return plan


class _HypoTrial:
    """See Trial."""

    def __init__(self, engine: HypoPG, indexes: tuple[TriedIndex, ...]) -> None:
        self._engine = engine
        self.indexes = indexes

    def explain(self, query: str, *, role: str | None = None, settings: Mapping[str, str] = NO_SETTINGS) -> Explained:
        """Plan one statement; see Trial."""
        return self._engine.explain(query, role, settings)


def _refusal(definition: str, exc: Exception) -> TriedIndex:
    return TriedIndex(definition=definition, name="", size_bytes=0, refused=first_line(exc))
