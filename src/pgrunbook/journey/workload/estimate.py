"""How many rows an access reads from a table by one path or another, and what that costs beside a whole scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pgrunbook.journey.workload.access import Access, Operation, Predicate
from pgrunbook.journey.workload.demand import Asked
from pgrunbook.journey.workload.facts import TableFacts
from pgrunbook.journey.workload.paths import Path, is_leakproof, path_of
from pgrunbook.journey.workload.selectivity import rows_per_value, together

SMALL_ROWS: Final = 100.0  # what we reckon a VALUES list, an unnest or a recursion's step with
PAGE_ROWS: Final = 20.0  # what a LIMIT lets through where nobody has counted
OFFSET_PAGES: Final = 10.0  # how many times a page's rows an OFFSET skips on average
UNEVEN: Final = 3.0  # matching rows seldom lie evenly along an order; how far one reads beyond the average
INDEX_ROW_COST: Final = 4.0  # a row by an index against a row of a scan: random_page_cost / seq_page_cost
LOOKUP_COST: Final = 4.0  # one descent of an index, in rows of a scan

FactsOf = Callable[[int], TableFacts]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Rows that one call reads from a table, and the cost in rows of a scan."""

    rows: float
    cost: float


class Estimate:
    """Reckons with one statement."""

    def __init__(self, asked: Asked, facts_of: FactsOf) -> None:
        self.asked = asked
        self._facts_of = facts_of
        self._rows = self._driving_rows()

    def facts(self, access: Access) -> TableFacts:
        """The facts of the access's table."""
        return self._facts_of(access.table_oid)

    def now(self, access: Access) -> Reading:
        """What it reads with the indexes that exist: the best of them, or the whole table."""
        facts = self.facts(access)
        whole = Reading(rows=facts.rows, cost=facts.rows)
        correlation = {name: row.correlation for name, row in facts.statistics.items() if row.correlation is not None}
        found = [self.by(access, path_of(index, access, facts.table, correlation)) for index in facts.indexes]
        single = min([whole, *(reading for reading in found if reading is not None)], key=lambda r: r.cost)
        return min([single, *self._by_branches(access)], key=lambda r: r.cost)

    def _by_branches(self, access: Access) -> list[Reading]:
        """An OR of which every branch has an index."""
        found = []
        for group in access.alternatives:
            branches = [self.branch_now(access, branch) for branch in group]
            if all(reading is not None for reading in branches):
                known = [reading for reading in branches if reading is not None]
                found.append(Reading(rows=sum(r.rows for r in known), cost=sum(r.cost for r in known)))
        return found

    def branch_now(self, access: Access, branch: tuple[Predicate, ...]) -> Reading | None:
        """What one branch of an OR reads with the indexes that exist; None when none serves it."""
        facts = self.facts(access)
        alone = branch_access(access, branch)
        found = [self.by(alone, path_of(index, alone, facts.table, {})) for index in facts.indexes]
        known = [reading for reading in found if reading is not None]
        return min(known, key=lambda r: r.cost) if known else None

    def by(self, access: Access, path: Path) -> Reading | None:
        """What it reads by this path; None when the path does nothing for it."""
        if not path.is_useful or (not path.bounded and not access.limited):
            return None
        rows, lookups = self._bounded_rows(access, path.bounded)
        if path.is_ordered and access.limited:
            rows = min(rows, max(lookups, 1.0) * self._wanted_rows(access, path.bounded))
        return Reading(rows=rows, cost=rows * INDEX_ROW_COST + lookups * LOOKUP_COST)

    def _bounded_rows(self, access: Access, bounded: tuple[Predicate, ...]) -> tuple[float, float]:
        """Rows and look-ups of a scan with these bounds."""
        facts = self.facts(access)
        constant = [p for p in bounded if p.joined is None]
        joined = [p for p in bounded if p.joined is not None]
        part = together(constant, facts)
        if joined:
            lookups = min(self._partner_rows(p) for p in joined)
            for p in joined:
                part *= rows_per_value(p.key, facts) / max(facts.rows, 1.0)
            return min(facts.rows, max(lookups * facts.rows * part, 1.0)), lookups
        rows = max(facts.rows * part, 1.0)
        if access.is_result and not access.limited and self.asked.is_counted:
            measured = max(self.asked.rows_per_call, 1.0)
            is_all = not access.alternatives and all(
                p in bounded for p in access.predicates if p.operation is not Operation.NOT_NULL
            )
            rows = measured if is_all else max(rows, measured)
        return min(rows, max(facts.rows, 1.0)), 1.0

    def _wanted_rows(self, access: Access, bounded: tuple[Predicate, ...]) -> float:
        """Rows to read in order until the LIMIT is full: more where conditions besides the bounds drop some."""
        facts = self.facts(access)
        page = self._page_rows(access)
        rest = together([p for p in access.predicates if p not in bounded], facts)
        for group in access.alternatives:
            rest *= min(1.0, sum(together(branch, facts) for branch in group))
        uneven = UNEVEN if rest < 1 else 1.0
        return page * uneven / max(rest, 1 / max(facts.rows, 1.0))

    def _partner_rows(self, predicate: Predicate) -> float:
        """How many rows come from the other side of a join: so many look-ups."""
        if predicate.joined in self.asked.accesses.small:
            return SMALL_ROWS
        return self._rows.get(predicate.joined if predicate.joined is not None else -1, float("inf"))

    def _driving_rows(self) -> Mapping[int, float]:
        """Rows of each access after its conditions, as few as any order of joining by equality leaves."""
        rows = {access.number: self._own_rows(access) for access in self.asked.accesses.accesses}
        for _ in range(min(len(rows), 4)):  # each round follows the joins one table further
            for access in self.asked.accesses.accesses:
                facts = self.facts(access)
                own = self._own_share(access, facts)
                for p in access.predicates:
                    if p.joined is None or p.operation is not Operation.EQUAL:
                        continue
                    other = SMALL_ROWS if p.joined in self.asked.accesses.small else rows.get(p.joined, float("inf"))
                    through = max(other * rows_per_value(p.key, facts) * own, 1.0)
                    rows[access.number] = min(rows[access.number], through)
        return rows

    def _own_rows(self, access: Access) -> float:
        facts = self.facts(access)
        rows = max(facts.rows * self._own_share(access, facts), 1.0)
        if access.limited and access.order:
            rows = min(rows, self._page_rows(access))
        return rows

    def _page_rows(self, access: Access) -> float:
        """What a LIMIT lets through, as far as the statement's row count tells, and what an OFFSET skips."""
        page = max(self.asked.rows_per_call, 1.0) if self.asked.is_counted else PAGE_ROWS
        return page * (OFFSET_PAGES if access.has_offset else 1.0)

    @staticmethod
    def _own_share(access: Access, facts: TableFacts) -> float:
        part = together([p for p in access.predicates if p.joined is None], facts)
        for group in access.alternatives:
            part *= min(1.0, sum(together(branch, facts) for branch in group))
        return part


def branch_access(access: Access, branch: tuple[Predicate, ...]) -> Access:
    """One branch of an OR as an access of its own, the conditions beside the OR included."""
    return Access(
        number=access.number,
        table_oid=access.table_oid,
        predicates=(*branch, *access.predicates),
        columns_used=access.columns_used,
        is_secured=access.is_secured,
    )


def usable(access: Access, facts: TableFacts) -> list[Predicate]:
    """The conditions that an index could be asked for."""
    return [
        p
        for p in access.predicates
        if p.operation not in {Operation.OTHER, Operation.ELEMENT}
        and (not access.is_secured or is_leakproof(p, facts.table))
    ]


def pages_read(access: Access, table: TableFacts, now: Reading) -> float:
    """Pages of a whole scan, of the table or of a B-tree that holds a column asked for; or of the rows by an index."""
    if now.rows < table.rows:
        return min(table.pages, now.rows)
    asked = {c for p in access.predicates for c in p.key.columns}
    whole = [f.index for f in table.indexes if f.index.access_method == "btree" and not f.is_partial]
    pages = [i.pages for i in whole if i.is_valid and i.pages > 0 and asked & set(i.columns)]
    return min([table.scan_pages, *pages])
