"""An index whose columns are the first columns of another one.

Asks:    which plain B-tree has the keys of a longer one at its left, with the same operator classes, collations,
         order (or all of it turned round) and predicate, its INCLUDE columns among those of the other?
Source:  pg_index, compared as the catalog's own trees; never as printed text.
Says:    Whatever {object} serves, {related} can serve as well.  Each write keeps both; the shorter one takes
         {size_bytes}, the longer one {longer_bytes}.
Section: Indexing Strategies
Leads:   drop_index
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.index_advice import definitions, drop_index
from pgrunbook.journey.diagnose.index_copies import Superfluous, superfluous
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.constraints import CONSTRAINTS
from pgrunbook.journey.observe.indexes import INDEX_DEFINITIONS, INDEX_USAGE, INDEXES
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A longer index that is `wide_ratio` times the shorter one reads so much more that the short one may be wanted."""

    wide_ratio: float = 10.0


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """Each index that can be dropped is one finding; the longer one is its `related`."""
    texts = definitions(seen)
    for found in seen.derived(superfluous):
        if not found.is_copy:
            yield _finding(found, texts, limits)


def _finding(found: Superfluous, texts: dict[int, str], limits: Limits) -> Finding:
    scans = [tree.scans for tree in found.indexes if tree.scans is not None]
    is_wide = found.size_bytes > 0 and found.kept.size_bytes / found.size_bytes >= limits.wide_ratio
    return Finding(
        severity=Severity.NOTICE if is_wide else Severity.WARNING,
        kind=Kind.INDEX,
        object=found.first.qualified,
        related=(found.kept.root.qualified,),
        evidence={
            "table": found.first.table,
            "size_bytes": found.size_bytes,
            "longer_bytes": found.kept.size_bytes,
            "scans": sum(scans) if scans else None,
            "longer_scans": found.kept.scans,
        },
        advice=tuple(drop_index(tree, texts.get(tree.root.oid)) for tree in found.indexes),
    )


CHECK = Check(
    needs=(INDEXES, RELATIONS, CONSTRAINTS), likes=(INDEX_DEFINITIONS, INDEX_USAGE), judge=judge, limits=Limits()
)
