"""Faults of the rls family, a story each, and what is healthy though it looks like them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.fix.supabase import OPEN, PLATFORM

from pgrunbook.model import Kind, Severity

CRITICAL, WARNING, NOTICE = Severity.CRITICAL, Severity.WARNING, Severity.NOTICE
QUEUE = (
    "(msg_id bigint generated always as identity, read_ct int, enqueued_at timestamptz, vt timestamptz, message jsonb)"
)
NOTES = (
    "create table note (id bigint primary key, owner uuid not null, org text, shared uuid[], body text)",
    (
        "insert into note select g, md5((g % 500)::text)::uuid, 'org' || g % 40, array[md5((g % 700)::text)::uuid],"
        " 'text' from generate_series(1, 3000) as g"
    ),
    "create index on note (owner)",
    "analyze note",
    "alter table note enable row level security",
    "grant select, insert, update, delete on note to anon, authenticated",
)
MEMBERS = (
    "create table member (user_id uuid, org text, role text, id bigint generated always as identity primary key)",
    "insert into member select md5((g % 500)::text)::uuid, 'org' || g % 40, 'admin' from generate_series(1, 300) as g",
    "create index on member (user_id)",
    "grant select on member to authenticated",
    "alter table member enable row level security",
    "create policy own on member for select to authenticated using (user_id = (select auth.uid()))",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A fault and what is said of it.  `mends`: the first advice takes it away, and its undo brings it back."""

    name: str
    check: str
    object: str
    setup: tuple[str, ...]
    kind: Kind = Kind.TABLE
    severity: Severity = WARNING
    on: tuple[str, ...] = PLATFORM
    mends: bool = True
    on_oldest: bool = True


