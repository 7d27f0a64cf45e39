"""From the workload to a set of indexes: the best for each access, merged where one serves several.

Shared by the check for missing indexes and by the index advisor.  No server is asked; every figure is an estimate from
ANALYZE's statistics and the counters of pg_stat_statements.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pgrunbook.journey.workload.access import Access, Operation, Writing
from pgrunbook.journey.workload.candidate import Candidate
from pgrunbook.journey.workload.demand import Asked, Workload
from pgrunbook.journey.workload.estimate import INDEX_ROW_COST, Estimate, Reading, branch_access, pages_read
from pgrunbook.journey.workload.facts import Facts, TableFacts
from pgrunbook.journey.workload.proposals import Extensions, proposals, without_nulls
from pgrunbook.journey.workload.refusal import refusal
from pgrunbook.journey.workload.serving import candidate_path, joint_keys, widest_class
from pgrunbook.journey.workload.upkeep import Writes, write_cost_ms, writes_of

SCANNED_ROW_MS = 0.0001  # a row of a scan, where nobody has measured: ten million rows a second and core


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """When an index is worth proposing.

    `rows_min`, `pages_min`: smaller tables are read whole faster than an index is looked into.
    `busy_rows`: up to so many rows, only statements that take `busy_total_ms` in all count.
    `calls_min`: what runs more rarely is no workload.
    `gain_min`: how many times cheaper a call must become.
    `spared_rows_min`: rows that a call no longer reads.
    `scan_share_min`: of the blocks that the present way to the rows should read, the share that a call really reads.
    `saved_ms_min`: in all; below it, a measurement is noise.
    `load_ratio_min`: of the time since the counters began, the share that is saved.
    """

    rows_min: int = 1000
    pages_min: int = 8
    busy_rows: int = 10_000
    busy_total_ms: float = 1000.0
    calls_min: int = 10
    gain_min: float = 5.0
    spared_rows_min: int = 1000
    scan_share_min: float = 0.2
    saved_ms_min: float = 20.0
    load_ratio_min: float = 0.000_001


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One access of one statement, the candidate that was made for it, and what an index saves there."""

    asked: Asked
    access: Access
    estimate: Estimate
    best: Candidate
    rows_now: float
    rows_after: float
    cost_now: float
    cost_after: float
    saved_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """What got no index, and why.  `columns` may be expressions."""

    table: str
    columns: tuple[str, ...]
    reason: str
    queryids: tuple[int, ...] = ()


