"""The benchmarks: a line a figure (`name value unit`), ratios beside what they were measured against, in one run.

    python bench/run.py [NAME …]        default: all of them; writes build/bench.json

Figures of one machine; ratios travel better, because both sides were timed in turn.
"""

from __future__ import annotations

import json
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.lab import Cluster, start_cluster
from pgrunbook.pg.parse import Parser

ROOT = Path(__file__).parents[1]
TABLES = 10_000
INDEXES_A_TABLE = 5
STATEMENTS = 5_000
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str


def in_turn(left: Callable[[], object], right: Callable[[], object]) -> tuple[float, float]:
    """The median seconds of both, timed one after the other so that a busy moment hits both."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for side, work in zip(seconds, (left, right), strict=True):
            began = time.perf_counter()
            work()
            side.append(time.perf_counter() - began)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def start_of_the_command() -> Iterator[Figure]:
    """`pgrunbook --version` against the bare interpreter."""
    ours = [sys.executable, "-m", "pgrunbook.surfaces.cli.main", "--version"]
    bare = [sys.executable, "-c", "pass"]
    run = subprocess.check_call
    ours_s, bare_s = in_turn(lambda: run(ours, stdout=subprocess.DEVNULL), lambda: run(bare, stdout=subprocess.DEVNULL))
    yield Figure("command_start_s", ours_s, "s")
    yield Figure("command_start_to_bare_python_ratio", ours_s / bare_s, "ratio")


def start_of_a_server() -> Iterator[Figure]:
    """A throw-away server from nothing to the first connection, and its end."""
    started, stopped = [], []
    for _ in range(REPEATS):
        began = time.perf_counter()
        cluster = start_cluster()
        started.append(time.perf_counter() - began)
        began = time.perf_counter()
        cluster.stop()
        stopped.append(time.perf_counter() - began)
    yield Figure("server_start_s", statistics.median(started), "s")
    yield Figure("server_stop_s", statistics.median(stopped), "s")


def parsing() -> Iterator[Figure]:
    """Statements through the child process, against a round trip of the same texts to a server."""
    texts = [f"select a{n}, b from t{n % 50} where c = $1 and lower(d) like $2 order by e limit 10" for n in range(500)]
    with Parser() as parser, start_cluster() as cluster, psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        parser.statement("select 1")

        def parse() -> None:
            for text in texts:
                parser.statement(text)

        def ask() -> None:
            for text in texts:
                conn.execute("select %s", [text])

        parse_s, ask_s = in_turn(parse, ask)
    yield Figure("parse_statement_ms", parse_s / len(texts) * 1000, "ms")
    yield Figure("parse_to_round_trip_ratio", parse_s / ask_s, "ratio")


def diagnosing_a_small_database() -> Iterator[Figure]:
    """An empty database, all checks, against connecting alone."""
    with start_cluster(settings={"shared_preload_libraries": "pg_stat_statements"}) as cluster:
        _statements(cluster)
        ours_s, bare_s = in_turn(lambda: diagnose(cluster.dsn()), lambda: psycopg.connect(cluster.dsn()).close())
    yield Figure("diagnose_empty_s", ours_s, "s")
    yield Figure("diagnose_empty_to_connect_ratio", ours_s / bare_s, "ratio")


def diagnosing_a_large_database() -> Iterator[Figure]:
    """10,000 tables, 50,000 indexes, 5,000 statements: seconds, peak memory, number of queries."""
    settings = {
        "shared_preload_libraries": "pg_stat_statements",
        "pg_stat_statements.max": str(2 * STATEMENTS),
        "max_locks_per_transaction": "1024",
    }
    with start_cluster(settings=settings) as cluster:
        _statements(cluster)
        _many_tables(cluster)
        queries = _queries_of_diagnose(cluster, "postgres")
        with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
            tables, indexes = conn.execute(
                "select count(*) filter (where relkind = 'r'), count(*) filter (where relkind = 'i')"
                " from pg_class where relnamespace = 'many'::regnamespace"
            ).fetchone() or (0, 0)
            known = conn.execute("select count(*) from pg_stat_statements").fetchone() or (0,)
        yield Figure("large_tables", tables, "tables")
        yield Figure("large_indexes", indexes, "indexes")
        yield Figure("large_statements", known[0], "statements")
        script = f"from pgrunbook.journey.diagnose.engine import diagnose; diagnose({cluster.dsn()!r})"
        began = time.perf_counter()
        subprocess.check_call([sys.executable, "-c", script])
        yield Figure("diagnose_large_s", time.perf_counter() - began, "s")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        yield Figure("diagnose_large_peak_mb", peak / 1024, "MB")
        yield Figure("diagnose_large_queries", queries, "queries")
        with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
            conn.execute("create database empty")
            conn.execute("select pg_stat_statements_reset()")
        with psycopg.connect(cluster.dsn("empty"), autocommit=True) as conn:
            conn.execute("create extension pg_stat_statements")
        yield Figure("diagnose_empty_queries", _queries_of_diagnose(cluster, "empty"), "queries")


def _statements(cluster: Cluster) -> None:
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("create extension if not exists pg_stat_statements")


def _many_tables(cluster: Cluster) -> None:
    """Make them in batches, so that no transaction holds too many locks."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("create schema many")
        conn.execute("set search_path = many, public")
        for first in range(0, TABLES, 250):
            made = [
                f"create table t{n} (id bigint primary key, a int, b text, c timestamptz, d int);"
                f"create index on t{n} (a); create index on t{n} (b, c);"
                f"create index on t{n} (c); create index on t{n} (d, a);"
                for n in range(first, first + 250)
            ]
            conn.execute("".join(made).encode())
        for first in range(0, STATEMENTS, 100):
            asked = [
                f"select a, b as b{n} from t{n} where d = {n} order by c limit 5;" for n in range(first, first + 100)
            ]
            conn.execute("".join(asked).encode())


def _queries_of_diagnose(cluster: Cluster, database: str) -> int:
    """How many statements one diagnosis sends, counted in the server's log."""
    with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
        conn.execute("alter role postgres set log_statement = 'all'")
        began = cluster.log_path.stat().st_size
        diagnose(cluster.dsn(database))
        conn.execute("alter role postgres reset log_statement")
    log = cluster.log_path.read_bytes()[began:].decode("utf-8", "replace")
    return len(re.findall(r"LOG:  (?:statement|execute <unnamed>):", log))


BENCHMARKS = {
    bench.__name__: bench
    for bench in (
        start_of_the_command,
        start_of_a_server,
        parsing,
        diagnosing_a_small_database,
        diagnosing_a_large_database,
    )
}


def main() -> int:
    """Run those that were named, print and write the figures."""
    chosen = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        print(f"no benchmark is named {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 64
    figures = []
    for name in chosen:
        for figure in BENCHMARKS[name]():
            print(f"{figure.name} {figure.value:.4g} {figure.unit}", flush=True)
            figures.append(asdict(figure))
    target = ROOT / "build" / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
