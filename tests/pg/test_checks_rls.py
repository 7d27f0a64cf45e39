"""The rls family on real servers: healthy, fault, fixed, undone; and what must not be taken for a fault.

A whole story on the oldest major and the newest; a stock and a healthy database on all of them.
"""

from __future__ import annotations

import psycopg
import pytest
from tests.fix.rls_stories import HEALTHY, MEMBERS, NOTES, STORIES, Story
from tests.fix.server import FreshDatabase
from tests.fix.step_cases import world
from tests.fix.story import ask, objects, paste
from tests.fix.supabase import OPEN, project_owner, supabase

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.model import Finding, Severity

pytestmark = pytest.mark.pg("!= 15, != 16, != 17")  # test_every_check tells a story a check on those


def told(db: FreshDatabase, story: Story) -> Finding | None:
    """What the check says of the story's object."""
    answer = ask(db.dsn, story.check)
    assert not answer.blind, answer.blind
    return next((found for found in answer.findings if found.object == story.object), None)


def everything(db: FreshDatabase) -> list[str]:
    """All that a piece of advice could change; lists of grants come back in another order."""
    with psycopg.connect(db.dsn, autocommit=True) as conn:
        roles = conn.execute("select rolname, rolsuper, rolbypassrls, rolcanlogin from pg_roles").fetchall()
    return sorted([*world(db).splitlines(), *map(str, roles)])


def names(story: Story) -> str:
    return f"{story.check}-{story.name.replace(' ', '-')}"


def tell(db: FreshDatabase, story: Story) -> None:
    """Silent before, found after; each advice takes the fault away, each undo brings it back as it was."""
    db.execute(*story.on)
    assert ask(db.dsn, story.check).ok == (story.check,)
    db.execute(*story.setup)
    found = told(db, story)
    assert found is not None, [(f.object, f.evidence) for f in ask(db.dsn, story.check).findings]
    assert (found.kind, found.severity) == (story.kind, story.severity)
    assert found.detail
    assert "None" not in found.detail
    assert bool(found.advice) == story.mends
    before = everything(db)
    for advice in found.advice:
        paste(db, advice.sql)
        assert told(db, story) is None, advice.sql
        assert everything(db) != before
        paste(db, advice.undo_sql)
        assert everything(db) == before, advice.undo_sql
    again = told(db, story)
    assert again is not None
    assert again.fingerprint == found.fingerprint


@pytest.mark.parametrize("story", STORIES, ids=names)
def test_it_is_found_mended_and_brought_back(server18: FreshDatabase, story: Story) -> None:
    tell(server18, story)


ON_THE_OLDEST = tuple({story.check: story for story in STORIES if story.on_oldest}.values())


@pytest.mark.pg("== 14")
@pytest.mark.parametrize("story", ON_THE_OLDEST, ids=names)
def test_the_oldest_major_tells_one_story_a_check(pg: FreshDatabase, story: Story) -> None:
    tell(pg, story)


@pytest.mark.parametrize("check", sorted(HEALTHY))
def test_what_is_well_is_left_alone(server18: FreshDatabase, check: str) -> None:
    supabase(server18, *HEALTHY[check])
    answer = ask(server18.dsn, check)
    assert answer.ok == (check,), [(f.object, f.evidence) for f in answer.findings] + [b.reason for b in answer.blind]


def test_every_check_of_the_family_has_a_story_and_a_healthy_case() -> None:
    told_of = {story.check for story in STORIES}
    assert told_of == set(HEALTHY)


def test_a_stock_database_is_well(pg: FreshDatabase) -> None:
    answer = diagnose(pg.dsn, only=["rls"])
    assert (answer.findings, answer.blind) == ((), ())


def test_a_healthy_project_is_well_and_its_owner_sees_all_of_it(pg: FreshDatabase) -> None:
    supabase(
        pg, *NOTES, *MEMBERS, "create policy a on note for select to authenticated using (owner = (select auth.uid()))"
    )
    owner = project_owner(pg)
    for dsn in (pg.dsn, pg.dsn_as(owner)):
        answer = diagnose(dsn, only=["rls"], skip=["bypassrls_login"])
        assert ([f.object for f in answer.findings], answer.blind) == ([], ())


@pytest.mark.pg("!= 15, != 16, != 17")
def test_the_owner_of_a_project_sees_what_a_superuser_sees(pg: FreshDatabase) -> None:
    supabase(
        pg,
        *(
            statement
            for story in STORIES
            if story.name in {"open table", "queue", "users in a view"}
            for statement in story.setup
        ),
        *NOTES,
        "create policy p on note for select using (true)",
        "insert into storage.buckets values ('avatars', 'avatars', null, true)",
        "create policy list on storage.objects for select using (bucket_id = 'avatars')",
        "create function wipe() returns int language sql security definer as $$ select 1 $$",
    )
    owner = project_owner(pg)
    all_of_it = diagnose(pg.dsn, only=["rls"])
    seen = diagnose(pg.dsn_as(owner), only=["rls"])
    assert [(f.check, f.object) for f in seen.findings] == [(f.check, f.object) for f in all_of_it.findings]
    assert len(seen.findings) > 6
    assert not seen.blind


def test_on_a_plain_server_the_checks_of_supabase_are_silent(server18: FreshDatabase) -> None:
    server18.execute(
        "create role anon",
        "create schema auth",
        "create table auth.users (id int primary key, email text unique)",
        "create table t (id int, password text, f text references auth.users (email))",
        "grant all on t to public, anon",
        "create materialized view m as select * from t",
        "grant all on m to public",
        "create view v as select * from auth.users",
        "grant all on v to public",
        "create function f() returns int language sql security definer set search_path = '' as $$ select 1 $$",
        "create extension pg_trgm",
        "create table note (id int)",
        "alter table note enable row level security",
        "create policy p on note to anon using (true)",
        "create policy q on note for select using (id = 1)",
    )
    answer = diagnose(server18.dsn, only=["rls"])
    assert (answer.findings, answer.blind) == ((), ())


def test_a_role_without_rights_on_storage_is_blind(server18: FreshDatabase) -> None:
    supabase(server18, *STORIES[0].setup)
    role = server18.role("nobody")
    answer = diagnose(server18.dsn_as(role), only=["rls"])
    assert [b.check for b in answer.blind] == ["public_bucket_listing"]
    assert "storage.buckets" in answer.blind[0].cure
    assert objects(answer) == ["public.t"]


@pytest.mark.pg("== 14")
def test_before_15_everybody_may_make_objects_and_it_counts_once_somebody_can_log_in(pg: FreshDatabase) -> None:
    assert ask(pg.dsn, "public_schema_create").ok
    pg.role("app")
    assert ask(pg.dsn, "public_schema_create").ok
    pg.execute("create table t (id int)")
    (found,) = ask(pg.dsn, "public_schema_create").findings
    assert (found.object, found.severity) == ("public", Severity.NOTICE)
    paste(pg, found.advice[0].sql)
    assert ask(pg.dsn, "public_schema_create").ok


def test_locked_tables_are_judged_by_what_the_catalog_tells(server18: FreshDatabase) -> None:
    supabase(
        server18, "create table t (id int)", OPEN.format(table="t"), *NOTES, "create policy p on note using (true)"
    )
    with server18.connect(autocommit=False) as conn:
        conn.execute("lock table t, note in access exclusive mode")
        answer = diagnose(server18.dsn, only=["rls"])
        conn.rollback()
    assert objects(answer) == ["public.t"]
    assert {blind.object for blind in answer.blind} == {"public.note"}
    assert "policy_always_true" in {blind.check for blind in answer.blind}
