"""What a plan shows, a file each: a module here that defines `find` is asked, there is no other list."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.model.explanation import Insight

Find = Callable[[Context], Iterator[Insight]]


@cache
def finders() -> tuple[Find, ...]:
    """Every `find` in this folder, by name."""
    found = []
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        find = getattr(importlib.import_module(f"{__name__}.{module.name}"), "find", None)
        if find is not None:
            found.append(find)
    return tuple(found)


def insights(context: Context) -> tuple[Insight, ...]:
    """All of them, where most time (or cost) is spent first."""
    found = [one for find in finders() for one in find(context)]
    return tuple(sorted(found, key=lambda one: -(one.share or 0.0)))
