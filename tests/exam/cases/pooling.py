"""Session state through a transaction pooler: where it is lost, and where none is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from tests.exam.case import Decoy, Fault, Stage, Staged
from tests.fix.server import FreshDatabase

from pgrunbook.lab import start_pgbouncer

TABLE = (
    "create table job (id int primary key, state text)",
    "insert into job select g, 'new' from generate_series(1, 500) as g",
    "analyze job",
)
HEALTHY = (
    "begin",
    "set local statement_timeout = '5s'",
    "select pg_advisory_xact_lock(8)",
    "create temp table t (a int) on commit drop",
    "update job set state = 'done' where id = 7",
    "commit",
    "set application_name = 'shop'",
    "select count(*) from job",
)


def through_pooler(*statements: str, beginning: str = "") -> Stage:
    """Send these through a PgBouncer in transaction mode, then ask through it; yields the queryid of the one meant."""

    @contextlib.contextmanager
    def stage(db: FreshDatabase) -> Iterator[Staged]:
        with psycopg.connect(db.dsn, autocommit=True) as conn:
            conn.execute("select extensions.pg_stat_statements_reset()")
        with start_pgbouncer(db.cluster) as pooler:
            dsn = pooler.dsn(db.name)
            with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as conn:
                for statement in statements:
                    conn.execute(statement.encode())
            yield Staged(dsn=dsn, object=queryid(db, beginning) if beginning else "")

    return stage


def queryid(db: FreshDatabase, beginning: str) -> str:
    with psycopg.connect(db.dsn) as conn:
        row = conn.execute(
            "select queryid from extensions.pg_stat_statements where starts_with(lower(query), %s)"
            " and dbid = (select oid from pg_database where datname = current_database())",
            (beginning,),
        ).fetchone()
    assert row is not None, f"{beginning} was not counted"
    return str(row[0])


def fault(name: str, beginning: str, *statements: str) -> Fault:
    return Fault(
        name=name,
        check="transaction_pooler_misuse",
        object="?",
        sql=TABLE,
        stage=through_pooler(*statements, beginning=beginning),
    )


CASES: list[Fault | Decoy] = [
    fault(
        "an advisory lock of a session through a pooler",
        "select pg_advisory_lock",
        "select pg_advisory_lock(7)",
        "select pg_advisory_unlock(7)",
    ),
    fault(
        "a prepared statement through a pooler",
        "prepare",
        "prepare p (int) as select state from job where id = $1",
        "execute p (1)",
        "deallocate p",
    ),
    fault(
        "a session's setting through a pooler",
        "set search_path",
        *(("set search_path = public", "select count(*) from job") * 15),
    ),
    fault("LISTEN through a pooler", "listen", "listen news", "unlisten news"),
    Decoy(name="transactions through a pooler", sql=TABLE, stage=through_pooler(*(HEALTHY * 15))),
]
