-- A multi-tenant shop: orders by month, lines by tenant, row security by a setting, a materialised summary.

create schema if not exists extensions;

create extension if not exists pg_stat_statements schema extensions;

create role shop_owner nologin;

create role shop_app login;

create role shop_report login;

alter role shop_app set statement_timeout = '15s';

alter role shop_app set idle_in_transaction_session_timeout = '30s';

alter role shop_report set statement_timeout = '5min';

alter role shop_report set idle_in_transaction_session_timeout = '1min';

create schema shop authorization shop_owner;

grant usage on schema shop to shop_app, shop_report;

create type shop.order_state as enum ('new', 'paid', 'sent', 'returned');

create domain shop.email as text check (value ~ '^[^@]+@[^@]+$');

create table shop.tenant (id int generated always as identity primary key, name text not null unique,
  settings jsonb not null default '{}');

create table shop.customer (tenant_id int not null references shop.tenant, id bigint generated always as identity,
  email shop.email not null, name text not null, joined_at timestamptz not null default now(), deleted_at timestamptz,
  primary key (tenant_id, id));

create unique index customer_email on shop.customer (tenant_id, lower(email)) where deleted_at is null;

create table shop.product (tenant_id int not null references shop.tenant, id bigint generated always as identity,
  sku text not null, title text not null, price_cents int not null check (price_cents >= 0),
  tax_cents int generated always as (price_cents / 5) stored, attributes jsonb not null default '{}',
  tags text[] not null default '{}', primary key (tenant_id, id), unique (tenant_id, sku));

create index product_attributes on shop.product using gin (attributes jsonb_path_ops);

create index product_tags on shop.product using gin (tags);

create index product_words on shop.product using gin (to_tsvector('simple', title));

create table shop.orders (tenant_id int not null references shop.tenant, id bigint not null,
  customer_id bigint not null, state shop.order_state not null default 'new', ordered_at timestamptz not null,
  total_cents bigint not null, primary key (tenant_id, id, ordered_at),
  foreign key (tenant_id, customer_id) references shop.customer (tenant_id, id)) partition by range (ordered_at);

create sequence shop.order_number;

do $$ begin execute format('create table shop.orders_0 partition of shop.orders for values from (%L) to (%L)',
  date_trunc('month', now()) + interval '-3 months', date_trunc('month', now()) + interval '-2 months'); end $$;

do $$ begin execute format('create table shop.orders_1 partition of shop.orders for values from (%L) to (%L)',
  date_trunc('month', now()) + interval '-2 months', date_trunc('month', now()) + interval '-1 months'); end $$;

do $$ begin execute format('create table shop.orders_2 partition of shop.orders for values from (%L) to (%L)',
  date_trunc('month', now()) + interval '-1 months', date_trunc('month', now()) + interval '0 months'); end $$;

do $$ begin execute format('create table shop.orders_3 partition of shop.orders for values from (%L) to (%L)',
  date_trunc('month', now()) + interval '0 months', date_trunc('month', now()) + interval '1 months'); end $$;

do $$ begin execute format('create table shop.orders_4 partition of shop.orders for values from (%L) to (%L)',
  date_trunc('month', now()) + interval '1 months', date_trunc('month', now()) + interval '2 months'); end $$;

do $$ begin execute format('create table shop.orders_5 partition of shop.orders for values from (%L) to (%L)',
  date_trunc('month', now()) + interval '2 months', date_trunc('month', now()) + interval '3 months'); end $$;

do $$ begin execute format('create table shop.orders_6 partition of shop.orders for values from (%L) to (%L)',
  date_trunc('month', now()) + interval '3 months', date_trunc('month', now()) + interval '4 months'); end $$;

do $$ begin execute format('create table shop.orders_7 partition of shop.orders for values from (%L) to (%L)',
  date_trunc('month', now()) + interval '4 months', date_trunc('month', now()) + interval '5 months'); end $$;

create index orders_customer on shop.orders (tenant_id, customer_id, ordered_at desc);