@dataclass(slots=True, kw_only=True)
class Chosen:
    """A candidate and everything that it serves."""

    candidate: Candidate
    uses: list[Use] = field(default_factory=list)
    write_cost_ms: float = 0.0

    @property
    def saved_ms(self) -> float:
        """Time saved in all, before writes are paid for."""
        return sum(use.saved_ms for use in self.uses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was chosen, what was declined, and what could not be judged, by the table's OID.

    `hidden` are columns whose statistics we may not see, `unanalyzed` those that have none, `veiled` expressions with a
    constant that the statements' texts hide.
    """

    chosen: tuple[Chosen, ...]
    declined: tuple[Declined, ...]
    hidden: dict[int, tuple[str, ...]]
    unanalyzed: dict[int, tuple[str, ...]]
    veiled: dict[int, tuple[str, ...]]


_Part = tuple[Candidate, Access]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    """The best way to serve one access: one index, or one for each branch of an OR that has none, with that branch."""

    parts: tuple[_Part, ...]
    use: Use


def choose(
    workload: Workload,
    facts: Facts,
    extensions: Extensions,
    *,
    thresholds: Thresholds,
    max_width: int = 3,
    counted_s: float | None = None,
) -> Choice:
    """Choose indexes for a workload; `counted_s` is how long its counters have been counting."""
    chooser = _Chooser(facts, extensions, thresholds, max_width)
    options = [option for asked in workload.asked for option in chooser.options(asked)]
    chosen: list[Chosen] = []
    for option in sorted(options, key=lambda o: -o.use.saved_ms):
        saved_ms = option.use.saved_ms / len(option.parts)
        for candidate, access in option.parts:
            chooser.place(replace(option.use, best=candidate, access=access, saved_ms=saved_ms), chosen)
    chooser.spare(chosen)
    chooser.widen(chosen)
    writes = writes_of(workload, facts)
    kept = [c for c in chosen if chooser.is_worth_it(c, writes, counted_s)]
    for c in kept:
        table = facts.of(c.candidate.table_oid)
        c.candidate = without_nulls(c.candidate, table, [use.access for use in c.uses])
    return Choice(
        chosen=tuple(sorted(kept, key=lambda c: -c.saved_ms)),
        declined=tuple(dict.fromkeys(chooser.declined)),
        hidden=chooser.hidden,
        unanalyzed=chooser.unanalyzed,
        veiled=chooser.veiled,
    )


class _Chooser:
    def __init__(self, facts: Facts, extensions: Extensions, thresholds: Thresholds, max_width: int) -> None:
        self._facts = facts
        self._extensions = extensions
        self._limits = thresholds
        self._max_width = max_width
        self.declined: list[Declined] = []
        self.hidden: dict[int, tuple[str, ...]] = {}
        self.unanalyzed: dict[int, tuple[str, ...]] = {}
        self.veiled: dict[int, tuple[str, ...]] = {}

    def options(self, asked: Asked) -> Iterator[_Option]:
        """The best option for each access of a statement that is worth one."""
        if asked.is_counted and asked.calls < self._limits.calls_min:
            return
        estimate = Estimate(asked, self._facts.of)
        for access in asked.accesses.accesses:
            if access.write is not None and access.write.kind is Writing.INSERT:
                continue
            table = estimate.facts(access)
            if self._is_too_small(asked, access, table):
                continue
            now = estimate.now(access)
            if not self._is_scanned(asked, access, table, now) or not self._is_known(asked, access, table):
                continue
            option = self._best(asked, access, estimate, now)
            if option is not None:
                yield option
            else:
                self._explain(asked, access, table)

    def _is_too_small(self, asked: Asked, access: Access, table: TableFacts) -> bool:
        limits = self._limits
        relation = table.table.relation
        if relation.kind not in {"r", "p", "m"} or relation.of_extension:
            return True
        if table.rows < limits.rows_min or 0 < table.pages < limits.pages_min:
            return bool(access)
        return table.rows < limits.busy_rows and asked.is_counted and asked.total_ms < limits.busy_total_ms

    def _is_scanned(self, asked: Asked, access: Access, table: TableFacts, now: Reading) -> bool:
        """Whether a call reads about as much as the present way to the rows should; counters tell, if there are any."""
        if now.rows < self._limits.spared_rows_min:
            return False
        return not asked.is_counted or asked.blocks_per_call >= self._limits.scan_share_min * pages_read(
            access, table, now
        )

    def _is_known(self, asked: Asked, access: Access, table: TableFacts) -> bool:
        """Whether the statistics of the columns asked for are there; where not, remember why.

        Without them it is enough that the statement's own row count says how selective its only condition is.
        """
        wanted = list(
            dict.fromkeys(c for p in access.predicates if p.operation is not Operation.OTHER for c in p.key.columns)
        )
        hidden, missing = table.hidden(wanted), table.unanalyzed(wanted)
        if not hidden and access.is_result and len(access.predicates) == 1 and asked.is_counted:
            return True
        if hidden:
            self.hidden[table.table.oid] = tuple(dict.fromkeys(self.hidden.get(table.table.oid, ()) + hidden))
        if missing:
            self.unanalyzed[table.table.oid] = tuple(dict.fromkeys(self.unanalyzed.get(table.table.oid, ()) + missing))
        return not hidden and not missing

    def _best(self, asked: Asked, access: Access, estimate: Estimate, now: Reading) -> _Option | None:
        """The cheapest option; among those about as cheap, the one with fewest keys."""
        table = estimate.facts(access)
        found: list[tuple[tuple[_Part, ...], Reading]] = []
        for candidate in proposals(access, table, self._extensions, max_width=self._max_width):
            reading = self._with(candidate, access, estimate)
            if reading is not None:
                found.append((((candidate, access),), reading))
        found += self._by_branches(access, estimate, table)
        worth = [
            (parts, reading)
            for parts, reading in found
            if reading.cost * self._limits.gain_min <= now.cost
            and now.rows - reading.rows >= self._limits.spared_rows_min * 0.5
        ]
        if not worth:
            return None
        least = min(reading.cost for _, reading in worth)
        near = [pair for pair in worth if pair[1].cost <= 2 * least + 40]
        parts, reading = min(near, key=lambda pair: (sum(len(part[0].keys) for part in pair[0]), pair[1].cost))
        return _Option(parts=parts, use=self._use(parts[0][0], asked, access, estimate, (now, reading)))

    def _by_branches(
        self, access: Access, estimate: Estimate, table: TableFacts
    ) -> Iterator[tuple[tuple[_Part, ...], Reading]]:
        """An OR needs an index for each of its branches: those that exist, and new ones for the rest."""
        for group in access.alternatives:
            parts: dict[Candidate, Access] = {}
            rows = cost = 0.0
            for branch in group:
                reading = estimate.branch_now(access, branch)
                if reading is None or reading.cost > table.rows / self._limits.gain_min:
                    alone = branch_access(access, branch)
                    candidate, reading = self._best_branch(alone, estimate, table)
                    if candidate is None or reading is None:
                        break
                    parts.setdefault(candidate, alone)
                rows, cost = rows + reading.rows, cost + reading.cost
            else:
                if parts:
                    yield tuple(parts.items()), Reading(rows=rows, cost=cost)

    def _best_branch(
        self, alone: Access, estimate: Estimate, table: TableFacts
    ) -> tuple[Candidate | None, Reading | None]:
        found = [
            (candidate, reading)
            for candidate in proposals(alone, table, self._extensions, max_width=self._max_width)
            if (reading := self._with(candidate, alone, estimate)) is not None
        ]
        if not found:
            return None, None
        least = min(reading.cost for _, reading in found)
        near = [pair for pair in found if pair[1].cost <= 2 * least + 40]
        return min(near, key=lambda pair: (len(pair[0].keys), pair[1].cost))

    def _with(self, candidate: Candidate, access: Access, estimate: Estimate) -> Reading | None:
        """What the access would read with the candidate."""
        return estimate.by(access, candidate_path(candidate, access, estimate.facts(access)))

    def _use(
        self, best: Candidate, asked: Asked, access: Access, estimate: Estimate, readings: tuple[Reading, Reading]
    ) -> Use:
        now, after = readings
        table = estimate.facts(access)
        pages = table.scan_pages or asked.blocks_per_call  # 0 before the first VACUUM or ANALYZE
        whole = min(pages, now.rows) if now.rows < table.rows else pages
        is_whole = asked.blocks_per_call >= self._limits.scan_share_min * whole
        expected = whole if is_whole else pages_read(access, table, now)
        total_ms = asked.total_ms if asked.is_counted else asked.calls * now.cost * SCANNED_ROW_MS
        part = min(1.0, expected / asked.blocks_per_call) if asked.blocks_per_call > 0 else 1.0
        return Use(
            asked=asked,
            access=access,
            estimate=estimate,
            best=best,
            rows_now=now.rows,
            rows_after=after.rows,
            cost_now=now.cost,
            cost_after=after.cost,
            saved_ms=total_ms * part * max(0.0, 1 - after.cost / now.cost),
        )

    def place(self, use: Use, chosen: list[Chosen]) -> None:
        """Let an index that is chosen already serve, widen one so that it serves both, or choose the use's best too."""
        candidate = use.best
        same_table = [c for c in chosen if c.candidate.table_oid == candidate.table_oid]
        for held in same_table:
            served, merged = self._cost(held.candidate, use), self._merged(held, candidate, use)
            if merged is not None and (served is None or 2 * self._needed(merged, use) < served):
                held.candidate = merged
                held.uses.append(use)
                return
            if served is not None:
                held.uses.append(use)
                return
        if any(held.candidate.leading == candidate.leading and not candidate.where for held in same_table):
            self.declined.append(
                Declined(
                    table=self._facts.of(candidate.table_oid).qualified,
                    columns=candidate.columns,
                    reason="a chosen index leads with the same column already",
                    queryids=use.asked.queryids,
                )
            )
            return
        chosen.append(Chosen(candidate=candidate, uses=[use]))

    def spare(self, chosen: list[Chosen]) -> None:
        """Give up indexes of which each use is served by another one, those that save least first."""
        for each in sorted(chosen, key=lambda c: c.saved_ms):
            others = [c for c in chosen if c is not each and c.candidate.table_oid == each.candidate.table_oid]
            found = [next((o for o in others if self._cost(o.candidate, use) is not None), None) for use in each.uses]
            if all(found):
                for other, use in zip(found, each.uses, strict=True):
                    if other is not None:
                        other.uses.append(use)
                chosen.remove(each)

    def widen(self, chosen: list[Chosen]) -> None:
        """Add keys to an index where that makes one of its uses at least twice as cheap and harms none."""
        for each in chosen:
            for use in each.uses:
                merged = self._merged(each, use.best, use)
                if merged is not None and 2 * self._needed(merged, use) < self._needed(each.candidate, use):
                    each.candidate = merged

    def _cost(self, candidate: Candidate, use: Use) -> float | None:
        """The cost of a use with a candidate; None where the one that was made for it serves it far better."""
        reading = self._with(candidate, use.access, use.estimate)
        is_near = reading is not None and reading.cost <= max(3 * use.cost_after, use.cost_after + 400)
        return reading.cost if reading is not None and is_near else None

    def _needed(self, candidate: Candidate, use: Use) -> float:
        cost = self._cost(candidate, use)
        return cost if cost is not None else use.cost_now

    def _merged(self, held: Chosen, candidate: Candidate, use: Use) -> Candidate | None:
        """One index for both, if both are served by it about as well."""
        first = held.candidate
        if first.method != candidate.method:
            return None
        if first.method != "btree":
            return widest_class(first, candidate)
        where = first.where if first.where == candidate.where else ()
        found = []
        for keys in joint_keys(first, candidate, self._max_width):
            merged = replace(first, equal=keys[0], tail=keys[1], where=where)
            if all(self._cost(merged, each) is not None for each in (*held.uses, use)):
                found.append((self._needed(merged, use), merged))
        least = min((cost for cost, _ in found), default=0.0)
        return next((merged for cost, merged in found if cost <= 2 * least), None)

    def is_worth_it(self, chosen: Chosen, writes: Writes, counted_s: float | None) -> bool:
        """Whether it saves enough, writes paid for."""
        limits, table = self._limits, self._facts.of(chosen.candidate.table_oid)
        chosen.write_cost_ms = write_cost_ms(chosen.candidate, writes)
        is_timed = any(use.asked.is_counted for use in chosen.uses)
        reason = ""
        if is_timed and chosen.saved_ms < limits.saved_ms_min:
            reason = "the statements take too little time in all"
        elif is_timed and counted_s is not None and chosen.saved_ms < counted_s * 1000 * limits.load_ratio_min:
            reason = "the statements take too small a share of the time"
        elif chosen.write_cost_ms > chosen.saved_ms:
            reason = "keeping it up to date would cost more than it saves"
        if reason:
            ids = tuple(dict.fromkeys(i for use in chosen.uses for i in use.asked.queryids))
            self.declined.append(
                Declined(table=table.qualified, columns=chosen.candidate.columns, reason=reason, queryids=ids)
            )
        return not reason

    def _explain(self, asked: Asked, access: Access, table: TableFacts) -> None:
        """Say why a table that is read whole gets no index for this statement."""
        is_few = access.is_result and asked.rows_per_call * self._limits.gain_min * INDEX_ROW_COST <= table.rows
        for p in access.predicates:
            if is_few and not p.key.is_known and not p.key.refusal:
                shown = p.key.canonical.replace("$", "…")
                self.veiled[table.table.oid] = tuple(dict.fromkeys((*self.veiled.get(table.table.oid, ()), shown)))
            reason = refusal(p, access, table)
            if reason:
                self.declined.append(
                    Declined(
                        table=table.qualified,
                        columns=(p.key.sql,) if p.key.sql else p.key.columns,
                        reason=reason,
                        queryids=asked.queryids,
                    )
                )
