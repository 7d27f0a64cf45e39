"""Tables, partitioned tables, materialised views, views and foreign tables, from the catalog alone (no locks).

Sizes are what the last VACUUM or ANALYZE saw (relpages), not what lies on disk now.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """One relation that holds or shows rows.  `kind` is pg_class.relkind; `estimated_rows` is -1 if never counted."""

    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    is_partition: bool
    parent_oid: int | None
    pages: int
    estimated_rows: float
    all_visible_pages: int
    size_bytes: int
    toast_pages: int | None
    toast_oid: int
    options: tuple[str, ...]
    toast_options: tuple[str, ...]
    row_security: bool
    force_row_security: bool
    replica_identity: str
    owner: str | None
    readable: bool
    of_extension: bool
    frozen_xid_age: int | None
    min_mxid_age: int | None

    @property
    def qualified(self) -> str:
        """`schema.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.name)

    @property
    def has_storage(self) -> bool:
        """An ordinary table, leaf partition or materialised view."""
        return self.kind in {"r", "m"}

    def option(self, name: str) -> str | None:
        """The value of a storage parameter, if it is set on the table."""
        prefix = f"{name}="
        return next((o[len(prefix) :] for o in self.options if o.startswith(prefix)), None)


RELATIONS = Question(name="relations", row=Relation, folder=Path(__file__).parent)
