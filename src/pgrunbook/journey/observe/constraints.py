"""Constraints as the catalog keeps them, not as text: what each covers, refers to, and whether it was validated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One constraint.  `kind` is pg_constraint.contype; NOT NULL ones (from 18) are listed only when not validated.

    `types` are as declared; for a domain the base type stands in `base_types`.  A constraint of a domain has
    `table_oid` 0, the domain's name as `table_name` and `table_kind` 'd'.
    `parent_oid` is the constraint of the partitioned parent that it comes from, or 0.
    """

    oid: int
    name: str
    kind: str
    table_oid: int
    schema: str
    table_name: str
    table_kind: str
    parent_oid: int
    index_oid: int
    is_validated: bool
    is_enforced: bool
    is_deferrable: bool
    is_deferred: bool
    is_local: bool
    attnums: tuple[int, ...]
    columns: tuple[str, ...]
    types: tuple[str, ...]
    base_types: tuple[str, ...]
    collation_oids: tuple[int, ...]
    referenced_oid: int
    referenced_schema: str
    referenced_name: str
    referenced_attnums: tuple[int, ...]
    referenced_columns: tuple[str, ...]
    referenced_types: tuple[str, ...]
    referenced_base_types: tuple[str, ...]
    on_update: str
    on_delete: str

    @property
    def qualified(self) -> str:
        """`schema.table.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name, self.name)

    @property
    def table(self) -> str:
        """`schema.table`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.table_name)

    @property
    def referenced(self) -> str:
        """`schema.table` of the referenced side, quoted as PostgreSQL would."""
        return dotted(self.referenced_schema, self.referenced_name)

    @property
    def is_foreign_key(self) -> bool:
        """Whether it is a foreign key as somebody declared it, not its copy on a partition."""
        return self.kind == "f" and self.parent_oid == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstraintDefinition:
    """The text that makes the constraint again, as PostgreSQL prints it."""

    oid: int
    table_oid: int
    definition: str


_HERE = Path(__file__).parent
CONSTRAINTS = Question(name="constraints", row=Constraint, folder=_HERE)
CONSTRAINT_DEFINITIONS = Question(
    name="constraint_definitions", row=ConstraintDefinition, folder=_HERE, reads_definitions=True
)
