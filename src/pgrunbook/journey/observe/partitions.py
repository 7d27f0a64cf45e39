"""Partitions and their bounds.  A bound holds constants only, so printing it opens no table and waits for no lock."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question, dotted


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One partition of one partitioned table (which may itself be a partition).

    `strategy` is l, r or h (list, range, hash).  `key_column` is the first column of the key, '' where an expression
    stands.  `bound` is what stands in PARTITION OF: FOR VALUES FROM ('2026-01-01') TO ('2026-02-01').
    """

    oid: int
    parent_oid: int
    schema: str
    name: str
    kind: str
    strategy: str
    key_count: int
    key_column: str
    key_type: str
    is_default: bool
    bound: str | None

    @property
    def qualified(self) -> str:
        """`schema.name`, quoted as PostgreSQL would."""
        return dotted(self.schema, self.name)


PARTITIONS = Question(name="partitions", row=Partition, folder=Path(__file__).parent)
