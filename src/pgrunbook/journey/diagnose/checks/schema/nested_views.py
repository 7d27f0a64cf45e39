"""A view on views on views.

Asks:    through how many layers of views does each outermost view reach its tables?
Unit:    layers of views; a materialised view counts as a table for those above it.
Source:  pg_rewrite and pg_depend.
Says:    {object} reaches its tables through {depth} layers of views: {chain}.  Each layer hides what the query costs.
Section: Query Optimization
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.view_dependencies import VIEW_DEPENDENCIES
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Three layers (base, domain, report) are a design; one more is an accident."""

    layers: int = 4


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding for the outermost view of each pile."""
    names: dict[int, str] = {}
    reads: dict[int, set[int]] = defaultdict(set)
    for row in seen.rows(VIEW_DEPENDENCIES):
        names[row.view_oid] = row.qualified
        reads[row.view_oid].update({row.source_oid} if row.source_kind == "v" else set())
    extension = {relation.oid for relation in seen.rows(RELATIONS) if relation.of_extension}
    below = {source for view, sources in reads.items() for source in sources if view not in extension}
    chains: dict[int, tuple[int, ...]] = {}
    for view, name in names.items():
        if view not in below and view not in extension:
            chain = _chain(view, reads, chains)
            if len(chain) >= limits.layers:
                yield Finding(
                    severity=Severity.NOTICE,
                    kind=Kind.VIEW,
                    object=name,
                    related=tuple(names[oid] for oid in chain[1:] if oid in names),
                    evidence={"depth": len(chain), "chain": " → ".join(names[oid] for oid in chain if oid in names)},
                )


def _chain(view: int, reads: Mapping[int, set[int]], chains: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
    """The longest way from a view down to its tables; one that reads itself by way of others ends there."""
    pending, begun = [view], {view}
    while pending:
        top = pending[-1]
        missing = [source for source in reads.get(top, ()) if source not in chains and source not in begun]
        begun.update(missing)
        if missing:
            pending.extend(missing)
            continue
        pending.pop()
        deepest = max((chains.get(source, ()) for source in sorted(reads.get(top, ()))), key=len, default=())
        chains[top] = (top, *deepest)
    return chains[view]


CHECK = Check(needs=(VIEW_DEPENDENCIES, RELATIONS), judge=judge, limits=Limits())
