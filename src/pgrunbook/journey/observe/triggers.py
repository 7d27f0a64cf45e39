"""Triggers that people made, and the inner ones of constraints where somebody has switched them off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """One trigger.  `enabled` is pg_trigger.tgenabled: O fires normally, D is disabled, R and A mind replication.

    `parent_oid` is the trigger of the partitioned table that it was cloned from, or 0.  An inner trigger
    (`is_internal`) belongs to the constraint whose name stands beside it.
    """

    oid: int
    name: str
    table_oid: int
    schema: str
    table_name: str
    table_kind: str
    function_name: str
    function_schema: str
    enabled: str
    is_internal: bool
    parent_oid: int
    constraint_name: str | None
    constraint_kind: str | None

    @property
    def qualified(self) -> str:
        """`schema.table.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name, self.name)

    @property
    def table(self) -> str:
        """`schema.table`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name)


TRIGGERS = Question(name="triggers", row=Trigger, folder=Path(__file__).parent)
