"""Policies that row security applies, parsed once for all who judge them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pgrunbook.journey.diagnose.exposure import exposure, is_supabase
from pgrunbook.journey.diagnose.revoking import grantee_sql
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.policies import POLICIES, Policy
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.model import Blind, Question, dotted, quote
from pgrunbook.pg.parse import ParseFailed, Tree

NEEDS: tuple[Question[Any], ...] = (POLICIES, RELATIONS)
COMMANDS = ("select", "insert", "update", "delete")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPolicy:
    """A policy with the trees of its expressions, and its table (row security is on there)."""

    policy: Policy
    table: Relation
    using: Tree | None
    check: Tree | None

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands that it applies to."""
        return COMMANDS if self.policy.command == "all" else (self.policy.command,)

    @property
    def trees(self) -> Mapping[str, Tree]:
        """Its expressions, `using` and `check`, those that there are."""
        return {name: tree for name, tree in (("using", self.using), ("check", self.check)) if tree is not None}

    @property
    def effective_check(self) -> Tree | None:
        """What new rows must satisfy: without WITH CHECK it is the USING clause."""
        return self.check if self.check is not None else self.using

    def text(self, clause: str) -> str | None:
        """A clause as PostgreSQL prints it."""
        return self.policy.using_expression if clause == "using" else self.policy.check_expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """All of them, and what could not be looked at."""

    parsed: tuple[ParsedPolicy, ...]
    unseen: tuple[Blind, ...]

    @property
    def by_table(self) -> Mapping[int, tuple[ParsedPolicy, ...]]:
        """They by their table's OID."""
        groups: dict[int, list[ParsedPolicy]] = defaultdict(list)
        for each in self.parsed:
            groups[each.policy.table_oid].append(each)
        return {oid: tuple(group) for oid, group in groups.items()}


def parsed_policies(seen: Seen) -> Policies:
    """Parse each policy of a table whose row security is on; Blind for locked tables and what does not parse."""
    tables = {relation.oid: relation for relation in seen.rows(RELATIONS) if relation.row_security}
    reading = seen.reading(POLICIES)
    unseen = [
        Blind(object=tables[oid].qualified, reason="the table is locked", cure="Try again without the lock.")
        for oid in sorted(reading.skipped)
        if oid in tables
    ]
    parse = cache(seen.parser.expression)  # a thousand tables of one kind have one text
    parsed = []
    for policy in reading.rows:
        if policy.table_oid not in tables:
            continue
        trees: dict[str, Tree | None] = {"using": None, "check": None}
        try:
            for clause, text in (("using", policy.using_expression), ("check", policy.check_expression)):
                trees[clause] = parse(text) if text is not None else None
        except ParseFailed as exc:
            unseen.append(Blind(object=policy.qualified, reason=f"its expression cannot be parsed: {exc}"))
            continue
        parsed.append(ParsedPolicy(policy=policy, table=tables[policy.table_oid], **trees))
    return Policies(parsed=tuple(parsed), unseen=tuple(unseen))


def audience(seen: Seen, roles: Iterable[str]) -> tuple[str, ...]:
    """Whom a policy with these roles lets in from outside: API roles on Supabase, elsewhere everybody or nobody."""
    if not is_supabase(seen):
        return ("public",) if "public" in roles else ()
    reach = seen.derived(exposure)
    return tuple(dict.fromkeys(name for role in roles for name in reach.acts_as(role)))


def not_null_columns(seen: Seen) -> Mapping[int, frozenset[str]]:
    """Of each table the columns that cannot be NULL."""
    found: dict[int, set[str]] = defaultdict(set)
    for column in seen.rows(COLUMNS):
        if column.not_null:
            found[column.table_oid].add(column.name)
    return {oid: frozenset(names) for oid, names in found.items()}


def create_policy(policy: Policy, *, using: str | None = None, check: str | None = None) -> str:
    """The statement that makes this policy, with its own expressions or with these."""
    using = using if using is not None else policy.using_expression
    check = check if check is not None else policy.check_expression
    kind = "" if policy.is_permissive else " AS RESTRICTIVE"
    return (
        f"CREATE POLICY {quote(policy.name)} ON {policy.table}{kind} FOR {policy.command.upper()}"
        f" TO {', '.join(grantee_sql(role) for role in policy.roles)}"
        + (f" USING ({using})" if using is not None else "")
        + (f" WITH CHECK ({check})" if check is not None else "")
    )


def drop_policy(policy: Policy) -> str:
    """The statement that drops it."""
    return f"DROP POLICY {quote(policy.name)} ON {dotted(policy.schema, policy.table_name)}"


def alter_roles(policy: Policy, roles: Iterable[str]) -> str:
    """The statement that changes to whom it applies."""
    return f"ALTER POLICY {quote(policy.name)} ON {policy.table} TO {', '.join(grantee_sql(role) for role in roles)}"
