"""Healthy databases of different kinds, and a day's work on each in small; whatever is said of them is a false alarm.

`shop` has many tenants and partitions, `chat` is an application on Supabase with row security, `oddities` holds what
PostgreSQL can do and others rarely use.  Their statements are in tests/fix/healthy/.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from tests.fix.server import FreshDatabase
from tests.fix.supabase import PLATFORM, act_as

FOLDER = Path(__file__).parent / "healthy"


def statements(name: str) -> tuple[str, ...]:
    """The statements of a file; an empty line follows each."""
    parts = (FOLDER / f"{name}.sql").read_text(encoding="utf-8").split("\n\n")
    return tuple(part.rstrip(";\n") for part in parts if not part.startswith("--"))


def work_in_the_shop(db: FreshDatabase) -> None:
    """Tenants look at orders, search products, place orders; a report reads the summary."""
    with psycopg.connect(db.dsn_as("shop_app")) as conn:
        for number in range(1, 241):
            tenant = 1 + number % 20
            conn.execute("select set_config('shop.tenant', %s, true)", [str(tenant)])
            conn.execute(
                "select * from shop.orders where tenant_id = %s and customer_id = %s order by ordered_at desc limit 20",
                [tenant, number],
            )
            conn.execute("select * from shop.product where tenant_id = %s and sku = %s", [tenant, f"sku{number}"])
            conn.execute(
                "select id, title from shop.product where attributes @> %s limit 20", [f'{{"size": {number % 300}}}']
            )
            conn.execute("select id from shop.product where tags @> array[%s] limit 20", [f"t{number % 40}"])
            conn.execute(
                "select * from shop.customer where tenant_id = %s and lower(email) = lower(%s) and deleted_at is null",
                [tenant, f"C{number}@example.org"],
            )
            conn.execute(
                "select id, ordered_at from shop.orders where tenant_id = %s and state in ('new', 'paid')"
                " order by ordered_at limit 20",
                [tenant],
            )
            order(conn, tenant)
            conn.commit()
    with psycopg.connect(db.dsn_as("shop_report"), autocommit=True) as conn:
        for _ in range(3):
            conn.execute("select day, sum(total_cents) from shop.daily group by day order by day")
            conn.execute("select count(*) from shop.orders where ordered_at > now() - interval '1 day'")


def order(conn: psycopg.Connection[Any], tenant: int) -> None:
    """One order with two lines, and its payment."""
    row = conn.execute("select id from shop.customer where tenant_id = %s order by id limit 1", [tenant]).fetchone()
    product = conn.execute("select min(id) from shop.product where tenant_id = %s", [tenant]).fetchone()
    assert row is not None
    assert product is not None
    placed = conn.execute(
        "insert into shop.orders (tenant_id, id, customer_id, ordered_at, total_cents) values"
        " (%s, nextval('shop.order_number'), %s, now(), 700) returning id, ordered_at",
        [tenant, row[0]],
    ).fetchone()
    assert placed is not None
    conn.execute(
        "insert into shop.order_line (tenant_id, order_id, ordered_at, line, product_id, amount)"
        " select %s, %s, %s, n, %s, 1 from generate_series(1, 2) as n",
        [tenant, placed[0], placed[1], product[0]],
    )
    conn.execute(
        "update shop.orders set state = 'paid' where tenant_id = %s and id = %s and ordered_at = %s",
        [tenant, placed[0], placed[1]],
    )


def work_in_the_chat(db: FreshDatabase) -> None:
    """People read rooms, write messages, edit and react, each request a transaction as the API makes it."""
    with psycopg.connect(db.dsn) as admin:
        people = admin.execute("select md5(n::text)::uuid::text from generate_series(1, 20) as n").fetchall()
    for (person,) in people:
        with contextlib.closing(act_as(db, "authenticated", {"sub": person, "role": "authenticated"})) as conn:
            for _ in range(10):
                visit(conn, person)


def visit(conn: psycopg.Connection[Any], person: str) -> None:
    """What a client asks when somebody opens it."""
    conn.execute("select id, handle, avatar from profile where id = %s", [person])
    rooms = conn.execute("select room_id, role from membership where user_id = %s", [person]).fetchall()
    room = rooms[0][0]
    conn.execute("select id, slug, title from room where id = any(%s)", [[found[0] for found in rooms]])
    conn.execute("select id, author_id, body from message where room_id = %s order by sent_at desc limit 50", [room])
    conn.execute("select id from message where mentions @> array[%s::uuid] limit 20", [person])
    sent = conn.execute(
        "insert into message (room_id, author_id, body) values (%s, %s, 'Hi') returning id", [room, person]
    ).fetchone()
    assert sent is not None
    conn.execute("update message set body = 'Hi!' where id = %s", [sent[0]])
    conn.execute("insert into reaction values (%s, %s, 'heart') on conflict do nothing", [sent[0], person])


def work_on_oddities(db: FreshDatabase) -> None:
    """Look-ups through each unusual index, in small."""
    with psycopg.connect(db.dsn_as("odd_app"), autocommit=True) as conn:
        for n in range(1, 201):
            conn.execute(
                """select * from "Ünder ""Score\"""."Order; drop" where "group" = %s::extensions.citext""", [f"G{n}"]
            )
            conn.execute("select * from booking where room_id = %s and during && tstzrange(now(), now())", [1 + n % 50])
            conn.execute("select * from dog where id = %s", [3000 + n])
            conn.execute("select * from node where parent_id = %s", [n])
            conn.execute("select * from flag where user_id = %s and kind = 'k1' and cleared_at is null", [n])
            conn.execute("select * from flag where user_id = %s and is_on", [n])
            conn.execute("select a from edge where b = %s", [n])
            conn.execute("select avg(value) from sensor where id = 2 and at > now() - interval '1 hour'")
            conn.execute("select id from outbox where sent_at is null order by id limit 10")
            conn.execute("select id from document where words @@ to_tsquery('simple', %s)", [f"word{n}"])


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthySchema:
    """Statements that make it, and what its application does."""

    name: str
    sql: tuple[str, ...]
    work: Callable[[FreshDatabase], None]


HEALTHY_SCHEMAS = (
    HealthySchema(name="a shop for many tenants", sql=statements("shop"), work=work_in_the_shop),
    HealthySchema(name="a chat on Supabase", sql=(*PLATFORM, *statements("chat")), work=work_in_the_chat),
    HealthySchema(name="what others rarely use", sql=statements("oddities"), work=work_on_oddities),
)
