"""Plans that are chosen for wrong numbers, and healthy ones that look alike; every case is asked with plans."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import psycopg
from tests.exam.case import Decoy, Fault, Stage
from tests.fix.server import FreshDatabase

Body = Callable[[psycopg.Connection[tuple[object, ...]]], None]

# A model tells its maker and the country; colours are by chance.
CARS = (
    (
        "create table car (id int primary key, maker text not null, model text not null, country text not null,"
        " color text not null)"
    ),
    (
        "insert into car select i, 'maker' || (i % 50), 'model' || (i % 100), 'country' || (i % 10),"
        " 'color' || (hashint4(i) & 7) from generate_series(1, 60000) as i"
    ),
    "vacuum analyze car",
)
# Events of one tenant in a hundred, the last of which came late: all its rows are the newest.
EVENTS = (
    "create table event (id int primary key, tenant int not null, at timestamptz not null, payload text not null)",
    (
        "insert into event select i, case when i > 99000 then 99 else i % 98 end,"
        " timestamptz '2024-01-01' + i * interval '1 minute', repeat('x', 200) from generate_series(1, 100000) as i"
    ),
    "create index event_tenant on event (tenant)",
    "create index event_at on event (at)",
    "vacuum analyze event",
)
# A queue in which hardly anything is open, and the rest by chance one thing or the other.
JOBS = (
    "create table job (id int primary key, state text not null, note text not null)",
    (
        "insert into job select i,"
        " case when i % 2000 = 0 then 'open' when hashint4(i) & 1 = 0 then 'done' else 'failed' end, repeat('y', 300)"
        " from generate_series(1, 60000) as i"
    ),
    "create index job_state on job (state)",
    "vacuum analyze job",
)
# A thousand kinds, of which one has half of the rows.
PARTS = (
    "create table shelf (id int primary key, name text not null)",
    "insert into shelf select i, 's' || i from generate_series(1, 40000) as i",
    "create table part (id int primary key, kind text not null, shelf int not null)",
    (
        "insert into part select i, case when i % 2 = 0 then '0' else (i % 2000)::text end, 1 + hashint4(i) & 32767"
        " from generate_series(1, 60000) as i"
    ),
    "create index part_kind on part (kind)",
    "vacuum analyze part, shelf",
)


def calls(query: str, amount: int = 20, *before: str) -> Body:
    def body(conn: psycopg.Connection[tuple[object, ...]]) -> None:
        for statement in before:
            conn.execute(statement.encode())
        for _ in range(amount):
            conn.execute(query.encode())

    return body


def prepared(query: str, value: str, amount: int = 20) -> Body:
    """As a driver does it: prepared once, and then run by the plan for any value."""

    def body(conn: psycopg.Connection[tuple[object, ...]]) -> None:
        conn.execute("set plan_cache_mode = force_generic_plan")
        for _ in range(amount):
            conn.execute(query, (value,), prepare=True)

    return body


def stage(*bodies: Body, ask: str = "") -> Stage:
    """Run them, and yield the queryid of the statement whose text begins so."""

    def staged(db: FreshDatabase) -> AbstractContextManager[object]:
        @contextlib.contextmanager
        def made() -> Iterator[object]:
            db.execute("select extensions.pg_stat_statements_reset()")
            for body in bodies:
                with psycopg.connect(db.dsn, autocommit=True) as conn:
                    body(conn)
            yield _queryid(db, ask) if ask else None

        return made()

    return staged


def _queryid(db: FreshDatabase, begins: str) -> str:
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        row = conn.execute(
            "select queryid::text from extensions.pg_stat_statements where starts_with(query, %s)"
            " order by total_exec_time desc limit 1",
            (begins,),
        ).fetchone()
    assert row is not None
    return str(row[0])


CASES: list[Fault | Decoy] = [
    Fault(
        name="a model tells its maker, and statements ask for both",
        check="missing_extended_statistics",
        object="public.car",
        columns=("maker", "model"),
        sql=CARS,
        stage=stage(calls("select * from car where maker = 'maker7' and model = 'model57'")),
        blindfold="login",
    ),
    Fault(
        name="three columns that tell of each other, counted only",
        check="missing_extended_statistics",
        object="public.car",
        columns=("maker", "model", "country"),
        sql=CARS,
        stage=stage(
            calls(
                "select count(*) from car where country = 'country7' and model = 'model57' and maker = 'maker7'",
            )
        ),
    ),
    Fault(
        name="six hundred rows where a dozen are expected",
        check="misestimate",
        object="?",
        sql=CARS,
        stage=stage(
            calls("select id, color from car where maker = 'maker7' and model = 'model57'"),
            ask="select id, color",
        ),
    ),
    Fault(
        name="nothing where hundreds are expected",
        check="misestimate",
        object="?",
        sql=CARS,
        stage=stage(
            calls("select id, model from car where maker = 'maker8' and country = 'country7'"),
            ask="select id, model",
        ),
    ),
    Fault(
        name="the newest rows are another tenant's",
        check="wrong_index_for_limit",
        object="?",
        sql=EVENTS,
        stage=stage(
            calls("select id, payload from event where tenant = 99 order by at limit 10"),
            ask="select id, payload from event",
        ),
    ),
    Fault(
        name="a rare state by the plan for any state",
        check="generic_plan_regression",
        object="?",
        sql=(
            *JOBS,
            "create table sheet (id int primary key, body text not null)",
            "insert into sheet select i, repeat('z', 300) from generate_series(1, 60000) as i",
            "alter table job add column sheet int",
            "update job set sheet = 1 + hashint4(id) & 32767",
            "vacuum full analyze job",
            "vacuum analyze sheet",
        ),
        stage=stage(
            prepared("select j.id, s.body from job as j join sheet as s on s.id = j.sheet where j.state = %s", "open"),
            ask="select j.id, s.body",
        ),
        blindfold="login",
    ),
    Fault(
        name="the commonest kind row by row, by the plan for any kind",
        check="generic_plan_regression",
        object="?",
        sql=PARTS,
        stage=stage(
            prepared("select p.id, s.name from part as p join shelf as s on s.id = p.shelf where p.kind = %s", "0", 6),
            ask="select p.id, s.name",
        ),
    ),
    Decoy(
        name="columns that know nothing of each other are asked for together",
        sql=(*CARS, "create index car_maker_color on car (maker, color)"),
        stage=stage(calls("select count(*) from car where maker = 'maker7' and color = 'color3'")),
    ),
    Decoy(
        name="the planner has been told that a model tells its maker",
        sql=(
            *CARS,
            "create statistics car_maker_model (dependencies, mcv) on maker, model from car",
            "create index car_model on car (model)",
            "analyze car",
        ),
        stage=stage(calls("select id from car where maker = 'maker7' and model = 'model57' and id % 3 > 0")),
    ),
    Decoy(
        name="a common value is asked for, and found as often as expected",
        sql=JOBS,
        stage=stage(calls("select state, count(*) from job where state = 'done' group by state", 5)),
    ),
    Decoy(
        name="the tenant's rows lie evenly along the order",
        sql=EVENTS,
        stage=stage(calls("select id, payload from event where tenant = 5 order by at limit 10")),
    ),
    Decoy(
        name="a rare state, planned for its value",
        sql=JOBS,
        stage=stage(calls("select id, note from job where state = 'open'")),
    ),
    Decoy(
        name="a plan for any value that is the plan for each",
        sql=EVENTS,
        stage=stage(prepared("select id, payload from event where id = %s", "77")),
    ),
]