STORIES = (
    Story(
        name="open table",
        check="rls_disabled",
        object="public.t",
        severity=CRITICAL,
        setup=("create table t (id int)", OPEN.format(table="t")),
    ),
    Story(
        name="write-only table",
        check="rls_disabled",
        object='public."Log"',
        severity=CRITICAL,
        setup=('create table "Log" (id int)', 'grant insert on "Log" to anon'),
    ),
    Story(
        name="one column open",
        check="rls_disabled",
        object="public.t",
        severity=CRITICAL,
        setup=("create table t (id int, name text)", "grant update (name) on t to authenticated"),
    ),
    Story(
        name="open to everybody",
        check="rls_disabled",
        object="public.t",
        severity=CRITICAL,
        setup=("create table t (id int)", "grant select on t to public"),
    ),
    Story(
        name="by way of a group",
        check="rls_disabled",
        object="public.t",
        severity=CRITICAL,
        setup=("create role readers", "grant readers to anon", "create table t ()", "grant select on t to readers"),
    ),
    Story(
        name="partitioned table and its parts",
        check="rls_disabled",
        object="public.p",
        severity=CRITICAL,
        setup=(
            "create table p (id int) partition by range (id)",
            "create table p1 partition of p for values from (0) to (10)",
            "create table p2 partition of p for values from (10) to (20)",
            "grant select on p, p1 to anon",
        ),
    ),
    Story(
        name="partition open beside its protected parent",
        check="rls_disabled",
        object="public.p",
        severity=CRITICAL,
        setup=(
            "create table p (id int) partition by range (id)",
            "create table p1 partition of p for values from (0) to (10)",
            "alter table p enable row level security",
            "create policy none on p to anon using (false)",
            "grant select on p, p1 to anon",
        ),
    ),
    Story(
        name="table of a schema that the settings expose",
        check="rls_disabled",
        object="api.t",
        severity=CRITICAL,
        setup=(
            "create schema api",
            "grant usage on schema api to anon",
            "create table api.t ()",
            "grant select on api.t to anon",
            "alter role authenticator set pgrst.db_schemas = 'public, api'",
        ),
    ),
    Story(
        name="policies that do not hold",
        check="policy_without_rls",
        object="public.t",
        severity=CRITICAL,
        setup=("create table t (id int)", "create policy p on t using (id = 1)", OPEN.format(table="t")),
    ),
    Story(
        name="policies that do not hold on a plain server",
        check="policy_without_rls",
        object="public.t",
        severity=CRITICAL,
        on=(),
        setup=("create table t (id int)", "create policy p on t using (id = 1)"),
    ),
    Story(
        name="closed without a word",
        check="rls_without_policy",
        object="public.t",
        severity=NOTICE,
        setup=("create table t (id int)", "alter table t enable row level security", OPEN.format(table="t")),
    ),
    Story(
        name="closed without a word on a plain server",
        check="rls_without_policy",
        object="public.t",
        severity=NOTICE,
        on=("create role app",),
        setup=("create table t (id int)", "alter table t enable row level security", "grant select on t to app"),
        mends=False,
    ),
    Story(
        name="everybody reads",
        check="policy_always_true",
        object="public.note.p",
        kind=Kind.POLICY,
        setup=(*NOTES, "create policy p on note for select to anon using (true)"),
    ),
    Story(
        name="everybody writes",
        check="policy_always_true",
        object="public.note.p",
        kind=Kind.POLICY,
        severity=CRITICAL,
        setup=(*NOTES, "create policy p on note for update to authenticated using (id = id)"),
    ),
    Story(
        name="everybody inserts what they like",
        check="policy_always_true",
        object="public.note.p",
        kind=Kind.POLICY,
        severity=CRITICAL,
        setup=(*NOTES, "create policy p on note for insert with check (owner is not null)"),
    ),
    Story(
        name="a condition beside true",
        check="policy_always_true",
        object="public.note.p",
        kind=Kind.POLICY,
        severity=CRITICAL,
        setup=(
            *NOTES,
            "create policy p on note to authenticated using (owner = (select auth.uid()) or 2 > 1)",
        ),
    ),
    Story(
        name="rows given away",
        check="policy_always_true",
        object="public.note.p",
        kind=Kind.POLICY,
        severity=CRITICAL,
        setup=(
            *NOTES,
            "create policy p on note for update to authenticated using (owner = (select auth.uid())) with check (true)",
        ),
    ),
    Story(
        name="everybody writes on a plain server",
        check="policy_always_true",
        object="public.t.p",
        kind=Kind.POLICY,
        severity=CRITICAL,
        on=(),
        setup=(
            "create table t (id int)",
            "alter table t enable row level security",
            "create policy p on t using (1 = 1)",
        ),
    ),
    Story(
        name="two policies for one command",
        check="multiple_permissive_policies",
        object="public.note",
        setup=(
            *NOTES,
            "create policy own on note for select to authenticated using (owner = (select auth.uid()))",
            "create policy org on note for select to authenticated using (org = 'org1')",
        ),
    ),
    Story(
        name="three policies for all, one with a check",
        check="multiple_permissive_policies",
        object="public.note",
        setup=(
            *NOTES,
            "create policy a on note using (org = 'org1')",
            "create policy b on note using (org = 'org2') with check (org = 'org3')",
            "create policy c on note using (org = 'org1')",
        ),
    ),
    *(
        Story(
            name=f"user_metadata by {name}",
            check="policy_trusts_user_metadata",
            object="public.note.p",
            kind=Kind.POLICY,
            severity=CRITICAL,
            setup=(*NOTES, f"create policy p on note for select to authenticated using ({condition})"),
        )
        for name, condition in {
            "arrow": "(select auth.jwt() -> 'user_metadata' ->> 'role') = 'admin'",
            "path": "(auth.jwt() #>> '{user_metadata,role}') = 'admin'",
            "function": "jsonb_extract_path_text(auth.jwt(), 'user_metadata', 'role') = 'admin'",
            "setting": "(current_setting('request.jwt.claims', true)::jsonb -> 'user_metadata' ->> 'role') = 'admin'",
            "containment": 'auth.jwt() @> \'{"user_metadata": {"role": "admin"}}\'',
            "table": "exists (select from auth.users u where u.id = (select auth.uid())"
            " and u.raw_user_meta_data ->> 'role' = 'admin')",
        }.items()
    ),
    Story(
        name="user_metadata by a helper's helper",
        check="policy_trusts_user_metadata",
        object="public.note.p",
        kind=Kind.POLICY,
        severity=CRITICAL,
        mends=False,
        setup=(
            *NOTES,
            (
                "create function claim() returns text language plpgsql stable set search_path = '' as"
                " $$ begin return auth.jwt() -> 'user_metadata' ->> 'role'; end $$"
            ),
            "create function is_admin() returns boolean language sql stable as $$ select public.claim() = 'admin' $$",
            "create policy p on note for select to authenticated using ((select is_admin()))",
        ),
    ),
    Story(
        name="an equality without index",
        check="unindexed_policy_column",
        object="public.note.p",
        kind=Kind.POLICY,
        setup=(
            *NOTES,
            "create policy p on note for select to authenticated using (org = (select auth.jwt() ->> 'org'))",
        ),
    ),
    Story(
        name="an index that leads with another column",
        check="unindexed_policy_column",
        object="public.note.p",
        kind=Kind.POLICY,
        setup=(
            *NOTES,
            "create index on note (id, org)",
            "create index on note (org) where id < 100",
            "create policy p on note for all to authenticated using (org = (select auth.jwt() ->> 'org'))",
        ),
    ),
    Story(
        name="an operator that GIN does not know",
        check="unindexed_policy_column",
        object="public.note.p",
        kind=Kind.POLICY,
        setup=(
            *NOTES,
            "create index on note using gin (shared)",
            "create policy p on note for select to authenticated using ((select auth.uid()) = any (shared))",
        ),
    ),
    Story(
        name="neither index nor operator",
        check="unindexed_policy_column",
        object="public.note.p",
        kind=Kind.POLICY,
        setup=(
            *NOTES,
            (
                "create policy p on note for select to authenticated"
                " using (owner = (select auth.uid()) or (select auth.uid()) = any (shared))"
            ),
        ),
    ),
    Story(
        name="containment without index",
        check="unindexed_policy_column",
        object="public.note.p",
        kind=Kind.POLICY,
        setup=(
            *NOTES,
            "create policy p on note for select to authenticated using (shared @> array[(select auth.uid())])",
        ),
    ),
    *(
        Story(
            name=f"sub-select a row: {name}",
            check="policy_subquery_per_row",
            object="public.note.p",
            kind=Kind.POLICY,
            mends=mends,
            setup=(*MEMBERS, *NOTES, f"create policy p on note for select to authenticated using ({condition})"),
        )
        for name, condition, mends in (
            (
                "exists",
                "exists (select from member m where m.org = note.org and m.user_id = (select auth.uid()))",
                True,
            ),
            ("in", "(select auth.uid()) in (select m.user_id from member m where m.org = note.org)", True),
            ("scalar", "(select m.role from member m where m.org = note.org limit 1) = 'admin'", False),
        )
    ),
    Story(
        name="a policy for everybody",
        check="policy_for_public",
        object="public.note.p",
        kind=Kind.POLICY,
        severity=NOTICE,
        setup=(*NOTES, "create policy p on note for select using (owner = (select auth.uid()))"),
    ),
    Story(
        name="view with its owner's rights",
        check="security_definer_view",
        object="public.v",
        kind=Kind.VIEW,
        severity=CRITICAL,
        setup=(*NOTES, "create view v as select id, body from note", "grant select on v to anon"),
    ),
    Story(
        name="view behind a view",
        check="security_definer_view",
        object="hidden.v",
        kind=Kind.VIEW,
        severity=CRITICAL,
        on_oldest=False,
        setup=(
            *NOTES,
            "create schema hidden",
            "create view hidden.v as select id, body from note",
            "grant select on hidden.v to anon",
            "create view shown with (security_invoker = true) as select * from hidden.v",
            "grant select on shown to anon",
        ),
    ),
    Story(
        name="view of another owner's table",
        check="security_definer_view",
        object="public.v",
        kind=Kind.VIEW,
        severity=CRITICAL,
        setup=(
            "create role other",
            "create schema closed",
            "create table closed.t (id int)",
            "alter table closed.t owner to other",
            "create view v as select * from closed.t",
            "grant select on v to anon",
        ),
    ),
    Story(
        name="function with its owner's rights",
        check="security_definer_function",
        object="public.wipe",
        kind=Kind.FUNCTION,
        setup=(
            (
                "create function wipe(t text) returns void language plpgsql security definer set search_path = '' as"
                " $$ begin delete from auth.users; end $$"
            ),
        ),
    ),
    Story(
        name="a policy's helper with its owner's rights",
        check="security_definer_function",
        object="public.is_member",
        kind=Kind.FUNCTION,
        severity=NOTICE,
        setup=(
            *NOTES,
            (
                "create function is_member(o text) returns boolean language sql stable security definer"
                " set search_path = '' as $$ select o = 'org1' $$"
            ),
            "create policy p on note for select to authenticated using (is_member(org))",
        ),
    ),
    Story(
        name="names as the caller likes",
        check="mutable_search_path",
        object="public.f",
        kind=Kind.FUNCTION,
        setup=(
            "create function f(a int) returns int language sql as $$ select a + 1 $$",
            "create function f(a text, out b text) language plpgsql as $$ begin b := a; end $$",
        ),
    ),
    Story(
        name="names as the caller likes, on a plain server",
        check="mutable_search_path",
        object="public.f",
        kind=Kind.FUNCTION,
        on=(),
        setup=("create procedure f(a int) language sql security definer as $$ select a + 1 $$",),
    ),
    Story(
        name="materialised view",
        check="exposed_materialized_view",
        object="public.m",
        kind=Kind.VIEW,
        setup=("create materialized view m as select 1 as a", "grant select (a) on m to authenticated"),
    ),
    Story(
        name="foreign table",
        check="exposed_foreign_table",
        object="public.f",
        setup=(
            "create extension postgres_fdw with schema extensions",
            "create server far foreign data wrapper postgres_fdw",
            "create foreign table f (a int) server far",
            "grant insert on f to anon with grant option",
        ),
    ),
    Story(
        name="users in a view",
        check="exposed_auth_users",
        object="public.people",
        kind=Kind.VIEW,
        severity=CRITICAL,
        setup=(
            "create view people as select id, email from auth.users",
            "grant select on people to anon, authenticated",
        ),
    ),
    Story(
        name="users in a copy behind a view",
        check="exposed_auth_users",
        object="public.people",
        kind=Kind.VIEW,
        severity=CRITICAL,
        setup=(
            "create schema hidden",
            "create materialized view hidden.users as select id, email from auth.users",
            "create view people as select * from hidden.users",
            "grant select on people to authenticated",
        ),
    ),
    Story(
        name="secret column",
        check="exposed_sensitive_column",
        object="public.account.password_hash",
        kind=Kind.COLUMN,
        severity=CRITICAL,
        setup=(
            'create table account (id int, name text, password_hash text, "apiKey" text)',
            "grant select on account to anon with grant option",
            "grant select, insert on account to authenticated",
        ),
    ),
    Story(
        name="queue",
        check="exposed_queue",
        object="pgmq.q_jobs",
        severity=CRITICAL,
        setup=(
            "create schema pgmq",
            f"create table pgmq.q_jobs {QUEUE}",
            "grant usage on schema pgmq to anon",
            "grant insert on pgmq.q_jobs to anon",
        ),
    ),
    Story(
        name="extension in public",
        check="extension_in_public",
        object="pg_trgm",
        kind=Kind.EXTENSION,
        setup=("create extension pg_trgm",),
    ),
    Story(
        name="extension in public, no other schema",
        check="extension_in_public",
        object="pg_trgm",
        kind=Kind.EXTENSION,
        setup=("drop schema extensions cascade", "create extension pg_trgm"),
    ),
    Story(
        name="superuser that logs in",
        check="superuser_login",
        object='"Boss"',
        kind=Kind.ROLE,
        on=(),
        setup=('create role "Boss" superuser login',),
    ),
    Story(
        name="role that no policy holds for",
        check="bypassrls_login",
        object="app",
        kind=Kind.ROLE,
        on=(),
        setup=("create role app login bypassrls",),
    ),
    Story(
        name="everybody makes objects",
        check="public_schema_create",
        object="public",
        kind=Kind.SCHEMA,
        on=(),
        on_oldest=False,
        setup=("grant create on schema public to public",),
    ),
    Story(
        name="visitors make objects",
        check="public_schema_create",
        object="public",
        kind=Kind.SCHEMA,
        setup=("grant create on schema public to anon",),
    ),
    Story(
        name="gifts to anon",
        check="default_privileges_to_anon",
        object="public",
        kind=Kind.SCHEMA,
        setup=(
            "alter default privileges in schema public grant all on tables to anon, authenticated, service_role",
            "alter default privileges in schema public grant execute on functions to anon",
        ),
    ),
    Story(
        name="listing of a public bucket",
        check="public_bucket_listing",
        object='storage.objects."Everybody reads"',
        kind=Kind.POLICY,
        setup=(
            "insert into storage.buckets values ('avatars', 'avatars', null, true), ('docs', 'docs', null, false)",
            "create policy \"Everybody reads\" on storage.objects for select using (bucket_id = 'avatars')",
        ),
    ),
    Story(
        name="foreign key to a unique column",
        check="foreign_key_to_auth_unique",
        object="public.profile.profile_phone_fkey",
        kind=Kind.CONSTRAINT,
        severity=CRITICAL,
        setup=("create table profile (phone text references auth.users (phone) on delete cascade)",),
    ),
    Story(
        name="OIDs in a column",
        check="reg_type_column",
        object="public.t.f",
        kind=Kind.COLUMN,
        on=(),
        setup=("create table t (f regprocedure, ok regclass)", "insert into t values ('lower(text)', 'pg_class')"),
    ),
)


