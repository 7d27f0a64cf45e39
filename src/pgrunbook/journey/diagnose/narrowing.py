"""How few rows the indexes that exist lead to already, by the conditions that bound their scans."""

from __future__ import annotations

from pgrunbook.journey.workload.access import Access
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.journey.workload.paths import path_of
from pgrunbook.journey.workload.selectivity import together


def rows_led_to(access: Access, table: TableFacts) -> float:
    """Rows that meet what bounds the scan of the best index, estimated; all rows where no index bounds one."""
    fewest = max(table.rows, 1.0)
    for index in table.indexes:
        bounded = path_of(index, access, table.table, {}).bounded
        constant = [predicate for predicate in bounded if predicate.joined is None]
        if constant:
            fewest = min(fewest, table.rows * together(constant, table))
    return fewest
