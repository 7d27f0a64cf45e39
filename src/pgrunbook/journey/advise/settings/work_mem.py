"""work_mem: who spills how much, and how much may each take before the machine runs out.

Prior: (memory − shared_buffers) ÷ (3 × who may be at work).  Nothing is proposed where nothing spills, whatever the
prior says.  Where a role's statements spill, that role is given what they need; several roles, and it is the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.advise.change import bytes_value
from pgrunbook.journey.advise.settings.look import GB, MB, Look, Word
from pgrunbook.journey.diagnose.query_texts import statement_costs
from pgrunbook.journey.workload.costs import BLOCK_BYTES, Cost, Costs
from pgrunbook.model import NotRead
from pgrunbook.model.counsel import Ground
from pgrunbook.report.words import clean, counted, duration, figure, one_line, size

AREA = "Memory"
NAME = "work_mem"
SPILLS_BYTES = 64 * MB  # in all; less stays in the system's cache and costs nothing
IN_MEMORY = 3  # what is spilled takes two to three times as much room in memory
ROLE_MAX_BYTES = GB
SYSTEM_MAX_BYTES = 256 * MB
ROLES_OF_ONE = 2  # spills of so many roles are mended role by role


@dataclass(frozen=True, slots=True, kw_only=True)
class Spill:
    """What one role's statements wrote to temporary files."""

    role: str
    costs: tuple[Cost, ...]

    @property
    def total_bytes(self) -> int:
        """Of all calls."""
        return sum(cost.temp_written_blocks for cost in self.costs) * BLOCK_BYTES

    @property
    def wanted_bytes(self) -> float:
        """What its largest spill would need in memory."""
        return IN_MEMORY * max(cost.temp_bytes_per_call for cost in self.costs)


def judge(look: Look) -> Iterator[Word]:
    """One word about the server's value, or one for each of a few roles that spill."""
    try:
        costs = look.seen.derived(statement_costs)
    except NotRead:
        yield from _by_databases(look)
        return
    spills = spills_by_role(costs)
    total = sum(spill.total_bytes for spill in spills)
    if total < SPILLS_BYTES:
        words = f"{size(total)} of temporary files by statements" if total else "no statement wrote temporary files"
        yield from _too_much(look) or (look.keep(AREA, NAME, f"{words} {_time(costs)}"),)
        return
    ceiling = ceiling_bytes(look)
    if len(spills) <= ROLES_OF_ONE:
        for spill in spills:
            yield from _for_role(look, spill, costs, ceiling)
    else:
        yield from _for_all(look, spills, costs, ceiling)


def spills_by_role(costs: Costs) -> tuple[Spill, ...]:
    """Roles whose statements spill, the most first; a statement of several roles counts for each."""
    by_role: dict[str, list[Cost]] = {}
    for cost in costs.toplevel:
        if cost.temp_written_blocks > 0:
            for role in cost.roles:
                by_role.setdefault(role, []).append(cost)
    found = [Spill(role=role, costs=tuple(mine)) for role, mine in by_role.items()]
    return tuple(
        sorted((s for s in found if s.total_bytes >= SPILLS_BYTES / 8), key=lambda s: (-s.total_bytes, s.role))
    )


def ceiling_bytes(look: Look) -> int | None:
    """How much each of those at work may take, so that all of them together fit: the prior, by who was really there.

    None where the memory is not known.
    """
    memory = look.machine.memory_bytes
    if memory is None:
        return None
    at_work = _at_work(look)
    return max(MB, round((memory - look.number("shared_buffers")) / (3 * at_work)))


def _at_work(look: Look) -> int:
    """How many to reckon with: those who were seen, and a tenth of those who may come."""
    return max(look.peak_active, round(look.number("max_connections") / 10), 4)


def enough(wanted_bytes: float, *, at_least: float) -> int:
    """The next power of two.

    >>> enough(20 * 1024**2, at_least=4 * 1024**2) // 1024**2
    32
    """
    found = 4 * MB
    while found < max(wanted_bytes, at_least):
        found *= 2
    return found


def _for_role(look: Look, spill: Spill, costs: Costs, ceiling: int | None) -> Iterator[Word]:
    now = look.number(NAME)
    wanted = enough(spill.wanted_bytes, at_least=now)
    allowed = min(ROLE_MAX_BYTES, ceiling) if ceiling is not None else SYSTEM_MAX_BYTES
    value = wanted if wanted <= allowed else _fits_most(spill, allowed)
    if value is None or value <= now:
        yield look.keep(AREA, NAME, f"{_spilled(spill, costs)}; no work_mem that fits would hold it: sort less instead")
        return
    helped = sum(c.temp_written_blocks for c in spill.costs if IN_MEMORY * c.temp_bytes_per_call <= value) * BLOCK_BYTES
    yield look.propose(
        AREA,
        NAME,
        bytes_value(value),
        role=spill.role,
        reason=f"{_spilled(spill, costs)}.  {_largest(spill)}  {_room(look, ceiling)}",
        effect=f"{size(helped)} of {size(spill.total_bytes)} temporary files {_time(costs)} would not have been"
        " written",
        ground=Ground.EVIDENCE,
        risk="Each sort and hash of each session may take as much.",
        temp_bytes=spill.total_bytes,
        largest_spill_bytes=round(max(cost.temp_bytes_per_call for cost in spill.costs)),
        ceiling_bytes=ceiling,
        queryids=tuple(cost.queryid for cost in _worst(spill)),
    )


