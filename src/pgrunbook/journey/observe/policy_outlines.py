"""Row security policies without their expressions: what the catalog says without opening the tables.

A table that is locked can be judged by these; only what a policy's expression says needs the second pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOutline:
    """One policy.  `command` is select, insert, update, delete or all; role `public` means every role.

    `function_oids` are the functions that it calls itself (built-in ones are not recorded).
    """

    oid: int
    table_oid: int
    schema: str
    table_name: str
    name: str
    command: str
    is_permissive: bool
    roles: tuple[str, ...]
    has_using: bool
    has_check: bool
    function_oids: tuple[int, ...]

    @property
    def qualified(self) -> str:
        """`schema.table.policy`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name, self.name)

    @property
    def table(self) -> str:
        """`schema.table`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name)


POLICY_OUTLINES = Question(name="policy_outlines", row=PolicyOutline, folder=Path(__file__).parent)
