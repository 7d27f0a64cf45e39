"""Queries run for real, before and after: processor seconds of the backend and of its parallel workers.

A worker is a child of the postmaster, which has waited for it by the time the query ends, so that its time is found in
the postmaster's own figures.  Each query counts with the least of some runs; what the runs before differ by is noise.
A query that runs too long is stopped, and what it took until then counts: of its full time that is the least.
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
LIMIT_S: Final = 60
SLOWER_MAX_RATIO: Final = 1.10
TICK_S: Final = 1.0 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Processor seconds of some runs of one query."""

    seconds: tuple[float, ...]
    is_stopped: bool

    @property
    def least_s(self) -> float:
        """The quickest run."""
        return min(self.seconds)

    def in_words(self) -> str:
        """The quickest run; at least that much when it was stopped."""
        return f"{'>' if self.is_stopped else ' '}{self.least_s:8.2f} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One query before and after."""

    number: int
    before: Runs
    after: Runs

    @property
    def ratio(self) -> float:
        """Least after through least before."""
        return max(self.after.least_s, TICK_S) / max(self.before.least_s, TICK_S)

    @property
    def noise_s(self) -> float:
        """What runs of the same plan differ by; at least what the clock cannot tell."""
        return max(max(self.before.seconds) - self.before.least_s, 2 * TICK_S)

    @property
    def holds(self) -> bool:
        """Whether it is not slower by more than a tenth beyond noise."""
        if self.after.is_stopped:
            return self.before.is_stopped
        return self.after.least_s <= SLOWER_MAX_RATIO * self.before.least_s + self.noise_s

    def in_words(self) -> str:
        """A line of the table."""
        return (
            f"  q{self.number:<3} {self.before.in_words()} {self.after.in_words()}  ratio {self.ratio:5.2f}"
            f"  noise {self.noise_s:.2f} s{'' if self.holds else '  SLOWER'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """All queries."""

    queries: tuple[Timed, ...]

    @property
    def before_s(self) -> float:
        """Of all queries."""
        return sum(timed.before.least_s for timed in self.queries)

    @property
    def after_s(self) -> float:
        """Of all queries."""
        return sum(timed.after.least_s for timed in self.queries)

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
        return [timed.in_words() for timed in self.queries]

    def in_words(self) -> str:
        """Totals and the worst query."""
        stopped = sum(timed.before.is_stopped for timed in self.queries)
        least = f" at least ({stopped} stopped after {LIMIT_S} s)" if stopped else ""
        slower = sum(not timed.holds for timed in self.queries)
        return (
            f"real execution {self.before_s:.1f} s before{least}, {self.after_s:.1f} s after (CPU),"
            f" {slower} slower, worst q{self.worst.number} {self.worst.ratio:.2f}"
        )


def before_and_after(conn: psycopg.Connection[Any], asked: Sequence[Query], change: Callable[[], None]) -> Execution:
    """Run all queries, make the change, run them again."""
    before = _runs(conn, asked)
    change()
    after = _runs(conn, asked)
    return Execution(
        queries=tuple(
            Timed(number=query.number, before=before[query.number], after=after[query.number]) for query in asked
        )
    )


def _runs(conn: psycopg.Connection[Any], asked: Sequence[Query]) -> dict[int, Runs]:
    found: dict[int, list[float]] = {query.number: [] for query in asked}
    over: set[int] = set()
    conn.execute(f"set statement_timeout = '{LIMIT_S}s'".encode())
    for _ in range(RUNS):
        for query in asked:
            if query.number in over:
                continue
            seconds, is_whole = _run(conn, query)
            if not is_whole:
                over.add(query.number)
            if is_whole or not found[query.number]:
                found[query.number].append(seconds)
    conn.execute("set statement_timeout = 0")
    return {number: Runs(seconds=tuple(s), is_stopped=number in over and len(s) == 1) for number, s in found.items()}


def _run(conn: psycopg.Connection[Any], query: Query) -> tuple[float, bool]:
    """The processor seconds of one run, and whether it came to its end."""
    backend = conn.info.backend_pid
    postmaster = int(_stat(backend)[1])
    began, is_whole = _own_s(backend) + _children_s(postmaster), True
    try:
        conn.execute(query.text.encode()).fetchall()
    except psycopg.errors.QueryCanceled:
        is_whole = False
    return _own_s(backend) + _children_s(postmaster) - began, is_whole


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
