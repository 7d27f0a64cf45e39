"""Row-level security policies with their expressions as PostgreSQL prints them (second pass: it opens the tables)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy.  `command` is select, insert, update, delete or all; role `public` means every role."""

    oid: int
    table_oid: int
    schema: str
    table_name: str
    name: str
    command: str
    is_permissive: bool
    roles: tuple[str, ...]
    using_expression: str | None
    check_expression: str | None

    @property
    def qualified(self) -> str:
        """`schema.table.policy`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name, self.name)

    @property
    def table(self) -> str:
        """`schema.table`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name)


POLICIES = Question(name="policies", row=Policy, folder=Path(__file__).parent, reads_definitions=True)