create index orders_open on shop.orders (tenant_id, ordered_at) where state in ('new', 'paid');

create table shop.order_line (tenant_id int not null, order_id bigint not null, ordered_at timestamptz not null,
  line int not null, product_id bigint not null, amount int not null check (amount > 0),
  primary key (tenant_id, order_id, ordered_at, line),
  foreign key (tenant_id, order_id, ordered_at) references shop.orders on delete cascade,
  foreign key (tenant_id, product_id) references shop.product) partition by hash (tenant_id);

create table shop.order_line_0 partition of shop.order_line for values with (modulus 4, remainder 0);

create table shop.order_line_1 partition of shop.order_line for values with (modulus 4, remainder 1);

create table shop.order_line_2 partition of shop.order_line for values with (modulus 4, remainder 2);

create table shop.order_line_3 partition of shop.order_line for values with (modulus 4, remainder 3);

create index order_line_product on shop.order_line (tenant_id, product_id);

create table shop.audit (id bigint generated always as identity primary key, at timestamptz not null default now(),
  actor text not null default current_user, what jsonb not null) with (fillfactor = 100);

create index audit_at on shop.audit using brin (at);

create materialized view shop.daily as select tenant_id, date_trunc('day', ordered_at) as day, sum(total_cents) as
  total_cents from shop.orders group by 1, 2;

create unique index daily_key on shop.daily (tenant_id, day);

create view shop.active_customer as select * from shop.customer where deleted_at is null;

create function shop.touch() returns trigger language plpgsql set search_path = '' as $$ begin
  insert into shop.audit (what) values (to_jsonb(new)); return new; end $$;

create trigger tenant_audit after insert on shop.tenant for each row execute function shop.touch();

alter table shop.customer enable row level security;

create policy tenant on shop.customer to shop_app using (tenant_id = (select current_setting('shop.tenant',
  true)::int));

alter table shop.product enable row level security;

create policy tenant on shop.product to shop_app using (tenant_id = (select current_setting('shop.tenant',
  true)::int));

alter table shop.orders enable row level security;

create policy tenant on shop.orders to shop_app using (tenant_id = (select current_setting('shop.tenant',
  true)::int));

create policy everything on shop.orders for select to shop_report using (true);

grant select, insert, update, delete on all tables in schema shop to shop_app;

grant usage on all sequences in schema shop to shop_app;

grant select on all tables in schema shop to shop_report;

insert into shop.tenant (name) select 'tenant ' || n from generate_series(1, 20) as n;

insert into shop.customer (tenant_id, email, name, deleted_at) select 1 + n % 20, 'c' || n || '@example.org',
  'Customer ' || n, case when n % 50 = 0 then now() end from generate_series(1, 6000) as n;

insert into shop.product (tenant_id, sku, title, price_cents, attributes, tags) select 1 + n % 20, 'sku' || n,
  'Thing ' || md5(n::text), 100 + n % 9000, jsonb_build_object('colour', n % 7, 'size', n % 300),
  array['t' || n % 40, 'u' || n % 90] from generate_series(1, 4000) as n;

insert into shop.orders (tenant_id, id, customer_id, state, ordered_at, total_cents)
  select c.tenant_id, nextval('shop.order_number'), c.id, (array['new', 'paid', 'sent', 'sent', 'sent'])[1 + n % 5]
  ::shop.order_state, now() - (n % 80) * interval '1 day' - c.id * interval '1 second', 500 + n
  from shop.customer as c, generate_series(1, 4) as n;

insert into shop.order_line (tenant_id, order_id, ordered_at, line, product_id, amount)
  select o.tenant_id, o.id, o.ordered_at, n, p.id, n from shop.orders as o cross join generate_series(1, 2) as n
  cross join lateral (select id from shop.product where tenant_id = o.tenant_id order by id offset o.id % 190 limit 1)
  as p;

refresh materialized view shop.daily;

vacuum analyze;
