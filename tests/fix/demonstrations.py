"""A demonstration's result to draw."""

from __future__ import annotations

import math

from tests.fix import diagnoses

from pgrunbook.model import Lock
from pgrunbook.model.demo import DemoPhase, DemoPoint, DemoResult, DemoStep, StepOutcome


def result() -> DemoResult:
    return DemoResult(
        data_users=20_000,
        seed=1,
        taken_at=diagnoses.TAKEN_AT,
        duration_s=243.0,
        phases=(
            _phase("sick", "sick", 100, p95_ms=4_210.0, per_s=21.4),
            _phase("cured", "cured", 100, p95_ms=212.0, per_s=188.0),
            _phase("healthy", "good queries", 100, p95_ms=11.3, per_s=231.0),
            _phase("thousand", "1,000 users", 1000, p95_ms=38.0, per_s=1_984.0, pooled=True),
        ),
        timeline=tuple(_timeline()),
        steps=tuple(_steps()),
        before=diagnoses.sick(),
        after=diagnoses.clean(),
        notes=("Other processes took 12 % of the machine during the sick phase.",),
    )


def _phase(name: str, label: str, users: int, *, p95_ms: float, per_s: float, pooled: bool = False) -> DemoPhase:
    return DemoPhase(
        name=name,
        label=label,
        users=users,
        samples=round(per_s * 30),
        p50_ms=p95_ms / 3,
        p95_ms=p95_ms,
        p99_ms=p95_ms * 1.9,
        throughput_per_s=per_s,
        failed=0,
        other_cpu_ratio=0.12,
        pooled=pooled,
    )


def _timeline() -> list[DemoPoint]:
    points = []
    for second in range(2, 200, 2):
        wave = 1 + 0.2 * math.sin(second * 1.7) + 0.1 * math.cos(second * 0.9)
        if second < 50:
            phase, level = "sick", 4200.0
        elif second < 110:
            phase, level = "cured", 4200.0 * (212 / 4200) ** min(1.0, (second - 50) / 40)
        elif second < 150:
            phase, level = "healthy", 11.0
        else:
            phase, level = "thousand", 38.0
        p95_ms = None if second == 112 else level * wave
        points.append(
            DemoPoint(t_s=float(second), phase=phase, p95_ms=p95_ms, throughput_per_s=900 * wave / level**0.4)
        )
    return points


def _steps() -> list[DemoStep]:
    tables = ("quizzes", "questions", "answers", "events", "user_performance", "user_sessions", "audit_logs")
    steps = [
        DemoStep(
            title=f"Create index public.{table}_user_id_idx",
            sql=f"CREATE INDEX CONCURRENTLY {table}_user_id_idx ON public.{table} (user_id, created_at);",
            undo_sql=f"DROP INDEX CONCURRENTLY public.{table}_user_id_idx;",
            lock=Lock.SHARE_UPDATE_EXCLUSIVE,
            duration_s=1.3 + number,
            at_s=50.0 + number * 5,
            outcome=StepOutcome.UNDONE if table == "audit_logs" else StepOutcome.KEPT,
            check="missing_index",
            object=f"public.{table}",
            before_ms=812.0 / (number + 1),
            after_ms=9.0 if table != "audit_logs" else 140.0,
        )
        for number, table in enumerate(tables)
    ]
    return [
        DemoStep(
            title="End session 48211, idle in transaction for 47 min",
            sql="SELECT pg_terminate_backend(48211);",
            undo_sql=None,
            lock=Lock.NONE,
            duration_s=0.02,
            at_s=49.5,
            outcome=StepOutcome.UNMEASURED,
            check="idle_in_transaction",
            object="48211",
        ),
        *steps,
    ]
