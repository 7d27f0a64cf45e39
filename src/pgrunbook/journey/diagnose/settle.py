"""Settles contradictions before anything is printed: one defect, one finding; no advice against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgrunbook.model import Finding, Scalar

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


# What drops the index that it is about; nothing may be called redundant beside it.  Not unused_index: where the shorter
# index is read it counts the longer one as needed, and where neither is read both may go.
_DROPPED = frozenset({"invalid_index", "wrong_index_type"})


def settle(findings: Sequence[Finding]) -> list[Finding]:
    """Let no advice stand against another, and no defect stand twice."""
    return _one_an_index(_share_indexes(_keep_what_stays_alone(_name_the_cause(findings))))


def _name_the_cause(findings: Sequence[Finding]) -> list[Finding]:
    """An index that nothing reads because a query wraps its column is not to be dropped: the query is to be mended."""
    wrapped = {name for finding in findings if finding.check == "non_sargable_predicate" for name in finding.related}
    return [f for f in findings if f.check != "unused_index" or f.object not in wrapped]


def _keep_what_stays_alone(findings: Sequence[Finding]) -> list[Finding]:
    """An index is not redundant beside one that is to be dropped itself."""
    dropped = {finding.object for finding in findings if finding.check in _DROPPED}
    return [f for f in findings if f.check != "redundant_index" or not dropped.intersection(f.related)]


def _share_indexes(findings: Sequence[Finding]) -> list[Finding]:
    """A foreign key that an index for the workload would serve as well gets no index of its own."""
    wanted = [f for f in findings if f.check == "missing_index" and f.evidence.get("predicate") is None and f.advice]
    return [_sharing(finding, wanted) if finding.check == "unindexed_foreign_key" else finding for finding in findings]


def _sharing(foreign_key: Finding, wanted: Sequence[Finding]) -> Finding:
    columns = _columns(foreign_key)
    for other in wanted:
        leading = _columns(other)[: len(columns)]
        if (
            other.object == foreign_key.object
            and other.evidence.get("method") == "btree"
            and set(leading) == set(columns)
        ):
            return replace(foreign_key, advice=other.advice)
    return foreign_key


def _columns(finding: Finding) -> tuple[Scalar, ...]:
    columns = finding.evidence.get("columns")
    return columns if isinstance(columns, tuple) else ()


def _one_an_index(findings: Sequence[Finding]) -> list[Finding]:
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
