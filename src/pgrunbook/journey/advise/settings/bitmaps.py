"""Bitmaps that do not fit into work_mem and forget which rows they meant: only pages are left, to be checked anew.

No counter tells of them, so this asks for plans, on request only (`--plans`): of the dearest reading statements, as
their own roles, never run.  How many pages a bitmap names follows from the planner's rows (Mackert and Lohman's
formula, as the planner itself has it), and how many work_mem holds from the size of an entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.advise.change import bytes_value
from pgrunbook.journey.advise.settings.look import Look, Word
from pgrunbook.journey.advise.settings.work_mem import ROLE_MAX_BYTES, SYSTEM_MAX_BYTES, ceiling_bytes, enough
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.plan_tree import plan_of
from pgrunbook.journey.observe.plans import PLANS, plan_in
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Blind
from pgrunbook.model.counsel import Ground, Proposal
from pgrunbook.report.words import counted, duration, one_line, size

AREA = "Memory"
NAME = "work_mem"
ENTRY_BYTES = 64  # of a page in the bitmap's hash table: the entry itself and two pointers
NOTE = (
    "Bitmaps that became lossy for want of work_mem leave no trace in any counter; --plans reckons them from the plans"
    " of the dearest statements, and EXPLAIN (ANALYZE) of a statement shows them as lossy heap blocks."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BitmapScan:
    """One bitmap scan of a plan: how many pages of its table the bitmap names, estimated."""

    queryid: int
    role: str
    query: str
    calls: int
    mean_ms: float
    relation: str
    pages: int

    @property
    def wanted_bytes(self) -> int:
        """The work_mem that remembers every one of them exactly."""
        return self.pages * ENTRY_BYTES


def scans_of(seen: Seen) -> tuple[BitmapScan, ...]:
    """Every bitmap scan of the plans that were taken.  Raises NotRead where none were."""
    pages = {relation.qualified: relation.pages for relation in seen.rows(RELATIONS)}
    found = []
    for row in seen.rows(PLANS):
        if not row.plan:
            continue
        plan = plan_of(plan_in(row.plan), is_generic=row.parameters > 0, role=row.planned_as)
        found += [
            BitmapScan(
                queryid=row.queryid,
                role=row.role or "",
                query=row.query,
                calls=row.calls,
                mean_ms=round(row.mean_ms, 3),
                relation=node.relation,
                pages=pages_named(node.children[0].rows if node.children else node.rows, pages[node.relation]),
            )
            for node in plan.nodes
            if node.kind == "Bitmap Heap Scan" and node.relation in pages
        ]
    return tuple(found)


def pages_named(rows: float, pages: int) -> int:
    """How many of a table's pages so many of its rows lie on, if they lie anywhere.

    >>> pages_named(1_000_000, 100_000), pages_named(10, 100_000)
    (100000, 10)
    """
    if pages <= 1 or rows <= 0:
        return max(1, pages)
    return max(1, min(pages, round(2.0 * pages * rows / (2.0 * pages + rows))))


def judge(look: Look, proposed: tuple[Proposal, ...]) -> Iterator[Word]:
    """One proposal a role whose bitmaps do not fit, unless it is given as much for its sorts already."""
    plans = look.seen.rows_or_none(PLANS)
    if plans is None:
        return
    scans = scans_of(look.seen)
    failed = sum(bool(row.trouble) for row in plans)
    if failed:
        yield Blind(
            reason=f"{counted(failed, 'statement')} of {len(plans)} could not be planned: their bitmaps are not known",
            cure="pgrunbook explain QUERYID says why.",
        )
    now = look.number(NAME)
    lossy = [scan for scan in scans if scan.wanted_bytes > now]
    if not lossy:
        words = f"the bitmaps of {counted(len(plans) - failed, 'statement')} that were planned fit into it"
        yield look.keep(AREA, NAME, f"{words}, {counted(len(scans), 'bitmap scan')}")
        return
    given = {one.object: one.proposed for one in proposed if NAME in one.title}
    for role in dict.fromkeys(scan.role for scan in lossy):
        mine = [scan for scan in lossy if scan.role == role]
        if role and role not in given and NAME not in given:
            yield from _for_role(look, role, mine)


def _for_role(look: Look, role: str, scans: list[BitmapScan]) -> Iterator[Word]:
    now, ceiling = look.number(NAME), ceiling_bytes(look)
    allowed = min(ROLE_MAX_BYTES, ceiling) if ceiling is not None else SYSTEM_MAX_BYTES
    fitting = [scan for scan in scans if enough(scan.wanted_bytes, at_least=now) <= allowed]
    worst = max(scans, key=lambda scan: scan.wanted_bytes)
    words = (
        f"A bitmap over about {counted(worst.pages, 'page')} of {worst.relation} needs {size(worst.wanted_bytes)} to"
        f" remember each row, and work_mem is {size(now)}: of the rest it knows only the pages, whose rows are"
        " all checked"
        f" anew.  It is made {counted(worst.calls, 'time')} at {duration(worst.mean_ms / 1000)}:"
        f" {one_line(worst.query)[:80]}"
    )
    if not fitting:
        yield look.keep(AREA, NAME, f"{words}; no work_mem that fits would hold it")
        return
    value = enough(max(scan.wanted_bytes for scan in fitting), at_least=now)
    yield look.propose(
        AREA,
        NAME,
        bytes_value(value),
        role=role,
        reason=words,
        effect=f"{counted(len(fitting), 'bitmap')} exact: no row is checked that the index did not name",
        ground=Ground.EVIDENCE,
        risk="Each sort and hash of each session may take as much.",
        pages=worst.pages,
        bitmap_bytes=worst.wanted_bytes,
        queryids=tuple(scan.queryid for scan in fitting),
        exact_pages=int(now) // ENTRY_BYTES,
        ceiling_bytes=ceiling,
    )
