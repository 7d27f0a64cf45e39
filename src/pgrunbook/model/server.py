"""What a server is and what we may see of it, probed once per connection and asked by name afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ServerRole(StrEnum):
    """Primary, or a standby in recovery."""

    PRIMARY = "primary"
    STANDBY = "standby"


class Service(StrEnum):
    """Who runs the server."""

    PLAIN = "plain"
    SUPABASE = "supabase"
    RDS = "rds"
    AURORA = "aurora"
    CLOUD_SQL = "cloud_sql"
    AZURE = "azure"
    NEON = "neon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """An installed extension: its version and the schema of its objects."""

    version: str
    schema: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One database on one server, seen by one role."""

    database: str
    version: str
    major: int
    version_num: int
    role: ServerRole
    service: Service
    user: str
    is_superuser: bool
    memberships: frozenset[str] = frozenset()
    extensions: Mapping[str, Extension] = field(default_factory=dict)
    system_identifier: str | None = None
    timeline: int | None = None
    encoding: str = "UTF8"
    started_at: datetime | None = None
    through_pooler: bool = False

    def has_extension(self, name: str) -> bool:
        """Whether the extension is installed in this database."""
        return name in self.extensions

    def may(self, role: str) -> bool:
        """Whether this role has the rights of a predefined role such as pg_monitor."""
        return self.is_superuser or role in self.memberships
