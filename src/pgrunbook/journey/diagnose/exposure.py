"""What the API can reach: the schemas that PostgREST serves, and what its roles may do there.

A request reaches an object when the schema is exposed, the role that serves it may use the schema, and it holds a
privilege on the object, or on a column of it; its own, everybody's, or that of a role whose rights it inherits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.functions import Function
from pgrunbook.journey.observe.grants import API_ROLES, GRANTS, ApiRole, Grant
from pgrunbook.journey.observe.relations import Relation
from pgrunbook.journey.observe.schemas import SCHEMAS, Schema
from pgrunbook.journey.observe.settings import ROLE_SETTINGS
from pgrunbook.model import Question, Service

NEEDS: tuple[Question[Any], ...] = (GRANTS, API_ROLES, SCHEMAS, ROLE_SETTINGS)

DEFAULT_SCHEMAS = ("public", "graphql_public")
READING = frozenset({"SELECT"})
WRITING = frozenset({"INSERT", "UPDATE", "DELETE"})
TOUCHING = (
    READING | WRITING
)  # REFERENCES and TRIGGER need DDL, which the API has not; rules of rows do not hold TRUNCATE
_PREDEFINED = {"pg_read_all_data": READING, "pg_write_all_data": WRITING}

# Schemas that Supabase keeps; what is wrong in them is not the project's to mend.
MANAGED_SCHEMAS = frozenset(
    """
    auth storage realtime _realtime _analytics _supavisor supabase_functions supabase_migrations extensions graphql
    graphql_public pgbouncer pgsodium pgsodium_masks vault net cron pgmq pgmq_public pgtle topology tiger tiger_data
    """.split()
)


def is_supabase(seen: Seen) -> bool:
    """Whether the roles and schemas of Supabase mean here what they mean there."""
    return seen.server.service is Service.SUPABASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """`schemas` are exposed, `origin` says how we know.  `roles` are the API's, and whom they act as."""

    schemas: tuple[str, ...]
    origin: str
    roles: tuple[ApiRole, ...]
    usable: Mapping[str, frozenset[str]] = field(default_factory=dict)
    _grants: Mapping[tuple[str, int], tuple[Grant, ...]] = field(default_factory=dict)

    def acts_as(self, role: str) -> tuple[str, ...]:
        """The API roles that have the rights of this role; all of them for `public`."""
        return tuple(api.name for api in self.roles if role == "public" or role in api.acts_as)

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...] | str]:
        """What every finding about exposure says of it."""
        return {"exposed_schemas": self.schemas, "exposed_by": self.origin}

    def grants(self, kind: str, oid: int) -> tuple[Grant, ...]:
        """What was granted on an object to an API role, to everybody, or to a role that an API role acts as."""
        return self._grants.get((kind, oid), ())

    def privileges(self, relation: Relation, among: Collection[str] = TOUCHING) -> Mapping[str, tuple[str, ...]]:
        """What each API role may do with a relation, or with some column of it; the schema need not be exposed."""
        found = {
            role.name: tuple(
                sorted(set(among) & (self._on_relation(relation, role) | self._on_columns(relation, role)))
            )
            for role in self.roles
            if relation.schema in self.usable[role.name]
        }
        return {name: privileges for name, privileges in found.items() if privileges}

    def holds(self, relation: Relation, among: Collection[str] = READING) -> tuple[str, ...]:
        """The API roles with such a privilege, whether or not they may name the schema: a view can name it for them."""
        return tuple(
            role.name
            for role in self.roles
            if set(among) & (self._on_relation(relation, role) | self._on_columns(relation, role))
        )

    def is_by_grants(self, relation: Relation) -> bool:
        """Whether taking grants away ends all access: no API role owns it, is a superuser, or reads all data."""
        return not any(
            role.is_superuser or relation.owner in role.acts_as or set(role.acts_as) & set(_PREDEFINED)
            for role in self.roles
        )

    def reached(self, relation: Relation, among: Collection[str] = TOUCHING) -> Mapping[str, tuple[str, ...]]:
        """What each API role may do with a relation by way of the API."""
        return self.privileges(relation, among) if relation.schema in self.schemas else {}

    def reads_column(self, relation: Relation, column: str) -> tuple[str, ...]:
        """The API roles that may read this column of a relation."""
        return tuple(
            role.name
            for role in self.roles
            if relation.schema in self.usable[role.name]
            and (
                "SELECT" in self._on_relation(relation, role)
                or any(
                    grant.column_name == column and "SELECT" in grant.privileges
                    for grant in self._held(role, "column", relation.oid)
                )
            )
        )

    def callers(self, function: Function) -> tuple[str, ...]:
        """The API roles that may call a function by way of the API."""
        if function.schema not in self.schemas:
            return ()
        return tuple(
            role.name
            for role in self.roles
            if function.schema in self.usable[role.name]
            and (
                role.is_superuser
                or function.owner in role.acts_as
                or any("EXECUTE" in grant.privileges for grant in self._held(role, "function", function.oid))
            )
        )

    def _held(self, role: ApiRole, kind: str, oid: int) -> tuple[Grant, ...]:
        return held_by(role, self.grants(kind, oid))

    def _on_relation(self, relation: Relation, role: ApiRole) -> frozenset[str]:
        if role.is_superuser or relation.owner in role.acts_as:
            return TOUCHING
        found = {p for grant in self._held(role, "relation", relation.oid) for p in grant.privileges}
        return frozenset(found.union(*(_PREDEFINED[name] for name in role.acts_as if name in _PREDEFINED)))

    def _on_columns(self, relation: Relation, role: ApiRole) -> frozenset[str]:
        return frozenset(p for grant in self._held(role, "column", relation.oid) for p in grant.privileges)


