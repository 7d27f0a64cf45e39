"""The index advisor on TPC-H and TPC-DS against the figures of Extend (Kossmann et al., VLDB 2020).

    python bench/advisor.py [tpch|tpcds …] [--no-build]

PostgreSQL 15 with HypoPG, scale factor 1, no keys, key width 2, budgets in HypoPG's bytes, weights 1.  The ratio of
costs after and before is measured in a connection of its own, by HypoPG alone.  TPC-H at 320 MB of real bytes is built
for real, too (not with --no-build), and its queries are run before and after: none may be slower by more than a tenth
beyond noise.  A table, then one line; exit 0 only when every bar holds.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from benchmark_data import BenchServer, Query, queries
from real_execution import Execution, before_and_after

from pgrunbook.journey.advise.index_set import Order, advise_index_set
from pgrunbook.journey.observe import observe
from pgrunbook.journey.planner.hypopg import HypoPG
from pgrunbook.journey.workload.reading import LIKES, NEEDS
from pgrunbook.model.advice import IndexAdvice

MB: Final = 1024 * 1024
# Extend's figures at each budget in MB, for these queries.
BARS: Final = {
    "tpch": {128: 0.935, 320: 0.674, 640: 0.578, 1280: 0.510},
    "tpcds": {200: 0.792, 500: 0.710, 1000: 0.666, 2000: 0.6205},
}
CALLS_MAX: Final = 2500
CPU_MAX_S: Final = 30.0
REAL_BUDGET_MB: Final = 320
REAL_BAR: Final = 0.55
WIDTH: Final = 2
_CREATE: Final = re.compile(r"CREATE INDEX (?:CONCURRENTLY )?(?:IF NOT EXISTS )?.*?\bON\b", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One budget of one benchmark."""

    benchmark: str
    budget_mb: int
    bar: float
    ratio: float
    size_mb: float
    indexes: int
    calls: int
    cpu_s: float
    worst_ratio: float
    execution: Execution | None = None  # of indexes that were really built

    @property
    def holds(self) -> bool:
        """Whether every bar is kept."""
        return (
            self.ratio <= self.bar
            and self.size_mb <= self.budget_mb
            and self.calls <= CALLS_MAX
            and self.cpu_s <= CPU_MAX_S
            and (self.execution is None or self.execution.holds)
        )

    def row(self) -> str:
        """One line of the table."""
        name = f"{self.benchmark}{' (built)' if self.execution is not None else ''}"
        return (
            f"{name:<14} {self.budget_mb:>6} {self.ratio:>7.4f} {self.bar:>7.4f} {self.size_mb:>8.1f}"
            f" {self.indexes:>7} {self.calls:>6} {self.cpu_s:>6.1f} {self.worst_ratio:>6.2f}"
            f"  {'holds' if self.holds else 'MISSED'}"
        )


HEAD: Final = "benchmark      budget   ratio     bar  size MB indexes  calls  CPU s  worst"


def chosen(dsn: str, asked: Sequence[Query], budget_mb: int, *, by_engine_sizes: bool) -> tuple[IndexAdvice, float]:
    """The advice, and the processor seconds that it took: ours, our parser's, and the server process's."""
    needs = [question for question in NEEDS if question.name != "statements"]
    text = ";\n".join(query.text for query in asked)
    before_s = _own_s()
    with HypoPG(dsn) as engine:
        pid = engine.backend_pid
        snapshot = observe(dsn, [*needs, *LIKES])
        order = Order(
            text=text,
            budget_bytes=budget_mb * MB,
            max_width=WIDTH,
            calls_max=CALLS_MAX,
            by_engine_sizes=by_engine_sizes,
        )
        advice = advise_index_set(snapshot, engine, order)
        server_s = _process_s(pid)
    return advice, _own_s() - before_s + server_s


def _own_s() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _process_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def costs(conn: psycopg.Connection[Any], asked: Sequence[Query]) -> list[float]:
    """What the planner reckons for each query."""
    found = []
    for query in asked:
        row = conn.execute(f"explain (format json) {query.text}".encode()).fetchone()
        assert row is not None  # noqa: S101 - EXPLAIN answers with one row
        found.append(float(row[0][0]["Plan"]["Total Cost"]))
    return found


