"""Settles contradictions before anything is printed: one defect, one finding; no advice against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
# Why nothing reads an index: said beside unused_index, and its advice (drop it) is given instead of their own.
_REASONS = frozenset({"sparse_index", "low_cardinality_index"})


def settle(findings: Sequence[Finding]) -> list[Finding]:
    """Keep one finding an index, the one that says most, and the reason beside it; everything else passes."""
    rank = {name: place for place, name in enumerate(_INDEX_ORDER)}
    best: dict[str, Finding] = {}
    for finding in findings:
        if finding.check in rank:
            held = best.get(finding.object)
            if held is None or rank[finding.check] < rank[held.check]:
                best[finding.object] = finding
    settled: list[Finding] = []
    for finding in findings:
        first = best[finding.object] if finding.check in rank else finding
        if first is finding:
            settled.append(finding)
        elif first.check == "unused_index" and finding.check in _REASONS:
            settled.append(replace(finding, advice=first.advice, effect=None))
    return settled