def held_by(role: ApiRole, grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Those grants that this role has the benefit of."""
    return tuple(grant for grant in grants if grant.grantee == "public" or grant.grantee in role.acts_as)


def touching_grantees(seen: Seen) -> Mapping[int, tuple[str, ...]]:
    """Of each relation those who were granted to read or write it, or columns of it, on any server."""
    found: dict[int, set[str]] = {}
    for grant in seen.rows(GRANTS):
        if grant.kind in {"relation", "column"} and TOUCHING.intersection(grant.privileges):
            found.setdefault(grant.oid, set()).add(grant.grantee)
    return {oid: tuple(sorted(names)) for oid, names in found.items()}


def exposure(seen: Seen) -> Exposure:
    """Gather it once; on a server that is not Supabase's nothing is exposed."""
    if not is_supabase(seen):
        return Exposure(schemas=(), origin="", roles=())
    schemas, origin = _exposed_schemas(seen)
    roles = seen.rows(API_ROLES)
    names = {"public"}.union(*(role.acts_as for role in roles))
    grants: dict[tuple[str, int], tuple[Grant, ...]] = {}
    for grant in seen.rows(GRANTS):
        if grant.grantee in names:
            grants[grant.kind, grant.oid] = (*grants.get((grant.kind, grant.oid), ()), grant)
    usable = {
        role.name: frozenset(
            schema.name
            for schema in seen.rows(SCHEMAS)
            if _may_use(role, schema, grants.get(("schema", schema.oid), ()))
        )
        for role in roles
    }
    return Exposure(schemas=schemas, origin=origin, roles=roles, usable=usable, _grants=grants)


def _may_use(role: ApiRole, schema: Schema, grants: Iterable[Grant]) -> bool:
    return (
        role.is_superuser
        or schema.owner in role.acts_as
        or any(name in role.acts_as for name in _PREDEFINED)
        or any("USAGE" in grant.privileges for grant in held_by(role, grants))
    )


def _exposed_schemas(seen: Seen) -> tuple[tuple[str, ...], str]:
    """pgrst.db_schemas of the role authenticator: in this database, else everywhere; else PostgREST's default."""
    settings = {
        row.database: row.value
        for row in seen.rows(ROLE_SETTINGS)
        if row.role == "authenticator" and row.name == "pgrst.db_schemas"
    }
    for database in (seen.server.database, None):
        if database in settings:
            schemas = tuple(part.strip() for part in settings[database].split(",") if part.strip())
            return schemas, "pgrst.db_schemas of role authenticator"
    return DEFAULT_SCHEMAS, "the documented default, because role authenticator has no pgrst.db_schemas"
