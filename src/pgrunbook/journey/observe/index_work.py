"""Who builds, rebuilds or drops indexes right now, from the lock table (every role may see it)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexWork:
    """A session that holds or awaits a lock for maintenance on a table or index.

    `is_build` says that it reports the progress of CREATE INDEX or REINDEX.
    """

    pid: int
    oid: int
    is_build: bool


INDEX_WORK = Question(name="index_work", row=IndexWork, folder=Path(__file__).parent)
