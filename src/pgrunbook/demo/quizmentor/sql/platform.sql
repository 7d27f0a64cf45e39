/* pgrunbook: demo platform */
-- What the platform brings before the application comes: extensions in their own schema, and who is asking.
create schema extensions;
create extension pg_stat_statements schema extensions;
create extension pg_trgm schema extensions;
grant usage on schema extensions to anon, authenticated, service_role, quizmentor_app;

create schema auth;
grant usage on schema auth to anon, authenticated, service_role, quizmentor_app;

create function auth.uid() returns uuid
language sql
stable
parallel safe
as $$
    select (nullif(current_setting('request.jwt.claims', true), '')::json ->> 'sub')::uuid
$$;

grant usage on schema public to anon, authenticated, service_role, quizmentor_app;
alter default privileges in schema public
    grant select, insert, update, delete on tables to authenticated, service_role, quizmentor_app;
alter default privileges in schema public
    grant usage, select on sequences to authenticated, service_role, quizmentor_app;

do $$
begin
    execute format('alter database %%I set search_path = public, extensions', current_database());
end
$$;
set search_path = public, extensions;
