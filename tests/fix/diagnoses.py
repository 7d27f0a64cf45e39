"""Diagnoses to draw: one as from a real sick database, one of hostile names and texts, one that found nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from pgrunbook.model import (
    Advice,
    Basis,
    Blind,
    Effect,
    Finding,
    Kind,
    Lock,
    Server,
    ServerRole,
    Service,
    Severity,
    StepSpec,
)
from pgrunbook.model.diagnosis import Diagnosis, Muted

TAKEN_AT = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
HOSTILE = 'a"b|c`d``e <script>alert(1)</script> %s & \n::error::pwned \x1b[31mred\x07\x00 \u202egnp.exe </td> \udce9 😀'


def server(database: str = "shop") -> Server:
    return Server(
        database=database,
        version="18.6",
        major=18,
        version_num=180006,
        role=ServerRole.PRIMARY,
        service=Service.SUPABASE,
        user="app",
        is_superuser=False,
    )


def sick() -> Diagnosis:
    """A database with something of each severity."""
    return Diagnosis(
        server=server(),
        taken_at=TAKEN_AT,
        duration_s=1.834,
        findings=(_held_transaction(), _missing_index(), _duplicate(), _policy(), _discouraged()),
        blind=(
            Blind(
                check="missing_index",
                object="public.events",
                reason="app may not read the statistics of this table",
                cure="GRANT SELECT ON public.events TO app;",
            ),
            Blind(
                check="slow_queries",
                reason="app is no member of pg_read_all_stats",
                cure="GRANT pg_read_all_stats TO app;",
            ),
            Blind(
                check="blocked_sessions",
                reason="app is no member of pg_read_all_stats",
                cure="GRANT pg_read_all_stats TO app;",
            ),
        ),
        ok=("dead_rows", "invalid_index", "stale_statistics", "unused_index"),
        muted=(Muted(finding=_unlogged(), reason="a cache, may be lost", until="2027-01-31"),),
    )


def clean() -> Diagnosis:
    """A healthy database, seen whole."""
    return Diagnosis(
        server=server(), taken_at=TAKEN_AT, duration_s=0.4, findings=(), blind=(), ok=("dead_rows", "invalid_index")
    )


def hostile() -> Diagnosis:
    """Names and texts that want to break out of every format."""
    finding = Finding(
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object=HOSTILE,
        related=(HOSTILE,),
        evidence={"query": HOSTILE * 20_000, "columns": (HOSTILE, None, 3), "nan": float("nan"), "dead_ratio": 0.5},
        effect=Effect(basis=Basis.ESTIMATED, figures={"saved_bytes": 16384, "what": HOSTILE}),
        advice=(
            Advice(title=HOSTILE, sql=HOSTILE * 10_000, undo_sql=HOSTILE, risk=HOSTILE, lock=Lock.SHARE),
            Advice(title="nothing", sql="select 1;"),
        ),
        check="dead_rows",
        title=HOSTILE,
        detail=HOSTILE,
        section=HOSTILE,
    )
    return Diagnosis(
        server=server(HOSTILE),
        taken_at=TAKEN_AT,
        duration_s=0.1,
        findings=(finding,),
        blind=(Blind(check="table_bloat", object=HOSTILE, reason=HOSTILE, cure=HOSTILE),),
        ok=("invalid_index",),
        muted=(Muted(finding=_unlogged(), reason=HOSTILE, until=""),),
    )


def many(amount: int) -> Diagnosis:
    """The same defect on many objects."""
    findings = tuple(_duplicate(f"public.orders_customer_id_idx_{number}") for number in range(amount))
    return Diagnosis(server=server(), taken_at=TAKEN_AT, duration_s=3.0, findings=findings, blind=(), ok=())


def _missing_index() -> Finding:
    return Finding(
        check="missing_index",
        severity=Severity.CRITICAL,
        kind=Kind.TABLE,
        object="public.orders",
        title="A query reads a whole table to return a few rows",
        detail="Query 7f3a reads 18,400,000 rows of public.orders to return 11; it takes 61 % of all database time.",
        evidence={
            "columns": ("customer_id", "status"),
            "size_bytes": 4_509_715_660,
            "rows_read": 18_400_000,
            "rows_returned": 11,
            "time_ratio": 0.61,
            "calls_per_s": 20.7,
        },
        effect=Effect(
            basis=Basis.MEASURED,
            figures={"p95_before_ms": 812.0, "p95_after_ms": 9.0, "build_s": 41.0, "size_bytes": 222_298_112},
        ),
        advice=(
            Advice(
                title="Create index public.orders_customer_id_status_idx",
                sql="CREATE INDEX CONCURRENTLY orders_customer_id_status_idx ON public.orders (customer_id, status);",
                undo_sql="DROP INDEX CONCURRENTLY public.orders_customer_id_status_idx;",
                lock=Lock.SHARE_UPDATE_EXCLUSIVE,
                risk="Each write of public.orders pays a little more.",
                step=StepSpec(kind="create_index", params={"schema": "public"}),
            ),
        ),
        section="Indexing Strategies",
    )


def _held_transaction() -> Finding:
    return Finding(
        check="idle_in_transaction",
        severity=Severity.CRITICAL,
        kind=Kind.SESSION,
        object="48211",
        title="A session sits in an open transaction and does nothing",
        detail="Session 48211 of billing-worker has been idle in transaction for 47 min; 9,100,000 dead rows in 3"
        " tables cannot be removed, and 2 sessions wait behind it.",
        evidence={"application": "billing-worker", "idle_age_s": 2820.0, "held_rows": 9_100_000, "waiting_sessions": 2},
        advice=(
            Advice(
                title="End session 48211",
                sql="SELECT pg_terminate_backend(48211);",
                risk="Its open transaction is rolled back; the client has to connect again.",
            ),
        ),
        section="Emergency: runaway queries",
    )


def _duplicate(name: str = "public.orders_customer_idx2") -> Finding:
    return Finding(
        check="duplicate_index",
        severity=Severity.WARNING,
        kind=Kind.INDEX,
        object=name,
        related=("public.orders_customer_idx",),
        title="Two indexes that are the same but for their names",
        detail=f"{name} is the same as public.orders_customer_idx. Each write keeps both; the copy takes 212 MB.",
        evidence={"table": "public.orders", "size_bytes": 222_298_112},
        advice=(
            Advice(
                title=f"Drop index {name}",
                sql=f"DROP INDEX CONCURRENTLY {name};",
                undo_sql="CREATE INDEX CONCURRENTLY orders_customer_idx2 ON public.orders USING btree (customer_id);",
                lock=Lock.SHARE_UPDATE_EXCLUSIVE,
                risk="A query that nobody has run since the counters began may need it.",
                step=StepSpec(kind="drop_index", params={"schema": "public", "name": name}),
            ),
        ),
        section="Indexing Strategies",
    )


def _policy() -> Finding:
    return Finding(
        check="auth_function_per_row",
        severity=Severity.WARNING,
        kind=Kind.POLICY,
        object='public.documents."Owners may read"',
        title="Policy asks who is calling once for every row",
        detail="auth.uid() stands bare in the policy: called once for each of 120,000 rows that a query looks at.",
        evidence={"functions": ("auth.uid()",), "estimated_rows": 120_000.0},
        effect=Effect(basis=Basis.ESTIMATED, figures={"mean_before_ms": 211.0, "mean_after_ms": 5.0}),
        advice=(
            Advice(
                title='Rewrite policy "Owners may read" on public.documents',
                sql='ALTER POLICY "Owners may read" ON public.documents\n  USING (owner_id = (select auth.uid()));',
                undo_sql='ALTER POLICY "Owners may read" ON public.documents\n  USING (owner_id = auth.uid());',
                lock=Lock.ACCESS_EXCLUSIVE,
                step=StepSpec(kind="rewrite_policy", params={"schema": "public"}),
            ),
        ),
        section="Row Level Security",
    )


def _discouraged() -> Finding:
    return Finding(
        check="discouraged_type",
        severity=Severity.NOTICE,
        kind=Kind.COLUMN,
        object="public.orders.placed_at",
        title="A column of a type that surprises",
        detail="public.orders.placed_at is a timestamp without time zone.",
        evidence={"type": "timestamp without time zone"},
        section="Schema",
    )


def _unlogged() -> Finding:
    return Finding(
        check="unlogged_table",
        severity=Severity.WARNING,
        kind=Kind.TABLE,
        object="public.page_cache",
        title="A table that a crash empties",
    )