def hypothetical(dsn: str, asked: Sequence[Query], advice: IndexAdvice) -> tuple[list[float], list[float], float]:
    """Costs before and after, and the bytes in all, by HypoPG in a connection of its own."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("set jit = off")
        before, size = costs(conn, asked), 0.0
        for index in advice.proposed:
            row = conn.execute(
                "select hypopg_relation_size(indexrelid) from hypopg_create_index(%s)",
                (_CREATE.sub("CREATE INDEX ON", index.advice.sql, count=1).rstrip(";"),),
            ).fetchone()
            assert row is not None  # noqa: S101 - it made the index or raised
            size += float(row[0])
        return before, costs(conn, asked), size


def built(dsn: str, asked: Sequence[Query], advice: IndexAdvice) -> tuple[list[float], list[float], float, Execution]:
    """The same with the indexes really built, which are dropped again; the queries are run before and after."""
    names: list[str] = []
    sizes: list[float] = []

    def build() -> None:
        for number, index in enumerate(advice.proposed):
            name = f"pgrunbook_bench_{number}"
            conn.execute(_CREATE.sub(f"CREATE INDEX {name} ON", index.advice.sql, count=1).encode())
            names.append(name)
            row = conn.execute("select pg_relation_size(%s::regclass)", (name,)).fetchone()
            assert row is not None  # noqa: S101 - one row
            sizes.append(float(row[0]))
            print(f"  built {row[0] / MB:8.1f} MB for {index.size_bytes / MB:.1f}: {index.name}", file=sys.stderr)

    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("set jit = off; set maintenance_work_mem = '512MB'")
        before = costs(conn, asked)
        try:
            execution = before_and_after(conn, asked, build)
            return before, costs(conn, asked), sum(sizes), execution
        finally:
            for name in names:
                conn.execute(f"drop index {name}".encode())


def measure(dsn: str, benchmark: str, budget_mb: int, *, is_real: bool = False) -> Figures:
    """Choose for one budget and measure what was chosen."""
    asked = queries(dsn, benchmark)
    advice, cpu_s = chosen(dsn, asked, budget_mb, by_engine_sizes=not is_real)
    execution = None
    if is_real:
        before, after, size, execution = built(dsn, asked, advice)
        print("\n".join(execution.rows()), file=sys.stderr)
    else:
        before, after, size = hypothetical(dsn, asked, advice)
    for index in advice.proposed:
        print(f"  {index.size_bytes / MB:8.1f} MB  {index.advice.sql.splitlines()[0]}", file=sys.stderr)
    for blind in advice.blind:
        print(f"  not known: {blind.reason}", file=sys.stderr)
    return Figures(
        benchmark=benchmark,
        budget_mb=budget_mb,
        bar=REAL_BAR if is_real else BARS[benchmark][budget_mb],
        ratio=sum(after) / sum(before),
        size_mb=size / MB,
        indexes=len(advice.proposed),
        calls=advice.planner.whatif_calls if advice.planner is not None else 0,
        cpu_s=cpu_s,
        worst_ratio=max(a / b for a, b in zip(after, before, strict=True)),
        execution=execution,
    )


def main(words: Sequence[str]) -> int:
    """Run what is named, or all."""
    named = [word for word in words if not word.startswith("-")] or list(BARS)
    results = []
    with BenchServer() as server:
        for benchmark in named:
            server.load(benchmark)
        print(HEAD)
        for benchmark in named:
            dsn = server.dsn(benchmark)
            budgets = [(budget_mb, False) for budget_mb in BARS[benchmark]]
            if benchmark == "tpch" and "--no-build" not in words:
                budgets.append((REAL_BUDGET_MB, True))
            for budget_mb, is_real in budgets:
                results.append(measure(dsn, benchmark, budget_mb, is_real=is_real))
                print(results[-1].row(), flush=True)
    held = sum(result.holds for result in results)
    run = [result.execution.in_words() for result in results if result.execution is not None]
    print(
        f"advisor: {held} of {len(results)} budgets hold;"
        f" most calls {max(result.calls for result in results)}, most CPU {max(r.cpu_s for r in results):.1f} s"
        f"{''.join(f'; {words}' for words in run)}"
    )
    return 0 if held == len(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