HEALTHY = {
    "rls_disabled": (
        "create table closed (id int)",
        "grant references, trigger on closed to anon",
        "create schema hidden",
        "grant usage on schema hidden to anon",
        "create table hidden.t (id int)",
        "grant all on hidden.t to anon",
        "create schema api",
        "create table api.t (id int)",
        "grant all on api.t to anon",
        "create extension postgres_fdw with schema extensions",
        "create server far foreign data wrapper postgres_fdw",
        "create foreign table f (a int) server far",
        "grant select on f to anon",
        "create view v as select 1 as a",
        "grant select on v to anon",
        f"create table q_jobs {QUEUE}",
        "grant select on q_jobs to anon",
        "create table ruled (id int)",
        "create policy p on ruled using (id = 1)",
        "grant select on ruled to anon",
        "create table p (id int) partition by range (id)",
        "create table p1 partition of p for values from (0) to (10)",
        "alter table p enable row level security",
        "grant select on p to anon",
    ),
    "policy_without_rls": (*NOTES, "create policy p on note using (id = 1)"),
    "rls_without_policy": (
        "create table server_only (id int)",
        "alter table server_only enable row level security",
        "grant all on server_only to service_role",
    ),
    "policy_always_true": (
        *NOTES,
        "create role worker",
        "create policy server on note to service_role using (true)",
        "create policy worker on note to worker using (true) with check (true)",
        "create policy real on note for select to authenticated using (org = org)",
        "create table tenant (id int)",
        "alter table tenant enable row level security",
        "create policy base on tenant to authenticated using (true)",
        "create policy mine on tenant as restrictive to authenticated using (id = 1)",
        "create policy nothing on tenant as restrictive for select to anon using (true)",
    ),
    "multiple_permissive_policies": (
        *NOTES,
        "create policy a on note for select to authenticated using (org = 'org1')",
        "create policy b on note for select to anon using (org = 'org2')",
        "create policy c on note for delete to authenticated using (owner = (select auth.uid()))",
        "create policy d on note for select to anon, authenticated using (org = 'org3')",
        "create policy e on note as restrictive for select to authenticated using (id > 0)",
        "create policy f on note as restrictive for select to authenticated using (id > 1)",
        "create policy g on note for all to service_role using (true)",
        "create policy h on note for all to service_role using (id > 3)",
        "create policy i on note for all to authenticated using (owner = (select auth.uid()))",
    ),
    "policy_trusts_user_metadata": (
        *NOTES,
        "alter table note add meta jsonb, add kind text",
        "create policy a on note for select to authenticated using ((select auth.jwt() -> 'app_metadata') = 'true')",
        "create policy b on note for select to authenticated using (meta -> 'user_metadata' ->> 'r' = 'x')",
        "create policy c on note for select to authenticated using (kind = 'user_metadata')",
        (
            "create function plain() returns boolean language plpgsql stable as"
            " $$ begin /* not auth.jwt() -> 'user_metadata' */ return true; end $$"
        ),
        "create policy d on note for select to authenticated using ((select plain()) and id > 1)",
    ),
    "unindexed_policy_column": (
        *NOTES,
        *MEMBERS,
        "create index on note using gin (shared)",
        "create policy a on note for select to authenticated using (owner = (select auth.uid()))",
        "create policy b on note for select to authenticated using (shared @> array[(select auth.uid())])",
        "create policy c on note for delete to authenticated using (owner = (select auth.uid()) and org = 'org1')",
        "create policy d on note for insert to authenticated with check (org = 'org1')",
        (
            "create policy e on note for select to authenticated using (org in (select m.org from member m where"
            " m.user_id = (select auth.uid())))"
        ),
        "create policy f on note for update to authenticated using (owner = (select auth.uid()) or length(body) > 3)",
        "create table small (id int, org text)",
        "insert into small select g, 'o' from generate_series(1, 100) as g",
        "analyze small",
        "alter table small enable row level security",
        "create policy g on small for select to authenticated using (org = 'org1')",
        "create table few (id int, open boolean, kind text)",
        "insert into few select g, g % 2 = 0, 'k' || g % 3 from generate_series(1, 5000) as g",
        "analyze few",
        "alter table few enable row level security",
        "create policy h on few for select to anon using (open)",
        "create policy i on few for select to anon using (kind = 'k1')",
    ),
    "policy_subquery_per_row": (
        *NOTES,
        *MEMBERS,
        "create policy e on note for delete to anon using (exists (select from member m where m.org = note.org))",
        (
            "create policy a on note for select to authenticated using (org in (select m.org from member m where"
            " m.user_id = (select auth.uid())))"
        ),
        (
            "create policy b on note for select to authenticated using (exists (select from member m where m.user_id ="
            " (select auth.uid())))"
        ),
        "create policy c on note for select to authenticated using (owner = (select auth.uid()))",
        (
            "create policy d on note for insert to authenticated with check (exists (select from member m where m.org ="
            " note.org))"
        ),
    ),
    "policy_for_public": (
        *NOTES,
        "create policy a on note for select to authenticated using (owner = (select auth.uid()))",
        "create policy b on note for select using (org = 'org1' or owner = (select auth.uid()))",
        "create policy c on note as restrictive using (owner = (select auth.uid()))",
        "create policy d on note for select using (owner is distinct from (select auth.uid()))",
    ),
    "security_definer_view": (
        *NOTES,
        "create table free (id int)",
        "create view plain as select * from free",
        "grant select on plain to anon",
        "create view unread as select * from note",
        "create schema hidden",
        "create view hidden.v as select * from note",
        "grant select on hidden.v to anon",
        "create role powerless",
        "grant select on note to powerless",
        "grant create on schema public to powerless",
        "create view held as select * from note",
        "alter view held owner to powerless",
        "grant select on held to anon",
        "revoke create on schema public from powerless",
    ),
    "security_definer_function": (
        "create function own() returns int language sql security invoker as $$ select 1 $$",
        "create function tg() returns trigger language plpgsql security definer as $$ begin return new; end $$",
        "create function closed() returns int language sql security definer as $$ select 1 $$",
        "revoke execute on function closed() from public",
        "create schema hidden",
        "grant usage on schema hidden to anon",
        "create function hidden.f() returns int language sql security definer as $$ select 1 $$",
    ),
    "mutable_search_path": (
        "create function pinned() returns int language sql set search_path = '' as $$ select 1 $$",
        "create aggregate total (int) (sfunc = int4pl, stype = int)",
        "create extension pg_trgm with schema extensions",
        "create function auth.helper() returns int language sql as $$ select 1 $$",
        "create function parsed() returns int language sql begin atomic select 1; end",
    ),
    "exposed_materialized_view": (
        "create materialized view closed as select 1 as a",
        "create schema hidden",
        "grant usage on schema hidden to anon",
        "create materialized view hidden.m as select 1 as a",
        "grant select on hidden.m to anon",
    ),
    "exposed_foreign_table": (
        "create extension postgres_fdw with schema extensions",
        "create server far foreign data wrapper postgres_fdw",
        "create foreign table f (a int) server far",
        "grant select on f to service_role",
    ),
    "exposed_auth_users": (
        "create view closed as select id from auth.users",
        "grant select on closed to service_role",
        "create table users (id uuid primary key)",
        "create view people as select id from users",
        "grant select on people to anon",
    ),
    "exposed_sensitive_column": (
        "create table account (id int, password_hash text, token_count int)",
        "grant select (id, token_count) on account to anon",
        "grant insert on account to anon",
        "create table ruled (password text)",
        "alter table ruled enable row level security",
        "grant select on ruled to anon",
    ),
    "exposed_queue": (
        "create schema pgmq",
        "grant usage on schema pgmq to anon",
        f"create table pgmq.q_ruled {QUEUE}",
        "alter table pgmq.q_ruled enable row level security",
        "grant all on pgmq.q_ruled to anon",
        f"create table pgmq.q_closed {QUEUE}",
        "create table q_answers (id int, question text)",
        "grant select on q_answers to anon",
    ),
    "extension_in_public": ("create extension pg_trgm with schema extensions",),
    "superuser_login": ("create role sleeping superuser nologin", "create role person login createrole createdb"),
    "bypassrls_login": ("create role sleeping bypassrls", "create role person login"),
    "public_schema_create": ("create role person", "grant create on schema public to person, service_role"),
    "default_privileges_to_anon": (
        "alter default privileges in schema public grant select on tables to authenticated, service_role",
        "create schema hidden",
        "alter default privileges in schema hidden grant all on tables to anon",
        "alter default privileges in schema public grant usage on types to anon",
    ),
    "public_bucket_listing": (
        "insert into storage.buckets values ('avatars', 'avatars', null, true), ('docs', 'docs', null, false)",
        "create policy a on storage.objects for select using (bucket_id = 'docs')",
        (
            "create policy b on storage.objects for select to authenticated using (bucket_id = 'avatars' and owner ="
            " (select auth.uid()))"
        ),
        "create policy c on storage.objects for insert to authenticated with check (bucket_id = 'avatars')",
        "create policy d on storage.objects for select to service_role using (bucket_id = 'avatars')",
    ),
    "foreign_key_to_auth_unique": (
        "create table profile (id uuid primary key references auth.users (id) on delete cascade)",
        "create table auth.identities (id int primary key, phone text references auth.users (phone))",
        "create index on auth.identities (phone)",
    ),
    "reg_type_column": (
        "create table t (a regclass, b regtype, c regrole, d regtype[], e oid)",
        "create table storage.t (a regproc)",
    ),
}
