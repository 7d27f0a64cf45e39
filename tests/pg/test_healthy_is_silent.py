"""What is healthy raises no alarm: every check at once on databases as they should be, after a day's work on each."""

from __future__ import annotations

import pytest
from tests.fix.healthy_schemas import HEALTHY_SCHEMAS, HealthySchema
from tests.fix.quizmentor import Shared
from tests.fix.server import FreshDatabase

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.model import Severity

NOT_DURABLE = ["unsafe_durability"]  # test servers do without fsync


def alarms(dsn: str) -> list[str]:
    """What is said at warning or above."""
    return [
        f"{f.check} {f.object}: {f.detail}"
        for f in diagnose(dsn, skip=NOT_DURABLE).findings
        if f.severity is not Severity.NOTICE
    ]


def test_healthy_quizmentor_has_nothing_at_warning_or_above(quizmentors: Shared) -> None:
    assert alarms(quizmentors.healthy) == []


@pytest.mark.pg("!= 15, != 16, != 17")
@pytest.mark.parametrize("schema", HEALTHY_SCHEMAS, ids=lambda schema: schema.name)
def test_a_healthy_schema_at_work_has_nothing_at_warning_or_above(pg: FreshDatabase, schema: HealthySchema) -> None:
    pg.execute(*schema.sql)
    schema.work(pg)
    pg.role("watcher", member_of="pg_monitor")
    assert alarms(pg.dsn) == []
    assert alarms(pg.dsn_as("watcher")) == []
