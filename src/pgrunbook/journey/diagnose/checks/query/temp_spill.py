"""A query that sorts or hashes on disk.

Asks:    which statements write temporary files again and again?
Unit:    spilled_bytes a call.
Source:  pg_stat_statements: temp_blks_written; in the window if there is one, else since its counters began.
Blind:   no pg_stat_statements; without pg_read_all_stats.
Says:    Each call writes {spilled_bytes} of temporary files, for its sorts and hashes do not fit into work_mem.
         {calls} calls wrote {total_bytes} in the {window_s} watched.  {calls} calls wrote {total_bytes} in the
         {counters_age_s} that its counters cover.  For this session work_mem is {work_mem_bytes}: {query}
Section: Query Optimization
Leads:   work_mem for the role; an index that gives the order
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.query_texts import COSTS, COSTS_LIKE, about, often_enough, statement_costs, unsure
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.journey.workload.costs import BLOCK_BYTES, Cost
from pgrunbook.model import Advice, Finding, Kind, Severity, Value, Verdict, quote

_MB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When spilling is a fault.

    `calls`: a report that spills now and then does what temporary files are for.  `spilled_bytes`: less stays in the
    kernel's cache and costs nothing.  `total_bytes`: one default work_mem.  `work_mem_max_bytes`: more than this for
    every sort of every session is no advice; the query must sort less.
    """

    calls: int = 10
    spilled_bytes: int = 256 * 1024
    total_bytes: int = 4 * _MB
    work_mem_max_bytes: int = 256 * _MB


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a statement."""
    yield from unsure(seen)
    costs = seen.derived(statement_costs)
    for cost in costs.toplevel:
        total_bytes = cost.temp_written_blocks * BLOCK_BYTES
        if (
            cost.calls >= often_enough(costs, limits.calls)
            and cost.temp_bytes_per_call >= limits.spilled_bytes
            and total_bytes >= limits.total_bytes
        ):
            work_mem = _work_mem(seen)
            figures: dict[str, Value] = {
                "spilled_bytes": round(cost.temp_bytes_per_call),
                "total_bytes": total_bytes,
                "work_mem_bytes": round(work_mem) if work_mem is not None else None,
            }
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.QUERY,
                object=cost.object,
                evidence=about(cost, costs, seen, **figures),
                advice=_advice(cost, limits),
            )


def _work_mem(seen: Seen) -> float | None:
    setting = by_name(seen.rows_or_none(SETTINGS) or ()).get("work_mem")
    return setting.number if setting is not None else None


def _advice(cost: Cost, limits: Limits) -> tuple[Advice, ...]:
    """Enough memory for what is spilled: in memory it takes two to three times the space it takes in a file."""
    wanted = 4 * _MB
    while wanted < 3 * cost.temp_bytes_per_call:
        wanted *= 2
    if wanted > limits.work_mem_max_bytes or not cost.roles:
        return ()
    role = quote(cost.roles[0])
    return (
        Advice(
            title=f"Give role {role} more memory for sorts and hashes",
            sql=f"ALTER ROLE {role} SET work_mem = '{wanted // _MB}MB';",
            undo_sql=f"ALTER ROLE {role} RESET work_mem;",
            risk="New sessions only.  Each sort and hash of each session may take as much: mind the machine's memory.",
        ),
    )


CHECK = Check(needs=COSTS, likes=(*COSTS_LIKE, SETTINGS), judge=judge, limits=Limits())
