"""Policies that ask who is calling, once a row or once a statement."""

from tests.exam.case import Decoy, Fault

SUPABASE = (
    "create role anon",
    "create role authenticated",
    "create role service_role bypassrls",
    "create schema auth",
    "create schema storage",
    """create function auth.uid() returns uuid language sql stable as
       $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$""",
    """create function auth.jwt() returns jsonb language sql stable as
       $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$""",
    "create table note (id bigint primary key, owner uuid not null, org text, body text)",
    "create index on note (owner)",
    "create index on note (org)",
    "insert into note select g, md5((g % 500)::text)::uuid, 'org' || g % 40, 'text' from generate_series(1, 20000) g",
    "analyze note",
    "alter table note enable row level security",
)


def policy(expression: str, name: str = "mine") -> tuple[str, ...]:
    return (*SUPABASE, f'create policy "{name}" on note for select to authenticated using ({expression})')


def per_row(name: str, expression: str, *more: str) -> Fault:
    return Fault(
        name=name,
        check="auth_function_per_row",
        object="public.note.mine",
        sql=(*SUPABASE, *more, f"create policy mine on note for select to authenticated using ({expression})"),
    )


CASES: list[Fault | Decoy] = [
    per_row("a bare call", "owner = auth.uid()"),
    per_row("a wrapped call beside a bare one", "owner = (select auth.uid()) or org = auth.jwt() ->> 'org'"),
    per_row("a setting", "org = current_setting('app.org', true)"),
    per_row(
        "a call hidden in a helper",
        "owner = who()",
        "create function who() returns uuid language plpgsql stable set search_path = '' as "
        "$$ begin return auth.uid(); end $$",
    ),
    Decoy(name="a wrapped call", sql=policy("owner = (select auth.uid())")),
    Decoy(name="wrapped access to a claim", sql=policy("org = (select auth.jwt() ->> 'org')")),
]