def _for_all(look: Look, spills: tuple[Spill, ...], costs: Costs, ceiling: int | None) -> Iterator[Word]:
    now, total = look.number(NAME), sum(spill.total_bytes for spill in spills)
    allowed = min(SYSTEM_MAX_BYTES, ceiling) if ceiling is not None else 4 * now
    value = max((v for spill in spills if (v := _fits_most(spill, allowed)) is not None), default=None)
    names = ", ".join(one_line(spill.role) for spill in spills[:5]) + (" …" if len(spills) > 5 else "")
    words = f"{counted(len(spills), 'role')} ({names}) wrote {size(total)} of temporary files {_time(costs)}"
    if value is None or value <= now:
        yield look.keep(AREA, NAME, f"{words}; no work_mem that fits would hold them: sort less instead")
        return
    yield look.propose(
        AREA,
        NAME,
        bytes_value(value),
        reason=f"{words}.  {_room(look, ceiling)}",
        effect="most of these temporary files would not be written",
        ground=Ground.EVIDENCE,
        risk="Each sort and hash of each session may take as much.",
        temp_bytes=total,
        ceiling_bytes=ceiling,
    )


def _fits_most(spill: Spill, allowed: float) -> int | None:
    """The value that holds as many of the spills as fit at all."""
    fitting = [IN_MEMORY * cost.temp_bytes_per_call for cost in spill.costs]
    held = [wanted for wanted in fitting if enough(wanted, at_least=0) <= allowed]
    return enough(max(held), at_least=0) if held else None


def _too_much(look: Look) -> tuple[Word, ...]:
    """A work_mem with which those who were really at work would not fit into the machine."""
    memory, now = look.machine.memory_bytes, look.number(NAME)
    at_work = max(look.peak_active, 1)
    worst = look.number("shared_buffers") + now * at_work
    if memory is None or worst <= memory:
        return ()
    ceiling = ceiling_bytes(look) or 4 * MB
    return (
        look.propose(
            AREA,
            NAME,
            bytes_value(max(4 * MB, ceiling // MB * MB)),
            reason=f"{counted(at_work, 'session')} were at work at one time; with {size(now)} for a sort of each and"
            f" shared_buffers, that is {size(worst)} of {size(memory)}.",
            effect="the kernel has no reason to kill the server for want of memory",
            ground=Ground.EVIDENCE,
            risk="Statements that need more spill to disk: give it to their role.",
            worst_bytes=round(worst),
            memory_bytes=memory,
        ),
    )


def _by_databases(look: Look) -> Iterator[Word]:
    """Without statements only the databases' sums tell that something spills, not what."""
    span = look.activity
    if span is None:
        return
    if span["temp_bytes"] < SPILLS_BYTES:
        yield look.keep(AREA, NAME, f"{size(span['temp_bytes'])} of temporary files {span.words}")
    else:
        yield look.keep(
            AREA,
            NAME,
            f"{size(span['temp_bytes'])} of temporary files {span.words}, but nobody counts whose:"
            " pg_stat_statements would tell which role needs more",
        )


def _spilled(spill: Spill, costs: Costs) -> str:
    calls = sum(cost.calls for cost in spill.costs)
    return (
        f"{counted(len(spill.costs), 'statement')} of role {one_line(spill.role)} wrote {size(spill.total_bytes)} of"
        f" temporary files in {counted(calls, 'call')} {_time(costs)}"
    )


def _largest(spill: Spill) -> str:
    cost = max(spill.costs, key=lambda c: c.temp_bytes_per_call)
    text = one_line(clean(cost.query))[:80]
    return f"The largest writes {size(cost.temp_bytes_per_call)} a call: {text}{'…' if len(cost.query) > 80 else ''}"


def _room(look: Look, ceiling: int | None) -> str:
    if ceiling is None:
        return "How much fits beside the others is not known without the machine's memory (--memory)."
    at_work = _at_work(look)
    return f"With {counted(at_work, 'session')} at work, {size(ceiling)} for each would fit ({_share(look)})."


def _share(look: Look) -> str:
    buffers = figure("_bytes", look.number("shared_buffers"))
    return f"a third of {figure('_bytes', look.machine.memory_bytes)} less {buffers} of shared_buffers"


def _time(costs: Costs) -> str:
    if costs.period_s is None:
        return "since its counters began"
    return f"in the {duration(costs.period_s)} watched" if costs.is_window else f"in {duration(costs.period_s)}"


def _worst(spill: Spill) -> list[Cost]:
    return sorted(spill.costs, key=lambda cost: -cost.temp_written_blocks)[:5]
