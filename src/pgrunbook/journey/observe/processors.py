"""What the processors of the server's machine have done, as its own kernel counts it (Linux; pg_read_server_files).

Ticks since the machine started, of all processors together: only the difference of two readings says something.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Processors:
    """One row.  `waiting_ticks` are those in which a processor idled because something waited for a disk."""

    cores: int
    busy_ticks: int
    idle_ticks: int
    waiting_ticks: int


PROCESSORS = Question(
    name="processors",
    row=Processors,
    folder=Path(__file__).parent,
    counters=True,
    cure="GRANT pg_read_server_files to this role, or ask on the server's own machine.",
)
