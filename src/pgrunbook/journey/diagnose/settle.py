"""Settles contradictions before anything is printed: one defect, one finding; no advice against another."""

from __future__ import annotations

from collections.abc import Sequence

from pgrunbook.model import Finding

# Where two checks speak of the same index, the one further left says more and the other is silent.
_INDEX_ORDER = (
    "invalid_index",
    "duplicate_index",
    "redundant_index",
    "wrong_index_type",
    "unused_index",
    "sparse_index",
    "low_cardinality_index",
    "bloated_index",
)


def settle(findings: Sequence[Finding]) -> list[Finding]:
    """Keep one finding an index, the one that says most; everything else passes."""
    rank = {name: place for place, name in enumerate(_INDEX_ORDER)}
    best: dict[str, Finding] = {}
    for finding in findings:
        if finding.check in rank:
            held = best.get(finding.object)
            if held is None or rank[finding.check] < rank[held.check]:
                best[finding.object] = finding
    return [f for f in findings if f.check not in rank or best[f.object] is f]
