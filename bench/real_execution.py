"""Queries run for real, before and after: processor seconds of the backend and of its parallel workers.

A worker is a child of the postmaster, which has waited for it by the time the query ends, so that its time is found in
the postmaster's own figures.  Each query counts with the least of some runs; what the runs before differ by is noise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from benchmark_data import Query

RUNS: Final = 3
SLOWER_MAX_RATIO: Final = 1.10
TICK_S: Final = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One query's runs before and after, in processor seconds."""

    number: int
    before_s: tuple[float, ...]
    after_s: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Least after through least before."""
        return max(min(self.after_s), TICK_S) / max(min(self.before_s), TICK_S)

    @property
    def noise_s(self) -> float:
        """What runs of the same plan differ by; at least what the clock cannot tell."""
        return max(max(self.before_s) - min(self.before_s), 2 * TICK_S)

    @property
    def holds(self) -> bool:
        """Whether it is not slower by more than a tenth beyond noise."""
        return min(self.after_s) <= SLOWER_MAX_RATIO * min(self.before_s) + self.noise_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """All queries."""

    queries: tuple[Timed, ...]

    @property
    def before_s(self) -> float:
        """Of all queries."""
        return sum(min(timed.before_s) for timed in self.queries)

    @property
    def after_s(self) -> float:
        """Of all queries."""
        return sum(min(timed.after_s) for timed in self.queries)

    @property
    def worst(self) -> Timed:
        """The query that gained least or lost most."""
        return max(self.queries, key=lambda timed: timed.ratio)

    @property
    def holds(self) -> bool:
        """Whether no query is slower."""
        return all(timed.holds for timed in self.queries)

    def rows(self) -> list[str]:
        """A line a query."""
        return [
            f"  q{timed.number:<3} {min(timed.before_s):8.2f} s {min(timed.after_s):8.2f} s  ratio {timed.ratio:5.2f}"
            f"  noise {timed.noise_s:.2f} s{'' if timed.holds else '  SLOWER'}"
            for timed in self.queries
        ]

    def in_words(self) -> str:
        """Totals and the worst query."""
        return (
            f"real execution {self.before_s:.1f} s before, {self.after_s:.1f} s after (CPU),"
            f" worst q{self.worst.number} {self.worst.ratio:.2f}"
        )


def before_and_after(conn: psycopg.Connection[Any], asked: Sequence[Query], change: Callable[[], None]) -> Execution:
    """Run all queries, make the change, run them again."""
    before = _runs(conn, asked)
    change()
    after = _runs(conn, asked)
    return Execution(
        queries=tuple(
            Timed(number=query.number, before_s=before[query.number], after_s=after[query.number]) for query in asked
        )
    )


def _runs(conn: psycopg.Connection[Any], asked: Sequence[Query]) -> dict[int, tuple[float, ...]]:
    backend = conn.info.backend_pid
    postmaster = int(_stat(backend)[1])
    found: dict[int, list[float]] = {query.number: [] for query in asked}
    for _ in range(RUNS):
        for query in asked:
            began = _own_s(backend) + _children_s(postmaster)
            conn.execute(query.text.encode()).fetchall()
            found[query.number].append(_own_s(backend) + _children_s(postmaster) - began)
    return {number: tuple(seconds) for number, seconds in found.items()}


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the process's name: state, parent and so on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _own_s(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) * TICK_S


def _children_s(pid: int) -> float:
    """Of the children that have ended."""
    fields = _stat(pid)
    return (int(fields[13]) + int(fields[14])) * TICK_S
