"""A plan that somebody edited is refused, or said to be broken, before anything is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.advise import plan_file
from pgrunbook.journey.steps import spec_of
from pgrunbook.journey.steps.create_index import CreateIndex
from pgrunbook.model.plan import MeasuredQuery, Plan, PlannedStep, TargetPrint

PLAN = Plan(
    target=TargetPrint(system_identifier="7", database='a "b" 100% c', user="o'neil", timeline=None),
    steps=(
        PlannedStep(
            step=spec_of(CreateIndex(schema="public", table='t %s "x', keys=('"A"', "(lower(b)) DESC"), where="a > 1")),
            finding="f00d",
            queries=(MeasuredQuery(text="select 1", queryid=-7, role=None),),
        ),
    ),
    made_at=datetime(2026, 1, 2, tzinfo=UTC),
)


def written(folder: Path, change: Callable[[Any], object] = lambda _: None) -> Path:
    content = plan_file.as_dict(PLAN)
    change(content)
    path = folder / "plan.json"
    path.write_text(json.dumps(content))
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    assert plan_file.load(written(tmp_path)) == PLAN


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("sql", ["DROP TABLE t"], "other SQL"),
        ("undo_sql", [], "other undo"),
        ("reversible", False, "other undo"),
        ("lock", "none", "other locks"),
        ("lock_budget_s", 0.001, "other locks"),
    ],
)
def test_what_people_reviewed_must_be_what_is_run(tmp_path: Path, name: str, value: object, words: str) -> None:
    path = written(tmp_path, lambda plan: plan["steps"][0].update({name: value}))
    with pytest.raises(Refused, match=words):
        plan_file.load(path)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda plan: plan["steps"][0]["step"]["params"].update(table=5), "table cannot be 5"),
        (lambda plan: plan["steps"][0]["step"]["params"].update(keys=[None]), r"keys cannot be \(None,\)"),
        (lambda plan: plan["steps"][0]["step"]["params"].update(more=1), "more is unknown"),
        (lambda plan: plan["steps"][0]["step"]["params"].pop("table"), "table is missing"),
        (lambda plan: plan["steps"][0].update(more=1), "'more', which no plan does"),
        (lambda plan: plan["steps"][0].update(measured=[{"text": 1, "queryid": 1, "role": None}]), "text cannot be 1"),
        (lambda plan: plan.update(more=1), "'more', which no plan does"),
        (lambda plan: plan["target"].update(system_identifier=7), "system_identifier cannot be 7"),
    ],
)
def test_what_no_plan_holds_is_named(tmp_path: Path, change: Callable[[Any], object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        plan_file.load(written(tmp_path, change))


def test_a_file_that_nests_without_end_is_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("[" * 100_000)
    with pytest.raises(UsageError, match="is no plan"):
        plan_file.load(path)
