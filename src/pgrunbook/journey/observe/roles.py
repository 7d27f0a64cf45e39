"""Roles: what they may do, whose members they are, and what they have to do with this database's tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One role.  `owned_tables` and `granted_tables` count tables of this database, direct grants only.

    `connection_limit` is -1 when there is none.  `member_of` holds the groups it belongs to directly.
    """

    oid: int
    name: str
    may_login: bool
    is_superuser: bool
    may_replicate: bool
    bypasses_rls: bool
    inherits: bool
    may_create_roles: bool
    may_create_databases: bool
    connection_limit: int
    valid_until: datetime | None
    member_of: tuple[str, ...]
    owned_tables: int
    granted_tables: int
    may_connect: bool

    @property
    def is_predefined(self) -> bool:
        """A role that PostgreSQL itself brings (pg_monitor and its kin)."""
        return self.name.startswith("pg_")


ROLES = Question(name="roles", row=Role, folder=Path(__file__).parent)
