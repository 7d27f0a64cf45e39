"""What parallel workers and the just-in-time compiler did, as far as this version counts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelWork:
    """One row for all databases: workers that plans asked for, and those that could be started; None before 18."""

    workers_wanted: int | None
    workers_launched: int | None
    counters_age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JitWork:
    """One row: time that statements of this database spent compiling, against all of their execution time."""

    statements: int
    functions: int
    compile_ms: float
    exec_ms: float


_HERE = Path(__file__).parent
PARALLEL_WORK = Question(name="parallel_work", row=ParallelWork, folder=_HERE, counters=True)
JIT_WORK = Question(
    name="jit_work",
    row=JitWork,
    folder=_HERE,
    extension="pg_stat_statements",
    extension_version="1.10",
    needs="pg_read_all_stats",
    counters=True,
)
