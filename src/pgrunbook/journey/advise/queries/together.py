"""Several rewrites one after the other: a range inside of an OR brings nothing until the OR has its branches.

Each step is proposed for what the step before it made, with its own facts; equal to equal is equal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import SAME_ROWS, Proposal, whole
from pgrunbook.journey.advise.queries.statement import Query, parameters_of
from pgrunbook.journey.advise.queries.trial import Trial

MAX_STEPS = 6


def together(
    context: Context, trial: Trial, proposers: tuple[Callable[[Context, Trial], Iterator[Proposal]], ...]
) -> Proposal | None:
    """All that give the same rows, applied in turn until nothing is left to do; None where that is one or none."""
    done: list[Proposal] = []
    here = context
    while len(done) < MAX_STEPS:
        step = next(_steps(here, trial, proposers, {one.name for one in done}), None)
        if step is None:
            break
        done.append(step)
        tree = context.parser.statement(step.sql)
        asked = dataclasses.replace(context.query.asked, text=step.sql, parameters=parameters_of(tree))
        here = context.with_query(Query(asked=asked, tree=tree))
    if len(done) < 2 or here.query.asked.parameters != context.query.asked.parameters:
        return None
    parameters = context.query.asked.parameters
    return Proposal(
        name="together",
        title=f"{len(done)} of these together",
        sql=done[-1].sql,
        why=f"{', then '.join(one.name for one in done)}: each gives the rows of the one before it",
        facts=tuple(dict.fromkeys(fact for one in done for fact in one.facts)),
        caveat=" ".join(dict.fromkeys(one.caveat for one in done if one.caveat)),
        parameters=parameters,
        pair=whole(context.query.text, done[-1].sql, parameters=parameters),
        needs=tuple({advice.sql: advice for one in done for advice in one.needs}.values()),
    )


def _steps(
    context: Context,
    trial: Trial,
    proposers: tuple[Callable[[Context, Trial], Iterator[Proposal]], ...],
    taken: set[str],
) -> Iterator[Proposal]:
    """What could come next; the branches of an OR last, for they repeat whatever stands in it."""
    last = []
    for propose in proposers:
        for one in propose(context, trial):
            if one.name in taken or one.same != SAME_ROWS or not (one.is_planned and one.is_alike):
                continue
            if one.name == "union_for_or":
                last.append(one)
            else:
                yield one
    yield from last
