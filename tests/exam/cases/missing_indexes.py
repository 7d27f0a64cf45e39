"""Statements that read whole tables for want of an index, and statements for which an index would be no help."""

from __future__ import annotations

from tests.exam.case import Decoy, Fault

TICKET = (
    "create table ticket (id int8 generated always as identity primary key, code text not null, holder int8 not null,"
    " state text not null, is_urgent bool not null, opened_at timestamptz not null, closed_at timestamptz,"
    " labels text[] not null, details jsonb not null, summary text not null, booked int8range not null,"
    " spot point not null)"
)
FILL = (
    "insert into ticket (code, holder, state, is_urgent, opened_at, closed_at, labels, details, summary, booked, spot)"
    " select 'Code-' || md5(i::text), i % 4000,"
    " case when i % 500 = 0 then 'failed' when i % 3 = 0 then 'open' else 'done' end,"
    " i % 997 = 0, timestamptz '2023-01-01' + i * interval '7 minutes',"
    " case when i % 50 <> 0 then timestamptz '2023-02-01' + i * interval '7 minutes' end,"
    " array['l' || i % 3000, 'l' || i % 2999], jsonb_build_object('customer', i % 5000, 'tier', i % 3),"
    " 'printer ' || md5((i + 1)::text) || ' is out of paper in room ' || i, int8range(i * 10, i * 10 + 15),"
    " point(i % 311, i / 311) from generate_series(1, 60000) i"
)
TICKETS = (TICKET, FILL, "vacuum analyze ticket")
AGENTS = (
    *TICKETS,
    "create table agent (id int8 primary key, name text not null unique)",
    "insert into agent select i, 'agent ' || i from generate_series(0, 3999) i",
    "vacuum analyze agent",
)
VISITS = (
    "create table visit (id int, region int, page int, note text, primary key (region, id)) partition by list (region)",
    *(f"create table visit_{region} partition of visit for values in ({region})" for region in (1, 2, 3, 4)),
    "insert into visit select i, 1 + i % 4, i % 7000, md5(i::text) from generate_series(1, 100000) i",
    "analyze visit",
)
RULES = (
    *TICKETS,
    "do $$ begin create role ticket_app; exception when duplicate_object then null; end $$",
    "grant select on ticket to ticket_app",
    "alter table ticket enable row level security",
    "create policy own on ticket for select using (holder = (select current_setting('app.holder')::int8))",
    "set role ticket_app",
    "set app.holder = '77'",
)


def times(query: str, amount: int = 36) -> tuple[str, ...]:
    return (query,) * amount


def fault(name: str, query: str, *columns: str, before: tuple[str, ...] = TICKETS, table: str = "ticket") -> Fault:
    return Fault(
        name=name,
        check="missing_index",
        object=f"public.{table}",
        sql=(*before, *times(query)),
        columns=columns or None,
        blindfold="login",
    )


def decoy(name: str, query: str, amount: int = 36, *, before: tuple[str, ...] = TICKETS) -> Decoy:
    return Decoy(name=name, sql=(*before, *times(query, amount)))


