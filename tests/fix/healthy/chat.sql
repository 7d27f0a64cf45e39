-- A chat on Supabase, laid over its platform (tests/fix/supabase.py): policies as they should be.

create schema if not exists extensions;

create extension if not exists pg_stat_statements schema extensions;

alter role authenticator set statement_timeout = '8s';

alter role authenticator set idle_in_transaction_session_timeout = '30s';

create schema private;

insert into auth.users (id, email) select md5(n::text)::uuid, n || '@example.org' from generate_series(1, 800) as n;

create table profile (id uuid primary key references auth.users on delete cascade, handle text not null unique,
  avatar text, bio text, left_at timestamptz, created_at timestamptz not null default now());

create table room (id bigint generated always as identity primary key, slug text not null unique, title text not
  null, is_open boolean not null default false, owner_id uuid not null references profile);

create index on room (owner_id);

create table membership (room_id bigint references room on delete cascade, user_id uuid references profile on
  delete cascade, role text not null default 'member' check (role in ('member', 'admin')),
  joined_at timestamptz not null default now(), primary key (user_id, room_id));

create index on membership (room_id);

create table message (id bigint generated always as identity primary key, room_id bigint not null references room on
  delete cascade, author_id uuid not null references profile, body text not null, sent_at timestamptz not null default
  now(), edited_at timestamptz, mentions uuid[] not null default '{}');

create index on message (room_id, sent_at desc);

create index on message (author_id);

create index on message using gin (mentions);

create table reaction (message_id bigint references message on delete cascade, user_id uuid references profile on
  delete cascade, emoji text not null, primary key (message_id, user_id, emoji));

create index on reaction (user_id);

create table private.invitation (token_digest bytea primary key, room_id bigint not null references room);

create index on private.invitation (room_id);

create function private.is_admin(room bigint) returns boolean language sql stable security definer
  set search_path = '' as $$ select exists (select from public.membership as m where m.room_id = room
  and m.user_id = (select auth.uid()) and m.role = 'admin') $$;

revoke all on function private.is_admin from public;

create function edited() returns trigger language plpgsql set search_path = '' as
  'begin new.edited_at := pg_catalog.now(); return new; end';

create trigger message_edited before update on message for each row execute function edited();

alter table profile enable row level security;

alter table room enable row level security;

alter table membership enable row level security;

alter table message enable row level security;

alter table reaction enable row level security;

create policy present on profile for select to authenticated using (left_at is null);

create policy own on profile for update to authenticated using (id = (select auth.uid())) with check (id = (select
  auth.uid()));

create policy visible on room for select to authenticated using (is_open or
  id in (select m.room_id from membership as m where m.user_id = (select auth.uid())));

create policy owner on room for update to authenticated using (owner_id = (select auth.uid()));

create policy founder on room for insert to authenticated with check (owner_id = (select auth.uid()));

create policy own on membership for select to authenticated using (user_id = (select auth.uid()));

create policy leave on membership for delete to authenticated using (user_id = (select auth.uid()));

create policy read on message for select to authenticated using (room_id in (select m.room_id from membership as m
  where m.user_id = (select auth.uid())));

create policy write on message for insert to authenticated with check (author_id = (select auth.uid()) and room_id
  in (select m.room_id from membership as m where m.user_id = (select auth.uid())));

create policy edit on message for update to authenticated using (author_id = (select auth.uid()));

create policy own on reaction for all to authenticated using (user_id = (select auth.uid())) with check (user_id =
  (select auth.uid()));

grant select, insert, update, delete on profile, room, membership, message, reaction to authenticated;

grant all on all tables in schema public to service_role;

insert into profile (id, handle) select id, 'user_' || email from auth.users;

insert into room (slug, title, is_open, owner_id) select 'room' || n, 'Room ' || n, n % 10 = 0, md5(n::text)::uuid
  from generate_series(1, 300) as n;

insert into membership (room_id, user_id, role) select r.id, md5((1 + (r.id * 7 + n) % 800)::text)::uuid,
  case when n = 1 then 'admin' else 'member' end from room as r, generate_series(1, 12) as n;

insert into message (room_id, author_id, body, sent_at) select 1 + n % 300, md5((1 + n % 800)::text)::uuid,
  'Hello ' || md5(n::text), now() - n * interval '1 minute' from generate_series(1, 20000) as n;

insert into reaction select n, md5((1 + n % 800)::text)::uuid, (array['+1', 'heart', 'eyes'])[1 + n % 3]
  from generate_series(1, 6000) as n;

create publication supabase_realtime for table message, reaction;

vacuum analyze;
