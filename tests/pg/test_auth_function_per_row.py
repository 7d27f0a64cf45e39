"""Policies that ask who is calling once a row: found by meaning, and the rewrite means the same."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.model import Finding
from pgrunbook.model.diagnosis import Diagnosis

GROUND = (
    "create schema auth",
    """create function auth.uid() returns uuid language sql stable
       as $$ select (nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub')::uuid $$""",
    """create function auth.jwt() returns jsonb language sql stable
       as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$""",
    "create table member (user_id uuid, org uuid)",
    "create table doc (id int primary key, user_id uuid, org uuid, shared uuid[])",
    "alter table doc enable row level security",
    """create function me() returns uuid language plpgsql stable as $$ begin return auth.uid(); end $$""",
    """create function me_again() returns uuid language sql stable as $$ select me() $$""",
    """create function is_member(o uuid) returns boolean language sql stable
       as $$ select exists (select from member where user_id = auth.uid() and org = o) $$""",
    """create function constant() returns uuid language sql stable
       as $$ select 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid /* not auth.uid() */ $$""",
)
FAULTS = {
    "bare": "user_id = auth.uid()",
    "mixed": "user_id = (select auth.uid()) or auth.uid() = any (shared)",
    "jwt": "org = (auth.jwt() ->> 'org')::uuid",
    "setting": "org = current_setting('app.org', true)::uuid",
    "hidden": "user_id = me()",
    "hidden twice": "user_id = me_again()",
    "correlated": "exists (select from member as m where m.user_id = auth.uid() and m.org = doc.org)",
    "wrapped in vain": "(select auth.uid() = doc.user_id)",
    "depends on the row": "is_member(org)",
}
HEALTHY = {
    "wrapped": "user_id = (select auth.uid())",
    "wrapped json": "org = (select (auth.jwt() ->> 'org')::uuid)",
    "wrapped setting": "org = (select current_setting('app.org', true)::uuid)",
    "wrapped helper": "user_id = (select me())",
    "asked once by a subquery": "org in (select m.org from member as m where m.user_id = (select auth.uid()))",
    "correlated but wrapped": "exists (select from member m where m.user_id = (select auth.uid()) and m.org = doc.org)",
    "constant helper": "user_id = constant()",
    "no call": "org is not null",
}


def look(pg: FreshDatabase, role: str = "postgres") -> Diagnosis:
    return diagnose(pg.dsn_as(role), only=["auth_function_per_row"])


@pytest.fixture
def ground(pg: FreshDatabase) -> FreshDatabase:
    pg.execute(*GROUND)
    return pg


def only_finding(seen: Diagnosis) -> Finding:
    (finding,) = seen.findings
    return finding


def test_every_bare_call_is_found_and_its_rewrite_silences_the_check(ground: FreshDatabase) -> None:
    for name, using in FAULTS.items():
        ground.execute(f'create policy "{name}" on doc using ({using})')
        finding = only_finding(look(ground))
        quoted = f'"{name}"' if " " in name else name
        assert finding.object == f"public.doc.{quoted}", name
        assert finding.severity.value == "warning"
        if name == "depends on the row":
            assert finding.advice == ()
        else:
            (advice,) = finding.advice
            with ground.connect() as conn:
                before = conn.execute("select qual from pg_policies").fetchone()
                ground.execute(advice.sql)
                assert look(ground).findings == (), name
                ground.execute(advice.undo_sql or "")
                assert conn.execute("select qual from pg_policies").fetchone() == before
        ground.execute(f'drop policy "{name}" on doc')


def test_healthy_policies_are_left_alone(ground: FreshDatabase) -> None:
    for name, using in HEALTHY.items():
        ground.execute(f'create policy "{name}" on doc using ({using})')
    seen = look(ground)
    assert seen.findings == ()
    assert seen.blind == ()


def test_a_check_expression_counts_too(ground: FreshDatabase) -> None:
    ground.execute("create policy p on doc for insert with check (user_id = auth.uid())")
    assert only_finding(look(ground)).evidence["functions"] == ("auth.uid()",)


def test_a_policy_that_row_security_does_not_use_is_no_fault(ground: FreshDatabase) -> None:
    ground.execute("create policy p on doc using (user_id = auth.uid())", "alter table doc disable row level security")
    assert look(ground).findings == ()


def test_the_rewrite_shows_every_role_the_same_rows(ground: FreshDatabase) -> None:
    role = ground.role("reader")
    ground.execute(
        f"grant select on doc, member to {role}",
        f"grant usage on schema auth to {role}",
        "insert into doc select g, md5((g % 5)::text)::uuid, md5((g % 3)::text)::uuid, array[md5((g % 7)::text)::uuid]"
        " from generate_series(1, 200) as g",
        "insert into member select md5((g % 5)::text)::uuid, md5((g % 2)::text)::uuid from generate_series(1, 9) as g",
    )
    for name, using in FAULTS.items():
        if name == "depends on the row":
            continue
        ground.execute(f'create policy "{name}" on doc using ({using})')
        (advice,) = only_finding(look(ground)).advice
        with ground.connect_as(role) as conn:
            before = rows_by_user(conn)
            ground.execute(advice.sql)
            assert rows_by_user(conn) == before, name
            assert any(before), name
            plan = str(conn.execute("explain select * from doc").fetchall())
            assert "InitPlan" in plan or name == "setting", name
        ground.execute(f'drop policy "{name}" on doc')


def rows_by_user(conn: psycopg.Connection[Any]) -> list[list[int]]:
    seen = []
    for user in range(5):
        claims = f'{{"sub": "{uuid(user)}", "org": "{uuid(user % 3)}"}}'
        conn.execute("select set_config('request.jwt.claims', %s, false)", [claims])
        conn.execute("select set_config('app.org', %s, false)", [uuid(user % 3)])
        seen.append([row[0] for row in conn.execute("select id from doc order by id")])
    return seen


def uuid(number: int) -> str:
    """What md5(number)::uuid gives on the server."""
    return str(UUID(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()))


def test_a_locked_table_is_blind_and_others_are_judged(ground: FreshDatabase) -> None:
    ground.execute(
        "create policy p on doc using (user_id = auth.uid())",
        "create table other (user_id uuid)",
        "alter table other enable row level security",
        "create policy q on other using (user_id = auth.uid())",
    )
    with ground.connect(autocommit=False) as conn:
        conn.execute("lock table doc in access exclusive mode")
        seen = look(ground)
        conn.rollback()
    assert [f.object for f in seen.findings] == ["public.other.q"]
    assert [b.object for b in seen.blind] == ["public.doc"]
