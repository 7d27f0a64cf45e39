"""A database as Supabase lays it out, by our own SQL: its roles, its schemas auth and storage, a project's defaults.

`authenticated` and `anon` are those as whom the API serves requests; `act_as` gives a connection that does the same.
"""

from __future__ import annotations

import json
from typing import Any

import psycopg
from tests.fix.server import FreshDatabase

ROLES = (
    "create role anon nologin",
    "create role authenticated nologin",
    "create role service_role nologin bypassrls",
    "create role authenticator login noinherit",
    "grant anon, authenticated, service_role to authenticator",
)
AUTH = (
    "create schema auth",
    "grant usage on schema auth to anon, authenticated, service_role",
    """create function auth.uid() returns uuid language sql stable as
       $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$""",
    """create function auth.jwt() returns jsonb language sql stable as
       $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$""",
    """create function auth.role() returns text language sql stable as
       $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role' $$""",
    """create table auth.users (id uuid primary key, email text, phone text unique, encrypted_password text,
       raw_user_meta_data jsonb, raw_app_meta_data jsonb)""",
    "create unique index users_email_key on auth.users (email)",
    "alter table auth.users enable row level security",
)
STORAGE = (
    "create schema storage",
    "grant usage on schema storage to anon, authenticated, service_role",
    "create table storage.buckets (id text primary key, name text not null, owner uuid, public boolean default false)",
    """create table storage.objects (id uuid primary key default gen_random_uuid(), bucket_id text
       references storage.buckets, name text, owner uuid)""",
    "create index on storage.objects (bucket_id, name)",
    "alter table storage.buckets enable row level security",
    "alter table storage.objects enable row level security",
    "grant select, insert, update, delete on storage.objects, storage.buckets to anon, authenticated, service_role",
)
PROJECT = (
    "create schema if not exists extensions",
    "grant usage on schema extensions to anon, authenticated, service_role",
    "revoke create on schema public from public",
    "grant usage on schema public to anon, authenticated, service_role",
)
PLATFORM = (*ROLES, *AUTH, *STORAGE, *PROJECT)
"""Everything; a healthy project in which the API can reach nothing yet."""

OPEN = "grant select, insert, update, delete on {table} to anon, authenticated, service_role"


def supabase(database: FreshDatabase, *more: str) -> FreshDatabase:
    """Make the platform in this database, then run `more` as its superuser."""
    database.execute(*PLATFORM, *more)
    return database


def project_owner(database: FreshDatabase) -> str:
    """Make the role that a Supabase project gives its people: no superuser, but it owns what they make; its name."""
    database.role("owner", options="login createrole createdb bypassrls")
    database.execute(
        "grant pg_monitor, pg_signal_backend to owner",
        "grant anon, authenticated, service_role, authenticator to owner",
        f"grant create on database {database.name} to owner",
        "grant usage, create on schema public to owner",
        "grant usage on schema auth, storage to owner",
        "grant select on auth.users, storage.buckets, storage.objects to owner",
    )
    return "owner"


def act_as(database: FreshDatabase, role: str, claims: dict[str, Any] | None = None) -> psycopg.Connection[Any]:
    """Return a connection that acts as `role` with these claims, as PostgREST would for one request."""
    conn = database.connect()
    conn.execute("select set_config('request.jwt.claims', %s, false)", [json.dumps(claims) if claims else ""])
    conn.execute(psycopg.sql.SQL("set role {}").format(psycopg.sql.Identifier(role)))
    return conn
