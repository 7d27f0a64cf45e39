"""What the statement would cost with each index that an insight proposes, as a planning engine estimates it.

Nothing is built in the database.  The figures join the insight's evidence and words; they are estimates, whatever the
plan itself is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from pgrunbook.errors import Refused, RunbookError, ServerError
from pgrunbook.journey.planner.engine import CannotPlan, Engine, Explained
from pgrunbook.journey.planner.opening import open_engine
from pgrunbook.journey.steps import load
from pgrunbook.journey.steps.create_index import CreateIndex
from pgrunbook.journey.steps.create_partitioned_index import CreatePartitionedIndex
from pgrunbook.model import Advice
from pgrunbook.model.explanation import Explanation, Insight
from pgrunbook.pg.connect import Session

CHEAPER_RATIO: Final = 0.99
Opening = Callable[[], Engine]


def costed(
    found: Explanation, source: Session, dsn: str, *, wanted: str = "auto", role: str | None = None
) -> Explanation:
    """The explanation with its indexes tried; the same where it proposes none.  Says why where none can be tried."""
    definitions = {advice.sql: text for one in found.insights for advice in one.cures if (text := _definition(advice))}
    if not definitions:
        return found
    try:
        with open_engine(source, dsn, wanted) as engine:
            prices = _prices(engine, found.asked.text, tuple(definitions.values()), role)
            said = {sql: _said(engine.name, prices[None], prices[text]) for sql, text in definitions.items()}
            figures = {sql: (prices[None].cost, prices[text].cost) for sql, text in definitions.items()}
    except (Refused, ServerError) as exc:
        if wanted != "auto":
            raise
        return replace(found, insights=tuple(_uncosted(one, definitions, exc) for one in found.insights))
    return replace(found, insights=tuple(_with(one, said, figures) for one in found.insights))


def _definition(advice: Advice) -> str:
    """The index that the advice makes, as an engine tries it; "" where it makes none."""
    step = load(advice.step) if advice.step is not None else None
    if isinstance(step, CreateIndex):
        return step.statements()[0]
    if isinstance(step, CreatePartitionedIndex):
        return step.statements()[-1]  # on the root; those before are for its partitions
    return ""


def _prices(
    engine: Engine, text: str, definitions: tuple[str, ...], role: str | None
) -> Mapping[str | None, Explained]:
    """The statement's plan without any of them, and with each."""
    with engine.trying() as trial:
        found: dict[str | None, Explained] = {None: trial.explain(text, role=role)}
    for definition in dict.fromkeys(definitions):
        with engine.trying([definition]) as trial:
            (tried,) = trial.indexes
            if tried.refused is not None:
                raise CannotPlan(f"the index cannot be tried: {tried.refused}")
            found[definition] = trial.explain(text, role=role)
    return found


def _said(engine: str, before: Explained, after: Explained) -> str:
    if after.cost > CHEAPER_RATIO * before.cost:
        return f"Estimated ({engine}): the planner would not read it; the cost stays {before.cost:,.0f}."
    return f"Estimated ({engine}): with it the statement's cost falls from {before.cost:,.0f} to {after.cost:,.0f}."


def _with(one: Insight, said: Mapping[str, str], figures: Mapping[str, tuple[float, float]]) -> Insight:
    mine = [advice for advice in one.cures if advice.sql in said]
    if not mine:
        return one
    several = len(mine) > 1
    words = [f"{advice.title}: {said[advice.sql]}" if several else said[advice.sql] for advice in mine]
    before, after = min((figures[advice.sql] for advice in mine), key=lambda pair: pair[1])
    evidence = {
        **one.evidence,
        "estimated_cost_before": round(before, 2),
        "estimated_cost_with_index": round(after, 2),
    }
    return replace(one, detail="  ".join([one.detail, *words]).strip(), evidence=evidence)


def _uncosted(one: Insight, definitions: Mapping[str, str], exc: RunbookError) -> Insight:
    if not any(advice.sql in definitions for advice in one.cures):
        return one
    return replace(one, detail=f"{one.detail}  What the index would bring could not be estimated: {exc.message}.")
