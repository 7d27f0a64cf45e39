"""Other ways to say a statement, a file each: a module here that defines `propose` is asked, there is no other list.

Each proposal names the catalog facts that make it equivalent and is made only where they hold.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import SAME_ROWS, Proposal
from pgrunbook.journey.advise.queries.together import together
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.model.explanation import Rewrite
from pgrunbook.pg.parse import ParseFailed

Propose = Callable[[Context, Trial], Iterator[Proposal]]


@cache
def proposers() -> tuple[Propose, ...]:
    """Every `propose` in this folder, by name."""
    found = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        propose = getattr(importlib.import_module(f"{__name__}.{module.name}"), "propose", None)
        if propose is not None:
            found.append(propose)
    return tuple(found)


def rewrites(context: Context, trial: Trial) -> tuple[Rewrite, ...]:
    """All of them, planned; those that give the same rows for less first."""
    found = [one for propose in proposers() for one in _tried(propose, context, trial)]
    if sum(one.same == SAME_ROWS for one in found) > 1:
        found += _tried(_together, context, trial)
    return tuple(sorted(found, key=lambda one: (one.same != SAME_ROWS, {True: 0, None: 1, False: 2}[one.helps])))


def _together(context: Context, trial: Trial) -> Iterator[Proposal]:
    proposal = together(context, trial, proposers())
    if proposal is not None:
        yield proposal


def _tried(propose: Propose, context: Context, trial: Trial) -> Iterator[Rewrite]:
    """What one of them proposes and the server takes.  What cannot be written down faithfully is not proposed."""
    with contextlib.suppress(ParseFailed):
        for proposal in propose(context, trial):
            rewrite = proposal.tried(trial)
            if rewrite is not None:
                yield rewrite
