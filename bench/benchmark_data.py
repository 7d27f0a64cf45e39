"""TPC-H and TPC-DS at scale factor 1 in a PostgreSQL 15 with HypoPG that is kept between runs.

Data and queries come from DuckDB's extensions (PyPI); tables have no keys, as in the literature on index selection.
The server's folder is $PGRUNBOOK_BENCH_CACHE, else /var/tmp/pgrunbook-bench-<uid>: about 8 GB.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from pgrunbook.lab.account import Account, server_account
from pgrunbook.lab.binaries import Binaries, debian_binaries

MAJOR = 15
SCALE = 1
LEFT_OUT = {"tpch": {2, 17, 20}, "tpcds": {4, 6, 9, 10, 11, 32, 35, 41, 95}}
PREFIX = {"tpch": "q", "tpcds": "q"}
# What DuckDB's texts say otherwise than PostgreSQL.
_DIALECT = ((re.compile(r"\bsubstring\s*\(\s*([\w.]+)\s*,", re.IGNORECASE), r"substr(\1,"),)
_TYPES = {"DOUBLE": "double precision", "HUGEINT": "numeric"}
READY_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a benchmark by its number."""

    number: int
    text: str


class BenchServer:
    """The kept server; runs while the context lasts."""

    def __init__(self) -> None:
        named = os.environ.get("PGRUNBOOK_BENCH_CACHE")
        self.folder = Path(named) if named else Path(f"/var/tmp/pgrunbook-bench-{os.getuid()}")  # noqa: S108 - no secret
        self._account: Account = server_account()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._make()
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(60)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Where a database is."""
        return f"host={self.folder} port=5415 dbname={database} user={user}"

    def _make(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._account.give(self.folder)
        made = self._account.run(
            [
                _binaries().tool("initdb"),
                "-D",
                self._data,
                "-U",
                "postgres",
                "--auth=trust",
                "--locale=C.UTF-8",
                "--encoding=UTF8",
            ],
            cwd=self.folder,
        )
        if made.returncode != 0:
            raise SystemExit(f"initdb failed:\n{made.stdout}")

    def _start(self) -> None:
        settings = {
            "listen_addresses": "",
            "port": "5415",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "full_page_writes": "off",
            "max_wal_size": "4GB",
            "autovacuum": "off",
        }
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            self._process = self._account.popen(
                [_binaries().postgres, "-D", self._data, *options], cwd=self.folder, log=log
            )
        deadline = time.monotonic() + READY_LIMIT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.dsn()).close()
                return
            if self._process.poll() is not None:
                raise SystemExit(f"the benchmark's server did not start: see {log.name}")
            time.sleep(0.1)
        raise SystemExit("the benchmark's server was not ready in time")

    def load(self, benchmark: str) -> None:
        """Fill a database with a benchmark's tables, unless that was done before."""
        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            if admin.execute("select 1 from pg_database where datname = %s", [benchmark]).fetchone():
                return
            loading = sql.Identifier(f"{benchmark}_loading")
            admin.execute(sql.SQL("drop database if exists {}").format(loading))
            admin.execute(sql.SQL("create database {}").format(loading))
            _fill(self.dsn(f"{benchmark}_loading"), benchmark)
            admin.execute(sql.SQL("alter database {} rename to {}").format(loading, sql.Identifier(benchmark)))


def _binaries() -> Binaries:
    return debian_binaries(MAJOR)


@contextlib.contextmanager
def _duckdb(benchmark: str, folder: str) -> Iterator[Any]:
    import duckdb  # noqa: PLC0415 - only the first run needs it

    spec = importlib.util.find_spec(f"duckdb_extension_{benchmark}")
    if spec is None or spec.origin is None:
        raise SystemExit(f"duckdb-extension-{benchmark} is missing: pip install '.[bench]'")
    (extension,) = Path(spec.origin).parent.rglob("*.duckdb_extension")
    conn = duckdb.connect(f"{folder}/{benchmark}.duckdb")
    try:
        conn.execute(f"load '{extension}'")
        yield conn
    finally:
        conn.close()


def _fill(dsn: str, benchmark: str) -> None:
    generate = {"tpch": "call dbgen(sf={})", "tpcds": "call dsdgen(sf={})"}[benchmark]
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as folder,
        _duckdb(benchmark, folder) as duck,
        psycopg.connect(dsn, autocommit=True) as conn,
    ):
        conn.execute("create extension hypopg")
        duck.execute(generate.format(SCALE))
        for (table,) in duck.execute("select table_name from duckdb_tables() order by 1").fetchall():
            columns = duck.execute(f"describe {table}").fetchall()
            listed = ", ".join(f"{name} {_TYPES.get(kind, kind)}" for name, kind, *_ in columns)
            conn.execute(f"create table {table} ({listed})".encode())
            file = Path(folder, f"{table}.csv")
            duck.execute(f"copy {table} to '{file}' (format csv, header false)")
            with file.open("rb") as data, conn.cursor().copy(f"copy {table} from stdin (format csv)".encode()) as copy:
                while block := data.read(1 << 20):
                    copy.write(block)
            file.unlink()
        queries = duck.execute(f"select query_nr, query from {benchmark}_queries() order by 1").fetchall()
        conn.execute("create schema benchmark")
        conn.execute("create table benchmark.queries (number int, text text)")
        with conn.cursor() as cursor:
            cursor.executemany("insert into benchmark.queries values (%s, %s)", queries)
        conn.execute("vacuum (analyze)")


def queries(dsn: str, benchmark: str, *, without: Sequence[int] = ()) -> list[Query]:
    """The queries that count, as PostgreSQL takes them."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        rows = conn.execute("select number, text from benchmark.queries order by 1").fetchall()
    skipped = LEFT_OUT[benchmark] | set(without)
    return [Query(number=int(n), text=_spoken(str(text))) for n, text in rows if int(n) not in skipped]


def _spoken(text: str) -> str:
    for pattern, replacement in _DIALECT:
        text = pattern.sub(replacement, text)
    return text.strip().rstrip(";")
