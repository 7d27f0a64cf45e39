"""Healthy schemas at work have healthy plans: the checks that are asked on request raise no alarm there, either."""

from __future__ import annotations

import pytest
from tests.fix.healthy_schemas import HEALTHY_SCHEMAS, HealthySchema
from tests.fix.server import FreshDatabase

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.plans import PLANS
from pgrunbook.journey.observe.statements import STATEMENTS


@pytest.mark.pg(">= 18")
@pytest.mark.parametrize("schema", HEALTHY_SCHEMAS, ids=lambda schema: schema.name)
def test_the_plans_of_a_healthy_schema_are_not_complained_of(pg: FreshDatabase, schema: HealthySchema) -> None:
    pg.execute(*schema.sql)
    schema.work(pg)
    seen = diagnose(pg.dsn, only=["plan"])
    assert [(f.check, f.object, f.detail) for f in seen.findings] == []
    rows = observe(pg.dsn, [STATEMENTS, PLANS]).rows(PLANS)
    assert rows
    assert sum(not row.plan for row in rows) <= len(rows) * 0.2, [row.trouble for row in rows if row.trouble]
