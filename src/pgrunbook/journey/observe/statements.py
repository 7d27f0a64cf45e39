"""Statements and what they cost since their counters began: pg_stat_statements of the current database.

The view's columns follow the extension's version, not the server's (pg_upgrade leaves the old one), so its SQL takes
each column that the installed version has.  Texts are normalised by the server; where one still quotes a password it is
hidden.  A text longer than the parser takes is cut one character beyond that, so that it cannot be parsed by mistake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pgrunbook.model import Question

OURS = "/* pgrunbook:"
_ASKS_CATALOG = re.compile(r"\b(?:from|join|select)\s+pg_catalog\.|\bpg_stat_statements", re.IGNORECASE)
_FIRST_WORD = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*([a-z]+)", re.IGNORECASE | re.DOTALL)
_PLANNED = frozenset({"select", "insert", "update", "delete", "merge", "with", "values", "table"})
_READING = frozenset({"select", "with", "values", "table"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One normalised statement of one role, cumulative since `stats_since` or the last reset.

    `queryid` is signed, as PostgreSQL prints it.  A role that was dropped since is None.  Times of reading and writing
    blocks are 0 unless track_io_timing is on; `plans` and `total_plan_ms` are 0 unless track_planning is on.
    """

    role: str | None
    queryid: int
    toplevel: bool
    query: str
    calls: int
    plans: int
    total_exec_ms: float
    mean_exec_ms: float
    min_exec_ms: float
    max_exec_ms: float
    stddev_exec_ms: float
    total_plan_ms: float
    rows: int
    shared_hit_blocks: int
    shared_read_blocks: int
    shared_dirtied_blocks: int
    shared_written_blocks: int
    local_hit_blocks: int
    local_read_blocks: int
    local_dirtied_blocks: int
    local_written_blocks: int
    temp_read_blocks: int
    temp_written_blocks: int
    shared_block_read_ms: float
    shared_block_write_ms: float
    temp_block_read_ms: float
    temp_block_write_ms: float
    wal_bytes: int
    stats_since: datetime | None

    @property
    def is_ours(self) -> bool:
        """Whether pgrunbook, or another tool that names the catalog as we do, sent it.

        Each of our SQL files starts with a comment, but PostgreSQL 18 leaves leading comments out of the text.
        """
        return self.query.startswith(OURS) or _ASKS_CATALOG.search(self.query) is not None

    @property
    def first_word(self) -> str:
        """The command word after comments and parentheses, in lower case; "" when there is none."""
        return first_word(self.query)

    @property
    def is_utility(self) -> bool:
        """Whether it is no planned statement: BEGIN, SET, COPY, CREATE, VACUUM and the like."""
        return self.first_word not in _PLANNED

    @property
    def is_read(self) -> bool:
        """Whether it starts as a reading statement (a WITH may still write)."""
        return self.first_word in _READING


def first_word(query: str) -> str:
    r"""The command word of a statement, in lower case.

    >>> first_word("/* a */ -- b\n (SELECT 1)"), first_word("$1")
    ('select', '')
    """
    match = _FIRST_WORD.match(query)
    return match[1].lower() if match else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementsInfo:
    """How far pg_stat_statements can be trusted: since when it counts, and how often it threw entries out for room."""

    evictions: int
    stats_reset: datetime | None
    read_at: datetime
    max_statements: int
    track: str


_HERE = Path(__file__).parent
_EXTENSION = "pg_stat_statements"
STATEMENTS = Question(
    name="statements", row=Statement, folder=_HERE, extension=_EXTENSION, needs="pg_read_all_stats", counters=True
)
STATEMENTS_INFO = Question(
    name="statements_info",
    row=StatementsInfo,
    folder=_HERE,
    extension=_EXTENSION,
    extension_version="1.9",
    counters=True,
)
