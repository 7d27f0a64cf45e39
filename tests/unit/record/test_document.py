"""The journal as a document."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pgrunbook.model import StepSpec
from pgrunbook.model.plan import PlannedStep, StepState, TargetPrint
from pgrunbook.record import History, Run, RunStep, document

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN = Run(
    run_id="r1",
    kind="apply",
    target=TargetPrint(system_identifier="77", database="shop", user="ops", timeline=1),
    tool="0.1.0",
    at=AT,
    ended_at=AT,
    end="finished",
)
STEP = RunStep(
    step_id="r1.1",
    run_id="r1",
    planned=PlannedStep(step=StepSpec(kind="create_index", params={}), finding="f00d"),
    title="Create index public.i",
    statements=("CREATE INDEX CONCURRENTLY i ON t (a)", "ANALYZE t"),
    undo_statements=("DROP INDEX CONCURRENTLY i",),
    reversible=True,
    at=AT,
    state=StepState.KEPT,
    reason="mean time fell",
    figures={"mean_ms_before": 12.345678, "mean_ms_after": 0.5, "queryids": (1, 2)},
    ended_at=AT,
)


def test_it_tells_what_was_done_why_what_it_brought_and_its_undo() -> None:
    text = document(History(runs=(RUN,), steps=(STEP,)), head="abc")
    assert (
        text
        == """# Changes

Journal up to record hash `abc`.

## 2026-01-02 03:04:05 UTC: apply r1

Database `shop` as `ops` on system 77 by pgrunbook 0.1.0; ended 2026-01-02 03:04:05 UTC (finished).

### Create index public.i

- Step r1.1: done and kept, 2026-01-02 03:04:05 UTC.
- Why: mean time fell
- Finding: `f00d`
- mean_ms_before: `12.3457`
- mean_ms_after: `0.5`
- queryids: `1, 2`

```sql
CREATE INDEX CONCURRENTLY i ON t (a);
ANALYZE t;
```

Undo:

```sql
DROP INDEX CONCURRENTLY i;
```
"""
    )


def test_an_empty_journal_says_so() -> None:
    assert document(History(runs=(), steps=())) == "# Changes\n\nNothing was changed.\n"


def test_the_newest_run_comes_first_and_runs_without_steps_are_left_out() -> None:
    newer = replace(RUN, run_id="r2")
    idle = replace(RUN, run_id="r3")
    history = History(runs=(RUN, newer, idle), steps=(STEP, replace(STEP, step_id="r2.1", run_id="r2")))
    headings = [line for line in document(history).splitlines() if line.startswith("## ")]
    assert [heading.rsplit(" ", maxsplit=1)[1] for heading in headings] == ["r2", "r1"]


def test_hostile_names_stay_text() -> None:
    hostile = replace(
        STEP,
        title="Create index `<script>\n# x*y*\x1b[31m",
        statements=("CREATE INDEX ```i```\n# no heading",),
    )
    run = replace(RUN, target=replace(RUN.target, database="a`b``c\n# no"), ended_at=None)
    text = document(History(runs=(run,), steps=(hostile,)))
    assert "### Create index \\`\\<script\\> \\# x\\*y\\* \\[31m\n" in text
    assert "\n````sql\nCREATE INDEX ```i```\n# no heading;\n````\n" in text
    assert "Database ``` a`b``c # no ``` as" in text
    assert "did not end" in text
    assert "\x1b" not in text


def test_a_step_without_undo_and_one_left_open_are_told_apart() -> None:
    final = replace(STEP, reversible=False, undo_statements=())
    unknown = replace(STEP, step_id="r1.2", state=StepState.OPEN, ended_at=None)
    text = document(History(runs=(RUN,), steps=(final, unknown)))
    assert "It has no undo." in text
    assert "not known: its process died" in text
