"""The workload: statements of pg_stat_statements (or of a file) with what they cost and what they ask of each table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pgrunbook.journey.observe.policies import POLICIES, Policy
from pgrunbook.journey.observe.roles import ROLES, Role
from pgrunbook.journey.observe.settings import ROLE_SETTINGS
from pgrunbook.journey.observe.statements import STATEMENTS, Statement
from pgrunbook.journey.workload.access import Accesses
from pgrunbook.journey.workload.catalog import Catalog, Table
from pgrunbook.journey.workload.hidden import Hidden
from pgrunbook.journey.workload.walk import accesses_of
from pgrunbook.model import NotRead, Question, Snapshot
from pgrunbook.pg.parse import ParseFailed, Parser, Tree

_Row = TypeVar("_Row")

MAX_STATEMENTS = 1500  # parsed at most, dearest first: about a millisecond each
# The server's own look-ups for foreign keys; they are the business of the foreign key, not of a statement.
_BY_FOREIGN_KEY = re.compile(r"\bONLY\b.*OPERATOR\(pg_catalog\.=\)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One statement of one role with its cost and its accesses.

    Entries of one text are one statement: drivers that send a number as smallint, integer or bigint, as its value asks,
    make several.  `queryids` holds them all, dearest first; () for a statement from a file.
    """

    queryids: tuple[int, ...]
    role: str | None
    query: str
    calls: int
    total_ms: float
    rows: int
    blocks: int
    accesses: Accesses

    @property
    def is_counted(self) -> bool:
        """Whether the server has counted it."""
        return bool(self.queryids)

    @property
    def mean_ms(self) -> float:
        """Time of one call."""
        return self.total_ms / max(self.calls, 1)

    @property
    def rows_per_call(self) -> float:
        """Rows that one call returned or wrote."""
        return self.rows / max(self.calls, 1)

    @property
    def blocks_per_call(self) -> float:
        """Blocks that one call read from or found in shared buffers."""
        return self.blocks / max(self.calls, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextStatement:
    """A statement from a file, and how much it weighs beside the others."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Every statement that could be read; how many could not, and how many of the cheapest were left out.

    `ambiguous` are the names of tables in several schemas that statements used, none on their role's search path.
    """

    asked: tuple[Asked, ...]
    total_ms: float
    unparsed: int = 0
    unread: int = 0
    ambiguous: tuple[str, ...] = ()


def workload_of(
    snapshot: Snapshot,
    parser: Parser,
    catalog: Catalog,
    hidden: Hidden,
    *,
    calls_min: int = 1,
    blocks_min: int = 0,
    statements_max: int = MAX_STATEMENTS,
) -> Workload:
    """Read pg_stat_statements, dearest statements first.  Raises NotRead when it has no answer.

    Left out are statements with fewer calls, and those that only read, and fewer blocks a call.
    """
    rows = [row for row in snapshot.rows(STATEMENTS) if is_application(row)]
    groups = [group for group in _by_text(rows) if _counts(group, calls_min, blocks_min)]
    rules, paths = Rules(snapshot, parser), SearchPaths(snapshot)
    asked, unparsed, ambiguous = [], 0, dict[str, None]()
    for group in groups[:statements_max]:
        role, text, ids = group[0].role, group[0].query, [row.queryid for row in group]
        try:
            tree = parser.statement(text)
        except ParseFailed:
            unparsed += 1
            continue
        found = accesses_of(tree, catalog.along(paths.of(role)), rules.for_role(role))
        ambiguous.update(dict.fromkeys(name for name in found.unknown if len(catalog.by_name.get(name, ())) > 1))
        if found.accesses:
            asked.append(_asked(group, hidden.shown(found, ids)))
    return Workload(
        asked=tuple(asked),
        total_ms=sum(row.total_exec_ms for row in rows),
        unparsed=unparsed,
        unread=max(0, len(groups) - statements_max),
        ambiguous=tuple(ambiguous),
    )


def workload_of_texts(statements: Sequence[TextStatement], parser: Parser, catalog: Catalog) -> Workload:
    """Statements as somebody wrote them, run `weight` times each; constants in them are known, times are not."""
    asked, unparsed = [], 0
    for each in statements:
        try:
            trees = parser.statements(each.text)
        except ParseFailed:
            unparsed += 1
            continue
        for tree in trees:
            found = accesses_of(tree, catalog)
            if found.accesses:
                calls = max(1, round(each.weight))
                asked.append(
                    Asked(
                        queryids=(),
                        role=None,
                        query=each.text,
                        calls=calls,
                        total_ms=0,
                        rows=0,
                        blocks=0,
                        accesses=found,
                    )
                )
    return Workload(asked=tuple(asked), total_ms=0.0, unparsed=unparsed)


def is_application(row: Statement) -> bool:
    """Whether the application sent it: neither we, nor a utility command, nor a foreign key's own look-up."""
    if row.is_ours or row.is_utility:
        return False
    return row.toplevel or _BY_FOREIGN_KEY.search(row.query) is None


def _by_text(rows: Iterable[Statement]) -> list[list[Statement]]:
    """Entries of one text and role together, dearest text first."""
    groups: dict[tuple[str, str | None], list[Statement]] = defaultdict(list)
    for row in rows:
        groups[row.query, row.role].append(row)
    return sorted(groups.values(), key=lambda group: -sum(row.total_exec_ms for row in group))


def _counts(group: Sequence[Statement], calls_min: int, blocks_min: int) -> bool:
    calls = sum(row.calls for row in group)
    blocks = sum(row.shared_hit_blocks + row.shared_read_blocks for row in group)
    return calls >= calls_min and (not group[0].is_read or blocks >= blocks_min * calls)


def _asked(group: Sequence[Statement], accesses: Accesses) -> Asked:
    ranked = sorted(group, key=lambda row: -row.total_exec_ms)
    return Asked(
        queryids=tuple(dict.fromkeys(row.queryid for row in ranked)),
        role=ranked[0].role,
        query=ranked[0].query,
        calls=sum(row.calls for row in group),
        total_ms=sum(row.total_exec_ms for row in group),
        rows=sum(row.rows for row in group),
        blocks=sum(row.shared_hit_blocks + row.shared_read_blocks for row in group),
        accesses=accesses,
    )


class SearchPaths:
    """The search path that a role's sessions begin with: of role and database, of the role, of the database."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._database = snapshot.server.database
        self._rows = [row for row in _optional(snapshot, ROLE_SETTINGS) if row.name == "search_path"]

    def of(self, role: str | None) -> tuple[str, ...]:
        """Its schemas in order; () where nobody has set one."""
        for wanted in ((role, self._database), (role, None), (None, self._database), (None, None)):
            for row in self._rows:
                if (row.role, row.database) == wanted:
                    names = [part.strip().strip('"') for part in row.value.split(",")]
                    return tuple((role or "") if name == "$user" else name for name in names)
        return ()


class Rules:
    """Row security: which conditions a table has for whoever runs a statement."""

    def __init__(self, snapshot: Snapshot, parser: Parser) -> None:
        self._parser = parser
        self._policies: dict[int, list[Policy]] = defaultdict(list)
        for policy in _optional(snapshot, POLICIES):
            self._policies[policy.table_oid].append(policy)
        self._roles: Mapping[str, Role] = {role.name: role for role in _optional(snapshot, ROLES)}
        self._trees: dict[str, Tree | None] = {}

    def for_role(self, name: str | None) -> Callable[[Table], Sequence[Tree]]:
        """The conditions of a table for this role, joined by AND; none when row security does not apply to it."""
        role = self._roles.get(name) if name is not None else None
        if name is None or (role is not None and (role.is_superuser or role.bypasses_rls)):
            return lambda _: ()
        groups = self._groups_of(name)
        return lambda table: self._conditions(table, groups)

    def _conditions(self, table: Table, groups: frozenset[str]) -> Sequence[Tree]:
        relation = table.relation
        if not relation.row_security or (relation.owner in groups and not relation.force_row_security):
            return ()
        mine = [
            policy
            for policy in self._policies[relation.oid]
            if policy.command in {"select", "all"} and (groups | {"public"}) & set(policy.roles)
        ]
        permissive = [self._tree(p.using_expression) for p in mine if p.is_permissive]
        restrictive = [self._tree(p.using_expression) for p in mine if not p.is_permissive]
        conditions = [tree for tree in restrictive if tree is not None]
        known = [tree for tree in permissive if tree is not None]
        if known and len(known) == len(permissive):
            conditions.append(known[0] if len(known) == 1 else {"bool_expr": {"boolop": "OR_EXPR", "args": known}})
        return conditions

    def _tree(self, text: str | None) -> Tree | None:
        if text is None:
            return None
        if text not in self._trees:
            try:
                self._trees[text] = self._parser.expression(text)
            except ParseFailed:
                self._trees[text] = None
        return self._trees[text]

    def _groups_of(self, name: str) -> frozenset[str]:
        """The role and every group that it belongs to, directly or not."""
        found, waiting = {name}, [name]
        while waiting:
            role = self._roles.get(waiting.pop())
            for group in role.member_of if role is not None else ():
                if group not in found:
                    found.add(group)
                    waiting.append(group)
        return frozenset(found)


def _optional(snapshot: Snapshot, question: Question[_Row]) -> Iterable[_Row]:
    try:
        return snapshot.rows(question)
    except NotRead:
        return ()
