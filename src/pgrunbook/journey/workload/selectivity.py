"""Which share of a table's rows meets a condition, from ANALYZE's statistics, as the planner would reckon it.

Where it differs from the planner: the value of a parameter is not known, and applications ask for common values more
often than for rare ones, so an equality is given the share that a value drawn from the table itself has on average.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pgrunbook.journey.observe.column_statistics import ColumnStatistics
from pgrunbook.journey.workload.access import Key, Operation, Predicate
from pgrunbook.journey.workload.facts import TableFacts

# PostgreSQL's own guesses where it knows nothing (selfuncs.h, pg_operator's restriction estimators).
DEFAULT_EQUAL: Final = 0.005
EXPRESSION_EQUAL: Final = 0.1  # no statistics: only a measured row count can say that it is selective
DEFAULT_RANGE: Final = 1 / 3
DEFAULT_BETWEEN: Final = 0.005
DEFAULT_MATCH: Final = 0.005
DEFAULT_CONTAINS: Final = 0.01

_ONE_TO_ONE = ("lower(", "upper(", "cast(", "md5(", "btrim(", "collate(")  # about as many values as their column has


def share(predicate: Predicate, facts: TableFacts) -> float:
    """The share of rows that meet one condition; for a join, those that one row of the other side meets."""
    statistics = _statistics(predicate.key, facts)
    filled = 1 - statistics.null_ratio if statistics is not None and predicate.key.is_column else 1.0
    match predicate.operation:
        case Operation.EQUAL:
            one = equal_share(predicate.key, facts)
            return min(1.0, max(one * predicate.values, _least(facts)))
        case Operation.IS_NULL:
            return statistics.null_ratio if statistics is not None else DEFAULT_EQUAL
        case Operation.NOT_NULL:
            return filled
        case Operation.IS_TRUE | Operation.IS_FALSE:
            return 0.5 * filled  # which value is the common one is not known without the values
        case Operation.RANGE:
            return (DEFAULT_BETWEEN if predicate.operator == "between" else DEFAULT_RANGE) * filled
        case Operation.PREFIX | Operation.PATTERN | Operation.SEARCH | Operation.OVERLAPS:
            return DEFAULT_MATCH
        case Operation.CONTAINS:
            return _contains(statistics)
        case Operation.ELEMENT:
            return _contains(statistics)
        case Operation.OTHER:
            return 1.0


def together(predicates: Iterable[Predicate], facts: TableFacts) -> float:
    """The share that meets all conditions, taken as independent; two bounds of one key make a span."""
    product, bounds = 1.0, dict[str, int]()
    for predicate in predicates:
        if predicate.operation is Operation.RANGE and predicate.operator != "between":
            bounds[predicate.key.canonical] = bounds.get(predicate.key.canonical, 0) + 1
        else:
            product *= share(predicate, facts)
    for count in bounds.values():
        product *= DEFAULT_RANGE if count == 1 else DEFAULT_BETWEEN
    return max(product, _least(facts))


def equal_share(key: Key, facts: TableFacts) -> float:
    """The share of rows that has the same value as a row drawn at random, NULLs aside."""
    statistics = _statistics(key, facts)
    if statistics is None:
        return DEFAULT_EQUAL if key.is_column else EXPRESSION_EQUAL
    common = statistics.most_common_freqs
    rest = max(0.0, 1 - statistics.null_ratio - sum(common))
    others = max(1.0, statistics.distinct_values(facts.rows) - len(common))
    squares = sum(freq * freq for freq in common) + rest * rest / others
    filled = 1 - statistics.null_ratio
    return max(squares / filled if filled > 0 else 0.0, _least(facts))


def rows_per_value(key: Key, facts: TableFacts) -> float:
    """How many rows an average distinct value has (what one lookup of a join brings)."""
    statistics = _statistics(key, facts)
    if statistics is None:
        return max(1.0, facts.rows * DEFAULT_EQUAL)
    return max(1.0, facts.rows * (1 - statistics.null_ratio) / statistics.distinct_values(facts.rows))


def null_share(key: Key, facts: TableFacts) -> float:
    """The share of NULLs in a column; 0 for expressions."""
    statistics = facts.statistics.get(key.columns[0]) if key.is_column else None
    return statistics.null_ratio if statistics is not None else 0.0


def _contains(statistics: ColumnStatistics | None) -> float:
    if statistics is None or not statistics.most_common_element_freqs:
        return DEFAULT_CONTAINS
    freqs = statistics.most_common_element_freqs
    return min(1.0, max(DEFAULT_MATCH, sum(f * f for f in freqs) / sum(freqs)))


def _statistics(key: Key, facts: TableFacts) -> ColumnStatistics | None:
    if key.is_column or (len(key.columns) == 1 and key.canonical.startswith(_ONE_TO_ONE)):
        return facts.statistics.get(key.columns[0])
    return None


def _least(facts: TableFacts) -> float:
    return 1 / max(facts.rows, 1.0)