CASES = [
    fault("one row by its code", "select * from ticket where code = 'Code-1'", "code"),
    fault("rows of a holder, counted", "select count(*) from ticket where holder = 99", "holder"),
    fault("rows of a holder in a state", "select id from ticket where holder = 99 and state = 'open'", "holder"),
    fault(
        "a holder's latest",
        "select id, code from ticket where holder = 99 order by opened_at desc limit 5",
    ),
    fault("the latest of all", "select id, code from ticket order by opened_at desc limit 20", "opened_at"),
    fault("a moment", "select * from ticket where opened_at between '2023-03-01' and '2023-03-01 03:00'", "opened_at"),
    fault("the rare state", "select * from ticket where state = 'failed'", "state"),
    fault("a code in any letters", "select id from ticket where lower(code) = lower('CODE-1')", "lower(code)"),
    fault("documents that contain", """select id from ticket where details @> '{"customer": 5}'""", "details"),
    fault("arrays that contain", "select id from ticket where labels @> array['l7']", "labels"),
    fault("arrays that overlap", "select id from ticket where labels && array['l7', 'l8']", "labels"),
    fault(
        "words in a text",
        "select id from ticket where to_tsvector('english', summary) @@ to_tsquery('english', 'room & 777')",
        "to_tsvector('english', summary)",
    ),
    fault(
        "letters in a text",
        "select id from ticket where summary ilike '%room 777%'",
        "summary",
        before=(*TICKETS, "create extension pg_trgm"),
    ),
    fault("ranges that hold a number", "select id from ticket where booked @> 777::int8", "booked"),
    fault("points in a box", "select id from ticket where spot <@ box '((5,5),(6,6))'", "spot"),
    fault("an update by code", "update ticket set summary = summary where code = 'Code-2'", "code"),
    fault("a delete by code", "delete from ticket where code = 'Code-2'", "code"),
    fault(
        "a join from one row",
        "select t.id, t.code from agent a join ticket t on t.holder = a.id where a.name = 'agent 77'",
        "holder",
        before=AGENTS,
    ),
    fault(
        "a join below LIMIT",
        "select a.name, t.code from agent a left join ticket t on t.holder = a.id order by a.id limit 10",
        "holder",
        before=AGENTS,
    ),
    fault(
        "an index whose second column is asked for",
        "select id from ticket where holder = 99",
        "holder",
        before=(TICKET, FILL, "create index on ticket (opened_at, holder)", "vacuum analyze ticket"),
    ),
    fault(
        "a partial index that leaves the rows out",
        "select id from ticket where holder = 99",
        "holder",
        before=(TICKET, FILL, "create index on ticket (holder) where is_urgent", "vacuum analyze ticket"),
    ),
    fault("all partitions", "select * from visit where page = 77", "page", before=VISITS, table="visit"),
    fault("a policy's column", "select id, code from ticket", "holder", before=RULES),
    decoy("most of a table, counted", "select count(*) from ticket where state = 'done'"),
    decoy("a third of a table, counted", "select count(*) from ticket where state = 'open'"),
    decoy("a nightly report", "select state, count(*), max(opened_at) from ticket group by state", 2),
    decoy("a search that ran twice", "select * from ticket where code = 'Code-1'", 2),
    decoy(
        "a small table",
        "select * from country where name = 'n7'",
        400,
        before=(
            "create table country (id int primary key, name text not null)",
            "insert into country select i, 'n' || i from generate_series(1, 240) i",
            "vacuum analyze country",
        ),
    ),
    decoy(
        "served by the first of two columns",
        "select id from ticket where holder = 99",
        before=(TICKET, FILL, "create index on ticket (holder, opened_at)", "vacuum analyze ticket"),
    ),
    decoy(
        "served by an expression",
        "select id from ticket where lower(code) = 'code-1'",
        before=(TICKET, FILL, "create index on ticket (lower(code))", "vacuum analyze ticket"),
    ),
    decoy(
        "served in backward order",
        "select id from ticket order by opened_at desc, id desc limit 20",
        before=(TICKET, FILL, "create index on ticket (opened_at, id)", "vacuum analyze ticket"),
    ),
    decoy(
        "served by a partial index",
        "select id from ticket where is_urgent and holder = 99",
        before=(TICKET, FILL, "create index on ticket (holder) where is_urgent", "vacuum analyze ticket"),
    ),
    decoy(
        "served on every partition",
        "select * from visit where page = 77",
        before=(*VISITS, "create index on visit (page)", "analyze visit"),
    ),
    decoy(
        "a policy that an index serves",
        "select id, code from ticket",
        before=(TICKET, FILL, "create index on ticket (holder)", *RULES[2:]),
    ),
    decoy("the first few that come", "select id from ticket where state = 'open' limit 10"),
    decoy("half of a log by date", "select count(*) from ticket where opened_at > '2023-06-01'"),
    decoy("a join of two whole tables", "select count(*) from agent a join ticket t on t.holder = a.id", before=AGENTS),
]
