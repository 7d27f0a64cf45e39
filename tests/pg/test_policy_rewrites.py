"""Every rewrite of a policy that is proposed lets every role see and do exactly what it could before, and is faster.

What policies are for is tested by what they do: as each role and user, the rows that are seen, the rows that an UPDATE
and a DELETE reach, and which rows may be inserted; before and after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest
from tests.fix.server import FreshDatabase
from tests.fix.story import ask, paste, the_finding
from tests.fix.supabase import act_as, supabase

from pgrunbook.journey.diagnose.engine import diagnose

ROLES = ("anon", "authenticated", "service_role", "worker")
GROUND = (
    "create role worker nologin",
    "grant usage on schema public to worker",
    """create table note (id int primary key, owner uuid, org text, team int, shared uuid[], body text)""",
    """insert into note select g, case when g % 11 > 0 then md5((g % 5)::text)::uuid end,
       case when g % 7 > 0 then 'org' || g % 4 end, nullif(g % 6, 0),
       case when g % 13 > 0 then array[md5((g % 3)::text)::uuid, null, md5((g % 9)::text)::uuid] end, 'text'
       from generate_series(1, 1100) as g""",
    "create index note_shared on note using gin (shared)",
    "alter table note enable row level security",
    "grant select, insert, update, delete on note to anon, authenticated, service_role, worker",
    "create table member (user_id uuid, org text, team bigint, role text)",
    """insert into member select case when g % 5 > 0 then md5((g % 6)::text)::uuid end,
       case when g % 4 > 0 then 'org' || g % 3 end, g % 4, case when g % 2 = 0 then 'admin' end
       from generate_series(1, 40) as g""",
    "grant select on member to anon, authenticated, service_role, worker",
    "analyze note",
    "analyze member",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite:
    """Policies, the check that proposes to rewrite them, and what the plan shows afterwards."""

    check: str
    policies: tuple[str, ...]
    plan: str = ""


def select(*conditions: str) -> tuple[str, ...]:
    return tuple(
        f"create policy p{number} on note to authenticated, worker using ({condition})"
        for number, condition in enumerate(conditions)
    )


ME = "(select auth.uid())"
REWRITES: Mapping[str, Rewrite] = {
    "exists": Rewrite(
        check="policy_subquery_per_row",
        policies=select(f"exists (select from member m where m.org = note.org and m.user_id = {ME})"),
        plan="hashed SubPlan",
    ),
    "exists by two columns of other types": Rewrite(
        check="policy_subquery_per_row",
        policies=select(
            f"exists (select 1 from member where member.org = note.org and note.team = member.team and user_id = {ME})"
        ),
        plan="hashed SubPlan",
    ),
    "in": Rewrite(
        check="policy_subquery_per_row",
        policies=select(f"{ME} in (select m.user_id from member m where m.org = note.org and m.role = 'admin')"),
        plan="hashed SubPlan",
    ),
    "in beside another condition": Rewrite(
        check="policy_subquery_per_row",
        policies=select(f"owner = {ME} or (id > 9 and {ME} = any (select user_id from member where org = note.org))"),
        plan="hashed SubPlan",
    ),
    "exists or in": Rewrite(
        check="policy_subquery_per_row",
        policies=select(
            f"exists (select from member m where m.org = note.org and m.user_id = {ME})"
            f" or {ME} in (select user_id from member where member.team = note.team)"
        ),
        plan="hashed SubPlan",
    ),
    "any": Rewrite(
        check="unindexed_policy_column",
        policies=select(f"{ME} = any (shared)"),
        plan="note_shared",
    ),
    "any with a condition": Rewrite(
        check="unindexed_policy_column",
        policies=select(f"{ME} = any (shared) and team > 1"),
        plan="note_shared",
    ),
    "two policies": Rewrite(
        check="multiple_permissive_policies",
        policies=select(f"owner = {ME}", "org = 'org1'"),
    ),
    "two policies with checks": Rewrite(
        check="multiple_permissive_policies",
        policies=(
            f"create policy a on note for update to authenticated using (owner = {ME}) with check (team > 2)",
            "create policy b on note for update to authenticated using (org = 'org1')",
            "create policy c on note for select to authenticated, worker using (team > 1)",
            f"create policy d on note for insert to authenticated with check (owner = {ME})",
            "create policy e on note for insert to authenticated with check (team = 3)",
        ),
    ),
    "nobody for anonymous visitors": Rewrite(
        check="policy_for_public",
        policies=(f"create policy p on note using (owner = {ME} or (org = 'org1' and {ME} is not null))",),
    ),
    "asked once": Rewrite(
        check="auth_function_per_row",
        policies=select("owner = auth.uid() or org = auth.jwt() ->> 'org'"),
        plan="InitPlan",
    ),
    "a helper asked once": Rewrite(
        check="auth_function_per_row",
        policies=(
            "create function me() returns uuid language sql stable set search_path = '' as 'select auth.uid()'",
            *select("owner = me() and team is not null"),
        ),
        plan="InitPlan",
    ),
    "a setting asked once, a call wrapped already beside it": Rewrite(
        check="auth_function_per_row",
        policies=select(
            f"owner = {ME} or org = nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'org'",
        ),
        plan="InitPlan",
    ),
    "asked once, for writing too": Rewrite(
        check="auth_function_per_row",
        policies=(
            "create policy r on note for select to authenticated, worker using (team > 1)",
            (
                "create policy w on note for update to authenticated using (owner = auth.uid())"
                " with check (owner = auth.uid() or org = auth.jwt() ->> 'org')"
            ),
            f"create policy d on note for delete to authenticated, worker using ((owner = {ME}) is not false)",
        ),
        plan="",
    ),
}


def uuid(number: int) -> str:
    """What md5(number)::uuid gives on the server."""
    return str(UUID(hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()))


def users() -> Iterator[dict[str, Any] | None]:
    yield None
    for number in range(6):
        yield {"sub": uuid(number), "org": f"org{number % 4}", "role": "authenticated"}


ACTS = (
    "select id from note order by id",
    "update note set body = 'new' returning id",
    "update note set org = 'org1', team = 3 where id < 60 returning id",
    "delete from note where team = 4 returning id",
    *(
        f"insert into note values ({number}, {owner}, {org}, {team}) returning id"
        for number, (owner, org, team) in enumerate(
            [("auth.uid()", "null", "1"), ("null", "'org1'", "3"), (f"'{uuid(1)}'", "'org0'", "null")], start=9000
        )
    ),
)


def what_everybody_may(db: FreshDatabase) -> list[tuple[str, str, str]]:
    """The answer to each act of each role as each user; nothing is kept."""
    found = []
    for role in ROLES:
        for claims in users() if role != "anon" else (None, {"role": "anon"}):
            with act_as(db, role, claims) as conn:
                for act in ACTS:
                    found.append((f"{role} {claims}", act, answer(conn, act)))
    return found


def answer(conn: psycopg.Connection[Any], act: str) -> str:
    try:
        with conn.transaction(force_rollback=True):
            return str(sorted(conn.execute(act.encode()).fetchall()))
    except psycopg.errors.InsufficientPrivilege as exc:
        return str(exc).splitlines()[0]


@pytest.mark.pg("!= 15, != 16, != 17")
@pytest.mark.parametrize("name", REWRITES)
def test_a_rewrite_lets_everybody_do_what_they_could_before(pg: FreshDatabase, name: str) -> None:
    rewrite = REWRITES[name]
    supabase(pg, *GROUND, *rewrite.policies)
    before = what_everybody_may(pg)
    assert len({result for _, act, result in before if act == ACTS[0]}) > 2  # the policies tell users apart
    found = the_finding(ask(pg.dsn, rewrite.check))
    paste(pg, found.advice[0].sql)
    assert ask(pg.dsn, rewrite.check).ok == (rewrite.check,)
    assert what_everybody_may(pg) == before
    with act_as(pg, "authenticated", {"sub": uuid(1)}) as conn:
        conn.execute("set enable_seqscan = off")
        plan = "\n".join(row[0] for row in conn.execute("explain select * from note").fetchall())
    assert rewrite.plan in plan
    paste(pg, found.advice[0].undo_sql)
    assert the_finding(ask(pg.dsn, rewrite.check)).fingerprint == found.fingerprint
    assert what_everybody_may(pg) == before


SLOW = ("auth_function_per_row", "policy_subquery_per_row", "unindexed_policy_column")


def test_several_faults_of_one_policy_are_mended_by_one_rewrite(server18: FreshDatabase) -> None:
    condition = (
        "owner = auth.uid() or auth.uid() = any (shared)"
        " or exists (select from member m where m.org = note.org and m.user_id = auth.uid())"
    )
    supabase(server18, *GROUND, "create index on note (owner)", "create index on note (org)", *select(condition))
    before = what_everybody_may(server18)
    answer = diagnose(server18.dsn, only=SLOW)
    assert {found.check for found in answer.findings} >= set(SLOW[:2])
    assert len({found.advice[0].sql for found in answer.findings}) == 1
    paste(server18, answer.findings[0].advice[0].sql)
    assert diagnose(server18.dsn, only=SLOW).findings == ()
    assert what_everybody_may(server18) == before
