"""What the API reads through views: as the view's owner, or as itself.

A view reads its tables with its owner's rights, so that row security written for the API's roles does not hold there,
unless it is a security invoker (from 15 on).  A view inside another is treated as if it had been read directly: an
invoker always asks the caller, a view without that option never does.  A materialised view holds what its owner saw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pgrunbook.journey.diagnose.exposure import NEEDS as EXPOSURE
from pgrunbook.journey.diagnose.exposure import Exposure, exposure
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.observe.view_dependencies import VIEW_DEPENDENCIES
from pgrunbook.model import Question

NEEDS: tuple[Question[Any], ...] = (RELATIONS, VIEW_DEPENDENCIES, *EXPOSURE)
_ON = frozenset({"on", "true", "yes", "1", "t", "y"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadThrough:
    """`view` is exposed; by way of it `through` (itself, or a view inside) reads `source`, a table."""

    view: Relation
    through: Relation
    source: Relation
    as_owner: bool


def shows_users(read: ReadThrough) -> bool:
    """Whether rows of auth.users come through that row security does not hold back."""
    source = read.source
    return (source.schema, source.name) == ("auth", "users") and (read.as_owner or not source.row_security)


def is_invoker(view: Relation) -> bool:
    """Whether a view asks with the caller's rights."""
    return (view.option("security_invoker") or "").lower() in _ON


def reads_through_views(seen: Seen) -> tuple[ReadThrough, ...]:
    """Every table that an API role reads by way of an exposed view or materialised view."""
    relations = {relation.oid: relation for relation in seen.rows(RELATIONS)}
    sources: dict[int, list[Relation]] = defaultdict(list)
    for dependency in seen.rows(VIEW_DEPENDENCIES):
        if dependency.source_oid in relations:
            sources[dependency.view_oid].append(relations[dependency.source_oid])
    reach = seen.derived(exposure)
    return tuple(
        read
        for relation in relations.values()
        if relation.kind in {"v", "m"} and not relation.of_extension and reach.reached(relation)
        for read in _walk(relation, sources, reach)
    )


def _walk(view: Relation, sources: Mapping[int, list[Relation]], reach: Exposure) -> Iterator[ReadThrough]:
    todo, been = [view], {view.oid}
    while todo:
        here = todo.pop()
        as_owner = here.kind == "m" or not is_invoker(here)
        for source in sources.get(here.oid, ()):
            if not as_owner and not reach.holds(source):
                continue
            if source.kind in {"r", "p", "f"}:
                yield ReadThrough(view=view, through=here, source=source, as_owner=as_owner)
            elif source.oid not in been:
                been.add(source.oid)
                todo.append(source)
