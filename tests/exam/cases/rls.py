"""What the API of a Supabase project reaches, and what only looks as if it did."""

from tests.exam.case import Decoy, Fault
from tests.fix.rls_stories import HEALTHY, MEMBERS, NOTES, STORIES
from tests.fix.supabase import OPEN, PLATFORM

# Blind without rights: only what must read a table of the platform.
_BLINDFOLDS = {"public_bucket_listing": "login"}

OWN = "using (owner = (select auth.uid()))"
CASES: list[Fault | Decoy] = [
    *(
        Fault(
            name=story.name,
            check=story.check,
            object=story.object,
            severity=(story.severity.value,),
            sql=(*story.on, *story.setup),
            majors=">= 14" if story.on_oldest else ">= 15",
            blindfold=_BLINDFOLDS.get(story.check),
        )
        for story in STORIES
    ),
    Decoy(
        name="a project with its policies",
        sql=(
            *PLATFORM,
            *MEMBERS,
            *NOTES,
            f"create policy r on note for select to authenticated {OWN}",
            f"create policy u on note for update to authenticated {OWN} with check (owner = (select auth.uid()))",
            f"create policy d on note for delete to authenticated {OWN}",
            "create policy i on note for insert to authenticated with check (owner = (select auth.uid()))",
        ),
    ),
    Decoy(
        name="a view that asks as its caller",
        majors=">= 15",
        sql=(
            *PLATFORM,
            *NOTES,
            f"create policy r on note for select to authenticated {OWN}",
            "create view mine with (security_invoker = on) as select id, body from note",
            "grant select on mine to authenticated",
        ),
    ),
    Decoy(
        name="tables in schemas that are not exposed",
        sql=(
            *PLATFORM,
            "create schema private",
            "create table private.job (id int primary key, api_key text)",
            "create materialized view private.report as select 1 as a",
            (
                "create function private.run() returns int language sql security definer set search_path = '' as"
                " $$ select 1 $$"
            ),
        ),
    ),
    Decoy(
        name="true, narrowed by a restrictive policy",
        sql=(
            *PLATFORM,
            *NOTES,
            "create policy base on note for select to authenticated using (true)",
            "create policy mine on note as restrictive for select to authenticated using (owner = (select auth.uid()))",
        ),
    ),
    Decoy(
        name="true for the server side",
        sql=(*PLATFORM, *NOTES, "create policy server on note to service_role using (true) with check (true)"),
    ),
    Decoy(
        name="policies that cannot be merged",
        sql=(
            *PLATFORM,
            *NOTES,
            f"create policy own on note for all to authenticated {OWN}",
            "create policy few on note for select to anon using (id = 1)",
            "create policy more on note for select to authenticated using (id = any ('{1,2,3}'::bigint[]))",
        ),
    ),
    Decoy(
        name="app_metadata, and a column that is called like a claim",
        sql=(
            *PLATFORM,
            *NOTES,
            "alter table note add meta jsonb",
            (
                "create policy admin on note for select to authenticated"
                " using ((select auth.jwt() -> 'app_metadata' ->> 'role') = 'admin' and owner = (select auth.uid()))"
            ),
            (
                "create policy tagged on note for delete to authenticated"
                " using (owner = (select auth.uid()) and meta ->> 'user_metadata' = 'x')"
            ),
        ),
    ),
    Decoy(
        name="names that contain a secret's letters",
        sql=(
            *PLATFORM,
            "create table meter (id int primary key, token_count int, password_changed_at timestamptz, secretary text)",
            "alter table meter enable row level security",
            "create policy r on meter for select to anon using (id = 1)",
            "grant select on meter to anon",
        ),
    ),
    Decoy(
        name="a queue that is closed",
        sql=(
            *PLATFORM,
            "create schema pgmq",
            "create table pgmq.q_jobs (msg_id bigint primary key, read_ct int, vt timestamptz, message jsonb)",
        ),
    ),
    Decoy(name="extensions where they belong", sql=(*PLATFORM, "create extension pg_trgm with schema extensions")),
    Decoy(
        name="a plain server with grants to everybody",
        sql=(
            "create table t (id int primary key, password text)",
            "grant all on t to public",
            "create view v as select * from t",
            "grant all on v to public",
            "create materialized view m as select * from t",
            "grant all on m to public",
            "create extension pg_trgm",
            "create function f() returns int language sql as $$ select 1 $$",
        ),
    ),
    Decoy(
        name="roles that cannot log in, and one that can and may little",
        sql=("create role boss superuser nologin", "create role server bypassrls nologin", "create role app login"),
    ),
    Decoy(
        name="a small table without index",
        sql=(
            *PLATFORM,
            "create table setting (id int primary key, org text)",
            "insert into setting select g, 'org' || g from generate_series(1, 50) as g",
            "analyze setting",
            "alter table setting enable row level security",
            OPEN.format(table="setting"),
            "create policy r on setting for select to authenticated using (org = (select auth.jwt() ->> 'org'))",
        ),
    ),
    *(
        Decoy(name=f"what looks like {check}", sql=(*PLATFORM, *HEALTHY[check]))
        for check in ("exposed_auth_users", "foreign_key_to_auth_unique", "default_privileges_to_anon")
    ),
]
