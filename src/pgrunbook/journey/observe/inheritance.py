"""Tables from which others inherit in the old way: a unique index says nothing of the children's rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class InheritingTable:
    """One child of one parent; partitions are none."""

    oid: int
    parent_oid: int


INHERITANCE = Question(name="inheritance", row=InheritingTable, folder=Path(__file__).parent)
