/* pgrunbook: demo roles */
-- The roles of a Supabase project, and the login of the application.  Roles belong to the whole cluster:
-- another database may have made them already.
do $$
begin
    if not exists (select from pg_catalog.pg_roles where rolname = 'anon') then
        create role anon nologin;
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'authenticated') then
        create role authenticated nologin;
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
        create role service_role nologin bypassrls;
    end if;
    if not exists (select from pg_catalog.pg_roles where rolname = 'quizmentor_app') then
        create role quizmentor_app login noinherit;
    end if;
exception
    when duplicate_object or unique_violation then
        null;  -- a load into another database of the cluster made it a moment ago
end
$$;
grant anon, authenticated, service_role to quizmentor_app;
