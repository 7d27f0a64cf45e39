"""Why a condition on a table that is read whole gets no index."""

from __future__ import annotations

from pgrunbook.journey.workload.access import Access, Operation, Predicate
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.journey.workload.paths import is_leakproof


def refusal(predicate: Predicate, access: Access, table: TableFacts) -> str:
    """The reason in words; "" for conditions that no index could have been expected to answer."""
    if predicate.operation is Operation.ELEMENT:
        return f"no index answers value = ANY({predicate.key.sql}); {predicate.key.sql} @> ARRAY[value] can be answered"
    if predicate.operation is Operation.OTHER:
        return ""
    if predicate.key.refusal:
        return predicate.key.refusal
    if not predicate.key.is_known:
        return "a constant in the expression is hidden by pg_stat_statements"
    if access.is_secured and not is_leakproof(predicate, table.table):
        return "row security lets only leakproof operators into an index scan, and this one is not"
    if predicate.operation in {Operation.IS_TRUE, Operation.IS_FALSE, Operation.IS_NULL}:
        return "the condition keeps too many rows, and as a key it would store a constant"
    return "the condition keeps too many rows for an index to be faster"
