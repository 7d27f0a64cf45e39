"""What each view reads, from the dependencies that the catalog keeps; never from its text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewDependency:
    """One view (kind v) or materialised view (m), and one relation that it reads."""

    view_oid: int
    schema: str
    name: str
    kind: str
    source_oid: int
    source_kind: str

    @property
    def qualified(self) -> str:
        """`schema.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.name)


VIEW_DEPENDENCIES = Question(name="view_dependencies", row=ViewDependency, folder=Path(__file__).parent)
